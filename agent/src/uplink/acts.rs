//! Acts of persons as upstream writes them: which fields each command has. Pure: fields in, an act of the engine out.
//!
//! A field that nobody knows is refused, and not passed over: a length that is misspelt would otherwise be none.

use riskgate_engine::{CheckStatus, Deed};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What every act has beside its own fields.
pub(super) const COMMON: [&str; 5] = ["id", "by", "expires", "epoch", "revision"];

/// One command.
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) object: Object,
    pub(super) why: Need,
    /// `forSeconds`.
    pub(super) length: Need,
    /// `checkStatus`.
    pub(super) status: Need,
    make: fn(Said) -> Deed,
}

/// What it is about: the field's name is its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Alarm,
    /// An alarm, or a point by its tag.
    What,
    Hazard,
    Unit,
    Task,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    No,
    May,
    Must,
}

/// The fields of a command, each checked.
struct Said {
    object: String,
    hazard: Uuid,
    why: Option<String>,
    for_s: Option<u64>,
    status: CheckStatus,
}

/// In the order of the exchange standard's numbers, from 0.
pub(super) const STATUSES: [CheckStatus; 4] =
    [CheckStatus::Normal, CheckStatus::Hazard, CheckStatus::Unchecked, CheckStatus::Other];

const fn form(name: &'static str, what: &'static str, object: Object, make: fn(Said) -> Deed) -> Form {
    Form { name, what, object, why: Need::No, length: Need::No, status: Need::No, make }
}

/// In the order of `config::commands::ACTS`, where the model follows. A further act is one line here, and one there.
pub(super) const FORMS: [Form; 13] = [
    form("acknowledge", "确认报警: the alarm is seen", Object::Alarm, |said| Deed::Acknowledge {
        alarm: said.object,
    }),
    form("reset", "复位: lets go of a latched alarm", Object::Alarm, |said| Deed::Reset {
        alarm: said.object,
    }),
    Form {
        why: Need::Must,
        length: Need::Must,
        ..form("shelve", "搁置: the alarm is not annunciated for a while", Object::Alarm, |said| {
            Deed::Shelve {
                alarm: said.object,
                for_s: said.for_s.unwrap_or_default(),
                why: said.why.unwrap_or_default(),
            }
        })
    },
    form("unshelve", "解除搁置", Object::Alarm, |said| Deed::Unshelve { alarm: said.object }),
    Form {
        why: Need::Must,
        length: Need::May,
        ..form("out-of-service", "停用: an alarm, or a point by its tag", Object::What, |said| {
            Deed::OutOfService { what: said.object, why: said.why.unwrap_or_default(), for_s: said.for_s }
        })
    },
    form("in-service", "恢复使用", Object::What, |said| Deed::InService { what: said.object }),
    Form {
        why: Need::May,
        ..form("confirm", "确认隐患: a candidate is a hazard", Object::Hazard, |said| Deed::Confirm {
            hazard: said.hazard,
            why: said.why,
        })
    },
    Form {
        why: Need::Must,
        ..form("reject", "误报: a candidate is none", Object::Hazard, |said| Deed::Reject {
            hazard: said.hazard,
            why: said.why.unwrap_or_default(),
        })
    },
    Form {
        why: Need::May,
        ..form("rectify", "整改完成: 0 -> 1", Object::Hazard, |said| Deed::Rectify {
            hazard: said.hazard,
            why: said.why,
        })
    },
    Form {
        why: Need::May,
        ..form("accept", "验收: 1 -> 9", Object::Hazard, |said| Deed::Accept {
            hazard: said.hazard,
            why: said.why,
        })
    },
    Form {
        why: Need::Must,
        ..form("stop-unit", "停用检维修 begins", Object::Unit, |said| Deed::StopUnit {
            unit: said.object,
            why: said.why.unwrap_or_default(),
        })
    },
    form("start-unit", "停用检维修 ends", Object::Unit, |said| Deed::StartUnit { unit: said.object }),
    Form {
        why: Need::May,
        status: Need::Must,
        ..form("record", "排查记录: a task was carried out, or was not", Object::Task, |said| {
            Deed::Record { task: said.object, status: said.status, why: said.why }
        })
    },
];

impl Object {
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::What => "what",
            Self::Hazard => "hazard",
            Self::Unit => "unit",
            Self::Task => "task",
        }
    }
}

impl Form {
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        FORMS.iter().find(|form| form.name == name)
    }

    /// What is to be done, and the revision that is expected.
    pub(super) fn read(&self, fields: &Map<String, Value>) -> Result<(Deed, u64), String> {
        let own = [
            (self.object.field(), Need::Must),
            ("why", self.why),
            ("forSeconds", self.length),
            ("checkStatus", self.status),
        ];
        let is_known = |name: &str| {
            COMMON.contains(&name) || own.iter().any(|(own, need)| *own == name && *need != Need::No)
        };
        if let Some(strange) = fields.keys().find(|name| !is_known(name)) {
            return Err(format!("'{}' has no field '{strange}'", self.name));
        }
        let object = text(fields, self.object.field(), Need::Must)?.unwrap_or_default();
        let hazard = match self.object {
            Object::Hazard => {
                object.parse().map_err(|_| format!("'hazard' is no id of a hazard: '{object}'"))?
            }
            Object::Alarm | Object::What | Object::Unit | Object::Task => Uuid::nil(),
        };
        let why = text(fields, "why", self.why)?;
        let for_s = number(fields, "forSeconds", self.length)?;
        let status = status(fields, self.status)?;
        let revision = number(fields, "revision", Need::Must)?.unwrap_or_default();
        Ok(((self.make)(Said { object, hazard, why, for_s, status }), revision))
    }
}

