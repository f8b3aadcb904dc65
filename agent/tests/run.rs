//! `riskgate run` as a process: how it starts, what it refuses, and that it always ends in time.
//!
//! Nobody serves its sources and no broker answers: that is the gateway on its worst day. A disk that hangs
//! is a named pipe with nobody at the other end.

#[path = "../../tests/support/ports.rs"]
mod ports;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ports::free_port;
use tempfile::TempDir;

/// What a stop may take, whatever hangs.
const STOP: Duration = Duration::from_secs(5);
/// A machine under load is slow, not hung.
const LONG: Duration = Duration::from_secs(30);
/// A user who may write nowhere.
const NOBODY: u32 = 65_534;

/// A configuration folder with one Modbus device, one MQTT feed and a broker that nobody serves.
struct Site {
    dir: TempDir,
    http: u16,
    /// The broker upstream, the device and the plant's broker. Port 1 is privileged and nobody serves it.
    peers: u16,
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("read").uid() == 0
}

impl Site {
    fn new() -> Self {
        let site = Self { dir: TempDir::new().expect("a directory"), http: free_port(), peers: 1 };
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(site.dir.path(), open).expect("set");
        std::fs::create_dir(site.config()).expect("made");
        std::fs::write(site.secret(), "first\n").expect("written");
        site.write("测点不变");
        site
    }

