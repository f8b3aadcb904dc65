//! Divides every duration of a configuration's text by a whole number, so that the plant, the rules and
//! the scenario of a demo run faster together.
//!
//! It works on the text, not on the meaning: in TOML each string that is a duration as a whole, and each
//! duration literal inside the expressions `when` and `clear`; in a point table the columns of delay and
//! staleness. Comments, tags, words and everything else stay byte for byte as they were. What a protocol
//! or a machine cannot do any faster has a floor. Rates per minute (`rate`) are not durations and are not
//! touched: the demo's rules have none.

use std::time::Duration;

/// No duration with this key goes below. Milliseconds.
const FLOORS_MS: &[(&str, u64)] = &[
    // The slowest poll of the demo then still answers in a tenth of its period.
    ("period", 50),
    // Replies do not come faster because the plant does.
    ("timeout", 400),
    ("connect_timeout", 500),
    // What the demo's OPC UA server samples and publishes at the fastest.
    ("publishing", 100),
    ("sampling", 100),
    ("keep_alive", 1_000),
    // Silence counts only where several messages are missing.
    ("stale_after", 5_000),
    ("telemetry", 100),
    // All sources connect within this, on a machine that has other work too.
    ("strict", 2_000),
];

/// The columns of a point table that hold durations, with the key whose floor they share.
const COLUMNS: &[(&str, &str)] =
    &[("延时", "for"), ("delay", "for"), ("失效时间", "stale_after"), ("stale_after", "stale_after")];

/// Keys whose text is an expression.
const EXPRESSIONS: &[&str] = &["when", "clear"];

/// A duration as people write it: `500ms`, `2.5s`, `1m`, `8h`, `1d`.
fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, eu) = text.split_at_checked(digits)?;
    let seconds = match eu {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// In the largest whole unit of time that holds it exactly. Parts of a millisecond are lost; a duration
/// that was not zero stays at least one millisecond.
fn print(duration: Duration) -> String {
    let millis = duration.as_millis();
    let millis = if millis == 0 && !duration.is_zero() { 1 } else { millis };
    for (whole, eu) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis != 0 && millis.is_multiple_of(whole) {
            return format!("{}{eu}", millis / whole);
        }
    }
    format!("{millis}ms")
}

fn divide(key: &str, duration: Duration, speed: u32) -> Duration {
    let floor = FLOORS_MS.iter().find(|(name, _)| *name == key).map_or(0, |(_, floor)| *floor);
    // A floor slows nothing down: what was below it stays as it was.
    let floor = Duration::from_millis(floor).min(duration);
    (duration / speed.max(1)).max(floor)
}

/// The text of one TOML file with every duration divided by `speed`.
pub(super) fn toml(text: &str, speed: u32) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // The last bare word before the string that is being read: its key.
    let mut word = String::new();
    let mut in_word = false;
    while let Some(next) = rest.chars().next() {
        if next == '#' {
            let end = rest.find('\n').unwrap_or(rest.len());
            rest = copy(&mut out, rest, end);
        } else if next == '"' || next == '\'' {
            let (open, inner, after) = string(rest, next);
            let fast = if EXPRESSIONS.contains(&word.as_str()) {
                expression(inner, speed)
            } else if let Some(duration) = parse(inner) {
                print(divide(&word, duration, speed))
            } else {
                inner.to_owned()
            };
            out.extend([open, fast.as_str(), open]);
            rest = after;
            in_word = false;
        } else {
            let bare = next.is_ascii_alphanumeric() || next == '_' || next == '-';
            if bare && !in_word {
                word.clear();
            }
            if bare {
                word.push(next);
            }
            in_word = bare;
            rest = copy(&mut out, rest, next.len_utf8());
        }
    }
    out
}

/// Copies the first `length` bytes; what is after them.
fn copy<'t>(out: &mut String, rest: &'t str, length: usize) -> &'t str {
    let (head, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
    out.push_str(head);
    tail
}

/// The string that `rest` begins with: its quotes, what is in them, what follows. A string without an
/// end runs to the end of the text; the check of the copy will say so.
fn string(rest: &str, quote: char) -> (&'static str, &str, &str) {
    let (one, three) = if quote == '"' { ("\"", "\"\"\"") } else { ("'", "'''") };
    let open = if rest.starts_with(three) { three } else { one };
    let body = rest.strip_prefix(open).unwrap_or(rest);
    let mut from = 0;
    while let Some(found) = body.get(from..).and_then(|tail| tail.find(open)) {
        let at = from + found;
        let before = body.get(..at).unwrap_or(body);
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        if quote == '\'' || backslashes % 2 == 0 {
            return (open, before, body.get(at + open.len()..).unwrap_or(""));
        }
        from = at + 1;
    }
    (open, body, "")
}

