//! An entry and its line.

use super::has_form;
use crate::escape;

/// Bytes of the longest line, without the newline: a path of PATH_MAX (4096) bytes, all of which
/// are escaped both in the link (3 bytes) and in the text (6 bytes), and the other fields, of which the
/// context has 4096 bytes at most.
pub(super) const LINE_MAX: usize = 44 * 1024;

/// A change that one child has not got.
pub(crate) struct Entry<'a> {
    /// UTC year, month, day, hour, minute, second of the failure.
    pub(crate) time: [u32; 6],
    /// Whether the change stored a file or deleted one.
    pub(crate) deleted: bool,
    /// The request's path.
    pub(crate) path: &'a [u8],
    /// The change's version, nanoseconds since the epoch.
    pub(crate) version: u64,
    /// Why: one word, as a status, or `timeout`; what may follow in brackets has none in it.
    pub(crate) reason: &'a str,
    /// What a delivery needs of the client's request (`conf/context.rs`): words without spaces in them.
    pub(crate) context: &'a str,
}

impl Entry<'_> {
    /// The line of the log. PUT lines are links, DELETE lines are not: there is nothing to fetch.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = (timestamp(&self.time) + " ").into_bytes();
        if self.deleted {
            line.extend(b"DELETE ");
            line.extend(escape::html(self.path));
        } else {
            line.extend(b"PUT <a href=\"");
            // "//a/b" would be the path "/b" on a host "a".
            let link = escape::percent(self.path);
            match link.strip_prefix("//") {
                Some(rest) => line.extend(format!("/%2F{rest}").bytes()),
                None => line.extend(link.bytes()),
            }
            line.extend(b"\">");
            line.extend(escape::html(self.path));
            line.extend(b"</a>");
        }
        line.extend(format!(" {} ", self.version).bytes());
        line.extend(escape::html(self.reason.as_bytes()));
        if !self.context.is_empty() {
            line.push(b' ');
            line.extend(escape::html(self.context.as_bytes()));
        }
        line.extend(b"<br>\n");
        line
    }
}

/// A time as the log has it (RFC 3339).
pub(crate) fn timestamp([year, month, day, hour, minute, second]: &[u32; 6]) -> String {
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// An [`Entry`] as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missed {
    /// When: milliseconds since 1970.
    pub(crate) time: u64,
    /// Whether the change stored a file or deleted one.
    pub(crate) deleted: bool,
    /// The request's path.
    pub(crate) path: Vec<u8>,
    /// The change's version, nanoseconds since the epoch.
    pub(crate) version: u64,
    /// Why it was missed, in a word.
    pub(crate) reason: String,
    /// What a delivery needs of the client's request.
    pub(crate) context: String,
}

impl Missed {
    /// Reads a line, without its newline. `None` for all that [`Entry::line`] does not write: the
    /// rest of a torn line, or a blank one.
    pub(super) fn parse(line: &[u8]) -> Option<Missed> {
        let line = line.strip_suffix(b"<br>")?;
        let (time, rest) = line.split_at_checked(20)?;
        let (rest, context) = split_context(rest);
        // What somebody said of it.
        let rest = match rest.strip_suffix(b")") {
            Some(rest) => rest.get(..rest.windows(2).rposition(|two| two == b" (")?)?,
            None => rest,
        };
        let (rest, reason) = last_field(rest)?;
        let (change, version) = last_field(rest)?;
        let deleted = change.starts_with(b" DELETE ");
        let path = match change.strip_prefix(b" DELETE ") {
            Some(name) => escape::unhtml(name)?,
            None => parse_link(change.strip_prefix(b" PUT <a href=\"")?)?,
        };
        let is_whole =
            has_form(time, b"dddd-dd-ddTdd:dd:ddZ") && path.starts_with(b"/") && !reason.is_empty();
        if !is_whole {
            return None;
        }
        Some(Missed {
            time: milliseconds(time)?,
            deleted,
            path,
            version: number(version)?,
            reason: text(reason)?,
            context: text(context)?,
        })
    }
}

