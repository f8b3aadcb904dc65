//! The local socket: questions about the board, and the acts of named persons.
//!
//! JSON lines both ways, one request a line, one connection for one or several. Who may speak is decided by
//! the kernel's word on the peer (`SO_PEERCRED`): the user that the agent runs as, or root. The name in an
//! act is what that user says; both go on to the pump. Acts and reloads are answered by the pump, after
//! commit; questions are answered from the board.
//!
//! ```text
//! {"ask":"show","what":"alarms"}                              {"answer":"shown","shown":[…]}
//! {"ask":"act","by":"王敏","deed":"acknowledge","alarm":"…"}  {"answer":"done","durable":true,"said":""}
//! {"ask":"reload"}                                            {"answer":"refused","why":"…"}
//! {"ask":"explain","id":"GD-101/HH"}                          {"answer":"shown","shown":{…}}
//! {"ask":"ping"}                                              {"answer":"pong","version":7}
//! ```

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use riskgate_engine::Act;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::BoardHandle;
use super::view::{BoardView, OutboxView};
use crate::causes::chain;
use crate::explain;
use crate::history::History;

/// A request is a name, an id and a reason; this is room for a long reason many times over.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Persons at their keyboards and a script or two.
const CONNECTIONS_MAX: usize = 32;

/// A connection without a request for so long gives its place back.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that does not read its answer for so long has gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pump answers an act after commit, and after 2 s without one; a reload reads the configuration too.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long answers under way may take once we stop; the whole agent has 5 s.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(1);

/// How long after a failed accept (too many open files) it is tried again.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// What the pump is asked for. `uid` is the kernel's word on who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Act {
        act: Act,
        uid: u32,
    },
    /// Read the configuration anew, check it, and swap it in between two inputs.
    Reload {
        uid: u32,
    },
}

/// What the pump answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Carried out. `durable` is false where the commit has not returned in time: it will be committed.
    /// `said` is for the person: empty, or what a reload changed.
    Done { durable: bool, said: String },
    /// Nothing has changed, and why.
    Refused { why: String },
}

/// One line to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Question {
    Show {
        what: What,
    },
    /// Why the alarm or the hazard of this id is there.
    Explain {
        id: String,
    },
    Act(Act),
    Reload,
    Ping,
}

/// Which part of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// 全部: all of the below.
    All,
    /// 报警: open alarms.
    Alarms,
    /// 搁置: alarms that a person has shelved for a while.
    Shelved,
    /// 设计抑制: alarms of stopped units.
    Suppressed,
    /// 停用: alarms that a person has taken out of service.
    OutOfService,
    /// 停用检维修: units that are stopped.
    Stops,
    /// 试运行规则: what shadow rules would have told.
    Shadow,
    /// 报警质量: how many alarms, how they cluster, which are the worst.
    Quality,
    /// 排查任务完成率、隐患整改率、风险分析完成率: this week and the last.
    Indicators,
    /// 隐患: being rectified or awaiting acceptance.
    Hazards,
    /// 待确认: a person has to judge.
    Candidates,
    /// 排查任务: boosted, suspended and overdue tasks.
    Tasks,
    /// 单元: the class of each risk unit.
    Units,
    /// 数据源: connections into the plant.
    Sources,
    /// 待发队列: what waits for the broker.
    Outbox,
}

/// One line from us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    Shown {
        shown: serde_json::Value,
    },
    Done {
        durable: bool,
        said: String,
    },
    Refused {
        why: String,
    },
    Pong {
        version: u64,
    },
    /// It was no request, or not from one who may ask, or nobody answered it.
    Error {
        why: String,
    },
}

/// Where acts and reloads go.
pub type Requests = mpsc::Sender<(Request, oneshot::Sender<Reply>)>;

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("已有网关程序在运行 / another agent answers on {}: stop it first, or give this one its own [console] socket", path.display())]
    Live { path: PathBuf },
    #[error("{} exists and is no socket: it is not removed; move it away or set [console] socket", path.display())]
    NotASocket { path: PathBuf },
    #[error("{what} {}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("ask the kernel who we are")]
    OwnUid { source: io::Error },
}

