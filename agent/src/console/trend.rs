//! The trend of one point: what it read over a while, as a picture and as JSON. It only reads.
//!
//! `/trend` lists the points; `/trend?tag=LT-1&since=1d` shows one, `/api/trend` with the same query gives the
//! samples. Many samples are drawn as the least and the greatest of each of [`COLUMNS`] parts of the time, so
//! that no peak is lost; where nothing was known the line has a hole.

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::tz::TimeZone;
use riskgate_point::{Value, Wall};
use serde::Serialize;

use super::board::BoardHandle;
use super::view::stamp;
use crate::causes::chain;
use crate::history::export::words;
use crate::history::read::Reader;
use crate::history::{History, HistoryError, Reading};

/// Parts of the time that are drawn.
const COLUMNS: usize = 600;
const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 320.0;
/// Samples of one answer: a day of a point that changes each second.
const SAMPLES_MAX: usize = 100_000;
/// Rows of the table under the picture.
const ROWS_MAX: usize = 50;
const SINCE_DEFAULT: Duration = Duration::from_secs(24 * 3600);
const SINCE_CHOICES: [&str; 5] = ["1h", "8h", "1d", "7d", "30d"];

/// What is shown of one point.
pub(super) struct Shown {
    tag: String,
    name: String,
    eu: String,
    since: Wall,
    until: Wall,
    timezone: TimeZone,
    trend: Vec<Reading>,
}

#[derive(Debug, Serialize)]
pub(super) struct TrendView {
    tag: String,
    name: String,
    eu: String,
    since: String,
    until: String,
    /// There are more than an answer holds: the newest are here.
    cut: bool,
    samples: Vec<SampleView>,
}

#[derive(Debug, Serialize)]
struct SampleView {
    time: String,
    value: Option<Value>,
    quality: &'static str,
    reason: &'static str,
    /// Told late, never judged.
    late: bool,
}

/// What a query asks for: `tag`, and `since` as a duration before now.
pub(super) async fn asked(
    board: &BoardHandle,
    history: Option<&History>,
    query: Option<&str>,
) -> Result<Shown, (StatusCode, String)> {
    let value = |key: &str| value(query, key);
    let tag = value("tag").ok_or((StatusCode::BAD_REQUEST, "write ?tag=TAG&since=1d\n".to_owned()))?;
    let ago = match value("since") {
        None => SINCE_DEFAULT,
        Some(since) => duration(&since)
            .ok_or((StatusCode::BAD_REQUEST, "since is a duration: 30m, 8h or 1d\n".to_owned()))?,
    };
    let history = history.ok_or((StatusCode::NOT_FOUND, "there is no history\n".to_owned()))?;
    let until = board.now().wall;
    let since = Wall(until.0.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)));
    let failed = |error: HistoryError| match error {
        HistoryError::UnknownPoint { tag, nearest } => {
            let nearest = nearest.map(|tag| format!("; did you mean '{tag}'?")).unwrap_or_default();
            (StatusCode::NOT_FOUND, format!("the history has no point '{tag}'{nearest}\n"))
        }
        error @ (HistoryError::Missing { .. }
        | HistoryError::Foreign { .. }
        | HistoryError::File { .. }
        | HistoryError::Sql { .. }
        | HistoryError::Block { .. }
        | HistoryError::Closed) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", chain(&error))),
    };
    let open = history.unwritten(&tag).await.map_err(failed)?;
    let (path, asked) = (history.path().to_owned(), tag.clone());
    // Off the runtime's threads: the disk may hang.
    let read =
        tokio::task::spawn_blocking(move || Reader::open(&path)?.trend(&asked, since, until, Some(open)));
    let trend = read.await.map_err(|_| failed(HistoryError::Closed))?.map_err(failed)?;
    let board = board.read();
    let plant = board.plant();
    let point = plant.point_id(&tag).and_then(|id| plant.point(id));
    Ok(Shown {
        name: point.map(|point| point.name.clone()).unwrap_or_default(),
        eu: point.map(|point| point.eu.clone()).unwrap_or_default(),
        timezone: board.site().timezone.clone(),
        tag,
        since,
        until,
        trend,
    })
}

