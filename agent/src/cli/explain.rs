//! `riskgate explain` and `riskgate replay`: why an alarm or a hazard is there, and the proof that its evidence
//! gives its verdict. A running agent is asked first; without one the store is read. They change nothing.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use riskgate_engine::{Difference, Evidence, Irreplayable, Truth, replay};
use serde_json::Value;

use super::args::StoreDir;
use super::client::{Client, ClientError};
use super::place::{self, Place, place_of};
use super::{Outcome, Screen};
use crate::causes::chain;
use crate::console::socket::{Answer, Question};
use crate::explain::{self, ExplainError, Explained};
use crate::store::lookup;
use crate::{clock, config};

pub(super) const EXPLAIN_HELP: &str = "例 Examples:
  riskgate explain GD-101/HH                            一个报警 an alarm
  riskgate explain 3f9c21d4                             一条隐患，编号可只写开头 a hazard, by the beginning of its id
  riskgate explain 3f9c21d4 --json > evidence.json      全部证据，可以重放 all of it, to be replayed
  riskgate explain 3f9c21d4 --config /etc/riskgate
  riskgate explain tank-a-leak                          试运行规则（shadow = true）最近一次 the last onset of a shadow rule

✓ 成立 true  ✗ 不成立 false  ? 未知 unknown。网关程序没有运行时读存储；安装为服务时用 sudo。
Without a running agent the store is read; with the service, use sudo.
采样来自历史：8个测点，发生前16个、后8个。Samples are from the history: 8 points, 16 before the onset and 8 after.
退出码 Exit codes: 0 完成 done; 1 没有这个编号，或读不了 no such id, or it cannot be read
下一步 Next: riskgate replay evidence.json";

pub(super) const REPLAY_HELP: &str = "例 Examples:
  riskgate explain 3f9c21d4 --json | riskgate replay -
  riskgate replay evidence.json
  riskgate replay --all --config /etc/riskgate      存储中每条未关闭的隐患 each open hazard of the store

只凭证据再判断一次，逐项比对；不需要网关程序。It judges once more from the evidence alone, part by part.
窗口、held、count 以当时的值重放。A window, held and count are replayed by what they said then.
退出码 Exit codes: 0 结论相同 the same verdict; 1 不同，或无法重放 another one, or it cannot be replayed";

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// 报警编号，或隐患编号、其唯一的开头，或试运行规则 / an alarm's id, a hazard's or a unique beginning of it, or a shadow rule
    #[arg(value_name = "HAZARD|ALARM|RULE")]
    id: String,

    /// 输出 JSON / print JSON
    #[arg(long)]
    json: bool,

    /// 网关程序的套接字 / the agent's socket [default: $RUNTIME_DIRECTORY/riskgate.sock, /run/riskgate/riskgate.sock]
    #[arg(long, value_name = "PATH", conflicts_with = "dir")]
    socket: Option<PathBuf>,

    #[command(flatten)]
    store: StoreDir,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// explain --json 的输出；- 为标准输入 / what `explain --json` printed; -: standard input
    #[arg(value_name = "EVIDENCE", required_unless_present = "all", conflicts_with = "all")]
    evidence: Option<PathBuf>,

    /// 存储中每条未关闭的隐患 / each open hazard of the store
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    store: StoreDir,
}

pub(super) fn explain(args: &ExplainArgs, screen: &mut Screen) -> Outcome {
    let explained = match of_agent(args, screen) {
        Ok(Some(explained)) => explained,
        Ok(None) => match of_store(args, screen) {
            Ok(explained) => explained,
            Err(outcome) => return outcome,
        },
        Err(outcome) => return outcome,
    };
    if args.json {
        match serde_json::to_string_pretty(&explained) {
            Ok(json) => screen.say(&json),
            Err(error) => {
                screen.problem(&error.to_string());
                return Outcome::Refused;
            }
        }
    } else {
        screen.say(explained.text().trim_end());
    }
    Outcome::Done
}

/// `None`: no agent runs, or its store was named.
fn of_agent(args: &ExplainArgs, screen: &mut Screen) -> Result<Option<Explained>, Outcome> {
    if args.store.dir.is_some() {
        return Ok(None);
    }
    let socket = match (&args.socket, &args.store.config) {
        (Some(socket), _) => socket.clone(),
        (None, Some(folder)) => {
            let else_what = "its agent is not known: mend it, or give --socket or --dir";
            place::socket_of(&super::site_of(folder, else_what, screen)?, screen)?
        }
        (None, None) => place::usual_socket(),
    };
    let mut client = match Client::connect(&socket) {
        Ok(client) => client,
        Err(ClientError::NoAgent { .. }) if args.socket.is_none() => {
            screen.problem("网关程序未运行，读自存储 / no agent runs: read from the store");
            return Ok(None);
        }
        Err(error) => {
            screen.problem(&chain(&error));
            return Err(Outcome::Unreachable);
        }
    };
    let answer = client.ask(&Question::Explain { id: args.id.clone() });
    let shown = answer.and_then(|answer| match answer {
        Answer::Shown { shown } => Ok(Ok(client.understand(shown)?)),
        Answer::Refused { why } => Ok(Err(why)),
        Answer::Done { .. } | Answer::Pong { .. } | Answer::Error { .. } => Err(ClientError::Said {
            why: "网关程序的回答不符 / the agent answered something else".to_owned(),
        }),
    });
    match shown {
        Ok(Ok(explained)) => Ok(Some(explained)),
        Ok(Err(why)) => {
            screen.problem(&why);
            Err(Outcome::Refused)
        }
        Err(error) => {
            screen.problem(&chain(&error));
            Err(Outcome::Unreachable)
        }
    }
}

