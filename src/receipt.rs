//! The answer to a PUT or DELETE: what became of the change at each node, as text (one line a
//! node) or as JSON (a tree).
//!
//! Between nodes a receipt is bounded, because nginx holds a child's answer in one buffer:
//! failures first, then successes, then counts of what was left out.

use std::fmt::Write;

use crate::escape;

/// The most bytes of a receipt for a parent: well below `subrequest_output_buffer_size`, one
/// memory page.
pub(crate) const BETWEEN_NODES: usize = 3072;

/// The most bytes of a child's own words.
const WORDS: usize = 200;

/// What became of a change at one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The file is there, with so many bytes.
    Stored(u64),
    /// A newer version was there.
    Superseded,
    /// The same version was there.
    Unchanged,
    /// The file or the empty directory is gone.
    Deleted,
    /// There was nothing to delete.
    Absent,
    /// The change is not there: a verb ("store", "delete") and why.
    Failed(&'static str, String),
    /// The child gets it later.
    Queued,
    /// The child gets it later: why it was not asked now.
    Unreachable(String),
}

impl Outcome {
    /// In a word, as in JSON and `$filedist_outcome`.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Outcome::Stored(_) => "stored",
            Outcome::Superseded => "superseded",
            Outcome::Unchanged => "unchanged",
            Outcome::Deleted => "deleted",
            Outcome::Absent => "absent",
            Outcome::Failed(..) => "failed",
            Outcome::Queued | Outcome::Unreachable(_) => "queued",
        }
    }
}

/// One node's line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// How the node is called.
    pub(crate) node: &'a [u8],
    /// The request's path.
    pub(crate) path: &'a [u8],
    pub(crate) outcome: Outcome,
}

/// What is known of a child.
#[derive(Debug)]
pub(crate) enum Child<'a> {
    /// Its own receipt, in the form that was asked for; it names the child's children too.
    Receipt(String),
    /// It gave none.
    Line(Line<'a>),
}

/// The whole answer of a node.
#[derive(Debug)]
pub(crate) struct Receipt<'a> {
    pub(crate) own: Line<'a>,
    /// The change's version, nanoseconds since the epoch; none where it was refused before it
    /// got one.
    pub(crate) version: Option<u64>,
    pub(crate) children: Vec<Child<'a>>,
}

/// The two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

impl Form {
    /// The form that a request's Accept header asks for.
    pub(crate) fn accepted(accept: Option<&[u8]>) -> Form {
        let json = b"application/json";
        match accept {
            Some(accept)
                if accept.windows(json.len()).any(|part| part.eq_ignore_ascii_case(json)) =>
            {
                Form::Json
            }
            _ => Form::Text,
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Form::Text => "text/plain",
            Form::Json => "application/json",
        }
    }

    /// A child's answer, if it is a receipt in this form; a child that is no filedist node
    /// answers in its own words.
    pub(crate) fn receipt(self, answer: Vec<u8>) -> Option<String> {
        let answer = String::from_utf8(answer).ok()?;
        let valid = match self {
            Form::Text => is_text_receipt(&answer),
            Form::Json => is_json_object(&answer),
        };
        valid.then_some(answer)
    }

    /// What a child that has refused a change says of it in brackets, behind the status.
    pub(crate) fn words(self, receipt: &str) -> Option<String> {
        let own = receipt.lines().next()?;
        let reason = match self {
            Form::Text => own.split_once(" failed to ")?.1.split_once(": ")?.1.to_owned(),
            Form::Json => {
                let receipt: serde_json::Value = serde_json::from_str(receipt).ok()?;
                receipt.get("reason")?.as_str()?.to_owned()
            }
        };
        let words = reason.split_once(" (")?.1.strip_suffix(')')?;
        let plain = |c: char| match c {
            '(' => '[',
            ')' => ']',
            ' '..='~' => c,
            _ => '?',
        };
        Some(words.chars().map(plain).take(WORDS).collect())
    }

