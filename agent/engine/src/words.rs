//! Sentences for plant people, Chinese and English, made from the plant's own names.
//!
//! No text of a rule stands in them, only what was read: `罐区A内2人`, `camera of 罐区A: smoke`. The text, and
//! each operand as it is written, is in the evidence. A measured number has four significant digits: more is
//! noise to a reader. Nothing here decides.

use std::time::Duration;

use riskgate_point::{BadReason, PermitKind, PointId, Quality, Value};

use crate::expr::{
    About, AskedPlace, ConditionState, PastKind, Program, WindowKind, permit_words, sighting_zh,
};
use crate::plant::{Condition, LimitTest, Plant, Rule};
use crate::{Operand, PointDraft, SourceDraft, Words};

/// Operands named in the sentence of a written rule; the rest stands in the evidence.
const NAMED: usize = 4;

const SIGNIFICANT: i32 = 4;

/// Of a text that a point reads, likewise: free text may be a page.
const TEXT_CHARACTERS: usize = 40;

/// Of an alarm as its source tells it, likewise.
const DETAIL_CHARACTERS: usize = 80;

/// Of a driver's reason, what is told in a sentence.
const WHY_CHARACTERS: usize = 200;

/// A measured number as a person writes it: four significant digits, more where it is a whole number of
/// more, no trailing zeros.
pub(crate) fn short(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        let text = format!("{number:.3e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", plain(digits));
    }
    // The magnitude is between -4 and 15 here.
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a number within the bounds above")]
    let magnitude = if size == 0.0 { 0 } else { size.log10().floor() as i32 };
    let decimals = usize::try_from(SIGNIFICANT - 1 - magnitude).unwrap_or(0);
    plain(&format!("{number:.decimals$}")).to_owned()
}

fn plain(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// The same in both languages.
fn same(text: String) -> Words {
    Words { en: text.clone(), zh: text }
}

fn both(zh: String, en: String) -> Words {
    Words { zh, en }
}

/// A value as a person writes it, with its engineering unit: a measured number with four significant digits,
/// a long text cut.
pub fn value_words(value: &Value, eu: &str) -> String {
    let text = match value {
        Value::Float(number) => short(number.get()),
        Value::Text(text) => return cut(text, TEXT_CHARACTERS),
        Value::Bool(_) | Value::Int(_) => value.to_string(),
    };
    with_eu(text, eu)
}

/// Behind a value that counts although the point is bad.
fn kept(quality: Quality) -> (&'static str, &'static str) {
    if quality.is_bad() { ("（最后读数）", " (last reading)") } else { ("", "") }
}

/// At most so many characters; where more were, the last says so.
fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters - 1).chain(['…']).collect()
}

fn with_eu(text: String, eu: &str) -> String {
    if eu.is_empty() { text } else { format!("{text} {eu}") }
}

fn tag_and_name(point: &PointDraft) -> String {
    if point.name.is_empty() || point.name == point.tag {
        point.tag.clone()
    } else {
        format!("{} {}", point.tag, point.name)
    }
}

/// Why a rule's episode began.
pub(crate) fn of_rule(plant: &Plant, rule: &Rule, operands: &[Operand], on_unknown: bool) -> Words {
    let mut words = match &rule.condition {
        Condition::Limit(test) => of_limit(plant, rule, test, operands),
        Condition::Text { when, .. } => of_text(plant, rule, when, operands),
    };
    if on_unknown {
        words.zh.push_str("（延时期间读数中断，待人工确认）");
        words.en.push_str(" (not readable when the delay ran out; to be judged by a person)");
    }
    words
}

fn of_limit(plant: &Plant, rule: &Rule, test: &LimitTest, operands: &[Operand]) -> Words {
    let Some(point) = plant.point(test.point) else { return rule.name.clone() };
    let limit = with_eu(test.limit.to_string(), &point.eu);
    let sign = if test.kind.is_high() { "≥" } else { "≤" };
    let side = if test.kind.is_high() { "at or above" } else { "at or below" };
    let who = tag_and_name(point);
    let (zh, en) = (&rule.name.zh, &rule.name.en);
    let read = operands.first().and_then(|operand| Some((operand.value.as_ref()?, operand.quality)));
    match read {
        Some((read, quality)) => {
            let read = beyond(read, test, &point.eu);
            let (kept_zh, kept_en) = kept(quality);
            Words {
                zh: format!("{who} {zh}：{read}{kept_zh}，限值 {sign} {limit}"),
                en: format!("{who} {en}: {read}{kept_en}, {side} {limit}"),
            }
        }
        None => Words {
            zh: format!("{who} {zh}：限值 {sign} {limit}"),
            en: format!("{who} {en}: {side} {limit}"),
        },
    }
}

