//! `[[source]]` of kind `opcua`.

use std::time::Duration;

use riskgate_drivers::opcua::{self, Channel, Mode, Password, Policy, Security, User, UserCertificate};
use riskgate_point::SourceId;

use super::{Kind, PERIOD_MAX, PERIOD_MIN, TIMEOUT_MAX, TIMEOUT_MIN};
use crate::config::address;
use crate::config::fields::Fields;
use crate::config::secret::{SecretFile, Whose};
use crate::config::site::user;

const DEFAULT_PUBLISHING: Duration = Duration::from_millis(250);
const DEFAULT_SAMPLING: Duration = Duration::from_millis(100);
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(600);
const DEFAULT_QUEUE: u32 = 10;
/// Values of one item between two publishings; more is history, not monitoring.
const QUEUE_MAX: u32 = 1000;

/// `None` is a word of its own: a channel without protection is never what was merely left out.
const POLICIES: [(&str, Option<Policy>); 4] = [
    ("Basic256Sha256", Some(Policy::Basic256Sha256)),
    ("Aes128Sha256RsaOaep", Some(Policy::Aes128Sha256RsaOaep)),
    ("Aes256Sha256RsaPss", Some(Policy::Aes256Sha256RsaPss)),
    ("None", None),
];
const MODES: [(&str, Mode); 2] = [("Sign", Mode::Sign), ("SignAndEncrypt", Mode::SignAndEncrypt)];
/// Of a server's certificate: those in the folder alone, or also the first that the server shows.
const TRUST: [(&str, bool); 2] = [("listed", false), ("first", true)];

pub(super) fn server(fields: &mut Fields<'_>, source: SourceId, secrets: &mut Vec<SecretFile>) -> Kind {
    let url = fields.required_text("url").map(|url| url.value).unwrap_or_default();
    if let Err(wrong) = address::opcua_url(&url)
        && !url.is_empty()
    {
        fields.error("url", wrong.message, wrong.hint);
    }
    let publishing = fields.duration("publishing", TIMEOUT_MIN..=TIMEOUT_MAX).unwrap_or(DEFAULT_PUBLISHING);
    let keep_alive = fields.duration("keep_alive", PERIOD_MIN..=KEEP_ALIVE_MAX).unwrap_or(DEFAULT_KEEP_ALIVE);
    if keep_alive < publishing {
        let hint = "a keep-alive is sent at most once a publishing interval".to_owned();
        fields.error("keep_alive", "'keep_alive' is shorter than 'publishing'", hint);
    }
    let security = security(fields);
    let user = user_of(fields, source, security.channel, secrets);
    Kind::Opcua(opcua::Server {
        source,
        url,
        publishing,
        sampling: fields.duration("sampling", TIMEOUT_MIN..=PERIOD_MAX).unwrap_or(DEFAULT_SAMPLING),
        queue: fields.integer("queue", 1..=QUEUE_MAX).unwrap_or(DEFAULT_QUEUE),
        keep_alive,
        security,
        user,
        points: Vec::new(),
    })
}

/// Where certificates lie and who we are is said once for all sources, when all is read.
fn security(fields: &mut Fields<'_>) -> Security {
    let policy = fields.word("policy", &POLICIES);
    let mode = fields.word("mode", &MODES);
    let trust = fields.word("trust", &TRUST);
    let channel = match policy {
        Some(None) => {
            for key in ["mode", "trust"].into_iter().filter(|key| fields.has(key)) {
                let message = format!("'{key}' says nothing where 'policy' is None");
                fields.error(key, message, format!("leave {key} out, or policy"));
            }
            Channel::Open
        }
        Some(policy @ Some(_)) => Channel::Secured { policy, mode: mode.unwrap_or(Mode::SignAndEncrypt) },
        None => Channel::Secured { policy: None, mode: mode.unwrap_or(Mode::SignAndEncrypt) },
    };
    Security { channel, trust_first: trust.unwrap_or(false), ..Security::open() }
}

fn user_of(
    fields: &mut Fields<'_>,
    source: SourceId,
    channel: Channel,
    secrets: &mut Vec<SecretFile>,
) -> User {
    let name = user(fields, Whose::Source(source), secrets);
    let certificate = fields.text("user_certificate");
    let key = fields.text("user_key_file");
    if fields.has("user") && fields.has("user_certificate") {
        let hint = "keep user and password_file, or user_certificate and user_key_file".to_owned();
        fields.error("user_certificate", "a source logs in by a password or by a certificate", hint);
    }
    if name.is_some() && channel == Channel::Open {
        let message = "'policy' is None: whoever listens on the network may read the password of 'user'";
        let hint = "leave policy out, if the server offers any security".to_owned();
        fields.faults().warning(fields.place("user"), message, hint);
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            return User::Certificate(UserCertificate::new(certificate.value, key.value));
        }
        (Some(_), None) if !fields.has("user_key_file") => {
            let hint = "write user_key_file = \"user-key.pem\"".to_owned();
            fields.error("user_certificate", "there is a user's certificate and no 'user_key_file'", hint);
        }
        (None, Some(_)) if !fields.has("user_certificate") => {
            let hint = "write user_certificate = \"user.der\"".to_owned();
            fields.error("user_key_file", "there is a user's key and no 'user_certificate'", hint);
        }
        (Some(_) | None, Some(_) | None) => {}
    }
    match name {
        Some(name) => User::Password { name, password: Password::default() },
        None => User::Anonymous,
    }
}
