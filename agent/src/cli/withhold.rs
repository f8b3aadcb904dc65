//! Commands of named persons that silence alarms for a while, stop units, and undo both.

use std::time::Duration;

use clap::Args;
use riskgate_engine::Deed;

use super::args::{Where, duration, said};
use super::client::{Client, ClientError};
use super::{Outcome, Screen, acts, speak};

pub(super) const RESET_HELP: &str = "例 Examples:
  riskgate reset tank-a-leak --by 王敏

锁存的报警恢复正常后仍保留，确认后才能复位。A latched alarm stays after its return; it is reset once acknowledged.
编号 Ids: riskgate show alarms";

pub(super) const SHELVE_HELP: &str = "例 Examples:
  riskgate shelve LI-101/H --for 2h --why 液位计校验 --by 王敏

搁置只停止报警提示：照常判断，隐患、加密排查和单元等级不受影响；最长8小时，到时仍成立则立即报警。
SIS、气体二级报警和SOS不允许搁置。
A shelf silences and no more: judging, hazards, boosts and risk go on. At most 8 h; what is still true then is heard
at once. Alarms of SIS, gas at its outer limit and SOS are refused.
下一步 Next: riskgate show shelved; riskgate unshelve ALARM --by NAME";

pub(super) const UNSHELVE_HELP: &str = "例 Examples:
  riskgate unshelve LI-101/H --by 王敏

仍成立的报警立即提示。What is still true is heard at once.
编号 Ids: riskgate show shelved";

pub(super) const OUT_HELP: &str = "例 Examples:
  riskgate out-of-service GD-101 --why 送检 --by 李雷             测点：其自身的全部报警 a point: all alarms of its own
  riskgate out-of-service tank-a-leak --for 3d --why 改造 --by 李雷

停用期间既不报警也不提出隐患；其措施按无人监测计。Meanwhile it neither alarms nor raises hazards, and its measure
counts as not watched.
下一步 Next: riskgate show out-of-service; riskgate in-service WHAT --by NAME";

pub(super) const IN_HELP: &str = "例 Examples:
  riskgate in-service GD-101 --by 李雷

仍成立的立即报警并提出隐患。What is still true alarms and raises its hazard at once.
编号 Ids: riskgate show out-of-service";

pub(super) const STOP_HELP: &str = "例 Examples:
  riskgate stop U-TA --why 年度检修 --by 王敏

暂停该单元的排查任务，抑制工艺和设备报警及其隐患；气体、火灾、SIS、人员、作业票、视频照常。
It suspends the unit's tasks and withholds its process and equipment alarms and their hazards; gas, fire, SIS,
people, permits and video go on. The plant itself is never touched.
下一步 Next: riskgate show stops; riskgate start UNIT --by NAME";

pub(super) const START_HELP: &str = "例 Examples:
  riskgate start U-TA --by 王敏

仍成立的立即报警并提出隐患。What is still true alarms and raises its hazard at once.
编号 Ids: riskgate show stops";

#[derive(Debug, Args)]
pub(super) struct NamedArgs {
    /// 编号 / ids
    #[arg(value_name = "ID", required = true)]
    pub(super) ids: Vec<String>,

    /// 谁 / who does it
    #[arg(long, value_name = "NAME", value_parser = said)]
    pub(super) by: String,

    #[command(flatten)]
    pub(super) agent: Where,
}

#[derive(Debug, Args)]
pub(super) struct ShelveArgs {
    #[command(flatten)]
    pub(super) named: NamedArgs,

    /// 多久，最长8小时 / for how long, at most 8 h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) length: Duration,

    /// 原因 / why
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(super) why: String,
}

#[derive(Debug, Args)]
pub(super) struct OutArgs {
    #[command(flatten)]
    pub(super) named: NamedArgs,

    /// 多久；不写则直到恢复 / for how long; without it until it is put back
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) length: Option<Duration>,

    /// 原因 / why
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(super) why: String,
}

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    #[command(flatten)]
    pub(super) named: NamedArgs,

    /// 原因 / why
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(super) why: String,
}

/// Part of a second counts as one: a shelf of 500 ms is not none.
fn seconds(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}

pub(super) fn reset(args: &NamedArgs, screen: &mut Screen) -> Outcome {
    each(args, "已复位 reset", screen, |alarm| Deed::Reset { alarm })
}

pub(super) fn shelve(args: &ShelveArgs, screen: &mut Screen) -> Outcome {
    each(&args.named, "已搁置 shelved", screen, |alarm| Deed::Shelve {
        alarm,
        for_s: seconds(args.length),
        why: args.why.clone(),
    })
}

pub(super) fn unshelve(args: &NamedArgs, screen: &mut Screen) -> Outcome {
    each(args, "已解除搁置 unshelved", screen, |alarm| Deed::Unshelve { alarm })
}

pub(super) fn take_out(args: &OutArgs, screen: &mut Screen) -> Outcome {
    each(&args.named, "已停用 out of service", screen, |what| Deed::OutOfService {
        what,
        why: args.why.clone(),
        for_s: args.length.map(seconds),
    })
}

pub(super) fn put_back(args: &NamedArgs, screen: &mut Screen) -> Outcome {
    each(args, "已恢复使用 in service", screen, |what| Deed::InService { what })
}

pub(super) fn stop(args: &StopArgs, screen: &mut Screen) -> Outcome {
    each(&args.named, "单元已停用 stopped", screen, |unit| Deed::StopUnit {
        unit,
        why: args.why.clone(),
    })
}

pub(super) fn start(args: &NamedArgs, screen: &mut Screen) -> Outcome {
    each(args, "单元已启用 started", screen, |unit| Deed::StartUnit { unit })
}

/// One act for each id; all are tried.
fn each(args: &NamedArgs, done: &str, screen: &mut Screen, deed: impl Fn(String) -> Deed) -> Outcome {
    speak(&args.agent, screen, |client: &mut Client, screen| {
        let mut outcome = Outcome::Done;
        for id in &args.ids {
            let one = acts::act(client, deed(id.clone()), &args.by, done, id, screen)?;
            outcome = outcome.worse(one);
        }
        Ok::<_, ClientError>(outcome)
    })
}