/// What crossed a limit, with as many digits as it takes to see that it did.
fn beyond(read: &Value, test: &LimitTest, eu: &str) -> String {
    match read {
        Value::Float(number) if test.crossed(number.get()) => {
            let text = short(number.get());
            let shows = text.parse().is_ok_and(|shown| test.crossed(shown));
            with_eu(if shows { text } else { number.get().to_string() }, eu)
        }
        Value::Float(_) | Value::Bool(_) | Value::Int(_) | Value::Text(_) => value_words(read, eu),
    }
}

fn of_text(plant: &Plant, rule: &Rule, when: &Program, operands: &[Operand]) -> Words {
    let named = when.about().zip(operands).take(NAMED);
    let named: Vec<Words> = named.map(|(about, operand)| of_operand(plant, about, operand)).collect();
    if named.is_empty() {
        return rule.name.clone();
    }
    let zh: Vec<&str> = named.iter().map(|words| words.zh.as_str()).collect();
    let en: Vec<&str> = named.iter().map(|words| words.en.as_str()).collect();
    Words {
        zh: format!("{}：{}", rule.name.zh, zh.join("，")),
        en: format!("{}: {}", rule.name.en, en.join(", ")),
    }
}

fn of_operand(plant: &Plant, about: About<'_>, operand: &Operand) -> Words {
    match about {
        About::Point(id) => of_point(plant, id, operand),
        About::Window { kind, point, length } => {
            let Some(point) = plant.point(point) else { return same(operand.text.clone()) };
            let eu = match kind {
                WindowKind::Rate => format!("{}/min", point.eu),
                WindowKind::Average
                | WindowKind::Min
                | WindowKind::Max
                | WindowKind::Delta
                | WindowKind::Deviation => point.eu.clone(),
            };
            let (what, over) = (of_window(kind), span(length));
            let who = both(
                format!("{}近{}{}", point.tag, over.zh, what.0),
                format!("{} {} in {}", point.tag, what.1, over.en),
            );
            equals(&who, operand, &eu)
        }
        About::People { place, role, present } => of_people(name_of(plant, place), role, present, operand),
        About::Seen { unit, kind } => {
            let (unit, zh, en) = (name_of(plant, unit), sighting_zh(kind), kind.replace('_', " "));
            match &operand.value {
                Some(Value::Bool(true)) => {
                    both(format!("{unit}视频：{zh}"), format!("camera of {unit}: {en}"))
                }
                Some(_) => both(format!("{unit}视频：未见{zh}"), format!("camera of {unit}: {en} not seen")),
                None => both(format!("{unit}视频：{zh}未知"), format!("camera of {unit}: {en} unknown")),
            }
        }
        About::Condition { source, name, state } => of_condition(plant, source, name, state, operand),
        About::Permit { unit, kind } => of_permit(plant, unit, kind, operand),
        About::Past { kind, length } => of_past(kind, length, operand),
        About::Place { place, asked } => of_place(name_of(plant, place), asked, operand),
        About::Active { rule } => {
            let name = plant.rule_named(rule).map(|rule| &rule.name);
            let (zh, en) = name.map_or((rule, rule), |name| (&name.zh, &name.en));
            yes_no(
                operand,
                (format!("“{zh}”报警中"), format!("alarm '{en}' active")),
                (format!("“{zh}”未报警"), format!("alarm '{en}' not active")),
                (format!("“{zh}”是否报警未知"), format!("whether alarm '{en}' is active unknown")),
            )
        }
        About::FirstOut => match operand.detail.as_deref().map(|tag| tag.trim_matches(['{', '}'])) {
            Some(tag) => {
                let who = plant.point_id(tag).and_then(|id| plant.point(id)).map(tag_and_name);
                let who = who.unwrap_or_else(|| tag.to_owned());
                both(format!("首出 {who}"), format!("first out {who}"))
            }
            None => yes_no(
                operand,
                ("联锁动作".to_owned(), "tripped".to_owned()),
                ("联锁未动作".to_owned(), "not tripped".to_owned()),
                ("联锁是否动作未知".to_owned(), "whether it tripped unknown".to_owned()),
            ),
        },
    }
}

