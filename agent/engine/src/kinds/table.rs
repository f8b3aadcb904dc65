//! The kinds: their keys, their defaults, and what each writes.
//!
//! Numbers from standards are named with them; the others are only where to begin.

use std::time::Duration;

use super::write::{Writer, duration_text, is_volume, quoted_eu, tag, text};
use super::{Form, Key, Kind, PointDraft};
use crate::Priority;

const fn key(name: &'static str, form: Form, default: &'static str, en: &'static str) -> Key {
    Key { name, form, default, en }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const POINT: Key = key("point", Form::Text, "", "the tag");
const POINTS: Key = key("points", Form::Texts, "", "their tags");
const PLACE: Key = key("place", Form::Text, "the unit of the measure", "a zone or a unit");
const WORK: Key = key("work", Form::Text, "", "the kind of special work: hot_work, confined_space, …");

/// Every kind there is.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    Kind { name: "rate", zh: "变化过快", en: "changes too fast",
        keys: &[POINT, key("above", Form::Number, "", "per minute, at or above"), key("below", Form::Number, "", "per minute, at or below"), key("window", Form::Duration, "5m", "over which it is taken")],
        priority: Priority::Medium, on_delay: secs(0), off_delay: secs(0),
        example: "point = \"TI-101\", above = 2.5, window = \"5m\"", write: rate },
    Kind { name: "deviation", zh: "两测点偏差过大", en: "two points differ by too much",
        keys: &[POINT, key("other", Form::Text, "", "the tag that it should read like"), key("more", Form::Number, "", "the difference, in their eu, at or above")],
        priority: Priority::Medium, on_delay: secs(15), off_delay: secs(0),
        example: "point = \"LI-101\", other = \"LI-102\", more = 3.0", write: deviation },
    Kind { name: "frozen", zh: "读数不动", en: "the reading does not move",
        keys: &[POINT, key("window", Form::Duration, "30m", "for so long"), key("band", Form::Number, "0", "what counts as no move, in its eu"), key("rest", Form::Number, "", "a value at which it may rest")],
        priority: Priority::Medium, on_delay: secs(0), off_delay: secs(0),
        example: "point = \"LI-101\", window = \"30m\", band = 0.05, rest = 0.0", write: frozen },
    Kind { name: "range", zh: "读数超出合理范围", en: "the reading is out of what makes sense",
        keys: &[POINT, key("low", Form::Number, "the lower end of its range", "at or below"), key("high", Form::Number, "the upper end of its range", "at or above")],
        priority: Priority::Medium, on_delay: secs(10), off_delay: secs(0),
        example: "point = \"TI-101\", low = -20.0, high = 150.0", write: range },
    Kind { name: "discrepancy", zh: "表决信号不一致", en: "points that vote do not agree",
        keys: &[POINTS, key("more", Form::Number, "", "of numbers: the difference, at or above")],
        priority: Priority::High, on_delay: secs(10), off_delay: secs(0),
        example: "points = [\"LS-101A\", \"LS-101B\", \"LS-101C\"]", write: discrepancy },
    Kind { name: "sis_trip", zh: "联锁动作", en: "a safety function tripped; the words say which was first out",
        keys: &[POINTS],
        priority: Priority::Critical, on_delay: secs(0), off_delay: secs(0),
        example: "points = [\"XS-101\", \"XS-102\"]", write: sis_trip },
    Kind { name: "bypass", zh: "联锁旁路超时", en: "a bypass lasts longer than `for`, 8 h where it says nothing",
        keys: &[key("point", Form::Text, "", "the tag of the bypass"), key("source", Form::Text, "", "or the source of its alarm"), key("condition", Form::Text, "", "and the alarm's name")],
        priority: Priority::High, on_delay: secs(8 * 3600), off_delay: secs(0),
        example: "point = \"XS-101-BYP\"", write: bypass },
    Kind { name: "overcrowding", zh: "超员", en: "more people than allowed; lost tags count",
        keys: &[PLACE, key("limit", Form::Number, "the limit of the zone", "the most that may be there")],
        priority: Priority::High, on_delay: secs(10), off_delay: secs(60),
        example: "place = \"tank-a-dike\", limit = 3", write: overcrowding },
    Kind { name: "off_post", zh: "脱岗", en: "too few of a role are at their post; lost tags do not count",
        keys: &[PLACE, key("role", Form::Text, "", "of whom"), key("least", Form::Number, "1", "the least that must be there")],
        priority: Priority::High, on_delay: secs(120), off_delay: secs(0),
        example: "place = \"control-room\", role = \"operator\", least = 2", write: off_post },
    Kind { name: "still", zh: "长时间静止", en: "a person does not move",
        keys: &[PLACE, key("length", Form::Duration, "5m", "for so long")],
        priority: Priority::High, on_delay: secs(0), off_delay: secs(0),
        example: "place = \"tank-a\", length = \"5m\"", write: still },
    Kind { name: "sos", zh: "一键求救", en: "a person calls for help",
        keys: &[key("place", Form::Text, "anywhere, also outside of all zones", "a zone or a unit")],
        priority: Priority::Critical, on_delay: secs(0), off_delay: secs(0),
        example: "place = \"tank-a\"", write: sos },
    Kind { name: "lone", zh: "单人作业", en: "one person is alone",
        keys: &[PLACE],
        priority: Priority::High, on_delay: secs(60), off_delay: secs(0),
        example: "place = \"tank-a-dike\"", write: lone },
    Kind { name: "intrusion", zh: "越界闯入", en: "a person is where none may be, but for some roles",
        keys: &[PLACE, key("roles", Form::Texts, "nobody", "the roles that may be there")],
        priority: Priority::High, on_delay: secs(0), off_delay: secs(0),
        example: "place = \"tank-a-dike\", roles = [\"operator\", \"guardian\"]", write: intrusion },
    Kind { name: "sighting", zh: "视频告警", en: "cameras saw it repeatedly, or once beside a second source",
        keys: &[PLACE, key("sees", Form::Text, "", "what is seen: smoke, flame, no_helmet, …"), key("confidence", Form::Number, "0.6", "from 0 to 1"), key("window", Form::Duration, "30s", "within so long"), key("times", Form::Number, "3", "so many times"), key("with", Form::Text, "", "a condition beside which once is enough")],
        priority: Priority::Medium, on_delay: secs(0), off_delay: secs(0),
        example: "sees = \"smoke\", times = 3, with = \"{GD-101} >= 10\"", write: sighting },
    Kind { name: "permit_gas", zh: "动火作业可燃气体超限", en: "gas beyond what GB 30871 allows while hot work is permitted",
        keys: &[PLACE, key("work", Form::Text, "hot_work", "the kind of special work"), POINTS, key("gas", Form::Text, "", "methane, hydrogen, acetone, benzene"), key("lel", Form::Number, "of the gas", "its lower explosive limit, % of volume")],
        priority: Priority::Critical, on_delay: secs(0), off_delay: secs(0),
        example: "points = [\"GD-101\"], gas = \"methane\"", write: permit_gas },
    Kind { name: "oxygen", zh: "氧含量异常", en: "too little oxygen to breathe, or so much that things burn",
        keys: &[POINTS, key("low", Form::Number, "19.5", "% of volume, at or below (GB/T 50493, GB 30871)"), key("high", Form::Number, "23.5", "% of volume, at or above"), key("work", Form::Text, "", "only while this kind of special work is permitted"), PLACE],
        priority: Priority::Critical, on_delay: secs(0), off_delay: secs(0),
        example: "points = [\"OX-101\"]", write: oxygen },
    Kind { name: "conflicting_work", zh: "相互冲突的作业", en: "special work that may not go on side by side is permitted at once (GB 30871: 30 m)",
        keys: &[key("works", Form::Texts, "", "kinds of special work of which one at most may go on"), key("near", Form::Texts, "the unit alone", "the units within 30 m of the place"), PLACE],
        priority: Priority::High, on_delay: secs(0), off_delay: secs(0),
        example: "works = [\"hot_work\", \"blind_plate\"], near = [\"tank-b\"]", write: conflicting_work },
    Kind { name: "gas_test", zh: "气体分析超时未做", en: "special work begins, or goes on, without a gas test that is recent enough (GB 30871)",
        keys: &[key("point", Form::Text, "", "the point of this place that each gas test is a reading of; its age counts from when it was received, whatever time it tells"), WORK, key("before", Form::Duration, "30m", "how old the test may be when work begins"), key("pause", Form::Duration, "30m", "a longer break wants another: 60m for second-class hot work and confined spaces"), key("interval", Form::Duration, "8h", "how old it may be at all: 2h in confined spaces"), PLACE],
        priority: Priority::High, on_delay: secs(10), off_delay: secs(0),
        example: "point = \"QT-101\", work = \"hot_work\"", write: gas_test },
    Kind { name: "permit_expired", zh: "作业票到期仍有人", en: "a permit is over and people are still inside",
        keys: &[PLACE, WORK, key("within", Form::Duration, "8h", "after its end")],
        priority: Priority::High, on_delay: secs(60), off_delay: secs(0),
        example: "place = \"vessel-3\", work = \"confined_space\"", write: permit_expired },
    Kind { name: "guardian_away", zh: "监护人离开", en: "the guardian of permitted work is away",
        keys: &[PLACE, WORK],
        priority: Priority::High, on_delay: secs(10), off_delay: secs(0),
        example: "work = \"hot_work\"", write: guardian_away },
];

