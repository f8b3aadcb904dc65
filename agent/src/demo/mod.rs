//! `riskgate demo`: the whole way of a reading on one machine, with nothing installed but this binary.
//!
//! In one process and on free loopback ports: two MQTT brokers, a simulated plant that speaks real Modbus
//! TCP, OPC UA and MQTT, and the agent itself, which is started as on a gateway, from a copy of
//! `config/demo`. The plant plays a minute (`scenario`), a reader that is no part of the agent prints what
//! upstream sees, and at the end a table holds the scenario against what arrived.
//!
//! It shows nothing that does not pass a socket: this room knows the agent as a future that takes a folder
//! and a token. It leaves nothing behind but what it printed.

mod broker;
mod folder;
mod modbus;
mod mqtt;
mod opcua;
mod plant;
mod reader;
mod report;
mod scenario;
mod screen;
mod speed;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use riskgate_drivers::Clock;
use riskgate_point::Now;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use folder::Ports;
use plant::Plant;
use reader::{Received, Upstream};
use report::{Play, Verdict};
use scenario::DEMO;
use screen::{Screen, Tone};

/// What `riskgate demo` is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Play so much of the scenario's minute, and expect only what is due within it. `None`: all of it.
    pub play_for: Option<Duration>,
    /// How many times faster than in a plant, 1 to [`SPEED_MAX`]; 0 counts as 1.
    pub speed: u32,
    /// Run on after the table until Ctrl-C, so that others can connect.
    pub keep: bool,
}

/// Faster than this, the polls would be nearer to each other than the plant's own cycles.
pub const SPEED_MAX: u32 = 20;

