//! The command line: what can be typed, and the commands that speak to a running agent.
//!
//! `show`, the acts and `reload` are clients of the agent's socket and know nothing but its lines; `check`,
//! `run` and `demo` hand over to their rooms; `opcua` works on the
//! certificate folder, `verify` and `journal` on the store, `explain` and `replay` on either. Exit codes: 0 done, 1 a problem was found or an act refused,
//! 2 wrong usage, 3 the agent cannot be reached.

mod acts;
mod args;
mod backtest;
mod check;
mod client;
mod explain;
mod history;
mod journal;
mod language;
mod opcua;
mod place;
mod run;
mod schema;
mod tables;
mod tools;
mod withhold;

#[cfg(test)]
pub(crate) use run::RUNTIME_ENDS_WITHIN;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde::de::DeserializeOwned;

use crate::causes::chain;
use crate::config;
use crate::console::socket::{Answer, Question, What};
use acts::HazardDeed;
use args::{Cli, Command, HazardArgs, ShowArgs, Where};
use client::{Client, ClientError};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Done,
    /// A problem was found, or an act was refused.
    Refused,
    /// Beside clap's own: an address that is none.
    Usage,
    Unreachable,
}

impl Outcome {
    fn worse(self, other: Self) -> Self {
        self.max(other)
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::from(0),
            Outcome::Refused => Self::from(1),
            Outcome::Usage => Self::from(2),
            Outcome::Unreachable => Self::from(3),
        }
    }
}

/// Where a command writes. A reader that has closed its end (`| head`) is no problem of ours.
struct Screen<'a> {
    out: Box<dyn Write + 'a>,
    err: Box<dyn Write + 'a>,
    /// Columns of the terminal; `None`: it is none, and nothing is wrapped.
    width: Option<u16>,
    /// Problems may be coloured: they go to a terminal, and NO_COLOR is not set.
    colour: bool,
}

impl Screen<'static> {
    fn of_process() -> Self {
        let out = io::stdout();
        let width = out
            .is_terminal()
            .then(|| rustix::termios::tcgetwinsize(&out).ok())
            .flatten()
            .map(|size| size.ws_col);
        let err = io::stderr();
        let colour = err.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Self { out: Box::new(out), err: Box::new(err), width: width.filter(|columns| *columns > 0), colour }
    }
}

impl<'a> Screen<'a> {
    #[cfg(test)]
    fn to(out: &'a mut Vec<u8>, err: &'a mut Vec<u8>, width: Option<u16>) -> Self {
        Self { out: Box::new(out), err: Box::new(err), width, colour: false }
    }

    fn say(&mut self, text: &str) {
        drop(writeln!(self.out, "{text}"));
    }

    fn problem(&mut self, text: &str) {
        drop(writeln!(self.err, "{text}"));
    }
}

/// Reads the command line and does as it says.
pub fn main() -> ExitCode {
    obey(Cli::parse().command, &mut Screen::of_process())
}

