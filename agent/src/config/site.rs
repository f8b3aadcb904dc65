//! The gateway itself: who it is, where it sends, where it shows, where it stores.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use jiff::tz::TimeZone;
use riskgate_point::SourceId;

use super::address;
use super::document::Document;
use super::fields::{Fields, Origin};
use super::history;
use super::owner::{self, ModelSource};
use super::place::{Faults, Place, Placed};
use super::secret::SecretFile;
use super::uplink::Uplink;
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
    pub model: ModelSource,
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
    /// Written, or given by the service manager. Else it is the usual folder, where another gateway's store may be.
    pub is_given: bool,
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

impl Surroundings {
    /// Where the store is unless the configuration says otherwise: for the agent and for every command alike, in
    /// whatever folder it is typed.
    pub fn store(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| PathBuf::from(USUAL_STORE))
    }
}

/// As systemd/riskgate.service has it.
const USUAL_STORE: &str = "/var/lib/riskgate";
const COMPANY_CHARACTERS: usize = 9;
pub(crate) const DEFAULT_TIMEZONE: &str = "Asia/Shanghai";
pub(super) const MQTT_PORT: u16 = 1883;
pub(super) const MQTTS_PORT: u16 = 8883;
const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const SOCKET: &str = "riskgate.sock";

struct Gateway {
    company: String,
    id: String,
    name: String,
    timezone: TimeZone,
}

/// The site, and where the keys of its gateway stand. Faults leave defaults behind: the caller refuses the whole.
pub(super) fn read(document: &Document<'_>, surroundings: &Surroundings, faults: &Faults) -> (Site, Origin) {
    let mut origin = Origin::bare(Place::NOWHERE);
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
            let read = Uplink::read(&mut fields, default_client);
            fields.finish();
            read
        }
        None => {
            let hint = "write [uplink] with the host of the upstream broker".to_owned();
            faults.error(Place::NOWHERE, "no file has a table [uplink]", hint);
            Uplink::blank(default_client)
        }
    };
    let (console, store) = local(document, surroundings, faults);
    let history = history::read(document, faults);
    let model = owner::read(document, &uplink, faults);
    let Gateway { company, id, name, timezone } = gateway;
    (Site { company, gateway: id, name, timezone, uplink, console, store, history, model }, origin)
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
pub(super) fn user(
    fields: &mut Fields<'_>,
    source: SourceId,
    secrets: &mut Vec<SecretFile>,
) -> Option<String> {
    let user = fields.text("user");
    let file = fields.text("password_file");
    match (&user, file) {
        (None, Some(_)) => fields.error("password_file", "there is a password and no 'user'", None),
        (_, Some(file)) => secrets.push(SecretFile { source, path: PathBuf::from(file.value) }),
        (_, None) => {}
    }
    text(user)
}

pub(super) fn text(read: Option<Placed<String>>) -> Option<String> {
    read.map(|text| text.value)
}

fn local(document: &Document<'_>, surroundings: &Surroundings, faults: &Faults) -> (Console, Store) {
    let mut store = document.single("store").map(|entry| entry.fields(faults));
    let dir = store.as_mut().and_then(|fields| text(fields.text("dir"))).map(PathBuf::from);
    if let Some(fields) = store {
        fields.finish();
    }
    let is_given = dir.is_some() || surroundings.state.is_some();
    let dir = dir.unwrap_or_else(|| surroundings.store());
    let mut console = document.single("console").map(|entry| entry.fields(faults));
    let http = console.as_mut().and_then(http).unwrap_or(DEFAULT_HTTP);
    let socket = console.as_mut().and_then(|fields| text(fields.text("socket"))).map(PathBuf::from);
    if let Some(fields) = console {
        fields.finish();
    }
    let default_socket = || surroundings.runtime.as_ref().unwrap_or(&dir).join(SOCKET);
    (Console { http, socket: socket.unwrap_or_else(default_socket) }, Store { dir, is_given })
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
