//! Why an alarm or a hazard is there, or would be by a shadow rule, for a person: its sentence, the tree of its verdict, what the points read
//! around the onset, who did what, and what follows.
//!
//! Built alike by a running agent, which knows what is not on disk yet, and from the folder of the store alone.
//! The evidence is the engine's own and whole, so that what is explained can be replayed. It decides nothing and
//! changes nothing.

mod samples;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

use jiff::tz::TimeZone;
use riskgate_engine::{
    AlarmEvent, AlarmRecord, AlarmState, Evidence, HazardRecord, HazardStage, Plant, Rule, ShadowRecord,
    Withheld, Words,
};
use riskgate_point::Wall;
use serde::{Deserialize, Serialize};

use crate::causes::chain;
use crate::config;
use crate::console::BoardHandle;
use crate::console::view::{ActView, stamp};
use crate::history::History;
use crate::store::journal::{self, Filter};
use crate::store::{StoreError, lookup};
use samples::Unwrittens;
pub use samples::{PointSamples, SampleAt};

/// A beginning of an id shorter than this is more likely a slip.
const PREFIX_MIN: usize = 4;

/// Entries of the journal that are told, the newest: an object has a handful of acts.
const ENTRIES_MAX: usize = 20;

/// Everything about one alarm or hazard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    pub kind: Kind,
    pub id: String,
    pub words: Words,
    /// The state of the alarm, the stage of the hazard, whether the episode is going on.
    pub state: String,
    pub unit: Option<Named>,
    pub measure: Option<Named>,
    pub since: String,
    pub repeats: u32,
    pub returned: Option<String>,
    pub acts: Vec<ActView>,
    pub journal: Vec<EntryView>,
    pub next: Next,
    pub samples: Vec<PointSamples>,
    /// What could not be had, and why.
    pub missing: Vec<String>,
    /// The site's, by its name.
    pub timezone: String,
    pub evidence: Evidence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Alarm,
    Hazard,
    /// The last onset of a shadow rule.
    Shadow,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub id: String,
    /// Empty where nobody knows it.
    pub name: String,
}

/// An entry of the journal that names the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    pub n: u64,
    pub time: String,
    pub by: String,
    pub what: String,
}

/// What is to be done, by whom and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    pub words: Words,
    pub command: Option<String>,
    pub who: Option<String>,
    pub deadline: Option<String>,
    pub overdue: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error(
        "没有这个报警或隐患{} / there is no alarm and no hazard '{id}'{}: see `riskgate show alarms`, `hazards`, \
         `candidates`, `shadow`",
        nearest.as_ref().map_or_else(String::new, |near| format!("，是不是'{near}'？")),
        nearest.as_ref().map_or_else(String::new, |near| format!("; did you mean '{near}'?"))
    )]
    Unknown { id: String, nearest: Option<String> },
    #[error("试运行规则尚未触发 / the shadow rule '{id}' has had no episode yet, under its present text")]
    Quiet { id: String },
    #[error("编号不唯一 / '{id}' fits more than one hazard; give more of the id:{}", list(fitting))]
    Ambiguous { id: String, fitting: Vec<String> },
    #[error("未能读取存储 / the store cannot be read")]
    Store(#[from] StoreError),
    #[error("网关程序正在停止 / the agent is stopping")]
    Stopping,
}

fn list(ids: &[String]) -> String {
    ids.iter().map(|id| format!("\n    {id}")).collect()
}

/// What is explained.
#[derive(Debug, Clone)]
enum Record {
    Alarm(Box<AlarmRecord>),
    Hazard(Box<HazardRecord>),
    /// And the evidence of its last onset.
    Shadow(Box<(ShadowRecord, Evidence)>),
}

impl Record {
    /// `None`: the rule had no episode.
    fn of_shadow(record: ShadowRecord) -> Option<Self> {
        let evidence = record.evidence.clone()?;
        Some(Self::Shadow(Box::new((record, evidence))))
    }

    fn evidence(&self) -> &Evidence {
        match self {
            Self::Alarm(alarm) => &alarm.evidence,
            Self::Hazard(hazard) => &hazard.evidence,
            Self::Shadow(shadow) => &shadow.1,
        }
    }

    fn began(&self) -> Wall {
        match self {
            Self::Alarm(alarm) => alarm.since,
            Self::Hazard(hazard) => hazard.raised,
            Self::Shadow(shadow) => shadow.1.at,
        }
    }
}