fn rate(of: &mut Writer<'_>) -> Option<String> {
    let point = tag(of.measured("point")?);
    let rate = format!("rate({point}, {})", of.duration("window", secs(300)));
    let parts = [(">=", of.number("above")), ("<=", of.number("below"))];
    let parts = parts.into_iter().filter_map(|(sign, limit)| Some(format!("{rate} {sign} {}", limit?)));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        of.error(
            "above",
            "neither 'above' nor 'below' is given",
            Some("write above = 2.5, per minute".to_owned()),
        );
        return None;
    }
    Some(parts.join(" or "))
}

fn deviation(of: &mut Writer<'_>) -> Option<String> {
    let (one, other) = (of.measured("point"), of.measured("other"));
    let more = positive(of, "more")?;
    let (one, other) = (tag(one?), tag(other?));
    if one == other {
        of.error("other", "it is the same point", Some("name the point that it should read like".to_owned()));
        return None;
    }
    Some(apart(&one, &other, more))
}

fn apart(one: &str, other: &str, more: f64) -> String {
    format!("{one} - {other} >= {more} or {other} - {one} >= {more}")
}

fn positive(of: &mut Writer<'_>, key: &'static str) -> Option<f64> {
    let number = of.needed_number(key)?;
    if number > 0.0 {
        return Some(number);
    }
    of.error(key, format!("'{key}' = {number} is no difference"), Some("write a number above 0".to_owned()));
    None
}

