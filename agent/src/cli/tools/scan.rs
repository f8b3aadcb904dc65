//! `riskgate scan modbus`: which device ids of a line answer, one question at a time.

use std::time::Duration;

use comfy_table::{Table, presets};
use riskgate_drivers::modbus::query::{Heard, Patience, ask};
use riskgate_drivers::modbus::{Framing, Line, Reply, Request};

use super::super::{Outcome, Screen};
use super::args::ScanModbus;
use super::on_one_thread;
use super::progress::Progress;

const CONNECT: Duration = Duration::from_secs(3);
/// A gateway that was just left by a silent device may need a moment before it takes us again.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// A device that answered.
struct Found {
    device_id: u8,
    said: String,
    round_trip: Option<Duration>,
}

/// How a scan ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Whole,
    Interrupted,
    /// There is no connection any more, and why.
    Cut(String),
}

pub(super) fn modbus(args: &ScanModbus, screen: &mut Screen) -> Outcome {
    let endpoint = match args.line.endpoint() {
        Ok(endpoint) => endpoint,
        Err(why) => {
            screen.problem(&why);
            return Outcome::Usage;
        }
    };
    let is_rtu = endpoint.framing() == Framing::Rtu;
    if args.from > args.to || (is_rtu && args.from == 0) {
        screen.problem("站号从小到大；串口上没有0号 write --from 1 --to 247; on a serial line 0 is for all and none answers");
        return Outcome::Usage;
    }
    let ids = usize::from(args.to - args.from) + 1;
    let each = args.timeout + args.pause;
    screen.problem(&format!(
        "{endpoint}: 站号 device ids {} 到 to {}，都不应答时约 if none answers about {}；Ctrl-C 停止 ends it",
        args.from,
        args.to,
        seconds(each * u32::try_from(ids).unwrap_or(u32::MAX)),
    ));
    let line = Line::new(endpoint);
    let mut found = Vec::new();
    let progress = Progress::of_process();
    let scanned = on_one_thread(async {
        tokio::select! {
            biased;
            _either_way = tokio::signal::ctrl_c() => End::Interrupted,
            end = scan(args, &line, &progress, &mut found) => end,
        }
    });
    progress.clear();
    let end = match scanned {
        Ok(end) => end,
        Err(why) => {
            screen.problem(&why);
            return Outcome::Refused;
        }
    };
    tell(&found, &end, screen)
}

async fn scan(args: &ScanModbus, line: &Line, progress: &Progress, found: &mut Vec<Found>) -> End {
    let ids = args.from..=args.to;
    let n_ids = usize::from(args.to - args.from) + 1;
    for (done, device_id) in ids.enumerate() {
        let left = (args.timeout + args.pause) * u32::try_from(n_ids - done).unwrap_or(u32::MAX);
        let words = format!("找到 found {}，最多还要 at most {} left", found.len(), seconds(left));
        progress.show(done, Some(n_ids), &words);
        match one(args, line, device_id).await {
            Ok(Some(answer)) => found.push(answer),
            Ok(None) => {}
            Err(why) => return End::Cut(why),
        }
    }
    End::Whole
}

fn patience(args: &ScanModbus) -> Patience {
    Patience { timeout: args.timeout, connect_timeout: CONNECT, pause: args.pause }
}

/// `Ok(None)`: nobody answers to this id.
async fn one(args: &ScanModbus, line: &Line, device_id: u8) -> Result<Option<Found>, String> {
    let request = Request { table: args.table.into(), address: args.register, count: 1 };
    let (mut heard, mut round_trip) = ask(line, device_id, request, patience(args)).await;
    if let Heard::Unreachable { .. } = heard {
        tokio::time::sleep(CONNECT_AGAIN).await;
        (heard, round_trip) = ask(line, device_id, request, patience(args)).await;
    }
    let said = match heard {
        Heard::Values(Reply::Registers(words)) => words.first().map(|word| format!("{word} (0x{word:04X})")),
        Heard::Values(Reply::Bits(bits)) => bits.first().map(|bit| u8::from(*bit).to_string()),
        Heard::Refused { code, .. } => Some(format!("异常码 exception {code}")),
        Heard::Silent { .. } => None,
        Heard::Unreachable { why } => return Err(why),
    };
    Ok(said.map(|said| Found { device_id, said, round_trip }))
}

fn tell(found: &[Found], end: &End, screen: &mut Screen) -> Outcome {
    if !found.is_empty() {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header([
            "站号 device id",
            "应答 said",
            "往返 round trip",
        ]);
        for Found { device_id, said, round_trip } in found {
            let took = round_trip.map(|took| format!("{:.1} ms", took.as_secs_f64() * 1000.0));
            table.add_row([device_id.to_string(), said.clone(), took.unwrap_or_default()]);
        }
        screen.say(&table.to_string());
    }
    screen.say(&format!("{} 个站号有应答 device ids answer", found.len()));
    match end {
        End::Whole if found.is_empty() => {
            screen.problem(
                "没有应答：查地址、波特率、校验、接线；慢的线路用 --timeout 1s；串口服务器可能要 --rtu nobody answers: check \
                 the address, baud, parity and wires; on a slow line --timeout 1s; a converter may need --rtu",
            );
            Outcome::Refused
        }
        End::Whole => Outcome::Done,
        End::Interrupted => {
            screen.problem("已中断，其余站号没有问到 interrupted: the other ids were not asked");
            Outcome::Refused
        }
        End::Cut(why) => {
            screen.problem(&format!("没有扫完 not all were asked: {why}"));
            Outcome::Refused
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs().max(1))
}
