//! `[[source]]` of kind `opcua`.

use std::ops::RangeInclusive;
use std::time::Duration;

use riskgate_drivers::opcua;
use riskgate_point::SourceId;

use super::{Kind, subscriptions};
use crate::config::address;
use crate::config::fields::Fields;
use crate::config::secret::{SecretFile, Whose};
use crate::config::site::user;

/// How far back a server may be asked for what was missed.
const HISTORY: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(24);

pub(super) fn server(fields: &mut Fields<'_>, source: SourceId, secrets: &mut Vec<SecretFile>) -> Kind {
    let url = fields.required_text("url").map(|url| url.value).unwrap_or_default();
    if let Err(wrong) = address::opcua_url(&url)
        && !url.is_empty()
    {
        fields.error("url", wrong.message, wrong.hint);
    }
    let groups = subscriptions::groups(fields);
    // Of the connection; a group may have a longer one.
    let keep_alive = groups.first().map(|own| own.keep_alive).unwrap_or_default();
    Kind::Opcua(opcua::Server {
        source,
        url,
        keep_alive,
        user: user(fields, Whose::Source(source), secrets).map(|user| (user, String::new())),
        history: fields.duration("history", HISTORY),
        groups,
        notifiers: Vec::new(),
        points: Vec::new(),
    })
}
