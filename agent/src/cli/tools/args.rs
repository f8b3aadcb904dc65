//! What can be typed to look at a device or a server by hand.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use riskgate_drivers::modbus::guess::Expected;
use riskgate_drivers::modbus::{Address, Endpoint, Framing, Parity, Port, Table};

use super::super::args::{duration, said};

pub(in crate::cli) const PROBE_HELP: &str = "例 Examples:
  riskgate probe modbus 10.0.0.5 --device-id 1 --register 100 --expect 47.5
  riskgate probe modbus --help        全部选项 every option";

pub(in crate::cli) const SCAN_HELP: &str = "例 Examples:
  riskgate scan modbus 10.0.0.5
  riskgate scan modbus --help         全部选项 every option";

pub(in crate::cli) const BROWSE_HELP: &str = "例 Examples:
  riskgate browse opcua opc.tcp://10.0.0.6:4840 --policy None
  riskgate browse opcua --help        全部选项 every option";

pub(in crate::cli) const PROBE_MODBUS_HELP: &str = "例 Examples:
  riskgate probe modbus 10.0.0.5 --device-id 1 --register 100 --expect 47.5   就地表显示47.5 the display shows 47.5
  riskgate probe modbus 10.0.0.5:1502 --register 100 --range 0..100 --table input
  riskgate probe modbus 10.0.0.9:4001 --rtu --device-id 3 --register 40101    串口服务器 RTU behind a converter
  riskgate probe modbus /dev/serial/by-id/usb-1 --baud 9600 --parity even --device-id 3 --register 0

寄存器按报文计数，从 0 起；并读前后各一个，因为手册有从 1 起的。写 40101 这样的旧式编号，即保持寄存器的
第101个，报文里是 100。十六进制 0x9CA5 从不按旧式编号理解。
Registers count as on the wire, from 0; the ones before and behind are read too, because many lists count from 1.
40101, the old habit, is the 101st holding register, 100 on the wire. Hexadecimal is never taken for the habit.
没有 --expect 或 --range 时，只提示大小像样的浮点数。Without either only floats of a sane size are hinted at.

只读：功能码 1 到 4。It only reads: function codes 1 to 4.
退出码 Exit codes: 0 有可能的读法 something plausible was read; 1 没有 nothing was; 2 命令写错 usage.
下一步 Next: 把最后一行粘到点表 paste the row into the point table; riskgate check PATH; riskgate run --config PATH --once";

pub(in crate::cli) const SCAN_MODBUS_HELP: &str = "例 Examples:
  riskgate scan modbus 10.0.0.9 --from 1 --to 32
  riskgate scan modbus 10.0.0.9:4001 --rtu --timeout 500ms     串口服务器 RTU behind a converter
  riskgate scan modbus /dev/serial/by-id/usb-1 --baud 9600 --timeout 500ms

每个站号读一个寄存器；读到数值或异常码都算有应答。只读，一次一问，Ctrl-C 显示已找到的。
Asks each device id for one register; a value or an exception code is an answer. It only reads, one question
at a time, and Ctrl-C shows what was found so far.
退出码 Exit codes: 0 有设备应答 a device answered; 1 没有，或中断 none did, or it was ended; 2 命令写错 usage.
下一步 Next: riskgate probe modbus ADDRESS --device-id N --register 100";

pub(in crate::cli) const BROWSE_OPCUA_HELP: &str = "例 Examples:
  riskgate browse opcua opc.tcp://10.0.0.6:4840 --policy None --depth 2           不加密 without security
  riskgate browse opcua opc.tcp://10.0.0.6:4840 --config /etc/riskgate            用网关的证书 as the gateway
  riskgate browse opcua opc.tcp://10.0.0.6:4840 Plant/TankA --filter level --policy None
  riskgate browse opcua opc.tcp://10.0.0.6:4840 'nsu=urn:plc;s=Tanks' --policy None   从一个节点开始 from a node
  riskgate browse opcua opc.tcp://10.0.0.6:4840 --policy None --csv --source opc > points.csv
  riskgate browse opcua opc.tcp://10.0.0.6:4840 --config /etc/riskgate --user op --password-file op.password

PATH 是从 Objects 起的浏览名，以 / 分隔。服务器自己的 Server 节点只在写明时列出。
PATH is browse names from Objects on, with / between. The server's own node Server is listed only where named.
只读：Browse、BrowseNext、Read。It only reads: Browse, BrowseNext, Read.
退出码 Exit codes: 0 完成 done; 1 连不上、找不到或未列全 no session, no such node, or the list was cut; 2 usage.
下一步 Next: 把行粘到点表 paste rows into the point table; riskgate check PATH";