/// What stands behind a key of a query.
pub(super) fn value(query: Option<&str>, key: &str) -> Option<String> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| decoded(known) == key).map(|(_, value)| decoded(value))
}

/// A page of lines that are as they are.
pub(super) fn preformatted(title: &str, text: &str) -> String {
    framed(title, &format!("<pre class=\"explained\">{}</pre>", escaped(text)))
}

/// The points of the plant, each with a link.
pub(super) fn list(board: &BoardHandle) -> String {
    let board = board.read();
    let mut rows = String::new();
    for point in board.plant().points() {
        let (tag, name) = (escaped(&point.tag), escaped(&point.name));
        // A text takes every write.
        let _written =
            write!(rows, "<li><a href=\"/trend?tag={}\">{tag}</a> {name}</li>", encoded(&point.tag));
    }
    framed("测点 points", &format!("<ol class=\"points\">{rows}</ol>"))
}

impl Shown {
    pub(super) fn view(&self) -> TrendView {
        let cut = self.trend.len().saturating_sub(SAMPLES_MAX);
        let sample = |reading: &Reading| {
            let (quality, reason) = words(reading.quality);
            SampleView {
                time: stamp(reading.at, &self.timezone),
                value: reading.value.clone(),
                quality,
                reason,
                late: reading.backfill,
            }
        };
        TrendView {
            tag: self.tag.clone(),
            name: self.name.clone(),
            eu: self.eu.clone(),
            since: stamp(self.since, &self.timezone),
            until: stamp(self.until, &self.timezone),
            cut: cut > 0,
            samples: self.trend.iter().skip(cut).map(sample).collect(),
        }
    }

    pub(super) fn page(&self) -> String {
        let mut body = String::new();
        let tag = encoded(&self.tag);
        let choices: Vec<String> = SINCE_CHOICES
            .iter()
            .map(|since| format!("<a href=\"/trend?tag={tag}&amp;since={since}\">{since}</a>"))
            .collect();
        let (from, to) = (stamp(self.since, &self.timezone), stamp(self.until, &self.timezone));
        let _written = write!(
            body,
            "<h1>{} <small>{}</small></h1><p>{} · {} — {}</p>{}",
            escaped(&self.tag),
            escaped(&self.name),
            choices.join(" "),
            from.get(..19).unwrap_or(&from),
            to.get(..19).unwrap_or(&to),
            self.picture(),
        );
        body.push_str("<table><tr><th>时间 time</th><th>数值 value</th><th>质量 quality</th></tr>");
        for reading in self.trend.iter().rev().take(ROWS_MAX) {
            let (quality, reason) = words(reading.quality);
            let value = reading.value.as_ref().map(ToString::to_string).unwrap_or_default();
            let late = if reading.backfill { " 补传 late" } else { "" };
            let _written = write!(
                body,
                "<tr><td>{}</td><td>{} {}</td><td>{quality} {reason}{late}</td></tr>",
                stamp(reading.at, &self.timezone),
                escaped(&value),
                escaped(&self.eu),
            );
        }
        body.push_str("</table>");
        framed(&self.tag, &body)
    }

    /// The line, with holes where nothing was known. A point that reads words has none.
    fn picture(&self) -> String {
        let columns = columns(&self.trend, self.since, self.until);
        let known = || columns.iter().flatten();
        let least = known().map(|(least, _)| *least).min_by(f64::total_cmp);
        let greatest = known().map(|(_, greatest)| *greatest).max_by(f64::total_cmp);
        let (Some(least), Some(greatest)) = (least, greatest) else {
            return "<p class=\"empty\">这段时间没有数值 no numbers in this time</p>".to_owned();
        };
        let span = if greatest > least { greatest - least } else { 1.0 };
        let y = |value: f64| HEIGHT - (value - least) / span * HEIGHT;
        let mut path = String::new();
        let mut drawn = false;
        for (place, column) in (0_u32..).zip(&columns) {
            let x = f64::from(place) * WIDTH / f64::from(u32::try_from(COLUMNS).unwrap_or(1));
            let Some((low, high)) = column else {
                drawn = false;
                continue;
            };
            let turn = if drawn { 'L' } else { 'M' };
            let _written = write!(path, "{turn}{x:.1} {:.1}L{x:.1} {:.1}", y(*low), y(*high));
            drawn = true;
        }
        format!(
            "<svg class=\"trend\" viewBox=\"0 -10 {WIDTH} {}\" role=\"img\"><path d=\"{path}\"/></svg>\
             <p>最大 max {greatest} {eu} · 最小 min {least} {eu}</p>",
            HEIGHT + 20.0,
            eu = escaped(&self.eu),
        )
    }
}

