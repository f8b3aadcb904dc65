//! `riskgate opcua`: which servers' certificates are trusted, and our own.
//!
//! It works on the certificate folder itself: trust has to be given also while the agent cannot run, and the
//! agent looks at the folder by itself.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use riskgate_drivers::opcua::{
    Certificate, FileError, Identities, Known, Own, OwnError, Pki, Standing, TrustError, date,
};
use riskgate_point::Wall;
use serde_json::json;

use super::args::{OpcuaCommand, PkiArgs, StoreDir};
use super::place::place_or;
use super::{Outcome, Screen};
use crate::app::TrustAct;
use crate::causes::chain;
use crate::clock;

pub(super) fn obey(command: &OpcuaCommand, screen: &mut Screen) -> Outcome {
    let given = match command {
        OpcuaCommand::List(pki)
        | OpcuaCommand::Show { pki, .. }
        | OpcuaCommand::Trust { pki, .. }
        | OpcuaCommand::Distrust { pki, .. } => pki,
    };
    let pki = match folder_of(given, screen) {
        Ok(folder) => Pki::new(folder),
        Err(outcome) => return outcome,
    };
    let now = clock::now().wall;
    let done = match command {
        OpcuaCommand::List(_) => list(&pki, now, screen),
        OpcuaCommand::Show { which, .. } if which == "own" => show_own(&pki, screen),
        OpcuaCommand::Show { which, .. } => {
            pki.find(which).map(|known| screen.say(&in_full(&known))).map_err(Failed::from)
        }
        OpcuaCommand::Trust { which, as_it_is, .. } => trust(&pki, which, *as_it_is, now, screen),
        OpcuaCommand::Distrust { which, .. } => distrust(&pki, which, now, screen),
    };
    match done {
        Ok(()) => Outcome::Done,
        Err(failed) => {
            screen.problem(&format!("未执行 refused: {}", failed.in_words(&pki)));
            Outcome::Refused
        }
    }
}

/// The folder named, the configuration's, the service manager's, or the usual one.
fn folder_of(given: &PkiArgs, screen: &mut Screen) -> Result<PathBuf, Outcome> {
    let PkiArgs { pki, config } = given;
    match pki {
        Some(folder) => Ok(folder.clone()),
        None => {
            let store = StoreDir { dir: None, config: config.clone() };
            place_or(&store, "--pki", screen).map(|place| place.dir.join("pki"))
        }
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Own(#[from] OwnError),
    #[error(
        "网关还没有自己的证书 / the gateway has no certificate of its own yet: the agent makes one at its first \
         start with a secured OPC UA source (riskgate run --config PATH --once does too)"
    )]
    NoOwn,
}

impl Failed {
    fn is_forbidden(&self) -> bool {
        let (Self::File(error) | Self::Trust(TrustError::File(error)) | Self::Own(OwnError::File(error))) =
            self
        else {
            return false;
        };
        error.cause.kind() == std::io::ErrorKind::PermissionDenied
    }

    fn in_words(&self, pki: &Pki) -> String {
        let said = chain(self);
        if self.is_forbidden() {
            return format!(
                "{said}; 请用 sudo / use sudo, or the agent's user (sudo -u riskgate riskgate opcua …)"
            );
        }
        match absence(pki) {
            Some(absence) => format!("{said}; {absence}"),
            None => said,
        }
    }
}

/// A folder that is not there is more likely another one than an agent that never ran.
fn absence(pki: &Pki) -> Option<String> {
    let folder = pki.folder();
    (!folder.is_dir()).then(|| {
        format!(
            "没有文件夹 / there is no folder {}: an agent that was started by hand is found by --config PATH",
            folder.display()
        )
    })
}

fn list(pki: &Pki, now: Wall, screen: &mut Screen) -> Result<(), Failed> {
    let listed = pki.list()?;
    if let Some(Identities { current, next }) = pki.own()? {
        screen.say(&format!("本网关 own: {}", current.certificate.in_words()));
        if let Some(next) = next {
            screen.say(&format!("将接替 to follow it: {}", next.certificate.in_words()));
        }
    }
    if listed.known.is_empty() {
        screen.say("服务器证书 servers' certificates: 无 none");
        if let Some(absence) = absence(pki) {
            screen.problem(&absence);
        }
    } else {
        let table = table(&listed.known, screen.width);
        screen.say(&table);
    }
    for known in listed.known.iter().filter(|known| known.standing == Standing::Refused) {
        let why = known.notes.why.as_deref().unwrap_or("拒绝 refused");
        screen.say(&format!("{}: {why}", short(&known.certificate)));
    }
    for known in listed.known.iter().filter(|known| known.standing == Standing::Trusted) {
        if let Some(said) = ends_soon(&known.certificate, now) {
            screen.say(&said);
        }
    }
    for (file, why) in &listed.unreadable {
        screen.say(&format!("忽略 ignored {}: {why}", file.display()));
    }
    Ok(())
}