/// By a running agent: from its board, else from its store.
///
/// # Errors
/// There is no such object, or the store cannot be read.
pub async fn asked(
    board: &BoardHandle,
    history: Option<&History>,
    id: &str,
) -> Result<Explained, ExplainError> {
    let now = board.now().wall;
    let (shown, timezone) = {
        let board = board.read();
        (on_board(&board, id)?, board.site().timezone.clone())
    };
    let dir = history.and_then(|history| history.path().parent()).map(Path::to_owned);
    let (wanted, folder) = (id.to_owned(), dir.clone());
    let found = match (shown, folder) {
        (Some(record), _) => record,
        (None, None) => return Err(ExplainError::Unknown { id: wanted, nearest: None }),
        (None, Some(folder)) => {
            let read = tokio::task::spawn_blocking(move || in_store(&folder, &wanted));
            read.await.map_err(|_| ExplainError::Stopping)??
        }
    };
    let mut unwritten = Unwrittens::new();
    for tag in samples::tags(found.evidence()) {
        if let Some(history) = history
            && let Ok(open) = history.unwritten(&tag).await
        {
            unwritten.insert(tag, open);
        }
    }
    // Off the runtime's threads: the disk may hang.
    let gathered = {
        let (found, timezone) = (found.clone(), timezone.clone());
        let gather = move || gathered(&found, dir.as_deref(), unwritten, now, &timezone);
        tokio::task::spawn_blocking(gather).await.map_err(|_| ExplainError::Stopping)?
    };
    let board = board.read();
    Ok(explained(found, gathered, Some(board.plant()), now, &timezone))
}

/// From the folder of the store alone.
///
/// # Errors
/// There is no such object, or the store cannot be read.
pub fn offline(
    dir: &Path,
    plant: Option<&Plant>,
    id: &str,
    now: Wall,
    timezone: &TimeZone,
) -> Result<Explained, ExplainError> {
    let found = in_store(dir, id)?;
    let gathered = gathered(&found, Some(dir), Unwrittens::new(), now, timezone);
    Ok(explained(found, gathered, plant, now, timezone))
}

fn on_board(board: &crate::console::board::Board, id: &str) -> Result<Option<Record>, ExplainError> {
    // What another text of it counted is not of this rule.
    if let Some(rule) = board.plant().rule_named(id).filter(|rule| Rule::is_shadow(rule)) {
        let record = board.shadow(id).filter(|record| record.version == rule.version()).cloned();
        let quiet = || ExplainError::Quiet { id: id.to_owned() };
        return record.and_then(Record::of_shadow).map(Some).ok_or_else(quiet);
    }
    if let Some(line) = board.alarm(id) {
        return Ok(Some(Record::Alarm(Box::new(AlarmRecord::clone(&line.record)))));
    }
    let beginning = beginning(id);
    let fits = |hazard: &&HazardRecord| {
        beginning.as_ref().is_some_and(|beginning| hazard.id.to_string().starts_with(beginning))
    };
    let lines = board.hazards();
    only(id, lines.iter().map(|line| line.record.as_ref()).filter(fits).cloned().collect())
}

fn in_store(dir: &Path, id: &str) -> Result<Record, ExplainError> {
    let (alarm, shadow) = (lookup::alarm(dir, id)?, lookup::shadow(dir, id)?);
    // A rule that stepped into the shadow, or out of it, left a record of both: the newer one is of what it is.
    let shadow = shadow.filter(|shadow| alarm.as_ref().is_none_or(|alarm| alarm.changed <= shadow.changed));
    if let Some(shadow) = shadow {
        return Record::of_shadow(shadow).ok_or_else(|| ExplainError::Quiet { id: id.to_owned() });
    }
    if let Some(alarm) = alarm {
        return Ok(Record::Alarm(Box::new(alarm)));
    }
    let found = match beginning(id) {
        Some(beginning) => lookup::hazards(dir, &beginning)?,
        None => Vec::new(),
    };
    match only(id, found)? {
        Some(record) => Ok(record),
        None => {
            let known = lookup::ids(dir)?;
            let nearest = config::nearest(id, known.iter().map(String::as_str)).map(str::to_owned);
            Err(ExplainError::Unknown { id: id.to_owned(), nearest })
        }
    }
}

/// The id of a hazard or the beginning of one; `None`: it cannot be one.
fn beginning(id: &str) -> Option<String> {
    let id = id.trim().to_ascii_lowercase();
    let hex = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    Some(id).filter(|id| hex && id.len() >= PREFIX_MIN)
}

