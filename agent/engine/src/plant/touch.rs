//! Whom a reading touches: of the rules that read a point, those that may see it differently than the last one.
//!
//! Most rules compare a point with constants and ask nothing else of it. The constants of all of them stand in
//! one sorted run for each point: a number that stays between two neighbours touches none of them, and one that
//! moves touches those that it passes. What a rule asks in another way, any change touches.
//!
//! Only between two readings that are not bad: whatever turns good or bad is judged by all.

use riskgate_point::PointId;

use super::index::Index;
use super::{Condition, Rule};
use crate::expr::Marks;

/// Built once.
#[derive(Debug, Default)]
pub(crate) struct Touch {
    /// The rules that any change of a point touches.
    any: Index,
    /// Where the run of each point begins, and where the last one ends.
    starts: Vec<u32>,
    /// (mark, rule), by mark.
    marks: Vec<(f64, u32)>,
}

/// The numbers of a point, without both ends, among which none touches a rule by a mark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quiet {
    above: f64,
    below: f64,
}

impl Quiet {
    /// Nothing is known: no number is among them.
    pub(crate) const NONE: Self = Self { above: f64::INFINITY, below: f64::NEG_INFINITY };

    pub(crate) fn holds(self, number: f64) -> bool {
        self.above < number && number < self.below
    }
}

impl Touch {
    pub(super) fn build(points: usize, rules: &[Rule]) -> Self {
        let mut any = Vec::new();
        let mut marks: Vec<(PointId, f64, u32)> = Vec::new();
        for (at, rule) in (0u32..).zip(rules) {
            let of = marks_of(rule);
            any.extend(of.any.iter().map(|point| (point.0, at)));
            let by_mark = of.at.iter().filter(|(point, _)| !of.any.contains(point));
            marks.extend(by_mark.map(|(point, mark)| (*point, *mark, at)));
        }
        marks.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        marks.dedup();
        let mut starts = Vec::with_capacity(points + 1);
        let mut at = 0;
        for point in (0u32..).take(points) {
            starts.push(u32::try_from(at).unwrap_or(u32::MAX));
            at += marks.iter().skip(at).take_while(|(of, ..)| of.0 == point).count();
        }
        starts.push(u32::try_from(at).unwrap_or(u32::MAX));
        let marks = marks.into_iter().map(|(_, mark, rule)| (mark, rule)).collect();
        Self { any: Index::build(points, any), starts, marks }
    }

    /// The rules that any change of the point touches, in order.
    pub(crate) fn any(&self, point: PointId) -> &[u32] {
        self.any.of(point.0)
    }

    /// The rules that a step of the point from one number to another touches, both of them included; a rule may
    /// come more than once. And the numbers around the second that will touch none.
    pub(crate) fn passed(
        &self,
        point: PointId,
        from: f64,
        to: f64,
    ) -> (impl Iterator<Item = u32> + '_, Quiet) {
        let run = self.run(point).unwrap_or(&[]);
        let (low, high) = if from <= to { (from, to) } else { (to, from) };
        let first = run.partition_point(|(mark, _)| *mark < low);
        let passed = run.iter().skip(first).take_while(move |(mark, _)| *mark <= high);
        let next = run.partition_point(|(mark, _)| *mark <= to);
        let mark = |at: Option<usize>| at.and_then(|at| run.get(at)).map(|(mark, _)| *mark);
        let quiet = Quiet {
            above: mark(next.checked_sub(1)).unwrap_or(f64::NEG_INFINITY),
            below: mark(Some(next)).unwrap_or(f64::INFINITY),
        };
        (passed.map(|(_, rule)| *rule), quiet)
    }

    fn run(&self, point: PointId) -> Option<&[(f64, u32)]> {
        let point = usize::try_from(point.0).ok()?;
        let start = usize::try_from(*self.starts.get(point)?).ok()?;
        let end = usize::try_from(*self.starts.get(point + 1)?).ok()?;
        self.marks.get(start..end)
    }
}

/// What of its points a rule asks; of those that are not accounted for, anything.
fn marks_of(rule: &Rule) -> Marks {
    let mut marks = Marks::default();
    match &rule.condition {
        Condition::Limit(test) => marks.at.extend([test.limit, test.back].map(|mark| (test.point, mark))),
        Condition::Text { when, clear } => {
            when.marks(&mut marks);
            clear.marks(&mut marks);
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plant::Plant;
    use crate::site::{draft, rule, ruled};

    fn touch(texts: &[&str]) -> (Plant, u32) {
        let rules = texts.iter().enumerate().map(|(at, text)| rule(&format!("r{at}"), text));
        let plant = Plant::build(ruled(rules.collect())).expect("it is sound").0;
        let first = plant.rule_at("r0").expect("it is there");
        (plant, first)
    }

    /// The written rules that a step of GD-1 touches, and what is quiet behind it.
    fn step(of: &(Plant, u32), from: f64, to: f64) -> (Vec<u32>, Quiet) {
        let point = of.0.point_id("GD-1").expect("it is there");
        let (passed, quiet) = of.0.touch().passed(point, from, to);
        let mut rules: Vec<u32> = passed.filter_map(|rule| rule.checked_sub(of.1)).collect();
        rules.sort_unstable();
        rules.dedup();
        (rules, quiet)
    }

    #[test]
    fn a_step_touches_the_rules_whose_numbers_it_reaches_leaves_or_passes() {
        let plant = touch(&["{GD-1} > 12", "held({GD-1} <= 14, 2s)", "{GD-1} < 13 or {LI} - 1 > 3"]);
        assert_eq!(step(&plant, 11.0, 11.5), (vec![], Quiet { above: f64::NEG_INFINITY, below: 12.0 }));
        assert_eq!(step(&plant, 11.0, 12.0).0, [0]);
        assert_eq!(step(&plant, 12.0, 11.0).0, [0]);
        assert_eq!(step(&plant, 12.5, 13.5), (vec![2], Quiet { above: 13.0, below: 14.0 }));
        assert_eq!(step(&plant, 20.0, 0.0).0, [0, 1, 2]);
        assert!(!step(&plant, 20.0, 12.0).1.holds(12.0), "on a mark nothing is quiet");
    }

    #[test]
    fn what_is_asked_in_another_way_is_touched_by_any_change() {
        let texts = [
            "{GD-1} - {GD-2} > 1",
            "avg({GD-1}, 1m) > 1",
            "age({GD-1}) > 1m",
            "{GD-1} > 1 and people('U-1') > 0",
            "{GD-1} > 1 and {GD-1} * 2 > 4",
            "held(max({GD-1}, 1m) > 2, 1m)",
            "{GD-1} > 1 or bad({GD-2})",
        ];
        let plant = touch(&texts);
        let point = plant.0.point_id("GD-1").expect("it is there");
        let any: Vec<u32> = plant.0.touch().any(point).iter().map(|rule| rule - plant.1).collect();
        assert_eq!(any, [0, 1, 2, 3, 4, 5]);
        assert_eq!(step(&plant, 0.0, 2.0).0, [6], "a rule stands in one of both");
    }

    #[test]
    fn the_limits_of_a_row_and_their_ways_back_are_marks() {
        let plant = Plant::build(draft()).expect("it is sound").0;
        let point = plant.point_id("LI").expect("it is there");
        let passed = |from: f64, to: f64| plant.touch().passed(point, from, to).0.count();
        assert_eq!(passed(50.0, 84.0), 1, "H comes back at 83");
        assert_eq!(passed(84.0, 85.0), 1);
        assert_eq!(passed(13.0, 84.5), 1);
        assert_eq!(passed(0.0, 100.0), 8);
    }
}
