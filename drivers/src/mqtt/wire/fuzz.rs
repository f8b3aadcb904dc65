//! What a fuzzer calls, and the test that replays what it found: a broker that sends any bytes.
//!
//! The first byte chooses the version and how large the pieces are in which the rest comes. In whatever
//! pieces, the same packets are read and the same fault is found, and nothing is kept beyond one packet.
//! Pure; it panics where that does not hold.

use super::{Inbox, MESSAGE_BYTES_MAX, Malformed, Packet, Version};

/// The first byte of a packet and its length.
const HEAD_BYTES_MAX: usize = 5;

pub fn packets(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    let version = if how & 1 == 1 { Version::V5 } else { Version::V3 };
    let piece = usize::from(how >> 1) + 1;
    let whole = read(version, bytes, bytes.len().max(1));
    assert_eq!(read(version, bytes, piece), whole, "in pieces of {piece} bytes");
}

fn read(version: Version, bytes: &[u8], piece: usize) -> (Vec<Packet>, Option<Malformed>) {
    let mut inbox = Inbox::new(version);
    let mut packets = Vec::new();
    for piece in bytes.chunks(piece) {
        inbox.room(piece.len()).extend_from_slice(piece);
        loop {
            match inbox.packet() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(malformed) => return (packets, Some(malformed)),
            }
        }
        assert!(inbox.rest().len() <= MESSAGE_BYTES_MAX + HEAD_BYTES_MAX, "a whole packet is kept");
    }
    (packets, None)
}