type Told = (String, String);

/// A condition that is one, is none, or nobody knows.
fn yes_no(operand: &Operand, yes: Told, no: Told, unknown: Told) -> Words {
    let (zh, en) = match &operand.value {
        Some(Value::Bool(true)) => yes,
        Some(_) => no,
        None => unknown,
    };
    both(zh, en)
}

fn of_place(place: &str, asked: AskedPlace, operand: &Operand) -> Words {
    let (what_zh, what_en) = match asked {
        AskedPlace::Lone => ("仅一人".to_owned(), "one person alone".to_owned()),
        AskedPlace::Still(length) => {
            let over = span(length);
            (format!("有人静止{}", over.zh), format!("a person motionless for {}", over.en))
        }
        AskedPlace::Sos if place.is_empty() => {
            return yes_no(
                operand,
                ("有人求救".to_owned(), "a person calls for help".to_owned()),
                ("无人求救".to_owned(), "nobody calls for help".to_owned()),
                ("是否有人求救未知".to_owned(), "whether a person calls for help unknown".to_owned()),
            );
        }
        AskedPlace::Sos => ("有人求救".to_owned(), "a person calls for help".to_owned()),
        AskedPlace::Guarded { kind, .. } => {
            let (en, zh) = permit_words(kind);
            let en = en.replace('_', " ");
            return yes_no(
                operand,
                (format!("{place}{zh}监护人在场"), format!("guardian of {en} in {place} present")),
                (format!("{place}{zh}监护人不在场"), format!("guardian of {en} in {place} away")),
                (
                    format!("{place}{zh}监护人是否在场未知"),
                    format!("whether the guardian of {en} in {place} is present unknown"),
                ),
            );
        }
    };
    yes_no(
        operand,
        (format!("{place}{what_zh}"), format!("{what_en} in {place}")),
        (format!("{place}并非{what_zh}"), format!("not {what_en} in {place}")),
        (format!("{place}是否{what_zh}未知"), format!("whether {what_en} in {place} unknown")),
    )
}

fn of_past(kind: PastKind, length: Duration, operand: &Operand) -> Words {
    let over = span(length);
    match kind {
        PastKind::Count => match &operand.value {
            Some(n) => {
                let (least_zh, least_en) =
                    if operand.quality.is_good() { ("", "") } else { ("至少", "at least ") };
                both(
                    format!("{}内{least_zh}{n}次", over.zh),
                    format!("{least_en}{n} times within {}", over.en),
                )
            }
            None => both(format!("{}内次数未知", over.zh), format!("how often within {} unknown", over.en)),
        },
        PastKind::Recently => yes_no(
            operand,
            (format!("{}内发生过", over.zh), format!("it was so within {}", over.en)),
            (format!("{}内未发生", over.zh), format!("it was not so within {}", over.en)),
            (format!("{}内是否发生过未知", over.zh), format!("whether it was so within {} unknown", over.en)),
        ),
        PastKind::Then => yes_no(
            operand,
            (format!("{}内先后发生", over.zh), format!("one after the other within {}", over.en)),
            (format!("{}内未先后发生", over.zh), format!("not one after the other within {}", over.en)),
            (
                format!("{}内是否先后发生未知", over.zh),
                format!("whether one after the other within {} unknown", over.en),
            ),
        ),
        PastKind::Held => match &operand.value {
            Some(Value::Bool(true)) => {
                both(format!("条件已持续{}", over.zh), format!("condition held for {}", over.en))
            }
            Some(_) => both(format!("条件未持续{}", over.zh), format!("condition not held for {}", over.en)),
            None => both(
                format!("条件是否持续{}未知", over.zh),
                format!("whether the condition held for {} unknown", over.en),
            ),
        },
    }
}

