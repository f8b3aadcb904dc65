//! Where a Modbus source is reached: over TCP, a serial port, or by a call of its own; and what two sources
//! of one line may not say differently.

use std::net::SocketAddr;
use std::path::PathBuf;

use riskgate_drivers::modbus::{Address, DialIn, Endpoint, Framing, Parity, Port};

use super::{Kind, Source};
use crate::config::address;
use crate::config::fields::Fields;
use crate::config::place::Faults;
use crate::config::site::host_and_port;

/// Which kind of Modbus source a table is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Tcp,
    RtuOverTcp,
    Serial,
    DialIn,
}

const MODBUS_PORT: u16 = 502;
/// As most devices are delivered.
const DEFAULT_BAUD: u32 = 9600;
const BAUD_MIN: u32 = 300;
/// Beyond, no device and no wire.
const BAUD_MAX: u32 = 921_600;
/// A registration is a packet of a few words.
const REGISTRATION_BYTES_MAX: usize = 256;

const PARITIES: [(&str, Parity); 3] = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
const FRAMINGS: [(&str, Framing); 2] = [("rtu", Framing::Rtu), ("tcp", Framing::Tcp)];
/// Names that are given out in the order of plugging in.
const COUNTED_PORTS: [&str; 2] = ["/dev/ttyUSB", "/dev/ttyACM"];

impl Way {
    pub(super) fn framing(self) -> Option<Framing> {
        match self {
            Self::Tcp => Some(Framing::Tcp),
            Self::RtuOverTcp | Self::Serial => Some(Framing::Rtu),
            Self::DialIn => None,
        }
    }
}

/// Faults leave blanks behind: the caller refuses the whole.
pub(super) fn endpoint(fields: &mut Fields<'_>, way: Way) -> Endpoint {
    match way {
        Way::Tcp | Way::RtuOverTcp => over_tcp(fields, way.framing().unwrap_or_default()),
        Way::Serial => Endpoint::Serial(serial(fields)),
        Way::DialIn => Endpoint::DialIn(dial_in(fields)),
    }
}

fn over_tcp(fields: &mut Fields<'_>, framing: Framing) -> Endpoint {
    if framing == Framing::Rtu && !fields.has("port") {
        // Each maker of converters has its own.
        fields.missing("port");
    }
    let (host, port) = host_and_port(fields, MODBUS_PORT);
    let second = fields.text("second_host");
    if let Some(second) = &second
        && let Err(wrong) = address::host(&second.value)
    {
        fields.error("second_host", wrong.message, wrong.hint);
    }
    let second_port = fields.integer("second_port", 1..=u16::MAX);
    let main = Address { host, port };
    let second = second.map(|second| Address { host: second.value, port: second_port.unwrap_or(main.port) });
    match &second {
        None if fields.has("second_port") && !fields.has("second_host") => {
            fields.error("second_port", "there is a second port and no 'second_host'", None);
        }
        Some(second) if *second == main => {
            let hint = "write the address of the other device or network card".to_owned();
            fields.error("second_host", "the second address is the first", hint);
        }
        Some(_) | None => {}
    }
    Endpoint::Tcp { main, second, framing }
}

fn serial(fields: &mut Fields<'_>) -> Port {
    let path = fields.required_text("path").map(|path| path.value).unwrap_or_default();
    if !path.is_empty() && !path.starts_with("/dev/") {
        let hint = "write /dev/serial/by-id/… or /dev/ttyS0".to_owned();
        fields.error("path", format!("'{path}' is no serial port"), hint);
    }
    if COUNTED_PORTS.iter().any(|counted| path.starts_with(counted)) {
        let message = format!("'{path}' is another adapter when they are plugged in in another order");
        let hint = "write the name under /dev/serial/by-id (ls -l /dev/serial/by-id)".to_owned();
        fields.faults().warning(fields.place("path"), message, hint);
    }
    if fields.integer("data_bits", 5..=8_u8).is_some_and(|bits| bits != 8) {
        let hint =
            "with 7 a device speaks Modbus ASCII, which is not read: set it to RTU, 8 data bits".to_owned();
        fields.error("data_bits", "Modbus RTU has 8 data bits", hint);
    }
    Port {
        path: PathBuf::from(path),
        baud: fields.integer("baud", BAUD_MIN..=BAUD_MAX).unwrap_or(DEFAULT_BAUD),
        parity: fields.word("parity", &PARITIES).unwrap_or_default(),
        stop_bits: fields.integer("stop_bits", 1..=2).unwrap_or(1),
    }
}