/// The least and the greatest number in force in each part of the time; `None`: nothing was.
fn columns(trend: &[Reading], since: Wall, until: Wall) -> Vec<Option<(f64, f64)>> {
    let mut columns: Vec<Option<(f64, f64)>> = vec![None; COLUMNS];
    let span = i128::from(until.0.saturating_sub(since.0).max(1));
    let wide = i128::try_from(COLUMNS).unwrap_or(1);
    let place = |at: Wall| {
        let at = i128::from(at.0.clamp(since.0, until.0).saturating_sub(since.0));
        usize::try_from(at * wide / span).unwrap_or(0).min(COLUMNS - 1)
    };
    let mut judged = trend.iter().filter(|reading| !reading.backfill).peekable();
    while let Some(reading) = judged.next() {
        let Some(number) =
            reading.value.as_ref().filter(|_| !reading.quality.is_bad()).and_then(Value::number)
        else {
            continue;
        };
        let from = place(reading.at);
        let to = judged.peek().map_or(COLUMNS - 1, |next| place(next.at)).max(from);
        for column in columns.iter_mut().take(to + 1).skip(from) {
            let (least, greatest) = column.unwrap_or((number, number));
            *column = Some((least.min(number), greatest.max(number)));
        }
    }
    columns
}

fn framed(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"zh-CN\"><head><meta charset=\"utf-8\"><title>{} · riskgate</title>\
         <link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\"><link rel=\"stylesheet\" href=\"/page.css\">\
         </head><body><section class=\"point\"><p><a href=\"/\">控制室 control room</a> · \
         <a href=\"/trend\">测点 points</a></p>{body}</section></body></html>",
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _written = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `%E7%BD%90` and `+` as they were meant.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        let mut ahead = rest.clone();
        match (byte, ahead.next().and_then(hex), ahead.next().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = ahead;
            }
            (b'+', ..) => bytes.push(b' '),
            (byte, ..) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `30m`, `8h`, `1d`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use riskgate_point::{BadReason, Quality};

    use super::*;

    fn reading(at: i64, number: f64) -> Reading {
        let (value, quality) = (Value::float(number), Quality::Good);
        Reading { at: Wall(at), source_time: None, value, quality, backfill: false }
    }

    #[test]
    fn a_short_peak_is_drawn_and_what_nobody_knew_is_a_hole() {
        let bad = Reading { value: None, quality: Quality::Bad(BadReason::Stale), ..reading(60_000, 0.0) };
        let trend = [reading(-5, 1.0), reading(1_000, 9.0), reading(1_001, 1.0), bad, reading(120_000, 2.0)];
        let columns = columns(&trend, Wall(0), Wall(600_000));
        assert_eq!(columns[0], Some((1.0, 1.0)));
        assert_eq!(columns[1], Some((1.0, 9.0)));
        assert_eq!((columns[59], columns[61], columns[119]), (Some((1.0, 1.0)), None, None));
        assert_eq!(columns[120..], [Some((2.0, 2.0)); 480]);
    }

    #[test]
    fn a_tag_comes_through_a_query_and_a_page_as_it_is() {
        let tag = "罐区/LT-1 <a&b>\"+%";
        assert_eq!(decoded(&encoded(tag)), tag);
        assert_eq!(decoded("a+b%2"), "a b%2");
        assert_eq!(escaped("<a&b>\""), "&lt;a&amp;b&gt;&quot;");
    }
}
