//! One node: the options as a whole.

use crate::address::{Access, Endpoint};
use crate::options::Options;
use crate::path::{AbsolutePath, AnyPath, KeyPair, Prefix};
use crate::word::{Name, Size, Time, User};

/// What a configuration is written from.
pub(crate) struct Node {
    pub(crate) server: Endpoint,
    pub(crate) child_nodes: Vec<Endpoint>,
    /// Not said where the node listens at every address: nodes of other machines would have the
    /// same.
    pub(crate) name: Option<String>,
    pub(crate) root: AbsolutePath,
    pub(crate) path_prefix: Prefix,
    /// What has to be there for the files, and is kept for them alone: the root, or, where that is
    /// the whole disk, the directory of the prefix.
    pub(crate) directory: AbsolutePath,
    pub(crate) state: AbsolutePath,
    pub(crate) allow: Vec<Access>,
    pub(crate) max_body_size: Size,
    pub(crate) body_timeout: Option<Time>,
    pub(crate) tls: Option<Tls>,
    pub(crate) user: User,
    pub(crate) pid: AbsolutePath,
    pub(crate) log_dir: AbsolutePath,
    pub(crate) module: AnyPath,
    pub(crate) mime_types: AbsolutePath,
}

/// How a node talks https.
pub(crate) struct Tls {
    pub(crate) pair: KeyPair,
    pub(crate) ca: Option<AbsolutePath>,
    pub(crate) name: Option<Name>,
    pub(crate) verify_client: bool,
}

impl Node {
    /// Fills in what was not given. Refuses options that do not go together, naming one.
    pub(crate) fn new(options: Options) -> Result<Node, String> {
        let server = options.server.ok_or("--server is needed")?;
        let Options { root, path_prefix, child_nodes, .. } = options;
        check_children(&server, &child_nodes)?;
        let name = match options.name {
            Some(name) => Some(name.as_str().to_owned()),
            None if server.is_wildcard() => None,
            None => Some(server.to_string()),
        };
        let directory = directory(&root, &path_prefix)?;
        let state = options.state.unwrap_or_else(|| directory.with(".filedist"));
        check_state(&state, &directory)?;
        let pid = options.pid.as_str().replace("[SERVERNAME]", &server.to_string());
        let tls = options.tls.map(|pair| Tls {
            pair,
            ca: options.tls_ca,
            name: options.tls_name,
            verify_client: options.tls_verify_client,
        });
        let node = Node {
            server,
            child_nodes,
            name,
            root,
            path_prefix,
            directory,
            state,
            allow: if options.allow.is_empty() { Access::local() } else { options.allow },
            max_body_size: options.max_body_size,
            body_timeout: options.body_timeout,
            tls,
            user: options.user,
            pid: pid.parse()?,
            log_dir: options.log_dir,
            module: options.module,
            mime_types: options.mime_types,
        };
        node.check_tls()?;
        node.check_served()?;
        Ok(node)
    }

    fn check_tls(&self) -> Result<(), String> {
        let Some(Tls { ca, name, .. }) = &self.tls else { return Ok(()) };
        if self.child_nodes.is_empty() {
            return Ok(());
        }
        if ca.is_none() {
            return Err("--tls-ca is needed with --tls and --child-nodes: without it anybody may \
                        pose as a child"
                .to_owned());
        }
        if name.is_none() {
            return Err("--tls-name is needed with --tls and --child-nodes: one name \
                        (subjectAltName) that the certificates of all children have"
                .to_owned());
        }
        Ok(())
    }

    /// What is below the prefix is read by everybody, and written by who may PUT.
    fn check_served(&self) -> Result<(), String> {
        let served = self.root.below(&self.path_prefix);
        let mut private = vec![("--log-dir", &self.log_dir), ("--pid", &self.pid)];
        if let Some(Tls { pair, ca, .. }) = &self.tls {
            private.extend([("--tls", &pair.certificate), ("--tls", &pair.key)]);
            private.extend(ca.iter().map(|ca| ("--tls-ca", ca)));
        }
        match private.iter().find(|(_, path)| path.is_in(&served)) {
            Some((option, path)) => Err(format!(
                "{option}: '{}' lies in '{}', which is served to everybody",
                path.as_str(),
                served.as_str()
            )),
            None => Ok(()),
        }
    }
}