fn dial_in(fields: &mut Fields<'_>) -> DialIn {
    const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
    let listen = fields.required_text("listen").and_then(|text| {
        let read = text.value.parse::<SocketAddr>().ok().filter(|listen| listen.port() != 0);
        if read.is_none() {
            let hint = "write 0.0.0.0:5020: any address of this gateway, and the port that the DTU dials";
            fields.error("listen", format!("'{}' is no address and port", text.value), hint.to_owned());
        }
        read
    });
    let registration = bytes(fields, "registration", "registration_hex");
    if registration.is_none() && !fields.has("registration") && !fields.has("registration_hex") {
        fields.missing("registration");
    }
    DialIn {
        listen: listen.unwrap_or(NOWHERE),
        registration: registration.unwrap_or_default(),
        heartbeat: bytes(fields, "heartbeat", "heartbeat_hex"),
        framing: fields.word("framing", &FRAMINGS).unwrap_or(Framing::Rtu),
    }
}

/// As text, or in hexadecimal where it is none.
fn bytes(fields: &mut Fields<'_>, key: &'static str, hex_key: &'static str) -> Option<Vec<u8>> {
    let text = fields.text(key).map(|text| text.value.into_bytes());
    let hex = fields.text(hex_key);
    if text.is_some() && hex.is_some() {
        fields.error(hex_key, format!("'{key}' says the same"), "write one of the two".to_owned());
    }
    let hex = hex.and_then(|hex| {
        let read = from_hex(&hex.value);
        if read.is_none() {
            let message = format!("'{}' is not hexadecimal", hex.value);
            fields.error(hex_key, message, "write two digits for each byte: 52 47 30 31".to_owned());
        }
        read
    });
    let read = text.or(hex)?;
    if read.len() > REGISTRATION_BYTES_MAX {
        let message = format!("'{key}' has {} bytes", read.len());
        fields.error(key, message, format!("at most {REGISTRATION_BYTES_MAX}"));
    }
    Some(read)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high * 16 + low).ok();
    if rest.is_empty() && !pairs.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// Why two sources cannot both be read as they are said.
struct Disagreement {
    /// Of the later source.
    key: &'static str,
    /// Of the earlier one.
    there: &'static str,
    message: String,
    hint: &'static str,
}

const SAY_THE_SAME: &str = "such sources share one connection: say the same in both";
const LISTEN_ALIKE: &str = "write the same 'listen' in both: devices that dial in at one port share it";
const ONE_MASTER: &str = "a serial line has one master: give both the same host and second_host, so that they share one \
     connection, or leave this address out";

/// Sources behind one host, port or registration share one connection, so they agree on what it is like.
pub(super) fn check_shared(sources: &[Source], faults: &Faults) {
    let mut lines: Vec<(&Source, &Endpoint)> = Vec::new();
    for source in sources {
        let Kind::Modbus { device, .. } = &source.kind else { continue };
        for (other, endpoint) in &lines {
            let disagreement = disagreement(&device.endpoint, endpoint);
            let Some(Disagreement { key, there, message, hint }) = disagreement else { continue };
            let (place, there) = (source.origin.of(key), other.origin.of(there));
            let how = format!("source '{}'", other.id);
            faults.error_with(place, message, there, &how, Some(hint.to_owned()));
            break;
        }
        lines.push((source, &device.endpoint));
    }
}

