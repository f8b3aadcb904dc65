//! A broker of the least that MQTT 3.1.1 asks for, behind a proxy. What it keeps it sends before it
//! acknowledges the subscription, as the specification allows.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use riskgate_drivers::mqtt::{
    Feed, FixFields, Kind, Path, Point, Reading, Subscription, Version, Versions, What, Where, run,
};
use riskgate_drivers::scaling::Scaling;
use riskgate_point::{PointId, Sample, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::bench::{Books, Driving, Peer, SOURCE, Way, clock};
use super::support::proxy::Proxy;
use super::tcp;

/// A broker tells so often what its sensors say.
const BEAT: Duration = Duration::from_millis(20);
const TOPICS: [&str; 2] = ["plant/0", "plant/1"];
const VALUES: [f64; 2] = [40.0, 7.5];
const PEOPLE: &str = "rtls";

const CONNECT: u8 = 1;
const SUBSCRIBE: u8 = 8;
const PING: u8 = 12;
const DISCONNECT: u8 = 14;
/// Acknowledgements of what the broker sends.
const ACKNOWLEDGES: [u8; 3] = [4, 5, 7];

pub(crate) struct Mqtt {
    proxy: Proxy,
    seen: Seen,
    _broker: JoinSet<()>,
}

#[derive(Clone, Default)]
struct Seen {
    connects: Arc<AtomicU64>,
    published: Arc<AtomicU64>,
    others: Arc<Mutex<Vec<String>>>,
}

async fn packet(from: &mut OwnedReadHalf) -> io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await? >> 4;
    let mut length = 0_usize;
    for place in 0..4 {
        let byte = from.read_u8().await?;
        length |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok((kind, body))
}

/// At most once, and short.
fn message(topic: &str, payload: &str, retained: bool) -> Vec<u8> {
    let length = u8::try_from(2 + topic.len() + payload.len()).unwrap();
    assert!(length < 128);
    let head = [0x30 | u8::from(retained), length, 0, u8::try_from(topic.len()).unwrap()];
    [&head, topic.as_bytes(), payload.as_bytes()].concat()
}

impl Seen {
    fn values(&self, retained: bool) -> Vec<u8> {
        let values = TOPICS.into_iter().zip(VALUES);
        self.published.fetch_add(2, Ordering::SeqCst);
        values.flat_map(|(topic, value)| message(topic, &value.to_string(), retained)).collect()
    }

    fn beat(&self) -> Vec<u8> {
        let values = self.values(false);
        self.published.fetch_add(1, Ordering::SeqCst);
        [values, message(PEOPLE, r#"{"tag": "1", "zone": "a"}"#, false)].concat()
    }

    async fn serve(self, mut from: OwnedReadHalf, to: OwnedWriteHalf) -> io::Result<Infallible> {
        let (says, mut said) = mpsc::unbounded_channel::<Vec<u8>>();
        let mut writer = JoinSet::new();
        let own = self.clone();
        writer.spawn(async move {
            let mut to = to;
            let mut beat = interval(BEAT);
            let mut is_subscribed = false;
            loop {
                let bytes = tokio::select! {
                    bytes = said.recv() => match bytes {
                        Some(bytes) => bytes,
                        None => return,
                    },
                    _ = beat.tick(), if is_subscribed => own.beat(),
                };
                is_subscribed |= bytes.windows(2).any(|two| two == [0x90, 5]);
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        loop {
            let (kind, body) = packet(&mut from).await?;
            let answer = match kind {
                CONNECT => {
                    self.connects.fetch_add(1, Ordering::SeqCst);
                    vec![0x20, 2, 0, 0]
                }
                SUBSCRIBE => [self.values(true), vec![0x90, 5, body[0], body[1], 0, 0, 0]].concat(),
                PING => vec![0xD0, 0],
                DISCONNECT => continue,
                kind if ACKNOWLEDGES.contains(&kind) => continue,
                other => {
                    self.others.lock().unwrap().push(format!("packet of kind {other}"));
                    continue;
                }
            };
            if says.send(answer).is_err() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
    }
}

impl Peer for Mqtt {
    const POINTS: u32 = 2;
    /// CONNECT has 5 s; the rest is for a machine that has other things to do.
    const TELLS_SILENCE_WITHIN: Duration = Duration::from_secs(12);
    /// Two keep-alives of 15 s.
    const NOTICES_SILENCE_WITHIN: Duration = Duration::from_secs(40);
    const PAUSE: (Duration, u32) = (Duration::from_millis(250), 1);

    async fn start(way: Way) -> Self {
        let seen = Seen::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().port();
        let of_all = seen.clone();
        let mut broker = JoinSet::new();
        broker.spawn(async move {
            let mut links = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (from, to) = stream.into_split();
                let own = of_all.clone();
                links.spawn(async move {
                    // Ended by either side: the driver's own doing is what the test looks at.
                    let _ended = own.serve(from, to).await;
                });
            }
        });
        let proxy = Proxy::to(target, || Box::new(|_: &[u8]| {}));
        tcp::turn(&proxy, way).await;
        Self { proxy, seen, _broker: broker }
    }

    async fn turn(&mut self, way: Way) {
        tcp::turn(&self.proxy, way).await;
    }

    fn driving(&self) -> Driving {
        let point = |id: u32| {
            let reading =
                Reading { point: PointId(id), kind: Kind::Number, scaling: Scaling::IDENTITY, words: None };
            Point { reading, value: Path::parse("$").unwrap(), quality: None, time: None }
        };
        let points = (0..).zip(TOPICS).map(|(id, topic)| Subscription {
            filter: topic.to_owned(),
            what: What::Points(vec![point(id)]),
        });
        let zone = Some(Where::parse("$.zone").unwrap());
        let people = FixFields { zone, ..FixFields::of(Where::parse("$.tag").unwrap()) };
        let people = Subscription { filter: PEOPLE.to_owned(), what: What::Fixes(people) };
        let feed = Feed {
            source: SOURCE,
            host: "127.0.0.1".to_owned(),
            port: self.proxy.port,
            client_id: "riskgate-contract".to_owned(),
            versions: Versions::Only(Version::V3),
            tls: None,
            user: None,
            zone: jiff::tz::TimeZone::UTC,
            status: None,
            subscriptions: points.chain([people]).collect(),
        };
        Box::new(move |out, stop| {
            Box::pin(async move {
                let Ok(()) = run(&feed, &out, clock, &stop).await;
            })
        })
    }

    fn name(&self) -> String {
        format!("127.0.0.1:{}", self.proxy.port)
    }

    fn tries(&self) -> Vec<Instant> {
        self.proxy.arrivals()
    }

    fn books(&self) -> Books {
        let published = self.seen.published.load(Ordering::SeqCst);
        Books {
            connects: Some(self.seen.connects.load(Ordering::SeqCst)),
            // What was on its way at the cut and at the end: a few beats each.
            answered: Some((published, 200)),
            counts_failures: false,
            writes: self.seen.others.lock().unwrap().clone(),
        }
    }

    fn is_right(&self, sample: &Sample) -> bool {
        let value = VALUES.get(usize::try_from(sample.point.0).unwrap());
        sample.value.as_ref().and_then(Value::number) == value.copied()
    }
}
