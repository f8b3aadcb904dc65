//! The broker and the agent's configuration for the measurement.

use std::fmt::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::Context;

use crate::{Owned, REGISTERS, rules};

pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

pub(crate) fn start_mosquitto(folder: &Path, port: u16) -> anyhow::Result<Child> {
    let conf = folder.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nset_tcp_nodelay true\n"
    );
    std::fs::write(&conf, text)?;
    // Debian keeps it where a person's PATH does not lead.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let child = Owned::command("mosquitto").env("PATH", path).arg("-c").arg(&conf).spawn();
    let mut child = child.context("mosquitto cannot be started: apt-get install mosquitto")?;
    for _ in 0..500 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(child);
        }
        if let Some(status) = child.try_wait()? {
            anyhow::bail!("mosquitto ended with {status}: is it installed? (apt-get install mosquitto)");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("mosquitto does not listen on port {port}")
}

pub(crate) fn write_config(folder: &Path, broker: u16, devices: &[u16]) -> anyhow::Result<PathBuf> {
    let config = folder.join("config");
    std::fs::create_dir(&config)?;
    let (http, state, socket) = (free_port()?, folder.join("state"), folder.join("riskgate.sock"));
    let mut text = format!(
        "[gateway]\ncompany = \"540170007\"\nid = \"54017000701\"\nname = \"bench\"\n\
         [uplink]\nhost = \"127.0.0.1\"\nport = {broker}\n\
         [console]\nhttp = \"127.0.0.1:{http}\"\nsocket = \"{}\"\n[store]\ndir = \"{}\"\n\
         [[unit]]\nid = \"U-1\"\nname = \"U-1\"\nhazard_code = \"540170007001\"\nbase_class = \"blue\"\nliable_person = \"bench\"\n\
         [[measure]]\nid = \"M-1\"\nunit = \"U-1\"\nevent = \"bench\"\nname = \"bench\"\nclassify1 = \"1\"\nclassify2 = \"1-1\"\n",
        socket.display(),
        state.display()
    );
    for (device, port) in devices.iter().enumerate() {
        write!(
            text,
            "[[source]]\nid = \"dev-{device}\"\nname = \"dev-{device}\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\n\
             port = {port}\ndevice_id = 1\nperiod = \"1s\"\ntimeout = \"500ms\"\n"
        )?;
    }
    for rule in 0..rules() {
        write!(
            text,
            "[[rule]]\nid = \"rule-{rule}\"\nmeasure = \"M-1\"\nname = \"rule-{rule}\"\npriority = \"low\"\nwhen = \"{{D{rule}-0}} > 900\"\n"
        )?;
    }
    std::fs::write(config.join("bench.toml"), text)?;
    let mut table = "tag,source,address,type,class\n".to_owned();
    for device in 0..devices.len() {
        for register in 0..REGISTERS {
            writeln!(table, "D{device}-{register},dev-{device},holding:{register},u16,process")?;
        }
    }
    std::fs::write(config.join("points.csv"), table)?;
    Ok(config)
}