fn of_store(args: &ExplainArgs, screen: &mut Screen) -> Result<Explained, Outcome> {
    let Place { dir, zone } = place_of(&args.store, screen)?;
    // Names come from the configuration, where it is named.
    let plant = args.store.config.as_deref().and_then(|folder| config::check(folder).ok());
    let plant = plant.as_ref().map(|checked| &checked.plant);
    explain::offline(&dir, plant, &args.id, clock::now().wall, &zone).map_err(|error| {
        let hint = match &error {
            ExplainError::Store(_) => "; 用 --dir 或 --config 指明存储；安装为服务时用 sudo / give --dir or --config; with the service, use sudo",
            ExplainError::Unknown { .. }
            | ExplainError::Quiet { .. }
            | ExplainError::Ambiguous { .. }
            | ExplainError::Stopping => "",
        };
        screen.problem(&format!("{}{hint}", chain(&error)));
        Outcome::Refused
    })
}

pub(super) fn replay_again(args: &ReplayArgs, screen: &mut Screen) -> Outcome {
    let read = match &args.evidence {
        Some(path) => of_file(path),
        None => {
            let Place { dir, .. } = match place_of(&args.store, screen) {
                Ok(place) => place,
                Err(outcome) => return outcome,
            };
            lookup::open_hazards(&dir).map_err(|error| chain(&error)).map(|hazards| {
                let named = |hazard: riskgate_engine::HazardRecord| {
                    (format!("{} {}", hazard.id, hazard.rule), hazard.evidence)
                };
                hazards.into_iter().map(named).collect()
            })
        }
    };
    let evidence: Vec<(String, Evidence)> = match read {
        Ok(evidence) => evidence,
        Err(why) => {
            screen.problem(&format!("未能读取证据 / the evidence cannot be read: {why}"));
            return Outcome::Refused;
        }
    };
    let mut tally = Tally::default();
    for (name, evidence) in &evidence {
        let replayed = replay(evidence);
        tally.count(&replayed);
        let line = format!("{}  {name}", said(&replayed));
        if matches!(replayed, Ok(None)) { screen.say(&line) } else { screen.problem(&line) }
    }
    if args.all {
        screen.say(&tally.words());
    }
    tally.outcome(args.all)
}

#[derive(Debug, Default)]
struct Tally {
    same: usize,
    other: usize,
    without: usize,
}

impl Tally {
    fn count(&mut self, replayed: &Result<Option<Difference>, Irreplayable>) {
        match replayed {
            Ok(None) => self.same += 1,
            Ok(Some(_)) | Err(Irreplayable::Broken(_)) => self.other += 1,
            Err(Irreplayable::NoTree | Irreplayable::NoCondition) => self.without += 1,
        }
    }

    fn words(&self) -> String {
        let Self { same, other, without } = self;
        format!("相同 same {same}，不同 different {other}，无可重放 nothing to replay {without}")
    }

    /// Of all, some may rest on no condition or be older than the tree; one that was named has to replay.
    fn outcome(&self, all: bool) -> Outcome {
        if self.other > 0 || (!all && self.without > 0) { Outcome::Refused } else { Outcome::Done }
    }
}

fn said(replayed: &Result<Option<Difference>, Irreplayable>) -> String {
    let word = |truth: Truth| match truth {
        Truth::True => "成立 true",
        Truth::False => "不成立 false",
        Truth::Unknown => "未知 unknown",
    };
    match replayed {
        Ok(None) => "结论相同 same verdict".to_owned(),
        Ok(Some(Difference::Part { text, recorded, replayed })) => format!(
            "结论不同 different: {text} 记录为 recorded {}，重放为 replayed {}",
            word(*recorded),
            word(*replayed)
        ),
        Ok(Some(Difference::Verdict { recorded, replayed })) => format!(
            "结论不同 different: 整条规则 the whole condition 记录为 recorded {}，重放为 replayed {}",
            word(*recorded),
            word(*replayed)
        ),
        Ok(Some(Difference::Altered)) => {
            "证据被改动 the evidence was altered: 各项相同，校验不符 each part is the same, its checksum is not"
                .to_owned()
        }
        Err(Irreplayable::NoTree) => {
            "无法重放 cannot be replayed: 旧版本的记录 an older agent recorded no tree".to_owned()
        }
        Err(Irreplayable::NoCondition) => {
            "无法重放 nothing to replay: 数据源中断，没有判据 a source was lost, which its link told".to_owned()
        }
        Err(Irreplayable::Broken(why)) => format!("证据不完整 the evidence is not whole: {why}"),
    }
}

/// More than any explanation is: `explain --json` of a condition of the greatest length is under 4 MB.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

fn of_file(path: &Path) -> Result<Vec<(String, Evidence)>, String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    let whole: Value = serde_json::from_str(&text).map_err(|error| {
        let path = path.display();
        format!(
            "{path}: 不是 explain --json 的输出 / it is not what `riskgate explain --json` printed: {error}"
        )
    })?;
    let each = match whole {
        Value::Array(each) => each,
        one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            vec![one]
        }
    };
    if each.is_empty() {
        return Err(format!("{}: 其中没有证据 / there is none in it", path.display()));
    }
    each.into_iter().map(|one| named(one).map_err(|error| format!("{}: {error}", path.display()))).collect()
}

/// What `explain` prints, or the evidence alone.
fn named(one: Value) -> Result<(String, Evidence), serde_json::Error> {
    let id = one.get("id").and_then(Value::as_str).map(str::to_owned);
    let inner = match one.get("evidence") {
        Some(evidence) => evidence.clone(),
        None => one,
    };
    let evidence: Evidence = serde_json::from_value(inner)?;
    Ok((id.unwrap_or_else(|| evidence.rule.clone()), evidence))
}

#[cfg(test)]
mod tests;
