//! The times of a flag document.
//!
//! They are read as Go's `time.Time` reads them from JSON, which is RFC 3339 with a little more: one digit is
//! enough for the hour, a comma may stand before the fraction, and an offset may be as large as `24:60`.
//! They are printed as Go prints them, so `+00:00` becomes `Z`, and a fraction loses its trailing zeros and
//! everything below a nanosecond. The offset `24:60` stays as it is, where Go prints `25:00` and does not read it
//! again. Nothing in evaluation depends on them.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A date, a time of day to the nanosecond, and an offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timestamp {
    nanosecond: u32,
    year: u16,
    /// Minutes east of UTC.
    offset: i16,
    /// Never 0, so that a missing time takes no more room than a time.
    month: NonZeroU8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

/// A text that is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampError(());

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an RFC 3339 time such as 2026-01-02T03:04:05Z")
    }
}

impl std::error::Error for TimestampError {}

impl Timestamp {
    /// Go's zero time, which it prints for a time that was never set.
    pub(super) const ZERO: Self = Self {
        nanosecond: 0,
        year: 1,
        offset: 0,
        month: NonZeroU8::MIN,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
    };
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads a time in the form of RFC 3339.
    ///
    /// # Errors
    /// When the text has another form or names a day or time that does not exist.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text.as_bytes()).ok_or(TimestampError(()))
    }
}

fn parse(text: &[u8]) -> Option<Timestamp> {
    let (date, text) = text.split_first_chunk::<11>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T'] = *date else {
        return None;
    };
    let year = u16::from(two(y1, y2)?) * 100 + u16::from(two(y3, y4)?);
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let (hour, text) = match *text {
        [h1, h2, ref text @ ..] if h2 != b':' => (two(h1, h2)?, text),
        [hour, ref text @ ..] => (two(b'0', hour)?, text),
        [] => return None,
    };
    let (time, text) = text.split_first_chunk::<6>()?;
    let [b':', m1, m2, b':', s1, s2] = *time else {
        return None;
    };
    let (minute, second) = (two(m1, m2)?, two(s1, s2)?);
    let (nanosecond, text) = fraction(text);
    let offset = offset(text)?;
    let in_range = month <= 12
        && (1..=days_in(month, year)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    in_range.then_some(Timestamp {
        nanosecond,
        year,
        offset,
        month: NonZeroU8::new(month)?,
        day,
        hour,
        minute,
        second,
    })
}

/// The number that two digits spell.
fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

/// The nanoseconds of a fraction, if there is one, and what follows.
fn fraction(text: &[u8]) -> (u32, &[u8]) {
    let [b'.' | b',', first, ..] = text else {
        return (0, text);
    };
    if !first.is_ascii_digit() {
        return (0, text);
    }
    let mut rest = text.get(1..).unwrap_or_default();
    let mut nanosecond = 0;
    let mut place = 100_000_000; // 0 behind the ninth digit
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        nanosecond += u32::from(digit - b'0') * place;
        place /= 10;
        rest = behind;
    }
    (nanosecond, rest)
}

/// The offset that is the whole of `text`.
fn offset(text: &[u8]) -> Option<i16> {
    if text == b"Z" {
        return Some(0);
    }
    let [sign, h1, h2, b':', m1, m2] = *text else {
        return None;
    };
    let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
    if hours > 24 || minutes > 60 {
        return None;
    }
    let offset = i16::from(hours) * 60 + i16::from(minutes);
    match sign {
        b'+' => Some(offset),
        b'-' => Some(-offset),
        _ => None,
    }
}

fn days_in(month: u8, year: u16) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = self;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if self.nanosecond != 0 {
            let fraction = format!("{:09}", self.nanosecond);
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.unsigned_abs();
        // The largest offset that can be read is written as it was read.
        let hours = (minutes / 60).min(24);
        write!(f, "{sign}{hours:02}:{:02}", minutes - hours * 60)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_time_takes_no_more_room_than_a_time() {
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<Timestamp>());
    }

    #[test]
    fn reads_what_go_reads_and_prints_what_go_prints() {
        for (text, printed) in [
            (
                "2026-11-21T01:49:25.114499137Z",
                "2026-11-21T01:49:25.114499137Z",
            ),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("0000-02-29T23:59:59Z", "0000-02-29T23:59:59Z"),
            ("2024-02-29T00:00:00+00:00", "2024-02-29T00:00:00Z"),
            ("2000-02-29T00:00:00-00:00", "2000-02-29T00:00:00Z"),
            (
                "2026-01-02T03:04:05.120+02:30",
                "2026-01-02T03:04:05.12+02:30",
            ),
            (
                "2026-01-02T03:04:05.0000000019-07:00",
                "2026-01-02T03:04:05.000000001-07:00",
            ),
            ("2026-01-02T3:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05,5Z", "2026-01-02T03:04:05.5Z"),
            ("2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05+24:60", "2026-01-02T03:04:05+24:60"),
            ("2026-01-02T03:04:05-23:60", "2026-01-02T03:04:05-24:00"),
        ] {
            let time: Timestamp = text.parse().expect(text);
            assert_eq!(time.to_string(), printed);
            assert_eq!(printed.parse(), Ok(time));
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "yesterday",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-01-02t03:04:05Z",
            "2026-01-02T03:04:05z",
            "2026-01-02 03:04:05Z",
            "2026-1-02T03:04:05Z",
            "2026-13-02T03:04:05Z",
            "2026-00-02T03:04:05Z",
            "2026-01-00T03:04:05Z",
            "2025-02-29T03:04:05Z",
            "1900-02-29T03:04:05Z",
            "2026-04-31T03:04:05Z",
            "2026-01-02T24:04:05Z",
            "2026-01-02T03:60:05Z",
            "2026-01-02T03:04:60Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05Zx",
            "2026-01-02T03:04:05+25:00",
            "2026-01-02T03:04:05+00:61",
            "2026-01-02T03:04:05+0000",
            "2026-01-02T03:04:05*00:00",
            "+026-01-02T03:04:05Z",
            "２026-01-02T03:04:05Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError(())), "{text}");
        }
    }
}
