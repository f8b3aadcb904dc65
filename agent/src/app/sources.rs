//! Starts the drivers of one configuration, each under its supervisor, and ends them together.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use riskgate_drivers::intake::{self, Lane};
use riskgate_drivers::tally::Tallies;
use riskgate_drivers::{Clock, modbus, mqtt, opcua};
use riskgate_engine::{Class, Plant};
use riskgate_point::PointId;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::{Driver, SourceConfig};
use crate::events::Event;
use crate::supervise::{Charge, supervise};

/// One second of the largest plant that we promise to read (100,000 points each second).
const INTAKE_REPORTS_MAX: usize = 100_000;
/// A driver that has sent nothing for this many of its own periods hangs.
const SILENT_PERIODS: u32 = 10;
/// And is given at least this long: a slow device on a bad line is not a hung driver.
const SILENT_MIN: Duration = Duration::from_secs(30);
/// A supervisor gives its driver [`crate::supervise::STOP_GRACE`]; what is left after that is dropped.
pub(super) const END_WITHIN: Duration = Duration::from_millis(850);

/// The running drivers. Dropped, they end at once; [`Sources::halt`] lets them close their connections.
/// The queue to the pump stays open until this is dropped.
pub(crate) struct Sources {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    tallies: Tallies,
    _out: intake::Sender,
}

impl Sources {
    /// Each driver in a task of its own, below its supervisor.
    pub(crate) fn start(
        configs: Vec<SourceConfig>,
        plant: &Arc<Plant>,
        clock: Clock,
    ) -> (Self, intake::Receiver) {
        let lanes: Vec<Lane> = plant.points().iter().map(|point| lane_of(point.class)).collect();
        let lane = move |point: PointId| {
            usize::try_from(point.0).ok().and_then(|at| lanes.get(at).copied()).unwrap_or(Lane::Process)
        };
        let (out, receiver) = intake::channel(INTAKE_REPORTS_MAX, lane);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let tallies = Tallies::new(plant.sources().len());
        let lines = lines_of(&configs);
        for listener in modbus::Listener::of(lines.values().map(|shared| shared.line.as_ref())) {
            let behind = configs.iter().filter(|config| dials_in_at(config, listener.listen()));
            let tallies: Vec<_> =
                behind.filter_map(|config| tallies.get(config.id).map(Arc::clone)).collect();
            let stop = stop.clone();
            tasks.spawn(async move { listener.run(&tallies, &stop).await });
        }
        for config in configs {
            let charge = charge_of(&config, &lines);
            let own = tallies.get(config.id).map(|tally| out.counting(Arc::clone(tally)));
            let (out, stop) = (own.unwrap_or_else(|| out.clone()), stop.clone());
            match config.driver {
                Driver::Modbus(device) => {
                    let Some(Shared { line, .. }) = lines.get(&device.endpoint) else { continue };
                    let (device, line) = (Arc::new(device), Arc::clone(line));
                    let life = move |out, stop| {
                        let (device, line) = (Arc::clone(&device), Arc::clone(&line));
                        async move { modbus::run(&device, &line, &out, clock, &stop).await }
                    };
                    tasks.spawn(supervise(charge, out, clock, stop, life));
                }
                Driver::Opcua(server) => {
                    let server = Arc::new(server);
                    let life = move |out, stop| {
                        let server = Arc::clone(&server);
                        async move { opcua::run(&server, &out, clock, &stop).await }
                    };
                    tasks.spawn(supervise(charge, out, clock, stop, life));
                }
                Driver::Mqtt(feed) => {
                    let feed = Arc::new(feed);
                    let life = move |out, stop| {
                        let feed = Arc::clone(&feed);
                        async move { mqtt::run(&feed, &out, clock, &stop).await }
                    };
                    tasks.spawn(supervise(charge, out, clock, stop, life));
                }
            }
        }
        (Self { tasks, stop, tallies, _out: out }, receiver)
    }

    /// What each driver counts of its work.
    pub(crate) fn tallies(&self) -> Tallies {
        self.tallies.clone()
    }

