//! Speaks to a running agent over its socket: one line there, one line back. Blocking: a command waits for
//! nothing else.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::console::socket::{Answer, Question};

/// Longer than the agent waits for its own pump.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A board of 10,000 alarms is about 15 MB; what is longer is no board.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

const NAME: &str = "riskgate.sock";
pub(super) const SYSTEM_SOCKET: &str = "/run/riskgate/riskgate.sock";

#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error(
        "联系不上网关程序 / no agent answers on {}: is it running? 手工启动的须加 --config / one that was started by \
         hand (riskgate run --config PATH) is found by the same --config PATH",
        path.display()
    )]
    NoAgent { path: PathBuf, source: io::Error },
    #[error(
        "无权访问 / {} may not be opened: ask as the agent's user or as root (sudo -u riskgate riskgate …)",
        path.display()
    )]
    NotAllowed { path: PathBuf, source: io::Error },
    #[error(
        "网关程序在回答前断开 / the agent on {} ended before it answered: whether it was done, `riskgate show` tells",
        path.display()
    )]
    CutOff { path: PathBuf },
    #[error("与网关程序通信失败 / talk to the agent on {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "与网关程序的版本不一致 / the agent on {} answers in another way than this riskgate: are they the same version?",
        path.display()
    )]
    NotUnderstood { path: PathBuf, source: serde_json::Error },
    #[error("{why}")]
    Said { why: String },
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Client {
    pub(super) fn connect(path: &Path) -> Result<Self, ClientError> {
        let owned = || path.to_owned();
        let stream = UnixStream::connect(path).map_err(|source| {
            if source.kind() == ErrorKind::PermissionDenied {
                ClientError::NotAllowed { path: owned(), source }
            } else {
                ClientError::NoAgent { path: owned(), source }
            }
        })?;
        for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
            set(&stream, Some(ANSWER_TIMEOUT)).map_err(|source| ClientError::Io { path: owned(), source })?;
        }
        Ok(Self { path: owned(), stream: BufReader::new(stream) })
    }

    /// The answer; an [`Answer::Error`] is an error here.
    pub(super) fn ask(&mut self, question: &Question) -> Result<Answer, ClientError> {
        let failed = |path: &Path, source: io::Error| {
            if matches!(source.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
                ClientError::CutOff { path: path.to_owned() }
            } else {
                ClientError::Io { path: path.to_owned(), source }
            }
        };
        let not_understood = |source| ClientError::NotUnderstood { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(question).map_err(not_understood)?;
        line.push(b'\n');
        // One who was turned away finds the reason below even where the write fails.
        let written = self.stream.get_mut().write_all(&line);
        let mut answer = Vec::new();
        let read = Read::take(&mut self.stream, ANSWER_BYTES_MAX).read_until(b'\n', &mut answer);
        if answer.is_empty() {
            written.map_err(|source| failed(&self.path, source))?;
            read.map_err(|source| failed(&self.path, source))?;
            return Err(ClientError::CutOff { path: self.path.clone() });
        }
        let not_understood = |source| ClientError::NotUnderstood { path: self.path.clone(), source };
        match serde_json::from_slice(&answer).map_err(not_understood)? {
            Answer::Error { why } => Err(ClientError::Said { why }),
            answer @ (Answer::Shown { .. }
            | Answer::Done { .. }
            | Answer::Refused { .. }
            | Answer::Pong { .. }) => Ok(answer),
        }
    }

    /// What was shown, as what it has to be.
    pub(super) fn understand<T: DeserializeOwned>(&self, shown: serde_json::Value) -> Result<T, ClientError> {
        let not_understood = |source| ClientError::NotUnderstood { path: self.path.clone(), source };
        serde_json::from_value(shown).map_err(not_understood)
    }
}

/// Where an agent answers when nobody says where: the service manager's folder of this process, else that of
/// the service. The first that is there; the last where none is.
pub(super) fn default_socket(runtime_directory: Option<&str>) -> PathBuf {
    // systemd joins several folders with colons.
    let own =
        runtime_directory.and_then(|folders| folders.split(':').next()).filter(|first| !first.is_empty());
    match own.map(|folder| Path::new(folder).join(NAME)) {
        Some(socket) if socket.exists() => socket,
        Some(_) | None => PathBuf::from(SYSTEM_SOCKET),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::console::socket::What;

    /// Shows `judge` what the client makes of an agent that reads one line and answers `answer`.
    fn check(answer: &'static str, judge: impl FnOnce(Result<Answer, ClientError>)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (stream, _) = listener.accept().unwrap();
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                assert_eq!(line, "{\"ask\":\"show\",\"what\":\"units\"}\n");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            });
            let mut client = Client::connect(&path).unwrap();
            judge(client.ask(&Question::Show { what: What::Units }));
        });
    }

    #[test]
    fn an_answer_is_one_line_and_an_agent_that_ends_is_said() {
        check("{\"answer\":\"shown\",\"shown\":[]}\n", |answer| {
            assert_eq!(answer.unwrap(), Answer::Shown { shown: serde_json::json!([]) });
        });
        check("", |answer| assert!(matches!(answer, Err(ClientError::CutOff { .. }))));
        check("hello\n", |answer| assert!(matches!(answer, Err(ClientError::NotUnderstood { .. }))));
        check("{\"answer\":\"error\",\"why\":\"user 1000 may not\"}\n", |answer| {
            assert_eq!(answer.unwrap_err().to_string(), "user 1000 may not");
        });
    }

    #[test]
    fn without_an_agent_the_socket_is_named_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let error = Client::connect(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.contains("is it running?") && error.contains("--config PATH"), "{error}");
    }

    #[test]
    fn the_socket_of_the_service_managers_folder_comes_first_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let given = format!("{}:/elsewhere", folder.path().display());
        assert_eq!(default_socket(Some(&given)), Path::new(SYSTEM_SOCKET));
        std::fs::write(folder.path().join(NAME), "").unwrap();
        assert_eq!(default_socket(Some(&given)), folder.path().join(NAME));
        assert_eq!(default_socket(Some("")), Path::new(SYSTEM_SOCKET));
        assert_eq!(default_socket(None), Path::new(SYSTEM_SOCKET));
    }
}
