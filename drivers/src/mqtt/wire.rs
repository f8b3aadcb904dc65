//! The packets of MQTT 3.1.1 and 5, as far as one who only listens needs them. Pure.
//!
//! It can build CONNECT, SUBSCRIBE, the acknowledgements, PINGREQ and DISCONNECT, and nothing else: there is
//! no way to build a PUBLISH here, so none can reach a plant's broker. It reads what a broker may send, from
//! bytes that come in pieces of any size, and never holds more than one packet of the largest size: of a
//! larger message it keeps the topic and lets the rest go by, so that one picture among the readings costs
//! that picture and not the connection.
//!
//! Both versions differ in little: version 5 has properties, of which a few are kept.

pub mod fuzz;

use super::reason::Version;

/// A list of positions of a few thousand people.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const MESSAGE: u8 = 0x30;
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x60;
const PUBCOMP: u8 = 0x70;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGREQ: u8 = 0xC0;
const PINGRESP: u8 = 0xD0;
const DISCONNECT: u8 = 0xE0;

/// At least once: a broker that drops for want of room drops the rest first.
const QOS: u8 = 1;

/// Bytes that are no packet of MQTT, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// What a broker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    ConnAck {
        code: u8,
        said: Said,
    },
    SubAck {
        id: u16,
        codes: Vec<u8>,
        said: Said,
    },
    Message(Incoming),
    /// A message of more than [`MESSAGE_BYTES_MAX`], of which the payload went by unread.
    TooLarge {
        message: Incoming,
        bytes: usize,
    },
    /// The second half of a delivery that counts exactly once.
    Release {
        id: u16,
    },
    Pong,
    Disconnect {
        code: u8,
        said: Said,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Incoming {
    pub topic: Vec<u8>,
    pub payload: Vec<u8>,
    pub delivery: Delivery,
    /// The broker kept it from before we subscribed.
    pub retained: bool,
    /// The broker says that it sent it before.
    pub again: bool,
}

/// How a message is to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    #[default]
    AtMostOnce,
    AtLeastOnce(u16),
    ExactlyOnce(u16),
}

/// The properties of version 5 that are of use. In version 3.1.1 a broker cannot say any of this.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Why, in the broker's own words.
    pub why: Option<String>,
    /// In which rhythm the broker wants to hear from us, seconds.
    pub keep_alive: Option<u16>,
    /// Where the broker sends us instead.
    pub elsewhere: Option<String>,
}

/// The first packet of a connection: a clean session, no will.
pub fn connect(version: Version, client_id: &str, user: Option<(&str, &str)>, keep_alive: u16) -> Vec<u8> {
    const CLEAN: u8 = 0x02;
    const PASSWORD: u8 = 0x40;
    const USER: u8 = 0x80;
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.push(match version {
        Version::V3 => 4,
        Version::V5 => 5,
    });
    body.push(CLEAN | user.map_or(0, |_| USER | PASSWORD));
    body.extend(keep_alive.to_be_bytes());
    no_properties(&mut body, version);
    text(&mut body, client_id);
    if let Some((name, password)) = user {
        text(&mut body, name);
        text(&mut body, password);
    }
    packet(CONNECT, &body)
}

/// Asks for all messages of some filters, those that the broker keeps among them.
pub fn subscribe<'f>(version: Version, id: u16, filters: impl IntoIterator<Item = &'f str>) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    no_properties(&mut body, version);
    for filter in filters {
        text(&mut body, filter);
        body.push(QOS);
    }
    packet(SUBSCRIBE, &body)
}

pub fn acknowledge(delivery: Delivery) -> Vec<u8> {
    match delivery {
        Delivery::AtMostOnce => Vec::new(),
        Delivery::AtLeastOnce(id) => packet(PUBACK, &id.to_be_bytes()),
        Delivery::ExactlyOnce(id) => packet(PUBREC, &id.to_be_bytes()),
    }
}

/// Answers [`Packet::Release`].
pub fn complete(id: u16) -> Vec<u8> {
    packet(PUBCOMP, &id.to_be_bytes())
}