/// An expression with its duration literals divided. Tags in braces and texts in quotes are left alone.
fn expression(text: &str, speed: u32) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '{' => rest.find('}').map_or(rest.len(), |end| end + 1),
            '\'' => rest.get(1..).and_then(|tail| tail.find('\'')).map_or(rest.len(), |end| end + 2),
            '0'..='9' if !previous.is_alphanumeric() && previous != '_' && previous != '.' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len());
                let literal = rest.get(..end).unwrap_or(rest);
                if let Some(duration) = parse(literal) {
                    out.push_str(&print(divide("window", duration, speed)));
                    previous = 's';
                    rest = rest.get(end..).unwrap_or("");
                    continue;
                }
                end
            }
            other => other.len_utf8(),
        };
        previous = rest.get(..length).and_then(|done| done.chars().last()).unwrap_or(' ');
        rest = copy(&mut out, rest, length);
    }
    out
}

/// A point table (UTF-8, with or without a byte order mark, comma between cells) with the columns of
/// durations divided.
pub(super) fn csv(text: &str, speed: u32) -> Result<String, csv::Error> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.strip_prefix('\u{feff}').unwrap_or(text).as_bytes());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut keys: Vec<Option<&str>> = Vec::new();
    for row in reader.records() {
        let row = row?;
        if keys.is_empty() {
            let key = |cell: &str| COLUMNS.iter().find(|(name, _)| *name == cell).map(|(_, key)| *key);
            keys = row.iter().map(key).collect();
            writer.write_record(&row)?;
            continue;
        }
        let cells = row.iter().zip(&keys).map(|(cell, key)| match (key, parse(cell)) {
            (Some(key), Some(duration)) => print(divide(key, duration, speed)),
            (Some(_) | None, _) => cell.to_owned(),
        });
        writer.write_record(cells)?;
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(format!("\u{feff}{}", String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_of_a_toml_text_is_divided_and_nothing_else_is_touched() {
        let text = concat!(
            "# for = \"10s\" stays in a comment, and so does 'its'\n",
            "for = \"2s\"\n",
            "name = \"罐区A 10s\" # 10s\n",
            "clear_for=\"1m\"\n",
            "hazard = { level = \"general\", deadline = \"24h\" }\n",
            "task = { id = \"T-1h\", cycle = '1h', hold = \"500ms\" }\n",
            "quoted = \"a \\\"10s\\\" b\"\n",
            "port = 18830\n",
        );
        let fast = concat!(
            "# for = \"10s\" stays in a comment, and so does 'its'\n",
            "for = \"400ms\"\n",
            "name = \"罐区A 10s\" # 10s\n",
            "clear_for=\"12s\"\n",
            "hazard = { level = \"general\", deadline = \"288m\" }\n",
            "task = { id = \"T-1h\", cycle = '12m', hold = \"100ms\" }\n",
            "quoted = \"a \\\"10s\\\" b\"\n",
            "port = 18830\n",
        );
        assert_eq!(toml(text, 5), fast);
    }

    #[test]
    fn durations_inside_expressions_are_divided_but_not_tags_texts_or_numbers() {
        let text = "when = \"max({GD-1m}, 1m) < 20 and held({T.30s} > 30.5, 30s) and seen('U 30s', 'smoke', \
                    confidence = 0.6, window = 1h) and x2s == 2\"";
        let fast = "when = \"max({GD-1m}, 6s) < 20 and held({T.30s} > 30.5, 3s) and seen('U 30s', 'smoke', \
                    confidence = 0.6, window = 6m) and x2s == 2\"";
        assert_eq!(toml(text, 10), fast);
    }

    #[test]
    fn an_expression_may_stand_in_any_kind_of_string() {
        assert_eq!(toml("when = '''\nheld({A} > 1, 10s)\n'''", 10), "when = '''\nheld({A} > 1, 1s)\n'''");
        assert_eq!(toml("clear = \"\"\"avg({A}, 1m)\"\"\"", 10), "clear = \"\"\"avg({A}, 6s)\"\"\"");
    }

    #[test]
    fn what_a_protocol_cannot_do_faster_has_a_floor_and_a_floor_slows_nothing_down() {
        assert_eq!(
            toml("period = \"1s\"\ntimeout = \"500ms\"", 100),
            "period = \"50ms\"\ntimeout = \"400ms\""
        );
        assert_eq!(toml("period = \"20ms\"", 10), "period = \"20ms\"");
        assert_eq!(toml("source = [{ stale_after = \"30s\" }]", 10), "source = [{ stale_after = \"5s\" }]");
    }

    #[test]
    fn at_speed_one_a_text_stays_as_it_is() {
        let text = "for = \"2s\" # x\nwhen = \"held({A} > 1, 90s)\"\n";
        assert_eq!(toml(text, 1), text);
        assert_eq!(print(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn a_short_duration_never_becomes_none() {
        assert_eq!(toml("for = \"1ms\"", 10), "for = \"1ms\"");
        assert_eq!(toml("for = \"0s\"", 10), "for = \"0ms\"");
    }

    #[test]
    fn a_point_table_keeps_its_cells_but_for_delay_and_staleness() {
        let text = "\u{feff}位号,名称,延时,失效时间,处置建议\r\nLT-1,\"罐,1s\",3s,30s,等10s\r\nLT-2,,,,\r\n";
        let fast = csv(text, 3).expect("a good table");
        assert_eq!(fast, "\u{feff}位号,名称,延时,失效时间,处置建议\nLT-1,\"罐,1s\",1s,10s,等10s\nLT-2,,,,\n");
    }
}