    fn write(&self, name: &str) {
        let text = format!(
            r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[uplink]
host = "127.0.0.1"
port = {uplink}
[console]
http = "127.0.0.1:{http}"
[store]
dir = "{state}"
[[source]]
id = "dcs"
name = "{name}"
kind = "modbus-tcp"
host = "127.0.0.1"
port = {modbus}
device_id = 1
period = "200ms"
[[source]]
id = "feed"
name = "feed"
kind = "mqtt"
host = "127.0.0.1"
port = {feed}
user = "riskgate"
password_file = "{secret}"
stale_after = "1m"
fixes = [{{ topic = "rtls/fix", tag = "$.tagId", zone = "$.areaId" }}]
[[unit]]
id = "U-1"
name = "罐区"
hazard_code = "540170007001"
base_class = "yellow"
liable_person = "王强"
[[measure]]
id = "M-1"
unit = "U-1"
event = "满溢"
name = "液位高高报"
classify1 = "1"
classify2 = "1-1"
"#,
            uplink = self.peers,
            modbus = self.peers,
            feed = self.peers,
            http = self.http,
            state = self.state().display(),
            secret = self.secret().display(),
        );
        std::fs::write(self.config().join("riskgate.toml"), text).expect("written");
        let points = "tag,source,address,type,HH,measure\nLT-1,dcs,holding:0,f32,90,M-1\n";
        std::fs::write(self.config().join("points.csv"), points).expect("written");
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn secret(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    fn command(&self) -> Command {
        self.command_at(Path::new(env!("CARGO_BIN_EXE_riskgate")))
    }

    /// Where root runs the tests: as another user, because nothing is read-only for root. He may read what he runs and
    /// its configuration, wherever the repository lies and whatever a new file may be read by.
    fn command_of_nobody(&self) -> Command {
        if !is_root() {
            return self.command();
        }
        let program = self.dir.path().join("riskgate");
        // Not by this process: a test beside this one that forks while we write would keep the copy from being run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_riskgate")).arg(&program).status();
        assert!(copied.expect("cp runs").success());
        let files = std::fs::read_dir(self.config()).expect("read").map(|file| file.expect("read").path());
        for path in files.chain([program.clone(), self.config(), self.secret()]) {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("set");
        }
        let mut command = self.command_at(&program);
        command.uid(NOBODY).gid(NOBODY);
        command
    }

    fn command_at(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["run", "--config"]).arg(self.config());
        for name in
            ["RISKGATE_LOG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "JOURNAL_STREAM", "WATCHDOG_USEC"]
        {
            command.env_remove(name);
        }
        command
    }

    /// Runs an agent that is expected to end by itself.
    fn refused(&self) -> Output {
        let output = self.command().stdin(Stdio::null()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).expect("the console listens");
        stream.set_read_timeout(Some(LONG)).expect("set");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let status = answer.split(' ').nth(1).expect("a status").parse().expect("a number");
        let body = answer.split_once("\r\n\r\n").expect("a body").1.to_owned();
        (status, body)
    }
}

/// A running agent, its log and what it tells the service manager.
struct Agent {
    pid: u32,
    ended: Receiver<ExitStatus>,
    log: Receiver<String>,
    told: UnixDatagram,
    runs: bool,
}

impl Agent {
    fn start(site: &Site) -> Self {
        Self::start_as(site, site.command())
    }

    fn start_as(site: &Site, mut command: Command) -> Self {
        let notify = site.dir.path().join("notify");
        drop(std::fs::remove_file(&notify));
        let told = UnixDatagram::bind(&notify).expect("bound");
        told.set_read_timeout(Some(LONG)).expect("set");
        let mut child = command
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = lines_of(&mut child);
        let pid = child.id();
        let (sender, ended) = channel();
        std::thread::spawn(move || {
            let status = child.wait().expect("waited for");
            sender.send(status).ok()
        });
        Self { pid, ended, log, told, runs: true }
    }

    fn ready(site: &Site) -> Self {
        let agent = Self::start(site);
        assert_eq!(agent.tells(), "READY=1");
        agent
    }

    fn tells(&self) -> String {
        let mut bytes = [0; 256];
        let count = self.told.recv(&mut bytes).expect("the agent tells the service manager");
        String::from_utf8_lossy(bytes.get(..count).expect("read")).trim().to_owned()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.pid.to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// The next line of the log that holds `text`.
    fn line(&self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(LONG).unwrap_or_else(|_| panic!("no line with '{text}'"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Its exit code, and the rest of its log.
    fn ends(mut self) -> (Option<i32>, String) {
        let Ok(status) = self.ended.recv_timeout(STOP) else {
            let log: Vec<String> = self.log.try_iter().collect();
            panic!("it has not ended within {STOP:?}:\n{}", log.join("\n"));
        };
        self.runs = false;
        (status.code(), self.log.iter().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Of a test that failed; one that has ended is left alone.
        if self.runs {
            self.signal("-KILL");
        }
    }
}

fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let stderr = BufReader::new(child.stderr.take().expect("piped"));
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            drop(sender.send(line));
        }
    });
    lines
}

/// A file that hangs whoever opens it.
fn pipe(path: &Path) {
    drop(std::fs::remove_file(path));
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success());
}

#[test]
fn with_nobody_at_any_port_it_is_ready_and_healthy_and_ends_in_time() {
    let site = Site::new();
    let agent = Agent::ready(&site);
    agent.line("source down");
    let (status, body) = site.get("/healthz");
    assert_eq!(status, 200, "{body}");
    let (status, body) = site.get("/readyz");
    assert_eq!(status, 200, "{body}");
    agent.signal("-TERM");
    assert_eq!(agent.tells(), "STOPPING=1");
    let (code, log) = agent.ends();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("what was decided is committed"), "{log}");
}

#[test]
fn the_watchdog_is_fed_once_the_loops_turn() {
    let site = Site::new();
    let mut command = site.command();
    command.env("WATCHDOG_USEC", "3000000");
    let agent = Agent::start_as(&site, command);
    assert_eq!(agent.tells(), "READY=1");
    assert_eq!(agent.tells(), "WATCHDOG=1");
    agent.signal("-TERM");
    assert_eq!(agent.ends().0, Some(0));
}

#[test]
fn peers_that_take_connections_and_never_answer_hold_up_no_stop() {
    // The kernel takes the connections; nobody reads from them.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut site = Site::new();
    site.peers = mute.local_addr().expect("an address").port();
    site.write("没有回答");
    let agent = Agent::ready(&site);
    let connect = |_| mute.accept().expect("uplink, device and feed connect");
    let _held: Vec<_> = (0..3).map(connect).collect();
    agent.signal("-TERM");
    let (code, log) = agent.ends();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn once_waits_a_bounded_time_says_each_reason_once_and_fails_where_a_point_is_not_good() {
    let site = Site::new();
    let output = site.command().arg("--once").stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("LT-1") && said.contains("bad comm_failure"), "{said}");
    let reasons: Vec<&str> = said.lines().filter(|line| line.starts_with("dcs: ")).collect();
    assert!(matches!(reasons[..], [one] if one.contains("127.0.0.1:1")), "{said}");
    assert!(!site.state().exists(), "it stores nothing");
}

#[test]
fn a_second_agent_on_the_same_state_directory_is_refused() {
    let mut site = Site::new();
    let agent = Agent::ready(&site);
    site.http = free_port();
    site.write("另一个");
    let said = String::from_utf8_lossy(&site.refused().stderr).into_owned();
    assert!(said.contains("state.lock is held by another riskgate"), "{said}");
    agent.signal("-TERM");
    assert_eq!(agent.ends().0, Some(0));
}

#[test]
fn a_store_of_a_gateway_that_had_another_id_is_taken_over_and_that_is_told_and_journalled() {
    let site = Site::new();
    let agent = Agent::ready(&site);
    agent.signal("-TERM");
    assert!(!agent.ends().1.contains("another gateway"), "it is the first");
    let config = site.config().join("riskgate.toml");
    let text = std::fs::read_to_string(&config).expect("read");
    std::fs::write(&config, text.replace("54017000701", "54017000702")).expect("written");
    let agent = Agent::start(&site);
    let told = agent.line("the store was another gateway's");
    assert!(told.contains("54017000701") && told.contains("ERROR"), "{told}");
    assert_eq!(agent.tells(), "READY=1");
    let store = rusqlite::Connection::open(site.state().join("state.db")).expect("opened");
    let before = "SELECT group_concat(coalesce(json_extract(line, '$.body.company_before') || ' ' ||
                  json_extract(line, '$.body.gateway_before'), 'none')) FROM journal
                  WHERE json_extract(line, '$.what') = 'start'";
    let before: String = store.query_row(before, [], |row| row.get(0)).expect("read");
    assert_eq!(before, "none,540170007 54017000701");
    agent.signal("-TERM");
    assert_eq!(agent.ends().0, Some(0));
}

