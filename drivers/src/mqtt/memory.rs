//! What reading a message may need of those before it. It belongs to one feed, is bounded, and takes its
//! time from the messages.

/// The memory of one feed.
#[derive(Debug, Default)]
pub struct Memory {}

impl Memory {
    /// The connection ended: what was told meanwhile was not heard.
    pub fn link_lost(&mut self) {}
}
