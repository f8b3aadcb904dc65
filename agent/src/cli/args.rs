//! What can be typed: the commands, their options, and the help that teaches them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::backtest::{BACKTEST_HELP, BacktestArgs};
use super::explain::{EXPLAIN_HELP, ExplainArgs, REPLAY_HELP, ReplayArgs};
use super::history::{HISTORY_HELP, HistoryArgs};
use super::journal::head;
use super::tools::args::{BROWSE_HELP, BrowseArgs, PROBE_HELP, ProbeArgs, SCAN_HELP, ScanArgs};
use super::withhold::{self, NamedArgs, OutArgs, ShelveArgs, StopArgs};
use crate::console::socket::What;
use crate::store::journal::Head;

const ABOUT: &str = "riskgate：危险化学品企业双重预防机制的边缘网关程序
An edge agent for hazardous-chemical plants: readings in, hazards out";

const LONG_ABOUT: &str = "riskgate：危险化学品企业双重预防机制的边缘网关程序。
读取装置已有的测点、人员定位和视频告警，按规则判断管控措施是否失效，产生报警、隐患和排查任务，
在控制室显示，并经 MQTT 上传。从不向装置写入。

An edge agent for hazardous-chemical plants. It reads what the plant already measures, judges by rules \
whether a control measure has failed, and makes alarms, hazards and inspection tasks of it: shown in the \
control room, uploaded over MQTT. It never writes to the plant.";

const AFTER: &str = "第一次使用 First steps:
  riskgate check /etc/riskgate                 检查配置 is the configuration right?
  riskgate run --config /etc/riskgate --once   每个测点读一次 does every point read?
  riskgate run --config /etc/riskgate          运行 run it; control room page: http://127.0.0.1:8080/
  riskgate show                                现在有什么 what is open now?
  riskgate probe modbus 10.0.0.5 --register 100 --expect 47.5   读数不对 a value is wrong?

退出码 Exit codes:
  0  完成 done
  1  有问题，或未被接受 a problem was found, or the act was refused
  2  命令写错 wrong usage
  3  联系不上网关程序 the agent cannot be reached

每个命令都有例子 Each command shows examples: riskgate COMMAND --help";