/// Three months ahead: its renewal at the server is a change that a person has to trust here.
fn ends_soon(certificate: &Certificate, now: Wall) -> Option<String> {
    let (_, end) = certificate.validity();
    let days = (end.0 - now.0) / 86_400_000;
    (days < 90).then(|| {
        format!(
            "{}: {} 到期 ends on {}; 服务器换证后须在此信任新证书 when the server has a new one, trust it here",
            short(certificate),
            if days < 0 { "已" } else { "将" },
            date(end)
        )
    })
}

fn table(known: &[Known], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "状态 standing",
        "主体 subject",
        "到期 valid to",
        "数据源 source",
        "服务器 server",
        "指纹 thumbprint",
    ]);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for known in known {
        table.add_row([
            standing(known),
            known.certificate.subject(),
            date(known.certificate.validity().1),
            known.notes.source.clone().unwrap_or_default(),
            known.notes.url.clone().unwrap_or_default(),
            known.certificate.thumbprint().to_string(),
        ]);
    }
    table.to_string()
}

fn standing(known: &Known) -> String {
    match (known.standing, known.notes.distrusted, known.notes.as_it_is) {
        (Standing::Trusted, _, false) => "信任 trusted",
        (Standing::Trusted, _, true) => "信任（不论瑕疵） trusted as it is",
        (Standing::Refused, false, _) => "拒绝 refused",
        (Standing::Refused, true, _) => "人工撤销 distrusted",
    }
    .to_owned()
}

/// Enough to type.
fn short(certificate: &Certificate) -> String {
    certificate.thumbprint().as_str().chars().take(8).collect()
}

fn show_own(pki: &Pki, screen: &mut Screen) -> Result<(), Failed> {
    let Identities { current, next } = pki.own()?.ok_or(Failed::NoOwn)?;
    screen.say("本网关的证书 / the gateway's own: 在服务器一侧由“拒绝”移到“信任” at the server, move it from rejected to trusted");
    screen.say(&own_lines(&current));
    if let Some(next) = next {
        screen.say(&format!(
            "\n将接替它 / to follow it after {}: 请在此之前在各服务器上信任它 let each server trust it before then",
            date(current.certificate.validity().1)
        ));
        screen.say(&own_lines(&next));
    }
    Ok(())
}

fn own_lines(own: &Own) -> String {
    let mut said = certificate_lines(&own.certificate);
    said.push(("文件 file", own.certificate_file.display().to_string()));
    lines(&said)
}

fn in_full(known: &Known) -> String {
    let notes = &known.notes;
    let time = |at: Wall| Timestamp::from_millisecond(at.0).map(|time| time.to_string()).unwrap_or_default();
    let mut said = certificate_lines(&known.certificate);
    said.push(("状态 standing", standing(known)));
    let optional = [
        ("原因 why", notes.why.clone()),
        ("数据源 source", notes.source.clone()),
        ("服务器 server", notes.url.clone()),
        ("时间 since", notes.at.map(time)),
    ];
    said.extend(optional.into_iter().filter_map(|(name, text)| Some((name, text?))));
    for (url, since) in &notes.servers {
        said.push(("已接受 accepted", format!("{url}, {}", time(*since))));
    }
    said.push(("文件 file", known.file.display().to_string()));
    lines(&said)
}

fn certificate_lines(certificate: &Certificate) -> Vec<(&'static str, String)> {
    let (begin, end) = certificate.validity();
    vec![
        ("主体 subject", certificate.subject()),
        ("签发 issuer", certificate.issuer()),
        ("有效 valid", format!("{} - {}", date(begin), date(end))),
        ("应用 application", certificate.application_uri().unwrap_or_default()),
        ("主机 hosts", certificate.hosts().join(", ")),
        ("密钥 key", format!("RSA {}", certificate.key_bits())),
        ("指纹 thumbprint", certificate.thumbprint().to_string()),
        ("SHA-256", certificate.sha256()),
    ]
}