fn of_people(place: &str, role: Option<&str>, present: bool, operand: &Operand) -> Words {
    let (mut role_zh, mut role_en) =
        role.map_or_else(Default::default, |role| (format!("（{role}）"), format!(" ({role})")));
    if present {
        role_zh.push_str("在场");
        role_en.push_str(" present");
    }
    match &operand.value {
        Some(Value::Int(1)) => {
            both(format!("{place}内1人{role_zh}"), format!("1 person{role_en} in {place}"))
        }
        Some(n) => both(format!("{place}内{n}人{role_zh}"), format!("{n} people{role_en} in {place}")),
        None => both(
            format!("{place}内人数未知{role_zh}"),
            format!("number of people{role_en} in {place} unknown"),
        ),
    }
}

fn of_permit(plant: &Plant, unit: &str, kind: PermitKind, operand: &Operand) -> Words {
    let (unit, (en, zh)) = (name_of(plant, unit), permit_words(kind));
    let en = en.replace('_', " ");
    let ticket = operand.detail.as_deref().unwrap_or_default();
    match &operand.value {
        Some(Value::Bool(true)) => {
            both(format!("{unit}{zh}作业中（作业票{ticket}）"), format!("{en} in {unit} (permit {ticket})"))
        }
        Some(_) => both(format!("{unit}无{zh}作业票"), format!("no {en} permit in {unit}")),
        None => both(format!("{unit}有无{zh}作业票未知"), format!("{en} permit in {unit} unknown")),
    }
}

fn of_condition(plant: &Plant, source: &str, name: &str, state: ConditionState, operand: &Operand) -> Words {
    let known = plant.sources().iter().find(|of| of.id == source).map(|of| of.name.as_str());
    let source = known.filter(|name| !name.is_empty()).unwrap_or(source);
    let (zh, zh_not, en) = match state {
        ConditionState::Active => ("激活", "未激活", "active"),
        ConditionState::Unacknowledged => ("未确认", "无未确认", "unacknowledged"),
        ConditionState::Suppressed => ("被抑制", "未被抑制", "suppressed"),
    };
    match (&operand.value, &operand.detail) {
        (Some(Value::Bool(true)), Some(detail)) => {
            let detail = cut(detail, DETAIL_CHARACTERS);
            both(format!("{source}报警{zh}：{detail}"), format!("alarm of {source} {en}: {detail}"))
        }
        (Some(Value::Bool(true)), None) => {
            both(format!("{source}报警 {name} {zh}"), format!("alarm {name} of {source} {en}"))
        }
        (Some(_), _) => {
            both(format!("{source}报警 {name} {zh_not}"), format!("alarm {name} of {source} not {en}"))
        }
        (None, _) => both(format!("{source}报警 {name} 未知"), format!("alarm {name} of {source} unknown")),
    }
}

fn of_point(plant: &Plant, id: PointId, operand: &Operand) -> Words {
    let Some(point) = plant.point(id) else { return same(operand.text.clone()) };
    let tag = &point.tag;
    match &operand.value {
        Some(Value::Bool(true)) if point.boolean => both(format!("{tag} 动作"), format!("{tag} is on")),
        Some(Value::Bool(false)) if point.boolean => both(format!("{tag} 未动作"), format!("{tag} is off")),
        Some(_) | None => equals(&same(tag.clone()), operand, &point.eu),
    }
}

fn equals(who: &Words, operand: &Operand, eu: &str) -> Words {
    let Some(read) = &operand.value else {
        return both(format!("{} 未知", who.zh), format!("{} unknown", who.en));
    };
    let (read, (kept_zh, kept_en)) = (value_words(read, eu), kept(operand.quality));
    both(format!("{} = {read}{kept_zh}", who.zh), format!("{} = {read}{kept_en}", who.en))
}

fn of_window(kind: WindowKind) -> (&'static str, &'static str) {
    match kind {
        WindowKind::Average => ("平均值", "average"),
        WindowKind::Min => ("最小值", "lowest"),
        WindowKind::Max => ("最大值", "highest"),
        WindowKind::Delta => ("变化量", "change"),
        WindowKind::Rate => ("变化速率", "rate of change"),
        WindowKind::Deviation => ("标准差", "standard deviation"),
    }
}

/// A length of time in the largest unit that it is a whole number of.
fn span(length: Duration) -> Words {
    let ms = length.as_millis();
    let units =
        [(86_400_000, "天", "d"), (3_600_000, "小时", "h"), (60_000, "分钟", "min"), (1_000, "秒", "s")];
    let whole = units.into_iter().find(|(unit, ..)| ms > 0 && ms.is_multiple_of(*unit));
    let (unit, zh, en) = whole.unwrap_or((1, "毫秒", "ms"));
    both(format!("{}{zh}", ms / unit), format!("{} {en}", ms / unit))
}