fn frozen(of: &mut Writer<'_>) -> Option<String> {
    let point = tag(of.measured("point")?);
    let window = of.duration("window", secs(1_800));
    let band = of.number("band").unwrap_or(0.0);
    if band < 0.0 {
        of.error("band", "a band below 0", Some("write 0 or more".to_owned()));
        return None;
    }
    let unmoved = format!("max({point}, {window}) - min({point}, {window}) <= {band}");
    Some(match of.number("rest") {
        Some(rest) => format!("{unmoved} and ({point} > {} or {point} < {})", rest + band, rest - band),
        None => unmoved,
    })
}

fn range(of: &mut Writer<'_>) -> Option<String> {
    let point = of.measured("point")?;
    let low = of.number("low").or(point.range.map(|(low, _)| low));
    let high = of.number("high").or(point.range.map(|(_, high)| high));
    if let (Some(low), Some(high)) = (low, high)
        && low >= high
    {
        of.error("low", format!("'low' = {low} is not below 'high' = {high}"), None);
        return None;
    }
    let parts = [("<=", low), (">=", high)];
    let point = tag(point);
    let parts = parts.into_iter().filter_map(|(sign, limit)| Some(format!("{point} {sign} {}", limit?)));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        let hint = "write low and high, or give the point its range".to_owned();
        of.error("low", "neither 'low' nor 'high' is given, and the point has no range", Some(hint));
        return None;
    }
    Some(parts.join(" or "))
}

fn discrepancy(of: &mut Writer<'_>) -> Option<String> {
    let points = of.points("points", 2)?;
    let tags: Vec<String> = points.iter().map(|point| tag(point)).collect();
    if points.iter().all(|point| point.boolean) {
        return Some(format!("({}) and not ({})", tags.join(" or "), tags.join(" and ")));
    }
    if points.iter().any(|point| point.boolean || point.text || !point.words.is_empty()) {
        let hint = "all of them read numbers, or all are on or off".to_owned();
        of.error("points", "points of different types cannot vote", Some(hint));
        return None;
    }
    let more = positive(of, "more")?;
    let pairs = tags
        .iter()
        .enumerate()
        .flat_map(|(at, one)| tags.iter().skip(at + 1).map(move |other| apart(one, other, more)));
    Some(pairs.collect::<Vec<_>>().join(" or "))
}