    /// A child's receipt says that it had the change, or a newer one, before.
    pub(crate) fn is_moot(self, receipt: &str) -> bool {
        let own = receipt.lines().next().unwrap_or_default();
        match self {
            Form::Text => own.ends_with(SUPERSEDED) || own.ends_with(UNCHANGED),
            Form::Json => {
                // Its own outcome comes first, and all that is quoted has its quotes escaped.
                let outcome = own.split("\"outcome\":\"").nth(1).unwrap_or_default();
                outcome.starts_with("superseded\"") || outcome.starts_with("unchanged\"")
            }
        }
    }
}

const SUPERSEDED: &str = " superseded: a newer version is there";
const UNCHANGED: &str = " unchanged: this version is there";

impl Receipt<'_> {
    /// The receipt in `form`, of at most `limit` bytes if there is one.
    pub(crate) fn render(&self, form: Form, limit: Option<usize>) -> Vec<u8> {
        match form {
            Form::Text => self.text(limit),
            Form::Json => self.json(limit),
        }
        .into_bytes()
    }

    fn text(&self, limit: Option<usize>) -> String {
        let own = self.own.text();
        let children: Vec<String> = self.children.iter().map(Child::text).collect();
        let whole = own.len() + children.iter().map(String::len).sum::<usize>();
        if limit.is_none_or(|limit| whole <= limit) {
            return children.iter().fold(own, |text, child| text + child);
        }

        let mut budget = Budget::new(limit, own.len());
        let mut text = own;
        let lines = || children.iter().flat_map(|child| child.lines());
        for failed in [true, false] {
            for line in lines().filter(|line| line.starts_with("error: ") == failed) {
                match left_out(line) {
                    None if budget.takes(line.len() + 1, failed, 1) => {
                        text.push_str(line);
                        text.push('\n');
                    }
                    None => {}
                    Some(nodes) => budget.leave(failed, nodes),
                }
            }
        }
        for (word, nodes) in [("error", budget.failures), ("success", budget.successes)] {
            if nodes > 0 {
                _ = writeln!(text, "{word}: {nodes} more nodes");
            }
        }
        text
    }

    fn json(&self, limit: Option<usize>) -> String {
        let mut text = self.own.json_fields();
        if let Some(version) = self.version {
            _ = write!(text, ",\"version\":{version}");
        }
        text.push_str(",\"children\":[");
        let children: Vec<String> = self.children.iter().map(Child::json).collect();
        let mut budget = Budget::new(limit, text.len() + 2);
        let mut first = true;
        for failed in [true, false] {
            let is_failure = |child: &&String| {
                child.contains("\"outcome\":\"failed\"")
                    || child.contains("\"outcome\":\"queued\",\"reason\"")
            };
            for child in children.iter().filter(|child| is_failure(child) == failed) {
                if budget.takes(child.len() + 1, failed, 1) {
                    if !first {
                        text.push(',');
                    }
                    first = false;
                    text.push_str(child);
                }
            }
        }
        text.push(']');
        if budget.failures + budget.successes > 0 {
            let (failures, successes) = (budget.failures, budget.successes);
            _ = write!(text, ",\"omitted\":{{\"failed\":{failures},\"succeeded\":{successes}}}");
        }
        text.push_str("}\n");
        text
    }
}

/// Room for the children's part of a bounded receipt, and counts of what found none.
struct Budget {
    room: usize,
    failures: u64,
    successes: u64,
}

impl Budget {
    /// The longest two lines of counts, or the longest `omitted`.
    const COUNTS: usize = 100;

    fn new(limit: Option<usize>, own: usize) -> Budget {
        let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(own + Budget::COUNTS));
        Budget { room, failures: 0, successes: 0 }
    }

    fn takes(&mut self, bytes: usize, failed: bool, nodes: u64) -> bool {
        match self.room.checked_sub(bytes) {
            Some(room) => {
                self.room = room;
                true
            }
            None => {
                self.leave(failed, nodes);
                false
            }
        }
    }

    fn leave(&mut self, failed: bool, nodes: u64) {
        match failed {
            true => self.failures = self.failures.saturating_add(nodes),
            false => self.successes = self.successes.saturating_add(nodes),
        }
    }
}