fn text(fields: &Map<String, Value>, name: &str, need: Need) -> Result<Option<String>, String> {
    match fields.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
        None | Some(Value::Null) if need != Need::Must => Ok(None),
        None => Err(format!("'{name}' is missing: a text")),
        Some(_) => Err(format!("'{name}' takes a text that is not empty")),
    }
}

fn number(fields: &Map<String, Value>, name: &str, need: Need) -> Result<Option<u64>, String> {
    match fields.get(name) {
        Some(Value::Number(number)) if number.is_u64() => Ok(number.as_u64()),
        None | Some(Value::Null) if need != Need::Must => Ok(None),
        None => Err(format!("'{name}' is missing: a whole number, from 0")),
        Some(_) => Err(format!("'{name}' takes a whole number, from 0")),
    }
}

/// The standard's number of what was found. Where none is asked for, none is looked at.
fn status(fields: &Map<String, Value>, need: Need) -> Result<CheckStatus, String> {
    let said = number(fields, "checkStatus", need)?.unwrap_or_default();
    let known = usize::try_from(said).ok().and_then(|said| STATUSES.get(said).copied());
    known.ok_or_else(|| format!("'checkStatus' cannot be {said}: 0 正常, 1 存在隐患, 2 未排查, 3 其他"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::commands::ACTS;

    fn read(name: &str, fields: &Value) -> Result<(Deed, u64), String> {
        Form::of(name).expect("a command").read(fields.as_object().expect("fields"))
    }

    #[test]
    fn what_may_be_allowed_is_what_can_be_read() {
        let read = FORMS.iter().map(|form| form.name).chain([crate::config::MODEL_COMMAND]);
        assert_eq!(read.collect::<Vec<_>>(), ACTS);
    }

    #[test]
    fn a_field_is_of_its_command_there_where_it_must_be_and_of_its_type() {
        let hazard = "3f9c21d4-0000-5000-8000-000000000001";
        let confirm = Deed::Confirm { hazard: hazard.parse().expect("an id"), why: None };
        assert_eq!(read("confirm", &json!({ "hazard": hazard, "revision": 2, "by": "x" })), Ok((confirm, 2)));
        let out = Deed::OutOfService { what: "TI".to_owned(), why: "校验".to_owned(), for_s: None };
        assert_eq!(
            read("out-of-service", &json!({ "what": "TI", "why": "校验", "revision": 0 })),
            Ok((out, 0))
        );
        let record = |said| read("record", &json!({ "task": "T-1", "revision": 1, "checkStatus": said }));
        for (said, status) in
            [(0, CheckStatus::Normal), (1, CheckStatus::Hazard), (2, CheckStatus::Unchecked)]
        {
            assert_eq!(status.number(), said, "the standard's own number");
            let deed = Deed::Record { task: "T-1".to_owned(), status, why: None };
            assert_eq!(record(said), Ok((deed, 1)));
        }
        for (name, fields, why) in [
            ("confirm", json!({ "hazard": "h1", "revision": 2 }), "no id of a hazard"),
            ("confirm", json!({ "hazard": hazard }), "'revision' is missing"),
            ("confirm", json!({ "hazard": hazard, "revision": -1 }), "'revision' takes a whole number"),
            ("reject", json!({ "hazard": hazard, "revision": 1 }), "'why' is missing"),
            ("reject", json!({ "hazard": hazard, "revision": 1, "why": " " }), "'why' takes a text"),
            ("shelve", json!({ "alarm": "A", "revision": 1, "why": "w" }), "'forSeconds' is missing"),
            (
                "out-of-service",
                json!({ "what": "A", "revision": 1, "why": "w", "forSecond": 60 }),
                "no field 'forSecond'",
            ),
            ("acknowledge", json!({ "alarm": "A", "revision": 1, "why": "w" }), "no field 'why'"),
            (
                "acknowledge",
                json!({ "alarm": "A", "revision": 1, "checkStatus": 0 }),
                "no field 'checkStatus'",
            ),
            ("record", json!({ "task": "T-1", "revision": 1 }), "'checkStatus' is missing"),
            ("record", json!({ "task": "T-1", "revision": 1, "checkStatus": 4 }), "cannot be 4"),
            ("record", json!({ "task": "T-1", "revision": 1, "checkStatus": "0" }), "a whole number"),
        ] {
            let refused = read(name, &fields).expect_err("refused");
            assert!(refused.contains(why), "{refused}");
        }
    }
}
