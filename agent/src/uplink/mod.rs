//! The uplink room.
