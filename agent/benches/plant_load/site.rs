//! The agent's configuration for the measurement.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::support::free_port;
use crate::{REGISTERS, rules};

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