pub fn ping() -> Vec<u8> {
    packet(PINGREQ, &[])
}

pub fn goodbye() -> Vec<u8> {
    packet(DISCONNECT, &[])
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        if length == 0 {
            packet.push(low);
            break;
        }
        packet.push(low | 0x80);
    }
    packet.extend(body);
    packet
}

/// A text of more than 65535 bytes is cut: the configuration refuses longer ones.
fn text(body: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    body.extend(length.to_be_bytes());
    body.extend(text.bytes().take(usize::from(length)));
}

fn no_properties(body: &mut Vec<u8>, version: Version) {
    match version {
        Version::V3 => {}
        Version::V5 => body.push(0),
    }
}

/// Puts the packets of one connection together out of the pieces in which they come.
#[derive(Debug)]
pub struct Inbox {
    version: Version,
    bytes: Vec<u8>,
    /// So many of `bytes` are done with.
    done: usize,
    /// So many bytes that have not come yet belong to a message that is too large.
    skip: usize,
}

/// The first byte of a packet, and where its body begins and how long it is.
struct Head {
    first: u8,
    head: usize,
    body: usize,
}

impl Inbox {
    pub fn new(version: Version) -> Self {
        Self { version, bytes: Vec::new(), done: 0, skip: 0 }
    }

    /// Where the next piece is to be added, at the end. Room for `piece` more bytes is made.
    pub fn room(&mut self, piece: usize) -> &mut Vec<u8> {
        self.bytes.drain(..self.done);
        self.done = 0;
        self.bytes.reserve(piece);
        &mut self.bytes
    }

    /// What has come and is no whole packet yet.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.done..).unwrap_or_default()
    }

    /// The next packet; `None` until more bytes have come.
    pub fn packet(&mut self) -> Result<Option<Packet>, Malformed> {
        self.pass_by();
        if self.skip > 0 {
            return Ok(None);
        }
        let Some(Head { first, head, body }) = self.head()? else { return Ok(None) };
        if body > MESSAGE_BYTES_MAX {
            return self.too_large(first, head, body);
        }
        let Some(bytes) = self.rest().get(head..head + body) else { return Ok(None) };
        let packet = read(self.version, first, bytes)?;
        self.done += head + body;
        Ok(Some(packet))
    }

    fn pass_by(&mut self) {
        let passed = self.skip.min(self.rest().len());
        self.skip -= passed;
        self.done += passed;
    }

    fn head(&self) -> Result<Option<Head>, Malformed> {
        let mut bytes = self.rest().iter();
        let Some(first) = bytes.next() else { return Ok(None) };
        let mut body = 0;
        for place in 0..4_usize {
            let Some(byte) = bytes.next() else { return Ok(None) };
            body |= usize::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(Some(Head { first: *first, head: place + 2, body }));
            }
        }
        Err(Malformed("a packet's length has no end"))
    }

    /// Waits for topic and id, then lets the rest go by.
    fn too_large(&mut self, first: u8, head: usize, body: usize) -> Result<Option<Packet>, Malformed> {
        if first & 0xF0 != MESSAGE {
            return Err(Malformed("a packet that is no message is larger than any can be"));
        }
        let Some(bytes) = self.rest().get(head..) else { return Ok(None) };
        // A topic has at most 65535 bytes: they come, or the connection ends.
        let message = match message_head(first, &mut Reader(bytes)) {
            Ok(message) => message,
            Err(SHORT) => return Ok(None),
            Err(malformed) => return Err(malformed),
        };
        self.skip = head + body;
        self.pass_by();
        Ok(Some(Packet::TooLarge { message, bytes: body }))
    }
}

