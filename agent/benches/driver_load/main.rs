//! What reading costs: each driver beside a bare loop of its library, against the same servers.
//!
//! `cargo bench -p riskgate --no-default-features --bench driver_load -- [PART...]`, with the parts
//!
//! - `modbus`: 1, 10, 100 and 1,000 devices of 100 registers each second;
//! - `holes`: 100 devices, then 10 of them accepting connections and never answering: how the period of
//!   the other 90 moves;
//! - `opcua`: 50,000 items that all change each second;
//! - `mqtt`: 5,000 messages each second through mosquitto.
//!
//! Without a part it does all. Server, driver and bare loop are processes of their own; the two readers run
//! one after the other and account for themselves (CPU time by the kernel, resident memory, values that came),
//! for `DRIVER_LOAD_SECONDS` (20) after a warm-up. Compare within one run only.
//!
//! The driver ends where the pump begins: its samples are taken from the queue and counted.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement prints, and rounds for people"
)]

mod bare;
mod child;
mod ours;
mod plant;

use std::time::Duration;

use anyhow::Context;

use child::{Child, Figures};

/// Until everything is connected and the first full seconds are over.
pub(crate) const WARM_UP: Duration = Duration::from_secs(8);
pub(crate) const PERIOD: Duration = Duration::from_secs(1);
pub(crate) const REGISTERS: u16 = 100;

const PARTS: [&str; 4] = ["modbus", "holes", "opcua", "mqtt"];
const OPCUA_ITEMS: usize = 50_000;
pub(crate) const TOPICS: usize = 500;
pub(crate) const MESSAGES_PER_SECOND: usize = 5_000;

fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some((role, rest)) = words.split_first().filter(|(word, _)| word.contains(':')) {
        return as_child(role, rest);
    }
    if let Some(unknown) = words.iter().find(|word| !PARTS.contains(&word.as_str())) {
        anyhow::bail!("'{unknown}' is no part: {}", PARTS.join(", "));
    }
    let wanted = |part: &str| words.is_empty() || words.iter().any(|word| word == part);
    if wanted("modbus") {
        modbus()?;
    }
    if wanted("holes") {
        holes()?;
    }
    if wanted("opcua") {
        opcua()?;
    }
    if wanted("mqtt") {
        mqtt()?;
    }
    Ok(())
}

fn as_child(role: &str, words: &[String]) -> anyhow::Result<()> {
    child::end_with_the_parent();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        match role {
            "plant:modbus" => plant::modbus(words).await,
            "plant:opcua" => plant::opcua(words).await,
            "plant:mqtt" => plant::mqtt(words).await,
            "ours:modbus" => ours::modbus(words).await,
            "ours:opcua" => ours::opcua(words).await,
            "ours:mqtt" => ours::mqtt(words).await,
            "bare:modbus" => bare::modbus(words).await,
            "bare:opcua" => bare::opcua(words).await,
            "bare:mqtt" => bare::mqtt(words).await,
            other => anyhow::bail!("no such role: {other}"),
        }
    })
}

fn modbus() -> anyhow::Result<()> {
    println!("\nModbus TCP, {REGISTERS} registers a device each second");
    for devices in [1, 10, 100, 1000] {
        let (_plant, ports) = plant_of(&["plant:modbus", &devices.to_string(), "0"])?;
        let ours = figures("ours:modbus", &ports)?;
        let bare = figures("bare:modbus", &ports)?;
        row(&format!("{devices} devices"), ours, bare);
    }
    Ok(())
}

/// The servers time the requests of each device that answers.
fn holes() -> anyhow::Result<()> {
    println!("\n100 Modbus devices, from one request of a device to the next, ms");
    for dead in [0, 10] {
        let (mut plant, ports) = plant_of(&["plant:modbus", "100", &dead.to_string()])?;
        figures("ours:modbus", &ports)?;
        plant.ask("intervals")?;
        println!("{dead:>3} dead: {}", plant.line()?);
    }
    Ok(())
}

fn opcua() -> anyhow::Result<()> {
    println!("\nOPC UA, {OPCUA_ITEMS} items that change each second, published each 500 ms");
    let (_plant, at) = plant_of(&["plant:opcua", &OPCUA_ITEMS.to_string()])?;
    let ours = figures("ours:opcua", &at)?;
    let bare = figures("bare:opcua", &at)?;
    row("50,000 items", ours, bare);
    Ok(())
}

fn mqtt() -> anyhow::Result<()> {
    println!("\nMQTT, {MESSAGES_PER_SECOND} messages each second on {TOPICS} topics, JSON of one value");
    let (_plant, at) = plant_of(&["plant:mqtt"])?;
    let ours = figures("ours:mqtt", &at)?;
    let bare = figures("bare:mqtt", &at)?;
    row("500 topics", ours, bare);
    Ok(())
}

/// A plant that runs until it is dropped, and the words by which it is reached.
fn plant_of(words: &[&str]) -> anyhow::Result<(Child, Vec<String>)> {
    let mut plant = Child::start(words)?;
    let at = plant.line()?.split_whitespace().map(str::to_owned).collect();
    Ok((plant, at))
}

fn figures(role: &str, at: &[String]) -> anyhow::Result<Figures> {
    let mut words = vec![role];
    words.extend(at.iter().map(String::as_str));
    let mut reader = Child::start(&words)?;
    Figures::parse(&reader.line()?).with_context(|| format!("the figures of {role}"))
}

fn row(what: &str, ours: Figures, bare: Figures) {
    println!(
        "{what:<14} {:<7} {:>12} {:>10} {:>10} {:>18}",
        "", "values/s", "CPU, %", "RSS, MiB", "values/s per core"
    );
    for (name, side) in [("driver", ours), ("bare", bare)] {
        println!(
            "{:<14} {name:<7} {:>12.0} {:>10.2} {:>10.1} {:>18.0}",
            "",
            side.per_second(),
            side.cpu_percent(),
            side.resident_mib(),
            side.per_core()
        );
    }
    println!(
        "{:<14} ratio of CPU for a value {:.2}, of memory {:.2}",
        "",
        bare.per_core() / ours.per_core(),
        ours.resident_mib() / bare.resident_mib()
    );
}
