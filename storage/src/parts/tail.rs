//! How tails are named: after the key of their upload, so that they are found with it.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::path::ObjectKey;

/// Stands between the key of an upload and what makes the name of one tail its own.
const INFIX: &str = ".tail-";

/// A fresh name for a tail of an upload.
pub(crate) fn name_of_tail(key: &ObjectKey) -> String {
    format!("{key}{INFIX}{}", Uuid::new_v4().simple())
}

/// What a name stands for: a key, and whether it is that of a tail.
///
/// # Errors
///
/// [`Error::InvalidKey`].
pub(crate) fn parse(name: &str) -> Result<(ObjectKey, bool)> {
    match name.rsplit_once(INFIX) {
        Some((key, own)) if Uuid::try_parse(own).is_ok() => Ok((ObjectKey::parse(key)?, true)),
        _ => Ok((ObjectKey::parse(name)?, false)),
    }
}

/// Refuses a key that would be taken for the name of a tail.
pub(super) fn check(key: &ObjectKey) -> Result<()> {
    match parse(key.as_str()) {
        Ok((_, true)) => Err(Error::invalid_key(
            key.as_str(),
            "it looks like a part of an unfinished write",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_lead_to_their_upload_and_are_no_keys() {
        let key = ObjectKey::parse("objects/a").unwrap();
        let name = name_of_tail(&key);
        assert_ne!(name, name_of_tail(&key));
        assert_eq!(parse(&name).unwrap(), (key.clone(), true));
        assert!(check(&ObjectKey::parse(&name).unwrap()).is_err());
        let near = ObjectKey::parse("objects/a.tail-x").unwrap();
        assert_eq!(parse(near.as_str()).unwrap(), (near.clone(), false));
        check(&near).unwrap();
        check(&key).unwrap();
    }
}