fn only(id: &str, mut found: Vec<HazardRecord>) -> Result<Option<Record>, ExplainError> {
    if found.len() > 1 {
        let fitting = found.iter().map(|hazard| format!("{}  {}", hazard.id, hazard.words.zh)).collect();
        return Err(ExplainError::Ambiguous { id: id.to_owned(), fitting });
    }
    Ok(found.pop().map(|hazard| Record::Hazard(Box::new(hazard))))
}

/// What stands on the disk beside the record.
struct Gathered {
    samples: Vec<PointSamples>,
    journal: Vec<EntryView>,
    missing: Vec<String>,
}

fn gathered(
    record: &Record,
    dir: Option<&Path>,
    unwritten: Unwrittens,
    now: Wall,
    timezone: &TimeZone,
) -> Gathered {
    let mut missing = Vec::new();
    let Some(dir) = dir else {
        missing.push(
            "没有存储目录，日志和采样不在手边 no folder of the store: neither journal nor samples".to_owned(),
        );
        return Gathered { samples: Vec::new(), journal: Vec::new(), missing };
    };
    let samples = samples::around(record.evidence(), dir, unwritten, now, timezone, &mut missing);
    let journal = entries(record, dir, timezone).unwrap_or_else(|error| {
        missing.push(format!("日志未能读取 the journal cannot be read: {}", chain(&error)));
        Vec::new()
    });
    Gathered { samples, journal, missing }
}

/// The newest entries that name the object, from its beginning on.
fn entries(record: &Record, dir: &Path, timezone: &TimeZone) -> Result<Vec<EntryView>, StoreError> {
    let id = match record {
        Record::Alarm(alarm) => serde_json::Value::from(alarm.id.as_str()).to_string(),
        Record::Hazard(hazard) => format!("\"{}\"", hazard.id),
        // It decides nothing.
        Record::Shadow(_) => return Ok(Vec::new()),
    };
    let filter = Filter { since: Some(record.began()), ..Filter::default() };
    let mut found = std::collections::VecDeque::new();
    journal::read(dir, &filter, |entry| {
        if entry.line.contains(&id) {
            let deed = entry.body.get("deed").and_then(|deed| deed.get("deed"));
            let deed =
                deed.and_then(serde_json::Value::as_str).map_or_else(String::new, |deed| format!(" {deed}"));
            found.push_back(EntryView {
                n: entry.n,
                time: stamp(entry.at, timezone),
                by: entry.by,
                what: format!("{}{deed}", entry.what),
            });
            if found.len() > ENTRIES_MAX {
                found.pop_front();
            }
        }
        true
    })?;
    Ok(found.into())
}

fn explained(
    record: Record,
    gathered: Gathered,
    plant: Option<&Plant>,
    now: Wall,
    timezone: &TimeZone,
) -> Explained {
    let Gathered { samples, journal, missing } = gathered;
    let unit_name = |id: &str| Some(plant?.unit(id)?.name.clone());
    let unit = |id: String| Named { name: unit_name(&id).unwrap_or_default(), id };
    let measure_name = |id: &str| Some(plant?.measure(id)?.name.clone());
    let measure = |id: String| Named { name: measure_name(&id).unwrap_or_default(), id };
    let timezone_name = timezone.iana_name().unwrap_or("UTC").to_owned();
    match record {
        Record::Alarm(alarm) => Explained {
            kind: Kind::Alarm,
            state: word_of(&alarm.state),
            next: after_alarm(&alarm),
            acts: acts_of_alarm(&alarm, timezone),
            unit: alarm.unit.map(unit),
            measure: alarm.measure.map(measure),
            since: stamp(alarm.since, timezone),
            repeats: 0,
            returned: None,
            words: alarm.words,
            id: alarm.id,
            journal,
            samples,
            missing,
            timezone: timezone_name,
            evidence: alarm.evidence,
        },
        Record::Hazard(hazard) => Explained {
            kind: Kind::Hazard,
            state: word_of(&hazard.stage),
            next: after_hazard(&hazard, now, timezone),
            id: hazard.id.to_string(),
            unit: Some(unit(hazard.unit)),
            measure: Some(measure(hazard.measure)),
            since: stamp(hazard.raised, timezone),
            repeats: hazard.repeats,
            returned: hazard.returned.map(|at| stamp(at, timezone)),
            acts: hazard
                .acts
                .into_iter()
                .map(|act| ActView { by: act.by, deed: act.deed, why: act.why, at: stamp(act.at, timezone) })
                .collect(),
            words: hazard.words,
            journal,
            samples,
            missing,
            timezone: timezone_name,
            evidence: hazard.evidence,
        },
        Record::Shadow(shadow) => {
            let (shadow, evidence) = *shadow;
            Explained {
                kind: Kind::Shadow,
                state: if shadow.since.is_some() { "going_on" } else { "over" }.to_owned(),
                next: after_shadow(),
                unit: None,
                measure: None,
                since: stamp(evidence.at, timezone),
                repeats: u32::try_from(shadow.episodes.saturating_sub(1)).unwrap_or(u32::MAX),
                returned: None,
                acts: Vec::new(),
                words: shadow.words,
                id: shadow.rule,
                journal,
                samples,
                missing,
                timezone: timezone_name,
                evidence,
            }
        }
    }
}