/// Binds the socket, for the owner and the group. A file that a dead agent left is removed; a socket on
/// which somebody answers is an error, and so is any other file.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |what| move |source| SocketError::Io { what, path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed("make the folder of the socket"))?;
    }
    clear(path)?;
    let listener = UnixListener::bind(path).map_err(failed("bind the socket"))?;
    let mode = std::fs::Permissions::from_mode(0o660);
    std::fs::set_permissions(path, mode).map_err(failed("set the mode of the socket"))?;
    Ok(listener)
}

fn clear(path: &Path) -> Result<(), SocketError> {
    let failed = |what| move |source| SocketError::Io { what, path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at the socket")(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(SocketError::Live { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed("remove the stale socket"))
        }
        Err(error) => Err(failed("try the socket that is there already")(error)),
    }
}

/// Serves until `stop`; answers under way get a second, then the socket file is removed.
pub async fn serve(
    listener: UnixListener,
    board: BoardHandle,
    history: Option<History>,
    requests: Requests,
    stop: CancellationToken,
) -> Result<(), SocketError> {
    let own_uid = own_uid().map_err(|source| SocketError::OwnUid { source })?;
    let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
    let speaker = Speaker { board, history, requests, stop: stop.clone() };
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if open.len() >= CONNECTIONS_MAX => {
                    turn_away(&stream, &format!("连接过多，请稍后再试 / {CONNECTIONS_MAX} connections are open already; try again"));
                }
                Ok((stream, _)) => match peer(&stream, own_uid) {
                    Ok(uid) => drop(open.spawn(speaker.clone().converse(stream, uid))),
                    Err(why) => turn_away(&stream, &why),
                },
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            },
            Some(_) = open.join_next() => {}
        }
    }
    drop(listener);
    // What is not answered by then is cut off: the client says that it does not know what became of it.
    drop(tokio::time::timeout(DRAIN_MAX, async { while open.join_next().await.is_some() {} }).await);
    match path.map(|path| (std::fs::remove_file(&path), path)) {
        Some((Err(source), path)) if source.kind() != ErrorKind::NotFound => {
            Err(SocketError::Io { what: "remove the socket", path, source })
        }
        Some(_) | None => Ok(()),
    }
}

/// The kernel tells both ends of a pair who made it.
fn own_uid() -> io::Result<u32> {
    let (end, _other) = UnixStream::pair()?;
    Ok(end.peer_cred()?.uid())
}

/// Who is allowed to speak: the agent's own user, and root.
pub fn admits(peer_uid: u32, own_uid: u32) -> bool {
    peer_uid == own_uid || peer_uid == 0
}

fn peer(stream: &UnixStream, own_uid: u32) -> Result<u32, String> {
    match stream.peer_cred() {
        Ok(peer) if admits(peer.uid(), own_uid) => Ok(peer.uid()),
        Ok(peer) => Err(format!(
            "用户 {uid} 无权操作此网关程序，请用 sudo / user {uid} may not speak to this agent, which runs as user \
             {own_uid}; ask as that user or as root",
            uid = peer.uid()
        )),
        Err(error) => Err(format!("无法确认用户 / the kernel does not say who you are: {error}")),
    }
}

/// Says why, as far as one write goes: a stranger is not waited for.
fn turn_away(stream: &UnixStream, why: &str) {
    // A stranger who does not take the sentence goes without it.
    drop(stream.try_write(&line_of(&Answer::Error { why: why.to_owned() })));
}

