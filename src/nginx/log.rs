//! nginx's error log.

use core::fmt::{self, Write};

use nginx_sys::*;

/// Levels of the error log that the module uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// nginx cannot work like this.
    Emerg,
    /// Something is broken.
    Alert,
    /// Something that must not happen, and that an operator has to look at now.
    Crit,
    /// A request failed for a reason on this machine.
    Error,
    /// Something that will not work, and that an operator has meant, perhaps.
    Warn,
    /// The client did something wrong.
    Info,
}

impl Level {
    fn number(self) -> ngx_uint_t {
        let number = match self {
            Level::Emerg => NGX_LOG_EMERG,
            Level::Alert => NGX_LOG_ALERT,
            Level::Crit => NGX_LOG_CRIT,
            Level::Error => NGX_LOG_ERR,
            Level::Warn => NGX_LOG_WARN,
            Level::Info => NGX_LOG_INFO,
        };
        number as ngx_uint_t
    }
}

/// One line; control bytes in it are shown as `\xNN`, so that a hostile name makes no second one.
///
/// # Safety
///
/// `log` is a live log.
pub(super) unsafe fn write(log: *mut ngx_log_t, level: Level, message: fmt::Arguments<'_>) {
    // SAFETY: the caller vouches for `log`.
    if unsafe { (*log).log_level } < level.number() {
        return;
    }
    let mut line = Line::default();
    // A line that is too long is cut, as nginx cuts its own.
    let _ = line.write_fmt(message);
    // SAFETY: "%*s" takes a length and that many bytes; nginx has no types to check them with.
    unsafe {
        ngx_log_error_core(level.number(), log, 0, c"%*s".as_ptr(), line.len, line.text.as_ptr());
    }
}

struct Line {
    text: [u8; 1536],
    len: usize,
}

impl Default for Line {
    fn default() -> Line {
        Line { text: [0; 1536], len: 0 }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) -> fmt::Result {
        let free = self.text.get_mut(self.len..).unwrap_or_default();
        if bytes.len() > free.len() {
            return Err(fmt::Error);
        }
        free[..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte < b' ' || byte == 0x7f {
                let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit & 0xf)];
                self.push(&[b'\\', b'x', hex(byte >> 4), hex(byte)])?;
            } else {
                self.push(&[byte])?;
            }
        }
        Ok(())
    }
}
