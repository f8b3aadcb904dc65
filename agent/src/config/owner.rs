//! `[model]`: who owns the chain of objects, units, events, measures and tasks.

use riskgate_point::Wall;
use serde::{Deserialize, Serialize};

use super::document::Document;
use super::place::Faults;
use super::uplink::Uplink;

/// The chain has one owner. Points, bindings and rules are always the files'.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    #[default]
    Files,
    /// `cmd/model`; the files hold until the first one was taken.
    Upstream,
}

/// Which model is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelInForce {
    pub source: ModelSource,
    /// The one from upstream; `None`: the files hold.
    pub taken: Option<TakenModel>,
    /// A newer one that is stored and does not go with the files.
    pub refused: Option<RefusedModel>,
    /// Measures that points and rules name and the model from upstream does not have.
    pub orphans: Vec<String>,
}

/// A stored model that is not in force, though it is the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedModel {
    pub version: u64,
    /// In one line.
    pub why: String,
}

/// What a model from upstream is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenModel {
    pub version: u64,
    pub at: Wall,
    /// Who gave it.
    pub by: String,
}

/// The command by which upstream gives a model.
pub(crate) const COMMAND: &str = "model";

const SOURCES: [(&str, ModelSource); 2] =
    [("files", ModelSource::Files), ("upstream", ModelSource::Upstream)];

pub(super) fn read(document: &Document<'_>, uplink: &Uplink, faults: &Faults) -> ModelSource {
    let mut fields = document.single("model").map(|entry| entry.fields(faults));
    let source = fields.as_mut().and_then(|fields| fields.required_word("source", &SOURCES));
    let is_open = uplink.commands.acts.contains_key(COMMAND);
    match (source, &fields) {
        (Some(ModelSource::Upstream), Some(fields)) if !is_open => {
            let hint = "write [[uplink.command]] with name = \"model\" and persons = [\"王敏\"]".to_owned();
            fields.warning("source", "nobody upstream may send a model: the files hold for good", hint);
        }
        (None | Some(ModelSource::Files), _)
            if is_open && !fields.as_ref().is_some_and(|of| of.has("source") && source.is_none()) =>
        {
            let place = document.single("uplink").map(|entry| entry.fields(faults).at());
            let hint = "write [model] with source = \"upstream\", or leave the command out".to_owned();
            let message = "upstream may send a model, and the files own it: each would be refused";
            faults.error(place.unwrap_or(super::place::Place::NOWHERE), message, hint);
        }
        (_, _) => {}
    }
    if let Some(fields) = fields {
        fields.finish();
    }
    source.unwrap_or_default()
}
