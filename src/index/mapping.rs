//! The paths of this node and those of a child, where `proxy_pass` has a URI: what is stored below
//! `/in/` here is below `/out/` there.

use std::borrow::Cow;
use std::sync::Arc;

use super::Area;

/// A location, as a child sees it.
#[derive(Debug, Clone)]
pub(crate) struct Mapped {
    /// As [`Area::prefix`], on this node.
    pub(crate) here: Vec<u8>,
    /// The same on the child; none where the location has not got the child.
    pub(crate) there: Option<Vec<u8>>,
}

impl Mapped {
    fn prefix_there(&self) -> &[u8] {
        self.there.as_deref().unwrap_or(&self.here)
    }
}

/// The locations of a server, as a child sees them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    /// Empty where all paths are the same there.
    locations: Vec<Mapped>,
}

impl Mapping {
    /// `locations` are all locations of the server.
    pub(crate) fn new(locations: Vec<Mapped>) -> Mapping {
        let is_same = |it: &Mapped| it.there.as_ref().is_none_or(|there| *there == it.here);
        match locations.iter().all(is_same) {
            true => Mapping::default(),
            false => Mapping { locations },
        }
    }

    /// Where the files are by their paths on the child. `areas` has them by those of this node.
    pub(crate) fn areas(&self, areas: Arc<[Area]>) -> Arc<[Area]> {
        if self.locations.is_empty() {
            return areas;
        }
        let sent = || self.locations.iter().filter_map(|it| Some((&it.here, it.there.as_ref()?)));
        let directory = |here: &Vec<u8>| {
            areas.iter().find(|area| area.prefix == *here).and_then(|area| area.directory.clone())
        };
        let there =
            sent().map(|(here, there)| Area { prefix: there.clone(), directory: directory(here) });
        // What lies there has another path on the child, or does not go to it.
        let left_out = self.locations.iter().map(|it| &it.here);
        let left_out = left_out.filter(|here| sent().all(|(_, there)| there != *here));
        there.chain(left_out.map(|it| Area { prefix: it.clone(), directory: None })).collect()
    }

    /// The path on this node of what has this one on the child. None: no path here leads there.
    pub(crate) fn here<'a>(&self, there: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if self.locations.is_empty() {
            return Some(Cow::Borrowed(there));
        }
        let nearest = self.locations.iter().filter(|it| covers(it.prefix_there(), there));
        let nearest = nearest.max_by_key(|it| (it.prefix_there().len(), it.there.is_some()))?;
        let path = [&nearest.here[..], there.get(nearest.prefix_there().len()..)?].concat();
        // A location inside of it may have that path.
        self.at(&path).is_some_and(|at| at.here == nearest.here).then_some(Cow::Owned(path))
    }

    /// The location of a path on this node.
    fn at(&self, here: &[u8]) -> Option<&Mapped> {
        let all = self.locations.iter().filter(|it| covers(&it.here, here));
        all.max_by_key(|it| it.here.len())
    }

    /// Two locations whose files are the same on the child.
    pub(crate) fn collision(&self) -> Option<[&Mapped; 2]> {
        self.locations.iter().find_map(|inner| {
            let there = inner.there.as_deref()?;
            let outer = self.locations.iter().find(|outer| {
                let Some(above) = &outer.there else { return false };
                let Some(rest) = there.strip_prefix(&above[..]) else { return false };
                let is_above = above.ends_with(b"/") || rest.is_empty();
                let path = [&outer.here[..], rest].concat();
                outer.here != inner.here
                    && is_above
                    && self.at(&path).is_some_and(|at| at.here == outer.here)
            })?;
            Some([outer, inner])
        })
    }
}

/// Whether a location with this prefix has the path.
fn covers(prefix: &[u8], path: &[u8]) -> bool {
    path == prefix || prefix.ends_with(b"/") && path.starts_with(prefix)
}

