use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::console::sample;

struct Served {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), HttpError>>,
}

async fn serve_board(board: &BoardHandle) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let metrics: Metrics = Arc::new(|| "riskgate_up 1\n".to_owned());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(serve(listener, board.clone(), None, metrics, stop.clone()));
    #[expect(clippy::disallowed_methods, reason = "a test owns and joins it")]
    let serving = tokio::spawn(async move { tasks.join_next().await.unwrap().unwrap() });
    Served { address, stop, serving }
}

impl Served {
    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// The whole answer to one request.
    async fn ask(&self, line: &str, host: &str) -> String {
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let mut stream = self.send(&request).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

async fn read_until(stream: &mut TcpStream, read: &mut String, mark: &str) {
    let mut buffer = vec![0; 64 * 1024];
    while !read.contains(mark) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the stream ended before {mark:?}: {read}");
        read.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

#[tokio::test]
async fn the_page_and_what_it_loads_are_served_with_strict_headers() {
    let served = serve_board(&sample::handle()).await;
    for (path, holds) in
        [("/", "page.js"), ("/page.css", "--"), ("/page.js", "EventSource"), ("/icon.svg", "<svg")]
    {
        let answer = served.ask(&format!("GET {path}"), "127.0.0.1:8080").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains(holds), "{path}");
        for header in ["content-security-policy: default-src 'self'", "x-content-type-options: nosniff"] {
            assert!(answer.contains(header), "{path}: {header}");
        }
    }
    served.end().await;
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let served = serve_board(&sample::handle()).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = served.ask(&format!("{method} /api/board"), "localhost").await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
        assert!(answer.contains("allow: GET, HEAD"), "{method}: {answer}");
    }
    let head = served.ask("HEAD /metrics", "localhost").await;
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("riskgate_up"), "{head}");
    served.end().await;
}

#[tokio::test]
async fn a_foreign_host_name_reads_nothing() {
    let served = serve_board(&sample::handle()).await;
    for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.5:8080", "localhost.evil.example:80", ""] {
        let answer = served.ask("GET /api/board", host).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{host}: {answer}");
        assert!(!answer.contains("GD-101"), "{host}");
    }
    for host in ["localhost:9000", "127.0.0.1", "[::1]:8080", "LOCALHOST"] {
        let answer = served.ask("GET /api/board", host).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("GD-101/HH"), "{host}: {answer}");
    }
    let absolute = served.ask("GET http://evil.example/api/board", "localhost").await;
    assert!(absolute.starts_with("HTTP/1.1 403"), "{absolute}");
    served.end().await;
}

#[tokio::test]
async fn health_is_503_with_its_reasons_until_the_pump_turns() {
    let board = sample::empty_handle();
    let served = serve_board(&board).await;
    let answer = served.ask("GET /healthz", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("the pump has not turned yet"), "{answer}");
    board.pump_turned(board.now().mono);
    assert!(served.ask("GET /healthz", "localhost").await.starts_with("HTTP/1.1 200"));
    assert!(served.ask("GET /readyz", "localhost").await.starts_with("HTTP/1.1 503"));
    board.update(|board| board.set_ready(true));
    assert!(served.ask("GET /readyz", "localhost").await.starts_with("HTTP/1.1 200"));
    served.end().await;
}

#[tokio::test]
async fn the_live_stream_begins_with_the_board_and_goes_on_with_changes() {
    let board = sample::handle();
    let served = serve_board(&board).await;
    let mut stream = served.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut read = String::new();
    read_until(&mut stream, &mut read, "\n\n").await;
    let (_, body) = read.split_once("\r\n\r\n").unwrap();
    assert!(body.contains("event: board"), "{body}");
    let at_first = board.read().version();
    let mut acknowledged = sample::alarm("GD-101/HH", riskgate_engine::Priority::Critical, 42);
    acknowledged.state = riskgate_engine::AlarmState::Acknowledged;
    acknowledged.revision = 2;
    board.update(|board| board.apply(&riskgate_engine::Effect::Alarm(Arc::new(acknowledged)), true));
    read.clear();
    read_until(&mut stream, &mut read, "\"alarms_gone\"").await;
    assert!(read.contains("event: change"), "{read}");
    assert!(read.contains(&format!("\"version\":{}", at_first + 1)), "{read}");
    assert!(read.contains("\"state\":\"acknowledged\""), "{read}");
    assert!(!read.contains("LT-1101"), "only what changed: {read}");
    served.end().await;
    // The end of serving ended the stream too, though the browser never asked for it.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn one_live_stream_too_many_is_told_so() {
    let served = serve_board(&sample::handle()).await;
    let mut open = Vec::new();
    for _ in 0..STREAMS_MAX {
        let mut stream = served.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let mut read = String::new();
        read_until(&mut stream, &mut read, "event: board").await;
        open.push(stream);
    }
    let answer = served.ask("GET /events", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("close one"), "{answer}");
    served.end().await;
}

#[tokio::test]
async fn a_stream_that_fell_behind_is_ended() {
    let board = sample::handle();
    let (stop, streams) = (CancellationToken::new(), Arc::new(Semaphore::new(1)));
    let permit = Arc::clone(&streams).acquire_owned().await.unwrap();
    let console =
        Console { board: board.clone(), history: None, metrics: Arc::new(String::new), streams, stop };
    let tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    let mut live = Live { console, changes: board.changes(), tick, shown: None, _permit: permit };
    assert!(live.next().await.is_some());
    for turn in 0..300 {
        board.update(|board| board.set_ready(turn % 2 == 0));
    }
    assert!(live.next().await.is_none());
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let metrics: Metrics = Arc::new(String::new);
    let refused = serve(listener, sample::handle(), None, metrics, CancellationToken::new()).await;
    assert!(matches!(refused, Err(HttpError::NotLoopback { .. })), "{refused:?}");
}
