//! `RepositoryName`: the `<name>` of the distribution specification.
//!
//! Grammar: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`.

use std::fmt;
use std::str::FromStr;

use crate::digest::shorten;
use crate::limits::NAME_BYTES_MAX;

/// The name of a repository, such as `library/debian`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Box<str>);

/// Why a text is not a repository name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a repository name must not be empty")]
    Empty,
    /// It has more than [`NAME_BYTES_MAX`] bytes.
    #[error("a repository name has at most 255 characters, not {0}")]
    TooLong(usize),
    /// A component does not follow the grammar.
    #[error(
        "`{0}` is not a repository name; expected lower-case letters and digits, separated by \
         `.`, `_`, `__`, `-` or `/`"
    )]
    Malformed(String),
}

impl RepositoryName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong(text.len()));
        }
        if !text.split('/').all(is_component) {
            return Err(NameError::Malformed(shorten(text)));
        }
        Ok(Self(text.into()))
    }
}

/// One path component: runs of letters and digits with single separators between them.
fn is_component(component: &str) -> bool {
    let mut rest = component;
    loop {
        let run = rest
            .bytes()
            .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let run = run.count();
        if run == 0 {
            return false;
        }
        rest = &rest[run..];
        if rest.is_empty() {
            return true;
        }
        let separator = rest
            .bytes()
            .take_while(|b| matches!(b, b'.' | b'_' | b'-'))
            .count();
        let is_separator = match &rest[..separator] {
            "." | "_" | "__" => true,
            dashes => !dashes.is_empty() && dashes.bytes().all(|b| b == b'-'),
        };
        if !is_separator {
            return false;
        }
        rest = &rest[separator..];
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_grammar() {
        let longest = "a".repeat(NAME_BYTES_MAX);
        for text in [
            "a",
            "0",
            "library/debian",
            "a.b_c__d-e---f",
            "a/b/c/d/e/f/g/h",
            "x0/1y",
            &longest,
        ] {
            assert_eq!(
                text.parse::<RepositoryName>().expect(text).to_string(),
                text
            );
        }
    }

    #[test]
    fn refuses_what_is_outside_the_grammar() {
        let too_long = "a".repeat(NAME_BYTES_MAX + 1);
        for text in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", "a/.b", "..",
            "a/../b", "a b", "a\0b", "ä", "a%2fb", &too_long,
        ] {
            assert!(text.parse::<RepositoryName>().is_err(), "{text}");
        }
    }
}
