//! An explanation as a person reads it, Chinese first: lines of text for a terminal and for the console's page.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use riskgate_engine::{Bound, Evidence, Operand, ReasonKind, ReasonNode, Truth, value_words};
use riskgate_point::Value;

use super::{Explained, Kind, Named, PointSamples, SampleAt};
use crate::console::view::stamp;

/// Characters of one part of a condition on a line.
const PART_CHARS: usize = 100;
/// Samples in the table under a picture, nearest to the onset on each side.
const ROWS_BEFORE: usize = 4;
const ROWS_AFTER: usize = 3;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Explained {
    pub fn text(&self) -> String {
        let mut out = String::new();
        let timezone = TimeZone::get(&self.timezone).unwrap_or(TimeZone::UTC);
        self.head(&mut out);
        reason(&mut out, &self.evidence);
        operands(&mut out, &self.evidence, &timezone);
        self.around(&mut out);
        self.deeds(&mut out);
        self.what_follows(&mut out);
        out
    }

    fn head(&self, out: &mut String) {
        let kind = match self.kind {
            Kind::Alarm => "报警 alarm",
            Kind::Hazard => "隐患 hazard",
            Kind::Shadow => "试运行规则 shadow rule",
        };
        line(out, 0, &format!("{kind} {}  {}", self.id, state(&self.state)));
        line(out, 1, &self.words.zh);
        line(out, 1, &self.words.en);
        let named = |of: &Named| format!("{} {}", of.id, of.name).trim_end().to_owned();
        if let Some(unit) = &self.unit {
            line(out, 1, &format!("单元 unit: {}", named(unit)));
        }
        if let Some(measure) = &self.measure {
            line(out, 1, &format!("措施 measure: {}", named(measure)));
        }
        let repeats = match self.repeats {
            0 => String::new(),
            n => format!("，重复 repeated {n}"),
        };
        let returned =
            self.returned.as_ref().map(|at| format!("，已恢复 back to normal {at}")).unwrap_or_default();
        line(out, 1, &format!("开始 since: {}{repeats}{returned}", self.since));
    }

    fn around(&self, out: &mut String) {
        if !self.samples.is_empty() {
            line(out, 0, "发生前后的采样 samples around the onset (│)");
        }
        self.samples.iter().for_each(|point| picture(out, point));
        self.missing.iter().for_each(|missing| line(out, 1, &format!("缺 missing: {missing}")));
    }

    fn deeds(&self, out: &mut String) {
        if !(self.acts.is_empty() && self.journal.is_empty()) {
            line(out, 0, "谁做了什么 who did what");
        }
        for act in &self.acts {
            let why = act.why.as_deref().unwrap_or_default();
            line(out, 1, &format!("{}  {} {} {why}", act.at, act.by, act.deed));
        }
        for entry in &self.journal {
            line(out, 1, &format!("{}  {} {}  [日志 journal {}]", entry.time, entry.by, entry.what, entry.n));
        }
    }

    fn what_follows(&self, out: &mut String) {
        let next = &self.next;
        line(out, 0, "下一步 what follows");
        line(out, 1, &next.words.zh);
        line(out, 1, &next.words.en);
        if let Some(who) = &next.who {
            let role = match self.kind {
                Kind::Alarm | Kind::Shadow => "确认人 acknowledged by",
                Kind::Hazard => "责任人 liable person",
            };
            line(out, 1, &format!("{role}: {who}"));
        }
        if let Some(deadline) = &next.deadline {
            let overdue = if next.overdue { "  逾期 overdue" } else { "" };
            line(out, 1, &format!("期限 deadline: {deadline}{overdue}"));
        }
        if let Some(command) = &next.command {
            line(out, 1, command);
        }
    }
}

fn line(out: &mut String, indent: usize, text: &str) {
    let text = text.trim_end();
    if !text.is_empty() {
        // A text takes every write.
        let _written = writeln!(out, "{}{text}", "  ".repeat(indent));
    }
}

