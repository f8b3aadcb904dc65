//! When devices are asked, over memory and with paused time: to the millisecond, and for as long as it takes.

use std::sync::{Arc, Mutex};

use riskgate_point::{Now, PointId, SourceId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;

use super::super::{Kind, Point, Table};
use super::*;
use crate::intake::{self, Lane, Receiver};
use crate::tally::{Counts, Tally};

const ROUND_TRIP: Duration = Duration::from_millis(5);
const MINUTE: Duration = Duration::from_secs(60);

/// The units of one line, of which some are dead for some time.
struct Units {
    is_dead: Box<dyn Fn(u8, Duration) -> bool + Send + Sync>,
    start: Instant,
    asked: Mutex<Vec<(u8, Duration)>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Units {
    fn new(is_dead: impl Fn(u8, Duration) -> bool + Send + Sync + 'static) -> Arc<Self> {
        let (asked, tasks) = (Mutex::default(), Mutex::default());
        Arc::new(Self { is_dead: Box::new(is_dead), start: Instant::now(), asked, tasks })
    }

    async fn line(self: &Arc<Self>) -> Arc<Line> {
        let line = Line::new(Endpoint::tcp("memory", 502));
        let units = Arc::clone(self);
        line.over_memory(move || {
            let (ours, theirs) = tokio::io::duplex(1024);
            units.tasks.lock().unwrap().spawn(Arc::clone(&units).serve(theirs));
            Some(ours)
        })
        .await;
        Arc::new(line)
    }

    /// Every register holds 7.
    async fn serve(self: Arc<Self>, mut stream: DuplexStream) {
        let mut frame = [0_u8; 12];
        while stream.read_exact(&mut frame).await.is_ok() {
            let (device_id, at) = (frame[6], self.start.elapsed());
            self.asked.lock().unwrap().push((device_id, at));
            if (self.is_dead)(device_id, at) {
                continue;
            }
            sleep(ROUND_TRIP).await;
            let n_bytes = frame[11] * 2;
            let mut reply = frame[..8].to_vec();
            reply[5] = 3 + n_bytes;
            reply.push(n_bytes);
            reply.extend([0, 7].repeat(usize::from(frame[11])));
            if stream.write_all(&reply).await.is_err() {
                return;
            }
        }
    }

    fn asked(&self, device_id: u8) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(unit, _)| *unit == device_id).map(|(_, at)| *at).collect()
    }
}

/// The drivers of units, and what they said.
struct Drivers {
    tasks: JoinSet<()>,
    told: Vec<(Receiver, Arc<Tally>)>,
}

fn device(source: u16, device_id: u8, period: Duration, timeout: Duration) -> Device {
    Device {
        source: SourceId(source),
        endpoint: Endpoint::tcp("memory", 502),
        device_id,
        period,
        timeout,
        connect_timeout: timeout,
        gap_max: 0,
        registers_max: 125,
        bits_max: 2000,
        one_request_per_point: false,
        pause: Duration::ZERO,
        connect_pause: Duration::ZERO,
        points: vec![Point::new(PointId(u32::from(source)), Table::Holding, 0, Kind::U16)],
    }
}

impl Drivers {
    fn new() -> Self {
        Self { tasks: JoinSet::new(), told: Vec::new() }
    }

    fn start(&mut self, line: &Arc<Line>, device: Device) {
        let (sender, receiver) = intake::channel(1_000_000, |_| Lane::Process);
        let tally = Arc::new(Tally::default());
        let (sender, line) = (sender.counting(Arc::clone(&tally)), Arc::clone(line));
        self.told.push((receiver, tally));
        self.tasks.spawn(async move {
            let stop = CancellationToken::new();
            run(&device, &line, &sender, Now::default, &stop).await.unwrap();
        });
    }

    fn counts(&self, at: usize) -> Counts {
        self.told[at].1.counts()
    }
}

