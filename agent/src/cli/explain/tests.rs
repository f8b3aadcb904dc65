//! Replays of files: the same verdict, another one, and what cannot be replayed.

use riskgate_engine::{Operand, PointReads, Reason, ReasonKind, ReasonNode};
use riskgate_point::{Quality, Wall};

use super::*;

fn ran(args: &ReplayArgs) -> (Outcome, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = replay_again(args, &mut Screen::to(&mut out, &mut err, None));
    (outcome, String::from_utf8([out, err].concat()).expect("UTF-8"))
}

fn replayed(json: &Value) -> (Outcome, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("evidence.json");
    std::fs::write(&path, json.to_string()).expect("written");
    ran(&ReplayArgs { evidence: Some(path), all: false, store: StoreDir::default() })
}

/// As a hand would write it, that is: without the checksum.
fn evidence(value: f64) -> Evidence {
    Evidence {
        rule: "GD-101/H".to_owned(),
        version: "0123456789ab".to_owned(),
        condition: "{GD-101} >= 25".to_owned(),
        verdict: Truth::True,
        at: Wall(1),
        operands: vec![Operand {
            text: "{GD-101}".to_owned(),
            value: riskgate_point::Value::float(value),
            quality: Quality::Good,
            at: Some(Wall(1)),
            source_time: None,
            detail: None,
            until: None,
            bound: None,
            age_ns: Some(0),
        }],
        reason: Some(Reason {
            plant: String::new(),
            reads: [("GD-101".to_owned(), PointReads::Number)].into(),
            tree: vec![ReasonNode {
                depth: 0,
                kind: ReasonKind::Compare,
                from: 0,
                to: 14,
                is: Truth::True,
                unknown: false,
            }],
            left_out: 0,
            digest: String::new(),
        }),
    }
}

#[test]
fn a_part_that_differs_is_named_and_so_is_a_record_that_was_altered() {
    let (outcome, text) = replayed(&serde_json::json!({ "id": "GD-101/H", "evidence": evidence(24.0) }));
    assert_eq!(outcome, Outcome::Refused);
    assert!(
        text.contains("{GD-101} >= 25 记录为 recorded 成立 true，重放为 replayed 不成立 false"),
        "{text}"
    );
    let (outcome, text) = replayed(&serde_json::json!(evidence(26.0)));
    assert_eq!(outcome, Outcome::Refused);
    assert!(text.contains("altered"), "{text}");
}

#[test]
fn what_is_no_evidence_is_said_with_its_file() {
    for json in [serde_json::json!({ "id": "x" }), serde_json::json!([])] {
        let (outcome, text) = replayed(&json);
        assert_eq!(outcome, Outcome::Refused);
        assert!(text.contains("evidence.json"), "{text}");
    }
    let old = Evidence { reason: None, ..evidence(26.0) };
    let (outcome, text) = replayed(&serde_json::json!(old));
    assert_eq!(outcome, Outcome::Refused);
    assert!(text.contains("an older agent recorded no tree"), "{text}");
}