#[derive(Debug, Parser)]
#[command(name = "riskgate", version, about = ABOUT, long_about = LONG_ABOUT, after_help = AFTER)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// 演示：模拟装置，一分钟看到第一条隐患 / a simulated plant: the first hazard within a minute
    #[cfg(feature = "demo")]
    #[command(after_help = DEMO_HELP)]
    Demo(DemoArgs),

    /// 检查配置，一次列出全部问题 / check a configuration, show every problem at once
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),

    /// 上传报文的格式：JSON Schema 和 AsyncAPI / the shapes of all messages upstream
    #[command(after_help = SCHEMA_HELP)]
    Schema(SchemaArgs),

    /// 运行 / run the agent
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),

    /// 现在有什么：报警、隐患、待确认、任务、单元、数据源、待发队列 / what is open now
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),

    /// 确认报警：我已看到 / acknowledge alarms: I have seen them
    #[command(after_help = ACK_HELP)]
    Ack(AckArgs),

    /// 确认隐患：待确认的属实 / a candidate is a hazard
    #[command(after_help = CONFIRM_HELP)]
    Confirm(HazardArgs),

    /// 误报：待确认的不属实 / a candidate is none
    #[command(after_help = REJECT_HELP)]
    Reject(RejectArgs),

    /// 整改完成，待验收 / rectified, awaiting acceptance
    #[command(after_help = RECTIFY_HELP)]
    Rectify(HazardArgs),

    /// 验收通过 / accepted: the hazard is closed
    #[command(after_help = ACCEPT_HELP)]
    Accept(HazardArgs),

    /// 复位：锁存的报警 / let go of latched alarms
    #[command(after_help = withhold::RESET_HELP)]
    Reset(NamedArgs),

    /// 搁置报警一段时间 / silence alarms for a while
    #[command(after_help = withhold::SHELVE_HELP)]
    Shelve(ShelveArgs),

    /// 解除搁置 / end a shelf
    #[command(after_help = withhold::UNSHELVE_HELP)]
    Unshelve(NamedArgs),

    /// 停用报警或测点 / take alarms or points out of service
    #[command(after_help = withhold::OUT_HELP)]
    OutOfService(OutArgs),

    /// 恢复使用 / put them back
    #[command(after_help = withhold::IN_HELP)]
    InService(NamedArgs),

    /// 单元停用、检维修 / units are stopped, for maintenance or else
    #[command(after_help = withhold::STOP_HELP)]
    Stop(StopArgs),

    /// 单元恢复运行 / units run again
    #[command(after_help = withhold::START_HELP)]
    Start(NamedArgs),
    /// 排查记录 / a task was carried out, or was not
    #[command(after_help = RECORD_HELP)]
    Record(RecordArgs),

    /// 重新读取配置 / read the configuration anew
    #[command(after_help = RELOAD_HELP)]
    Reload(ReloadArgs),

    /// 规则语言：语法、函数、内置规则 / the rule language: grammar, functions, built-in kinds of rules
    #[command(after_help = LANGUAGE_HELP)]
    Language(LanguageArgs),

    /// 为什么报警、为什么是隐患 / why an alarm or a hazard is there
    #[command(after_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),

    /// 凭证据重放判断 / does the evidence give the same verdict again?
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),

    /// 日志是否完整 / is the journal whole?
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),

    /// 日志：谁做了什么，系统判断了什么 / who did what, and what was decided
    #[command(after_help = JOURNAL_HELP)]
    Journal(JournalArgs),

    /// 试读：地址、类型、字节序对不对 / try a device's register: is the address, type and order right?
    #[command(after_help = PROBE_HELP)]
    Probe(ProbeArgs),

    /// 搜索：哪些站号有应答 / which device ids of a line answer
    #[command(after_help = SCAN_HELP)]
    Scan(ScanArgs),

    /// 浏览：OPC UA 服务器有哪些节点 / what nodes an OPC UA server has
    #[command(after_help = BROWSE_HELP)]
    Browse(BrowseArgs),

    /// 历史：测点趋势，导出 CSV / what points read over the last days: trend, export
    #[command(after_help = HISTORY_HELP)]
    History(HistoryArgs),

    /// 回放试算：过去的数据用新规则会怎样 / what other rules would have made of what was recorded
    #[command(after_help = BACKTEST_HELP)]
    Backtest(BacktestArgs),

    /// OPC UA 证书：信任哪些服务器，本网关用哪个证书 / certificates of OPC UA: which servers are trusted
    #[command(subcommand, after_help = OPCUA_HELP)]
    Opcua(OpcuaCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum OpcuaCommand {
    /// 已信任和被拒绝的服务器证书 / servers' certificates, trusted and refused
    List(PkiArgs),

    /// 一个证书的全部内容 / all that one certificate says
    Show {
        /// 指纹或其开头；own 为本网关自己的 / a thumbprint or its beginning; own: the gateway's
        #[arg(value_name = "THUMBPRINT|own")]
        which: String,

        #[command(flatten)]
        pki: PkiArgs,
    },

    /// 信任一个服务器证书 / trust a server's certificate
    Trust {
        /// 指纹或其开头，或证书文件 / a thumbprint or its beginning, or a file
        #[arg(value_name = "THUMBPRINT|FILE")]
        which: String,

        /// 即使过期或应用名不符也接受 / though its times or its application are wrong
        #[arg(long)]
        as_it_is: bool,

        #[command(flatten)]
        pki: PkiArgs,
    },

    /// 不再信任；正在使用它的连接随即断开 / trust it no more: a session that rests on it ends
    Distrust {
        /// 指纹或其开头 / a thumbprint or its beginning
        #[arg(value_name = "THUMBPRINT")]
        which: String,

        #[command(flatten)]
        pki: PkiArgs,
    },
}

/// Which store.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub(super) struct StoreDir {
    /// 状态文件夹 / the folder with state.db [default: $STATE_DIRECTORY, /var/lib/riskgate]
    #[arg(long, value_name = "PATH")]
    pub(super) dir: Option<PathBuf>,

    /// 从配置文件夹得知状态文件夹 / the store of the agent of this configuration
    #[arg(long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) store: StoreDir,

    /// 另存的头，如平台所存 / a head that was kept elsewhere, as upstream has it
    #[arg(long, value_name = "N:HASH", value_parser = head)]
    pub(super) head: Option<Head>,
}

