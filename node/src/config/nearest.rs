//! Finds the known name that a misspelt one probably means.

use crate::limits::COMPARED_CHARACTERS_MAX;

/// The known name nearest to `name`, if one is near enough to be worth a question.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    const SHORTENED_CHARACTERS_MIN: usize = 3;
    if name.chars().count() > COMPARED_CHARACTERS_MAX {
        // The comparison costs the product of both lengths, and no key is that long.
        return None;
    }
    let name = name.to_lowercase();
    let known: Vec<&str> = known.into_iter().collect();
    // Somebody who shortens a name means the one that begins like it, however long that is.
    if name.len() >= SHORTENED_CHARACTERS_MIN {
        let mut longer = known.iter().filter(|known| known.starts_with(&name));
        if let (Some(meant), None) = (longer.next(), longer.next()) {
            return Some(meant);
        }
    }
    // A third of the letters may be wrong; with more, the guess misleads more than it helps.
    let distance_max = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&name, known), known))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_only_near_names() {
        let known = ["addr", "prefix", "host", "headers"];
        for (name, expected) in [
            ("adr", Some("addr")),
            ("ADDR", Some("addr")),
            ("hots", Some("host")),
            ("header", Some("headers")),
            ("pre", Some("prefix")),
            ("pr", None),
            ("service", None),
            ("port", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name:?}");
        }
        assert_eq!(nearest(&"a".repeat(100_000), known), None);
    }
}
