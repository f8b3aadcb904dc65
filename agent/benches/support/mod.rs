//! What more than one of the benchmarks needs: children that end with the benchmark, the broker, the bare loop.

pub(crate) mod bare;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;

/// A child that ends with the benchmark.
pub(crate) struct Owned(pub(crate) Child);

impl Owned {
    /// `setpriv`, where there is one, sees to it that the child also ends with a benchmark that is killed.
    pub(crate) fn command(program: &str) -> Command {
        let mut command = if Path::new("/usr/bin/setpriv").exists() {
            let mut setpriv = Command::new("/usr/bin/setpriv");
            setpriv.args(["--pdeathsig", "KILL", "--", program]);
            setpriv
        } else {
            Command::new(program)
        };
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

pub(crate) fn start_mosquitto(folder: &Path, port: u16) -> anyhow::Result<Owned> {
    let conf = folder.join("mosquitto.conf");
    // A subscriber that falls behind for a moment is still told everything.
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\n\
         set_tcp_nodelay true\nmax_queued_messages 0\n"
    );
    std::fs::write(&conf, text)?;
    // Debian keeps it where a person's PATH does not lead.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let child = Owned::command("mosquitto").env("PATH", path).arg("-c").arg(&conf).spawn();
    let mut child = Owned(child.context("mosquitto cannot be started: apt-get install mosquitto")?);
    for _ in 0..500 {
        // It ends at once where another has the port, who would answer as well.
        std::thread::sleep(Duration::from_millis(10));
        if let Some(status) = child.0.try_wait()? {
            anyhow::bail!("mosquitto ended with {status}: is it installed? (apt-get install mosquitto)");
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(child);
        }
    }
    anyhow::bail!("mosquitto does not listen on port {port}")
}
