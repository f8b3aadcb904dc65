//! `[uplink]`: the broker upstream, how it is spoken to, and what goes there.

use std::path::PathBuf;
use std::time::Duration;

use riskgate_drivers::tls::Settings;

use super::address;
use super::commands::Commands;
use super::fields::Fields;
use super::secret::Login;
use super::site::{MQTT_PORT, MQTTS_PORT, host_and_port, text};
use super::tls;
use super::values::{DURATION_HINT, duration, duration_text};

/// The upstream broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    pub host: String,
    pub port: u16,
    pub tls: Option<Settings>,
    /// Topics are `{root}/{company}/{gateway}/…`.
    pub root: String,
    pub login: Login,
    pub client_id: String,
    /// Between two batches of telemetry; `None`: off.
    pub telemetry: Option<Duration>,
    /// A point that does not change is told again after this time.
    pub heartbeat: Duration,
    /// Readings of the past each second, where the file says so.
    pub drain: Option<u32>,
    pub commands: Commands,
}

const DEFAULT_ROOT: &str = "riskgate/v1";
const DEFAULT_TELEMETRY: Duration = Duration::from_secs(1);
/// Below, each batch would hold less than one cycle of any source; above, upstream takes us for dead.
const TELEMETRY_MIN: Duration = Duration::from_millis(50);
const TELEMETRY_MAX: Duration = Duration::from_secs(3600);
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(10 * 60);
/// Oftener, nothing is left of telling changes only.
const HEARTBEAT_MIN: Duration = Duration::from_secs(10);
const HEARTBEAT_MAX: Duration = Duration::from_secs(24 * 3600);
/// More than this no gateway reads in a second.
const DRAIN_MAX: u32 = 10_000_000;

impl Uplink {
    /// Where nothing can be read: the whole is refused.
    pub(super) fn blank(client_id: String) -> Self {
        Self {
            host: String::new(),
            port: MQTT_PORT,
            tls: None,
            root: DEFAULT_ROOT.to_owned(),
            login: Login::default(),
            client_id,
            telemetry: Some(DEFAULT_TELEMETRY),
            heartbeat: DEFAULT_HEARTBEAT,
            drain: None,
            commands: Commands::default(),
        }
    }

    pub(super) fn read(fields: &mut Fields<'_>, default_client: String) -> Self {
        let tls = tls::settings(fields);
        let (host, port) = host_and_port(fields, if fields.has("tls") { MQTTS_PORT } else { MQTT_PORT });
        let root = root(fields);
        let login = login(fields);
        let client_id = text(fields.text("client_id")).unwrap_or(default_client);
        let telemetry = telemetry(fields);
        let heartbeat =
            fields.duration("heartbeat", HEARTBEAT_MIN..=HEARTBEAT_MAX).unwrap_or(DEFAULT_HEARTBEAT);
        let drain = drain(fields);
        let commands = Commands::read(fields);
        Self { host, port, tls, root, login, client_id, telemetry, heartbeat, drain, commands }
    }
}

fn root(fields: &mut Fields<'_>) -> String {
    let root = fields.text("root");
    if let Some(root) = &root {
        if address::topic(&root.value).is_err() {
            fields.error("root", "the root of topics has no wildcards", "write riskgate/v1".to_owned());
        } else if root.value.split('/').any(str::is_empty) || root.value.starts_with('$') {
            fields.error("root", "the root has no empty level and no '$'", "write riskgate/v1".to_owned());
        }
    }
    text(root).unwrap_or(DEFAULT_ROOT.to_owned())
}

/// The user's name, where it stands in the configuration, and the files of name and password.
fn login(fields: &mut Fields<'_>) -> Login {
    let user = fields.text("user");
    let user_file = fields.text("user_file");
    let password_file = fields.text("password_file");
    if user.is_some() && user_file.is_some() {
        let hint = "write one of the two".to_owned();
        fields.error("user_file", "the user's name stands here and in 'user'", hint);
    }
    if password_file.is_some() && user.is_none() && user_file.is_none() {
        fields.error("password_file", "there is a password and no 'user'", None);
    }
    let path = |file| text(file).map(PathBuf::from);
    Login { user: text(user), user_file: path(user_file), password_file: path(password_file) }
}

/// `"20000/s"`.
fn drain(fields: &mut Fields<'_>) -> Option<u32> {
    let said = fields.text("drain")?;
    let rate = said.value.trim().strip_suffix("/s").and_then(|rate| rate.trim().parse::<u32>().ok());
    let rate = rate.filter(|rate| (1..=DRAIN_MAX).contains(rate));
    if rate.is_none() {
        let message = format!("'drain' = \"{}\" is no rate", said.value);
        let hint = format!("readings each second, 1/s to {DRAIN_MAX}/s: \"20000/s\"");
        fields.error("drain", message, hint);
    }
    rate
}

fn telemetry(fields: &mut Fields<'_>) -> Option<Duration> {
    let Some(said) = fields.text("telemetry") else { return Some(DEFAULT_TELEMETRY) };
    if said.value == "off" {
        return None;
    }
    match duration(&said.value) {
        Some(between) if (TELEMETRY_MIN..=TELEMETRY_MAX).contains(&between) => return Some(between),
        Some(_) => {
            let (from, to) = (duration_text(TELEMETRY_MIN), duration_text(TELEMETRY_MAX));
            let message = format!("'telemetry' = \"{}\" is out of range", said.value);
            fields.error("telemetry", message, format!("allowed: {from} to {to}, or \"off\""));
        }
        None => {
            let message = format!("'telemetry' = \"{}\" is no duration", said.value);
            fields.error("telemetry", message, format!("{DURATION_HINT}, or off"));
        }
    }
    None
}
