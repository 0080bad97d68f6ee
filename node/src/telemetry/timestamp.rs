//! Moments of UTC as logs write them: RFC 3339, and the format of Apache's access log.
//!
//! It is not a calendar: it only formats, and what lies before 1970 is shown as its first second.

use std::fmt;
use std::time::{Duration, SystemTime};

/// `2000-10-10T13:55:36.000000Z`
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rfc3339(pub(crate) SystemTime);

/// `10/Oct/2000:13:55:36 +0000`
#[derive(Clone, Copy, Debug)]
pub(super) struct Apache(pub(super) SystemTime);

/// A moment, taken apart.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    microsecond: u32,
}

impl Civil {
    fn of(moment: SystemTime) -> Self {
        const DAY: u64 = 24 * 60 * 60;
        let since = moment
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let (year, month, day) = date(since.as_secs() / DAY);
        let seconds = since.as_secs() % DAY;
        Self {
            year,
            month,
            day,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            microsecond: since.subsec_micros(),
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last one, and in eras of 400 years,
/// which are all of one length (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(day: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_OF_YEAR_0_TO_1970: u64 = 719_468;
    const ERA: u64 = 146_097;
    let day = day + DAYS_FROM_MARCH_OF_YEAR_0_TO_1970;
    let (era, of_era) = (day / ERA, day % ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, years_on) = if month_from_march < 10 {
        (month_from_march + 3, 0)
    } else {
        (month_from_march - 9, 1)
    };
    (era * 400 + year_of_era + years_on, month, day)
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            microsecond,
        } = Civil::of(self.0);
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microsecond:06}Z"
        )
    }
}

impl fmt::Display for Apache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            microsecond: _,
        } = Civil::of(self.0);
        let month = MONTHS.iter().zip(1..).find(|(_, number)| *number == month);
        let month = month.map_or("", |(name, _)| name);
        write!(
            formatter,
            "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, microseconds: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, microseconds * 1_000)
    }

    #[test]
    fn moments_are_written_in_both_formats() {
        // Seconds by `date -u -d … +%s`.
        let table = [
            (
                0,
                "1970-01-01T00:00:00.000000Z",
                "01/Jan/1970:00:00:00 +0000",
            ),
            (
                68_169_599,
                "1972-02-28T23:59:59.000000Z",
                "28/Feb/1972:23:59:59 +0000",
            ),
            (
                68_169_600,
                "1972-02-29T00:00:00.000000Z",
                "29/Feb/1972:00:00:00 +0000",
            ),
            (
                951_782_400,
                "2000-02-29T00:00:00.000000Z",
                "29/Feb/2000:00:00:00 +0000",
            ),
            (
                951_868_800,
                "2000-03-01T00:00:00.000000Z",
                "01/Mar/2000:00:00:00 +0000",
            ),
            (
                971_186_136,
                "2000-10-10T13:55:36.000000Z",
                "10/Oct/2000:13:55:36 +0000",
            ),
            (
                1_798_761_599,
                "2026-12-31T23:59:59.000000Z",
                "31/Dec/2026:23:59:59 +0000",
            ),
            (
                4_107_542_400,
                "2100-03-01T00:00:00.000000Z",
                "01/Mar/2100:00:00:00 +0000",
            ),
            (
                253_402_300_799,
                "9999-12-31T23:59:59.000000Z",
                "31/Dec/9999:23:59:59 +0000",
            ),
        ];
        for (seconds, rfc3339, apache) in table {
            let moment = at(seconds, 0);
            assert_eq!(Rfc3339(moment).to_string(), rfc3339, "{seconds}");
            assert_eq!(Apache(moment).to_string(), apache, "{seconds}");
        }
    }

    #[test]
    fn fractions_have_six_digits() {
        assert_eq!(
            Rfc3339(at(1, 42)).to_string(),
            "1970-01-01T00:00:01.000042Z"
        );
        assert_eq!(
            Rfc3339(at(1, 999_999)).to_string(),
            "1970-01-01T00:00:01.999999Z"
        );
    }

    #[test]
    fn a_clock_before_1970_is_shown_as_its_first_second() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Rfc3339(before).to_string(), "1970-01-01T00:00:00.000000Z");
    }
}
