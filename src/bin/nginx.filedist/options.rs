//! The command line.

use std::fmt::Display;
use std::str::FromStr;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::Parser;
use clap_complete::Shell;

use crate::address::{Access, Endpoint};
use crate::path::{AbsolutePath, AnyPath, KeyPair, Prefix};
use crate::word::{Name, Size, Time, User};

const ABOUT: &str = "Writes the nginx.conf of one node of a filedist tree to stdout";

const LONG_ABOUT: &str = "\
Writes the nginx.conf of one node of a filedist tree to stdout.

A PUT or DELETE to a node is carried out there and on its children, and on theirs. A node is named
by where it listens (--server), and it names its children (--child-nodes). Run this once for each
node, then start nginx with what it has written. What to do next is said on stderr.";

pub(crate) const EXAMPLES: &str = "\
Examples:

  A root and two children on this machine:
    nginx.filedist -r /srv/a -s localhost:8080 -c localhost:8081,localhost:8082 > root.conf
    nginx.filedist -r /srv/b -s localhost:8081 > child1.conf
    nginx.filedist -r /srv/c -s localhost:8082 > child2.conf

  On two machines. A child lets its parent in, the root its clients:
    nginx.filedist -r /srv/files -s 10.0.0.1:8080 -c 10.0.0.2:8080 --allow 10.1.0.0/16 > root.conf
    nginx.filedist -r /srv/files -s 10.0.0.2:8080 --allow 10.0.0.1 > child.conf

  The same over https. Parent and child show each other a certificate of /etc/ssl/ca.crt:
    nginx.filedist -r /srv/files -s 10.0.0.1:8443 -c 10.0.0.2:8443 --allow 10.1.0.0/16 \\
        --tls /etc/ssl/node.crt,/etc/ssl/node.key --tls-ca /etc/ssl/ca.crt \\
        --tls-name children.example > root.conf
    nginx.filedist -r /srv/files -s 10.0.0.2:8443 --allow 10.0.0.1 \\
        --tls /etc/ssl/node.crt,/etc/ssl/node.key --tls-ca /etc/ssl/ca.crt \\
        --tls-verify-client > child.conf

  A template of your own:
    nginx.filedist --print-template > my.tmpl
    nginx.filedist -r /srv/files -s localhost:8080 my.tmpl > node.conf

The node runs in the background, as nginx does; in front with: nginx -c FILE -g 'daemon off;'";

