//! What to do with the configuration, for the person who asked for it.

use std::fmt::Write;

use crate::node::Node;
use crate::render::shell;

/// A few lines for stderr.
pub(crate) fn hints(node: &Node) -> String {
    let user = &node.user;
    let kind = match node.child_nodes.len() {
        0 => "a leaf".to_owned(),
        1 => "a node with one child".to_owned(),
        count => format!("a node with {count} children"),
    };
    let scheme = if node.tls.is_some() { "https" } else { "http" };
    let here = format!("{scheme}://{}", node.server.local());
    let file = shell(&format!("{here}{}some/path/file.mp3", encode(node.path_prefix.as_str())));
    let allow: Vec<_> = node.allow.iter().map(|access| access.as_str()).collect();

    let mut text = format!("{} is {kind}. FILE being what was written, begin with:\n", node.server);
    let lines = [
        format!(
            "install -d -o {} -g {} {}",
            user.name,
            user.group.as_ref().unwrap_or(&user.name),
            shell(node.directory.as_str())
        ),
        "nginx -t -c /path/to/FILE && nginx -c /path/to/FILE".to_owned(),
        format!("curl -T some.mp3 {file}"),
        format!("curl -X DELETE {file}"),
        format!("curl {}", shell(&format!("{here}/__readme.txt"))),
    ];
    for line in lines {
        // Writing to a String does not fail.
        let _ = writeln!(text, "    {line}");
    }
    let _ = writeln!(text, "PUT and DELETE are allowed from: {} (--allow).", allow.join(", "));
    text
}

/// A path as it stands in a URL.
fn encode(path: &str) -> String {
    let mut url = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~+:=@,".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}
