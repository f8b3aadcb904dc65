//! The drivers, started as the agent starts them: from a configuration, into the queue of the pump.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use riskgate::clock;
use riskgate::config::{self, Checked, Driver};
use riskgate_drivers::intake::{self, Lane};
use riskgate_drivers::{modbus, mqtt, opcua};
use riskgate_point::Report;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{REGISTERS, TOPICS};

pub(crate) async fn modbus(ports: &[String]) -> anyhow::Result<()> {
    let (mut sources, mut points) = (String::new(), String::new());
    for (device, port) in ports.iter().enumerate() {
        write!(
            sources,
            "[[source]]\nid = \"d-{device}\"\nname = \"d\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\n\
             port = {port}\nperiod = \"1s\"\ntimeout = \"500ms\"\n"
        )?;
        for register in 0..REGISTERS {
            writeln!(points, "D{device}-{register},d-{device},holding:{register},u16")?;
        }
    }
    let checked = check(&sources, &points)?;
    drop((sources, points));
    run(checked).await
}

pub(crate) async fn opcua(at: &[String]) -> anyhow::Result<()> {
    let [url, items] = at else { anyhow::bail!("URL and items") };
    let sources = format!(
        "[[source]]\nid = \"o\"\nname = \"o\"\nkind = \"opcua\"\nurl = \"{url}\"\npolicy = \"None\"\n\
         publishing = \"500ms\"\nsampling = \"500ms\"\n"
    );
    let mut points = String::new();
    for item in 0..items.parse::<usize>()? {
        writeln!(points, "O{item},o,nsu=urn:bench;i={},f32", item + 1)?;
    }
    let checked = check(&sources, &points)?;
    drop((sources, points));
    run(checked).await
}

pub(crate) async fn mqtt(at: &[String]) -> anyhow::Result<()> {
    let [port] = at else { anyhow::bail!("a port") };
    let sources = format!(
        "[[source]]\nid = \"m\"\nname = \"m\"\nkind = \"mqtt\"\nhost = \"127.0.0.1\"\nport = {port}\nstale_after = \"60s\"\n"
    );
    let mut points = String::new();
    for topic in 0..TOPICS {
        writeln!(points, "M{topic},m,bench/{topic},f32")?;
    }
    run(check(&sources, &points.replace(",f32", ","))?).await
}

/// What is checked is what stays: the texts go, as those of an agent's files do.
fn check(sources: &str, points: &str) -> anyhow::Result<Checked> {
    let folder = tempfile::tempdir()?;
    let gateway = "[gateway]\ncompany = \"540170007\"\nid = \"54017000701\"\nname = \"bench\"\n\
                   [uplink]\nhost = \"127.0.0.1\"\nport = 1\n[console]\nhttp = \"127.0.0.1:0\"\n";
    std::fs::write(folder.path().join("bench.toml"), format!("{gateway}{sources}"))?;
    let value = if sources.contains("mqtt") { ",value" } else { "" };
    let points = if value.is_empty() { points.to_owned() } else { points.replace(",\n", ",,$.value\n") };
    std::fs::write(folder.path().join("points.csv"), format!("tag,source,address,type{value}\n{points}"))?;
    config::check(folder.path()).map_err(|problems| anyhow::anyhow!("{}", problems.render(false)))
}

/// Drivers as configured, one task each; the values that come are counted and dropped.
async fn run(checked: Checked) -> anyhow::Result<()> {
    let (out, mut receiver) = intake::channel(100_000, |_| Lane::Process);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::<anyhow::Result<()>>::new();
    let mut lines = HashMap::new();
    for source in checked.sources {
        let (out, stop) = (out.clone(), stop.clone());
        match source.driver {
            Driver::Modbus(device) => {
                let line = lines.entry(device.endpoint.clone());
                let line: &mut Arc<modbus::Line> =
                    line.or_insert_with_key(|at| Arc::new(modbus::Line::new(at.clone())));
                let line = Arc::clone(line);
                tasks.spawn(async move { Ok(modbus::run(&device, &line, &out, clock::now, &stop).await?) });
            }
            Driver::Opcua(server) => {
                tasks.spawn(async move { Ok(opcua::run(&server, &out, clock::now, &stop).await?) });
            }
            Driver::Mqtt(feed) => {
                tasks.spawn(async move { Ok(mqtt::run(&feed, &out, clock::now, &stop).await?) });
            }
        }
    }
    let values = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&values);
    tasks.spawn(async move {
        while let Some(reports) = receiver.recv(4_096).await {
            let good =
                |report: &&Report| matches!(report, Report::Sample(sample) if sample.quality.is_good());
            let count = reports.iter().filter(good).count();
            counted.fetch_add(u64::try_from(count)?, Ordering::Relaxed);
        }
        Ok(())
    });
    tokio::select! {
        measured = crate::child::measure(|| values.load(Ordering::Relaxed)) => measured,
        Some(ended) = tasks.join_next() => ended?,
    }
}
