//! The functions of the language: their index, and how each reads its arguments.

use std::ops::Range;
use std::time::Duration;

use super::PointKind;
use super::ast::{Ast, Call, Node};
use super::nearest::nearest;
use super::past::{EDGES_MAX, PastKind};
use super::program::{
    ActiveTerm, Age, FirstOutTerm, Measured, Number, PastTerm, SeenTerm, TermOf, Test, WindowTerm, Word,
};
use super::types::{Checker, Numeric, Typed};
use super::window::WindowKind;
use super::{AskedPlace, Names, PointName};
use crate::vision::TIMES_MAX;

/// One function as a writer of rules needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    pub name: &'static str,
    /// How it is written.
    pub usage: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
    /// A whole condition with it.
    pub example: &'static str,
    /// What the example says of a little history: `TIME WHAT=VALUE … => VERDICT`, each part on its own; parts
    /// are separated by `;`.
    pub play: &'static str,
}

/// Every function there is, by kind.
#[rustfmt::skip]
pub const FUNCTIONS: &[Function] = &[
    Function { name: "at_least", usage: "at_least(k, condition, …)",
        zh: "至少 k 个条件成立", en: "true if k of the conditions are",
        example: "at_least(2, {GD-101} >= 25, {GD-102} >= 25, {GD-103} >= 25)",
        play: "0s GD-101=30 GD-102=3 GD-103=bad => unknown; 1s GD-103=40 => true; 2s GD-101=3 => false" },
    Function { name: "maybe", usage: "maybe(condition)",
        zh: "未知按成立处理", en: "unknown counts as true",
        example: "{GD-101} >= 25 and maybe(people('tank-a') > 0)",
        play: "0s GD-101=30 => true; 1s people=0 => false; 2s people=2 => true" },
    Function { name: "held", usage: "held(condition, duration)",
        zh: "条件在整段时间内持续成立", en: "true for the whole of the duration",
        example: "held({TI-101} > 60, 5m)",
        play: "0s TI-101=70 => unknown; 5m => true; 6m TI-101=50 => false; 7m TI-101=70 => false; 12m => true" },
    Function { name: "recently", usage: "recently(condition, duration)",
        zh: "条件在该时间内成立过", en: "true if it was ever true within the duration",
        example: "recently({ESD-1}, 10m)",
        play: "0s ESD-1=off => unknown; 10m => false; 11m ESD-1=on => true; 12m ESD-1=off => true; 22m => false" },
    Function { name: "count", usage: "count(condition, duration)",
        zh: "该时间内由不成立变为成立的次数", en: "how often it became true within the duration; the first value is no edge",
        example: "count({ESD-1}, 1h) >= 2",
        play: "0s ESD-1=on => unknown; 1m ESD-1=off; 2m ESD-1=on; 3m ESD-1=bad; 4m ESD-1=off; 5m ESD-1=on => true; 62m => false" },
    Function { name: "then", usage: "then(first, second, duration)",
        zh: "前者成立后，该时间内后者也变为成立", en: "the second became true within the duration after the first did; true for as long again",
        example: "then({ESD-1}, {TI-101} > 60, 30s)",
        play: "0s ESD-1=off TI-101=50 => unknown; 60s => false; 70s ESD-1=on => false; 90s TI-101=70 => true; 120s => false" },
    Function { name: "first_out", usage: "first_out({TAG}, {TAG}, …)",
        zh: "任一动作，并记下首出", en: "one of them is on; the evidence says which came first",
        example: "first_out({ESD-1}, {ESD-2})",
        play: "0s ESD-1=off => unknown; 1s ESD-2=off => false; 2s ESD-2=on => true; 3s ESD-1=on; 4s ESD-2=off => true" },
    Function { name: "active", usage: "active('rule')",
        zh: "另一条规则正在报警", en: "the rule of this id, or the limit `TAG/HH`, is active",
        example: "active('tank-a-leak') and {ESD-1}",
        play: "0s ESD-1=on => unknown; 1s rule=off => false; 2s rule=on => true" },
    Function { name: "avg", usage: "avg({TAG}, duration)",
        zh: "时间窗内按时间加权的平均值", en: "mean over the window, weighted by time",
        example: "avg({TI-101}, 10m) > 60",
        play: "0s TI-101=50 => unknown; 10m => false; 10m TI-101=80; 14m => true" },
    Function { name: "min", usage: "min({TAG}, duration)",
        zh: "时间窗内最小值", en: "least value in the window",
        example: "min({TI-101}, 1m) > 60",
        play: "0s TI-101=70 => unknown; 60s => true; 61s TI-101=50 => false; 62s TI-101=70 => false; 122s => true" },
    Function { name: "max", usage: "max({TAG}, duration)",
        zh: "时间窗内最大值", en: "greatest value in the window",
        example: "max({GD-101}, 1m) < 20",
        play: "0s GD-101=30 => false; 1s GD-101=10 => false; 61s => true" },
    Function { name: "delta", usage: "delta({TAG}, duration)",
        zh: "时间窗末值减首值", en: "last value less the one in force at the window's start",
        example: "delta({TI-101}, 10m) > 15",
        play: "0s TI-101=50 => unknown; 10m TI-101=70 => true; 20m => false" },
    Function { name: "rate", usage: "rate({TAG}, duration)",
        zh: "每分钟变化量", en: "delta per minute",
        example: "rate({TI-101}, 5m) >= 2.5",
        play: "0s TI-101=50; 3m TI-101=65 => unknown; 5m => true; 8m => false" },
    Function { name: "stddev", usage: "stddev({TAG}, duration)",
        zh: "时间窗内标准差", en: "standard deviation over the window, weighted by time",
        example: "stddev({PI-101}, 5m) < 0.01",
        play: "0s PI-101=7 => unknown; 5m => true; 5m PI-101=8; 6m => false" },
    Function { name: "bad", usage: "bad({TAG})",
        zh: "测点质量坏", en: "the point's quality is bad; never unknown",
        example: "bad({GD-101}) and bad({GD-102})",
        play: "0s => true; 1s GD-101=3 => false; 2s GD-101=bad => true" },
    Function { name: "stale", usage: "stale({TAG})",
        zh: "测点超时未刷新", en: "the point is bad because it was not refreshed; never unknown",
        example: "stale({GD-101})",
        play: "0s GD-101=3 => false; 1s GD-101=stale => true; 2s GD-101=bad => false" },
    Function { name: "age", usage: "age({TAG})",
        zh: "距最近一次接收的时间", en: "time since the value was received, compared with a duration; never unknown",
        example: "age({GD-101}) > 30s",
        play: "0s => true; 1s GD-101=3 => false; 31s => false; 32s => true" },
    Function { name: "people", usage: "people('zone or unit' [, 'role'])",
        zh: "区域或单元内人数，失联标签仍计入", en: "persons in a zone or a unit, lost tags among them",
        example: "people('tank-a') > 9 or people('tank-a', 'visitor') > 0",
        play: "0s => unknown; 1s people=0 => false; 2s people=10 => true" },
    Function { name: "present", usage: "present('zone or unit' [, 'role'])",
        zh: "区域或单元内有新定位的人数", en: "persons there with a fix in the last 30 s",
        example: "present('tank-a', 'operator') < 1",
        play: "0s => unknown; 1s people=1 => false; 2s people=0 => true" },
    Function { name: "lone", usage: "lone('zone or unit')",
        zh: "仅一人在场", en: "exactly one person is present; unknown where all are lost",
        example: "lone('tank-a')",
        play: "0s => unknown; 1s place=off => false; 2s place=on => true" },
    Function { name: "still", usage: "still('zone or unit', duration)",
        zh: "有人长时间静止", en: "a person there has not moved by 3 m for so long; unknown without coordinates",
        example: "still('tank-a', 5m)",
        play: "0s => unknown; 1s place=on => true" },
    Function { name: "sos", usage: "sos(['zone or unit'])",
        zh: "有人按下一键求救；不写地点则不限区域内外", en: "a person there, or anywhere where none is named, has pressed the emergency button",
        example: "sos('tank-area')",
        play: "0s => unknown; 1s place=off => false; 2s place=on => true" },
    Function { name: "guarded", usage: "guarded('unit', 'kind')",
        zh: "该类作业的监护人均在场", en: "the guardian of each ticket in work of the kind is present where its work is",
        example: "permit('tank-area', 'hot_work') and not guarded('tank-area', 'hot_work')",
        play: "0s permit=on => unknown; 1s place=off => true; 2s place=on => false" },
    Function { name: "seen", usage: "seen('unit', 'kind' [, confidence = 0.6] [, window = 30s] [, times = 1])",
        zh: "摄像头在时间窗内看到（若干次）", en: "cameras of the unit saw it within the window, so many times",
        example: "seen('tank-area', 'smoke', confidence = 0.6, window = 30s)",
        play: "0s => false; 1s camera=smoke => true; 31s => false; 32s camera=down => unknown" },
    Function { name: "condition", usage: "condition('source', 'name' [, state = 'active'] [, severity = 1])",
        zh: "数据源自身的报警处于该状态", en: "an alarm that the source itself keeps is in the state, with at least the severity",
        example: "condition('dcs', 'HighHigh', severity = 700) or condition('dcs', 'LIA-101/HighHigh', state = 'suppressed')",
        play: "0s condition=off => false; 1s condition=on => true; 2s condition=down => unknown" },
    Function { name: "permit", usage: "permit('unit', 'kind')",
        zh: "单元内有该类作业票正在作业", en: "work of the kind is permitted and going on in the unit",
        example: "{GD-101} >= 10 and permit('tank-area', 'hot_work')",
        play: "0s GD-101=12 permit=off => false; 1s permit=on => true; 2s permit=down => unknown" },
];

