//! An OPC UA server, as another library serves it, behind a proxy that reads what is asked.

use std::time::Duration;

use opcua::types::{DateTime, ObjectId, StatusCode};
use riskgate_drivers::opcua::run;
use riskgate_point::{Sample, Value};
use tokio::time::{Instant, Interval, interval};

use super::bench::{Books, Driving, Peer, SOURCE, Way, clock};
use super::support::opcua::plant::{Offer, Proxy, TestServer, config, ours};
use super::tcp;

const NAMES: [&str; 2] = ["Tank.Level", "Tank.Pressure"];
const VALUES: [f64; 2] = [40.0, 7.5];

pub(crate) struct OpcUa {
    proxy: Proxy,
    server: TestServer,
    beat: Interval,
    n_churns: u32,
}

impl Peer for OpcUa {
    const POINTS: u32 = 2;
    /// The first question has 5 s; the rest is for a machine that has other things to do.
    const TELLS_SILENCE_WITHIN: Duration = Duration::from_secs(12);
    /// Two keep-alives of half a second, and the cut.
    const NOTICES_SILENCE_WITHIN: Duration = Duration::from_secs(6);
    const PAUSE: (Duration, u32) = (Duration::from_millis(500), 1);

    async fn start(way: Way) -> Self {
        let server = TestServer::start(0, Offer::default()).await;
        for (name, value) in NAMES.into_iter().zip(VALUES) {
            server.add(name, value);
        }
        let proxy = Proxy::to(server.port);
        tcp::turn(&proxy, way).await;
        Self { proxy, server, beat: interval(Duration::from_millis(20)), n_churns: 0 }
    }

    async fn turn(&mut self, way: Way) {
        tcp::turn(&self.proxy, way).await;
    }

    fn driving(&self) -> Driving {
        let nodes = NAMES.map(ours);
        let mut server = config(self.proxy.url(), &nodes.each_ref().map(String::as_str));
        server.source = SOURCE;
        Box::new(move |out, stop| Box::pin(async move { run(&server, &out, clock, &stop).await.unwrap() }))
    }

    fn name(&self) -> String {
        self.proxy.url()
    }

    fn tries(&self) -> Vec<Instant> {
        self.proxy.arrivals()
    }

    fn books(&self) -> Books {
        self.proxy.requests.assert_nothing_but_reading();
        let sessions = self.proxy.requests.count(ObjectId::ActivateSessionRequest_Encoding_DefaultBinary);
        Books { connects: u64::try_from(sessions).ok(), ..Books::default() }
    }

    fn is_right(&self, sample: &Sample) -> bool {
        let value = VALUES.get(usize::try_from(sample.point.0).unwrap());
        sample.value.as_ref().and_then(Value::number) == value.copied()
    }

    async fn churn(&mut self) {
        self.beat.tick().await;
        self.n_churns += 1;
        for name in NAMES {
            self.server.set(name, f64::from(self.n_churns), DateTime::now(), StatusCode::Good);
        }
    }
}