/// What the record itself still says of who did what: what lies over the alarm, and the act that brought it into its
/// state. What was done before stands in the journal.
fn acts_of_alarm(alarm: &AlarmRecord, timezone: &TimeZone) -> Vec<ActView> {
    let act = |by: &str, event: AlarmEvent, why: Option<&str>, at: Wall| ActView {
        by: by.to_owned(),
        deed: event.word().to_owned(),
        why: why.map(str::to_owned),
        at: stamp(at, timezone),
    };
    let Withheld { shelved, out_of_service, .. } = &alarm.withheld;
    let shelved = shelved.as_ref().map(|of| act(&of.by, AlarmEvent::Shelved, Some(&of.why), of.since));
    let out = out_of_service.as_ref().map(|of| act(&of.by, AlarmEvent::TakenOut, Some(&of.why), of.since));
    let told = [AlarmEvent::Shelved, AlarmEvent::TakenOut].contains(&alarm.turn.event);
    let last = alarm.turn.by.as_deref().filter(|_| !told);
    let last = last.map(|by| act(by, alarm.turn.event, alarm.turn.why.as_deref(), alarm.changed));
    shelved.into_iter().chain(out).chain(last).collect()
}

/// As it is written in JSON.
fn word_of(state: &impl Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn words(zh: &str, en: &str) -> Words {
    Words { zh: zh.to_owned(), en: en.to_owned() }
}

fn after_shadow() -> Next {
    let words = words(
        "试运行规则：没有通知任何人；正式启用请删去 shadow = true",
        "a shadow rule told nobody; to put it into force, take out shadow = true",
    );
    Next { words, command: None, who: None, deadline: None, overdue: false }
}

fn after_alarm(alarm: &AlarmRecord) -> Next {
    let (does, deed) = match alarm.state {
        AlarmState::Unacknowledged | AlarmState::Returned | AlarmState::LatchedUnacknowledged => {
            (words("待操作员确认", "an operator acknowledges it"), Some("ack"))
        }
        AlarmState::Latched => {
            (words("锁存，待复位", "it is latched until a person resets it"), Some("reset"))
        }
        AlarmState::Acknowledged => {
            (words("已确认，条件仍成立", "it is acknowledged, and its condition still holds"), None)
        }
        AlarmState::Normal => (words("已恢复正常", "it is back to normal"), None),
    };
    let guided = |text: &str, guidance: &str| match guidance {
        "" => text.to_owned(),
        guidance => format!("{text}；{guidance}"),
    };
    let words = Words { zh: guided(&does.zh, &alarm.guidance.zh), en: guided(&does.en, &alarm.guidance.en) };
    let command = deed.map(|deed| format!("riskgate {deed} '{}' --by NAME", alarm.id));
    Next { words, command, who: alarm.acknowledged_by.clone(), deadline: None, overdue: false }
}

fn after_hazard(hazard: &HazardRecord, now: Wall, timezone: &TimeZone) -> Next {
    let (does, deed) = match hazard.stage {
        HazardStage::Candidate => {
            (words("待确认：由人判断属实或误报", "a person judges whether it is a hazard"), Some("confirm"))
        }
        HazardStage::Rectifying => (words("整改", "it is rectified"), Some("rectify")),
        HazardStage::AwaitingAcceptance => {
            (words("验收整改", "a person accepts the rectification"), Some("accept"))
        }
        HazardStage::Accepted => (words("已验收，已关闭", "it was accepted and is closed"), None),
        HazardStage::Rejected => (words("已判为误报", "it was found to be none"), None),
    };
    let id: String = hazard.id.to_string().chars().take(8).collect();
    let unrectified = matches!(hazard.stage, HazardStage::Candidate | HazardStage::Rectifying);
    Next {
        words: does,
        command: deed.map(|deed| format!("riskgate {deed} {id} --by NAME")),
        who: Some(hazard.liable_person.clone()).filter(|who| !who.is_empty()),
        deadline: Some(stamp(hazard.deadline, timezone)),
        overdue: unrectified && hazard.deadline < now,
    }
}
