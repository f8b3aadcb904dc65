//! The drivers of one configuration: starts them, each under its supervisor, swaps them for those of another one, and
//! ends them together.
//!
//! A swap leaves alone whom it does not concern: a source whose points, address and habits are what they were goes on
//! with its connection and its counts. Those that share a line or a port go together. Everything goes into one queue,
//! which outlives them; the numbers of points in it are those of one plant, so the old ones end before the swap and the
//! new ones begin after it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use riskgate_drivers::intake::{self, Gate, Lane};
use riskgate_drivers::tally::{Tallies, Tally};
use riskgate_drivers::{Clock, modbus, mqtt, opcua};
use riskgate_engine::{Class, Plant};
use riskgate_point::{PointId, SourceId};
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
    /// By the id of their first member.
    groups: BTreeMap<SourceId, Group>,
    /// Whose points they read.
    plant: Arc<Plant>,
    tallies: Tallies,
    clock: Clock,
    out: intake::Sender,
}

/// Sources that run and end together: those that share a line or a port, or one alone.
struct Group {
    members: Vec<Member>,
    stop: CancellationToken,
    gate: Gate,
    tasks: JoinSet<()>,
}

/// A source as its driver has it.
struct Member {
    id: SourceId,
    name: String,
    driver: Running,
}

#[derive(Clone, PartialEq)]
enum Running {
    Modbus(Arc<modbus::Device>),
    Opcua(Arc<opcua::Server>),
    Mqtt(Arc<mqtt::Feed>),
}

/// What became of the sources in a swap.
pub(crate) struct Swapped {
    /// To be told when the new plant is in force: the new drivers begin then.
    pub(crate) go: CancellationToken,
    pub(crate) begun: usize,
    pub(crate) kept: usize,
}

impl Sources {
    /// Each driver in a task of its own, below its supervisor.
    pub(crate) fn start(
        configs: Vec<SourceConfig>,
        plant: &Arc<Plant>,
        clock: Clock,
    ) -> (Self, intake::Receiver) {
        let (out, receiver) = intake::channel(INTAKE_REPORTS_MAX, lanes_of(plant));
        let tallies = Tallies::new(plant.sources().len());
        let groups = BTreeMap::new();
        let mut sources = Self { groups, plant: Arc::clone(plant), tallies, clock, out };
        let go = CancellationToken::new();
        for members in grouped(configs) {
            sources.begin(members, &go);
        }
        go.cancel();
        (sources, receiver)
    }

    /// Ends the drivers of all that is not as it was, and makes ready those of what is new. Waits for the end of the
    /// former: when it returns, the queue holds nothing of theirs that will come later.
    pub(crate) async fn swap(&mut self, configs: Vec<SourceConfig>, plant: &Arc<Plant>) -> Swapped {
        let old = std::mem::replace(&mut self.plant, Arc::clone(plant));
        let (mut kept, mut new) = (BTreeMap::new(), Vec::new());
        for members in grouped(configs) {
            let first = members.first().map(|member| member.id);
            let same = |group: &Group| group.is_still(&members, &old, plant);
            match first.and_then(|first| self.groups.get(&first).filter(|group| same(group)).map(|_| first)) {
                Some(first) => kept.extend(self.groups.remove(&first).map(|group| (first, group))),
                None => new.push(members),
            }
        }
        let mut ended = std::mem::replace(&mut self.groups, kept);
        end(&mut ended).await;
        ended.values().for_each(|group| self.out.shut(&group.gate));
        drop(ended);
        let mut tallies: Vec<Arc<Tally>> = plant.sources().iter().map(|_| Arc::default()).collect();
        for member in self.groups.values().flat_map(|group| &group.members) {
            if let (Some(own), Some(kept)) =
                (tallies.get_mut(usize::from(member.id.0)), self.tallies.get(member.id))
            {
                *own = Arc::clone(kept);
            }
        }
        self.tallies = Tallies::of(tallies);
        self.out.set_lanes(lanes_of(plant));
        let kept = self.groups.values().map(|group| group.members.len()).sum();
        let begun = new.iter().map(Vec::len).sum();
        let go = CancellationToken::new();
        for members in new {
            self.begin(members, &go);
        }
        Swapped { go, begun, kept }
    }

