//! `nginx.filedist`: writes the nginx.conf of one node of a tree.
//!
//! - [`options`]: the command line, and what `--help` says.
//! - [`address`], [`path`], [`word`]: the values of options, each refused where nginx would misread it.
//! - [`node`]: the options as a whole, with what was not given.
//! - [`render`]: the node put into the template.
//! - [`hints`]: what to do next, for people.
//! - [`manual`]: the manual page, and completions for shells.
//!
//! The configuration goes to stdout when all is well, and nothing else does. The status is 2 for
//! options that are wrong, 1 for everything else.

mod address;
mod hints;
mod manual;
mod node;
mod options;
mod path;
mod render;
mod word;

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use node::Node;
use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nothing is left to say it to if stderr is closed.
            let _ = writeln!(io::stderr(), "nginx.filedist: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    if options.print_template {
        return print(render::BUILT_IN);
    }
    if options.print_man {
        return print(&manual::page()?);
    }
    if let Some(shell) = options.print_completions {
        return print(&manual::completions(shell)?);
    }
    let own = options.template.clone();
    let node = Node::new(options).unwrap_or_else(|wrong| refuse(&wrong));
    let text = match &own {
        Some(file) => {
            let text = fs::read_to_string(file.as_str()).unwrap_or_else(|error| {
                refuse(&format!("cannot read [TEMPLATE] '{}': {error}", file.as_str()))
            });
            render::render(file.as_str(), &text, &node)?
        }
        None => render::render("the built-in template", render::BUILT_IN, &node)?,
    };
    print(&text)?;
    // The configuration is there; who closed stderr does not want to read this.
    let _ = write!(io::stderr(), "{}", hints::hints(&node));
    Ok(())
}

/// Ends the program as clap does for a value that is wrong.
fn refuse(message: &str) -> ! {
    Options::command().error(ErrorKind::ValueValidation, message).exit()
}

fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write to stdout: {error}"))
}