/// Names in a column of their own, by the width of CJK letters.
fn lines(said: &[(&'static str, String)]) -> String {
    use unicode_width::UnicodeWidthStr;
    let line = |(name, text): &(&'static str, String)| {
        let blanks = " ".repeat(18_usize.saturating_sub(name.width()));
        format!("{name}{blanks}{text}")
    };
    said.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn trust(pki: &Pki, which: &str, as_it_is: bool, now: Wall, screen: &mut Screen) -> Result<(), Failed> {
    let known = pki.trust(which, as_it_is, now)?;
    leave(pki, "trust", &known.certificate, as_it_is, now, screen);
    screen.say(&format!("已信任 trusted  {}", known.certificate.in_words()));
    screen.say("网关程序几秒内重试 the agent tries it within seconds: riskgate show sources");
    Ok(())
}

fn distrust(pki: &Pki, which: &str, now: Wall, screen: &mut Screen) -> Result<(), Failed> {
    let known = pki.distrust(which, now)?;
    leave(pki, "distrust", &known.certificate, false, now, screen);
    screen.say(&format!("不再信任 distrusted  {}", known.certificate.in_words()));
    screen.say("网关程序几秒内断开 the agent ends its session within seconds");
    Ok(())
}

/// For the journal, which the agent keeps. The deed is done: that it is not journalled is told and no refusal.
fn leave(pki: &Pki, what: &str, certificate: &Certificate, as_it_is: bool, now: Wall, screen: &mut Screen) {
    // The kernel's word on who it is, and the name that the person came with.
    let uid = std::fs::metadata("/proc/self").map(|process| process.uid()).ok();
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let act = TrustAct {
        at: now.0,
        by: name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned()),
        what: what.to_owned(),
        body: json!({
            "certificate": certificate.thumbprint().as_str(),
            "subject": certificate.subject(),
            "as_it_is": as_it_is,
            "uid": uid,
        }),
    };
    let left = serde_json::to_string(&act).map_err(|error| chain(&error)).and_then(|text| {
        let name = format!("{:015}-{}", now.0, std::process::id());
        pki.leave_act(&name, &text).map_err(|error| chain(&error))
    });
    if let Err(why) = left {
        screen.problem(&format!("未记入日志 not journalled: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(command: &OpcuaCommand) -> (Outcome, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = obey(command, &mut Screen::to(&mut out, &mut err, None));
        let text = [out, err].concat();
        (outcome, String::from_utf8(text).expect("UTF-8"))
    }

    #[test]
    fn before_the_first_start_it_says_so_and_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let pki = PkiArgs { pki: Some(folder.path().join("pki")), config: None };
        let (outcome, text) = said(&OpcuaCommand::List(pki.clone()));
        assert_eq!(outcome, Outcome::Done);
        assert!(text.contains("无 none"), "{text}");
        let (outcome, text) = said(&OpcuaCommand::Show { which: "own".to_owned(), pki: pki.clone() });
        assert_eq!(outcome, Outcome::Refused);
        assert!(text.contains("no certificate of its own yet") && text.contains("--config PATH"), "{text}");
        for which in ["3f9c21d4", "no such file.der"] {
            let (outcome, text) =
                said(&OpcuaCommand::Trust { which: which.to_owned(), as_it_is: false, pki: pki.clone() });
            assert_eq!(outcome, Outcome::Refused);
            assert!(text.contains(which), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named_and_trusted_by_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("server.der");
        std::fs::write(&file, "no certificate").expect("a file");
        let pki = PkiArgs { pki: Some(folder.path().join("pki")), config: None };
        let which = file.display().to_string();
        let (outcome, text) =
            said(&OpcuaCommand::Trust { which: which.clone(), as_it_is: false, pki: pki.clone() });
        assert_eq!(outcome, Outcome::Refused);
        assert!(text.contains(&which) && text.contains("no X.509 certificate"), "{text}");
        let trusted = folder.path().join("pki/trusted");
        std::fs::create_dir_all(&trusted).expect("a folder");
        std::fs::copy(&file, trusted.join("server.der")).expect("a file");
        let (outcome, text) = said(&OpcuaCommand::List(pki));
        assert_eq!(outcome, Outcome::Done);
        assert!(text.contains("忽略 ignored") && text.contains("server.der"), "{text}");
    }
}