fn read(version: Version, first: u8, body: &[u8]) -> Result<Packet, Malformed> {
    let mut reader = Reader(body);
    match first & 0xF0 {
        CONNACK => {
            reader.u8()?;
            let code = reader.u8()?;
            // A broker of version 3.1.1 refuses version 5 in its own form, which ends here.
            let said = if reader.0.is_empty() { Said::default() } else { reader.said(version)? };
            Ok(Packet::ConnAck { code, said })
        }
        MESSAGE => {
            let mut message = message_head(first, &mut reader)?;
            match version {
                Version::V3 => {}
                Version::V5 => drop(reader.properties()?),
            }
            message.payload = reader.0.to_vec();
            Ok(Packet::Message(message))
        }
        PUBREL => Ok(Packet::Release { id: reader.u16()? }),
        SUBACK => {
            let id = reader.u16()?;
            let said = reader.said(version)?;
            Ok(Packet::SubAck { id, codes: reader.0.to_vec(), said })
        }
        PINGRESP => Ok(Packet::Pong),
        DISCONNECT if version == Version::V5 => {
            let code = reader.u8().unwrap_or_default();
            let said = if reader.0.is_empty() { Said::default() } else { reader.said(version)? };
            Ok(Packet::Disconnect { code, said })
        }
        _ => Err(Malformed("a packet of a kind that no broker sends to one who listens")),
    }
}

/// What stands before properties and payload. The topic is kept as it came: that it is no text is told
/// with it.
fn message_head(first: u8, reader: &mut Reader<'_>) -> Result<Incoming, Malformed> {
    let topic = reader.long()?.to_vec();
    let delivery = match (first >> 1) & 0b11 {
        0 => Delivery::AtMostOnce,
        1 => Delivery::AtLeastOnce(reader.u16()?),
        2 => Delivery::ExactlyOnce(reader.u16()?),
        _ => return Err(Malformed("a message has a quality of service that does not exist")),
    };
    if topic.is_empty() {
        return Err(Malformed("a message has no topic"));
    }
    Ok(Incoming {
        topic,
        payload: Vec::new(),
        delivery,
        retained: first & 0b0001 != 0,
        again: first & 0b1000 != 0,
    })
}

/// Takes a packet's body apart from its front.
struct Reader<'b>(&'b [u8]);

const SHORT: Malformed = Malformed("a packet is shorter than what it must hold");

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    /// Bytes behind their length in two bytes: a text, or binary data.
    fn long(&mut self) -> Result<&'b [u8], Malformed> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        Ok(String::from_utf8_lossy(self.long()?).into_owned())
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        let mut length = 0;
        for place in 0..4_usize {
            let byte = self.u8()?;
            length |= usize::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(length);
            }
        }
        Err(Malformed("a length within a packet has no end"))
    }

    fn said(&mut self, version: Version) -> Result<Said, Malformed> {
        match version {
            Version::V3 => Ok(Said::default()),
            Version::V5 => self.properties(),
        }
    }

    /// Each property by its number: how long it is hangs on that alone.
    fn properties(&mut self) -> Result<Said, Malformed> {
        let length = self.length()?;
        let mut inner = Self(self.take(length)?);
        let mut said = Said::default();
        while !inner.0.is_empty() {
            match inner.u8()? {
                0x13 => said.keep_alive = Some(inner.u16()?),
                0x1C => said.elsewhere = Some(inner.text()?),
                0x1F => said.why = Some(inner.text()?),
                // One byte: format of the payload, highest quality of service, what the broker offers.
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => drop(inner.take(1)?),
                // How much it takes at once, and how many topics by number.
                0x21 | 0x22 => drop(inner.take(2)?),
                // We allow no topic to stand for itself by a number.
                0x23 => return Err(Malformed("a message has a topic alias, and none was agreed on")),
                // Ends of messages and sessions, the largest packet.
                0x02 | 0x11 | 0x18 | 0x27 => drop(inner.take(4)?),
                0x0B => drop(inner.length()?),
                // Types, topics to answer on, names, authentication.
                0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A => drop(inner.long()?),
                // Whatever its user likes to say.
                0x26 => {
                    inner.long()?;
                    inner.long()?;
                }
                _ => return Err(Malformed("a packet has a property that does not exist")),
            }
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests;
