//! What each kind writes, what it refuses, and the rules that a plant expects, as timelines.

use super::*;
use crate::site::{draft, hazard, point, rule, secs, told, unit};
use crate::{Class, Confirm, Plant, RuleDraft, ZoneDraft};

mod plant_rules;

fn number(number: f64) -> Given {
    Given::Number(number)
}

fn word(text: &str) -> Given {
    Given::Text(text.to_owned())
}

fn words(texts: &[&str]) -> Given {
    Given::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn length(secs: u64) -> Given {
    Given::Duration(Duration::from_secs(secs))
}

/// A rule of a kind, with its defaults.
fn of(id: &str, name: &str, given: Vec<(&'static str, Given)>) -> RuleDraft {
    let kind = kind(name).unwrap();
    RuleDraft {
        priority: kind.priority,
        for_: kind.on_delay,
        clear_for: kind.off_delay,
        kind: Some(KindDraft { kind, given }),
        ..rule(id, "")
    }
}

/// The plant of the tests with points that trip, and a limit of persons in its first zone.
fn site(rules: Vec<RuleDraft>) -> Draft {
    let mut site = told(rules);
    for point in site.points.iter_mut().filter(|point| point.class == Class::Gas) {
        point.eu = "%LEL".to_owned();
    }
    for tag in ["XS-1", "XS-2", "XS-3", "BYP"] {
        site.points.push(PointDraft { boolean: true, ..point(tag, Class::Sis) });
    }
    site.points.push(PointDraft { deadband: 1.0, ..point("LI-2", Class::Process) });
    site.points.push(PointDraft { eu: "%VOL".to_owned(), ..point("OX-1", Class::Gas) });
    site.points.push(point("QT", Class::Permit));
    site.units.push(unit("U-2"));
    let limited = site.zones.iter_mut().find(|zone| zone.id == "Z-1");
    limited.into_iter().for_each(|zone: &mut ZoneDraft| zone.limit = Some(2));
    site
}

fn written(name: &str, given: Vec<(&'static str, Given)>) -> String {
    match Plant::build(site(vec![of("r", name, given)])) {
        Ok((plant, _)) => plant.rules().last().unwrap().text().to_owned(),
        Err(faults) => panic!("{faults:#?}"),
    }
}

#[test]
fn each_kind_writes_its_condition_in_the_language() {
    for (name, given, text) in [
        ("rate", vec![("point", word("TI")), ("above", number(2.5))], "rate({TI}, 5m) >= 2.5"),
        (
            "rate",
            vec![
                ("point", word("TI")),
                ("above", number(2.0)),
                ("below", number(-3.0)),
                ("window", length(90)),
            ],
            "rate({TI}, 90s) >= 2 or rate({TI}, 90s) <= -3",
        ),
        (
            "deviation",
            vec![("point", word("LI")), ("other", word("LI-2")), ("more", number(3.0))],
            "{LI} - {LI-2} >= 3 or {LI-2} - {LI} >= 3",
        ),
        ("frozen", vec![("point", word("LI"))], "max({LI}, 30m) - min({LI}, 30m) <= 0"),
        (
            "frozen",
            vec![
                ("point", word("LI")),
                ("band", number(0.5)),
                ("rest", number(0.0)),
                ("window", length(600)),
            ],
            "max({LI}, 10m) - min({LI}, 10m) <= 0.5 and ({LI} > 0.5 or {LI} < -0.5)",
        ),
        ("range", vec![("point", word("TI")), ("high", number(80.0))], "{TI} <= 0 or {TI} >= 80"),
        (
            "discrepancy",
            vec![("points", words(&["XS-1", "XS-2", "XS-3"]))],
            "({XS-1} or {XS-2} or {XS-3}) and not ({XS-1} and {XS-2} and {XS-3})",
        ),
        (
            "discrepancy",
            vec![("points", words(&["LI", "LI-2"])), ("more", number(5.0))],
            "{LI} - {LI-2} >= 5 or {LI-2} - {LI} >= 5",
        ),
        ("sis_trip", vec![("points", words(&["XS-1"]))], "{XS-1}"),
        ("sis_trip", vec![("points", words(&["XS-1", "XS-2"]))], "first_out({XS-1}, {XS-2})"),
        ("bypass", vec![("point", word("BYP"))], "{BYP}"),
        (
            "bypass",
            vec![("source", word("dcs")), ("condition", word("XS-1/Bypass"))],
            "condition('dcs', 'XS-1/Bypass')",
        ),
        ("overcrowding", vec![("place", word("Z-1"))], "people('Z-1') > 2"),
        ("overcrowding", vec![("limit", number(9.0))], "people('U-1') > 9"),
        (
            "off_post",
            vec![("place", word("Z-2")), ("role", word("operator"))],
            "present('Z-2', 'operator') < 1",
        ),
        ("still", vec![("length", length(120))], "still('U-1', 2m)"),
        ("sos", vec![], "sos()"),
        ("sos", vec![("place", word("Z-1"))], "sos('Z-1')"),
        ("oxygen", vec![("points", words(&["OX-1"]))], "{OX-1} <= 19.5 or {OX-1} >= 23.5"),
        (
            "oxygen",
            vec![("points", words(&["OX-1"])), ("high", number(21.0)), ("work", word("confined_space"))],
            "maybe(permit('U-1', 'confined_space')) and ({OX-1} <= 19.5 or {OX-1} >= 21)",
        ),
        (
            "conflicting_work",
            vec![("works", words(&["hot_work", "blind_plate"])), ("near", words(&["U-2"]))],
            "at_least(2, permit('U-1', 'hot_work') or permit('U-2', 'hot_work'), permit('U-1', 'blind_plate') or \
             permit('U-2', 'blind_plate'))",
        ),
        (
            "gas_test",
            vec![("point", word("QT")), ("work", word("hot_work")), ("pause", length(3600))],
            "permit('U-1', 'hot_work') and (age({QT}) > 8h or (age({QT}) > 31m and \
             count(recently(permit('U-1', 'hot_work'), 1h), 1m) >= 1))",
        ),
        ("lone", vec![("place", word("Z-1"))], "lone('Z-1')"),
        ("intrusion", vec![("place", word("Z-1"))], "people('Z-1') > 0"),
        (
            "intrusion",
            vec![("place", word("Z-1")), ("roles", words(&["op", "a'b"]))],
            "people('Z-1') - people('Z-1', 'op') - people('Z-1', 'a''b') > 0",
        ),
        (
            "sighting",
            vec![("sees", word("no_helmet")), ("times", number(5.0)), ("window", length(60))],
            "seen('U-1', 'no_helmet', confidence = 0.6, window = 1m, times = 5)",
        ),
        (
            "sighting",
            vec![
                ("place", word("Z-1")),
                ("sees", word("smoke")),
                ("with", word("{GD-1} >= 10 or {TI} > 80")),
            ],
            "seen('U-1', 'smoke', confidence = 0.6, window = 30s, times = 3) or (seen('U-1', 'smoke', \
             confidence = 0.6, window = 30s) and ({GD-1} >= 10 or {TI} > 80))",
        ),
        (
            "permit_expired",
            vec![("place", word("Z-2")), ("work", word("confined_space"))],
            "recently(permit('U-1', 'confined_space'), 8h) and not permit('U-1', 'confined_space') and \
             people('Z-2') > 0",
        ),
        (
            "guardian_away",
            vec![("work", word("hot_work"))],
            "permit('U-1', 'hot_work') and not guarded('U-1', 'hot_work')",
        ),
    ] {
        assert_eq!(written(name, given), text, "{name}");
    }
}

#[test]
fn the_limit_of_hot_work_follows_from_the_gas() {
    for (key, given, limit) in [
        ("gas", word("methane"), "10"),
        ("gas", word("hydrogen"), "12.5"),
        ("gas", word("acetone"), "8"),
        // 16.666…: cut to what is stricter.
        ("gas", word("benzene"), "16.66"),
        ("lel", number(4.0), "12.5"),
        ("lel", number(3.9), "5.12"),
    ] {
        let text = written("permit_gas", vec![("points", words(&["GD-1"])), (key, given)]);
        assert_eq!(text, format!("maybe(permit('U-1', 'hot_work')) and ({{GD-1}} > {limit})"));
    }
    let mut by_volume =
        site(vec![of("r", "permit_gas", vec![("points", words(&["GD-1", "GD-2"])), ("lel", number(2.5))])]);
    by_volume.points.iter_mut().for_each(|point| point.eu = "%VOL".to_owned());
    let (plant, _) = Plant::build(by_volume).unwrap();
    let text = plant.rules().last().unwrap().text();
    assert_eq!(text, "maybe(permit('U-1', 'hot_work')) and ({GD-1} > 0.2 or {GD-2} > 0.2)");
}

/// What is refused, as `KEY: MESSAGE (HINT)`.
fn refused(name: &str, given: Vec<(&'static str, Given)>) -> Vec<String> {
    let faults = Plant::build(site(vec![of("r", name, given)])).unwrap_err();
    let errors = faults.into_iter().filter(|fault| fault.severity == Severity::Error);
    errors.map(|of| format!("{}: {} ({})", of.field, of.message, of.hint.unwrap_or_default())).collect()
}

#[test]
fn what_a_kind_cannot_make_sense_of_is_told_at_its_key() {
    for (name, given, told) in [
        (
            "rate",
            vec![("point", word("TI"))],
            "above: neither 'above' nor 'below' is given (write above = 2.5, per minute)",
        ),
        ("rate", vec![("point", word("Ti"))], "point: there is no point 'Ti' (did you mean 'TI'?)"),
        (
            "rate",
            vec![],
            "point: 'point' is missing (kind = \"rate\" needs it: point = \"TI-101\", above = 2.5, window = \"5m\")",
        ),
        (
            "frozen",
            vec![("point", word("XS-1"))],
            "point: 'XS-1' reads no number (this kind takes a point that reads numbers)",
        ),
        (
            "deviation",
            vec![("point", word("TI")), ("other", word("TI")), ("more", number(1.0))],
            "other: it is the same point (name the point that it should read like)",
        ),
        (
            "deviation",
            vec![("point", word("TI")), ("other", word("LI")), ("more", number(0.0))],
            "more: 'more' = 0 is no difference (write a number above 0)",
        ),
        (
            "range",
            vec![("point", word("TI")), ("low", number(100.0))],
            "low: 'low' = 100 is not below 'high' = 100 ()",
        ),
        (
            "discrepancy",
            vec![("points", words(&["XS-1"]))],
            "points: 'points' names 1 of at least 2 points (write at least 2: points = [\"LS-101A\", \
             \"LS-101B\", \"LS-101C\"])",
        ),
        (
            "sis_trip",
            vec![("points", words(&["XS-1", "TI"]))],
            "points: 'TI' is neither on nor off (give it type bool in the point table, or write `when`)",
        ),
        (
            "overcrowding",
            vec![("place", word("Z-2"))],
            "limit: 'limit' is missing, and 'Z-2' has none (write limit = 3 here or at the [[zone]])",
        ),
        (
            "off_post",
            vec![("role", word("operator")), ("least", number(1.5))],
            "least: 'least' = 1.5 is no number of persons (write a whole number)",
        ),
        ("lone", vec![("place", word("Z-9"))], "place: there is no zone or unit 'Z-9' (did you mean 'Z-1'?)"),
        (
            "permit_gas",
            vec![("points", words(&["TI"])), ("lel", number(5.0))],
            "points: 'TI' reads no eu, not %LEL or %VOL (give it its eu in the point table)",
        ),
        (
            "permit_gas",
            vec![("points", words(&["GD-1"])), ("gas", word("butane"))],
            "gas: the gas 'butane' is not known (there are methane, hydrogen, acetone, benzene; of another \
             write lel = 2.5, in % of volume)",
        ),
        (
            "oxygen",
            vec![("points", words(&["GD-1"]))],
            "points: 'GD-1' reads '%LEL', not %VOL (give it its eu in the point table)",
        ),
        (
            "oxygen",
            vec![("points", words(&["OX-1"])), ("low", number(24.0))],
            "low: 'low' = 24 and 'high' = 23.5 are no two sides of air (air has 20.9 % of volume: low = 19.5, \
             high = 23.5)",
        ),
        (
            "conflicting_work",
            vec![("works", words(&["hot_work", "hot_work"]))],
            "works: 'works' names 2 kinds of special work (name two or more, each once: works = [\"hot_work\", \
             \"blind_plate\"], near = [\"tank-b\"])",
        ),
        (
            "conflicting_work",
            vec![("works", words(&["hot_work", "blind_plate"])), ("near", words(&["U-3"]))],
            "near: there is no unit 'U-3' (did you mean 'U-1'?)",
        ),
        // What the language refuses is told with what was written.
        (
            "guardian_away",
            vec![("work", word("hotwork"))],
            "kind: there is no kind of work 'hotwork' (in `permit('U-1', 'hotwork') and not guarded('U-1', \
             'hotwork')`) (did you mean 'hot_work'? There are hot_work, confined_space, blind_plate, height, \
             lifting, temporary_power, earthwork, road_closing)",
        ),
    ] {
        assert_eq!(refused(name, given).first().map(String::as_str), Some(told), "{name}");
    }
}

#[test]
fn a_kind_is_known_by_its_name_and_near_ones_are_offered() {
    assert_eq!(kind("sos").map(|kind| kind.name).ok(), Some("sos"));
    assert_eq!(kind("overcrowd").err(), Some(Some("overcrowding")));
    assert_eq!(kind("weather").err(), Some(None));
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KINDS.len());
}
