//! An outbox as full as it may be.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, params};

use crate::figures::{Figures, millis};
use crate::plant::Life;
use crate::world::{Start, World, pass};
use crate::{Asked, now};

/// Until what a start needed is given back.
const SETTLED: Duration = Duration::from_secs(10);
const DRAINS: Duration = Duration::from_secs(20);

pub(crate) fn measure(asked: &Asked, figures: &mut Figures) -> anyhow::Result<()> {
    let mut world = World::new()?;
    world.kill_broker();
    world.start()?;
    world.plant.live(SETTLED, Life::Still, true, || false);
    let without = world.memory_mib("VmRSS");
    world.stop()?;
    figures.doing("filling the outbox");
    let mib = fill(&world, asked.rows)?;
    figures.tell(
        "rows in the outbox",
        asked.rows as f64,
        "",
        "",
        "real alarms, pending, copied without their evidence",
    );
    figures.tell("size of state.db", mib, "MiB", "1024", "");
    for (what, cold, kill) in [
        ("after a stop, file not in memory", true, false),
        ("after a stop", false, false),
        ("after kill -9", false, true),
        ("after kill -9, file not in memory", true, true),
    ] {
        // The first of them is stopped already.
        if kill {
            world.kill();
        } else {
            world.stop()?;
        }
        if cold {
            forget_pages(&world)?;
        }
        let start = world.start()?;
        tell(figures, what, &start);
        pass(SETTLED);
    }
    figures.tell("memory with the rows", world.memory_mib("VmRSS"), "MiB", "", "10 s after the start");
    figures.tell("memory without", without, "MiB", "", "the same plant with a few rows");
    figures.tell("peak memory with the rows", world.memory_mib("VmHWM"), "MiB", "", "its start included");
    world.start_broker()?;
    world.until_upstream()?;
    let (began, before) = (now(), world.watcher.look(|arrivals| arrivals.critical));
    pass(DRAINS);
    let came = world.watcher.look(|arrivals| arrivals.critical) - before;
    let rate = came as f64 / began.elapsed().as_secs_f64();
    figures.tell("rows each second to the subscriber", rate, "1/s", "", "the critical lane, in order");
    figures.tell("peak memory while they go", world.memory_mib("VmHWM"), "MiB", "", "");
    Ok(())
}

fn tell(figures: &mut Figures, what: &str, start: &Start) {
    figures.tell(&format!("{what}: opened in"), millis(start.opened), "ms", "2000", "the store, of it");
    figures.tell(
        &format!("{what}: first read"),
        millis(start.first_read),
        "ms",
        "",
        "process to first Modbus request",
    );
}

/// Copies the alarms that the agent wrote, without their evidence: with it, three quarters of a million are all that
/// the bound of 1 GiB holds. Gives the size of the file in MiB.
fn fill(world: &World, rows: u64) -> anyhow::Result<f64> {
    let path = world.store().join("state.db");
    let connection = Connection::open(&path)?;
    connection
        .execute_batch("CREATE TEMP TABLE model AS SELECT * FROM outbox WHERE kind = 'riskgate.alarm.v1'")?;
    let models: i64 = connection.query_row("SELECT count(*) FROM temp.model", [], |row| row.get(0))?;
    anyhow::ensure!(models > 0, "the agent wrote no alarm");
    let there: i64 = connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
    let more = i64::try_from(rows).context("so many rows")? - there;
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO outbox (lane, sequence, topic, retain, kind, object, revision, time, body)
         SELECT 'critical', (SELECT last FROM lane WHERE lane = 'critical') + i, topic, retain, kind, object,
                revision, time, json_remove(body, '$.evidence')
         FROM n CROSS JOIN temp.model WHERE temp.model.rowid = 1 + i % ?2",
        params![more, models],
    )?;
    connection.execute("UPDATE lane SET last = last + ?1 WHERE lane = 'critical'", [more])?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    drop(connection);
    Ok(std::fs::metadata(path)?.len() as f64 / 1_048_576.0)
}

/// The kernel gives up what it has of the file: as after the loss of power.
fn forget_pages(world: &World) -> anyhow::Result<()> {
    for name in ["state.db", "state.db-wal"] {
        let path = world.store().join(name);
        if path.exists() {
            let file = format!("of={}", path.display());
            let done = Command::new("dd")
                .args([&file, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"])
                .status()?;
            anyhow::ensure!(done.success(), "dd cannot make the kernel forget {}", path.display());
        }
    }
    Ok(())
}
