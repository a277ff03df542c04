//! System calls that std has not, and nginx's checks of paths.

use core::mem;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use nginx_sys::*;
use rustix::fs::{linkat, AtFlags, CWD};

use super::headers::{ngx_md5_final, ngx_md5_init, ngx_md5_t, ngx_md5_update};
use super::pool::OutOfMemory;
use super::request::Request;

/// Creates a file without a name in `dir`'s file system (O_TMPFILE, open(2)): it vanishes with
/// the process unless [`link`] gives it a name. None where the file system has no such files.
pub fn unnamed_file(dir: &Path, mode: u32) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(mode).custom_flags(libc::O_TMPFILE);
    match options.open(dir) {
        Ok(file) => Ok(Some(file)),
        Err(error) => match error.raw_os_error() {
            // EISDIR: a kernel or file system that takes O_TMPFILE for O_DIRECTORY.
            Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Whether [`link`] works: it does not without /proc, as in some containers. Found out once, by this
/// unnamed file.
pub fn can_link(file: &File) -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let number = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let there = fs::metadata(path_of(file)).map(number);
        there.is_ok_and(|there| file.metadata().map(number).is_ok_and(|this| this == there))
    })
}

/// Gives an unnamed file the name `path`; fails with `EEXIST` where something has it.
pub fn link(file: &File, path: &Path) -> io::Result<()> {
    // What needs no /proc, AT_EMPTY_PATH, is for root alone before Linux 6.10.
    Ok(linkat(CWD, path_of(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn path_of(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Reads as many bytes as `buffer` takes, from `offset` on.
pub(super) fn read_exact_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    File::from(fd.try_clone_to_owned()?).read_exact_at(buffer, offset)
}

/// The location's `disable_symlinks` lets this existing path be used
/// (`ngx_open_cached_file()`, as the static module asks it).
pub fn symlinks_allow(r: Request, path: &Path) -> Result<io::Result<()>, OutOfMemory> {
    let conf = r.core_conf();
    // nginx wants a terminating NUL behind the length.
    let mut name = r.copy(&[path.as_os_str().as_bytes(), b"\0"].concat())?;
    name.len -= 1;
    // SAFETY: the structure is valid as zeroes; name and pool live as long as the request.
    unsafe {
        let mut info: ngx_open_file_info_t = mem::zeroed();
        info.set_test_only(1);
        let conf = (conf as *const ngx_http_core_loc_conf_t).cast_mut();
        let rc = ngx_http_set_disable_symlinks(r.as_ptr(), conf, &mut name, &mut info);
        if rc != NGX_OK as ngx_int_t {
            return Err(OutOfMemory);
        }
        let rc = ngx_open_cached_file(core::ptr::null_mut(), &mut name, &mut info, r.pool());
        Ok(match rc as i32 {
            n if n == NGX_OK as i32 => Ok(()),
            _ => Err(io::Error::from_raw_os_error(info.err)),
        })
    }
}

/// The path that a slice of bytes names.
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// nginx's version, as "1.22.1".
pub fn version() -> &'static str {
    NGINX_VERSION.to_str().unwrap_or_default()
}

/// The worker's process.
pub fn pid() -> i32 {
    // SAFETY: nginx sets it once, before the worker runs.
    unsafe { ngx_pid }
}

/// A running MD5 sum (RFC 1321), nginx's.
pub struct Md5(ngx_md5_t);

impl Md5 {
    /// The sum of nothing.
    pub fn new() -> Md5 {
        let mut state = ngx_md5_t::default();
        // SAFETY: nginx fills the structure.
        unsafe { ngx_md5_init(&mut state) };
        Md5(state)
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        // SAFETY: nginx reads `len` bytes.
        unsafe { ngx_md5_update(&mut self.0, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// The sum of what was added.
    pub fn finish(mut self) -> [u8; 16] {
        let mut sum = [0; 16];
        // SAFETY: nginx writes 16 bytes.
        unsafe { ngx_md5_final(sum.as_mut_ptr(), &mut self.0) };
        sum
    }
}

/// The bytes of a text in base64 (`ngx_decode_base64()`, RFC 4648 section 4).
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; text.len()];
    let mut from = ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
    let mut to = ngx_str_t { len: 0, data: bytes.as_mut_ptr() };
    // SAFETY: nginx reads `len` bytes, and writes fewer than it has read.
    let rc = unsafe { ngx_decode_base64(&mut to, &mut from) };
    bytes.truncate(to.len);
    (rc == NGX_OK as ngx_int_t).then_some(bytes)
}

/// A time since 1970 in UTC as calendar fields (`ngx_gmtime()`): year, month, day, hour, minute, second.
pub fn utc(time: SystemTime) -> [u32; 6] {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    // SAFETY: the structure is valid as zeroes; nginx fills it.
    unsafe {
        let mut tm: ngx_tm_t = mem::zeroed();
        ngx_gmtime(seconds, &mut tm);
        [tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec].map(|n| n as u32)
    }
}
