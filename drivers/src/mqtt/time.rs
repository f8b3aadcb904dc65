//! The time that a message gives for itself, in the ways that feeds write it.
//!
//! Text or number: ISO 8601, seconds or milliseconds since 1970, `yyyyMMddHHmmss`. A time without a
//! zone is in the site's, whatever zone the gateway itself runs in; where the clocks are set back and it
//! comes twice, it is the earlier. It does not judge whether the time is plausible.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use riskgate_point::Wall;
use serde_json::Value;

/// A number below it counts seconds (until the year 5138), one from it on milliseconds (since 1973).
const MILLIS_FROM: i64 = 100_000_000_000;
const COMPACT: &str = "%Y%m%d%H%M%S";
/// 14 digits as a number: from the year 1900 to 2999. As milliseconds they would lie beyond 2572.
const COMPACT_RANGE: Range<i64> = 19_000_000_000_000..30_000_000_000_000;

/// 2000-01-01: what is told as older is no time.
const OLDEST_SECONDS: i64 = 946_684_800;

/// `None` where it is no time in any of these ways.
pub fn parse(value: &Value, zone: &TimeZone) -> Option<Wall> {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(whole) => of_whole(whole, zone),
            None => number.as_f64().and_then(|number| of_fraction(number, zone)),
        },
        Value::String(text) => of_text(text.trim(), zone),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn of_text(text: &str, zone: &TimeZone) -> Option<Wall> {
    if let Ok(whole) = text.parse::<i64>() {
        return of_whole(whole, zone);
    }
    if let Ok(number) = text.parse::<f64>() {
        return of_fraction(number, zone);
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(Wall(instant.as_millisecond()));
    }
    text.parse::<DateTime>().ok().and_then(|civil| civil_in(civil, zone))
}

fn of_whole(number: i64, zone: &TimeZone) -> Option<Wall> {
    if COMPACT_RANGE.contains(&number) {
        let civil = strtime::parse(COMPACT, number.to_string()).and_then(|parts| parts.to_datetime());
        return civil.ok().and_then(|civil| civil_in(civil, zone));
    }
    // Zero and less are how feeds write that they do not know; and a date in digits, 20261101 or 202611011830,
    // would be read as a time around 1970, of which no feed speaks.
    let seconds = if number < MILLIS_FROM { number } else { number / 1000 };
    if seconds < OLDEST_SECONDS {
        return None;
    }
    let millis = if number < MILLIS_FROM { number * 1000 } else { number };
    Timestamp::from_millisecond(millis).ok().map(|_| Wall(millis))
}

/// Seconds with a fraction; a fraction of a millisecond is cut off.
fn of_fraction(seconds: f64, zone: &TimeZone) -> Option<Wall> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    let whole = i64::try_from(since.as_secs()).ok()?;
    if whole >= MILLIS_FROM {
        return of_whole(whole, zone);
    }
    let millis = i64::try_from(since.as_millis()).ok()?;
    (millis > 0).then_some(Wall(millis))
}

fn civil_in(civil: DateTime, zone: &TimeZone) -> Option<Wall> {
    zone.to_ambiguous_timestamp(civil).compatible().ok().map(|instant| Wall(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> Option<Wall> {
        super::parse(value, &TimeZone::get("Asia/Shanghai").unwrap())
    }

    /// 2026-11-01T12:30:45.250+08:00
    const THEN: i64 = 1_793_507_445_250;
    const THEN_SECOND: i64 = 1_793_507_445_000;

    #[test]
    fn all_the_ways_of_writing_a_time_give_the_same_instant() {
        for (written, expect) in [
            (json!("2026-11-01T04:30:45.250Z"), THEN),
            (json!("2026-11-01T12:30:45.250+08:00"), THEN),
            (json!("2026-11-01T12:30:45.250+0800"), THEN),
            (json!("2026-11-01 12:30:45.250+08:00"), THEN),
            (json!("2026-11-01T12:30:45.250"), THEN),
            (json!("2026-11-01 12:30:45"), THEN_SECOND),
            (json!(" 2026-11-01 12:30:45 "), THEN_SECOND),
            (json!("20261101123045"), THEN_SECOND),
            (json!(20_261_101_123_045_i64), THEN_SECOND),
            (json!(1_793_507_445), THEN_SECOND),
            (json!("1793507445"), THEN_SECOND),
            (json!(1_793_507_445.25), THEN),
            (json!(1_793_507_445_250_i64), THEN),
            (json!("1793507445250"), THEN),
            (json!(1_793_507_445_250.0), THEN),
        ] {
            assert_eq!(parse(&written), Some(Wall(expect)), "{written}");
        }
    }

    #[test]
    fn what_is_no_time_gives_none() {
        for written in [
            json!(null),
            json!(true),
            json!(0),
            json!(-1),
            json!(""),
            json!("yesterday"),
            json!("2026-13-01T00:00:00Z"),
            json!("20261301000000"),
            json!("NaN"),
            json!("inf"),
            json!(1e300),
            json!(["2026-11-01"]),
        ] {
            assert_eq!(parse(&written), None, "{written}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_in_the_sites() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (written, utc) in [
            ("20260701123045", "2026-07-01T10:30:45Z"),
            ("2026-12-01 12:30:45", "2026-12-01T11:30:45Z"),
            // The hour that comes twice, and the one that never comes.
            ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
            ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
        ] {
            let expect = Wall(utc.parse::<Timestamp>().unwrap().as_millisecond());
            assert_eq!(super::parse(&json!(written), &berlin), Some(expect), "{written}");
        }
    }

    proptest! {
        #[test]
        fn no_number_and_no_text_makes_it_fall(number: f64, text in ".{0,40}") {
            let read = parse(&json!(text));
            prop_assert_eq!(parse(&json!(text.trim())), read);
            let read = parse(&json!(number));
            prop_assert!(read.is_none() || number > 0.0);
        }

        #[test]
        fn seconds_and_milliseconds_are_told_apart(millis in 946_684_800_000_i64..18_000_000_000_000) {
            prop_assert_eq!(parse(&json!(millis)), Some(Wall(millis)));
            let seconds = millis / 1000;
            prop_assert_eq!(parse(&json!(seconds)), Some(Wall(seconds * 1000)));
        }
    }

    #[test]
    fn a_date_in_digits_is_no_time_of_1970() {
        for text in ["20261101", "202611011830"] {
            assert_eq!(parse(&json!(text)), None, "{text}");
            assert_eq!(parse(&json!(text.parse::<i64>().expect("digits"))), None, "{text}");
        }
    }
}
