//! The two versions of MQTT, and what their numbers say in words.

/// A version as it is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// 3.1.1
    V3,
    V5,
}

/// Which version a broker is to be spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Versions {
    /// 5, and 3.1.1 where the broker does not speak it.
    #[default]
    Both,
    Only(Version),
}

impl Version {
    pub fn other(self) -> Self {
        match self {
            Self::V3 => Self::V5,
            Self::V5 => Self::V3,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::V3 => "3.1.1",
            Self::V5 => "5",
        }
    }

    /// The code of a CONNACK that refuses the version itself. A broker of 3.1.1 says 1 to version 5 too.
    pub fn is_refused_by(code: u8) -> bool {
        matches!(code, 0x01 | 0x84)
    }
}

/// What a broker's code says. `None`: the number has no meaning that we know.
fn words(version: Version, code: u8) -> Option<&'static str> {
    Some(match (version, code) {
        (_, 0x01 | 0x84) => "it does not speak this version of MQTT",
        (Version::V3, 0x02) | (_, 0x85) => "it does not take this client_id",
        (Version::V3, 0x03) | (_, 0x88) => "it is not available",
        (Version::V3, 0x04) | (_, 0x86) => "user or password is wrong",
        (Version::V3, 0x05) | (_, 0x87) => "this user is not authorised",
        (_, 0x80) => "it does not say why",
        (_, 0x81) => "it could not read our packet",
        (_, 0x82) => "it takes our packet for a fault of protocol",
        (_, 0x83) => "a reason of its own",
        (_, 0x89) => "it is busy",
        (_, 0x8A) => "this client is banned",
        (_, 0x8B) => "it is shutting down",
        (_, 0x8C | 0x18) => "it wants another way to log in",
        (_, 0x8D) => "it heard nothing of us for too long",
        (_, 0x8E) => "another client has come with the same client_id",
        (_, 0x8F) => "it finds the topic filter malformed",
        (_, 0x90) => "it does not take the topic",
        (_, 0x93 | 0x95 | 0x96 | 0x97) => "a quota or a limit of the broker is exceeded",
        (_, 0x98) => "somebody who runs it has ended this connection",
        (_, 0x9C) => "it has moved to another server for now",
        (_, 0x9D) => "it has moved to another server",
        (_, 0x9E) => "it has no shared subscriptions",
        (_, 0x9F) => "connections come too fast",
        (_, 0xA0) => "the longest time for a connection is over",
        (_, 0xA2) => "it takes no wildcards",
        (_, 0x00) => "it ends the connection normally",
        _ => return None,
    })
}

/// What a code says, in words, with what the broker itself adds.
pub(super) fn text(version: Version, code: u8, why: Option<&str>, elsewhere: Option<&str>) -> String {
    let mut text = words(version, code).map_or_else(|| format!("reason code {code:#04x}"), str::to_owned);
    if let Some(why) = why {
        text.push_str(&format!(", it says '{}'", short(why)));
    }
    if let Some(elsewhere) = elsewhere {
        text.push_str(&format!(", it names {}", short(elsewhere)));
    }
    text
}

/// What a broker says of itself is shown, not trusted.
fn short(said: &str) -> String {
    const CHARS_MAX: usize = 200;
    said.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}