fn line_of(answer: &Answer) -> Vec<u8> {
    let mut line = serde_json::to_vec(answer).unwrap_or_else(|error| {
        let why = error.to_string().replace(['"', '\\'], "'");
        format!(r#"{{"answer":"error","why":"the answer is no JSON: {why}"}}"#).into_bytes()
    });
    line.push(b'\n');
    line
}

/// What one connection needs.
#[derive(Clone)]
struct Speaker {
    board: BoardHandle,
    /// Beside the store. `None`: there is neither.
    history: Option<History>,
    requests: Requests,
    stop: CancellationToken,
}

enum Heard {
    Line(Vec<u8>),
    TooLong,
    End,
}

impl Speaker {
    async fn converse(self, stream: UnixStream, uid: u32) {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        loop {
            let heard = tokio::select! {
                () = self.stop.cancelled() => return,
                heard = tokio::time::timeout(READ_TIMEOUT, hear(&mut reader)) => heard,
            };
            let (answer, last) = match heard {
                Ok(Ok(Heard::Line(line))) => (self.answer(&line, uid).await, false),
                Ok(Ok(Heard::TooLong)) => {
                    (Answer::Error { why: format!("a request is at most {LINE_BYTES_MAX} bytes") }, true)
                }
                Err(_) => {
                    (Answer::Error { why: format!("no request in {} s", READ_TIMEOUT.as_secs()) }, true)
                }
                Ok(Ok(Heard::End) | Err(_)) => return,
            };
            let line = line_of(&answer);
            let written = tokio::time::timeout(WRITE_TIMEOUT, writer.write_all(&line)).await;
            if last || !matches!(written, Ok(Ok(()))) {
                return;
            }
        }
    }

    async fn answer(&self, line: &[u8], uid: u32) -> Answer {
        match serde_json::from_slice(line) {
            Ok(Question::Show { what }) => show(&self.board, what),
            Ok(Question::Explain { id }) => self.explain(&id).await,
            Ok(Question::Ping) => Answer::Pong { version: self.board.read().version() },
            Ok(Question::Act(act)) => self.ask(Request::Act { act, uid }).await,
            Ok(Question::Reload) => self.ask(Request::Reload { uid }).await,
            Err(error) => Answer::Error { why: format!("this is no request: {error}") },
        }
    }

    async fn explain(&self, id: &str) -> Answer {
        let asked = explain::asked(&self.board, self.history.as_ref(), id);
        match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(Ok(explained)) => match serde_json::to_value(explained) {
                Ok(shown) => Answer::Shown { shown },
                Err(error) => Answer::Error { why: format!("the explanation is no JSON: {error}") },
            },
            Ok(Err(error)) => Answer::Refused { why: chain(&error) },
            Err(_) => Answer::Error {
                why: format!("磁盘没有响应 / the disk has not answered in {} s", ANSWER_TIMEOUT.as_secs()),
            },
        }
    }

    async fn ask(&self, request: Request) -> Answer {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.requests.send((request, reply)).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(Some(Reply::Done { durable, said })) => Answer::Done { durable, said },
            Ok(Some(Reply::Refused { why })) => Answer::Refused { why },
            Ok(None) => Answer::Error {
                why: "网关程序正在停止 / the agent is stopping; look with `riskgate show` later".to_owned(),
            },
            Err(_) => Answer::Error {
                why: format!(
                    "网关程序没有及时回答，操作可能仍会完成，请用 riskgate show 查看 / the agent has not answered in {} s; it may \
                     still do it: look with `riskgate show`",
                    ANSWER_TIMEOUT.as_secs()
                ),
            },
        }
    }
}

/// One line without its end. What follows a line that is too long is not read.
async fn hear(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Heard> {
    let limit = u64::try_from(LINE_BYTES_MAX + 1).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let count = reader.take(limit).read_until(b'\n', &mut line).await?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Heard::Line(line));
    }
    Ok(match count {
        0 => Heard::End,
        _ if count > LINE_BYTES_MAX => Heard::TooLong,
        // The client closed its side after its last request, without the end of the line.
        _ => Heard::Line(line),
    })
}

fn show(board: &BoardHandle, what: What) -> Answer {
    let view = BoardView::of(board);
    let shown = match what {
        What::All => serde_json::to_value(view),
        What::Alarms => serde_json::to_value(view.alarms),
        What::Shelved => serde_json::to_value(view.shelved),
        What::Suppressed => serde_json::to_value(view.suppressed),
        What::OutOfService => serde_json::to_value(view.out_of_service),
        What::Stops => serde_json::to_value(view.stops),
        What::Shadow => serde_json::to_value(view.shadows),
        What::Quality => serde_json::to_value(view.quality),
        What::Indicators => serde_json::to_value(view.indicators),
        What::Hazards => serde_json::to_value(view.hazards),
        What::Candidates => serde_json::to_value(view.candidates),
        What::Tasks => serde_json::to_value(view.tasks),
        What::Units => serde_json::to_value(view.units),
        What::Sources => serde_json::to_value(view.sources),
        What::Outbox => serde_json::to_value::<OutboxView>(view.outbox),
    };
    match shown {
        Ok(shown) => Answer::Shown { shown },
        Err(error) => Answer::Error { why: format!("the board is no JSON: {error}") },
    }
}

#[cfg(test)]
mod tests;