/// The number in a line of counts.
fn left_out(line: &str) -> Option<u64> {
    let number = line.split_once(": ")?.1.strip_suffix(" more nodes")?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten()
}

impl Child<'_> {
    fn text(&self) -> String {
        match self {
            Child::Receipt(text) => text.clone(),
            Child::Line(line) => line.text(),
        }
    }

    fn json(&self) -> String {
        match self {
            Child::Receipt(text) => text.trim_ascii().to_owned(),
            Child::Line(line) => line.json_fields() + ",\"children\":[]}",
        }
    }
}

impl Line<'_> {
    fn text(&self) -> String {
        let node = escape::percent(self.node);
        let path = escape::percent(self.path);
        match &self.outcome {
            Outcome::Stored(bytes) => format!("success: {node}{path} stored: {bytes} bytes\n"),
            Outcome::Superseded => format!("success: {node}{path}{SUPERSEDED}\n"),
            Outcome::Unchanged => format!("success: {node}{path}{UNCHANGED}\n"),
            Outcome::Queued => format!("success: {node}{path} queued\n"),
            Outcome::Deleted => format!("success: {node}{path} deleted\n"),
            Outcome::Absent => format!("success: {node}{path} was not there\n"),
            Outcome::Failed(verb, reason) => {
                format!("error: {node}{path} failed to {verb}: {reason}\n")
            }
            Outcome::Unreachable(reason) => format!("error: {node}{path} queued: {reason}\n"),
        }
    }

    /// The object's start; version, children and the closing brace follow.
    fn json_fields(&self) -> String {
        let mut text = format!(
            "{{\"node\":\"{}\",\"path\":\"{}\",\"outcome\":\"{}\"",
            escape::json(self.node),
            escape::json(escape::percent(self.path).as_bytes()),
            self.outcome.word()
        );
        match &self.outcome {
            Outcome::Stored(bytes) => _ = write!(text, ",\"bytes\":{bytes}"),
            Outcome::Failed(_, reason) | Outcome::Unreachable(reason) => {
                _ = write!(text, ",\"reason\":\"{}\"", escape::json(reason.as_bytes()));
            }
            _ => {}
        }
        text
    }
}

fn is_text_receipt(text: &str) -> bool {
    text.ends_with('\n')
        // A terminal would obey control characters.
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n'))
        && text.lines().all(|line| line.starts_with("success: ") || line.starts_with("error: "))
}

/// A receipt's JSON object and nothing behind it (RFC 8259). It is put into this node's own
/// receipt as it is, so it must be JSON, and no deeper than a reader likes.
fn is_json_object(text: &str) -> bool {
    let text = text.trim_ascii();
    let mut json = Json(text.as_bytes());
    text.starts_with("{\"node\":") && json.value(0) && json.0.is_empty()
}

/// What is left of a text that is checked.
struct Json<'a>(&'a [u8]);