fn check_children(server: &Endpoint, children: &[Endpoint]) -> Result<(), String> {
    for (index, child) in children.iter().enumerate() {
        if child == server {
            return Err(format!("--child-nodes: {child} is this node itself, see --server"));
        }
        if child.is_wildcard() {
            return Err(format!("--child-nodes: {child} is no address to be reached at"));
        }
        if children.iter().take(index).any(|earlier| earlier == child) {
            return Err(format!("--child-nodes: {child} is there twice"));
        }
    }
    Ok(())
}

fn directory(root: &AbsolutePath, prefix: &Prefix) -> Result<AbsolutePath, String> {
    let all = root.as_str() == "/";
    if all && prefix.as_str() == "/" {
        return Err(
            "--root is needed, or --path-prefix: the whole disk cannot be served".to_owned()
        );
    }
    Ok(if all { root.below(prefix) } else { root.clone() })
}

/// As `nginx -t` would say later.
fn check_state(state: &AbsolutePath, directory: &AbsolutePath) -> Result<(), String> {
    if state.is_in(directory) || directory.is_in(state) {
        return Err(format!(
            "--state: '{}' and the files' '{}' lie inside one another: name another directory",
            state.as_str(),
            directory.as_str()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn node(arguments: &str) -> Result<Node, String> {
        let arguments = format!("nginx.filedist {arguments}");
        Node::new(Options::try_parse_from(arguments.split(' ')).unwrap())
    }

    #[track_caller]
    fn refuses(arguments: &str, reason: &str) {
        let error = node(arguments).err().unwrap();
        assert!(error.contains(reason), "{arguments}: {error}");
    }

    #[test]
    fn what_is_not_given_has_a_default() {
        let node = node("-s localhost:8080 -r /srv/files").unwrap();
        assert_eq!(node.state.as_str(), "/srv/files.filedist");
        assert_eq!(node.pid.as_str(), "/run/nginx.localhost:8080.pid");
        assert_eq!(node.name.as_deref(), Some("localhost:8080"));
        assert_eq!(node.allow, Access::local());
        assert_eq!(node.max_body_size.as_str(), "0");
    }

    #[test]
    fn a_node_that_listens_everywhere_has_no_name_of_its_own() {
        assert_eq!(node("-s 0.0.0.0:8080 -r /srv").unwrap().name, None);
        let named = node("-s [::]:8080 -r /srv --name a").unwrap();
        assert_eq!(named.name.as_deref(), Some("a"));
    }

    #[test]
    fn with_the_whole_disk_as_root_state_is_beside_the_prefix() {
        let node = node("-s localhost:8080 -p /export/var").unwrap();
        assert_eq!(node.state.as_str(), "/export/var.filedist");
        refuses("-s localhost:8080", "--root is needed");
        refuses("-s localhost:8080 -p /export --state /export/x", "--state: ");
    }

    #[test]
    fn state_and_files_lie_apart() {
        refuses("-s localhost:8080 -r /srv/files --state /srv/files/state", "--state: ");
        refuses("-s localhost:8080 -r /srv/files --state /srv", "--state: ");
        assert!(node("-s localhost:8080 -r /srv/files --state /srv/state").is_ok());
    }

    #[test]
    fn a_child_is_another_node_and_there_once() {
        refuses("-s localhost:8080 -r /a -c localhost:8080", "is this node itself");
        refuses("-s localhost:8080 -r /a -c 0.0.0.0:8081", "no address to be reached at");
        refuses("-s localhost:8080 -r /a -c a:1,b:1 -c a:1", "a:1 is there twice");
    }

    #[test]
    fn https_to_children_needs_their_authority_and_name() {
        let leaf = "-s localhost:8080 -r /a --tls /b,/c";
        assert!(node(leaf).is_ok());
        refuses(&format!("{leaf} -c b:1"), "--tls-ca is needed");
        refuses(&format!("{leaf} -c b:1 --tls-ca /ca"), "--tls-name is needed");
        assert!(node(&format!("{leaf} -c b:1 --tls-ca /ca --tls-name b")).is_ok());
    }

    #[test]
    fn nothing_private_lies_where_files_are_served() {
        let tree = "-s localhost:8080 -r /srv -p /files";
        refuses(&format!("{tree} -l /srv/files/logs"), "--log-dir: ");
        refuses(&format!("{tree} -i /srv/files/pid"), "--pid: ");
        refuses(&format!("{tree} --tls /a,/srv/files/key"), "--tls: ");
        refuses(&format!("{tree} --tls /a,/b --tls-ca /srv/files/ca"), "--tls-ca: ");
        assert!(node(&format!("{tree} -l /srv/logs")).is_ok());
    }
}