    /// Starts what runs together; nobody reads anything before `go`.
    fn begin(&mut self, members: Vec<Member>, go: &CancellationToken) {
        let Some(first) = members.first().map(|member| member.id) else { return };
        let (out, gate) = self.out.gated();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let lines = lines_of(&members);
        for listener in modbus::Listener::of(lines.values().map(|shared| shared.line.as_ref())) {
            let behind = members.iter().filter(|member| dials_in_at(member, listener.listen()));
            let tallies: Vec<_> =
                behind.filter_map(|member| self.tallies.get(member.id).map(Arc::clone)).collect();
            let own_stop = stop.clone();
            tasks.spawn(after(
                go.clone(),
                stop.clone(),
                async move { listener.run(&tallies, &own_stop).await },
            ));
        }
        let clock = self.clock;
        for member in &members {
            let charge = charge_of(member, &lines);
            let own = self.tallies.get(member.id).map(|tally| out.counting(Arc::clone(tally)));
            let (out, own_stop) = (own.unwrap_or_else(|| out.clone()), stop.clone());
            match member.driver.clone() {
                Running::Modbus(device) => {
                    let Some(Shared { line, .. }) = lines.get(&device.endpoint) else { continue };
                    let line = Arc::clone(line);
                    let life = move |out, stop| {
                        let (device, line) = (Arc::clone(&device), Arc::clone(&line));
                        async move { modbus::run(&device, &line, &out, clock, &stop).await }
                    };
                    tasks.spawn(after(
                        go.clone(),
                        stop.clone(),
                        supervise(charge, out, clock, own_stop, life),
                    ));
                }
                Running::Opcua(server) => {
                    let life = move |out, stop| {
                        let server = Arc::clone(&server);
                        async move { opcua::run(&server, &out, clock, &stop).await }
                    };
                    tasks.spawn(after(
                        go.clone(),
                        stop.clone(),
                        supervise(charge, out, clock, own_stop, life),
                    ));
                }
                Running::Mqtt(feed) => {
                    let life = move |out, stop| {
                        let feed = Arc::clone(&feed);
                        async move { mqtt::run(&feed, &out, clock, &stop).await }
                    };
                    tasks.spawn(after(
                        go.clone(),
                        stop.clone(),
                        supervise(charge, out, clock, own_stop, life),
                    ));
                }
            }
        }
        self.groups.insert(first, Group { members, stop, gate, tasks });
    }

    /// What each driver counts of its work.
    pub(crate) fn tallies(&self) -> Tallies {
        self.tallies.clone()
    }

    /// Waits until a supervisor breaks, which none should: its source would be silent without a word.
    /// `None` when none is left. Cancel-safe.
    pub(crate) async fn broke(&mut self) -> Option<JoinError> {
        std::future::poll_fn(|context| {
            let mut is_any_left = false;
            for group in self.groups.values_mut() {
                loop {
                    match group.tasks.poll_join_next(context) {
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(error)),
                        Poll::Ready(Some(Ok(()))) => {}
                        Poll::Ready(None) => break,
                        Poll::Pending => {
                            is_any_left = true;
                            break;
                        }
                    }
                }
            }
            if is_any_left { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }

    /// Tells all drivers to stop and waits for them, at most [`END_WITHIN`].
    pub(crate) async fn halt(&mut self) {
        end(&mut self.groups).await;
    }
}

impl Group {
    /// Whether its sources are what they were, and their points those of the same tags, in the same lanes.
    fn is_still(&self, members: &[Member], old: &Plant, new: &Plant) -> bool {
        let is = |(was, is): (&Member, &Member)| {
            let points = || is.points().into_iter();
            was.id == is.id
                && was.name == is.name
                && was.driver == is.driver
                && points().all(|id| match (old.point(id), new.point(id)) {
                    (Some(was), Some(is)) => was.tag == is.tag && lane_of(was.class) == lane_of(is.class),
                    (_, _) => false,
                })
        };
        self.members.len() == members.len() && self.members.iter().zip(members).all(is)
    }
}

impl Member {
    fn of(config: SourceConfig) -> Self {
        let SourceConfig { id, name, driver } = config;
        let driver = match driver {
            Driver::Modbus(device) => Running::Modbus(Arc::new(device)),
            Driver::Opcua(server) => Running::Opcua(Arc::new(server)),
            Driver::Mqtt(feed) => Running::Mqtt(Arc::new(feed)),
        };
        Self { id, name, driver }
    }

    fn points(&self) -> Vec<PointId> {
        match &self.driver {
            Running::Modbus(device) => device.points.iter().map(|point| point.point).collect(),
            Running::Opcua(server) => server.points.iter().map(|point| point.point).collect(),
            Running::Mqtt(feed) => feed.points().collect(),
        }
    }
}

/// What sources have in common where they run together.
#[derive(PartialEq, Eq, Hash)]
enum Together {
    Line(modbus::Endpoint),
    Port(SocketAddr),
    Alone(SourceId),
}

/// In the order of their first members.
fn grouped(configs: Vec<SourceConfig>) -> Vec<Vec<Member>> {
    let mut groups: Vec<Vec<Member>> = Vec::new();
    let mut known: HashMap<Together, usize> = HashMap::new();
    for config in configs {
        let together = match &config.driver {
            Driver::Modbus(modbus::Device { endpoint: modbus::Endpoint::DialIn(dial_in), .. }) => {
                Together::Port(dial_in.listen)
            }
            Driver::Modbus(device) => Together::Line(device.endpoint.clone()),
            Driver::Opcua(_) | Driver::Mqtt(_) => Together::Alone(config.id),
        };
        let at = *known.entry(together).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(Member::of(config)),
            None => groups.push(vec![Member::of(config)]),
        }
    }
    groups
}

/// Not before `go`, and not at all where the stop comes first.
async fn after(go: CancellationToken, stop: CancellationToken, work: impl Future<Output = ()> + Send) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = go.cancelled() => work.await,
    }
}

