//! Where devices are reached, and how the bytes travel there.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::super::Framing;

/// Where devices are reached. Sources with an equal endpoint share one [`super::Line`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Tcp {
        main: Address,
        /// Of a redundant device: where it answers when it does not answer at `main`.
        second: Option<Address>,
        /// RTU: a serial line behind a converter that passes its bytes on.
        framing: Framing,
    },
    Serial(Port),
    DialIn(DialIn),
}

/// A machine and its port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// A serial port. A byte has 8 bits: RTU has no other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Port {
    pub path: PathBuf,
    pub baud: u32,
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Parity {
    #[default]
    None,
    Even,
    Odd,
}

/// A device that dials in, as a 4G DTU does, and says who it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DialIn {
    /// Where we listen; several devices may dial in there.
    pub listen: SocketAddr,
    /// The first bytes that it sends.
    pub registration: Vec<u8>,
    /// What it sends by itself later, to be passed over.
    pub heartbeat: Option<Vec<u8>>,
    pub framing: Framing,
}

impl Endpoint {
    /// Modbus TCP at one address.
    pub fn tcp(host: &str, port: u16) -> Self {
        let main = Address { host: host.to_owned(), port };
        Self::Tcp { main, second: None, framing: Framing::Tcp }
    }

    pub fn framing(&self) -> Framing {
        match self {
            Self::Tcp { framing, .. } | Self::DialIn(DialIn { framing, .. }) => *framing,
            Self::Serial(_) => Framing::Rtu,
        }
    }

    /// The kind of source that it is of.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tcp { framing: Framing::Tcp, .. } => "modbus-tcp",
            Self::Tcp { framing: Framing::Rtu, .. } => "modbus-rtu-tcp",
            Self::Serial(_) => "modbus-rtu",
            Self::DialIn(_) => "modbus-dial-in",
        }
    }
}

impl Port {
    /// What so many bytes take on the wire.
    pub(super) fn time_of(&self, bytes: usize) -> Duration {
        let bits = 1 + 8 + u32::from(self.parity != Parity::None) + u32::from(self.stop_bits);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Duration::from_secs(1) * bits.saturating_mul(bytes) / self.baud.max(1)
    }

    /// How long the line is silent between two frames: three and a half bytes, and on a fast line what the
    /// specification fixes, because no clock of a device is finer.
    pub(super) fn quiet(&self) -> Duration {
        const FAST_BAUD: u32 = 19_200;
        const FAST_QUIET: Duration = Duration::from_micros(1_750);
        if self.baud > FAST_BAUD { FAST_QUIET } else { self.time_of(7) / 2 }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { main, second: None, .. } => main.fmt(f),
            Self::Tcp { main, second: Some(second), .. } => write!(f, "{main} (or {second})"),
            Self::Serial(port) => port.fmt(f),
            Self::DialIn(dial_in) => dial_in.fmt(f),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// `/dev/serial/by-id/… 9600 8N1`
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} {} 8{parity}{}", self.path.display(), self.baud, self.stop_bits)
    }
}

/// `'DTU-01' on 0.0.0.0:5020`
impl fmt::Display for DialIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", shown(&self.registration), self.listen)
    }
}

/// As text where it is text, else in hexadecimal, as a DTU's own pages show it.
pub(super) fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.contains(char::is_control) => format!("'{text}'"),
        Ok(_) | Err(_) => {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("hex {}", hex.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(baud: u32) -> Port {
        Port { path: "/dev/ttyS1".into(), baud, parity: Parity::Even, stop_bits: 1 }
    }

    #[test]
    fn a_slow_line_is_quiet_for_longer() {
        // 11 bits a byte, 3.5 bytes.
        assert_eq!(port(9600).quiet().as_micros(), 4_010);
        assert_eq!(port(1200).quiet().as_micros(), 32_083);
        assert_eq!(port(115_200).quiet().as_micros(), 1_750);
        assert_eq!(port(9600).time_of(255).as_millis(), 292);
    }

    #[test]
    fn an_endpoint_is_said_as_a_person_would() {
        assert_eq!(Endpoint::tcp("10.0.0.5", 502).to_string(), "10.0.0.5:502");
        assert_eq!(Endpoint::Serial(port(9600)).to_string(), "/dev/ttyS1 9600 8E1");
        let dial_in = |registration: &[u8]| DialIn {
            listen: "0.0.0.0:5020".parse().unwrap(),
            registration: registration.to_vec(),
            heartbeat: None,
            framing: Framing::Rtu,
        };
        assert_eq!(Endpoint::DialIn(dial_in(b"DTU-01")).to_string(), "'DTU-01' on 0.0.0.0:5020");
        assert_eq!(Endpoint::DialIn(dial_in(&[0, 0xAB])).to_string(), "hex 00 AB on 0.0.0.0:5020");
    }
}
