//! Acts of a named person: each id is one act, all are tried, and each is answered.

use riskgate_engine::{Act, CheckStatus, Deed};
use uuid::Uuid;

use super::args::{Found, RecordArgs};
use super::client::{Client, ClientError};
use super::{Outcome, Screen};
use crate::console::socket::{Answer, Question, What};
use crate::console::view::HazardView;

/// A beginning shorter than this is more likely a slip than an id.
const PREFIX_MIN: usize = 4;

/// What a person does to hazards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HazardDeed {
    Confirm,
    Reject,
    Rectify,
    Accept,
}

impl HazardDeed {
    fn done(self) -> &'static str {
        match self {
            Self::Confirm => "已确认为隐患 confirmed",
            Self::Reject => "已判为误报 rejected",
            Self::Rectify => "整改完成，待验收 rectified",
            Self::Accept => "已验收 accepted",
        }
    }

    fn of(self, hazard: Uuid, why: Option<String>) -> Deed {
        match self {
            Self::Confirm => Deed::Confirm { hazard, why },
            Self::Reject => Deed::Reject { hazard, why: why.unwrap_or_default() },
            Self::Rectify => Deed::Rectify { hazard, why },
            Self::Accept => Deed::Accept { hazard, why },
        }
    }
}

pub(super) fn acknowledge(
    client: &mut Client,
    alarms: &[String],
    by: &str,
    screen: &mut Screen,
) -> Result<Outcome, ClientError> {
    let mut outcome = Outcome::Done;
    for alarm in alarms {
        let deed = Deed::Acknowledge { alarm: alarm.clone() };
        let done = act(client, deed, by, "已确认 acknowledged", alarm, screen)?;
        outcome = outcome.worse(done);
    }
    Ok(outcome)
}

pub(super) fn record(
    client: &mut Client,
    args: &RecordArgs,
    screen: &mut Screen,
) -> Result<Outcome, ClientError> {
    let status = match args.status {
        Found::Normal => CheckStatus::Normal,
        Found::Hazard => CheckStatus::Hazard,
        Found::Unchecked => CheckStatus::Unchecked,
        Found::Other => CheckStatus::Other,
    };
    let deed = Deed::Record { task: args.task.clone(), status, why: args.why.clone() };
    act(client, deed, &args.by, "已记录 recorded", &args.task, screen)
}

/// Ids are looked up first, so that a beginning that fits two hazards harms neither.
pub(super) fn judge(
    client: &mut Client,
    deed: HazardDeed,
    given: &[String],
    by: &str,
    why: Option<&str>,
    screen: &mut Screen,
) -> Result<Outcome, ClientError> {
    let mut open = listed(client, What::Candidates)?;
    open.extend(listed(client, What::Hazards)?);
    let mut outcome = Outcome::Done;
    for given in given {
        let hazard = match resolve(given, &open) {
            Ok(hazard) => hazard,
            Err(why) => {
                screen.problem(&format!("未执行 refused  {given}: {why}"));
                outcome = outcome.worse(Outcome::Refused);
                continue;
            }
        };
        let id = hazard.to_string();
        let done = act(client, deed.of(hazard, why.map(str::to_owned)), by, deed.done(), &id, screen)?;
        outcome = outcome.worse(done);
    }
    Ok(outcome)
}

fn listed(client: &mut Client, what: What) -> Result<Vec<(Uuid, String)>, ClientError> {
    let hazards: Vec<HazardView> = super::shown(client, what)?;
    Ok(hazards.into_iter().map(|hazard| (hazard.id, hazard.words.zh)).collect())
}

/// A whole id goes through even where it is not listed: the agent says what it is instead.
fn resolve(given: &str, open: &[(Uuid, String)]) -> Result<Uuid, String> {
    if let Ok(whole) = given.parse::<Uuid>() {
        return Ok(whole);
    }
    let wanted = given.to_ascii_lowercase();
    if wanted.len() < PREFIX_MIN {
        return Err(format!("编号至少写{PREFIX_MIN}位 / give at least {PREFIX_MIN} characters of the id"));
    }
    let fitting: Vec<_> = open.iter().filter(|(id, _)| id.to_string().starts_with(&wanted)).collect();
    match fitting.as_slice() {
        [(only, _)] => Ok(*only),
        [] => {
            Err("没有编号这样开头的隐患或待确认 / no open hazard or candidate begins so; see `riskgate show hazards` and `candidates`"
                .to_owned())
        }
        several => {
            let list: Vec<_> = several.iter().map(|(id, words)| format!("\n    {id}  {words}")).collect();
            Err(format!("有 {n} 条，请多写几位 / it fits {n}; give more of the id:{}", list.concat(), n = several.len()))
        }
    }
}

pub(super) fn act(
    client: &mut Client,
    deed: Deed,
    by: &str,
    done: &str,
    object: &str,
    screen: &mut Screen,
) -> Result<Outcome, ClientError> {
    let act = Act { by: by.to_owned(), deed };
    let answer = client.ask(&Question::Act(act))?;
    Ok(told(answer, done, object, screen))
}

/// Tells what became of an act or a reload.
pub(super) fn told(answer: Answer, done: &str, object: &str, screen: &mut Screen) -> Outcome {
    match answer {
        Answer::Done { durable, said } => {
            let late = if durable {
                ""
            } else {
                "  （尚未落盘，稍后自动写入 not on disk yet; it will be）"
            };
            screen.say(format!("{done}  {object}{late}").trim_end());
            if !said.is_empty() {
                screen.say(&said);
            }
            Outcome::Done
        }
        Answer::Refused { why } => {
            screen.problem(&format!("未执行 refused  {object}: {why}"));
            Outcome::Refused
        }
        Answer::Error { why } => {
            screen.problem(&why);
            Outcome::Refused
        }
        Answer::Shown { .. } | Answer::Pong { .. } => {
            screen.problem(&format!("未执行 refused  {object}: the agent answered something else"));
            Outcome::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hazard_is_named_by_its_id_or_a_unique_beginning() {
        let one: Uuid = "3f9c21d4-0000-5000-8000-000000000001".parse().unwrap();
        let other: Uuid = "3f9c88aa-0000-5000-8000-000000000002".parse().unwrap();
        let open = [(one, "液位高报".to_owned()), (other, "发现烟雾".to_owned())];
        assert_eq!(resolve("3f9c2", &open), Ok(one));
        assert_eq!(resolve("3F9C8", &open), Ok(other));
        assert_eq!(resolve(&one.to_string(), &[]), Ok(one), "a whole id is the agent's to judge");
        let both = resolve("3f9c", &open).unwrap_err();
        assert!(both.contains("液位高报") && both.contains(&other.to_string()), "{both}");
        assert!(resolve("3f9", &open).unwrap_err().contains("at least 4"));
        assert!(resolve("ffff", &open).unwrap_err().contains("riskgate show"));
    }

    #[test]
    fn what_became_of_an_act_is_told() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::to(&mut out, &mut err, None);
        let done = Answer::Done { durable: false, said: String::new() };
        assert_eq!(told(done, "已确认 acknowledged", "GD-101/HH", &mut screen), Outcome::Done);
        let refused = Answer::Refused { why: "no alarm 'GD-1'".to_owned() };
        assert_eq!(told(refused, "已确认 acknowledged", "GD-1", &mut screen), Outcome::Refused);
        drop(screen);
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        assert!(out.contains("已确认 acknowledged  GD-101/HH") && out.contains("not on disk yet"), "{out}");
        assert_eq!(err, "未执行 refused  GD-1: no alarm 'GD-1'\n");
    }
}
