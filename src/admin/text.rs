//! Numbers and times in words, for people.

use std::time::Duration;

use time::OffsetDateTime;

use crate::base::clock::UnixSeconds;

/// A number with a space between thousands.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // No line ends within a number.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A span in its largest unit.
#[must_use]
pub fn span(span: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let seconds = span.as_secs();
    let (size, unit) = UNITS.into_iter().find(|(size, _)| seconds >= *size).unwrap_or((1, "s"));
    format!("{} {unit}", seconds / size)
}

/// A short time, with two or three digits.
#[must_use]
pub fn brief(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    let (number, unit) = match micros {
        micros if micros < 1e3 => (micros, "µs"),
        micros if micros < 1e6 => (micros / 1e3, "ms"),
        micros => (micros / 1e6, "s"),
    };
    if number < 10.0 && number.fract() > 0.05 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

/// Date and time, to the minute, in UTC.
#[must_use]
pub fn moment(at: UnixSeconds) -> String {
    let Some(at) = time(at) else { return String::from("at no time") };
    format!("{:04}-{:02}-{:02} {:02}:{:02}", at.year(), u8::from(at.month()), at.day(), at.hour(), at.minute())
}

/// The time of day, to the minute, in UTC.
#[must_use]
pub fn time_of_day(at: UnixSeconds) -> String {
    time(at).map_or_else(String::new, |at| format!("{:02}:{:02}", at.hour(), at.minute()))
}

fn time(at: UnixSeconds) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(at.0).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        let spaced = [0, 999, 1000, 1_234_567].map(|number| count(number).replace('\u{202f}', " "));
        assert_eq!(spaced, ["0", "999", "1 000", "1 234 567"]);
        assert_eq!(
            [0, 59, 60, 7200, 200_000].map(|seconds| span(Duration::from_secs(seconds))),
            ["0 s", "59 s", "1 min", "2 h", "2 d"]
        );
        assert_eq!(
            [80, 1500, 25_000, 2_500_000].map(|micros| brief(Duration::from_micros(micros))),
            ["80 µs", "1.5 ms", "25 ms", "2.5 s"]
        );
        assert_eq!(moment(UnixSeconds(1_790_000_000)), "2026-09-21 14:13");
        assert_eq!(time_of_day(UnixSeconds(1_790_000_000)), "14:13");
        assert_eq!(moment(UnixSeconds(u64::MAX)), "at no time");
    }
}