/// What `proxy_pass` with the URI `uri` makes of a prefix whose location has the name `name`, which the
/// prefix begins with; slashes that follow one another are one, as in what the child makes of it
/// (`merge_slashes`). The error says what to write instead.
pub(crate) fn there(name: &[u8], prefix: &[u8], uri: &[u8]) -> Result<Vec<u8>, &'static str> {
    if uri.contains(&b'?') {
        return Err("has a query: leave it out");
    }
    let Some(uri) = crate::escape::unpercent(uri) else {
        return Err("has a \"%\" that no two hexadecimal digits follow: write \"%25\"");
    };
    let rest = prefix.get(name.len()..).unwrap_or_default();
    let mut there = [&uri[..], rest].concat();
    there.dedup_by(|next, last| *next == b'/' && *last == b'/');
    match prefix.ends_with(b"/") == there.ends_with(b"/") {
        true => Ok(there),
        false => Err("ends in another way than the location: end both with a slash, or neither"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::testing::{area, unserved};

    fn mapping(locations: &[(&str, Option<&str>)]) -> Mapping {
        let location = |(here, there): &(&str, Option<&str>)| Mapped {
            here: (*here).into(),
            there: there.map(Into::into),
        };
        Mapping::new(locations.iter().map(location).collect())
    }

    #[test]
    fn a_path_is_found_again() {
        let mapping = mapping(&[
            ("/", Some("/")),
            ("/in/", Some("/out/")),
            ("/deep/", Some("/out/deep/")),
            ("/one", Some("/x/two")),
            ("/own/", None),
        ]);
        for (there, here) in [
            ("/a", Some("/a")),
            ("/out/a/b", Some("/in/a/b")),
            ("/out/deep/a", Some("/deep/a")),
            ("/x/two", Some("/one")),
            ("/x/two/a", Some("/x/two/a")),
            ("/own/a", Some("/own/a")),
            // These have another path there.
            ("/in/a", None),
            ("/deep/a", None),
            ("/one", None),
        ] {
            let found = mapping.here(there.as_bytes());
            assert_eq!(found.as_deref(), here.map(str::as_bytes), "{there}");
        }
    }

    #[test]
    fn without_a_uri_nothing_changes() {
        let mapping = mapping(&[("/", Some("/")), ("/own/", None)]);
        assert_eq!(mapping.here(b"/own/a").as_deref(), Some(&b"/own/a"[..]));
        let areas: Arc<[Area]> = [area("/", "/srv"), unserved("/own/")].into();
        assert!(Arc::ptr_eq(&mapping.areas(Arc::clone(&areas)), &areas));
        assert!(mapping.collision().is_none());
    }

    #[test]
    fn areas_have_the_paths_of_the_child() {
        let mapping = mapping(&[("/", Some("/")), ("/in/", Some("/out/")), ("/own/", None)]);
        let areas = [area("/", "/srv"), area("/in/", "/big"), unserved("/own/")];
        let mut found: Vec<_> = mapping
            .areas(areas.into())
            .iter()
            .map(|it| (it.prefix.clone(), it.directory.clone()))
            .collect();
        found.sort();
        let expected =
            [("/", Some("/srv")), ("/in/", None), ("/out/", Some("/big")), ("/own/", None)];
        assert_eq!(found, expected.map(|(prefix, it)| (prefix.into(), it.map(Into::into))));
    }

    #[test]
    fn two_paths_must_not_lead_to_one() {
        for (locations, collides) in [
            (&[("/a/", Some("/x/")), ("/b/", Some("/x/"))][..], true),
            (&[("/", Some("/")), ("/in/", Some("/out/"))], true),
            (&[("/", Some("/")), ("/in/", Some("/out/")), ("/out/", None)], false),
            (&[("/", Some("/")), ("/in/", Some("/out/")), ("/out/", Some("/in/"))], false),
            (&[("/", Some("/backup/")), ("/in/", Some("/backup/in/"))], false),
            (&[("/a/", Some("/x/")), ("/b/", Some("/x/b/"))], true),
            (&[("/", None), ("/in/", Some("/out/"))], false),
            (&[("/a", Some("/x")), ("/b/", Some("/x/"))], false),
        ] {
            assert_eq!(mapping(locations).collision().is_some(), collides, "{locations:?}");
        }
    }

    #[test]
    fn what_proxy_pass_makes_of_a_prefix() {
        for (name, prefix, uri, expected) in [
            ("/in/", "/in/", "/out/", Some("/out/")),
            ("/in", "/in/", "/out", Some("/out/")),
            ("/in", "/in/", "/out/", Some("/out/")),
            ("/in/", "/in/", "/", Some("/")),
            ("/", "/", "/a%20b/", Some("/a b/")),
            ("/one", "/one", "/x/two", Some("/x/two")),
            ("/in/", "/in/", "/out", None),
            ("/one", "/one", "/x/", None),
            ("/in/", "/in/", "/out/?a=/", None),
            ("/in/", "/in/", "/100%/", None),
        ] {
            let found = there(name.as_bytes(), prefix.as_bytes(), uri.as_bytes()).ok();
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{name} {uri}");
        }
    }
}
