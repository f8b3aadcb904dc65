//! The table at the end: what the scenario held against what arrived.
//!
//! Pure: changes and arrivals in, verdicts out. All is well only where everything that was due has
//! arrived, nothing else has, and no message was broken.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Table, presets};
use riskgate_point::Now;

use super::reader::Received;
use super::scenario::{Change, Item, PATIENCE, Scenario};

/// Delays of a copied configuration are whole milliseconds.
const CLOCK_GRAIN: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Arrived,
    /// It was due and did not come in time.
    Missing,
    /// The demo was cut short before.
    NotDue,
    /// Nobody expected it, or not yet.
    Unexpected,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) item: Item<String>,
    /// Since the start: the write in the plant, the arrival upstream.
    pub(super) changed: Option<Duration>,
    pub(super) arrived: Option<Duration>,
    /// From the one to the other.
    pub(super) took: Option<Duration>,
    /// How much of that is configured: on-delay, hold.
    pub(super) configured: Duration,
    pub(super) verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) faults: Vec<String>,
}

/// When the demo played, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Play {
    pub(super) began: Now,
    pub(super) speed: u32,
    /// What is due within this after the beginning is expected.
    pub(super) until: Duration,
}

impl Play {
    fn is_due(&self, due: Duration) -> bool {
        due <= self.until
    }
}

/// `changed` tells when the plant wrote a change.
pub(super) fn judge(
    scenario: &Scenario,
    play: Play,
    changed: impl Fn(Change) -> Option<Now>,
    received: &Received,
) -> Report {
    let since = |now: Now| now.mono.since(play.began.mono);
    let mut rest: BTreeMap<Item<String>, Now> = received.items.clone();
    let mut rows = Vec::new();
    for expected in scenario.expected() {
        let item = expected.item.owned();
        let arrival = rest.remove(&item);
        let change = changed(expected.change);
        let due = scenario.due(expected, play.speed).unwrap_or(Duration::MAX);
        let configured = expected.configured(play.speed);
        let took = match (change, arrival) {
            (Some(change), Some(arrival)) if arrival.mono >= change.mono => {
                Some(arrival.mono.since(change.mono))
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        let verdict = match (arrival, took) {
            // Before its change, or before its delay was over: the scenario did not hold that.
            (Some(_), None) => Verdict::Unexpected,
            (Some(_), Some(took)) if took + CLOCK_GRAIN < configured => Verdict::Unexpected,
            (Some(_), Some(took)) if took <= configured + PATIENCE => Verdict::Arrived,
            (None, _) if !play.is_due(due) => Verdict::NotDue,
            (Some(_) | None, _) => Verdict::Missing,
        };
        rows.push(Row {
            item,
            changed: change.map(since),
            arrived: arrival.map(since),
            took,
            configured,
            verdict,
        });
    }
    for (item, arrival) in rest {
        rows.push(Row {
            item,
            changed: None,
            arrived: Some(since(arrival)),
            took: None,
            configured: Duration::ZERO,
            verdict: Verdict::Unexpected,
        });
    }
    Report { rows, faults: received.faults.clone() }
}

/// Whether anything that is due has still to come.
pub(super) fn is_waiting(scenario: &Scenario, play: Play, received: &Received) -> bool {
    scenario.expected().any(|expected| {
        let due = scenario.due(expected, play.speed).unwrap_or(Duration::MAX);
        play.is_due(due) && !received.items.contains_key(&expected.item.owned())
    })
}

impl Report {
    pub(super) fn all_well(&self) -> bool {
        let well = |row: &Row| matches!(row.verdict, Verdict::Arrived | Verdict::NotDue);
        self.faults.is_empty() && self.rows.iter().all(well)
    }

    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }

    /// The table, in Chinese and English.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header([
            "应到 expected",
            "装置变化 change, s",
            "到达 arrival, s",
            "用时 took, ms",
            "其中设定 configured, ms",
            "结论 verdict",
        ]);
        let seconds = |time: Option<Duration>| {
            time.map_or_else(|| "-".to_owned(), |time| format!("{:.3}", time.as_secs_f64()))
        };
        for row in &self.rows {
            let took = row.took.map_or_else(|| "-".to_owned(), |took| took.as_millis().to_string());
            table.add_row([
                name(&row.item),
                seconds(row.changed),
                seconds(row.arrived),
                took,
                row.configured.as_millis().to_string(),
                word(row.verdict).to_owned(),
            ]);
        }
        table.to_string()
    }
}

fn name(item: &Item<String>) -> String {
    match item {
        Item::Alarm(id) => format!("报警 alarm {id}"),
        Item::Candidate(cause) => format!("待确认 candidate {cause}"),
        Item::Hazard(cause) => format!("隐患 hazard {cause}"),
        Item::Boost(task) => format!("任务 task {task}"),
        Item::Colour(unit, class) => format!("单元 unit {unit} {}", colour(class)),
    }
}