impl Json<'_> {
    const DEPTH: usize = 64;

    fn value(&mut self, depth: usize) -> bool {
        self.space();
        let ok = depth < Json::DEPTH
            && match self.0.first() {
                Some(b'{') => self.list(b'}', |json| {
                    json.space();
                    json.string() && json.token(b":") && json.value(depth + 1)
                }),
                Some(b'[') => self.list(b']', |json| json.value(depth + 1)),
                Some(b'"') => self.string(),
                Some(b'-' | b'0'..=b'9') => self.number(),
                _ => self.token(b"true") || self.token(b"false") || self.token(b"null"),
            };
        self.space();
        ok
    }

    /// From an opening bracket to `end`.
    fn list(&mut self, end: u8, mut element: impl FnMut(&mut Self) -> bool) -> bool {
        self.0 = &self.0[1..];
        if self.token(&[end]) {
            return true;
        }
        while element(self) {
            if self.token(&[end]) {
                return true;
            }
            if !self.token(b",") {
                break;
            }
        }
        false
    }

    fn string(&mut self) -> bool {
        let Some((b'"', mut rest)) = self.0.split_first() else { return false };
        while let Some((&byte, after)) = rest.split_first() {
            rest = match byte {
                b'"' => {
                    self.0 = after;
                    return true;
                }
                b'\\' => match after {
                    [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', after @ ..] => after,
                    [b'u', a, b, c, d, after @ ..]
                        if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                    {
                        after
                    }
                    _ => return false,
                },
                0..=0x1f => return false,
                _ => after,
            };
        }
        false
    }

    /// A whole number: a receipt has no others.
    fn number(&mut self) -> bool {
        let digits = self.0.strip_prefix(b"-").unwrap_or(self.0);
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = &digits[count..];
        count == 1 || count > 1 && digits[0] != b'0'
    }

    fn token(&mut self, token: &[u8]) -> bool {
        self.space();
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn space(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(node: &str, outcome: Outcome) -> Line<'_> {
        Line { node: node.as_bytes(), path: b"/a/b.mp3", outcome }
    }

    fn failed(node: &str) -> Child<'_> {
        Child::Line(line(node, Outcome::Failed("store", "502".into())))
    }

    fn receipt(children: Vec<Child<'_>>) -> Receipt<'_> {
        Receipt { own: line("root:8080", Outcome::Stored(25)), version: Some(17), children }
    }

    #[test]
    fn text_has_a_line_a_node() {
        let stored = b"success: 10.0.0.2:8080/a/b.mp3 stored: 25 bytes\n".to_vec();
        let stored = Form::Text.receipt(stored).unwrap();
        let receipt = receipt(vec![Child::Receipt(stored), failed("10.0.0.3:8080")]);
        assert_eq!(
            receipt.text(None),
            "success: root:8080/a/b.mp3 stored: 25 bytes\n\
             success: 10.0.0.2:8080/a/b.mp3 stored: 25 bytes\n\
             error: 10.0.0.3:8080/a/b.mp3 failed to store: 502\n"
        );
    }

    #[test]
    fn json_is_a_tree() {
        let grandchild = receipt(vec![]).json(None);
        let grandchild = Form::Json.receipt(grandchild.into()).unwrap();
        let receipt = receipt(vec![Child::Receipt(grandchild), failed("c:1")]);
        assert_eq!(
            receipt.json(None),
            "{\"node\":\"root:8080\",\"path\":\"/a/b.mp3\",\"outcome\":\"stored\",\"bytes\":25,\
             \"version\":17,\"children\":[\
             {\"node\":\"c:1\",\"path\":\"/a/b.mp3\",\"outcome\":\"failed\",\"reason\":\"502\",\
             \"children\":[]},\
             {\"node\":\"root:8080\",\"path\":\"/a/b.mp3\",\"outcome\":\"stored\",\"bytes\":25,\
             \"version\":17,\"children\":[]}]}\n"
        );
    }

    #[test]
    fn a_bounded_receipt_names_failures_first_and_counts_the_rest() {
        let names: Vec<String> = (0..300).map(|n| format!("c{n}")).collect();
        let stored = |name| Child::Line(line(name, Outcome::Stored(25)));
        let mut children: Vec<Child<'_>> = names.iter().map(|name| stored(name)).collect();
        children.push(failed("dead"));
        children.push(Child::Receipt("success: 40 more nodes\n".into()));
        let text = receipt(children).text(Some(BETWEEN_NODES));
        assert!(text.len() <= BETWEEN_NODES, "{}", text.len());
        assert_eq!(text.lines().nth(1), Some("error: dead/a/b.mp3 failed to store: 502"));
        let named = text.lines().filter(|line| line.contains("stored: 25 bytes")).count() - 1;
        let counted = left_out(text.lines().last().unwrap()).unwrap();
        assert_eq!(named as u64 + counted, 340);
    }

    #[test]
    fn a_bounded_json_receipt_is_still_json() {
        let names: Vec<String> = (0..300).map(|n| format!("c{n}")).collect();
        let children = names.iter().map(|name| failed(name)).collect();
        let text = receipt(children).json(Some(BETWEEN_NODES));
        assert!(text.len() <= BETWEEN_NODES, "{}", text.len());
        assert!(is_json_object(&text));
        assert!(text.contains("\"omitted\":{\"failed\":"));
    }

    #[test]
    fn a_child_that_is_not_asked_is_an_error_and_queued() {
        let why = "not reachable since 2026-11-22T11:24:05Z";
        let child = || Child::Line(line("c", Outcome::Unreachable(why.into())));
        let text = receipt(vec![child()]).text(None);
        assert!(text.ends_with(&format!("error: c/a/b.mp3 queued: {why}\n")), "{text}");
        let json = receipt(vec![child()]).json(None);
        assert!(json.contains(&format!("\"outcome\":\"queued\",\"reason\":\"{why}\"")), "{json}");
    }

    #[test]
    fn the_words_of_a_child_are_found() {
        let words = "507 (no space (left) on this node)";
        let own = || line("c", Outcome::Failed("store", words.into()));
        for form in [Form::Text, Form::Json] {
            let refusal = Receipt { own: own(), version: None, children: vec![] };
            let text = String::from_utf8(refusal.render(form, None)).unwrap();
            assert_eq!(form.words(&text).as_deref(), Some("no space [left] on this node"));
            let stored = String::from_utf8(receipt(vec![]).render(form, None)).unwrap();
            assert_eq!(form.words(&stored), None);
        }
        for text in ["", "error: c failed to store: 507\n", "error: c failed to store: 5 (a\n"] {
            assert_eq!(Form::Text.words(text), None);
        }
    }

    #[test]
    fn garbage_is_no_receipt() {
        for answer in [
            &b"<html>"[..],
            b"",
            b"success: a",
            b"success: a\nnoise\n",
            b"success: \x1b[2J\n",
            b"success: \xff\n",
        ] {
            assert_eq!(Form::Text.receipt(answer.to_vec()), None, "{answer:?}");
        }
        for answer in [
            &b"{}"[..],
            b"{\"node\":\"a\"",
            b"{\"node\":\"a}",
            b"{\"node\":[}]}",
            b"{\"node\":\"a\"}{",
            b"{\"node\":\"a\n\"}",
            b"{\"node\":\"a\\\"}",
            b"{\"node\":}",
            b"{\"node\":\"a\",}",
            b"{\"node\":01}",
            b"{\"node\":\"\\x\"}",
            &[b"{\"node\":".to_vec(), b"[".repeat(100), b"]".repeat(100), b"}".to_vec()].concat(),
        ] {
            assert_eq!(Form::Json.receipt(answer.to_vec()), None, "{answer:?}");
        }
    }

    #[test]
    fn json_that_is_none_of_ours_may_be_a_receipt() {
        let text =
            "{\"node\": \"a\\u00e9\", \"x\": [1, -2, true, null, {}, [ ]], \"y\": {\"z\": 0}}";
        assert!(Form::Json.receipt(text.into()).is_some());
    }

    #[test]
    fn counts_do_not_wrap() {
        let most = Child::Receipt(format!("error: {} more nodes\n", u64::MAX));
        let one = Child::Receipt("error: 1 more nodes\n".repeat(200));
        let text = receipt(vec![most, one]).text(Some(BETWEEN_NODES));
        assert!(text.contains(&format!("error: {} more nodes\n", u64::MAX)), "{text}");
    }

    #[test]
    fn a_newline_in_a_name_makes_no_second_line() {
        let mut own = line("n", Outcome::Deleted);
        own.path = b"/a\nerror: b";
        let receipt = Receipt { own, version: None, children: vec![] };
        assert_eq!(receipt.text(None), "success: n/a%0Aerror:%20b deleted\n");
    }

    #[test]
    fn accept_chooses_the_form() {
        assert_eq!(Form::accepted(None), Form::Text);
        assert_eq!(Form::accepted(Some(b"*/*")), Form::Text);
        assert_eq!(Form::accepted(Some(b"text/html, Application/JSON;q=0.9")), Form::Json);
    }
}
