//! Durations as Go writes them: `1h30m`, `250ms`, `1.5h`.
//!
//! Negative durations are refused, since no setting has a use for one.

use std::time::Duration;

use crate::limits::{DURATION_DIGITS_MAX, DURATION_NANOSECONDS_MAX};

const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;

/// The units of Go's durations with their nanoseconds. No earlier unit may be the beginning of
/// a later one, because the first that fits is taken.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    // The micro sign, and the Greek letter that looks like it.
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", NANOSECONDS_PER_SECOND),
    ("m", 60 * NANOSECONDS_PER_SECOND),
    ("h", 3600 * NANOSECONDS_PER_SECOND),
];

/// Reads a duration in Go's syntax, or `None` where Go would refuse it or it is negative.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanoseconds, after) = term(rest)?;
        total = total
            .checked_add(nanoseconds)
            .filter(|total| *total <= DURATION_NANOSECONDS_MAX)?;
        rest = after;
    }
    from_nanoseconds(total)
}

/// The duration of a bare number, which Go's YAML takes for nanoseconds.
pub(super) fn from_nanoseconds(nanoseconds: u128) -> Option<Duration> {
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

/// Reads one number and its unit, and gives the nanoseconds and the text behind them.
fn term(text: &str) -> Option<(u128, &str)> {
    let (whole, mut rest) = digits(text);
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = digits(after);
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, after) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((*unit, rest.strip_prefix(name)?)))?;
    let count: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let nanoseconds = count
        .checked_mul(unit)?
        .checked_add(part_of(unit, fraction))?;
    Some((nanoseconds, after))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The nanoseconds in a decimal fraction of a unit; what is below a nanosecond is dropped.
fn part_of(unit: u128, fraction: &str) -> u128 {
    let mut scale: u128 = 1;
    let mut value: u128 = 0;
    for digit in fraction.bytes().take(DURATION_DIGITS_MAX) {
        scale *= 10;
        value = value * 10 + u128::from(digit - b'0');
    }
    value * unit / scale
}

/// Writes a duration the way an operator would: whole units only, and no unit that is zero.
pub(super) fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (u64::from(duration.subsec_millis()), "ms"),
        (u64::from(duration.subsec_micros() % 1_000), "us"),
        (u64::from(duration.subsec_nanos() % 1_000), "ns"),
    ];
    let text: String = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_as_go_does() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("10s", Some(10_000_000_000)),
            ("+10s", Some(10_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("3us", Some(3_000)),
            ("3\u{b5}s", Some(3_000)),
            ("3\u{3bc}s", Some(3_000)),
            ("7ns", Some(7)),
            ("0.9ns", Some(0)),
            ("1s1s", Some(2_000_000_000)),
            ("0.00000000000000000000001h", Some(0)),
            ("2562047h", Some(9_223_369_200_000_000_000)),
            ("2562048h", None),
            ("99999999999999999999999999999999999999999s", None),
            ("", None),
            ("+", None),
            ("-1s", None),
            ("10", None),
            ("s", None),
            (".s", None),
            ("1 s", None),
            ("1d", None),
            ("1s ", None),
            ("1e3s", None),
            ("\u{661}s", None),
        ] {
            let found = parse(text).map(|duration| duration.as_nanos());
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn shown_durations_read_back() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (168, "168ns"),
            (1_000_000_000, "1s"),
            (5_400_000_000_000, "1h30m"),
            (1_001_001_001, "1s1ms1us1ns"),
        ] {
            let duration = Duration::from_nanos(nanoseconds);
            assert_eq!(show(duration), expected, "{nanoseconds}");
            assert_eq!(parse(expected), Some(duration), "{expected}");
        }
    }
}
