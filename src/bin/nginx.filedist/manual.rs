//! The manual page and the completions of shells, made from the options as `--help` is.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::options::{Options, EXAMPLES};

const FILES: &str = "\
.SH FILES
.TP
/etc/nginx\\-filedist/NAME.conf
The configuration of nginx\\-filedist@NAME.service, which is written to there by hand: see README.md in
/usr/share/doc/nginx\\-filedist.
.SH \"SEE ALSO\"
.BR nginx (8)
";

/// nginx.filedist(1).
pub(crate) fn page() -> Result<String, String> {
    let man = Man::new(Options::command().after_long_help(None::<&str>))
        .title("NGINX.FILEDIST")
        .manual("nginx.filedist");
    let mut out = Vec::new();
    render(&man, &mut out).map_err(|error| error.to_string())?;
    let mut page = String::from_utf8(out).map_err(|error| error.to_string())?;
    page.push_str(&examples());
    page.push_str(FILES);
    Ok(page)
}

fn render(man: &Man, out: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)
}

/// The examples of `--help`, whose lines stay as they are.
fn examples() -> String {
    let mut text = ".SH EXAMPLES\n.nf\n".to_owned();
    for line in EXAMPLES.lines().skip(2) {
        // No line begins with what roff would take for a request: each has an indent, or a letter.
        text.push_str(&line.replace('\\', "\\e").replace('-', "\\-"));
        text.push('\n');
    }
    text.push_str(".fi\n");
    text
}

/// A script for `shell`.
pub(crate) fn completions(shell: Shell) -> Result<String, String> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Options::command(), "nginx.filedist", &mut out);
    String::from_utf8(out).map_err(|error| error.to_string())
}
