//! The template, with the values of a node.
//!
//! What a `{{ }}` gives is one word of nginx.conf: the formatter puts it in quotes where nginx
//! would read something else, as a template for HTML escapes what is put into it.

use std::env;
use std::error::Error as _;
use std::fmt::Write;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{context, Environment, Error, UndefinedBehavior};

use crate::node::Node;

/// The template that is used where none is named.
pub(crate) const BUILT_IN: &str = include_str!("../../../nginx-conf/nginx.conf.tmpl");

/// The configuration of `node`; `name` is what errors call the template.
pub(crate) fn render(name: &str, template: &str, node: &Node) -> Result<String, String> {
    if template.contains("<%") {
        return Err(format!(
            "{name} is an ERB template, of the generator that was written in Ruby: leave it out, or \
             begin with what --print-template prints"
        ));
    }
    environment()
        .and_then(|environment| environment.render_named_str(name, template, values(node)))
        .map_err(|error| explain(name, template, &error))
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    // A misspelt name is an error, not an empty word.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, _, value| {
        let text = value.to_string();
        let text = if value.is_safe() { text } else { word(&text) };
        Ok(out.write_str(&text)?)
    });
    environment.add_filter("shell", |text: &str| Value::from_safe_string(shell(text)));
    Ok(environment)
}

/// What a template may use: the options by their names, and what follows from them. The head of
/// the built-in template lists them.
fn values(node: &Node) -> Value {
    let tls = node.tls.as_ref().map(|tls| {
        context! {
            certificate => tls.pair.certificate.as_str(),
            key => tls.pair.key.as_str(),
            ca => tls.ca.as_ref().map(|ca| ca.as_str()),
            name => tls.name.as_ref().map(|name| name.as_str()),
            verify_client => tls.verify_client,
        }
    });
    let children: Vec<_> = node.child_nodes.iter().map(|child| child.to_string()).collect();
    let allow: Vec<_> = node.allow.iter().map(|access| access.as_str().to_owned()).collect();
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let command = arguments.iter().map(|argument| shell(&argument.to_string_lossy()));
    context! {
        server => node.server.to_string(),
        child_nodes => children,
        name => node.name.as_deref(),
        root => node.root.as_str(),
        path_prefix => node.path_prefix.as_str(),
        directory => node.directory.as_str(),
        state => node.state.as_str(),
        allow => allow,
        max_body_size => node.max_body_size.as_str(),
        body_timeout => node.body_timeout.as_ref().map(|time| time.as_str()),
        tls => tls,
        user => node.user.name.as_str(),
        group => node.user.group.as_deref(),
        pid => node.pid.as_str(),
        log_dir => node.log_dir.as_str(),
        module => node.module.as_str(),
        mime_types => node.mime_types.as_str(),
        command => Value::from_safe_string(command.collect::<Vec<_>>().join(" ")),
        version => env!("CARGO_PKG_VERSION"),
    }
}

/// One word, as nginx.conf has it. Values have no `$` and no control characters: nginx has no way
/// to write the former.
fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:,+=@%~[]".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

/// One word of a command line.
pub(crate) fn shell(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:,+=@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What is wrong with a template, and where.
fn explain(name: &str, template: &str, error: &Error) -> String {
    let line = error.line().unwrap_or(0);
    let mut message = match line {
        0 => format!("{name}: {}", error.kind()),
        _ => format!("{name}, line {line}: {}", error.kind()),
    };
    let source = error.source().map(|source| source.to_string());
    for detail in error.detail().map(str::to_owned).into_iter().chain(source) {
        // Writing to a String does not fail.
        let _ = write!(message, ": {detail}");
    }
    if let Some(text) = line.checked_sub(1).and_then(|line| template.lines().nth(line)) {
        let _ = write!(message, "\n    {}", text.trim());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_nginx_would_not_read_as_one_word() {
        for plain in ["/srv/files", "[::1]:8080", "a-b_c.d:1,e=f@g%~+"] {
            assert_eq!(word(plain), plain);
        }
        assert_eq!(word(""), "\"\"");
        assert_eq!(word("a b"), "\"a b\"");
        assert_eq!(word("a;{}#'"), "\"a;{}#'\"");
        assert_eq!(word("\"\\"), "\"\\\"\\\\\"");
        assert_eq!(word("ü"), "\"ü\"");
    }

    #[test]
    fn quotes_what_a_shell_would_not_read_as_one_word() {
        assert_eq!(shell("/srv/files"), "/srv/files");
        assert_eq!(shell(""), "''");
        assert_eq!(shell("nginx.[SERVERNAME].pid"), "'nginx.[SERVERNAME].pid'");
        assert_eq!(shell("~/$(a)`b`\""), "'~/$(a)`b`\"'");
        assert_eq!(shell("it's"), r"'it'\''s'");
    }
}
