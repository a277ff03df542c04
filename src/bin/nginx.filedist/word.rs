//! Values that are one plain word: sizes, times, users, names.

use std::str::FromStr;

/// A size as nginx takes it: bytes, or with `k`, `m` or `g`. 0 is no limit.
#[derive(Clone, Debug)]
pub(crate) struct Size(String);

/// A time as nginx takes it: seconds, or with `ms`, `s`, `m` or `h`.
#[derive(Clone, Debug)]
pub(crate) struct Time(String);

/// Whom nginx's workers run as.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    /// nginx takes the group of the user's name where none is given.
    pub(crate) group: Option<String>,
}

/// What a node calls itself, or what a certificate calls it.
#[derive(Clone, Debug)]
pub(crate) struct Name(String);

impl Size {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Time {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let unit = |letter: &str| match letter {
            "" => Some(1),
            "k" | "K" => Some(1 << 10),
            "m" | "M" => Some(1 << 20),
            "g" | "G" => Some(1 << 30),
            _ => None,
        };
        measure(text, unit)
            .map(|()| Size(text.to_owned()))
            .ok_or_else(|| "a size is a number of bytes, or with k, m or g: 30m".to_owned())
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        let unit = |letters: &str| match letters {
            "ms" => Some(1),
            "" | "s" => Some(1000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        measure(text, unit)
            .filter(|()| text.bytes().any(|byte| matches!(byte, b'1'..=b'9')))
            .map(|()| Time(text.to_owned()))
            .ok_or_else(|| {
                "a time is a number of seconds above 0, or with ms, s, m or h: 30s".to_owned()
            })
    }
}

/// A number with a unit, whose product nginx can hold in 63 bits.
fn measure(text: &str, unit: impl Fn(&str) -> Option<i64>) -> Option<()> {
    let letters = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let number: i64 = text.get(..text.len() - letters.len())?.parse().ok()?;
    number.checked_mul(unit(letters)?).map(|_| ())
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<User, String> {
        let (name, group) = match text.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (text, None),
        };
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('-')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte))
        };
        if !is_name(name) || !group.is_none_or(is_name) {
            return Err("a user is a name, or with a group: www-data, nobody:nogroup".to_owned());
        }
        Ok(User { name: name.to_owned(), group: group.map(str::to_owned) })
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b",;{}\"'\\$#".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_plain) {
            return Err("a name has letters, digits and such as . : - _ only: node1.example:8080"
                .to_owned());
        }
        Ok(Name(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr>(right: &[&str], wrong: &[&str]) {
        for text in right {
            assert!(text.parse::<T>().is_ok(), "{text:?}");
        }
        for text in wrong {
            assert!(text.parse::<T>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_those_of_nginx() {
        check::<Size>(
            &["0", "1", "16k", "30m", "30M", "100G"],
            &["", "m", "-1", "+1", "1.5m", "30mb", "30 m", "1t", "9223372036854775807k", "٣"],
        );
    }

    #[test]
    fn times_are_those_of_nginx() {
        check::<Time>(
            &["1", "500ms", "30s", "2m", "1h"],
            &["", "0", "0s", "s", "-1s", "1d", "1 s"],
        );
    }

    #[test]
    fn a_user_may_have_a_group() {
        let user: User = "nobody:nogroup".parse().unwrap();
        assert_eq!((user.name.as_str(), user.group.as_deref()), ("nobody", Some("nogroup")));
        assert_eq!("niko".parse::<User>().unwrap().group, None);
        check::<User>(
            &["www-data", "a.b_c@d"],
            &["", ":", "a:", ":b", "a b", "a;b", "-a", "a:b:c"],
        );
    }

    #[test]
    fn a_name_has_nothing_that_nginx_or_a_list_splits_at() {
        check::<Name>(
            &["node1.example:8080", "[::1]:8080", "eu/1"],
            &["", "a,b", "a b", "a;", "$hostname", "a\n", "ü", "{", "\""],
        );
    }
}