/// A time in UTC as [`Entry::line`] writes it. The days of a year begin in March here, so that the
/// day of a leap year is its last.
fn milliseconds(time: &[u8]) -> Option<u64> {
    let field = |from: usize, to: usize| number(time.get(from..to)?);
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let year = if month > 2 { year } else { year.checked_sub(1)? };
    let days = 365 * year + year / 4 - year / 100 + year / 400;
    let days = days + (153 * ((month + 9) % 12) + 2) / 5 + day;
    // The first of March of the year 0 is so many days before 1970.
    let days = days.checked_sub(1 + 719_468)?;
    let seconds = (field(11, 13)? * 60 + field(14, 16)?) * 60 + field(17, 19)?;
    Some((days * 86_400 + seconds) * 1000)
}

/// The path from `LINK">NAME</a>`. Link and name both have it; where they differ the line is not
/// a whole one.
fn parse_link(text: &[u8]) -> Option<Vec<u8>> {
    let quote = text.iter().position(|&byte| byte == b'"')?;
    let (link, name) = text.split_at_checked(quote)?;
    let name = name.strip_prefix(b"\">")?.strip_suffix(b"</a>")?;
    let path = escape::unpercent(link)?;
    (escape::html(&path) == name).then_some(path)
}

/// What stands before the words that begin with `$` or `@` at the end, and these. A bracket ends what
/// somebody said.
fn split_context(text: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = text;
    while let Some((before, word)) = last_field(rest) {
        if !matches!(word.first(), Some(b'$' | b'@')) || word.ends_with(b")") {
            break;
        }
        rest = before;
    }
    let context = text.get(rest.len()..).unwrap_or_default();
    (rest, context.strip_prefix(b" ").unwrap_or(context))
}

