//! Names in URLs, HTML and JSON. A name is any bytes; each form gives them back unharmed.

use std::fmt::Write;

/// A path for a URL or a receipt: RFC 3986 section 3.3 without what HTML or a shell would take
/// for its own; all else as `%XX`.
pub(crate) fn percent(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for &byte in path {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => text.push(byte.into()),
            b'/' | b'-' | b'.' | b'_' | b'~' | b'+' | b',' | b':' | b'=' | b'@' => {
                text.push(byte.into());
            }
            // Writing to a string cannot fail.
            _ => _ = write!(text, "%{byte:02X}"),
        }
    }
    text
}

/// What [`percent`] was given. Other bytes may be escaped too; `None` for a `%` without two
/// hexadecimal digits.
pub(crate) fn unpercent(text: &[u8]) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            path.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        rest = after;
        let mut value = 0;
        for &digit in digits {
            value = value * 16 + char::from(digit).to_digit(16)?;
        }
        path.push(u8::try_from(value).ok()?);
    }
    Some(path)
}

/// A name as HTML text on one line. Control bytes become character references; bytes above 0x7f
/// stay as they are, whatever encoding they are in.
pub(crate) fn html(name: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'<' => text.extend(b"&lt;"),
            b'>' => text.extend(b"&gt;"),
            b'&' => text.extend(b"&amp;"),
            b'"' => text.extend(b"&quot;"),
            0..=0x1f | 0x7f => text.extend(format!("&#{byte};").bytes()),
            _ => text.push(byte),
        }
    }
    text
}

/// What [`html`] was given; `None` for what it does not give.
pub(crate) fn unhtml(text: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'&' {
            name.push(byte);
            continue;
        }
        let end = rest.iter().position(|&byte| byte == b';')?;
        let (reference, after) = rest.split_at_checked(end)?;
        rest = after.get(1..)?;
        name.push(match reference {
            b"lt" => b'<',
            b"gt" => b'>',
            b"amp" => b'&',
            b"quot" => b'"',
            _ => {
                let number = reference.strip_prefix(b"#")?;
                std::str::from_utf8(number).ok()?.parse().ok()?
            }
        });
    }
    // One name, one text: neither markup nor another way to write a byte.
    (html(&name) == text).then_some(name)
}

/// The inside of a JSON string (RFC 8259 section 7). Bytes that are no UTF-8 become U+FFFD.
pub(crate) fn json(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0'..='\x1f' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_keeps_every_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let text = percent(&all);
        let mut back = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                    let hex = std::str::from_utf8(&hex).unwrap();
                    back.push(u8::from_str_radix(hex, 16).unwrap());
                }
                _ => back.push(byte),
            }
        }
        assert_eq!(back, all);
        assert!(!text.contains(['"', '<', '>', '&', '\'', ' ', '\n', '?', '#', ';']));
    }

    #[test]
    fn unpercent_gives_back_what_percent_was_given() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unpercent(percent(&all).as_bytes()), Some(all));
        assert_eq!(unpercent(b"/%2Fa%2f").as_deref(), Some(&b"//a/"[..]));
        for text in ["%", "/a%4", "%0g", "%+1", "%%41"] {
            assert_eq!(unpercent(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn html_is_one_line_without_markup() {
        assert_eq!(html(b"a<b>&\"\n\r\xff"), b"a&lt;b&gt;&amp;&quot;&#10;&#13;\xff");
    }

    #[test]
    fn unhtml_gives_back_what_html_was_given() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unhtml(&html(&all)), Some(all));
        assert_eq!(unhtml(b""), Some(Vec::new()));
        for text in
            ["a<b", ">", "\"", "\n", "&", "&lt", "&;", "&#;", "&#65;", "&#010;", "&#+9;", "&#300;"]
        {
            assert_eq!(unhtml(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn json_escapes_quotes_and_controls() {
        assert_eq!(json(b"a\"\\\n\xff"), "a\\\"\\\\\\u000a\u{fffd}");
    }
}
