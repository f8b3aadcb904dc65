//! The real binary with a configuration and a store of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{LONG, free_port};

/// The configuration, the store, and the agent while it runs.
pub(crate) struct Gateway {
    dir: TempDir,
    child: Option<Child>,
}

impl Gateway {
    /// With these files; `uplink`: what stands in `[uplink]` beside the broker's place.
    pub(crate) fn new(upstream: u16, files: &[(&str, &str)], uplink: &str) -> Self {
        let gateway = Self { dir: TempDir::new().expect("a directory"), child: None };
        std::fs::create_dir(gateway.config()).expect("made");
        let (state, socket) = (gateway.dir.path().join("state"), gateway.dir.path().join("s.sock"));
        let local = format!(
            "[uplink]\nhost = \"127.0.0.1\"\nport = {upstream}\n{uplink}\
             [console]\nhttp = \"127.0.0.1:{}\"\nsocket = \"{}\"\n[store]\ndir = \"{}\"\n",
            free_port(),
            socket.display(),
            state.display()
        );
        for (name, text) in files.iter().chain([&("local.toml", local.as_str())]) {
            std::fs::write(gateway.config().join(name), text).expect("written");
        }
        gateway
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    pub(crate) fn start(&mut self) {
        let log = self.dir.path().join("log");
        let log = std::fs::File::options().create(true).append(true).open(log).expect("made");
        let child = Command::new(env!("CARGO_BIN_EXE_riskgate"))
            .args(["run", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it starts");
        self.child = Some(child);
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    /// Its own command line, to the agent that runs.
    pub(crate) fn tell(&self, args: &[&str]) -> String {
        let told = Command::new(env!("CARGO_BIN_EXE_riskgate"))
            .args(args)
            .arg("--socket")
            .arg(self.dir.path().join("s.sock"))
            .output()
            .expect("it runs");
        assert!(told.status.success(), "{told:?}");
        String::from_utf8(told.stdout).expect("a text")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).expect("read")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("state").join("state.db")
    }

    /// Waits for a committed count.
    pub(crate) async fn counts(&self, query: &str, expected: i64) {
        let counted = async {
            while self.count(query) < expected {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, counted).await.unwrap_or_else(|_| panic!("{} and not {expected}", self.count(query)));
        assert_eq!(self.count(query), expected);
    }

    pub(crate) fn count(&self, query: &str) -> i64 {
        let reader =
            Connection::open_with_flags(self.store(), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opened");
        reader.query_row(query, [], |row| row.get(0)).expect("read")
    }
}

impl Drop for Gateway {
    #[expect(clippy::print_stderr, reason = "of a test that failed, its log")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