fn gaps(times: &[Duration]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn one_dead_unit_of_four_leaves_the_others_on_their_period() {
    let (period, timeout) = (Duration::from_secs(1), Duration::from_millis(500));
    let units = Units::new(|device_id, _| device_id == 2);
    let line = units.line().await;
    let mut drivers = Drivers::new();
    for device_id in 1..=4 {
        drivers.start(&line, device(device_id.into(), device_id, period, timeout));
    }
    sleep(10 * MINUTE).await;
    let tries = units.asked(2);
    // Nine times its half a second, and what it took itself: one in five seconds, of two hundred polls.
    assert!((60..=121).contains(&tries.len()), "{} tries", tries.len());
    assert!(gaps(&tries)[1..].iter().all(|gap| *gap >= 10 * timeout), "{tries:?}");
    for (at, device_id) in [(0, 1), (2, 3), (3, 4)] {
        let polls = units.asked(device_id);
        assert!((600..=602).contains(&polls.len()), "{} polls of {device_id}", polls.len());
        // What is late is in step again at once.
        let mut steps: Vec<u32> = polls.iter().map(Duration::subsec_millis).collect();
        steps.sort_unstable();
        let in_step = steps[steps.len() / 2];
        let late = steps.iter().filter(|step| step.abs_diff(in_step) > 50).count();
        assert!(late <= tries.len() && late <= polls.len() / 6, "{late} of {} polls late", polls.len());
        let counts = drivers.counts(at);
        assert_eq!((counts.polls_failed, counts.polls_late), (0, 0), "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_longer_than_the_period_costs_the_others_no_more_than_a_tenth_of_their_polls() {
    let (period, timeout) = (Duration::from_millis(200), Duration::from_secs(1));
    let units = Units::new(|device_id, _| device_id == 2);
    let line = units.line().await;
    let mut drivers = Drivers::new();
    for device_id in 1..=4 {
        drivers.start(&line, device(device_id.into(), device_id, period, timeout));
    }
    sleep(10 * MINUTE).await;
    for (at, device_id) in [(0, 1), (2, 3), (3, 4)] {
        let counts = drivers.counts(at);
        assert_eq!(counts.polls_failed, 0);
        assert!(counts.polls >= 3000 * 89 / 100, "{counts:?}");
        assert!(counts.polls_late > 0, "what was left out is counted");
        assert!(counts.polls + counts.polls_late >= 2995, "all is read or counted: {counts:?}");
        assert!(gaps(&units.asked(device_id)[5..]).iter().all(|gap| *gap <= timeout + period));
    }
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_answers_again_is_back_on_its_period_at_once() {
    let (period, timeout) = (Duration::from_secs(1), Duration::from_millis(500));
    let units = Units::new(|device_id, at| device_id == 2 && at < 10 * MINUTE);
    let line = units.line().await;
    let mut drivers = Drivers::new();
    for device_id in 1..=4 {
        drivers.start(&line, device(device_id.into(), device_id, period, timeout));
    }
    sleep(11 * MINUTE).await;
    let back: Vec<Duration> = units.asked(2).into_iter().filter(|at| *at >= 10 * MINUTE).collect();
    assert!(back[0] <= 10 * MINUTE + Duration::from_secs(6), "tried at {:?}", back[0]);
    assert!(gaps(&back[1..]).iter().all(|gap| gap.abs_diff(period) < Duration::from_millis(50)), "{back:?}");
    assert!(back[1] - back[0] <= period);
}

/// When each of a hundred devices on lines of their own is asked.
async fn a_hundred(is_dead: fn(u16) -> bool) -> Vec<Vec<Duration>> {
    let mut drivers = Drivers::new();
    let mut lines = Vec::new();
    for source in 0..100 {
        let units = Units::new(move |_, _| is_dead(source));
        let line = units.line().await;
        drivers.start(&line, device(source, 1, Duration::from_secs(1), Duration::from_millis(500)));
        lines.push(units);
    }
    sleep(2 * MINUTE).await;
    lines.iter().map(|units| units.asked(1)).collect()
}

#[tokio::test(start_paused = true)]
async fn ten_dead_devices_of_a_hundred_move_no_poll_of_the_others() {
    let all = a_hundred(|_| false).await;
    let some = a_hundred(|source| source % 10 == 3).await;
    for source in (0..100).filter(|source| source % 10 != 3) {
        assert!(all[source].len() >= 120);
        assert_eq!(all[source], some[source], "source {source}");
    }
    for source in (3..100).step_by(10) {
        assert!((20..=60).contains(&some[source].len()), "tried each few seconds, on a back-off");
    }
}

#[tokio::test(start_paused = true)]
async fn the_polls_of_a_hundred_devices_are_spread_over_the_period() {
    let asked = a_hundred(|_| false).await;
    let period = Duration::from_secs(1);
    // In the tenth second, in portions of a fiftieth of it.
    let mut portions = [0; 50];
    for at in asked.iter().flatten().filter(|at| (9 * period..10 * period).contains(*at)) {
        let within = (*at - 9 * period).as_millis();
        portions[usize::try_from(within / 20).unwrap()] += 1;
    }
    assert!(portions.iter().all(|polls| *polls <= 4), "{portions:?}");
}

/// Of the holding registers 1 does not exist, and no input register does; every answer takes long.
async fn answer_slowly(mut stream: DuplexStream) {
    let mut frame = [0_u8; 12];
    while stream.read_exact(&mut frame).await.is_ok() {
        sleep(Duration::from_millis(60)).await;
        let (function, first, count) = (frame[7], frame[9], frame[11]);
        let is_there = function == 3 && !(first..first + count).contains(&1);
        let pdu = match is_there {
            true => [vec![function, count * 2], [0, 7].repeat(usize::from(count))].concat(),
            false => vec![function | 0x80, 2],
        };
        let length = u8::try_from(pdu.len() + 1).unwrap();
        let reply = [&frame[..5], &[length, frame[6]], &pdu].concat();
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_point_is_named_though_the_search_never_comes_to_its_end() {
    let tasks = Arc::new(Mutex::new(JoinSet::new()));
    let line = Arc::new(Line::new(Endpoint::tcp("memory", 502)));
    line.over_memory(move || {
        let (ours, theirs) = tokio::io::duplex(1024);
        tasks.lock().unwrap().spawn(answer_slowly(theirs));
        Some(ours)
    })
    .await;
    let point = |id, table, address| Point::new(PointId(id), table, address, Kind::U16);
    let mut drivers = Drivers::new();
    // What is well takes more than half of the period.
    let (period, timeout) = (Duration::from_millis(100), Duration::from_secs(1));
    let points = [(0, Table::Holding, 0), (1, Table::Holding, 1), (2, Table::Input, 0), (3, Table::Input, 1)];
    let points = points.into_iter().map(|(id, table, address)| point(id, table, address)).collect();
    drivers.start(&line, Device { points, ..device(1, 1, period, timeout) });
    sleep(MINUTE).await;
    let named: Vec<String> = drivers.counts(0).skips.into_keys().map(|(place, _)| place).collect();
    assert_eq!(named, ["holding 1", "input"]);
}