fn obey(command: Command, screen: &mut Screen) -> ExitCode {
    let outcome = match command {
        Command::Language(args) => language::show(&args, screen),
        Command::Probe(args) => tools::probe(&args, screen),
        Command::Scan(args) => tools::scan(&args, screen),
        Command::Browse(args) => tools::browse(&args, screen),
        #[cfg(feature = "demo")]
        Command::Demo(args) => return run::demo(&args),
        Command::Run(args) if args.once => run::once(&args.config, screen),
        Command::Run(args) => run::run(&args.config, screen),
        Command::Schema(args) => schema::tell(args.dir.as_deref(), screen),
        Command::Check(args) => check::check(&args.path, screen),
        Command::Show(args) => speak(&args.agent, screen, |client, screen| show(&args, client, screen)),
        Command::Ack(args) => speak(&args.agent, screen, |client, screen| {
            acts::acknowledge(client, &args.alarms, &args.by, screen)
        }),
        Command::Confirm(args) => judge(HazardDeed::Confirm, &args, screen),
        Command::Rectify(args) => judge(HazardDeed::Rectify, &args, screen),
        Command::Accept(args) => judge(HazardDeed::Accept, &args, screen),
        Command::Reject(args) => speak(&args.agent, screen, |client, screen| {
            acts::judge(client, HazardDeed::Reject, &args.hazards, &args.by, Some(&args.why), screen)
        }),
        Command::Record(args) => {
            speak(&args.agent, screen, |client, screen| acts::record(client, &args, screen))
        }
        Command::Reset(args) => withhold::reset(&args, screen),
        Command::Shelve(args) => withhold::shelve(&args, screen),
        Command::Unshelve(args) => withhold::unshelve(&args, screen),
        Command::OutOfService(args) => withhold::take_out(&args, screen),
        Command::InService(args) => withhold::put_back(&args, screen),
        Command::Stop(args) => withhold::stop(&args, screen),
        Command::Start(args) => withhold::start(&args, screen),
        Command::Reload(args) => speak(&args.agent, screen, |client, screen| {
            let answer = client.ask(&Question::Reload)?;
            Ok(acts::told(answer, "已重新读取配置 configuration read anew", "", screen))
        }),
        Command::Explain(args) => explain::explain(&args, screen),
        Command::Replay(args) => explain::replay_again(&args, screen),
        Command::Verify(args) => journal::verify(&args, screen),
        Command::Journal(args) => journal::journal(&args, screen),
        Command::History(args) => history::obey(&args, crate::clock::now().wall, screen),
        Command::Backtest(args) => backtest::obey(&args, crate::clock::now, screen),
        Command::Opcua(command) => opcua::obey(&command, screen),
    };
    outcome.into()
}

fn judge(deed: HazardDeed, args: &HazardArgs, screen: &mut Screen) -> Outcome {
    speak(&args.agent, screen, |client, screen| {
        acts::judge(client, deed, &args.hazards, &args.by, args.why.as_deref(), screen)
    })
}

/// Speaks to the agent and tells what it said.
fn speak(
    agent: &Where,
    screen: &mut Screen,
    command: impl FnOnce(&mut Client, &mut Screen) -> Result<Outcome, ClientError>,
) -> Outcome {
    let socket = match socket_of(agent, screen) {
        Ok(socket) => socket,
        Err(outcome) => return outcome,
    };
    let spoken = Client::connect(&socket).and_then(|mut client| command(&mut client, screen));
    spoken.unwrap_or_else(|error| {
        screen.problem(&chain(&error));
        Outcome::Unreachable
    })
}

fn show(args: &ShowArgs, client: &mut Client, screen: &mut Screen) -> Result<Outcome, ClientError> {
    if args.json {
        let shown: serde_json::Value = shown(client, args.what)?;
        screen.say(&format!("{shown:#}"));
    } else {
        // Ages need the board's own time, which only the whole board has.
        let view = shown(client, What::All)?;
        let width = screen.width;
        screen.say(&tables::render(&view, args.what, width));
    }
    Ok(Outcome::Done)
}

fn shown<T: DeserializeOwned>(client: &mut Client, what: What) -> Result<T, ClientError> {
    match client.ask(&Question::Show { what })? {
        Answer::Shown { shown } => client.understand(shown),
        Answer::Done { .. } | Answer::Refused { .. } | Answer::Pong { .. } | Answer::Error { .. } => {
            Err(ClientError::Said {
                why: "网关程序的回答不符 / the agent answered something else".to_owned(),
            })
        }
    }
}

/// Which socket: the one named, the configuration's, or the usual one.
fn socket_of(agent: &Where, screen: &mut Screen) -> Result<PathBuf, Outcome> {
    match (&agent.socket, &agent.config) {
        (Some(socket), _) => Ok(socket.clone()),
        (None, Some(folder)) => {
            let site = site_of(folder, "its socket is not known: mend it, or give --socket", screen)?;
            place::socket_of(&site, screen)
        }
        (None, None) => Ok(place::usual_socket()),
    }
}

/// What a configuration says of the gateway. `else_what`: what follows where it is refused.
fn site_of(folder: &Path, else_what: &str, screen: &mut Screen) -> Result<config::Site, Outcome> {
    config::check(folder).map(|checked| checked.site).map_err(|problems| {
        screen.problem(&problems.render(screen.colour));
        let path = folder.display();
        screen.problem(&format!("配置有错误，未执行 / the configuration {path} is refused, so {else_what}"));
        Outcome::Refused
    })
}