fn reason(out: &mut String, evidence: &Evidence) {
    let plant = evidence.reason.as_ref().map(|reason| reason.plant.as_str()).filter(|hash| !hash.is_empty());
    let plant: String = plant
        .map(|hash| hash.chars().take(12).collect::<String>())
        .map_or_else(String::new, |hash| format!("，配置 configuration {hash}"));
    line(
        out,
        0,
        &format!("为什么 why: 规则 rule {}，版本 version {}{plant}", evidence.rule, evidence.version),
    );
    let verdict = match evidence.verdict {
        Truth::True => "✓ 成立 true",
        Truth::False => "✗ 不成立 false",
        Truth::Unknown => {
            "? 未知：延时结束时无法判断，按成立处理，待人判断 unknown when the delay ran out: it counts until a person judges"
        }
    };
    line(out, 1, verdict);
    let Some(reason) = &evidence.reason else {
        line(out, 1, &evidence.condition);
        line(
            out,
            1,
            "此记录没有判断过程 this record holds no tree: an older agent wrote it, or its source was lost",
        );
        return;
    };
    for node in &reason.tree {
        part(out, node, evidence);
    }
    if reason.left_out > 0 {
        line(out, 1, &format!("… 另有 {} 项 further parts", reason.left_out));
    }
}

fn part(out: &mut String, node: &ReasonNode, evidence: &Evidence) {
    let text = node.text(&evidence.condition);
    let what = match node.kind {
        ReasonKind::Any => "任一成立 any of".to_owned(),
        ReasonKind::All => "全部成立 all of".to_owned(),
        ReasonKind::Not => "不 not".to_owned(),
        ReasonKind::AtLeast => {
            let k = text.split(['(', ',']).nth(1).unwrap_or_default().trim();
            format!("至少 {k} 项 at least {k} of")
        }
        ReasonKind::Maybe => "未知按成立 maybe".to_owned(),
        ReasonKind::OverTime => format!("{}  （以下为当时 below: as it was then）", cut(text)),
        ReasonKind::Compare | ReasonKind::Told => cut(text),
    };
    let said = match node.kind {
        ReasonKind::Compare | ReasonKind::Told | ReasonKind::OverTime => read(text, &evidence.operands),
        ReasonKind::Any | ReasonKind::All | ReasonKind::Not | ReasonKind::AtLeast | ReasonKind::Maybe => {
            String::new()
        }
    };
    let counted = match (node.unknown, node.is) {
        (true, Truth::True | Truth::False) => "  ← 取决于未知 an unknown decided",
        (true, Truth::Unknown) if matches!(node.kind, ReasonKind::Compare | ReasonKind::Told) => {
            "  ← 未知 unknown"
        }
        (true | false, Truth::True | Truth::False | Truth::Unknown) => "",
    };
    line(out, usize::from(node.depth) + 2, &format!("{} {what}{said}{counted}", mark(node.is)));
}

fn mark(truth: Truth) -> char {
    match truth {
        Truth::True => '✓',
        Truth::False => '✗',
        Truth::Unknown => '?',
    }
}

fn cut(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= PART_CHARS {
        return text;
    }
    text.chars().take(PART_CHARS - 1).chain(['…']).collect()
}

/// What the operands of a part read. Those within a window or a condition over time are told by it.
fn read(text: &str, all: &[Operand]) -> String {
    let within = |operand: &&Operand| {
        let hidden = all.iter().any(|other| {
            other.text != operand.text && other.text.contains(&operand.text) && text.contains(&other.text)
        });
        text.contains(&operand.text) && !hidden
    };
    let said: Vec<String> = all.iter().filter(within).map(value).collect();
    if said.is_empty() { String::new() } else { format!("  〔{}〕", said.join("，")) }
}

fn value(operand: &Operand) -> String {
    let bound = match operand.bound {
        Some(Bound::AtLeast) => "≥ ",
        Some(Bound::AtMost) => "≤ ",
        Some(Bound::Neither) | None => "",
    };
    operand
        .value
        .as_ref()
        .map_or_else(|| "?".to_owned(), |value| format!("{bound}{}", value_words(value, "")))
}

