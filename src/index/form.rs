//! How a file is written in a list, and how a list that is for another node is read back.

use super::File;
use crate::escape;

/// The longest line of a list: a path of PATH_MAX (4096) bytes, all of them escaped, and two
/// numbers.
const LINE_MAX: usize = 16 * 1024;

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Links, for people and for `wget --recursive`. None leads to another list: wget must not
    /// climb.
    Html,
    /// One object a line.
    Json,
    /// The percent-encoded path, one a line.
    Text,
    /// What nodes compare: `VERSION SIZE PATH` a line, and at the end `end COUNT`.
    List,
}

impl Form {
    /// The form of this name; HTML if there is none. `None` for another name.
    pub(crate) fn of(name: Option<&[u8]>) -> Option<Form> {
        Some(match name {
            None | Some(b"html") => Form::Html,
            Some(b"json") => Form::Json,
            Some(b"txt") => Form::Text,
            Some(b"list") => Form::List,
            Some(_) => return None,
        })
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Form::Html => "text/html; charset=utf-8",
            Form::Json => "application/x-ndjson",
            Form::Text | Form::List => "text/plain",
        }
    }

    /// What comes first, in a list of what is below a directory.
    pub(crate) fn begin(self, below: &[u8], text: &mut Vec<u8>) {
        if self == Form::Html {
            text.extend(b"<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>index of ");
            text.extend(escape::html(below));
            text.extend(b"</title>\n");
        }
    }

    /// A file.
    pub(crate) fn file(self, file: &File, text: &mut Vec<u8>) {
        let File { path, size, version } = file;
        let escaped = escape::percent(path);
        match self {
            Form::Html => {
                text.extend(b"<a href=\"");
                // "//a/b" would be the path "/b" on a host "a".
                match escaped.strip_prefix("//") {
                    Some(rest) => text.extend(format!("/%2F{rest}").bytes()),
                    None => text.extend(escaped.bytes()),
                }
                text.extend(b"\">");
                text.extend(escape::html(path));
                text.extend(b"</a><br>\n");
            }
            Form::Json => {
                let line =
                    format!("{{\"path\":\"{escaped}\",\"size\":{size},\"version\":{version}}}\n");
                text.extend(line.bytes());
            }
            Form::Text => text.extend(format!("{escaped}\n").bytes()),
            Form::List => text.extend(format!("{version} {size} {escaped}\n").bytes()),
        }
    }

    /// What comes last, after so many files.
    pub(crate) fn end(self, files: u64, text: &mut Vec<u8>) {
        if self == Form::List {
            text.extend(format!("end {files}\n").bytes());
        }
    }
}

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) &'static str);

/// Reads a list ([`Form::List`]) that comes in any pieces.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The beginning of a line.
    rest: Vec<u8>,
    /// The last path.
    last: Vec<u8>,
    files: u64,
    ended: bool,
}