#[test]
fn a_store_that_may_only_be_read_is_refused_with_its_path_and_stays_as_it_is() {
    let site = Site::new();
    let agent = Agent::ready(&site);
    agent.signal("-TERM");
    assert_eq!(agent.ends().0, Some(0));
    let path = site.state().join("state.db");
    let before = std::fs::read(&path).expect("read");
    let mut command = site.command_of_nobody();
    // The directory is his, and he may only read the file.
    if is_root() {
        for name in [site.state(), site.state().join("state.lock")] {
            std::os::unix::fs::chown(name, Some(NOBODY), Some(NOBODY)).expect("given");
        }
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).expect("set");
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&path.display().to_string()) && said.contains("readonly database"), "{said}");
    assert_eq!(std::fs::read(&path).expect("read"), before, "neither written nor kept aside");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_refused_with_its_path_and_what_was_tried() {
    let site = Site::new();
    std::fs::create_dir(site.state()).expect("made");
    std::fs::set_permissions(site.state(), std::fs::Permissions::from_mode(0o555)).expect("set");
    let mut command = site.command_of_nobody();
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected =
        format!("riskgate cannot run: cannot write {}/state.lock: Permission denied", site.state().display());
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_port_that_is_taken_is_named_with_its_setting() {
    let site = Site::new();
    let _taken = TcpListener::bind(("127.0.0.1", site.http)).expect("free");
    let said = String::from_utf8_lossy(&site.refused().stderr).into_owned();
    assert!(
        said.contains(&format!("bind [console] http = \"127.0.0.1:{}\": Address already in use", site.http)),
        "{said}"
    );
}

#[test]
fn a_disk_that_hangs_at_the_start_does_not_hold_up_a_stop() {
    let site = Site::new();
    std::fs::create_dir(site.state()).expect("made");
    pipe(&site.state().join("state.lock"));
    let agent = Agent::start(&site);
    agent.line("opening the store");
    agent.signal("-TERM");
    assert_eq!(agent.ends().0, Some(0));
}

#[test]
fn a_reload_that_hangs_holds_up_neither_the_agent_nor_its_stop() {
    let site = Site::new();
    let agent = Agent::ready(&site);
    pipe(&site.secret());
    agent.signal("-HUP");
    agent.line("reading the configuration anew");
    assert_eq!(site.get("/healthz").0, 200);
    agent.signal("-TERM");
    let (code, log) = agent.ends();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_hangup_reads_the_configuration_anew_and_says_what_came_of_it() {
    let site = Site::new();
    let agent = Agent::ready(&site);
    agent.signal("-HUP");
    agent.line("the configuration has not changed");
    site.write("改名");
    agent.signal("-HUP");
    agent.line("configuration swapped");
    std::fs::write(site.secret(), "second\n").expect("written");
    agent.signal("-HUP");
    agent.line("configuration swapped");
    std::fs::write(site.config().join("points.csv"), "tag,source\nLT-1,nowhere\n").expect("written");
    agent.signal("-HUP");
    let refused = agent.line("configuration refused");
    assert!(refused.contains("points.csv:1:1"), "{refused}");
    agent.signal("-TERM");
    let (code, log) = agent.ends();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("second"), "no password is ever logged");
}

#[test]
fn a_store_that_cannot_commit_turns_health_red_is_told_once_and_the_stop_says_so() {
    let site = Site::new();
    let agent = Agent::ready(&site);
    agent.line("source down");
    // What was decided so far is on disk once the board says so; then another program takes the file.
    let other = rusqlite::Connection::open(site.state().join("state.db")).expect("opened");
    other.busy_timeout(LONG).expect("set");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    site.write("改名");
    agent.signal("-HUP");
    agent.line("commit failed");
    // The pump tells the board in the turn after the log.
    let mut seen = site.get("/healthz");
    for _ in 0..10_000 {
        if seen.0 == 503 {
            break;
        }
        std::thread::yield_now();
        seen = site.get("/healthz");
    }
    assert_eq!(seen.0, 503, "{}", seen.1);
    assert!(seen.1.contains("database is locked"), "{}", seen.1);
    agent.signal("-TERM");
    let (code, log) = agent.ends();
    assert_eq!(code, Some(1), "what was decided is not on disk:\n{log}");
    // Because the file is locked, or where the machine is slow because it did not answer in time.
    assert!(log.contains("something that was decided is not on disk"), "{log}");
    assert_eq!(log.matches("commit failed").count(), 0, "told once:\n{log}");
}
