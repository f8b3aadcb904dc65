//! The shapes of messages that known systems send, a file for each. Pure: each says which events a message
//! holds, in the sender's words, and which of those words the plant has another for.
//! They do not remember: what is a repeat is decided for all of them alike.

pub(super) mod frigate;
pub(super) mod hikvision;
pub(super) mod onvif;

#[cfg(test)]
mod tests;