impl Reader {
    /// The files that are whole with this piece, in order.
    pub(crate) fn read(&mut self, piece: &[u8]) -> Result<Vec<File>, Broken> {
        let mut files = Vec::new();
        for line in piece.split_inclusive(|&byte| byte == b'\n') {
            self.rest.extend(line);
            if self.rest.len() > LINE_MAX {
                return Err(Broken("a line is too long"));
            }
            if line.ends_with(b"\n") {
                let line = core::mem::take(&mut self.rest);
                files.extend(self.line(line.get(..line.len() - 1).unwrap_or_default())?);
            }
        }
        Ok(files)
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<File>, Broken> {
        const MALFORMED: Broken = Broken("a line is malformed");

        if self.ended {
            return Err(Broken("something follows its end"));
        }
        let line = std::str::from_utf8(line).map_err(|_| MALFORMED)?;
        if let Some(count) = line.strip_prefix("end ") {
            self.ended = true;
            return match number(count) == Some(self.files) {
                true => Ok(None),
                false => Err(Broken("files are missing from it")),
            };
        }
        let mut fields = line.splitn(3, ' ');
        let mut field = || fields.next().ok_or(MALFORMED);
        let (version, size, path) = (field()?, field()?, field()?);
        let version = number(version).ok_or(MALFORMED)?;
        let size = number(size).ok_or(MALFORMED)?;
        let path = escape::unpercent(path.as_bytes()).ok_or(MALFORMED)?;
        if !path.starts_with(b"/") {
            return Err(MALFORMED);
        }
        if path <= self.last {
            return Err(Broken("it is not in order"));
        }
        self.last.clone_from(&path);
        self.files += 1;
        Ok(Some(File { path, size, version }))
    }

    /// It was read to its end.
    pub(crate) fn end(&self) -> Result<(), Broken> {
        match self.ended {
            true => Ok(()),
            false => Err(Broken("it breaks off")),
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    // parse() takes a sign too.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &[u8]) -> File {
        File { path: path.to_vec(), size: 25, version: 1763810645123456789 }
    }

    fn list(files: &[File]) -> Vec<u8> {
        let mut text = Vec::new();
        Form::List.begin(b"/", &mut text);
        files.iter().for_each(|file| Form::List.file(file, &mut text));
        Form::List.end(files.len() as u64, &mut text);
        text
    }

    fn read(text: &[u8]) -> Result<Vec<File>, Broken> {
        let mut reader = Reader::default();
        let files = reader.read(text)?;
        reader.end().map(|()| files)
    }

    #[test]
    fn each_form_has_its_line() {
        let line = |form: Form| {
            let mut text = Vec::new();
            form.file(&file(b"/a b&c"), &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(line(Form::Html), "<a href=\"/a%20b%26c\">/a b&amp;c</a><br>\n");
        assert_eq!(
            line(Form::Json),
            "{\"path\":\"/a%20b%26c\",\"size\":25,\"version\":1763810645123456789}\n"
        );
        assert_eq!(line(Form::Text), "/a%20b%26c\n");
        assert_eq!(line(Form::List), "1763810645123456789 25 /a%20b%26c\n");
    }

    #[test]
    fn only_html_has_a_head() {
        let head = |form: Form| {
            let mut text = Vec::new();
            form.begin(b"/a<b/", &mut text);
            String::from_utf8(text).unwrap()
        };
        let expected =
            "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>index of /a&lt;b/</title>\n";
        assert_eq!(head(Form::Html), expected);
        for form in [Form::Json, Form::Text, Form::List] {
            assert_eq!(head(form), "");
        }
    }

    #[test]
    fn a_link_stays_on_this_host() {
        let mut text = Vec::new();
        Form::Html.file(&file(b"//elsewhere/a"), &mut text);
        assert!(text.starts_with(b"<a href=\"/%2Felsewhere/a\">"));
    }

    #[test]
    fn a_list_is_read_back_in_any_pieces() {
        let mut every_byte = vec![b'/'];
        every_byte.extend(1..=255);
        let files = [file(b"/\n 1 2"), file(b"/%2F"), file(b"/a"), file(&every_byte)];
        let mut files = files.to_vec();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let text = list(&files);
        for cut in 0..=text.len() {
            let mut reader = Reader::default();
            let mut read = reader.read(&text[..cut]).unwrap();
            read.extend(reader.read(&text[cut..]).unwrap());
            reader.end().unwrap();
            assert_eq!(read, files);
        }
        assert_eq!(read(&list(&[])), Ok(Vec::new()));
    }

    #[test]
    fn the_longest_path_fits_into_a_line() {
        let path = [&b"/"[..], &[b'"'; 4095]].concat();
        let files = [File { path, size: u64::MAX, version: u64::MAX }];
        assert_eq!(read(&list(&files)).unwrap(), files);
    }

    #[test]
    fn a_broken_list_is_refused() {
        let text = list(&[file(b"/a"), file(b"/b")]);
        for cut in 0..text.len() {
            assert!(read(&text[..cut]).is_err(), "{cut}");
        }
        for (text, why) in [
            (&b"1 2 /b\n1 2 /a\nend 2\n"[..], "order"),
            (b"1 2 /a\n1 2 /a\nend 2\n", "order"),
            (b"1 2 /a\nend 2\n", "missing"),
            (b"end 0\nend 0\n", "follows"),
            (b"+1 2 /a\nend 1\n", "malformed"),
            (b"1 2\nend 1\n", "malformed"),
            (b"1 2 a\nend 1\n", "malformed"),
            (b"1 2 \nend 1\n", "malformed"),
            (b"1  /a\nend 1\n", "malformed"),
            (b"\nend 0\n", "malformed"),
            (b"18446744073709551616 2 /a\nend 1\n", "malformed"),
            (b"1 2 /%zz\nend 1\n", "malformed"),
            (b"1 2 /\xff\nend 1\n", "malformed"),
            (&[b'1'; LINE_MAX + 1], "too long"),
        ] {
            assert!(read(text).unwrap_err().0.contains(why), "{why}");
        }
    }
}