#[derive(Debug, Args)]
pub(in crate::cli) struct ProbeArgs {
    #[command(subcommand)]
    pub(in crate::cli) what: ProbeWhat,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ProbeWhat {
    /// 一个寄存器可能是什么：各种类型、字节序、地址偏移 / what a register could mean: types, orders, offsets
    #[command(after_help = PROBE_MODBUS_HELP)]
    Modbus(ProbeModbus),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ScanArgs {
    #[command(subcommand)]
    pub(in crate::cli) what: ScanWhat,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ScanWhat {
    /// 哪些站号有应答 / which device ids answer
    #[command(after_help = SCAN_MODBUS_HELP)]
    Modbus(ScanModbus),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BrowseArgs {
    #[command(subcommand)]
    pub(in crate::cli) what: BrowseWhat,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BrowseWhat {
    /// 服务器的节点树，带类型和数值 / the tree of a server, with types and values
    #[command(after_help = BROWSE_OPCUA_HELP)]
    Opcua(BrowseOpcua),
}

/// Where a device is reached.
#[derive(Debug, Args)]
pub(in crate::cli) struct LineArgs {
    /// 主机或主机:端口，或串口路径 / host or host:port, 502 if none is said; or the path of a serial port
    #[arg(value_name = "ADDRESS")]
    pub(in crate::cli) address: String,

    /// TCP 里是 RTU 帧：串口服务器透传 / frames of RTU within TCP: a converter that passes bytes on
    #[arg(long)]
    pub(in crate::cli) rtu: bool,

    /// 串口波特率 / of a serial port
    #[arg(long, value_name = "N", default_value_t = 9600, value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    pub(in crate::cli) baud: u32,

    /// 串口校验 / of a serial port
    #[arg(long, value_enum, default_value_t = ParityWord::None)]
    pub(in crate::cli) parity: ParityWord,

    /// 串口停止位 / of a serial port
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(in crate::cli) stop_bits: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ParityWord {
    None,
    Even,
    Odd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum TableWord {
    Holding,
    Input,
    Coil,
    Discrete,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ProbeModbus {
    #[command(flatten)]
    pub(in crate::cli) line: LineArgs,

    /// 站号 / the Modbus unit identifier
    #[arg(long, visible_alias = "unit", value_name = "N", default_value_t = 1)]
    pub(in crate::cli) device_id: u8,

    /// 寄存器：100、0x64，或旧式 40101 / the register: 100, 0x64, or 40101 of the old habit
    #[arg(long, value_name = "N")]
    pub(in crate::cli) register: String,

    /// 哪张表，默认 holding / which table, holding if none is said
    #[arg(long, value_enum)]
    pub(in crate::cli) table: Option<TableWord>,

    /// 文本占几个寄存器 / registers that a text takes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=120))]
    pub(in crate::cli) count: u8,

    /// 就地显示的值：数字或文本 / what the display there shows: a number or a text
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, value_parser = expected, conflicts_with = "range")]
    pub(in crate::cli) expect: Option<Expected>,

    /// 值应在的范围 / where the value must lie: 0..100
    #[arg(long, value_name = "LOW..HIGH", allow_hyphen_values = true, value_parser = range)]
    pub(in crate::cli) range: Option<Expected>,

    /// 等应答多久 / how long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = waiting)]
    pub(in crate::cli) timeout: Duration,

    /// 行里写的位号 / the tag of the row
    #[arg(long, default_value = "TAG-1", value_parser = said)]
    pub(in crate::cli) tag: String,

    /// 行里写的数据源编号 / the id of your source in the row
    #[arg(long, default_value = "SOURCE", value_parser = said)]
    pub(in crate::cli) source: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ScanModbus {
    #[command(flatten)]
    pub(in crate::cli) line: LineArgs,

    /// 第一个站号 / the first device id
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(in crate::cli) from: u8,

    /// 最后一个站号 / the last device id
    #[arg(long, value_name = "N", default_value_t = 247)]
    pub(in crate::cli) to: u8,

    /// 读哪个寄存器，按报文从 0 计 / which register to ask for, as on the wire, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(in crate::cli) register: u16,

    /// 哪张表 / which table
    #[arg(long, value_enum, default_value_t = TableWord::Holding)]
    pub(in crate::cli) table: TableWord,

    /// 每个站号等多久 / how long to wait for each
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = waiting)]
    pub(in crate::cli) timeout: Duration,

    /// 两次提问之间 / between two questions
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = duration)]
    pub(in crate::cli) pause: Duration,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BrowseOpcua {
    /// opc.tcp://主机:端口 / opc.tcp://host:port/path
    #[arg(value_name = "URL")]
    pub(in crate::cli) url: String,

    /// 从哪里开始：浏览名路径或节点号，默认 Objects / where to begin: browse names or a node id; Objects if left out
    #[arg(value_name = "PATH")]
    pub(in crate::cli) path: Option<String>,

    /// 几层 / how many levels
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(in crate::cli) depth: u16,

    /// 只列名称或节点号含这些字的 / only what holds this text in its name or node id
    #[arg(long, value_name = "TEXT", value_parser = said)]
    pub(in crate::cli) filter: Option<String>,

    /// 最多列多少节点 / at most so many nodes
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(in crate::cli) max: u32,

    /// 输出点表的行 / write rows of a point table
    #[arg(long)]
    pub(in crate::cli) csv: bool,

    /// 行里写的数据源编号 / the id of your source in the rows
    #[arg(long, default_value = "SOURCE", value_parser = said)]
    pub(in crate::cli) source: String,

    /// 用户名 / a user of the server
    #[arg(long, value_name = "NAME", requires = "password_file", value_parser = said)]
    pub(in crate::cli) user: Option<String>,

    /// 密码文件，第一行 / a file whose first line is the password
    #[arg(long, value_name = "PATH", requires = "user")]
    pub(in crate::cli) password_file: Option<PathBuf>,

    /// 安全策略，默认取服务器最强的 / the security policy; the strongest of the server if none is said
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(in crate::cli) policy: Option<PolicyWord>,

    /// 配置文件夹：用其网关的证书和信任 / the configuration whose gateway's certificate and trust are used
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PolicyWord {
    #[value(name = "Basic256Sha256")]
    Basic256Sha256,
    #[value(name = "Aes128Sha256RsaOaep")]
    Aes128Sha256RsaOaep,
    #[value(name = "Aes256Sha256RsaPss")]
    Aes256Sha256RsaPss,
    #[value(name = "None")]
    None,
}

impl From<TableWord> for Table {
    fn from(word: TableWord) -> Self {
        match word {
            TableWord::Holding => Self::Holding,
            TableWord::Input => Self::Input,
            TableWord::Coil => Self::Coil,
            TableWord::Discrete => Self::Discrete,
        }
    }
}

impl LineArgs {
    /// `Err`: what is wrong with it.
    pub(in crate::cli) fn endpoint(&self) -> Result<Endpoint, String> {
        const HINT: &str =
            "写 10.0.0.5、10.0.0.5:502 或 /dev/ttyS1 / write 10.0.0.5, 10.0.0.5:502 or /dev/ttyS1";
        let text = self.address.trim();
        if text.starts_with('/') {
            if self.rtu {
                return Err(
                    "串口总是 RTU，不写 --rtu / a serial port always speaks RTU: leave --rtu out".to_owned()
                );
            }
            let parity = match self.parity {
                ParityWord::None => Parity::None,
                ParityWord::Even => Parity::Even,
                ParityWord::Odd => Parity::Odd,
            };
            let (path, baud, stop_bits) = (PathBuf::from(text), self.baud, self.stop_bits);
            return Ok(Endpoint::Serial(Port { path, baud, parity, stop_bits }));
        }
        let (host, port) = match text.rsplit_once(':') {
            // The last colon of a bare IPv6 address is no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("'{port}' 不是端口号 is no port; {HINT}"))?)
            }
            Some(_) | None => (text, 502),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', ' ']) {
            return Err(format!("'{text}' 不是主机或串口 is neither a host nor a serial port; {HINT}"));
        }
        let framing = if self.rtu { Framing::Rtu } else { Framing::Tcp };
        Ok(Endpoint::Tcp { main: Address { host: host.to_owned(), port }, second: None, framing })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the parser of an option has to be")]
fn expected(text: &str) -> Result<Expected, String> {
    Ok(Expected::parse(text))
}

fn range(text: &str) -> Result<Expected, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    match text.split_once("..").map(|(low, high)| (number(low), number(high))) {
        Some((Some(low), Some(high))) if low < high => Ok(Expected::Range { low, high }),
        Some(_) | None => Err("写 0..100 / write 0..100, the lower end first".to_owned()),
    }
}

fn waiting(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let allowed = Duration::from_millis(10)..=Duration::from_secs(60);
    if allowed.contains(&time) { Ok(time) } else { Err("10ms 到 60s / write 10ms to 60s".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(address: &str, rtu: bool) -> Result<String, String> {
        let parity = ParityWord::Even;
        let line = LineArgs { address: address.to_owned(), rtu, baud: 9600, parity, stop_bits: 1 };
        line.endpoint().map(|endpoint| format!("{} {endpoint}", endpoint.kind()))
    }

    #[test]
    fn an_address_is_a_host_a_host_with_a_port_or_a_serial_port() {
        assert_eq!(endpoint("10.0.0.5", false).as_deref(), Ok("modbus-tcp 10.0.0.5:502"));
        assert_eq!(endpoint("plc-1:1502", true).as_deref(), Ok("modbus-rtu-tcp plc-1:1502"));
        assert_eq!(endpoint("[::1]:1502", false).as_deref(), Ok("modbus-tcp ::1:1502"));
        assert_eq!(endpoint("::1", false).as_deref(), Ok("modbus-tcp ::1:502"));
        assert_eq!(endpoint("/dev/ttyS1", false).as_deref(), Ok("modbus-rtu /dev/ttyS1 9600 8E1"));
        for (wrong, rtu) in
            [("plc:port", false), ("", false), (":502", false), ("tcp://plc", false), ("/dev/ttyS1", true)]
        {
            assert!(endpoint(wrong, rtu).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_has_a_lower_end_first() {
        assert_eq!(range("-10..60.5"), Ok(Expected::Range { low: -10.0, high: 60.5 }));
        for wrong in ["100..0", "5", "..", "0..nan", "0-100"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
