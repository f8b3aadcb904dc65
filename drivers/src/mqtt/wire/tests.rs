use proptest::prelude::*;

use super::*;

/// All packets of some bytes that come at once.
fn packets(version: Version, bytes: &[u8]) -> Result<Vec<Packet>, Malformed> {
    in_pieces(version, bytes, bytes.len().max(1))
}

fn in_pieces(version: Version, bytes: &[u8], piece: usize) -> Result<Vec<Packet>, Malformed> {
    let mut inbox = Inbox::new(version);
    let mut packets = Vec::new();
    for piece in bytes.chunks(piece) {
        inbox.room(piece.len()).extend_from_slice(piece);
        while let Some(packet) = inbox.packet()? {
            packets.push(packet);
        }
    }
    Ok(packets)
}

fn one(version: Version, bytes: &[u8]) -> Packet {
    let mut packets = packets(version, bytes).unwrap();
    assert_eq!(packets.len(), 1, "{packets:?}");
    packets.remove(0)
}

fn why(version: Version, bytes: &[u8]) -> &'static str {
    packets(version, bytes).expect_err("it is malformed").0
}

/// As a broker builds it; only the tests can.
fn message_bytes(
    first: u8,
    topic: &[u8],
    id: Option<u16>,
    properties: Option<&[u8]>,
    payload: &[u8],
) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend(topic);
    body.extend(id.iter().flat_map(|id| id.to_be_bytes()));
    if let Some(properties) = properties {
        body.push(u8::try_from(properties.len()).unwrap());
        body.extend(properties);
    }
    body.extend(payload);
    packet(first, &body)
}

#[test]
fn a_connect_is_a_clean_session_without_a_will() {
    let user = Some(("reader", "secret"));
    let bytes = connect(Version::V3, "gw", user, 15);
    assert_eq!(bytes, b"\x10\x1e\0\x04MQTT\x04\xC2\0\x0F\0\x02gw\0\x06reader\0\x06secret");
    let bytes = connect(Version::V5, "gw", None, 15);
    assert_eq!(bytes, b"\x10\x0f\0\x04MQTT\x05\x02\0\x0F\0\0\x02gw");
}

#[test]
fn a_subscription_asks_for_what_the_broker_keeps_too() {
    assert_eq!(subscribe(Version::V3, 1, ["a/#", "b"]), b"\x82\x0c\0\x01\0\x03a/#\x01\0\x01b\x01");
    assert_eq!(subscribe(Version::V5, 258, ["a"]), b"\x82\x07\x01\x02\0\0\x01a\x01");
}

#[test]
fn a_long_packet_has_its_length_in_several_bytes() {
    let long = "x".repeat(200);
    let bytes = subscribe(Version::V3, 1, [long.as_str()]);
    assert_eq!(bytes[..5], [0x82, 0xCD, 0x01, 0, 1]);
    assert_eq!(bytes.len(), 3 + 205);
}

#[test]
fn acknowledgements_are_the_same_in_both_versions() {
    assert_eq!(acknowledge(Delivery::AtMostOnce), b"");
    assert_eq!(acknowledge(Delivery::AtLeastOnce(9)), b"\x40\x02\0\x09");
    assert_eq!(acknowledge(Delivery::ExactlyOnce(9)), b"\x50\x02\0\x09");
    assert_eq!(complete(9), b"\x70\x02\0\x09");
    assert_eq!((ping().as_slice(), goodbye().as_slice()), (&b"\xC0\0"[..], &b"\xE0\0"[..]));
}

