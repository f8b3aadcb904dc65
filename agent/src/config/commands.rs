//! What upstream may command: `commands` names what changes nothing, `[[uplink.command]]` each act of a person with
//! those who may give it. None of them reaches the plant.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::owner::COMMAND;
use super::values::suggest;

/// What anybody upstream may ask for. Neither changes anything in the plant or in our records.
const OPEN: [&str; 2] = ["ping", "resend"];

/// Acts of persons. Their order is that of the README.
pub(crate) const ACTS: [&str; 14] = [
    "acknowledge",
    "reset",
    "shelve",
    "unshelve",
    "out-of-service",
    "in-service",
    "confirm",
    "reject",
    "rectify",
    "accept",
    "stop-unit",
    "start-unit",
    "record",
    COMMAND,
];

/// What upstream may command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// By anybody.
    pub open: Vec<String>,
    /// By these persons alone.
    pub acts: BTreeMap<String, Vec<String>>,
}

impl Default for Commands {
    fn default() -> Self {
        Self { open: OPEN.map(str::to_owned).to_vec(), acts: BTreeMap::new() }
    }
}

impl Commands {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let open = open(fields).unwrap_or_else(|| Self::default().open);
        let mut acts = BTreeMap::new();
        for mut command in fields.tables("command") {
            let (name, persons) = (name(&mut command), persons(&mut command));
            if let Some(name) = name {
                if acts.contains_key(&name) {
                    let hint = "write all its persons in one list".to_owned();
                    command.error("name", format!("'{name}' stands twice"), hint);
                }
                acts.insert(name, persons);
            }
            command.finish();
        }
        Self { open, acts }
    }
}

fn open(fields: &mut Fields<'_>) -> Option<Vec<String>> {
    let said = fields.texts("commands")?;
    for command in &said {
        let name = command.value.as_str();
        if ACTS.contains(&name) {
            let message = format!("'{name}' is an act of a person");
            let hint = format!("write [[uplink.command]] with name = \"{name}\" and persons = [\"王敏\"]");
            fields.faults().error(command.place, message, hint);
        } else if !OPEN.contains(&name) {
            let message = format!("there is no command '{name}'");
            fields.faults().error(command.place, message, suggest(name, OPEN.into_iter().chain(ACTS)));
        }
    }
    Some(said.into_iter().map(|command| command.value).collect())
}

fn name(command: &mut Fields<'_>) -> Option<String> {
    let name = command.required_text("name")?;
    let said = name.value.as_str();
    if OPEN.contains(&said) {
        let hint = format!("write commands = [\"{said}\"] in [uplink]");
        command.error("name", format!("'{said}' has no persons: anybody upstream may ask for it"), hint);
        return None;
    }
    if !ACTS.contains(&said) {
        command.error("name", format!("there is no command '{said}'"), suggest(said, ACTS));
        return None;
    }
    Some(name.value)
}

fn persons(command: &mut Fields<'_>) -> Vec<String> {
    const HINT: &str = "write persons = [\"王敏\"]: names as the platform gives them in 'by'";
    let Some(said) = command.texts("persons") else {
        if !command.has("persons") {
            command.missing("persons");
        }
        return Vec::new();
    };
    if said.is_empty() {
        command.error("persons", "nobody may give it", HINT.to_owned());
    }
    for person in said.iter().filter(|person| person.value.is_empty()) {
        command.faults().error(person.place, "a person has a name", HINT.to_owned());
    }
    said.into_iter().map(|person| person.value).collect()
}