/// What stands before the last space, and after it.
fn last_field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().rposition(|&byte| byte == b' ')?;
    Some((text.get(..space)?, text.get(space + 1..)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    // parse() takes a sign too.
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &[u8]) -> Entry<'_> {
        Entry {
            time: [2026, 11, 22, 11, 24, 5],
            deleted: false,
            path,
            version: 1763810645123456789,
            reason: "502",
            context: "",
        }
    }

    fn read_back(entry: &Entry<'_>) -> Option<Missed> {
        Missed::parse(entry.line().strip_suffix(b"\n").unwrap())
    }

    #[test]
    fn a_put_is_a_link() {
        assert_eq!(
            entry(b"/a/b.mp3").line(),
            b"2026-11-22T11:24:05Z PUT <a href=\"/a/b.mp3\">/a/b.mp3</a> 1763810645123456789 502<br>\n"
        );
    }

    #[test]
    fn a_delete_is_none() {
        let entry = Entry { deleted: true, reason: "timeout", ..entry(b"/a/c.mp3") };
        assert_eq!(
            entry.line(),
            b"2026-11-22T11:24:05Z DELETE /a/c.mp3 1763810645123456789 timeout<br>\n"
        );
    }

    #[test]
    fn a_time_is_read_back() {
        assert_eq!(milliseconds(b"1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(milliseconds(b"2000-02-29T23:59:59Z"), Some(951_868_799_000));
        assert_eq!(milliseconds(b"2026-11-22T11:24:05Z"), Some(1_795_346_645_000));
        assert_eq!(milliseconds(b"0000-01-01T00:00:00Z"), None);
        assert_eq!(read_back(&entry(b"/a")).unwrap().time, 1_795_346_645_000);
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        let line = entry(b"/a\n\"><script>\xff?#").line();
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert!(!line.windows(7).any(|window| window == b"<script"));
        assert!(line.windows(31).any(|w| w == b"href=\"/a%0A%22%3E%3Cscript%3E%F"));
    }

    #[test]
    fn a_link_stays_on_this_host() {
        let line = entry(b"//elsewhere/a").line();
        assert!(String::from_utf8(line).unwrap().contains("href=\"/%2Felsewhere/a\""));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let mut every_byte = vec![b'/'];
        every_byte.extend(0..=255);
        let names: [&[u8]; 11] = [
            b"/a/b.mp3",
            b"/",
            b"//elsewhere/a",
            b"///",
            b"/%2F%252F &amp; &#10;",
            b"/a\nb\r\x7f",
            b"/ 1 502<br>",
            b"/\xff\xfe",
            b"/a</a> 5 200<br>",
            b"/a 2026-11-22T11:24:05Z DELETE /b 1 502",
            &every_byte,
        ];
        for path in names {
            for deleted in [false, true] {
                let entry = Entry { deleted, version: u64::MAX, ..entry(path) };
                let missed = Missed {
                    time: 1_795_346_645_000,
                    deleted,
                    path: path.to_vec(),
                    version: u64::MAX,
                    reason: "502".into(),
                    context: String::new(),
                };
                assert_eq!(read_back(&entry), Some(missed));
            }
        }
    }

    #[test]
    fn what_a_child_said_stands_behind_the_reason() {
        for path in [&b"/a"[..], b"/a (b) 5 507 (c)", b"/)", b"/a 1 (", b"/ ("] {
            for deleted in [false, true] {
                let reason = "507 (no <space> left on [this] node)";
                let entry = Entry { deleted, reason, ..entry(path) };
                let missed = read_back(&entry).unwrap();
                assert_eq!((&missed.path[..], &missed.reason[..]), (path, "507"));
                assert_eq!(missed.version, entry.version);
            }
        }
    }

    #[test]
    fn what_a_delivery_needs_is_read_back() {
        for context in ["$host=a.example", "@/in/ $host=a:b $remote_user=j%20o", "@@store $x="] {
            for reason in ["502", "507 (no $space here @all $x)"] {
                let entry = Entry { context, reason, ..entry(b"/a $b=c @d") };
                let missed = read_back(&entry).unwrap();
                assert_eq!((&missed.path[..], &missed.context[..]), (&b"/a $b=c @d"[..], context));
                assert_eq!(missed.reason, &reason[..3]);
            }
        }
        let entry = Entry { deleted: true, ..entry(b"/a 5 502 $b=c") };
        let missed = read_back(&entry).unwrap();
        assert_eq!((&missed.path[..], &missed.context[..]), (&b"/a 5 502 $b=c"[..], ""));
    }

    #[test]
    fn the_longest_path_fits_into_a_line() {
        let path = [&b"/"[..], &[b'"'; 4095]].concat();
        let words = format!("507 ({})", "&".repeat(200));
        let context = format!("$x={}", "a".repeat(4093));
        let entry = Entry { version: u64::MAX, reason: &words, context: &context, ..entry(&path) };
        assert!(entry.line().len() <= LINE_MAX);
        assert_eq!(read_back(&entry).unwrap().path, path);
    }

    #[test]
    fn no_part_of_a_line_is_an_entry() {
        for deleted in [false, true] {
            let line = Entry { deleted, ..entry(b"/a b/<c>\n") }.line();
            let line = line.strip_suffix(b"\n").unwrap();
            assert!(Missed::parse(line).is_some());
            for end in 0..line.len() {
                assert_eq!(Missed::parse(&line[..end]), None);
                // As a clear() leaves it that was cut short.
                let mut cleared = line.to_vec();
                cleared[..=end].fill(b' ');
                assert_eq!(Missed::parse(&cleared), None);
            }
        }
    }

    #[test]
    fn a_torn_put_and_the_next_line_are_no_entry() {
        let torn = entry(b"/a/b").line();
        let next = entry(b"/c").line();
        for end in 1..torn.len() {
            let merged = [&torn[..end], next.strip_suffix(b"\n").unwrap()].concat();
            assert_eq!(Missed::parse(&merged), None);
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for line in [
            &b"2026-11-22T11:24:05Z DELETE a 5 502<br>"[..],
            b"2026-11-22T11:24:05Z DELETE /a +5 502<br>",
            b"2026-11-22T11:24:05Z DELETE /a  502<br>",
            b"2026-11-22T11:24:05Z DELETE /a 5 <br>",
            b"2026-11-22T11:24:05Z DELETE /a 18446744073709551616 502<br>",
            b"2026-11-22T11:24:05Z DELETE /a<b 5 502<br>",
            b"2026-11-22 11:24:05Z DELETE /a 5 502<br>",
            b"2026-11-22T11:24:05Z PATCH /a 5 502<br>",
            b"2026-11-22T11:24:05Z PUT <a href=\"/a\">/b</a> 5 502<br>",
            b"2026-11-22T11:24:05Z PUT <a href=\"/%2\">/%2</a> 5 502<br>",
        ] {
            assert_eq!(Missed::parse(line), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