fn operands(out: &mut String, evidence: &Evidence, timezone: &TimeZone) {
    if evidence.operands.is_empty() {
        return;
    }
    line(out, 0, &format!("当时的读数 what was read, {}", stamp(evidence.at, timezone)));
    for operand in &evidence.operands {
        let at = operand.at.map(|at| format!("  {}", stamp(at, timezone))).unwrap_or_default();
        let detail = operand.detail.as_ref().map(|detail| format!("  {detail}")).unwrap_or_default();
        let until = operand.until.map(|at| format!("  至 until {}", stamp(at, timezone))).unwrap_or_default();
        let counted = match (operand.bound, operand.quality.is_bad()) {
            (Some(Bound::AtLeast | Bound::AtMost), true) => {
                "  最后读数，按仍越限判断 the last reading, counted as still beyond"
            }
            (Some(Bound::AtLeast | Bound::AtMost), false) => "  不完整，只作为界限 not whole: a bound",
            (Some(Bound::Neither), _) => "  不完整，按未知 not whole: unknown",
            (None, true) => "  按未知 counted as unknown",
            (None, false) => "",
        };
        let text = format!("{} = {}  {}", cut(&operand.text), value(operand), operand.quality);
        line(out, 1, &format!("{text}{at}{detail}{until}{counted}"));
    }
}

/// A line of bars, then the samples nearest to the onset.
fn picture(out: &mut String, point: &PointSamples) {
    let more = match (point.more_before, point.more_after) {
        (0, 0) => String::new(),
        (before, after) => format!("  （另有 further: 之前 before {before}，之后 after {after}）"),
    };
    line(out, 1, &format!("{}  {}{more}", point.tag, bars(&point.samples)));
    let onset = point.samples.iter().take_while(|sample| sample.after_ms <= 0).count();
    let from = onset.saturating_sub(ROWS_BEFORE);
    for sample in point.samples.iter().skip(from).take(onset - from + ROWS_AFTER) {
        let value = sample.value.as_ref().map_or_else(|| "?".to_owned(), |value| value_words(value, ""));
        let seconds = sample.after_ms.saturating_div(100);
        let after = format!(
            "{}{}.{} s",
            if sample.after_ms < 0 { "-" } else { "+" },
            seconds.abs() / 10,
            seconds.abs() % 10
        );
        line(out, 2, &format!("{}  {after:>10}  {value:>12}  {}", sample.time, sample.quality));
    }
}

pub(super) fn bars(samples: &[SampleAt]) -> String {
    let numbers = || samples.iter().filter_map(|sample| sample.value.as_ref().and_then(Value::number));
    let least = numbers().min_by(f64::total_cmp).unwrap_or_default();
    let span = numbers().max_by(f64::total_cmp).unwrap_or_default() - least;
    let mut drawn = String::new();
    let mut behind = false;
    for sample in samples {
        if sample.after_ms > 0 && !behind {
            behind = true;
            drawn.push('│');
        }
        let bar = sample.value.as_ref().and_then(Value::number).map(|number| {
            let share = if span > 0.0 { (number - least) / span } else { 0.0 };
            // The first bar of which the upper end is not below the value.
            (1_u8..).zip(BARS).find(|(n, _)| share <= f64::from(*n) / 8.0).map_or('█', |(_, bar)| bar)
        });
        drawn.push(bar.unwrap_or('?'));
    }
    if !behind {
        drawn.push('│');
    }
    drawn
}

fn state(word: &str) -> &'static str {
    match word {
        "normal" => "正常 normal",
        "unacknowledged" => "未确认 unacknowledged",
        "acknowledged" => "已确认 acknowledged",
        "returned" => "已恢复未确认 returned",
        "latched_unacknowledged" => "锁存未确认 latched, unacknowledged",
        "latched" => "锁存 latched",
        "candidate" => "待确认 candidate",
        "rectifying" => "整改中 rectifying",
        "awaiting_acceptance" => "待验收 awaiting acceptance",
        "accepted" => "已验收 accepted",
        "rejected" => "误报 rejected",
        "going_on" => "进行中 going on",
        "over" => "已结束 over",
        _ => "",
    }
}