#[test]
fn a_welcome_and_a_refusal_are_read_in_both_versions() {
    let refusal = Packet::ConnAck { code: 5, said: Said::default() };
    assert_eq!(one(Version::V3, b"\x20\x02\0\x05"), refusal);
    // A broker of 3.1.1 that is spoken to in version 5.
    let version = Packet::ConnAck { code: 1, said: Said::default() };
    assert_eq!(one(Version::V5, b"\x20\x02\0\x01"), version);
    // Server keep alive 7, reason string "no", server reference "b2", session expiry and a user property.
    let properties = b"\x13\0\x07\x1F\0\x02no\x1C\0\x02b2\x11\0\0\0\0\x26\0\x01k\0\x01v";
    let mut body = vec![0, 0x87, u8::try_from(properties.len()).unwrap()];
    body.extend(properties);
    let said = Said { why: Some("no".to_owned()), keep_alive: Some(7), elsewhere: Some("b2".to_owned()) };
    assert_eq!(one(Version::V5, &packet(CONNACK, &body)), Packet::ConnAck { code: 0x87, said });
}

#[test]
fn messages_are_read_with_what_their_first_byte_says() {
    let read = |version, bytes: &[u8]| {
        let Packet::Message(message) = one(version, bytes) else { panic!("{bytes:?}") };
        message
    };
    let plain = Incoming { topic: b"a/b".to_vec(), payload: b"1".to_vec(), ..Incoming::default() };
    assert_eq!(read(Version::V3, &message_bytes(0x30, b"a/b", None, None, b"1")), plain);
    let kept = Incoming { retained: true, delivery: Delivery::AtLeastOnce(9), ..plain.clone() };
    assert_eq!(read(Version::V3, &message_bytes(0x33, b"a/b", Some(9), None, b"1")), kept);
    let again = Incoming { again: true, delivery: Delivery::ExactlyOnce(9), ..plain.clone() };
    assert_eq!(read(Version::V3, &message_bytes(0x3C, b"a/b", Some(9), None, b"1")), again);
    // Payload format, expiry, content type, response topic, correlation data, subscription identifier.
    let properties = b"\x01\x01\x02\0\0\0\x05\x03\0\x01t\x08\0\x01r\x09\0\x02\0\x01\x0B\x80\x01";
    assert_eq!(read(Version::V5, &message_bytes(0x30, b"a/b", None, Some(properties), b"1")), plain);
    let empty = Incoming { payload: Vec::new(), ..plain };
    assert_eq!(read(Version::V5, &message_bytes(0x30, b"a/b", None, Some(b""), b"")), empty);
}

#[test]
fn a_broker_of_version_5_says_why_it_ends_a_connection() {
    let taken = Packet::Disconnect { code: 0x8E, said: Said::default() };
    assert_eq!(one(Version::V5, b"\xE0\x01\x8E"), taken);
    let normal = Packet::Disconnect { code: 0, said: Said::default() };
    assert_eq!(one(Version::V5, b"\xE0\0"), normal);
    let said = Said { why: Some("x".to_owned()), ..Said::default() };
    assert_eq!(one(Version::V5, b"\xE0\x06\x98\x04\x1F\0\x01x"), Packet::Disconnect { code: 0x98, said });
    assert!(why(Version::V3, b"\xE0\0").contains("no broker sends"));
}

#[test]
fn what_is_no_packet_is_told_apart() {
    for (version, bytes, expect) in [
        (Version::V3, &b"\x30\xFF\xFF\xFF\xFF"[..], "no end"),
        (Version::V3, b"\x30\x01\0", "shorter"),
        (Version::V3, b"\x30\x02\0\0", "no topic"),
        (Version::V3, b"\x32\x03\0\x01a", "shorter"),
        (Version::V3, b"\x36\x05\0\x01a\0\x01", "quality of service"),
        (Version::V3, b"\x10\0", "no broker sends"),
        (Version::V3, b"\x20\x01\0", "shorter"),
        (Version::V3, b"\x90\xFF\xFF\x7F", "larger than any"),
        (Version::V5, b"\x30\x05\0\x01a\x01\x7E", "does not exist"),
        (Version::V5, b"\x30\x07\0\x01a\x03\x23\0\x01", "topic alias"),
        (Version::V5, b"\x30\x06\0\x01a\x02\x1F\0", "shorter"),
        (Version::V5, b"\x30\x07\0\x01a\xFF\xFF\xFF\xFF", "no end"),
    ] {
        let said = why(version, bytes);
        assert!(said.contains(expect), "{bytes:?}: {said}");
    }
}