/// A window shorter than this is shorter than any poll.
const WINDOW_MIN: Duration = Duration::from_millis(100);
/// Longer than any shift pattern or batch; a longer one would be unknown for a month after each start.
pub(super) const LENGTH_MAX: Duration = Duration::from_secs(31 * 86_400);
const CONFIDENCE: f64 = 0.6;
const SEEN_WINDOW: Duration = Duration::from_secs(30);
/// The usual kinds and what they are called on site; the list is open, so a kind that is close to one of
/// these is a warning, no fault.
const SIGHTINGS: &[(&str, &str)] = &[
    ("smoking", "吸烟"),
    ("phone", "打电话"),
    ("no_helmet", "未戴安全帽"),
    ("no_workwear", "未穿工服"),
    ("flame", "火焰"),
    ("smoke", "烟雾"),
    ("leak", "泄漏"),
    ("off_post", "脱岗"),
    ("sleep", "睡岗"),
    ("intrusion", "入侵"),
    ("fall", "倒地"),
    ("crowd", "人员聚集"),
    ("blocked_exit", "占道"),
    ("video_loss", "视频丢失"),
];

/// What a kind of sighting is called on site; one that is not usual is called as it is.
pub(crate) fn sighting_zh(kind: &str) -> &str {
    SIGHTINGS.iter().find(|(usual, _)| *usual == kind).map_or(kind, |(_, zh)| zh)
}