async fn end(groups: &mut BTreeMap<SourceId, Group>) {
    groups.values().for_each(|group| group.stop.cancel());
    let all = async {
        for group in groups.values_mut() {
            while group.tasks.join_next().await.is_some() {}
        }
    };
    if tokio::time::timeout(END_WITHIN, all).await.is_err() {
        Event::StopTookTooLong { part: "the drivers", within: END_WITHIN }.emit();
        // Not waited for: one that never yields would hold up the stop.
        groups.values_mut().for_each(|group| group.tasks.abort_all());
    }
}

fn lanes_of(plant: &Plant) -> impl Fn(PointId) -> Lane + Send + use<> {
    let lanes: Vec<Lane> = plant.points().iter().map(|point| lane_of(point.class)).collect();
    move |point| usize::try_from(point.0).ok().and_then(|at| lanes.get(at).copied()).unwrap_or(Lane::Process)
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
fn lines_of(members: &[Member]) -> HashMap<modbus::Endpoint, Shared> {
    let mut lines = HashMap::new();
    for member in members {
        let Running::Modbus(device) = &member.driver else { continue };
        let shared = lines.entry(device.endpoint.clone()).or_insert_with_key(|endpoint| Shared {
            line: Arc::new(modbus::Line::new(endpoint.clone())),
            devices: 0,
        });
        shared.devices += 1;
    }
    lines
}

fn dials_in_at(member: &Member, listen: SocketAddr) -> bool {
    let Running::Modbus(device) = &member.driver else { return false };
    matches!(&device.endpoint, modbus::Endpoint::DialIn(dial_in) if dial_in.listen == listen)
}

fn charge_of(member: &Member, lines: &HashMap<modbus::Endpoint, Shared>) -> Charge {
    let beat = match &member.driver {
        Running::Modbus(device) => {
            // Each of the others may be asked in vain before it.
            let devices = lines.get(&device.endpoint).map_or(1, |shared| shared.devices);
            Some(device.period.max((device.timeout + device.connect_timeout) * devices))
        }
        Running::Opcua(server) => Some(server.longest_keep_alive()),
        Running::Mqtt(_) => None,
    };
    Charge {
        source: member.id,
        name: member.name.clone(),
        points: member.points(),
        silent_max: beat.map(|beat| (beat * SILENT_PERIODS).max(SILENT_MIN)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::config::{Checked, Synced, check_files, check_files_with};

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
        let configs = vec![device(0, 502, 1), device(2, 503, 1), device(1, 502, 2)];
        let groups = grouped(configs);
        let ids: Vec<Vec<u16>> =
            groups.iter().map(|group| group.iter().map(|member| member.id.0).collect()).collect();
        assert_eq!(ids, [vec![0, 1], vec![2]]);
        let members: Vec<Member> = groups.into_iter().flatten().collect();
        let lines = lines_of(&members);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines.get(&modbus::Endpoint::tcp("10.0.0.5", 502)).map(|shared| shared.devices), Some(2));
        let patience = |member| charge_of(member, &lines).silent_max;
        assert_eq!(patience(&members[0]), Some(Duration::from_secs(100)));
        assert_eq!(patience(&members[2]), Some(Duration::from_secs(50)));
    }

    const SITE: &str = r#"
[gateway]
company = "540170007"
id = "54017000701"
name = "试验网关"
[uplink]
host = "127.0.0.1"
[[uplink.command]]
name = "model"
persons = ["王敏"]
[model]
source = "upstream"
[[unit]]
id = "tank-a"
name = "罐区A"
hazard_code = "540170007001"
base_class = "yellow"
liable_person = "王强"
[[measure]]
id = "M-1"
unit = "tank-a"
event = "满溢"
name = "液位报警"
classify1 = "1"
classify2 = "1-1"
"#;

    /// Three devices on two lines, and a feed; nothing answers at any of them.
    fn checked(points: &str, model: Option<u64>) -> Checked {
        let device = |id: &str, port: u16, device_id: u8| {
            format!(
                "[[source]]\nid = \"{id}\"\nname = \"{id}\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\n\
                 port = {port}\ndevice_id = {device_id}\n"
            )
        };
        let feed = "[[source]]\nid = \"feed\"\nname = \"feed\"\nkind = \"mqtt\"\nhost = \"127.0.0.1\"\n\
                    port = 1\nstale_after = \"1m\"\n";
        let sources = [device("a-1", 1, 1), device("a-2", 1, 2), device("b-1", 2, 1), feed.to_owned()];
        let files = vec![
            (PathBuf::from("site.toml"), format!("{SITE}{}", sources.concat()).into_bytes()),
            (PathBuf::from("points.csv"), format!("tag,source,address,type,value,H\n{points}").into_bytes()),
        ];
        let model = model.map(|version| {
            let model = json!({
                "units": [{ "id": "tank-a", "riskUnitName": format!("罐区 {version}"), "hazardCode": "540170007001",
                            "riskClass": 3, "hazardLiablePerson": "王强" }],
                "events": [{ "id": "E-1", "riskUnitId": "tank-a", "riskEventName": "满溢" }],
                "measures": [{ "id": "M-1", "riskEventId": "E-1", "riskMeasureDesc": "液位报警", "dataSrc": 1,
                               "classify1": "1", "classify2": "1-1" }],
                "tasks": [],
            });
            Synced::new(version, model)
        });
        let checked = match model {
            Some(model) => check_files_with(files, &model),
            None => check_files(files),
        };
        checked.unwrap_or_else(|problems| panic!("{}", problems.render(false)))
    }

    const POINTS: &str = "A-1,a-1,holding:0,f32,,90\nA-2,a-2,holding:0,f32,,90\nB-1,b-1,holding:0,f32,,90\n\
                          F-1,feed,plant/f,,$.v,90\n";

    /// Which sources were begun anew by a swap to that.
    async fn begun(sources: &mut Sources, to: Checked) -> Vec<String> {
        let Checked { plant, sources: configs, .. } = to;
        let names: Vec<(SourceId, String)> =
            configs.iter().map(|config| (config.id, config.name.clone())).collect();
        let (plant, before) = (Arc::new(plant), sources.tallies());
        let Swapped { go, begun, kept } = sources.swap(configs, &plant).await;
        go.cancel();
        let after = sources.tallies();
        let is_anew = |id: SourceId| match (before.get(id), after.get(id)) {
            (Some(before), Some(after)) => !Arc::ptr_eq(before, after),
            (_, _) => true,
        };
        let anew: Vec<String> =
            names.iter().filter(|(id, _)| is_anew(*id)).map(|(_, name)| name.clone()).collect();
        assert_eq!((anew.len(), names.len()), (begun, begun + kept));
        assert_eq!(sources.groups.values().map(|group| group.members.len()).sum::<usize>(), names.len());
        anew
    }

    #[tokio::test]
    async fn a_swap_begins_anew_what_is_otherwise_with_those_of_its_line_and_nothing_else() {
        let Checked { plant, sources: configs, .. } = checked(POINTS, None);
        let (mut sources, _intake) = Sources::start(configs, &Arc::new(plant), crate::clock::now);
        // A model, and one after it: nothing that is read is otherwise.
        for version in [7, 8] {
            assert_eq!(begun(&mut sources, checked(POINTS, Some(version))).await, [""; 0]);
        }
        // Neither is a limit: the engine's business.
        let limit = POINTS.replace("B-1,b-1,holding:0,f32,,90", "B-1,b-1,holding:0,f32,,80");
        assert_eq!(begun(&mut sources, checked(&limit, Some(8))).await, [""; 0]);
        let register = limit.replace("A-2,a-2,holding:0", "A-2,a-2,holding:7");
        assert_eq!(begun(&mut sources, checked(&register, Some(8))).await, ["a-1", "a-2"]);
        // Another tag at the same place is another point.
        let renamed = register.replace("F-1,", "F-2,");
        assert_eq!(begun(&mut sources, checked(&renamed, None)).await, ["feed"]);
        sources.halt().await;
    }
}
