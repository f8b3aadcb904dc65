//! What every part stands on: a folder on the disk, the broker, the plant, the subscriber, and the agent, which
//! can be stopped, killed and started again.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::plant::{LIMIT, Plant, serve};
use crate::support::{Owned, free_port, start_mosquitto};
use crate::watch::Watcher;
use crate::{REGISTERS, now};

/// How long anything may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(2);

pub(crate) struct World {
    pub(crate) plant: Plant,
    pub(crate) watcher: Watcher,
    agent: Option<Owned>,
    broker: Option<Owned>,
    broker_port: u16,
    http: u16,
    config: PathBuf,
    folder: tempfile::TempDir,
}

/// What a start took.
pub(crate) struct Start {
    /// From the start of the process to the first request at a device.
    pub(crate) first_read: Duration,
    /// As the agent tells it: of it, the opening of the store.
    pub(crate) opened: Duration,
}

impl World {
    pub(crate) fn new() -> anyhow::Result<Self> {
        // Where the build lies: a folder for temporary files may be in memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        // The plant first: its listeners take ports that are free by then.
        let (plant, broker_port) = (serve()?, free_port()?);
        let broker = Some(start_mosquitto(folder.path(), broker_port)?);
        let http = free_port()?;
        let config = write_config(folder.path(), broker_port, http, &plant.agent.ports)?;
        let watcher = Watcher::start(broker_port);
        Ok(Self { plant, watcher, agent: None, broker, broker_port, http, config, folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The agent, from its start to its first read.
    pub(crate) fn start(&mut self) -> anyhow::Result<Start> {
        // What one that was killed had asked for is none of this one's.
        self.plant.agent.take_first_read();
        let path = self.folder.path().join("agent.log");
        let log = File::create(&path)?;
        let began = now();
        let agent = Owned::command(env!("CARGO_BIN_EXE_riskgate"))
            .args(["run", "--config"])
            .arg(&self.config)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.agent = Some(Owned(agent));
        let first = self
            .until("the first read", |world| world.plant.agent.take_first_read().filter(|at| *at > began))?;
        let opened = self.until("the store's opening in the log", |world| {
            let log = world.log();
            let at = log.split("store_opened_in\" millis=").nth(1)?;
            at.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
        })?;
        Ok(Start { first_read: first - began, opened: Duration::from_millis(opened) })
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("agent.log")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.agent.as_ref().context("the agent runs")?.0.id())
    }

    pub(crate) fn kill(&mut self) {
        // Dropped, it is killed and waited for.
        drop(self.agent.take());
    }

    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut agent) = self.agent.take() else { return Ok(()) };
        Command::new("kill").args(["-TERM", &agent.0.id().to_string()]).status()?;
        let status = agent.0.wait()?;
        anyhow::ensure!(status.success(), "the agent ended with {status}; its log:\n{}", self.log());
        Ok(())
    }

    pub(crate) fn kill_broker(&mut self) {
        drop(self.broker.take());
    }

    pub(crate) fn start_broker(&mut self) -> anyhow::Result<()> {
        self.broker = Some(start_mosquitto(self.folder.path(), self.broker_port)?);
        Ok(())
    }

    /// Read a device, publish one message: until it is dropped.
    pub(crate) fn bare_loop(&self) -> anyhow::Result<Owned> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").arg(self.broker_port.to_string());
        command.args(self.plant.bare.ports.iter().map(u16::to_string)).stdin(Stdio::piped());
        Ok(Owned(command.spawn()?))
    }

    /// Waits until there is an answer; one that never comes ends the measurement with the agent's log.
    pub(crate) fn until<T>(&self, what: &str, answer: impl Fn(&Self) -> Option<T>) -> anyhow::Result<T> {
        let began = now();
        loop {
            if let Some(answer) = answer(self) {
                return Ok(answer);
            }
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "waited for {what}; the agent's log:\n{}",
                self.log()
            );
            std::thread::sleep(LOOK);
        }
    }

    pub(crate) fn until_upstream(&self) -> anyhow::Result<()> {
        self.until("the uplink", |world| {
            std::thread::sleep(Duration::from_millis(100));
            (world.gauge("riskgate_uplink_up")? > 0.0).then_some(())
        })
    }

    fn metrics(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// One value of `/metrics`, by its whole name.
    pub(crate) fn gauge(&self, name: &str) -> Option<f64> {
        let page = self.metrics()?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    }

    /// The buckets of a histogram: up to how many seconds, how many.
    pub(crate) fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let page = self.metrics().unwrap_or_default();
        let prefix = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (limit, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
            Some((limit.parse().unwrap_or(f64::INFINITY), count.trim().parse().ok()?))
        };
        page.lines().filter_map(bucket).collect()
    }

    /// A line of `/proc/PID/status` in MiB: `VmRSS`, `VmHWM`.
    pub(crate) fn memory_mib(&self, line: &str) -> f64 {
        self.of_proc("status", line).map_or(f64::NAN, |kib| kib / 1024.0)
    }

    /// What the process gave to the disk, in bytes, as the kernel counts it.
    pub(crate) fn written_bytes(&self) -> f64 {
        self.of_proc("io", "write_bytes").unwrap_or(f64::NAN)
    }

    fn of_proc(&self, file: &str, line: &str) -> Option<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid().ok()?)).ok()?;
        let found = text.lines().find_map(|of| of.strip_prefix(line)?.strip_prefix(':'))?;
        found.split_whitespace().next()?.parse().ok()
    }
}

/// Waits in the plant's time.
pub(crate) fn pass(span: Duration) -> Instant {
    std::thread::sleep(span);
    now()
}

fn write_config(folder: &Path, broker: u16, http: u16, devices: &[u16]) -> anyhow::Result<PathBuf> {
    let config = folder.join("config");
    std::fs::create_dir(&config)?;
    let mut text = format!(
        "[gateway]\ncompany = \"540170007\"\nid = \"54017000701\"\nname = \"bench\"\n\
         [uplink]\nhost = \"127.0.0.1\"\nport = {broker}\n\
         [console]\nhttp = \"127.0.0.1:{http}\"\nsocket = \"{}\"\n[store]\ndir = \"{}\"\n\
         [[unit]]\nid = \"U-1\"\nname = \"罐区\"\nhazard_code = \"540170007001\"\nbase_class = \"blue\"\nliable_person = \"王强\"\n\
         [[measure]]\nid = \"M-1\"\nunit = \"U-1\"\nevent = \"储罐满溢\"\nname = \"液位监测\"\nclassify1 = \"1\"\nclassify2 = \"1-1\"\n",
        folder.join("riskgate.sock").display(),
        folder.join("state").display()
    );
    let mut table = "tag,source,address,type,class,HH,measure,confirm\n".to_owned();
    for (device, port) in devices.iter().enumerate() {
        write!(
            text,
            "[[source]]\nid = \"dev-{device}\"\nname = \"dev-{device}\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\n\
             port = {port}\ndevice_id = 1\nperiod = \"1s\"\ntimeout = \"500ms\"\n"
        )?;
        for register in 0..REGISTERS {
            writeln!(
                table,
                "D{device}-{register},dev-{device},holding:{register},u16,process,{LIMIT},M-1,auto"
            )?;
        }
    }
    std::fs::write(config.join("bench.toml"), text)?;
    std::fs::write(config.join("points.csv"), table)?;
    Ok(config)
}