#[derive(Debug, Args)]
pub(super) struct JournalArgs {
    /// 从何时起 / from when on: 2h, 2026-11-01, 2026-11-01T08:00
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,

    /// 只看这个单元 / of this risk unit only
    #[arg(long, value_name = "UNIT")]
    pub(super) unit: Option<String>,

    /// 只看此人 / by this person only
    #[arg(long, value_name = "NAME")]
    pub(super) by: Option<String>,

    /// 输出 JSON / print JSON
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) store: StoreDir,
}

/// Which certificate folder.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub(super) struct PkiArgs {
    /// 证书文件夹 / the certificate folder [default: $STATE_DIRECTORY/pki, /var/lib/riskgate/pki]
    #[arg(long, value_name = "PATH")]
    pub(super) pki: Option<PathBuf>,

    /// 从配置文件夹得知证书文件夹 / the folder of the agent of this configuration
    #[arg(long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
}

#[cfg(feature = "demo")]
const DEMO_HELP: &str = "例 Examples:
  riskgate demo                 一分钟的场景 the whole scenario, about a minute
  riskgate demo --speed 6       六倍速 six times as fast
  riskgate demo --for 30s       只演前30秒 the first 30 s of it, and what was due by then
  riskgate demo --keep          演完继续运行 runs on, and prints how to connect

退出码 Exit code 0 only if all that the scenario holds arrived upstream, and nothing else did.";

const CHECK_HELP: &str = "例 Examples:
  riskgate check /etc/riskgate
  riskgate check config/site && echo 可以启动 it will start

不打开网络；配置以外只读存储中平台下发的模型（由平台下发模型时；安装为服务时用 sudo）。
It opens no socket; outside the configuration it reads nothing but the model in the store, where upstream owns it
(with the service, use sudo).
退出码 Exit codes: 0 可以启动 it will start; 1 有错误 there are errors; 2 命令写错 usage.
下一步 Next: riskgate run --config PATH --once";

const SCHEMA_HELP: &str = "例 Examples:
  riskgate schema                         列出 list them
  riskgate schema --dir config/schemas    写入文件 write them

退出码 Exit codes: 0 完成 done; 1 写不进去 the folder cannot be written; 2 命令写错 usage.";

const RUN_HELP: &str = "例 Examples:
  riskgate run --config /etc/riskgate --once    读一次，列出数值、质量、时间 reads every point once, prints a table
  riskgate run --config /etc/riskgate           一直运行 runs until SIGTERM, which ends it within 5 s

下一步 Next: riskgate show; 控制室页面 control room page: http://127.0.0.1:8080/ ([console] http)";

const SHOW_HELP: &str = "例 Examples:
  riskgate show                         全部 everything that is open
  riskgate show candidates              待确认的 what a person has to judge
  riskgate show shadow                  试运行规则 what rules with shadow = true would have told
  riskgate show quality                 报警质量 how many alarms there are, and which are the worst
  riskgate show alarms --json | jq -r '.[].id'

--json：字段只增不改名不删除，时间为 RFC 3339，时长为秒。同 GET /api/board。
--json: fields are added, never renamed or removed; times RFC 3339, durations in seconds; as GET /api/board.
  all         {version, at, gateway, alarms, shelved, suppressed, out_of_service, stops,
               shadows, quality, indicators, hazards, candidates, tasks, units, sources,
               outbox, history, uplink, health}
  quality     {flood, standing, chattering, stale, shelved, suppressed, out_of_service,
               unwatched, day, week}
  indicators  {week, last_week, analysis, lacking, changed}，尚未统计为 null: none told yet
  outbox      {lanes: [{lane, pending, last}], journal,
               set_aside: [{what, count, oldest, why}]}
  others      a list
