//! The gateway itself: who it is, where it sends, where it shows, where it stores.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::address;
use super::document::Document;
use super::few::Few;
use super::fields::{Fields, Origin};
use super::history;
use super::place::{Faults, Place, Placed};
use super::secret::{Secret, SecretFile, Whose};
use super::values::{DURATION_HINT, duration, duration_text, suggest};
use crate::history::Limits;

/// What the files say of the gateway.
#[derive(Debug, Clone)]
pub struct Site {
    /// 企业编码, 9 characters.
    pub company: String,
    pub gateway: String,
    pub name: String,
    pub timezone: TimeZone,
    pub uplink: Uplink,
    pub console: Console,
    pub store: Store,
    pub history: Limits,
}

/// The upstream broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    pub host: String,
    pub port: u16,
    /// Topics are `{root}/{company}/{gateway}/…`.
    pub root: String,
    pub user: Option<String>,
    /// `None` until [`super::Checked::load_secrets`].
    pub password: Option<Secret>,
    pub client_id: String,
    /// Between two batches of telemetry; `None`: off.
    pub telemetry: Option<Duration>,
    pub commands: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Loopback. Port 0: any free port.
    pub http: SocketAddr,
    pub socket: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub dir: PathBuf,
}

impl Store {
    /// Where the certificates of OPC UA lie.
    pub fn pki(&self) -> PathBuf {
        self.dir.join("pki")
    }
}

/// The folders that the service manager gives: the defaults of `store.dir` and `console.socket`.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `$STATE_DIRECTORY`
    pub state: Option<PathBuf>,
    /// `$RUNTIME_DIRECTORY`
    pub runtime: Option<PathBuf>,
}

impl Surroundings {
    /// From the environment of this process.
    pub fn of_process() -> Self {
        // systemd gives several folders separated by colons where a unit asks for several.
        let first = |name| {
            let given = std::env::var(name).ok()?;
            given.split(':').find(|path| !path.is_empty()).map(PathBuf::from)
        };
        Self { state: first("STATE_DIRECTORY"), runtime: first("RUNTIME_DIRECTORY") }
    }
}

const COMPANY_CHARACTERS: usize = 9;
pub(crate) const DEFAULT_TIMEZONE: &str = "Asia/Shanghai";
const DEFAULT_ROOT: &str = "riskgate/v1";
pub(super) const MQTT_PORT: u16 = 1883;
const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const SOCKET: &str = "riskgate.sock";
const DEFAULT_TELEMETRY: Duration = Duration::from_secs(1);
/// Below, each batch would hold less than one cycle of any source; above, upstream takes us for dead.
const TELEMETRY_MIN: Duration = Duration::from_millis(50);
const TELEMETRY_MAX: Duration = Duration::from_secs(3600);
/// What upstream may ask for. Neither changes anything in the plant or in our records.
const COMMANDS: [&str; 2] = ["ping", "resend"];

struct Gateway {
    company: String,
    id: String,
    name: String,
    timezone: TimeZone,
}

/// The site, and where the keys of its gateway stand. Faults leave defaults behind: the caller refuses the whole.
pub(super) fn read(
    document: &Document<'_>,
    surroundings: &Surroundings,
    faults: &Faults,
    secrets: &mut Vec<SecretFile>,
) -> (Site, Origin) {
    let mut origin = Origin { at: Place::NOWHERE, keys: Few::default() };
    let gateway = match document.single("gateway") {
        Some(entry) => {
            let mut fields = entry.fields(faults);
            origin = fields.origin();
            let read = gateway(&mut fields);
            fields.finish();
            read
        }
        None => {
            let hint = "write [gateway] with company, id and name".to_owned();
            faults.error(Place::NOWHERE, "no file has a table [gateway]", hint);
            Gateway {
                company: String::new(),
                id: String::new(),
                name: String::new(),
                timezone: TimeZone::UTC,
            }
        }
    };
    let default_client = format!("riskgate-{}-{}", gateway.company, gateway.id);
    let uplink = match document.single("uplink") {
        Some(entry) => {
            let mut fields = entry.fields(faults);
            let read = uplink(&mut fields, default_client, secrets);
            fields.finish();
            read
        }
        None => {
            let hint = "write [uplink] with the host of the upstream broker".to_owned();
            faults.error(Place::NOWHERE, "no file has a table [uplink]", hint);
            blank_uplink(default_client)
        }
    };
    let (console, store) = local(document, surroundings, faults);
    let history = history::read(document, faults);
    let Gateway { company, id, name, timezone } = gateway;
    (Site { company, gateway: id, name, timezone, uplink, console, store, history }, origin)
}

fn gateway(fields: &mut Fields<'_>) -> Gateway {
    let company = fields.required_text("company");
    if let Some(company) = &company
        && (company.value.chars().count() != COMPANY_CHARACTERS
            || !company.value.chars().all(|c| c.is_ascii_alphanumeric()))
    {
        let message = format!("'{}' is no 企业编码", company.value);
        let hint = format!("it has {COMPANY_CHARACTERS} digits or letters, from 化学品登记管理系统");
        fields.error("company", message, hint);
    }
    let id = fields.required_text("id");
    if let Some(id) = &id {
        level(fields.faults(), id);
    }
    let name = text_or_empty(fields.required_text("name"));
    let zone = fields.text("timezone");
    let name_of_zone = zone.as_ref().map_or(DEFAULT_TIMEZONE, |zone| zone.value.as_str());
    let timezone = TimeZone::get(name_of_zone).unwrap_or_else(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        let hint = super::values::nearest(name_of_zone, known.iter().map(String::as_str))
            .map_or("write Asia/Shanghai".to_owned(), |zone| format!("did you mean '{zone}'?"));
        fields.error("timezone", format!("there is no time zone '{name_of_zone}'"), hint);
        TimeZone::UTC
    });
    Gateway { company: text_or_empty(company), id: text_or_empty(id), name, timezone }
}

