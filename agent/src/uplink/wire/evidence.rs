//! Evidence as upstream reads it: the operands, and the tree of the verdict.
//!
//! Bounded: a message of more than 240 KiB is not sent at all, and a hazard has to be. What does not fit is left
//! out from the end and counted; the whole of it stands in the gateway's store (`riskgate explain`).

use riskgate_engine::{Evidence, Operand, ReasonNode};
use serde_json::{Map, Value, json};

use super::{Origin, at_most};

/// A condition of the greatest length has 16 KiB more, and its hazard's description as much again: together half
/// of what a message may have.
const OPERANDS_BYTES_MAX: usize = 48 * 1024;
const TREE_BYTES_MAX: usize = 24 * 1024;
/// Characters of one text: of an operand or of a part of the condition.
const TEXT_CHARS: usize = 160;

pub(super) fn evidence(evidence: &Evidence, origin: &Origin) -> Value {
    let operands = evidence.operands.iter().map(|operand| operand_data(operand, origin));
    let (operands, left_out) = within(OPERANDS_BYTES_MAX, operands);
    let mut data = json!({
        "rule": evidence.rule,
        "version": evidence.version,
        "condition": evidence.condition,
        "verdict": evidence.verdict,
        "time": origin.time(evidence.at),
        "operands": operands,
    });
    let reason = evidence.reason.as_ref().map(|reason| {
        let nodes = reason.tree.iter().map(|node| node_data(node, &evidence.condition));
        let (tree, beyond) = within(TREE_BYTES_MAX, nodes);
        let beyond = beyond + usize::try_from(reason.left_out).unwrap_or(usize::MAX);
        json!({ "configuration": reason.plant, "tree": tree, "leftOut": beyond, "digest": reason.digest })
    });
    let left_out = (left_out > 0).then(|| json!(left_out));
    put(&mut data, [("operandsLeftOut", left_out), ("reason", reason)]);
    data
}

/// As many as fit, and how many do not.
fn within(bytes_max: usize, values: impl Iterator<Item = Value>) -> (Vec<Value>, usize) {
    let (mut kept, mut bytes, mut left_out) = (Vec::new(), 0, 0);
    for value in values {
        bytes += value.to_string().len() + 1;
        if bytes <= bytes_max {
            kept.push(value);
        } else {
            left_out += 1;
        }
    }
    (kept, left_out)
}

fn node_data(node: &ReasonNode, condition: &str) -> Value {
    let mut data = json!({
        "depth": node.depth,
        "kind": node.kind,
        "text": at_most(TEXT_CHARS, node.text(condition)),
        "is": node.is,
    });
    put(&mut data, [("unknown", node.unknown.then_some(Value::Bool(true)))]);
    data
}

fn operand_data(operand: &Operand, origin: &Origin) -> Value {
    let mut data = json!({
        "text": at_most(TEXT_CHARS, &operand.text),
        "value": operand.value,
        "quality": operand.quality.to_string(),
        "time": operand.at.map(|at| origin.time(at)),
        "sourceTime": operand.source_time.map(|at| origin.time(at)),
    });
    // Conditions and permits alone have them, and what is only a bound.
    put(
        &mut data,
        [
            ("detail", operand.detail.as_ref().map(|detail| json!(detail))),
            ("until", operand.until.map(|at| json!(origin.time(at)))),
            ("bound", operand.bound.map(|bound| json!(bound))),
        ],
    );
    data
}

fn put<const N: usize>(data: &mut Value, fields: [(&str, Option<Value>); N]) {
    let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    if let Some(data) = data.as_object_mut() {
        data.extend::<Map<String, Value>>(fields.collect());
    }
}
