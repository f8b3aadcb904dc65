//! `kind = "…"` of a rule: which keys it has and what stands behind them. What they mean together is the
//! engine's to say.

use std::ops::RangeInclusive;
use std::time::Duration;

use riskgate_engine::{Form, Given, KINDS, Key, KindDraft};

use super::fields::{Fields, one_of};
use super::values::suggest;

/// Any length that a window of the language may have.
const LENGTHS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(31 * 86_400);

/// The kind of a rule, if it names one.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<KindDraft> {
    let name = fields.text("kind")?;
    let Some(kind) = KINDS.iter().find(|kind| kind.name == name.value) else {
        let names = || KINDS.iter().map(|kind| kind.name);
        let hint = suggest(&name.value, names()).unwrap_or_else(|| one_of(names()));
        fields.error("kind", format!("there is no kind of rule '{}'", name.value), hint);
        return None;
    };
    if fields.has("when") {
        let hint = "leave `when` out, or `kind`".to_owned();
        fields.error("when", format!("kind = \"{}\" writes the condition itself", kind.name), hint);
    }
    let given = kind.keys.iter().filter_map(|key| Some((key.name, value(fields, key)?)));
    Some(KindDraft { kind, given: given.collect() })
}

fn value(fields: &mut Fields<'_>, key: &Key) -> Option<Given> {
    match key.form {
        Form::Text => fields.text(key.name).map(|text| Given::Text(text.value)),
        Form::Texts => {
            let texts = fields.texts(key.name)?;
            Some(Given::Texts(texts.into_iter().map(|text| text.value).collect()))
        }
        Form::Number => fields.number(key.name).map(Given::Number),
        Form::Duration => fields.duration(key.name, LENGTHS).map(Given::Duration),
    }
}