fn disagreement(one: &Endpoint, other: &Endpoint) -> Option<Disagreement> {
    if one == other {
        return None;
    }
    match (one, other) {
        (Endpoint::Tcp { main, framing, .. }, Endpoint::Tcp { main: same, framing: other, .. })
            if main == same =>
        {
            let (key, message) = match framing == other {
                false => ("kind", format!("{main} is a source of another kind already")),
                true => ("second_host", format!("{main} is given another second address, or none")),
            };
            Some(Disagreement { key, there: key, message, hint: SAY_THE_SAME })
        }
        (Endpoint::Tcp { .. }, Endpoint::Tcp { .. }) => two_masters(one, other),
        (Endpoint::Serial(one), Endpoint::Serial(other)) if one.path == other.path => {
            let key = match () {
                () if one.baud != other.baud => "baud",
                () if one.parity != other.parity => "parity",
                () => "stop_bits",
            };
            let message = format!("one wire has one pace: here {one}, there {other}");
            Some(Disagreement { key, there: key, message, hint: SAY_THE_SAME })
        }
        (Endpoint::DialIn(one), Endpoint::DialIn(other)) if one.listen == other.listen => dials(one, other),
        (Endpoint::DialIn(one), Endpoint::DialIn(other)) => {
            let takes = takes_both(one.listen, other.listen);
            takes.then(|| Disagreement {
                key: "listen",
                there: "listen",
                message: format!(
                    "{} and {} are one port: it cannot be listened at twice",
                    one.listen, other.listen
                ),
                hint: LISTEN_ALIKE,
            })
        }
        (Endpoint::Tcp { .. } | Endpoint::Serial(_) | Endpoint::DialIn(_), _) => None,
    }
}

/// Where one listens at every address of the gateway, nobody can at one of them.
fn takes_both(one: SocketAddr, other: SocketAddr) -> bool {
    // An IPv6 socket of all addresses takes those of IPv4 too.
    let covers =
        |all: SocketAddr, one: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    one.port() == other.port() && one.port() != 0 && (covers(one, other) || covers(other, one))
}

/// Two sources with connections of their own to one converter, of which at least one puts bare frames on the
/// serial line behind it: each would take the other's answers for its own.
fn two_masters(one: &Endpoint, other: &Endpoint) -> Option<Disagreement> {
    let (
        Endpoint::Tcp { main, second, framing },
        Endpoint::Tcp { main: other_main, second: other_second, framing: other_framing },
    ) = (one, other)
    else {
        return None;
    };
    if *framing != Framing::Rtu && *other_framing != Framing::Rtu {
        return None;
    }
    let ours = [("host", Some(main)), ("second_host", second.as_ref())];
    let theirs = [("host", Some(other_main)), ("second_host", other_second.as_ref())];
    let both = ours.iter().flat_map(|ours| theirs.iter().map(move |theirs| (ours, theirs)));
    let shared = |((key, ours), (there, theirs)): (&(&'static str, _), &(&'static str, _))| {
        let address: Option<&Address> = *ours;
        let address = address.filter(|address| !address.host.is_empty())?;
        (Some(address) == *theirs).then(|| Disagreement {
            key,
            there,
            message: format!("{address} is reached by two connections"),
            hint: ONE_MASTER,
        })
    };
    both.into_iter().find_map(shared)
}

/// Two that dial in at one port, and are not the same.
fn dials(one: &DialIn, other: &DialIn) -> Option<Disagreement> {
    // Left out, which was told.
    if one.registration.is_empty() || other.registration.is_empty() {
        return None;
    }
    if one.registration == other.registration {
        let key = if one.framing == other.framing { "heartbeat" } else { "framing" };
        let message = "this registration is said twice, and differently".to_owned();
        return Some(Disagreement { key, there: key, message, hint: SAY_THE_SAME });
    }
    let is_part = one.registration.starts_with(&other.registration)
        || other.registration.starts_with(&one.registration);
    is_part.then(|| Disagreement {
        key: "registration",
        there: "registration",
        message: "one registration is the beginning of another: nobody could tell who dials in".to_owned(),
        hint: "give both as many characters: DTU-03 and DTU-31",
    })
}