fn text_or_empty(read: Option<Placed<String>>) -> String {
    read.map(|text| text.value).unwrap_or_default()
}

/// An id that becomes a level of topics.
pub(super) fn level(faults: &Faults, id: &Placed<String>) {
    if let Err(wrong) = address::topic_level(&id.value) {
        faults.error(id.place, wrong.message, wrong.hint);
    }
}

/// A host and a port, of a broker or a device.
pub(super) fn host_and_port(fields: &mut Fields<'_>, port: u16) -> (String, u16) {
    let host = fields.required_text("host");
    if let Some(host) = &host
        && let Err(wrong) = address::host(&host.value)
    {
        fields.error("host", wrong.message, wrong.hint);
    }
    (text_or_empty(host), fields.integer("port", 1..=u16::MAX).unwrap_or(port))
}

/// A user's name; the password's file is noted, to be read when the agent starts.
pub(super) fn user(fields: &mut Fields<'_>, whose: Whose, secrets: &mut Vec<SecretFile>) -> Option<String> {
    let user = fields.text("user");
    let file = fields.text("password_file");
    match (&user, file) {
        (None, Some(_)) => fields.error("password_file", "there is a password and no 'user'", None),
        (_, Some(file)) => secrets.push(SecretFile { whose, path: PathBuf::from(file.value) }),
        (_, None) => {}
    }
    text(user)
}

fn text(read: Option<Placed<String>>) -> Option<String> {
    read.map(|text| text.value)
}

fn blank_uplink(client_id: String) -> Uplink {
    Uplink {
        host: String::new(),
        port: MQTT_PORT,
        root: DEFAULT_ROOT.to_owned(),
        user: None,
        password: None,
        client_id,
        telemetry: Some(DEFAULT_TELEMETRY),
        commands: COMMANDS.map(str::to_owned).to_vec(),
    }
}

fn uplink(fields: &mut Fields<'_>, default_client: String, secrets: &mut Vec<SecretFile>) -> Uplink {
    let (host, port) = host_and_port(fields, MQTT_PORT);
    let root = fields.text("root");
    if let Some(root) = &root {
        if address::topic(&root.value).is_err() {
            fields.error("root", "the root of topics has no wildcards", "write riskgate/v1".to_owned());
        } else if root.value.split('/').any(str::is_empty) || root.value.starts_with('$') {
            fields.error("root", "the root has no empty level and no '$'", "write riskgate/v1".to_owned());
        }
    }
    let user = user(fields, Whose::Uplink, secrets);
    let client_id = text(fields.text("client_id")).unwrap_or(default_client);
    let telemetry = telemetry(fields);
    let commands = commands(fields);
    let root = text(root).unwrap_or(DEFAULT_ROOT.to_owned());
    Uplink { host, port, root, user, password: None, client_id, telemetry, commands }
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

fn commands(fields: &mut Fields<'_>) -> Vec<String> {
    let Some(said) = fields.texts("commands") else { return COMMANDS.map(str::to_owned).to_vec() };
    for command in &said {
        if !COMMANDS.contains(&command.value.as_str()) {
            let message = format!("there is no command '{}'", command.value);
            fields.faults().error(command.place, message, suggest(&command.value, COMMANDS));
        }
    }
    said.into_iter().map(|command| command.value).collect()
}

fn local(document: &Document<'_>, surroundings: &Surroundings, faults: &Faults) -> (Console, Store) {
    let mut store = document.single("store").map(|entry| entry.fields(faults));
    let dir = store.as_mut().and_then(|fields| text(fields.text("dir"))).map(PathBuf::from);
    if let Some(fields) = store {
        fields.finish();
    }
    let dir = dir.or(surroundings.state.clone()).unwrap_or(PathBuf::from("./state"));
    let mut console = document.single("console").map(|entry| entry.fields(faults));
    let http = console.as_mut().and_then(http).unwrap_or(DEFAULT_HTTP);
    let socket = console.as_mut().and_then(|fields| text(fields.text("socket"))).map(PathBuf::from);
    if let Some(fields) = console {
        fields.finish();
    }
    let default_socket = || surroundings.runtime.as_ref().unwrap_or(&dir).join(SOCKET);
    (Console { http, socket: socket.unwrap_or_else(default_socket) }, Store { dir })
}

fn http(fields: &mut Fields<'_>) -> Option<SocketAddr> {
    let said = fields.text("http")?;
    let hint = "write 127.0.0.1:8080; port 0 takes any free port".to_owned();
    match said.value.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => return Some(address),
        Ok(address) => {
            let message = format!("{} is no loopback address: the page has no login", address.ip());
            fields.error("http", message, hint);
        }
        Err(_) => fields.error("http", format!("'{}' is no address and port", said.value), hint),
    }
    None
}
