//! `riskgate probe`, `scan` and `browse`: looks at a device or a server by hand, without a configuration.
//!
//! What an instrument engineer does when a value is wrong: is the device there, is it this register, this
//! type, this order. All of it reads, with the code that the drivers read with; nothing of it runs in the agent.

pub(super) mod args;
mod browse;
mod likely;
mod probe;
pub(super) mod progress;
mod scan;

use super::{Outcome, Screen};
use args::{BrowseArgs, BrowseWhat, ProbeArgs, ProbeWhat, ScanArgs, ScanWhat};

pub(super) fn probe(args: &ProbeArgs, screen: &mut Screen) -> Outcome {
    match &args.what {
        ProbeWhat::Modbus(args) => probe::modbus(args, screen),
    }
}

pub(super) fn scan(args: &ScanArgs, screen: &mut Screen) -> Outcome {
    match &args.what {
        ScanWhat::Modbus(args) => scan::modbus(args, screen),
    }
}

pub(super) fn browse(args: &BrowseArgs, screen: &mut Screen) -> Outcome {
    match &args.what {
        BrowseWhat::Opcua(args) => browse::opcua(args, screen),
    }
}

/// Does the work and ends with it. `Err`: why there is nothing to do it on.
fn on_one_thread<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("不能启动 riskgate cannot run: {error}"))?;
    Ok(runtime.block_on(work))
}
