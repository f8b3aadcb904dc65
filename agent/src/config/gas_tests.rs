//! What can be said of `kind = "gas_test"` only where the source of its point is known: that each of its readings is a
//! test. What the gateway reads by itself is received anew with each poll or connection, and is never too old.

use riskgate_engine::{Given, PointDraft, RuleDraft};

use super::fields::Origin;
use super::place::Faults;
use super::sources::{Kind, Source};

pub(super) fn check(
    rules: &[(RuleDraft, Origin)],
    points: &[PointDraft],
    sources: &[Source],
    faults: &Faults,
) {
    for (rule, origin) in rules {
        let Some(kind) = rule.kind.as_ref().filter(|of| of.kind.name == "gas_test") else { continue };
        let tags = kind.given.iter().filter_map(|(key, given)| match given {
            Given::Text(tag) if *key == "point" => Some(tag),
            Given::Text(_) | Given::Texts(_) | Given::Number(_) | Given::Duration(_) => None,
        });
        for tag in tags {
            let point = points.iter().find(|point| point.tag == *tag);
            let source = point.and_then(|point| sources.get(usize::from(point.source.0)));
            let Some(source) = source.filter(|source| is_read_by_us(&source.kind)) else { continue };
            let message = format!(
                "'{tag}' is read from source '{}' with each poll or connection, and each reading counts as a test: \
                 none is ever too old",
                source.id
            );
            let hint = "a point that the message of each test brings: kind = \"mqtt\"".to_owned();
            faults.warning(origin.of("point"), message, hint);
        }
    }
}

fn is_read_by_us(kind: &Kind) -> bool {
    match kind {
        Kind::Modbus { .. } | Kind::Opcua(_) => true,
        Kind::Mqtt(_) | Kind::Unknown => false,
    }
}
