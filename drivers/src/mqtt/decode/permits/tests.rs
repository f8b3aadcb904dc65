//! Tickets as two platforms write them.

use std::sync::Arc;

use jiff::tz::TimeZone;
use riskgate_point::{Now, SourceId};
use serde_json::json;

use super::*;
use crate::mqtt::What;
use crate::mqtt::decode::{Decoded, Message, message};
use crate::mqtt::fields::Renames;
use crate::mqtt::memory::Memory;

fn hear(fields: PermitFields, json: &Json, retained: bool) -> Decoded {
    let payload = json.to_string();
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let heard = Message {
        source: SourceId(4),
        place: 0,
        topic: "permits/动火",
        payload: payload.as_bytes(),
        received: Now::default(),
        retained,
        zone: &zone,
    };
    message(&What::Permits(fields), &heard, &mut Memory::default())
}

fn permit(fields: PermitFields, json: &Json) -> Permit {
    let decoded = hear(fields, json, false);
    let [Report::Permit(permit)] = decoded.reports.as_slice() else { panic!("{decoded:?}") };
    assert_eq!(decoded.skipped, []);
    (**permit).clone()
}

fn why(fields: PermitFields, json: &Json) -> Vec<(&'static str, Option<String>)> {
    let decoded = hear(fields, json, false);
    assert_eq!(decoded.reports, []);
    decoded.skipped.into_iter().map(|skipped| (skipped.skip.word(), skipped.example)).collect()
}

macro_rules! corpus {
    ($name:literal) => {
        serde_json::from_str::<Json>(include_str!(concat!("../../../../tests/corpus/mqtt_json/", $name)))
            .unwrap()
    };
}

fn with(ticket: &Json, key: &str, value: Json) -> Json {
    let mut ticket = ticket.clone();
    ticket[key] = value;
    ticket
}

#[test]
fn a_ticket_of_the_exchange_standard_is_read_by_its_own_names() {
    let places = Renames::new([("FXQ-03".to_owned(), Arc::from("tank-a"))].into());
    let read = permit(PermitFields { places, ..PermitFields::jt() }, &corpus!("jt_permit.json"));
    let expected = Permit {
        source: SourceId(4),
        id: Arc::from("DH-20261101-007"),
        kind: PermitKind::HotWork,
        level: Some(1),
        stage: PermitStage::Working,
        place: Some(Arc::from("tank-a")),
        start: Some(Wall(1_793_494_800_000)),
        end: Some(Wall(1_793_523_600_000)),
        guardian: Some(Arc::from("李雷")),
        source_time: None,
        received: Now::default(),
        backfill: false,
    };
    assert_eq!(read, expected);
}

#[test]
fn its_names_may_be_written_large() {
    let json = json!({ "ZYZBH": "GC-1", "ZYLX": "4", "DQZT": "1", "FSSSTID": null });
    let read = permit_or_skips(&json);
    assert_eq!((read.kind, read.stage, read.place), (PermitKind::Height, PermitStage::Before, None));
}

/// What is absent beside is counted and does not matter here.
fn permit_or_skips(json: &Json) -> Permit {
    let decoded = hear(PermitFields::jt(), json, false);
    let [Report::Permit(permit)] = decoded.reports.as_slice() else { panic!("{decoded:?}") };
    (**permit).clone()
}

#[test]
fn a_national_ticket_names_its_kind_by_codes_of_the_platform() {
    let ticket = corpus!("national_ticket.json");
    let fields = || PermitFields {
        kinds: [("sxkj".to_owned(), PermitKind::ConfinedSpace)].into(),
        stages: [("2".to_owned(), PermitStage::Working)].into(),
        ..PermitFields::national()
    };
    let read = permit(fields(), &ticket);
    assert_eq!((read.kind, read.stage), (PermitKind::ConfinedSpace, PermitStage::Working));
    assert_eq!((read.place.as_deref(), read.guardian.as_deref()), (Some("罐区A"), Some("韩梅")));
    let cancelled = permit(fields(), &with(&ticket, "isCancelled", json!(1)));
    assert_eq!(cancelled.stage, PermitStage::After, "a ticket that was taken back permits nothing");
    let named = "'sxkj' is no kind of special work; say in kinds which it is".to_owned();
    assert_eq!(why(PermitFields::national(), &ticket), [("unusable_kind", Some(named))]);
}