下一步 Next: riskgate ack ALARM --by NAME; riskgate confirm HAZARD --by NAME";

const ACK_HELP: &str = "例 Examples:
  riskgate ack GD-101/HH --by 王敏
  riskgate ack GD-101/HH fault:GD-102 --by 王敏

确认只表示“我已看到”，不会消除报警。It says 'I have seen it' and clears nothing.
编号 Ids: riskgate show alarms";

const CONFIRM_HELP: &str = "例 Examples:
  riskgate confirm 3f9c21d4 --by 李雷 --why 现场核实泄漏

编号可只写开头几位。An id may be cut to a beginning that is unique: riskgate show candidates
下一步 Next: riskgate rectify HAZARD --by NAME";

const REJECT_HELP: &str = "例 Examples:
  riskgate reject 3f9c21d4 --by 李雷 --why 蒸汽，不是烟

只有待确认的可以判为误报，必须写明原因。Only a candidate can be rejected, and the reason is needed.
编号 Ids: riskgate show candidates";

const RECTIFY_HELP: &str = "例 Examples:
  riskgate rectify 3f9c21d4 --by 赵磊 --why 更换密封垫

数值恢复正常不会自动关闭隐患。A return to normal never closes a hazard by itself.
编号 Ids: riskgate show hazards      下一步 Next: riskgate accept HAZARD --by NAME";

const RECORD_HELP: &str = "例 Examples:
  riskgate record T-TA-011 normal --by 赵磊
  riskgate record T-TA-011 hazard --by 赵磊 --why 法兰渗漏

状态 Status: normal 正常, hazard 存在隐患, unchecked 未排查, other 其他";

const ACCEPT_HELP: &str = "例 Examples:
  riskgate accept 3f9c21d4 --by 王敏

编号 Ids: riskgate show hazards";

const RELOAD_HELP: &str = "例 Examples:
  riskgate check /etc/riskgate && riskgate reload

有错误的配置不会生效，原配置继续运行。A configuration with errors is refused whole; the running one stays.";

const LANGUAGE_HELP: &str = "例 Examples:
  riskgate language                            语法、全部函数和内置规则 the grammar, all functions and kinds
  riskgate language count                      一个函数或内置规则 one function or kind
  riskgate language --config /etc/riskgate     每条规则展开后的条件 each rule as it is judged, limits among them

下一步 Next: riskgate check PATH";

const VERIFY_HELP: &str = "例 Examples:
  sudo riskgate verify
  riskgate verify --config /etc/riskgate --head 1187:5f1c…   与另存的头比对 against a head that was kept elsewhere

网关程序运行与否均可，只读。With or without a running agent; it only reads.
没有另存的头，截尾看不出来。Without a head that was kept elsewhere, a tail that was cut off does not show.
退出码 Exit codes: 0 完整 whole; 1 已断，或读不了 broken, or it cannot be read; 2 命令写错 usage.
下一步 Next: riskgate journal --since 2h";

const JOURNAL_HELP: &str = "例 Examples:
  sudo riskgate journal --since 2h
  riskgate journal --config /etc/riskgate --since 2026-11-01 --unit U-TA
  riskgate journal --by 王敏 --json | jq .body

--json：每行一条，即被散列的原文。One entry a line: the very bytes that are hashed.
下一步 Next: riskgate verify";

const OPCUA_HELP: &str = "例 Examples:
  riskgate opcua list                     信任与拒绝的服务器证书 servers' certificates, and why they are refused
  riskgate opcua show own                 本网关的证书：把文件交给服务器一侧信任 to be trusted at the server
  riskgate opcua trust 3f9c21d4           先与服务器上显示的指纹核对 compare it with what the server shows first
  riskgate opcua trust server.der         由文件信任 from a file that was brought here
  riskgate opcua distrust 3f9c21d4

直接读写证书文件夹，网关程序不必停；改动几秒内生效。安装为服务时用 sudo。
They work on the folder while the agent runs, which takes a change up within seconds; with the service, use sudo.
下一步 Next: riskgate show sources";