/// From the start of the agent until all sources are read.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// After the last thing that was expected: whatever else comes now is unexpected.
const SETTLE: Duration = Duration::from_secs(1);
/// How long the agent may take to end after Ctrl-C or at the end.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How often the demo looks whether it is time for something.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What keeps a demo from being played.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("speed {speed} is not within 1 to {SPEED_MAX}")]
    Speed { speed: u32 },
    #[error("no temporary folder for the demo")]
    Home { source: std::io::Error },
    #[error("the demo's {what} finds no free port on 127.0.0.1")]
    Port { what: &'static str, source: std::io::Error },
    #[error(transparent)]
    Broker(#[from] broker::BrokerError),
    #[error(transparent)]
    Folder(#[from] folder::FolderError),
    #[error(transparent)]
    Opcua(#[from] opcua::OpcuaError),
    #[error("Ctrl-C cannot be listened for")]
    Signal { source: std::io::Error },
    #[error("a server of the simulated plant ended: {why}")]
    PlantEnded { why: String },
    #[error("the agent ended in the middle of the demo")]
    AgentEnded { source: Option<anyhow::Error> },
    #[error("the agent is not ready after {} s: {what}", READY_WITHIN.as_secs())]
    NotReady { what: String },
    #[error("the agent had not ended {} s after it was told to", STOP_WITHIN.as_secs())]
    Stuck,
}

/// Plays the demo. `start_agent` is given the configuration folder and the token that stops the agent; it
/// is the agent as it runs on a gateway. `clock` is [`crate::clock::now`].
///
/// Exit code 0 where everything that was due has arrived upstream and nothing else has; 1 otherwise, and
/// where it was ended before the table.
pub fn main<F>(options: Options, clock: Clock, start_agent: F) -> ExitCode
where
    F: FnOnce(PathBuf, CancellationToken) -> BoxFuture<'static, anyhow::Result<()>>,
{
    let screen = Screen::stdout();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            screen.line(Tone::Danger, &format!("演示无法启动 · the demo cannot start: no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(play(options, clock, screen, start_agent));
    // The servers' connection tasks are the libraries' own: they end with the runtime.
    runtime.shutdown_timeout(Duration::from_millis(500));
    match outcome {
        Ok(Some(true)) => ExitCode::SUCCESS,
        Ok(Some(false)) => ExitCode::FAILURE,
        Ok(None) => {
            screen.line(
                Tone::Attention,
                "演示提前结束，没有结论 · the demo was ended before its table: no verdict",
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            let chain = anyhow::Error::new(error);
            screen.line(Tone::Danger, &format!("演示中断 · the demo broke off: {chain:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether all was well; `None` where it was ended before the table.
async fn play<F>(
    options: Options,
    clock: Clock,
    screen: Screen,
    start_agent: F,
) -> Result<Option<bool>, DemoError>
where
    F: FnOnce(PathBuf, CancellationToken) -> BoxFuture<'static, anyhow::Result<()>>,
{
    let speed = options.speed.max(1);
    if speed > SPEED_MAX {
        return Err(DemoError::Speed { speed });
    }
    // Listened for from here on, so that nothing is left behind whenever it comes.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|source| DemoError::Signal { source })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|source| DemoError::Signal { source })?;
    let home = tempfile::Builder::new()
        .prefix("riskgate-demo-")
        .tempdir()
        .map_err(|source| DemoError::Home { source })?;
    let stop = CancellationToken::new();
    let plant = Plant::new(&DEMO, speed, clock);
    let mut sims = JoinSet::new();
    let ports = start_plant(&mut sims, &plant, home.path(), &stop).await?;
    let config = folder::write(home.path(), ports, speed)?;
    let (received_in, received) = watch::channel(Received::default());
    let (began_in, began) = watch::channel(None);
    let upstream =
        Upstream { port: ports.upstream, root: ROOT.to_owned(), clock, screen, began, received: received_in };
    sims.spawn(async move {
        reader::run(upstream).await;
        Ok(())
    });
    header(screen, ports, options.play_for, speed);
    let mut agent = JoinSet::new();
    agent.spawn(start_agent(config, stop.clone()));
    let mut show = Show { plant, received, began: began_in, screen, speed, sims, agent, all_well: None };
    let outcome = tokio::select! {
        biased;
        // The agent hears a Ctrl-C too, and may be gone at once: that is no fault then.
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        outcome = show.run(options, ports, home.path()) => outcome,
    };
    let ended = end(show.agent, &stop).await;
    show.sims.shutdown().await;
    // Whatever cannot be removed lies in the system's temporary folder, and it will be told where.
    let left = home.path().to_path_buf();
    if let Err(error) = home.close() {
        screen.line(Tone::Attention, &format!("临时目录未能删除 · {} is left: {error}", left.display()));
    }
    outcome.and(ended)?;
    Ok(show.all_well)
}

/// `{root}/{company}/{gateway}` of `config/demo`.
const ROOT: &str = "riskgate/v1/540170007/54017000701";

/// Brokers and servers, and the values behind them.
async fn start_plant(
    sims: &mut JoinSet<Result<(), String>>,
    plant: &Arc<Plant>,
    home: &Path,
    stop: &CancellationToken,
) -> Result<Ports, DemoError> {
    let upstream = broker::start("upstream").await?;
    let plant_mqtt = broker::start("plant").await?;
    let (dcs_listener, dcs) = listen("Modbus server of the DCS").await?;
    let (gas_listener, gas) = listen("Modbus server of the gas controller").await?;
    let (opcua_listener, opcua) = listen("OPC UA server").await?;
    let http = broker::free_port().map_err(|source| DemoError::Port { what: "console", source })?;
    let server = opcua::Server::build(Arc::clone(plant), opcua, &home.join("opcua-keys"), stop.clone())?;
    for (device, listener) in [(&modbus::DCS, dcs_listener), (&modbus::GAS, gas_listener)] {
        let serve = modbus::serve(device, Arc::clone(plant), listener);
        sims.spawn(async move {
            serve.await.map_err(|error| format!("Modbus server of {}: {error}", device.source))
        });
    }
    sims.spawn(async move { server.run(opcua_listener).await.map_err(|error| error.to_string()) });
    let values = Arc::clone(plant).run();
    let people = mqtt::run(Arc::clone(plant), plant_mqtt);
    sims.spawn(async move {
        tokio::join!(values, people);
        Ok(())
    });
    Ok(Ports { dcs, gas, opcua, plant_mqtt, upstream, http })
}

async fn listen(what: &'static str) -> Result<(TcpListener, u16), DemoError> {
    let failed = |source| DemoError::Port { what, source };
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}

/// The demo while it plays.
struct Show {
    plant: Arc<Plant>,
    received: watch::Receiver<Received>,
    began: watch::Sender<Option<Now>>,
    screen: Screen,
    speed: u32,
    sims: JoinSet<Result<(), String>>,
    agent: JoinSet<anyhow::Result<()>>,
    /// The verdict, once there is one.
    all_well: Option<bool>,
}

impl Show {
    async fn run(&mut self, options: Options, ports: Ports, home: &Path) -> Result<(), DemoError> {
        self.until_ready().await?;
        let began = self.plant.begin();
        self.began.send_replace(Some(began));
        let play = Play { began, speed: self.speed, until: self.length(options.play_for) };
        self.tell_steps(play).await?;
        self.until_arrived(play).await?;
        let report = {
            let received = self.received.borrow();
            report::judge(&DEMO, play, |change| self.plant.changed(change), &received)
        };
        self.tell_report(&report);
        self.all_well = Some(report.all_well());
        if options.keep {
            tell_ports(self.screen, ports, home);
            loop {
                self.look().await?;
            }
        }
        Ok(())
    }

    /// In real time. All of it is until everything expected is due, which at a high speed is later than
    /// the scenario's last second: the engine's own patience is not divided.
    fn length(&self, play_for: Option<Duration>) -> Duration {
        match play_for {
            Some(part) => (part / self.speed).min(self.full_length()),
            None => self.full_length(),
        }
    }

    fn full_length(&self) -> Duration {
        let dues = DEMO.expected().filter_map(|expected| DEMO.due(expected, self.speed));
        dues.fold(DEMO.length(self.speed), Duration::max)
    }

    /// A moment; fails where the agent or a server has ended meanwhile.
    async fn look(&mut self) -> Result<(), DemoError> {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => Ok(()),
            Some(ended) = self.agent.join_next() => Err(DemoError::AgentEnded { source: reason(ended) }),
            Some(ended) = self.sims.join_next() => Err(DemoError::PlantEnded {
                why: match ended {
                    Ok(Ok(())) => "it was told to stop".to_owned(),
                    Ok(Err(why)) => why,
                    Err(panic) => panic.to_string(),
                },
            }),
        }
    }

    /// Until the agent is online upstream and has read each source that can tell.
    async fn until_ready(&mut self) -> Result<(), DemoError> {
        let sources = [modbus::DCS.source, modbus::GAS.source, opcua::SOURCE];
        let mut waited = Duration::ZERO;
        loop {
            let online = self.received.borrow().online;
            let unread = self.plant.unread(&sources);
            if online && unread.is_empty() {
                return Ok(());
            }
            if waited >= READY_WITHIN {
                let what = if online {
                    format!("it has not read {}", unread.join(", "))
                } else {
                    "it is not online at the upstream broker".to_owned()
                };
                return Err(DemoError::NotReady { what });
            }
            self.look().await?;
            waited += LOOK_EVERY;
        }
    }

    async fn tell_steps(&mut self, play: Play) -> Result<(), DemoError> {
        for step in DEMO.steps {
            let at = Duration::from_secs_f64(step.at / f64::from(self.speed));
            if at >= play.until {
                break;
            }
            self.wait_until(play, at).await?;
            self.screen.timed(
                Some(at),
                Tone::Step,
                &format!("场景：{}", step.zh),
                &format!("scenario: {}", step.en),
            );
        }
        self.wait_until(play, play.until).await
    }

    async fn wait_until(&mut self, play: Play, at: Duration) -> Result<(), DemoError> {
        while self.plant.now().mono.since(play.began.mono) < at {
            self.look().await?;
        }
        Ok(())
    }

    /// Until all that is due has come, or the patience with it is over; then a moment for what else comes.
    async fn until_arrived(&mut self, play: Play) -> Result<(), DemoError> {
        let patience = play.until + scenario::PATIENCE;
        while report::is_waiting(&DEMO, play, &self.received.borrow())
            && self.plant.now().mono.since(play.began.mono) < patience
        {
            self.look().await?;
        }
        let settled = self.plant.now().mono.since(play.began.mono) + SETTLE;
        self.wait_until(play, settled).await
    }

    fn tell_report(&self, report: &report::Report) {
        let screen = self.screen;
        screen.blank();
        screen.line(Tone::Step, "场景与实到对照 · what the scenario held against what arrived");
        screen.line(Tone::Plain, &report.table());
        for fault in &report.faults {
            screen.line(Tone::Danger, &format!("消息缺陷 · a fault in what was sent: {fault}"));
        }
        let count = |verdict| report.count(verdict);
        let (arrived, missing) = (count(Verdict::Arrived), count(Verdict::Missing));
        let (unexpected, later) = (count(Verdict::Unexpected), count(Verdict::NotDue));
        let faults = report.faults.len();
        let tone = if report.all_well() { Tone::Good } else { Tone::Danger };
        screen.line(
            tone,
            &format!(
                "到达{arrived}项，未到{missing}项，意外{unexpected}项，未到期{later}项，消息缺陷{faults}处"
            ),
        );
        screen.line(
            tone,
            &format!(
                "{arrived} arrived, {missing} missing, {unexpected} unexpected, {later} not yet due, \
                 {faults} faults in messages"
            ),
        );
    }
}

fn reason(ended: Result<anyhow::Result<()>, JoinError>) -> Option<anyhow::Error> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(panic) => Some(anyhow::Error::new(panic)),
    }
}

/// Tells the agent to stop and waits for it.
async fn end(mut agent: JoinSet<anyhow::Result<()>>, stop: &CancellationToken) -> Result<(), DemoError> {
    stop.cancel();
    match tokio::time::timeout(STOP_WITHIN, agent.join_next()).await {
        // Gone before, or gone now: how it went before is told by whoever saw it.
        Ok(None | Some(Ok(Ok(())))) => Ok(()),
        Ok(Some(ended)) => Err(DemoError::AgentEnded { source: reason(ended) }),
        Err(_) => Err(DemoError::Stuck),
    }
}

fn header(screen: Screen, ports: Ports, play_for: Option<Duration>, speed: u32) {
    let length = play_for.unwrap_or_else(|| DEMO.length(1)).min(DEMO.length(1)) / speed;
    screen.line(Tone::Step, "riskgate 演示：模拟装置 + 网关程序 + 上级平台，都在本机一个进程内");
    screen.line(
        Tone::Quiet,
        "riskgate demo: a simulated plant, the agent and an upstream, in one process on this machine",
    );
    let servers = [
        ("罐区DCS Modbus TCP", "tank farm, Modbus TCP", ports.dcs),
        ("气体报警控制器 Modbus TCP", "gas controller, Modbus TCP", ports.gas),
        ("反应区SIS OPC UA", "reaction area, OPC UA", ports.opcua),
        ("人员定位、视频、气象 MQTT", "people, cameras, wind, MQTT", ports.plant_mqtt),
        ("上级平台 MQTT", "upstream, MQTT", ports.upstream),
    ];
    for (zh, en, port) in servers {
        screen.line(Tone::Plain, &format!("  127.0.0.1:{port:<6} {zh} · {en}"));
    }
    screen.line(Tone::Plain, &format!("  http://127.0.0.1:{}/ 控制室页面 · control room page", ports.http));
    screen.line(
        Tone::Plain,
        &format!(
            "  场景约{:.0}秒，{speed}倍速 · the scenario takes about {:.0} s, at {speed} times the speed",
            length.as_secs_f64(),
            length.as_secs_f64()
        ),
    );
    screen.blank();
}

fn tell_ports(screen: Screen, ports: Ports, home: &Path) {
    // As this program was called: it need not be on the path.
    let riskgate = std::env::args().next().unwrap_or_else(|| "riskgate".to_owned());
    let socket = folder::socket(home);
    let lines = [
        "继续运行，按 Ctrl-C 结束。可以这样连接：".to_owned(),
        "It runs on until Ctrl-C. This is how to connect:".to_owned(),
        format!("  http://127.0.0.1:{}/", ports.http),
        format!("  {riskgate} show --socket {}", socket.display()),
        format!("  {riskgate} ack sis-trip --by 姓名 --socket {}", socket.display()),
        format!("  mosquitto_sub -h 127.0.0.1 -p {} -t '{ROOT}/#' -v", ports.upstream),
        format!("  mosquitto_sub -h 127.0.0.1 -p {} -t '#' -v", ports.plant_mqtt),
        format!("  modbus-tcp://127.0.0.1:{}/  (罐区DCS, device 1, holding 0 to 6)", ports.dcs),
        format!("  modbus-tcp://127.0.0.1:{}/  (气体, gas, device 1, holding 0 to 3)", ports.gas),
        format!("  opc.tcp://127.0.0.1:{}/  (None, anonymous, {})", ports.opcua, opcua::NAMESPACE),
    ];
    screen.blank();
    for line in lines {
        screen.line(Tone::Plain, &line);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use riskgate_point::{Mono, Now, Wall};
    use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
    use serde_json::json;

    use super::*;

    const QUIET: Screen = Screen::silent();

    /// Where an agent was started.
    static HOME: Mutex<Option<PathBuf>> = Mutex::new(None);

    #[tokio::test]
    async fn an_agent_that_fails_ends_the_demo_with_its_reason_and_leaves_no_folder() {
        let fails = |config: PathBuf, _| -> BoxFuture<'static, anyhow::Result<()>> {
            assert!(config.join("points.csv").exists());
            *HOME.lock().expect("no panic") = Some(config);
            Box::pin(async { Err(anyhow::anyhow!("the store is on fire")) })
        };
        let options = Options { speed: 5, ..Options::default() };
        let ended = play(options, clock_at_rest, QUIET, fails).await.expect_err("it broke off");
        assert!(format!("{:#}", anyhow::Error::new(ended)).contains("the store is on fire"));
        let config = HOME.lock().expect("no panic").take().expect("it was started");
        assert!(!config.parent().expect("a home").exists());
    }

    #[tokio::test]
    async fn a_speed_that_no_poll_can_follow_is_refused() {
        let agent = |_, _| -> BoxFuture<'static, anyhow::Result<()>> { Box::pin(async { Ok(()) }) };
        let options = Options { speed: SPEED_MAX + 1, ..Options::default() };
        let ended = play(options, clock_at_rest, QUIET, agent).await.expect_err("it is refused");
        assert_eq!(ended.to_string(), "speed 21 is not within 1 to 20");
    }

    #[tokio::test]
    async fn the_reader_hears_over_a_real_broker_what_an_agent_publishes() {
        let port = broker::start("reader-test").await.expect("a broker");
        let (received_in, mut received) = watch::channel(Received::default());
        let (_began_in, began) = watch::channel(None);
        let clock = || Now { mono: Mono(7), wall: Wall(0) };
        let reads = reader::run(Upstream {
            port,
            root: ROOT.to_owned(),
            clock,
            screen: QUIET,
            began,
            received: received_in,
        });
        let mut sims = JoinSet::new();
        sims.spawn(reads);
        let (client, mut events) =
            AsyncClient::builder(MqttOptions::new("agent", ("127.0.0.1", port))).capacity(10).build();
        sims.spawn(async move { while events.poll().await.is_ok() {} });
        let say = async |below: &str, payload: Vec<u8>, options: PublishOptions| {
            client.publish(format!("{ROOT}/{below}"), payload, options).await.expect("it is queued");
        };
        // Retained, so that it is heard whether the reader or this was first.
        let retained = || PublishOptions::at_least_once().retained();
        say("state", json!({ "status": "online" }).to_string().into_bytes(), retained()).await;
        received.wait_for(|received| received.online).await.expect("the reader lives");
        let alarm = json!({ "id": "sis-trip", "revision": 1, "state": "unacknowledged" });
        let message = reader::tests::envelope("critical", 1, "alarm", &alarm);
        say("alarm/U-RX", message, PublishOptions::at_least_once()).await;
        let heard = received.wait_for(|received| received.messages == 1).await.expect("the reader lives");
        assert_eq!(heard.items.get(&scenario::Item::Alarm("sis-trip".to_owned())), Some(&clock()));
        assert_eq!(heard.faults, [""; 0]);
    }

    /// The plant rests at second 0.
    pub(super) fn clock_at_rest() -> Now {
        Now::default()
    }

    /// The rows of the demo's point table, by column.
    pub(super) fn rows() -> Vec<HashMap<String, String>> {
        let mut reader =
            csv::Reader::from_reader(super::folder::POINTS.trim_start_matches('\u{feff}').as_bytes());
        reader.deserialize().map(|row| row.expect("a good row")).collect()
    }
}