fn colour(class: &str) -> String {
    let zh = match class {
        "red" => "红",
        "orange" => "橙",
        "yellow" => "黄",
        "blue" => "蓝",
        _ => "",
    };
    format!("{zh} {class}")
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Arrived => "到达 arrived",
        Verdict::Missing => "未到 MISSING",
        Verdict::NotDue => "未到期 not yet due",
        Verdict::Unexpected => "意外 UNEXPECTED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::scenario::DEMO;

    fn began() -> Now {
        Now { mono: riskgate_point::Mono(1_000_000_000_000), ..Now::default() }
    }

    fn play(until: u64) -> Play {
        Play { began: began(), speed: 1, until: Duration::from_secs(until) }
    }

    /// The plant as planned.
    fn changed(change: Change) -> Option<Now> {
        DEMO.second_of(change).map(|second| began().after(Duration::from_secs_f64(second)))
    }

    /// Everything that is due within so many seconds, 300 ms late.
    fn arrivals(until: u64) -> Received {
        let mut received = Received::default();
        for expected in DEMO.expected() {
            let due = DEMO.due(expected, 1).expect("due");
            if due <= Duration::from_secs(until) {
                received.items.insert(expected.item.owned(), began().after(due + Duration::from_millis(300)));
            }
        }
        received
    }

    fn verdict_of(report: &Report, item: Item<&str>) -> Verdict {
        report.rows.iter().find(|row| row.item == item.owned()).expect("a row").verdict
    }

    #[test]
    fn all_is_well_where_everything_arrived_and_nothing_else() {
        let report = judge(&DEMO, play(60), changed, &arrivals(60));
        assert!(report.all_well(), "{report:?}");
        assert_eq!(report.count(Verdict::Arrived), DEMO.expected().count());
        let level = report.rows.first().expect("rows");
        assert_eq!(level.took.map(|took| took.as_millis()), Some(3_300));
        assert_eq!(level.configured, Duration::from_secs(3));
        assert!(!is_waiting(&DEMO, play(60), &arrivals(60)));
    }

    #[test]
    fn what_was_due_and_did_not_come_is_missing() {
        let mut received = arrivals(60);
        received.items.remove(&Item::Hazard("sis-trip").owned());
        assert!(is_waiting(&DEMO, play(60), &received));
        let report = judge(&DEMO, play(60), changed, &received);
        assert_eq!(verdict_of(&report, Item::Hazard("sis-trip")), Verdict::Missing);
        assert!(!report.all_well());
    }

    #[test]
    fn what_came_too_late_is_missing() {
        let mut received = arrivals(60);
        let late = changed(Change::Above("SIS-201", 0.5)).expect("a trip").after(PATIENCE * 2);
        received.items.insert(Item::Hazard("sis-trip").owned(), late);
        let report = judge(&DEMO, play(60), changed, &received);
        assert_eq!(verdict_of(&report, Item::Hazard("sis-trip")), Verdict::Missing);
    }

    #[test]
    fn what_nobody_expected_is_a_failure() {
        let mut received = arrivals(60);
        received.items.insert(Item::Alarm("LT-102/HH").owned(), began());
        let report = judge(&DEMO, play(60), changed, &received);
        assert_eq!(verdict_of(&report, Item::Alarm("LT-102/HH")), Verdict::Unexpected);
        assert!(!report.all_well());
    }

    #[test]
    fn what_came_before_its_delay_was_over_is_a_failure() {
        let mut received = arrivals(60);
        let early = changed(Change::Above("LT-101", 85.0)).expect("a level").after(Duration::from_secs(2));
        received.items.insert(Item::Alarm("LT-101/H").owned(), early);
        let report = judge(&DEMO, play(60), changed, &received);
        assert_eq!(verdict_of(&report, Item::Alarm("LT-101/H")), Verdict::Unexpected);
    }

    #[test]
    fn what_came_before_its_change_was_not_what_is_expected() {
        let mut received = arrivals(60);
        received.items.insert(Item::Hazard("sis-trip").owned(), began());
        let report = judge(&DEMO, play(60), changed, &received);
        assert_eq!(verdict_of(&report, Item::Hazard("sis-trip")), Verdict::Unexpected);
    }

    #[test]
    fn a_demo_cut_short_expects_only_what_was_due() {
        let report = judge(&DEMO, play(20), changed, &arrivals(20));
        assert!(report.all_well(), "{report:?}");
        assert_eq!(report.count(Verdict::Arrived), 2);
        assert_eq!(verdict_of(&report, Item::Hazard("sis-trip")), Verdict::NotDue);
        assert!(!is_waiting(&DEMO, play(20), &arrivals(20)));
        let none = judge(&DEMO, play(20), changed, &Received::default());
        assert_eq!(none.count(Verdict::Missing), 2);
    }

    #[test]
    fn a_broken_message_is_a_failure() {
        let received = Received { faults: vec!["alarm/U-TA: it is not JSON".to_owned()], ..arrivals(60) };
        assert!(!judge(&DEMO, play(60), changed, &received).all_well());
    }

    #[test]
    fn the_table_says_in_both_languages_what_came_and_what_did_not() {
        let mut received = arrivals(60);
        received.items.remove(&Item::Boost("T-RX-002").owned());
        let table = judge(&DEMO, play(60), changed, &received).table();
        let row = |text: &str| table.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned();
        assert!(row("LT-101/H").contains("17.800") && row("LT-101/H").contains("到达 arrived"), "{table}");
        assert!(row("T-RX-002").contains("未到 MISSING"), "{table}");
    }
}
