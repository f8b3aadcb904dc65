//! Sentences for plant people, Chinese and English, made from the plant's own names.
//!
//! Numbers are written with six significant digits: more is noise to a reader. Nothing here decides.

use riskgate_point::{BadReason, Quality, Value};

use crate::plant::{Condition, LimitTest, Plant, Rule};
use crate::{Operand, PointDraft, SourceDraft, Words};

/// Operands named in the sentence of a written rule; the rest stands in the evidence.
const NAMED: usize = 4;

const SIGNIFICANT: i32 = 6;

/// A number as a person writes it: six significant digits, no trailing zeros.
pub(crate) fn short(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        return format!("{number:.5e}");
    }
    // The magnitude is between -4 and 15 here.
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a number within the bounds above")]
    let magnitude = if size == 0.0 { 0 } else { size.log10().floor() as i32 };
    let decimals = usize::try_from(SIGNIFICANT - 1 - magnitude).unwrap_or(0);
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn value(value: &Value, eu: &str) -> String {
    let text = match value {
        Value::Float(number) => short(number.get()),
        Value::Bool(_) | Value::Int(_) | Value::Text(_) => value.to_string(),
    };
    with_eu(text, eu)
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
        Condition::Text { .. } => of_text(plant, rule, operands),
    };
    if on_unknown {
        words.zh.push_str("（延时期间读数中断，待人工确认）");
        words.en.push_str(" (not readable when the delay ran out; to be judged by a person)");
    }
    words
}

fn of_limit(plant: &Plant, rule: &Rule, test: &LimitTest, operands: &[Operand]) -> Words {
    let Some(point) = plant.point(test.point) else { return rule.name.clone() };
    let read = operands.first().and_then(|operand| operand.value.as_ref());
    let limit = with_eu(short(test.limit), &point.eu);
    let sign = if test.kind.is_high() { "≥" } else { "≤" };
    let side = if test.kind.is_high() { "at or above" } else { "at or below" };
    let who = tag_and_name(point);
    let (zh, en) = (&rule.name.zh, &rule.name.en);
    match read {
        Some(read) => {
            let read = value(read, &point.eu);
            Words {
                zh: format!("{who} {zh}：{read}，限值 {sign} {limit}"),
                en: format!("{who} {en}: {read}, {side} {limit}"),
            }
        }
        None => Words {
            zh: format!("{who} {zh}：限值 {sign} {limit}"),
            en: format!("{who} {en}: {side} {limit}"),
        },
    }
}

fn of_text(plant: &Plant, rule: &Rule, operands: &[Operand]) -> Words {
    let named: Vec<String> = operands.iter().take(NAMED).map(|operand| of_operand(plant, operand)).collect();
    if named.is_empty() {
        return rule.name.clone();
    }
    Words {
        zh: format!("{}：{}", rule.name.zh, named.join("，")),
        en: format!("{}: {}", rule.name.en, named.join(", ")),
    }
}

fn of_operand(plant: &Plant, operand: &Operand) -> String {
    let tag = operand.text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let point = tag.and_then(|tag| plant.point(plant.point_id(tag)?));
    let name = tag.filter(|_| point.is_some()).unwrap_or(&operand.text);
    let eu = point.map_or("", |point| point.eu.as_str());
    match &operand.value {
        Some(read) => format!("{name} = {}", value(read, eu)),
        None => format!("{name} = ?"),
    }
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

/// A whole source is lost. `why` comes from its driver.
pub(crate) fn of_lost_source(source: &SourceDraft, why: &str) -> Words {
    let who = if source.name.is_empty() { &source.id } else { &source.name };
    let id = &source.id;
    let (zh, en) = (format!("数据源 {who}（{id}）失联"), format!("source {who} ({id}) is lost"));
    if why.is_empty() {
        return Words { zh, en };
    }
    Words { zh: format!("{zh}：{why}"), en: format!("{en}: {why}") }
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
    use super::short;

    #[test]
    fn numbers_have_six_significant_digits_and_no_trailing_zeros() {
        let shown =
            [0.0, 25.0, 85.30000000000001, -0.1 - 0.2, 123456.789, 1234567.8, 0.00012345678, 1e-7, 3.2e20];
        let expected =
            ["0", "25", "85.3", "-0.3", "123457", "1234568", "0.000123457", "1.00000e-7", "3.20000e20"];
        assert_eq!(shown.map(short), expected);
    }
}
