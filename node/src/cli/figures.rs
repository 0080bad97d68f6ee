//! Sizes, ages and times as people read them. Programs get plain numbers instead.

use std::time::{Duration, SystemTime};

use crate::telemetry::Rfc3339;

/// `0 B`, `999 B`, `1.5 KiB`, `12 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths, and a unit further when they would be written as 1024.
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10 * 1024 {
        tenths /= 1024;
        unit += 1;
    }
    if tenths < 100 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", tenths / 10, UNITS[unit])
    }
}

/// `12 ms`, `5 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`: the two largest units.
pub(super) fn age(milliseconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = milliseconds / 1_000;
    let Some(first) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else {
        return format!("{milliseconds} ms");
    };
    let (unit, name) = UNITS[first];
    let whole = format!("{} {name}", seconds / unit);
    match UNITS.get(first + 1) {
        Some((next, name)) if seconds % unit / next > 0 => {
            format!("{whole} {} {name}", seconds % unit / next)
        }
        _ => whole,
    }
}

/// `2026-11-22 16:30:11 UTC`; `-` for what has no time.
pub(super) fn time(unix_ms: u64) -> String {
    let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    let Some(moment) = moment.filter(|_| unix_ms > 0) else {
        return "-".to_owned();
    };
    let text = Rfc3339(moment).to_string();
    let (day, rest) = text.split_once('T').unwrap_or((&text, ""));
    let second = rest.split('.').next().unwrap_or_default();
    format!("{day} {second} UTC")
}

/// `1 tag`, `2 tags`.
pub(super) fn count(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {one}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_digits_or_no_fraction() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (10_240, "10 KiB"),
            (1_048_575, "1023 KiB"),
            (1_048_576, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (1 << 60, "1.0 EiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn ages_have_the_two_largest_units() {
        for (milliseconds, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (200_000, "3 min 20 s"),
            (3_600_000, "1 h"),
            (3_601_000, "1 h"),
            (7_500_000, "2 h 5 min"),
            (86_400_000, "1 d"),
            (273_600_000, "3 d 4 h"),
            (u64::MAX, "213503982334 d 14 h"),
        ] {
            assert_eq!(age(milliseconds), expected, "{milliseconds}");
        }
    }

    #[test]
    fn times_are_those_of_utc_to_the_second() {
        for (unix_ms, expected) in [
            (0, "-"),
            (1, "1970-01-01 00:00:00 UTC"),
            (951_782_400_999, "2000-02-29 00:00:00 UTC"),
            (1_795_365_011_000, "2026-11-22 16:30:11 UTC"),
        ] {
            assert_eq!(time(unix_ms), expected, "{unix_ms}");
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(count(0, "tag"), "0 tags");
        assert_eq!(count(1, "tag"), "1 tag");
        assert_eq!(count(2, "tag"), "2 tags");
    }
}