fn sis_trip(of: &mut Writer<'_>) -> Option<String> {
    let points = of.points("points", 1)?;
    if let Some(other) = points.iter().find(|point| !point.boolean) {
        let hint = "give it type bool in the point table, or write `when`".to_owned();
        of.error("points", format!("'{}' is neither on nor off", other.tag), Some(hint));
        return None;
    }
    let tags: Vec<String> = points.iter().map(|point| tag(point)).collect();
    Some(if tags.len() == 1 { tags.concat() } else { format!("first_out({})", tags.join(", ")) })
}

fn bypass(of: &mut Writer<'_>) -> Option<String> {
    if let (Some(source), Some(name)) = (of.text("source"), of.text("condition")) {
        return Some(format!("condition({}, {})", text(source), text(name)));
    }
    let point = of.point("point")?;
    if !point.boolean {
        let hint = "give it type bool in the point table, or write `when`".to_owned();
        of.error("point", format!("'{}' is neither on nor off", point.tag), Some(hint));
        return None;
    }
    Some(tag(point))
}

fn overcrowding(of: &mut Writer<'_>) -> Option<String> {
    let place = of.place()?;
    let zone = of.draft.zones.iter().find(|zone| zone.id == place).and_then(|zone| zone.limit);
    let Some(limit) = of.number("limit").or(zone.map(f64::from)) else {
        let hint = "write limit = 3 here or at the [[zone]]".to_owned();
        of.error("limit", format!("'limit' is missing, and '{place}' has none"), Some(hint));
        return None;
    };
    whole(of, "limit", limit)?;
    Some(format!("people({}) > {limit}", text(place)))
}

fn whole(of: &mut Writer<'_>, key: &'static str, number: f64) -> Option<()> {
    if number >= 0.0 && number.fract() == 0.0 {
        return Some(());
    }
    of.error(
        key,
        format!("'{key}' = {number} is no number of persons"),
        Some("write a whole number".to_owned()),
    );
    None
}

fn off_post(of: &mut Writer<'_>) -> Option<String> {
    let (place, role) = (of.place(), of.needed_text("role"));
    let least = of.number("least").unwrap_or(1.0);
    whole(of, "least", least)?;
    Some(format!("present({}, {}) < {least}", text(place?), text(role?)))
}

fn still(of: &mut Writer<'_>) -> Option<String> {
    let place = of.place()?;
    Some(format!("still({}, {})", text(place), of.duration("length", secs(300))))
}

fn sos(of: &mut Writer<'_>) -> Option<String> {
    if of.text("place").is_none() {
        return Some("sos()".to_owned());
    }
    Some(format!("sos({})", text(of.place()?)))
}

fn lone(of: &mut Writer<'_>) -> Option<String> {
    Some(format!("lone({})", text(of.place()?)))
}

fn intrusion(of: &mut Writer<'_>) -> Option<String> {
    let place = text(of.place()?);
    let allowed = of.texts("roles").iter().map(|role| format!(" - people({place}, {})", text(role)));
    Some(format!("people({place}){} > 0", allowed.collect::<String>()))
}

fn sighting(of: &mut Writer<'_>) -> Option<String> {
    let (unit, sees) = (of.unit(), of.needed_text("sees"));
    let confidence = of.number("confidence").unwrap_or(0.6);
    let window = of.duration("window", secs(30));
    let times = of.number("times").unwrap_or(3.0);
    let seen = |times: String| {
        let (unit, sees) = (text(unit?), text(sees?));
        Some(format!("seen({unit}, {sees}, confidence = {confidence}, window = {window}{times})"))
    };
    let often = seen(format!(", times = {times}"))?;
    Some(match of.text("with") {
        Some(with) => format!("{often} or ({} and ({with}))", seen(String::new())?),
        None => often,
    })
}

fn permit_gas(of: &mut Writer<'_>) -> Option<String> {
    let unit = of.unit();
    let work = of.text("work").unwrap_or("hot_work");
    let points = of.points("points", 1)?;
    let limits: Vec<Option<String>> = points
        .into_iter()
        .map(|point| Some(format!("{} > {}", tag(point), of.permit_limit(point)?)))
        .collect();
    let limits: Option<Vec<String>> = limits.into_iter().collect();
    // While nobody can see the permits, work may be going on.
    Some(format!("maybe(permit({}, {})) and ({})", text(unit?), text(work), limits?.join(" or ")))
}