#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// 只演场景开头这么久，按1倍速计 / play only the first TIME of the scenario, as it runs at speed 1: `--for 20s --speed 4` takes 5 s
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) play_for: Option<Duration>,

    /// 倍速，1 到 20 / how many times faster, 1 to 20
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(super) speed: u32,

    /// 演完继续运行，直到 Ctrl-C / run on until Ctrl-C and print how to connect
    #[arg(long)]
    pub(super) keep: bool,
}

#[derive(Debug, Args)]
pub(super) struct LanguageArgs {
    /// 函数或内置规则的名称 / the name of a function or of a kind of rule
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,

    /// 列出此配置的每条规则 / every rule of this configuration folder
    #[arg(long, value_name = "PATH", conflicts_with = "name")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// 配置文件夹 / the configuration folder
    #[arg(value_name = "PATH")]
    pub(super) path: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// 写到这个文件夹 / write them to this folder
    #[arg(long, value_name = "PATH")]
    pub(super) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// 配置文件夹 / the configuration folder
    #[arg(long, value_name = "PATH")]
    pub(super) config: PathBuf,

    /// 每个测点读一次后退出 / read every point once, print it and exit
    #[arg(long)]
    pub(super) once: bool,
}

/// Which agent is spoken to.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub(super) struct Where {
    /// 网关程序的套接字 / the agent's socket [default: $RUNTIME_DIRECTORY/riskgate.sock, /run/riskgate/riskgate.sock]
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,

    /// 从配置文件夹得知套接字 / the agent of this configuration folder
    #[arg(long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// 看哪一部分 / which part
    #[arg(value_enum, default_value_t = What::All)]
    pub(super) what: What,

    /// 输出 JSON / print JSON
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) agent: Where,
}

#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// 任务编号 / the task's id
    #[arg(value_name = "TASK")]
    pub(super) task: String,

    /// 结果 / what was found
    #[arg(value_name = "STATUS")]
    pub(super) status: Found,

    /// 谁 / who carried it out
    #[arg(long, value_name = "NAME", value_parser = said)]
    pub(super) by: String,

    /// 说明 / what was found, in words
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(super) why: Option<String>,

    #[command(flatten)]
    pub(super) agent: Where,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Found {
    /// 正常
    Normal,
    /// 存在隐患
    Hazard,
    /// 未排查
    Unchecked,
    /// 其他
    Other,
}

#[derive(Debug, Args)]
pub(super) struct AckArgs {
    /// 报警编号 / alarm ids
    #[arg(value_name = "ALARM", required = true)]
    pub(super) alarms: Vec<String>,

    /// 谁 / who has seen them
    #[arg(long, value_name = "NAME", value_parser = said)]
    pub(super) by: String,

    #[command(flatten)]
    pub(super) agent: Where,
}

#[derive(Debug, Args)]
pub(super) struct HazardArgs {
    /// 隐患编号，或其唯一的开头 / hazard ids, or unique beginnings of them
    #[arg(value_name = "HAZARD", required = true)]
    pub(super) hazards: Vec<String>,

    /// 谁 / who judges
    #[arg(long, value_name = "NAME", value_parser = said)]
    pub(super) by: String,

    /// 说明 / why, or what was done
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(super) why: Option<String>,

    #[command(flatten)]
    pub(super) agent: Where,
}

#[derive(Debug, Args)]
pub(super) struct RejectArgs {
    /// 隐患编号，或其唯一的开头 / hazard ids, or unique beginnings of them
    #[arg(value_name = "HAZARD", required = true)]
    pub(super) hazards: Vec<String>,

    /// 谁 / who judges
    #[arg(long, value_name = "NAME", value_parser = said)]
    pub(super) by: String,

    /// 原因 / why it is none
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(super) why: String,

    #[command(flatten)]
    pub(super) agent: Where,
}

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    pub(super) agent: Where,
}

/// A name or a reason that says something.
pub(super) fn said(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("不能为空 / it says nothing".to_owned()) } else { Ok(text.to_owned()) }
}

