use riskgate_engine::Deed;
use tempfile::TempDir;

use super::*;
use crate::console::sample;

/// A served socket whose pump does as `pump` says.
struct Served {
    folder: TempDir,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), SocketError>>,
    asked: mpsc::Receiver<(Request, oneshot::Sender<Reply>)>,
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = bind(&folder.path().join("riskgate.sock")).unwrap();
        let (requests, asked) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, sample::handle(), None, requests, stop.clone()));
        Self { folder, stop, tasks, asked }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("riskgate.sock")
    }

    async fn connect(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.path()).await.unwrap())
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.tasks.join_next().await.unwrap().unwrap().unwrap();
        assert!(!self.path().exists(), "the socket file is removed");
    }
}

async fn ask(client: &mut BufReader<UnixStream>, line: &[u8]) -> Answer {
    client.write_all(line).await.unwrap();
    client.write_all(b"\n").await.unwrap();
    read(client).await
}

async fn read(client: &mut BufReader<UnixStream>) -> Answer {
    let mut answer = String::new();
    client.read_line(&mut answer).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

fn why(answer: &Answer) -> &str {
    match answer {
        Answer::Error { why } | Answer::Refused { why } => why,
        Answer::Shown { .. } | Answer::Done { .. } | Answer::Pong { .. } => panic!("{answer:?}"),
    }
}

#[test]
fn the_agents_own_user_and_root_may_speak_and_nobody_else() {
    assert!(admits(990, 990));
    assert!(admits(0, 990));
    assert!(!admits(1000, 990));
    assert!(!admits(1000, 0), "that the agent is root lets nobody in");
}

#[tokio::test]
async fn several_questions_are_answered_on_one_connection() {
    let served = Served::start();
    let mut client = served.connect().await;
    assert_eq!(ask(&mut client, br#"{"ask":"ping"}"#).await, Answer::Pong { version: 1 });
    let Answer::Shown { shown } = ask(&mut client, br#"{"ask":"show","what":"candidates"}"#).await else {
        panic!("not shown");
    };
    assert_eq!(shown.as_array().unwrap().len(), 2);
    let Answer::Shown { shown } = ask(&mut client, br#"{"ask":"show","what":"all"}"#).await else {
        panic!("not shown");
    };
    let view: BoardView = serde_json::from_value(shown).unwrap();
    assert_eq!(view.alarms.len(), 6);
    served.end().await;
}

#[tokio::test]
async fn an_act_goes_to_the_pump_with_the_peers_uid_and_its_answer_comes_back() {
    let mut served = Served::start();
    let mut client = served.connect().await;
    let line = r#"{"ask":"act","by":"王敏","deed":"acknowledge","alarm":"GD-101/HH"}"#;
    let pump = async {
        let (request, reply) = served.asked.recv().await.unwrap();
        reply.send(Reply::Done { durable: false, said: String::new() }).unwrap();
        request
    };
    let (request, answer) = tokio::join!(pump, ask(&mut client, line.as_bytes()));
    let act = Act { by: "王敏".to_owned(), deed: Deed::Acknowledge { alarm: "GD-101/HH".to_owned() } };
    assert_eq!(request, Request::Act { act, uid: own_uid().unwrap() });
    assert_eq!(answer, Answer::Done { durable: false, said: String::new() });
    served.end().await;
}

#[tokio::test]
async fn a_pump_that_has_gone_is_said_and_not_waited_for() {
    let mut served = Served::start();
    served.asked.close();
    let mut client = served.connect().await;
    let answer = ask(&mut client, br#"{"ask":"reload"}"#).await;
    assert!(why(&answer).contains("stopping"), "{answer:?}");
    served.end().await;
}

#[tokio::test]
async fn an_unknown_request_is_told_what_there_is() {
    let served = Served::start();
    let mut client = served.connect().await;
    for (line, says) in [
        (&br#"{"ask":"write","point":"XV-101"}"#[..], "`show`"),
        (br#"{"ask":"show","what":"passwords"}"#, "`alarms`"),
        (br#"{"ask":"act","deed":"acknowledge","alarm":"x"}"#, "`by`"),
        (b"GET / HTTP/1.1", "no request"),
        (b"\xff\xfe", "no request"),
    ] {
        let answer = ask(&mut client, line).await;
        assert!(why(&answer).contains(says), "{answer:?}");
    }
    served.end().await;
}

#[tokio::test]
async fn a_line_too_long_is_refused_and_the_connection_closed() {
    let served = Served::start();
    let mut client = served.connect().await;
    // One byte more than a line may have, and no end: what is read is exactly what is refused.
    client.write_all(&vec![b'x'; LINE_BYTES_MAX + 1]).await.unwrap();
    let answer = read(&mut client).await;
    assert!(why(&answer).contains("65536"), "{answer:?}");
    assert_eq!(client.read_line(&mut String::new()).await.unwrap(), 0);
    let mut client = served.connect().await;
    assert!(matches!(ask(&mut client, &vec![b' '; LINE_BYTES_MAX - 1]).await, Answer::Error { .. }));
    assert_eq!(ask(&mut client, br#"{"ask":"ping"}"#).await, Answer::Pong { version: 1 });
    served.end().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_get_a_sentence() {
    let served = Served::start();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut client = served.connect().await;
        ask(&mut client, br#"{"ask":"ping"}"#).await;
        open.push(client);
    }
    let answer = read(&mut served.connect().await).await;
    assert!(why(&answer).contains("open already"), "{answer:?}");
    served.end().await;
}

#[tokio::test]
async fn a_stale_socket_is_replaced_a_live_one_and_any_other_file_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/riskgate.sock");
    let live = bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let refused = bind(&path).unwrap_err();
    assert!(matches!(refused, SocketError::Live { .. }), "{refused}");
    assert!(refused.to_string().contains("riskgate.sock"), "{refused}");
    drop(live);
    drop(bind(&path).unwrap());
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "keep me").unwrap();
    assert!(matches!(bind(&file).unwrap_err(), SocketError::NotASocket { .. }));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "keep me");
}