/// A zone goes before a unit of the same id, as in a rule.
fn name_of<'a>(plant: &'a Plant, place: &'a str) -> &'a str {
    let zone = plant.zones().iter().find(|zone| zone.id == place).map(|zone| zone.name.as_str());
    let name = zone.or_else(|| plant.unit(place).map(|unit| unit.name.as_str()));
    name.filter(|name| !name.is_empty()).unwrap_or(place)
}

/// Nobody can see a point.
pub(crate) fn of_lost_point(point: &PointDraft, quality: Quality) -> Words {
    let who = tag_and_name(point);
    let (zh, en) = match quality {
        Quality::Bad(reason) => bad(reason),
        Quality::Good | Quality::Uncertain(_) => ("读数不可用", "no reading"),
    };
    Words { zh: format!("{who} 失去监测：{zh}"), en: format!("{who} cannot be seen: {en}") }
}

/// A whole source is lost. `why` comes from its driver, in English and for an engineer.
pub(crate) fn of_lost_source(source: &SourceDraft, why: &str) -> Words {
    let who = if source.name.is_empty() { &source.id } else { &source.name };
    let mut en = format!("source {who} is lost");
    if !why.is_empty() {
        en.push_str(": ");
        en.push_str(&cut(why, WHY_CHARACTERS));
    }
    Words { zh: format!("数据源{who}失去联系"), en }
}

/// A source is there, and has not told of the alarms that it keeps.
pub(crate) fn of_untold_conditions(source: &SourceDraft) -> Words {
    let who = if source.name.is_empty() { &source.id } else { &source.name };
    Words {
        zh: format!("数据源{who}未提供其报警状态"),
        en: format!("source {who} does not tell the state of its alarms"),
    }
}

/// A source keeps more conditions or permits than are remembered.
pub(crate) fn of_crowded_source(source: &SourceDraft) -> Words {
    let who = if source.name.is_empty() { &source.id } else { &source.name };
    let (zh, en) = if source.permits { ("作业票", "permits") } else { ("报警", "alarms") };
    Words {
        zh: format!("数据源{who}的{zh}数量超出容量，未记录部分状态未知"),
        en: format!("source {who} keeps more {en} than there is room for: those beyond are unknown"),
    }
}

/// What to do about lost monitoring, whatever was lost.
pub(crate) fn guidance_of_fault() -> Words {
    Words {
        zh: "恢复监测；恢复前对所列管控措施进行人工巡检".to_owned(),
        en: "Restore monitoring; until then inspect the listed measures by hand".to_owned(),
    }
}

fn bad(reason: BadReason) -> (&'static str, &'static str) {
    match reason {
        BadReason::NeverRead => ("从未读到数据", "never read"),
        BadReason::CommFailure => ("通信故障", "no communication"),
        BadReason::DeviceFailure => ("设备故障", "the instrument reports a failure"),
        BadReason::NotANumber => ("读数不是有效数值", "what it reads is no number"),
        BadReason::Stale => ("数据长时间未更新", "not refreshed for too long"),
        BadReason::Masked => ("已屏蔽", "masked at the device"),
        BadReason::RefusedAddress => ("设备拒绝该地址", "the device refuses the address"),
        BadReason::ConfigError => ("读数与配置不符", "what it reads does not fit the configuration"),
    }
}

#[cfg(test)]
mod tests {
    use super::{cut, short};

    #[test]
    fn a_long_text_is_cut_where_a_character_ends() {
        assert_eq!(cut("罐区A", 3), "罐区A");
        assert_eq!(cut("罐区AB", 3), "罐区…");
    }

    #[test]
    fn numbers_have_four_significant_digits_and_no_trailing_zeros() {
        let shown = [0.0, 25.0, 88.0661, 85.30000000000001, -0.1 - 0.2, 9.99996, 123456.789, 1234567.8]
            .into_iter()
            .chain([0.00012345678, 1e-7, 3.2e20]);
        let expected =
            ["0", "25", "88.07", "85.3", "-0.3", "10", "123457", "1234568", "0.0001235", "1e-7", "3.2e20"];
        assert_eq!(shown.map(short).collect::<Vec<_>>(), expected);
    }
}