fn oxygen(of: &mut Writer<'_>) -> Option<String> {
    let (low, high) = (of.number("low").unwrap_or(19.5), of.number("high").unwrap_or(23.5));
    let points = of.points("points", 1)?;
    if let Some(other) = points.iter().find(|point| !is_volume(&point.eu)) {
        let message = format!("'{}' reads {}, not %VOL", other.tag, quoted_eu(&other.eu));
        of.error("points", message, Some("give it its eu in the point table".to_owned()));
        return None;
    }
    if !(0.0 < low && low < high && high < 100.0) {
        let hint = "air has 20.9 % of volume: low = 19.5, high = 23.5".to_owned();
        of.error("low", format!("'low' = {low} and 'high' = {high} are no two sides of air"), Some(hint));
        return None;
    }
    let sides = |point: &PointDraft| format!("{0} <= {low} or {0} >= {high}", tag(point));
    let beyond = points.into_iter().map(sides).collect::<Vec<_>>().join(" or ");
    Some(match of.text("work") {
        None => beyond,
        // While nobody can see the permits, work may be going on.
        Some(work) => format!("maybe(permit({}, {})) and ({beyond})", text(of.unit()?), text(work)),
    })
}

fn conflicting_work(of: &mut Writer<'_>) -> Option<String> {
    let (works, unit) = (of.texts("works"), of.unit());
    if works.len() < 2
        || works.iter().enumerate().any(|(at, work)| works.iter().take(at).any(|of| of == work))
    {
        let hint = format!("name two or more, each once: {}", of.of.kind.example);
        of.error("works", format!("'works' names {} kinds of special work", works.len()), Some(hint));
        return None;
    }
    let near = of.units("near")?;
    let units: Vec<&str> = [unit?].into_iter().chain(near).collect();
    let somewhere = |work: &String| {
        let permits = units.iter().map(|unit| format!("permit({}, {})", text(unit), text(work)));
        permits.collect::<Vec<_>>().join(" or ")
    };
    Some(format!("at_least(2, {})", works.iter().map(somewhere).collect::<Vec<_>>().join(", ")))
}

/// Work that begins is judged for so long. A test ages meanwhile by as much, and that is not held against it.
const BEGINS: Duration = secs(60);
/// A condition that holds for so long at most is not waited for any longer: what is left over of `BEGINS` is by
/// how much a test may be too old and still be told.
const BEGINS_FOR: Duration = secs(50);

/// Judged in the minute after work begins, where `recently` bridges what is no break: a test that is too old by then stays so until
/// the next one, or until the work is over for as long as a break.
fn gas_test(of: &mut Writer<'_>) -> Option<String> {
    let (unit, point, work) = (of.unit(), of.point("point"), of.needed_text("work"));
    let (before, interval) = (of.length("before", secs(1_800)), of.duration("interval", secs(8 * 3600)));
    let pause = of.duration("pause", secs(1_800));
    if of.for_ >= BEGINS_FOR {
        let message = format!(
            "'for' = {} leaves no time: work is judged for 1m when it begins",
            duration_text(of.for_)
        );
        of.error("for", message, Some("write less than 50s, or leave it out: it is 10s".to_owned()));
        return None;
    }
    let (permit, age) =
        (format!("permit({}, {})", text(unit?), text(work?)), format!("age({})", tag(point?)));
    let work = format!("recently({permit}, {pause})");
    let (begins, at_most) = (duration_text(BEGINS), duration_text(before.saturating_add(BEGINS)));
    of.clear = Some(format!("{age} <= {} or not {work}", duration_text(before)));
    Some(format!("{permit} and ({age} > {interval} or ({age} > {at_most} and count({work}, {begins}) >= 1))"))
}

fn permit_expired(of: &mut Writer<'_>) -> Option<String> {
    let (unit, place, work) = (of.unit(), of.place(), of.needed_text("work"));
    let within = of.duration("within", secs(8 * 3600));
    let permit = format!("permit({}, {})", text(unit?), text(work?));
    Some(format!("recently({permit}, {within}) and not {permit} and people({}) > 0", text(place?)))
}

fn guardian_away(of: &mut Writer<'_>) -> Option<String> {
    let (unit, work) = (of.unit(), of.needed_text("work"));
    let of_work = format!("({}, {})", text(unit?), text(work?));
    Some(format!("permit{of_work} and not guarded{of_work}"))
}
