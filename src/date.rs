//! Dates, in UTC and by the Gregorian calendar. Reads the clock and makes text; knows no zones.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in UTC: `2026-11-22T17:02:09Z`.
pub(crate) fn now() -> String {
    at(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn at(seconds: u64) -> String {
    let date = day(seconds);
    let seconds = seconds % 86_400;
    let [hour, minute, second] = [seconds / 3600, seconds / 60 % 60, seconds % 60];
    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The day of so many seconds after 1970: `2026-11-22`. (Hinnant, "chrono-compatible low-level date algorithms", 2013.)
pub(crate) fn day(seconds: u64) -> String {
    let days = (seconds / 86_400).min(1 << 32) + 719_468;
    // Years begin in March: the leap day is the last of one. An era is 400 years.
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    format!("{:04}-{month:02}-{day:02}", year + 400 * era)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_077_926_400, "2004-02-28"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
            (1_795_305_600, "2026-11-22"),
        ] {
            assert_eq!(day(seconds), text);
        }
        day(u64::MAX);
    }
}
