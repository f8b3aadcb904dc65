//! What a feed says of itself: a topic with the word that it is there, and the word, mostly its last will,
//! that it is gone. Pure.
//!
//! This is a state, not news: kept by the broker it counts as much as fresh. That the broker answers says
//! nothing of the feed behind it.

use super::Path;

/// Where a feed tells its state, and in which words.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// One topic, without wildcards.
    pub topic: String,
    /// Where in a JSON message the word stands; `None`: the message is the word.
    pub value: Option<Path>,
    pub online: String,
    pub offline: String,
}

/// Why a message on the status topic says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclear {
    NotJson,
    Missing,
    /// Neither of the two words.
    Unknown,
}

impl Unclear {
    pub fn word(self) -> &'static str {
        match self {
            Self::NotJson => "status_not_json",
            Self::Missing => "status_missing",
            Self::Unknown => "status_unknown",
        }
    }
}

impl Status {
    /// Whether the feed says that it is there. Upper and lower case are one.
    pub fn is_online(&self, payload: &[u8]) -> Result<bool, Unclear> {
        let word = match &self.value {
            None => String::from_utf8_lossy(payload).trim().to_owned(),
            Some(path) => {
                let json = serde_json::from_slice(payload).map_err(|_| Unclear::NotJson)?;
                let found: &serde_json::Value = path.first(&json).ok_or(Unclear::Missing)?;
                found.as_str().map_or_else(|| found.to_string(), |text| text.trim().to_owned())
            }
        };
        let is = |said: &str| word.eq_ignore_ascii_case(said);
        match (is(&self.online), is(&self.offline)) {
            (true, _) => Ok(true),
            (false, true) => Ok(false),
            (false, false) => Err(Unclear::Unknown),
        }
    }
}

/// What is known of the feed's own state.
#[derive(Debug, Default)]
pub(super) struct Known {
    said: Option<bool>,
    /// It was said on this connection.
    fresh: bool,
}

impl Known {
    pub(super) fn say(&mut self, online: bool) {
        self.said = Some(online);
        self.fresh = true;
    }

    pub(super) fn connection_lost(&mut self) {
        self.fresh = false;
    }

    /// A message of the feed came. Where the feed was gone before the connection was lost and says nothing of
    /// its state on this one (it may not be kept), this is the sign that it is back. Where it says that it is
    /// gone, messages of others are no sign.
    pub(super) fn message(&mut self) {
        if !self.fresh && self.said == Some(false) {
            self.said = None;
        }
    }

    pub(super) fn is_offline(&self) -> bool {
        self.said == Some(false)
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Option<&str>, online: &str, offline: &str) -> Status {
        Status {
            topic: "frigate/available".to_owned(),
            value: value.map(|path| Path::parse(path).expect("a path")),
            online: online.to_owned(),
            offline: offline.to_owned(),
        }
    }

    #[test]
    fn a_status_is_a_word_or_a_place_in_a_message() {
        let plain = status(None, "online", "offline");
        assert_eq!(plain.is_online(b"online"), Ok(true));
        assert_eq!(plain.is_online(b" Offline\n"), Ok(false));
        assert_eq!(plain.is_online(b""), Err(Unclear::Unknown));
        assert_eq!(plain.is_online(b"\xFF"), Err(Unclear::Unknown));
        let json = status(Some("$.state"), "online", "offline");
        assert_eq!(json.is_online(br#"{"state": "online"}"#), Ok(true));
        assert_eq!(json.is_online(br#"{"state": "restarting"}"#), Err(Unclear::Unknown));
        assert_eq!(json.is_online(b"{}"), Err(Unclear::Missing));
        assert_eq!(json.is_online(b"offline"), Err(Unclear::NotJson));
        let truth = status(Some("$.online"), "true", "false");
        assert_eq!(truth.is_online(br#"{"online": false}"#), Ok(false));
        let number = status(Some("$"), "1", "0");
        assert_eq!(number.is_online(b"1"), Ok(true));
    }

    #[test]
    fn a_feed_that_was_gone_before_a_lost_connection_is_back_with_its_first_message() {
        let mut known = Known::default();
        known.say(false);
        known.message();
        assert!(known.is_offline(), "messages of others do not outweigh its own word");
        known.connection_lost();
        assert!(known.is_offline());
        known.message();
        assert!(!known.is_offline());
    }
}