    /// Waits until a supervisor breaks, which none should: its source would be silent without a word.
    /// `None` when none is left. Cancel-safe.
    pub(crate) async fn broke(&mut self) -> Option<JoinError> {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                return Some(error);
            }
        }
        None
    }

    /// Tells all drivers to stop and waits for them, at most [`END_WITHIN`].
    pub(crate) async fn halt(&mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(END_WITHIN, all).await.is_err() {
            Event::StopTookTooLong { part: "the drivers", within: END_WITHIN }.emit();
            // Not waited for: one that never yields would hold up the stop.
            self.tasks.abort_all();
        }
    }
}

/// Gas, fire and SIS points are merged last when a queue is full.
fn lane_of(class: Class) -> Lane {
    match class {
        Class::Gas | Class::Fire | Class::Sis => Lane::Safety,
        Class::Process | Class::Equipment | Class::System | Class::Video | Class::Permit | Class::People => {
            Lane::Process
        }
    }
}

/// A connection, and how many devices are behind it.
struct Shared {
    line: Arc<modbus::Line>,
    devices: u32,
}

/// One connection for all devices behind one endpoint.
fn lines_of(configs: &[SourceConfig]) -> HashMap<modbus::Endpoint, Shared> {
    let mut lines = HashMap::new();
    for config in configs {
        let Driver::Modbus(device) = &config.driver else { continue };
        let shared = lines.entry(device.endpoint.clone()).or_insert_with_key(|endpoint| Shared {
            line: Arc::new(modbus::Line::new(endpoint.clone())),
            devices: 0,
        });
        shared.devices += 1;
    }
    lines
}

fn dials_in_at(config: &SourceConfig, listen: SocketAddr) -> bool {
    let Driver::Modbus(device) = &config.driver else { return false };
    matches!(&device.endpoint, modbus::Endpoint::DialIn(dial_in) if dial_in.listen == listen)
}

fn charge_of(config: &SourceConfig, lines: &HashMap<modbus::Endpoint, Shared>) -> Charge {
    let (points, beat) = match &config.driver {
        Driver::Modbus(device) => {
            // Each of the others may be asked in vain before it.
            let devices = lines.get(&device.endpoint).map_or(1, |shared| shared.devices);
            let cycle = device.period.max((device.timeout + device.connect_timeout) * devices);
            (device.points.iter().map(|point| point.point).collect(), Some(cycle))
        }
        Driver::Opcua(server) => {
            (server.points.iter().map(|point| point.point).collect(), Some(server.longest_keep_alive()))
        }
        Driver::Mqtt(feed) => (feed.points().collect(), None),
    };
    Charge {
        source: config.id,
        name: config.name.clone(),
        points,
        silent_max: beat.map(|beat| (beat * SILENT_PERIODS).max(SILENT_MIN)),
    }
}

#[cfg(test)]
mod tests {
    use riskgate_point::SourceId;

    use super::*;

    fn device(id: u16, port: u16, device_id: u8) -> SourceConfig {
        let device = modbus::Device {
            source: SourceId(id),
            endpoint: modbus::Endpoint::tcp("10.0.0.5", port),
            device_id,
            period: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(3),
            gap_max: 8,
            registers_max: 125,
            bits_max: 2000,
            one_request_per_point: false,
            pause: Duration::ZERO,
            connect_pause: Duration::ZERO,
            points: Vec::new(),
        };
        SourceConfig { id: SourceId(id), name: format!("device-{id}"), driver: Driver::Modbus(device) }
    }

    #[test]
    fn devices_behind_one_endpoint_share_a_line_and_are_given_time_for_each_other() {
        let configs = [device(0, 502, 1), device(1, 502, 2), device(2, 503, 1)];
        let lines = lines_of(&configs);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines.get(&modbus::Endpoint::tcp("10.0.0.5", 502)).map(|shared| shared.devices), Some(2));
        let patience = |config| charge_of(config, &lines).silent_max;
        assert_eq!(patience(&configs[0]), Some(Duration::from_secs(100)));
        assert_eq!(patience(&configs[2]), Some(Duration::from_secs(50)));
    }
}
