//! `[[source]]` of kind `opcua`.

use std::time::Duration;

use riskgate_drivers::opcua;
use riskgate_point::SourceId;

use super::{Kind, PERIOD_MAX, PERIOD_MIN, TIMEOUT_MAX, TIMEOUT_MIN};
use crate::config::address;
use crate::config::fields::Fields;
use crate::config::secret::{SecretFile, Whose};
use crate::config::site::user;

const DEFAULT_PUBLISHING: Duration = Duration::from_millis(250);
const DEFAULT_SAMPLING: Duration = Duration::from_millis(100);
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(600);
const DEFAULT_QUEUE: u32 = 10;
/// Values of one item between two publishings; more is history, not monitoring.
const QUEUE_MAX: u32 = 1000;

pub(super) fn server(fields: &mut Fields<'_>, source: SourceId, secrets: &mut Vec<SecretFile>) -> Kind {
    let url = fields.required_text("url").map(|url| url.value).unwrap_or_default();
    if let Err(wrong) = address::opcua_url(&url)
        && !url.is_empty()
    {
        fields.error("url", wrong.message, wrong.hint);
    }
    let publishing = fields.duration("publishing", TIMEOUT_MIN..=TIMEOUT_MAX).unwrap_or(DEFAULT_PUBLISHING);
    let keep_alive = fields.duration("keep_alive", PERIOD_MIN..=KEEP_ALIVE_MAX).unwrap_or(DEFAULT_KEEP_ALIVE);
    if keep_alive < publishing {
        let hint = "a keep-alive is sent at most once a publishing interval".to_owned();
        fields.error("keep_alive", "'keep_alive' is shorter than 'publishing'", hint);
    }
    Kind::Opcua(opcua::Server {
        source,
        url,
        publishing,
        sampling: fields.duration("sampling", TIMEOUT_MIN..=PERIOD_MAX).unwrap_or(DEFAULT_SAMPLING),
        queue: fields.integer("queue", 1..=QUEUE_MAX).unwrap_or(DEFAULT_QUEUE),
        keep_alive,
        user: user(fields, Whose::Source(source), secrets).map(|user| (user, String::new())),
        points: Vec::new(),
    })
}