#[test]
fn a_number_of_a_national_ticket_means_nothing_until_the_configuration_says_what() {
    // By the exchange standard it would be 作业前, and the work under it would not count as open.
    let ticket = json!({ "ticketNum": "GC-1", "ticketType": "高处作业", "ticketStatus": "1" });
    let said = "'1' is no stage of a ticket; say in stages which it is".to_owned();
    assert_eq!(why(PermitFields::national(), &ticket), [("unusable_stage", Some(said))]);
    let numbered = with(&with(&ticket, "ticketType", json!(4)), "ticketStatus", json!("作业中"));
    let said = "'4' is no kind of special work; say in kinds which it is".to_owned();
    assert_eq!(why(PermitFields::national(), &numbered), [("unusable_kind", Some(said))]);
    let told = |fields: PermitFields, ticket: &Json| match hear(fields, ticket, false).reports.as_slice() {
        [Report::Permit(permit)] => (permit.kind, permit.stage),
        other => panic!("{other:?}"),
    };
    let stages = || [("1".to_owned(), PermitStage::Working)].into();
    let listed = PermitFields { stages: stages(), ..PermitFields::national() };
    assert_eq!(told(listed, &ticket), (PermitKind::Height, PermitStage::Working));
    // What the configuration fixes is no number of the platform.
    let fixed =
        PermitFields { kind: Where::parse("=4").unwrap(), stages: stages(), ..PermitFields::national() };
    assert_eq!(told(fixed, &ticket), (PermitKind::Height, PermitStage::Working));
}

#[test]
fn a_kind_may_stand_in_the_topic() {
    let fields = PermitFields { kind: Where::parse("topic:2").unwrap(), ..PermitFields::jt() };
    assert_eq!(permit(fields, &corpus!("jt_permit.json")).kind, PermitKind::HotWork);
}

#[test]
fn a_ticket_without_number_or_stage_is_counted_and_never_guessed() {
    let ticket = corpus!("jt_permit.json");
    for (key, value, word) in [
        ("zyzbh", json!(""), "missing_id"),
        ("zylx", json!(null), "missing_kind"),
        ("zylx", json!(9), "unusable_kind"),
        ("dqzt", json!("0"), "unusable_stage"),
        ("dqzt", json!([]), "unusable_stage"),
    ] {
        let said = why(PermitFields::jt(), &with(&ticket, key, value));
        assert_eq!(said.iter().map(|(word, _)| *word).collect::<Vec<_>>(), [word], "{key}");
    }
}

#[test]
fn a_ticket_stands_without_what_only_describes_it() {
    let ticket = with(&with(&corpus!("jt_permit.json"), "dhzyjb", json!(7)), "zyssjssj", json!("soon"));
    let decoded = hear(PermitFields::jt(), &ticket, false);
    let [Report::Permit(permit)] = decoded.reports.as_slice() else { panic!("{decoded:?}") };
    assert_eq!((permit.level, permit.end), (None, None));
    let words: Vec<_> = decoded.skipped.iter().map(|skipped| skipped.skip.word()).collect();
    assert_eq!(words, ["unusable_level", "unusable_end"]);
    let open = with(&corpus!("jt_permit.json"), "zyssjssj", json!(null));
    assert_eq!(super::tests::permit(PermitFields::jt(), &open).end, None, "no end yet is no fault");
}

#[test]
fn a_ticket_that_the_broker_kept_is_told_as_it_stands() {
    let decoded = hear(PermitFields::jt(), &corpus!("jt_permit.json"), true);
    assert!(matches!(decoded.reports.as_slice(), [Report::Permit(permit)] if permit.backfill));
}

#[test]
fn words_of_kinds_stages_and_levels() {
    for (told, expect) in [
        ("动火作业", Some(PermitKind::HotWork)),
        ("高处", Some(PermitKind::Height)),
        ("Road_Closing", Some(PermitKind::RoadClosing)),
        ("8", Some(PermitKind::RoadClosing)),
        ("9", None),
    ] {
        assert_eq!(kind(told), expect, "{told}");
    }
    for (told, of, expect) in [
        ("特级", PermitKind::HotWork, Some(1)),
        ("一级", PermitKind::HotWork, Some(2)),
        ("二级", PermitKind::HotWork, Some(3)),
        ("一级", PermitKind::Lifting, Some(1)),
        ("Ⅳ级", PermitKind::Height, Some(4)),
        ("II", PermitKind::Height, Some(2)),
        ("3", PermitKind::Height, Some(3)),
        ("5", PermitKind::Height, None),
        ("特级", PermitKind::Height, None),
    ] {
        assert_eq!(level(told, of), expect, "{told} of {of:?}");
    }
    assert_eq!(
        (stage("作业中"), stage("Working"), stage("4")),
        (Some(PermitStage::Working), Some(PermitStage::Working), None)
    );
}