#[test]
fn a_message_too_large_goes_by_and_the_next_one_is_read() {
    let large = message_bytes(0x32, b"camera/picture", Some(7), None, &vec![b'x'; MESSAGE_BYTES_MAX]);
    let next = message_bytes(0x30, b"a", None, None, b"1");
    let bytes: Vec<u8> = large.iter().chain(&next).copied().collect();
    for piece in [1, 7, 1000, 16 * 1024, bytes.len()] {
        let mut inbox = Inbox::new(Version::V3);
        let mut packets = Vec::new();
        for piece in bytes.chunks(piece) {
            inbox.room(piece.len()).extend_from_slice(piece);
            while let Some(packet) = inbox.packet().unwrap() {
                packets.push(packet);
            }
            assert!(inbox.rest().len() <= piece.len().max(100), "nothing of it is kept");
        }
        let [Packet::TooLarge { message, bytes: length }, Packet::Message(read)] = packets.as_slice() else {
            panic!("{piece}: {}", packets.len());
        };
        assert_eq!(
            (message.topic.as_slice(), message.delivery),
            (&b"camera/picture"[..], Delivery::AtLeastOnce(7))
        );
        assert_eq!(*length, MESSAGE_BYTES_MAX + 18);
        assert_eq!(read.payload, b"1");
    }
}

#[test]
fn the_largest_message_is_read() {
    let payload = vec![b'x'; MESSAGE_BYTES_MAX - 3];
    let bytes = message_bytes(0x30, b"a", None, None, &payload);
    assert!(matches!(one(Version::V3, &bytes), Packet::Message(message) if message.payload == payload));
}

fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let message = (0_u8..6, "[a-z/]{1,20}", prop::collection::vec(any::<u8>(), 0..300)).prop_map(
        |(flags, topic, payload)| {
            let id = (flags & 0b110 != 0).then_some(5);
            message_bytes(0x30 | flags, topic.as_bytes(), id, None, &payload)
        },
    );
    prop_oneof![
        message,
        Just(b"\xD0\0".to_vec()),
        Just(b"\x90\x03\0\x01\x01".to_vec()),
        Just(b"\x62\x02\0\x05".to_vec()),
    ]
}

proptest! {
    #[test]
    fn in_whatever_pieces_it_comes_the_same_is_read(
        packets in prop::collection::vec(any_packet(), 0..10), piece in 1_usize..50,
    ) {
        let bytes = packets.concat();
        prop_assert_eq!(in_pieces(Version::V3, &bytes, piece), super::tests::packets(Version::V3, &bytes));
    }

    #[test]
    fn no_bytes_make_it_fall_and_none_are_kept_beyond_a_packet(
        bytes in prop::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..300, five: bool,
    ) {
        let version = if five { Version::V5 } else { Version::V3 };
        let mut inbox = Inbox::new(version);
        for piece in bytes.chunks(piece) {
            inbox.room(piece.len()).extend_from_slice(piece);
            loop {
                match inbox.packet() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
            prop_assert!(inbox.rest().len() <= MESSAGE_BYTES_MAX + 5);
        }
    }

    /// A body of random bytes behind a valid head: the properties are what is left to go wrong.
    #[test]
    fn no_body_makes_it_fall(kind in 0_u8..16, body in prop::collection::vec(any::<u8>(), 0..200), five: bool) {
        let version = if five { Version::V5 } else { Version::V3 };
        let mut inbox = Inbox::new(version);
        inbox.room(0).extend(packet(kind << 4, &body));
        if let Ok(read) = inbox.packet() {
            prop_assert!(read.is_some());
            prop_assert!(inbox.rest().is_empty());
        }
    }
}
