//! The language as a tree of its own, and as the text that the engine is given.

use std::fmt;

use crate::site::SECOND;

/// Points by their place in the plant, lengths in moments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cond {
    Any(Vec<Cond>),
    All(Vec<Cond>),
    Not(Box<Cond>),
    AtLeast(usize, Vec<Cond>),
    Maybe(Box<Cond>),
    Same(Box<Cond>, bool, Box<Cond>),
    /// A point that is on or off.
    On(usize),
    /// A point that reads words: equal, or not.
    Word(usize, bool, &'static str),
    /// Something measured against a constant.
    Limit(Num, Op, f64),
    /// Arithmetic against arithmetic.
    Numbers(Num, Op, Num),
    Bad(usize),
    Stale(usize),
    Age(usize, Op, u64),
    Held(Box<Cond>, u64),
    Recently(Box<Cond>, u64),
    Count(Box<Cond>, u64, Op, u32),
    Then(Box<Cond>, Box<Cond>, u64),
    FirstOut(Vec<usize>),
    Active(String),
    People {
        place: &'static str,
        role: Option<&'static str>,
        present: bool,
        op: Op,
        n: u32,
    },
    Lone(&'static str),
    Still(&'static str, u64),
    Sos(&'static str),
    Guarded(&'static str),
    Seen {
        kind: &'static str,
        confidence: u8,
        window: u64,
        times: usize,
    },
    Told {
        name: &'static str,
        state: State,
        severity: u16,
    },
    Permit(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Num {
    Point(usize),
    Window(Window, usize, u64),
    Constant(f64),
    Negative(Box<Num>),
    Sum(Box<Num>, Box<Num>),
    Difference(Box<Num>, Box<Num>),
    Product(Box<Num>, Box<Num>),
    Quotient(Box<Num>, Box<Num>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Avg,
    Min,
    Max,
    Delta,
    Rate,
    Stddev,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    Unacknowledged,
    Suppressed,
}

impl Op {
    pub(crate) fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterEqual => left >= right,
        }
    }

    /// It holds of all that is greater than what it holds of.
    pub(crate) fn looks_up(self) -> bool {
        matches!(self, Self::Greater | Self::GreaterEqual)
    }
}

impl Cond {
    pub(crate) fn calls_for_help(&self) -> bool {
        match self {
            Self::Sos(_) => true,
            Self::Any(parts) | Self::All(parts) | Self::AtLeast(_, parts) => {
                parts.iter().any(Self::calls_for_help)
            }
            Self::Not(inner)
            | Self::Maybe(inner)
            | Self::Held(inner, _)
            | Self::Recently(inner, _)
            | Self::Count(inner, ..) => inner.calls_for_help(),
            Self::Same(left, _, right) | Self::Then(left, right, _) => {
                left.calls_for_help() || right.calls_for_help()
            }
            _ => false,
        }
    }

    /// The condition with each threshold of a point made easier to reach by the point's deadband: what must be
    /// over before the alarm is. `alarming`: the whole leans to true as this part does.
    pub(crate) fn eased(&self, deadbands: &[f64], alarming: bool) -> Self {
        let same = |of: &Self| Box::new(of.eased(deadbands, alarming));
        let all = |of: &[Self]| of.iter().map(|part| part.eased(deadbands, alarming)).collect();
        match self {
            Self::Any(parts) => Self::Any(all(parts)),
            Self::All(parts) => Self::All(all(parts)),
            Self::AtLeast(k, parts) => Self::AtLeast(*k, all(parts)),
            Self::Maybe(inner) => Self::Maybe(same(inner)),
            Self::Not(inner) => Self::Not(Box::new(inner.eased(deadbands, !alarming))),
            Self::Held(inner, d) => Self::Held(same(inner), *d),
            Self::Recently(inner, d) => Self::Recently(same(inner), *d),
            Self::Limit(num, op, at) => {
                let band = match num {
                    Num::Point(p) | Num::Window(Window::Avg | Window::Min | Window::Max, p, _) => {
                        deadbands[*p]
                    }
                    _ => 0.0,
                };
                let moved = if op.looks_up() == alarming { at - band } else { at + band };
                Self::Limit(num.clone(), *op, moved)
            }
            other => other.clone(),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        })
    }
}

fn tag(f: &mut fmt::Formatter<'_>, point: usize) -> fmt::Result {
    write!(f, "{{{}}}", crate::site::TAGS[point])
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Cond], between: &str) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        write!(f, "{}({part})", if at == 0 { "" } else { between })?;
    }
    Ok(())
}

impl fmt::Display for Cond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(parts) => joined(f, parts, " or "),
            Self::All(parts) => joined(f, parts, " and "),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::AtLeast(k, parts) => {
                write!(f, "at_least({k}, ")?;
                joined(f, parts, ", ")?;
                f.write_str(")")
            }
            Self::Maybe(inner) => write!(f, "maybe({inner})"),
            Self::Same(left, equal, right) => {
                write!(f, "({left}) {} ({right})", if *equal { "==" } else { "!=" })
            }
            Self::On(point) => tag(f, *point),
            Self::Word(point, equal, word) => {
                tag(f, *point)?;
                write!(f, " {} '{word}'", if *equal { "==" } else { "!=" })
            }
            Self::Limit(num, op, at) => write!(f, "{num} {op} {at}"),
            Self::Numbers(left, op, right) => write!(f, "({left}) {op} ({right})"),
            Self::Bad(point) => {
                f.write_str("bad(")?;
                tag(f, *point)?;
                f.write_str(")")
            }
            Self::Stale(point) => {
                f.write_str("stale(")?;
                tag(f, *point)?;
                f.write_str(")")
            }
            Self::Age(point, op, length) => {
                f.write_str("age(")?;
                tag(f, *point)?;
                write!(f, ") {op} {}s", length / SECOND)
            }
            Self::Held(inner, d) => write!(f, "held({inner}, {}s)", d / SECOND),
            Self::Recently(inner, d) => write!(f, "recently({inner}, {}s)", d / SECOND),
            Self::Count(inner, d, op, n) => write!(f, "count({inner}, {}s) {op} {n}", d / SECOND),
            Self::Then(first, second, d) => write!(f, "then({first}, {second}, {}s)", d / SECOND),
            Self::FirstOut(points) => {
                f.write_str("first_out(")?;
                for (at, point) in points.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { ", " })?;
                    tag(f, *point)?;
                }
                f.write_str(")")
            }
            Self::Active(rule) => write!(f, "active('{rule}')"),
            Self::People { place, role, present, op, n } => {
                write!(f, "{}('{place}'", if *present { "present" } else { "people" })?;
                if let Some(role) = role {
                    write!(f, ", '{role}'")?;
                }
                write!(f, ") {op} {n}")
            }
            Self::Lone(place) => write!(f, "lone('{place}')"),
            Self::Still(place, d) => write!(f, "still('{place}', {}s)", d / SECOND),
            Self::Sos(place) => write!(f, "sos('{place}')"),
            Self::Guarded(kind) => write!(f, "guarded('U-1', '{kind}')"),
            Self::Seen { kind, confidence, window, times } => {
                write!(f, "seen('U-1', '{kind}', confidence = {}, ", f64::from(*confidence) / 100.0)?;
                write!(f, "window = {}s, times = {times})", window / SECOND)
            }
            Self::Told { name, state, severity } => {
                let state = match state {
                    State::Active => "active",
                    State::Unacknowledged => "unacknowledged",
                    State::Suppressed => "suppressed",
                };
                write!(f, "condition('dcs', '{name}', state = '{state}', severity = {severity})")
            }
            Self::Permit(kind) => write!(f, "permit('U-1', '{kind}')"),
        }
    }
}

impl fmt::Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Point(point) => tag(f, *point),
            Self::Window(window, point, length) => {
                let name = match window {
                    Window::Avg => "avg",
                    Window::Min => "min",
                    Window::Max => "max",
                    Window::Delta => "delta",
                    Window::Rate => "rate",
                    Window::Stddev => "stddev",
                };
                write!(f, "{name}(")?;
                tag(f, *point)?;
                write!(f, ", {}s)", length / SECOND)
            }
            Self::Constant(number) => write!(f, "{number}"),
            Self::Negative(inner) => write!(f, "-({inner})"),
            Self::Sum(left, right) => write!(f, "({left}) + ({right})"),
            Self::Difference(left, right) => write!(f, "({left}) - ({right})"),
            Self::Product(left, right) => write!(f, "({left}) * ({right})"),
            Self::Quotient(left, right) => write!(f, "({left}) / ({right})"),
        }
    }
}