impl Checker<'_> {
    pub(super) fn call(&mut self, call: &Call, span: &Range<usize>) -> Typed {
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == call.name) else {
            self.unknown_function(call);
            call.arguments.iter().for_each(|argument| drop(self.typed(argument)));
            return Typed::Wrong;
        };
        if !self.takes_named(call, function) {
            return Typed::Wrong;
        }
        if call.broken {
            call.arguments.iter().for_each(|argument| drop(self.typed(argument)));
            return Typed::Wrong;
        }
        let arguments = call.arguments.as_slice();
        let typed = match (function.name, arguments) {
            ("at_least", [k, parts @ ..]) if !parts.is_empty() => self.at_least(k, parts),
            ("maybe", [condition]) => self.maybe(condition),
            ("held", [condition, length]) => self.past(PastKind::Held, condition, None, length, span),
            ("recently", [condition, length]) => self.past(PastKind::Recently, condition, None, length, span),
            ("count", [condition, length]) => self.past(PastKind::Count, condition, None, length, span),
            ("then", [first, second, length]) => self.past(PastKind::Then, first, Some(second), length, span),
            ("first_out", points @ [_, _, ..]) => self.first_out(points, span),
            ("active", [rule]) => self.active(rule, span),
            ("avg", [point, length]) => self.window(WindowKind::Average, point, length, span),
            ("min", [point, length]) => self.window(WindowKind::Min, point, length, span),
            ("max", [point, length]) => self.window(WindowKind::Max, point, length, span),
            ("delta", [point, length]) => self.window(WindowKind::Delta, point, length, span),
            ("rate", [point, length]) => self.window(WindowKind::Rate, point, length, span),
            ("stddev", [point, length]) => self.window(WindowKind::Deviation, point, length, span),
            ("bad", [point]) => self.point_argument(point).map(|point| Typed::Bool(Test::Bad(point.id))),
            ("stale", [point]) => self.point_argument(point).map(|point| Typed::Bool(Test::Stale(point.id))),
            ("age", [point]) => self.age(point),
            ("people" | "present", [place, role @ ..]) if role.len() < 2 => {
                self.people(place, role.first(), function.name == "present", span)
            }
            ("lone", [place]) => self.people_asked(place, AskedPlace::Lone, span),
            ("sos", []) => Some(self.sos_anywhere(span)),
            ("sos", [place]) => self.people_asked(place, AskedPlace::Sos, span),
            ("still", [place, length]) => self.still(place, length, span),
            ("guarded", [unit, kind]) => self.guarded(unit, kind, span),
            ("seen", [unit, kind]) => self.seen(unit, kind, &call.named, span),
            ("condition", [source, name]) => self.kept_condition(source, name, &call.named, span),
            ("permit", [unit, kind]) => self.permit(unit, kind, span),
            _ => {
                let n = arguments.len();
                let given = if n == 1 { "1 argument is".to_owned() } else { format!("{n} arguments are") };
                self.error(span, format!("{given} not what `{}` takes", function.name), function.usage);
                None
            }
        };
        typed.unwrap_or(Typed::Wrong)
    }

    fn unknown_function(&mut self, call: &Call) {
        let names = || FUNCTIONS.iter().map(|function| function.name);
        let all = names().collect::<Vec<_>>().join(", ");
        let hint = match nearest(&call.name, names()) {
            Some(near) => format!("did you mean `{near}`? The functions are {all}"),
            None => format!("the functions are {all}"),
        };
        self.error(&call.name_span, format!("there is no function `{}`", call.name), &hint);
    }

    fn takes_named(&mut self, call: &Call, function: &Function) -> bool {
        let takes: &[&str] = match function.name {
            "seen" => &["confidence", "window", "times"],
            "condition" => &["state", "severity"],
            _ => &[],
        };
        let mut fits = true;
        for (place, (name, span, _)) in call.named.iter().enumerate() {
            let twice = call.named.iter().take(place).any(|(other, ..)| other == name);
            if twice {
                self.error(span, format!("`{name}` is given twice"), "remove one of them");
            } else if !takes.contains(&name.as_str()) {
                self.error(span, format!("`{}` has no argument `{name}`", function.name), function.usage);
            }
            fits = fits && !twice && takes.contains(&name.as_str());
        }
        fits
    }

    fn at_least(&mut self, k: &Ast, parts: &[Ast]) -> Option<Typed> {
        let tests = self.conditions(parts);
        let n = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let Node::Number(number) = k.node else {
            self.expected(k, "the first argument of `at_least` is how many must be true, a whole number");
            return None;
        };
        let Some(k) = (1..=n).find(|whole| f64::from(*whole) == number) else {
            let message = format!("at least {number} of {n} conditions");
            self.error(&k.span, message, &format!("write a whole number from 1 to {n}"));
            return None;
        };
        tests.map(|tests| Typed::Bool(Test::AtLeast(k, tests)))
    }

    fn maybe(&mut self, condition: &Ast) -> Option<Typed> {
        Some(Typed::Bool(Test::Maybe(Box::new(self.condition(condition)?))))
    }

    fn past(
        &mut self,
        kind: PastKind,
        condition: &Ast,
        second: Option<&Ast>,
        length: &Ast,
        span: &Range<usize>,
    ) -> Option<Typed> {
        let condition = self.condition(condition);
        let second = second.map(|second| self.condition(second));
        let of = match kind {
            PastKind::Held => "held",
            PastKind::Recently => "recently",
            PastKind::Count => "count",
            PastKind::Then => "then",
        };
        let length = self.length(length, of, Duration::from_millis(1))?;
        let second = match second {
            None => None,
            Some(second) => Some(second?),
        };
        self.pasts.push(PastTerm { kind, condition: condition?, second, length });
        let place = self.pasts.len() - 1;
        self.term(span, TermOf::Past(place));
        Some(match kind {
            PastKind::Held | PastKind::Recently | PastKind::Then => Typed::Bool(Test::Past(place)),
            PastKind::Count => {
                let number = Number::Measured(Measured::Count(place));
                Typed::Number(Numeric { number, eu: None, whole: true, deadband: 0.0 })
            }
        })
    }

    fn first_out(&mut self, points: &[Ast], span: &Range<usize>) -> Option<Typed> {
        let names: Vec<Option<PointName>> = points.iter().map(|point| self.point_name(point)).collect();
        let mut term = FirstOutTerm { points: Vec::new(), tags: Vec::new() };
        for (argument, name) in points.iter().zip(names) {
            let name = name?;
            if name.kind != PointKind::Bool {
                let message = format!("{} is neither on nor off", self.written(&argument.span));
                self.error(&argument.span, message, "`first_out` takes points of type bool");
                return None;
            }
            self.reads_point(name.id);
            term.points.push(name.id);
            term.tags.push(self.written(&argument.span).to_owned());
        }
        self.first_outs.push(term);
        let place = self.first_outs.len() - 1;
        self.term(span, TermOf::FirstOut(place));
        Some(Typed::Bool(Test::FirstOut(place)))
    }

    fn active(&mut self, rule: &Ast, span: &Range<usize>) -> Option<Typed> {
        let id = self.text_argument(rule, "the id of a rule, a text: active('tank-a-leak')")?;
        let Some(place) = self.names.rule(&id) else {
            let hint = self.nearest(&id, Names::rules).map(|near| format!("did you mean '{near}'?"));
            self.fault(&rule.span, format!("there is no rule '{id}'"), hint);
            return None;
        };
        self.rules.insert(place);
        let term = ActiveTerm { rule: id, place };
        let place = self.actives.iter().position(|known| *known == term).unwrap_or_else(|| {
            self.actives.push(term);
            self.actives.len() - 1
        });
        self.term(span, TermOf::Active(place));
        Some(Typed::Bool(Test::Active(place)))
    }

    fn window(&mut self, kind: WindowKind, point: &Ast, length: &Ast, span: &Range<usize>) -> Option<Typed> {
        let name = self.point_name(point);
        let length = self.length(length, "a window", WINDOW_MIN);
        let (name, length) = (name?, length?);
        if name.kind != PointKind::Number {
            let message = format!("a window is over numbers, and {} reads none", self.written(&point.span));
            self.error(&point.span, message, "for conditions over time use held(condition, duration)");
            return None;
        }
        self.reads_point(name.id);
        let term = WindowTerm { kind, point: name.id, length };
        let place = self.windows.iter().position(|known| *known == term).unwrap_or_else(|| {
            self.windows.push(term);
            self.windows.len() - 1
        });
        self.term(span, TermOf::Window(place));
        // A threshold of these is one of the point itself, so that its deadband fits.
        let (eu, deadband) = match kind {
            WindowKind::Average | WindowKind::Min | WindowKind::Max => (name.eu.to_string(), name.deadband),
            WindowKind::Delta | WindowKind::Deviation => (name.eu.to_string(), 0.0),
            WindowKind::Rate => (format!("{}/min", name.eu), 0.0),
        };
        let eu = Some(eu).filter(|_| !name.eu.is_empty());
        let number = Number::Measured(Measured::Window(place));
        Some(Typed::Number(Numeric { number, eu, whole: false, deadband }))
    }

    fn seen(
        &mut self,
        unit: &Ast,
        kind: &Ast,
        named: &[(String, Range<usize>, Ast)],
        span: &Range<usize>,
    ) -> Option<Typed> {
        let value = |wanted| named.iter().find(|(name, ..)| name == wanted).map(|(.., value)| value);
        let confidence = match value("confidence") {
            None => Some(CONFIDENCE),
            Some(given) => self.confidence(given),
        };
        let window = match value("window") {
            None => Some(SEEN_WINDOW),
            Some(given) => self.length(given, "the window of `seen`", WINDOW_MIN),
        };
        let times = match value("times") {
            None => Some(1),
            Some(given) => self.times(given),
        };
        let kind = self.sighting(kind);
        let cameras = self.cameras(unit);
        let (id, cameras) = cameras?;
        let (kind, confidence, window, times) = (kind?, confidence?, window?, times?);
        let term = SeenTerm { unit: id, cameras, kind, confidence, window, times };
        self.cameras.extend(term.cameras.iter());
        let place = self.seens.iter().position(|known| *known == term).unwrap_or_else(|| {
            self.seens.push(term);
            self.seens.len() - 1
        });
        self.term(span, TermOf::Seen(place));
        Some(Typed::Bool(Test::Seen(place)))
    }

    fn confidence(&mut self, given: &Ast) -> Option<f64> {
        if let Node::Number(confidence @ 0.0..=1.0) = given.node {
            return Some(confidence);
        }
        self.expected(given, "a confidence is a number from 0 to 1");
        None
    }

    fn times(&mut self, given: &Ast) -> Option<u32> {
        if let Node::Number(number) = given.node
            && let Some(times) = (1..=TIMES_MAX).find(|whole| f64::from(*whole) == number)
        {
            return Some(times);
        }
        self.expected(given, &format!("how many times is a whole number from 1 to {TIMES_MAX}"));
        None
    }

    /// A count never passes its bound, so that a threshold beyond it is never reached.
    pub(super) fn countable(&mut self, threshold: f64, span: &Range<usize>) {
        if threshold > f64::from(u16::try_from(EDGES_MAX).unwrap_or(u16::MAX)) {
            let message = format!("`count` counts up to {EDGES_MAX}");
            self.error(span, message, "compare it with less, over a shorter time");
        }
    }

    fn sighting(&mut self, kind: &Ast) -> Option<String> {
        let word = self.text_argument(kind, "what is seen, a text: seen('tank-area', 'smoke')")?;
        let mut usual = SIGHTINGS.iter().map(|(kind, _)| *kind);
        if !usual.clone().any(|kind| kind == word)
            && let Some(near) = nearest(&word, usual.by_ref())
        {
            let hint = format!("did you mean '{near}'?");
            self.warning(&kind.span, format!("'{word}' is not one of the usual sightings"), &hint);
        }
        Some(word)
    }

    /// The id of a unit and its cameras.
    fn cameras(&mut self, unit: &Ast) -> Option<(String, std::sync::Arc<[u32]>)> {
        let id = self.text_argument(unit, "the id of a unit, a text: seen('tank-area', 'smoke')")?;
        let Some(cameras) = self.names.unit_cameras(&id) else {
            let hint = self.nearest(&id, Names::units).map(|near| format!("did you mean '{near}'?"));
            self.fault(&unit.span, format!("there is no unit '{id}'"), hint);
            return None;
        };
        if cameras.is_empty() {
            let message = format!("the unit '{id}' has no camera, so nothing is ever seen there");
            self.error(&unit.span, message, "give the unit a [[camera]], or leave `seen` out");
            return None;
        }
        Some((id, cameras))
    }

    /// A point as an argument, told as evidence and read.
    fn point_argument(&mut self, argument: &Ast) -> Option<PointName> {
        let name = self.point_name(argument)?;
        self.reads_point(name.id);
        self.term(&argument.span, TermOf::Point(name.id));
        Some(name)
    }

    fn age(&mut self, argument: &Ast) -> Option<Typed> {
        let id = self.point_name(argument)?.id;
        self.reads_age(id);
        self.term(&argument.span, TermOf::Point(id));
        Some(Typed::Duration(Age::Of(id)))
    }

    fn point_name(&mut self, argument: &Ast) -> Option<PointName> {
        if let Node::Tag(tag) = &argument.node {
            return self.named_point(tag, &argument.span);
        }
        self.expected(argument, "this argument is a point: {TAG}");
        None
    }

    pub(super) fn text_argument(&mut self, argument: &Ast, what: &str) -> Option<String> {
        let Node::Text(text) = &argument.node else {
            self.expected(argument, &format!("this argument is {what}"));
            return None;
        };
        if text.trim().is_empty() {
            self.error(&argument.span, "the text is empty", &format!("this argument is {what}"));
            return None;
        }
        Some(text.clone())
    }

    fn length(&mut self, argument: &Ast, of: &str, least: Duration) -> Option<Duration> {
        let Node::Duration(length) = argument.node else {
            self.expected(argument, &format!("the length of {of} is a duration: 500ms 30s 1m 2h 1d"));
            return None;
        };
        if (least..=LENGTH_MAX).contains(&length) {
            return Some(length);
        }
        let message = format!("the length of {of} is out of range");
        self.error(&argument.span, message, &format!("{}ms to 31d", least.as_millis()));
        None
    }

    /// The argument is of another kind; what is wrong inside it is told first.
    pub(super) fn expected(&mut self, argument: &Ast, message: &str) {
        let written = self.written(&argument.span).to_owned();
        let given = match self.typed(argument) {
            Typed::Wrong => return,
            Typed::Bool(_) => "a bool",
            Typed::Number(Numeric { number: Number::Constant(_), .. }) => written.as_str(),
            Typed::Number(_) => "a measured number",
            Typed::Text(Word::Constant(_), _) => "a text",
            Typed::Text(Word::Of(_), _) => "a point that reads words",
            Typed::Duration(_) => "a duration",
        };
        self.fault(&argument.span, message, Some(format!("this is {given}")));
    }
}
