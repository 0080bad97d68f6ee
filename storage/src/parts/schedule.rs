//! How large each part is: small at first, so that little memory is taken, and large in the end, so
//! that the largest object needs no more parts than a store takes.

use crate::limits::{PART_BYTES_MAX, PART_GROWTH_NUMBERS};

/// The size of the part with this number, which counts from 1. `first` is that of the first, and
/// `most` what memory allows.
pub(super) fn part_bytes(number: u32, first: u64, most: u64) -> u64 {
    let doublings = (number.saturating_sub(1)) / PART_GROWTH_NUMBERS;
    let grown = first.saturating_mul(1_u64.checked_shl(doublings).unwrap_or(u64::MAX));
    // Never below what was asked for: `most` may be less than that.
    grown.min(PART_BYTES_MAX.max(first)).min(most.max(first))
}

/// The ranges in which `size` bytes are copied: equal ones, none smaller than a part may be.
pub(super) fn copies(size: u64, most: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    let count = size.div_ceil(most).max(1);
    let each = size.div_ceil(count);
    (0..count)
        .map(move |place| place * each..((place + 1) * each).min(size))
        .filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{OBJECT_BYTES_MAX, PART_BYTES_MIN, PART_NUMBER_MAX};

    fn capacity(first: u64, most: u64) -> u64 {
        (1..=PART_NUMBER_MAX)
            .map(|number| part_bytes(number, first, most))
            .sum()
    }

    #[test]
    fn largest_object_fits_into_the_parts_that_a_store_takes() {
        for first in [PART_BYTES_MIN, 10 << 20, 64 << 20] {
            assert!(
                capacity(first, PART_BYTES_MAX) >= OBJECT_BYTES_MAX,
                "{first}"
            );
        }
    }

    #[test]
    fn memory_bounds_parts_and_with_them_objects() {
        assert_eq!(part_bytes(PART_NUMBER_MAX, 10 << 20, 64 << 20), 64 << 20);
        let by_default = capacity(10 << 20, 124 << 20);
        assert!(by_default >= 900 << 30, "it is {} GiB", by_default >> 30);
    }

    #[test]
    fn parts_never_shrink() {
        let sizes: Vec<_> = (1..=PART_NUMBER_MAX)
            .map(|number| part_bytes(number, PART_BYTES_MIN, PART_BYTES_MAX))
            .collect();
        assert_eq!(sizes[0], PART_BYTES_MIN);
        assert!(sizes.is_sorted());
    }

    #[test]
    fn copies_cover_everything_once() {
        for size in [
            PART_BYTES_MIN,
            PART_BYTES_MAX,
            PART_BYTES_MAX + 1,
            7 * PART_BYTES_MAX - 5,
        ] {
            let ranges: Vec<_> = copies(size, PART_BYTES_MAX).collect();
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges[ranges.len() - 1].end, size);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(
                ranges
                    .iter()
                    .all(|range| range.end - range.start >= PART_BYTES_MIN)
            );
        }
        assert_eq!(copies(0, PART_BYTES_MAX).count(), 0);
    }
}