/// As the configuration writes durations: a whole number and a unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let parsed = text.split_at_checked(digits).and_then(|(number, unit)| {
        let (_, millis) = units.iter().find(|(name, _)| *name == unit)?;
        number.parse::<u64>().ok()?.checked_mul(*millis)
    });
    match parsed {
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => Err("写成 write 500ms, 30s, 1m, 2h, 1d（毫秒、秒、分、时、天）".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Command, ErrorKind> {
        let cli = Cli::try_parse_from(line.split(' ')).map_err(|error| error.kind())?;
        Ok(cli.command)
    }

    #[test]
    fn the_commands_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("riskgate {}", command.get_name());
            assert!(help.contains("例 Examples:") && help.contains(&example), "{}", command.get_name());
        }
        let looks = ["probe", "scan", "browse"];
        for command in Cli::command().get_subcommands().filter(|command| looks.contains(&command.get_name()))
        {
            for what in command.get_subcommands() {
                let help = what.get_after_help().map(ToString::to_string).unwrap_or_default();
                let example = format!("riskgate {} {} ", command.get_name(), what.get_name());
                for said in [example.as_str(), "例 Examples:", "只读", "退出码 Exit codes", "下一步 Next:"]
                {
                    assert!(help.contains(said), "{example}: {said}");
                }
            }
        }
        let top = Cli::command().render_long_help().to_string();
        for said in ["双重预防机制", "edge agent", "Exit codes", "--help"] {
            assert!(top.contains(said), "{said}");
        }
    }

    #[test]
    fn acts_need_a_name_and_a_rejection_a_reason() {
        assert_eq!(parse("riskgate ack GD-101/HH").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(parse("riskgate ack --by 王敏").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(parse("riskgate confirm 3f9c --by ").unwrap_err(), ErrorKind::ValueValidation);
        assert_eq!(parse("riskgate reject 3f9c --by 李雷").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert!(parse("riskgate confirm 3f9c 88 --by 李雷").is_ok());
    }

    #[test]
    fn what_is_silenced_needs_a_time_a_reason_and_a_name() {
        assert!(parse("riskgate shelve LI/H --for 2h --why 校验 --by 王敏").is_ok());
        for missing in [
            "riskgate shelve LI/H --why 校验 --by 王敏",
            "riskgate shelve LI/H --for 2h --by 王敏",
            "riskgate shelve LI/H --for 2h --why 校验",
            "riskgate out-of-service GD-1 --by 王敏",
            "riskgate stop U-1 --by 王敏",
            "riskgate start U-1",
        ] {
            assert_eq!(parse(missing).unwrap_err(), ErrorKind::MissingRequiredArgument, "{missing}");
        }
        assert!(parse("riskgate out-of-service GD-1 --why 送检 --by 王敏").is_ok());
    }

    #[test]
    fn one_agent_is_spoken_to() {
        assert!(matches!(parse("riskgate show"), Ok(Command::Show(ShowArgs { what: What::All, .. }))));
        assert!(parse("riskgate show outbox --json --socket /tmp/a").is_ok());
        let both = parse("riskgate show --socket /tmp/a --config /tmp/b");
        assert_eq!(both.unwrap_err(), ErrorKind::ArgumentConflict);
        assert_eq!(parse("riskgate show passwords").unwrap_err(), ErrorKind::InvalidValue);
    }

    #[test]
    fn a_certificate_is_named_and_so_is_one_folder() {
        assert!(parse("riskgate opcua show own").is_ok());
        assert!(parse("riskgate opcua trust 3f9c21d4 --as-it-is --pki /srv/pki").is_ok());
        assert_eq!(parse("riskgate opcua trust").unwrap_err(), ErrorKind::MissingRequiredArgument);
        let both = parse("riskgate opcua list --pki /tmp/a --config /tmp/b");
        assert_eq!(both.unwrap_err(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn durations_are_written_as_in_the_configuration() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "20", "s", "1.5s", "-1s", "20 s", "99999999999999999999d", "20秒"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
