//! Sizes as people write them: `512MiB`, `2GB`, `1048576`; and parts of a whole: `2%`.

/// Decimal and binary units, with the bytes of each.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// How much of a file system is kept free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// Bytes; 0 keeps nothing free.
    Bytes(u64),
    /// Hundredths of the whole file system, 0 to 99.
    Percent(u8),
    /// The lesser of 512 MiB and 2 %: enough for the databases to go on, and not a disk's worth of
    /// an array.
    Usual,
}

impl Reserve {
    /// Bytes of a file system of `total` bytes.
    pub fn of(self, total: u64) -> u64 {
        let percent = |part: u8| (u128::from(total) * u128::from(part) / 100) as u64;
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(part) => percent(part),
            Self::Usual => percent(2).min(512 << 20),
        }
    }

    /// Reads a size or a percentage.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(part) => {
                let part: u8 = part.trim_end().parse().ok()?;
                (part < 100).then_some(Self::Percent(part))
            }
            None => bytes(text).map(Self::Bytes),
        }
    }
}

/// Reads a size: a whole number, and a unit unless bytes are meant.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_parts_are_read() {
        for (text, expected) in [
            ("0", Some(Reserve::Bytes(0))),
            ("1048576", Some(Reserve::Bytes(1 << 20))),
            ("512MiB", Some(Reserve::Bytes(512 << 20))),
            ("2 GB", Some(Reserve::Bytes(2_000_000_000))),
            ("7B", Some(Reserve::Bytes(7))),
            ("2%", Some(Reserve::Percent(2))),
            ("0 %", Some(Reserve::Percent(0))),
            ("100%", None),
            ("-1%", None),
            ("1.5%", None),
            ("", None),
            ("MiB", None),
            ("1 PiB", None),
            ("1mib", None),
            ("-5", None),
            ("99999999999TiB", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Reserve::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_usual_reserve_is_the_lesser() {
        assert_eq!(Reserve::Usual.of(10 << 30), (10 << 30) / 50);
        assert_eq!(Reserve::Usual.of(1 << 40), 512 << 20);
        assert_eq!(Reserve::Percent(50).of(u64::MAX), u64::MAX / 2);
    }
}
