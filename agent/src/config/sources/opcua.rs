//! `[[source]]` of kind `opcua`.

use std::ops::RangeInclusive;
use std::time::Duration;

use riskgate_drivers::opcua::{self, Channel, Mode, Password, Policy, Security, User, UserCertificate};
use riskgate_point::SourceId;

use super::{Kind, subscriptions};
use crate::config::address;
use crate::config::fields::Fields;
use crate::config::secret::SecretFile;
use crate::config::site::user;

/// How far back a server may be asked for what was missed.
const HISTORY: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(24);

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
    let groups = subscriptions::groups(fields);
    // Of the connection; a group may have a longer one.
    let keep_alive = groups.first().map(|own| own.keep_alive).unwrap_or_default();
    let security = security(fields);
    let user = user_of(fields, source, security.channel, secrets);
    Kind::Opcua(opcua::Server {
        source,
        url,
        keep_alive,
        security,
        user,
        history: fields.duration("history", HISTORY),
        groups,
        notifiers: Vec::new(),
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
    let name = user(fields, source, secrets);
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