#[derive(Parser)]
#[command(name = "nginx.filedist", bin_name = "nginx.filedist", version, about = ABOUT, long_about = LONG_ABOUT)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Options {
    /// Where the node listens: localhost:8080, 10.0.0.1:8080, [::1]:8080, 0.0.0.0:8080
    #[arg(short, long, value_name = "HOST:PORT", value_parser = text::<Endpoint>())]
    #[arg(required_unless_present_any = ["print_template", "print_man", "print_completions"])]
    pub(crate) server: Option<Endpoint>,

    /// Its children, with commas between them; none: a leaf
    #[arg(short, long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    #[arg(value_parser = text::<Endpoint>())]
    pub(crate) child_nodes: Vec<Endpoint>,

    /// The directory of the files: /a/b.mp3 is ROOT/a/b.mp3
    #[arg(short, long, value_name = "DIR", default_value = "/")]
    #[arg(value_parser = text::<AbsolutePath>())]
    pub(crate) root: AbsolutePath,

    /// Paths of files begin with this; what else is asked for is 404
    #[arg(short, long, value_name = "PATH", default_value = "/")]
    #[arg(value_parser = text::<Prefix>())]
    pub(crate) path_prefix: Prefix,

    /// What the node must not forget [default: ROOT.filedist]
    ///
    /// Journal, missing logs, deleted files. Outside of ROOT, on a disk that survives a restart.
    #[arg(long, value_name = "DIR", value_parser = text::<AbsolutePath>())]
    pub(crate) state: Option<AbsolutePath>,

    /// Who may PUT and DELETE [default: this machine]
    ///
    /// An address, a network, or "all"; more of them with commas, or with the option repeated. A
    /// child has to let its parent in.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = text::<Access>())]
    pub(crate) allow: Vec<Access>,

    /// The largest file: bytes, or 30m, 2g; 0: no limit
    #[arg(short, long, value_name = "SIZE", default_value = "0", value_parser = text::<Size>())]
    #[arg(allow_negative_numbers = true)]
    pub(crate) max_body_size: Size,

    /// How long an upload may stall [default: 30s with children, 60s without]
    ///
    /// It has to be longer on a child than on its parent: say 45s for a node in the middle.
    #[arg(long, value_name = "TIME", value_parser = text::<Time>(), allow_negative_numbers = true)]
    pub(crate) body_timeout: Option<Time>,

    /// How receipts call the node [default: HOST:PORT of --server]
    ///
    /// No other node of the tree may have the same.
    #[arg(long, value_parser = text::<Name>())]
    pub(crate) name: Option<Name>,

    /// Talk https, to clients and to children, with this certificate and key
    #[arg(help_heading = "TLS")]
    #[arg(long, value_name = "CERT,KEY", value_parser = text::<KeyPair>())]
    pub(crate) tls: Option<KeyPair>,

    /// The authority that signs the tree's certificates; needed with children
    #[arg(help_heading = "TLS")]
    #[arg(long, value_name = "FILE", value_parser = text::<AbsolutePath>(), requires = "tls")]
    pub(crate) tls_ca: Option<AbsolutePath>,

    /// The name in the certificates of all children; needed with children
    #[arg(help_heading = "TLS")]
    #[arg(long, value_name = "NAME", value_parser = text::<Name>(), requires = "tls")]
    pub(crate) tls_name: Option<Name>,

    /// Talk only with who shows a certificate of --tls-ca, also for GET
    #[arg(help_heading = "TLS")]
    #[arg(long, requires = "tls_ca")]
    pub(crate) tls_verify_client: bool,

    /// Whom the workers run as: ROOT belongs to them
    #[arg(help_heading = "nginx")]
    #[arg(short, long, value_name = "USER[:GROUP]", default_value = "www-data")]
    #[arg(value_parser = text::<User>())]
    pub(crate) user: User,

    /// nginx's pid file
    #[arg(help_heading = "nginx")]
    #[arg(short = 'i', long, value_name = "FILE", default_value = "/run/nginx.[SERVERNAME].pid")]
    #[arg(value_parser = text::<AbsolutePath>())]
    pub(crate) pid: AbsolutePath,

    /// The directory of access and error log
    #[arg(help_heading = "nginx")]
    #[arg(short, long, value_name = "DIR", default_value = "/var/log/nginx")]
    #[arg(value_parser = text::<AbsolutePath>())]
    pub(crate) log_dir: AbsolutePath,

    /// The module
    ///
    /// Relative to nginx's prefix if it does not begin with a slash.
    #[arg(help_heading = "nginx")]
    #[arg(long, value_name = "FILE", default_value = "modules/ngx_http_filedist_module.so")]
    #[arg(value_parser = text::<AnyPath>())]
    pub(crate) module: AnyPath,

    /// nginx's list of file types
    #[arg(help_heading = "nginx")]
    #[arg(long, value_name = "FILE", default_value = "/etc/nginx/mime.types")]
    #[arg(value_parser = text::<AbsolutePath>())]
    pub(crate) mime_types: AbsolutePath,

    /// Print the built-in template, and nothing else
    #[arg(long, exclusive = true)]
    pub(crate) print_template: bool,

    /// Print the manual page, for the package
    #[arg(long, exclusive = true, hide = true)]
    pub(crate) print_man: bool,

    /// Print what has a shell complete the options, for the package
    #[arg(long, exclusive = true, hide = true, value_name = "SHELL")]
    pub(crate) print_completions: Option<Shell>,

    /// A template to use instead of the built-in one
    #[arg(value_parser = text::<AnyPath>())]
    pub(crate) template: Option<AnyPath>,
}

/// A value that is parsed from UTF-8: where it is something else, the error names the option too.
fn text<T>() -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    OsStringValueParser::new().try_map(|value| match value.to_str() {
        Some(text) => text.parse::<T>().map_err(|error| error.to_string()),
        None => Err("it is not UTF-8".to_owned()),
    })
}
