//! Hikvision's two shapes, as bridges carry them over MQTT: the alert of one camera (ISAPI,
//! `EventNotificationAlert`, as JSON) and the notification of the iSecure platform (`OnEventNotify`).
//!
//! An ISAPI camera repeats `active` about each second, and says `inactive` as its heartbeat too. iSecure
//! names each event. Alerts in XML are not read.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::mqtt::decode::sightings::{Phase, Seen};
use crate::mqtt::decode::{Field, Skip};

pub(in crate::mqtt) fn read(whole: &Json) -> Result<Vec<Seen<'_>>, Skip> {
    if let Some(params) = whole.get("params") {
        let events = params.get("events").and_then(Json::as_array).ok_or(Skip::Missing(Field::Event))?;
        return Ok(events.iter().map(of_platform).collect());
    }
    let alert = whole.get("EventNotificationAlert").unwrap_or(whole);
    if alert.get("eventType").is_none() {
        return Err(Skip::Missing(Field::Event));
    }
    let is_over = alert.get("eventState").and_then(Json::as_str) == Some("inactive");
    Ok(vec![Seen {
        camera: camera(alert),
        kind: text(alert, "eventType"),
        time: alert.get("dateTime"),
        phase: if is_over { Phase::Over } else { Phase::Seen },
        ..Seen::of(alert)
    }])
}

/// `10.0.0.21/1`: a recorder has many channels, and channels of two recorders the same number.
fn camera(alert: &Json) -> Option<Cow<'_, str>> {
    let first = |keys: [&str; 2]| keys.into_iter().find_map(|key| text(alert, key));
    let device = first(["ipAddress", "deviceID"])?;
    Some(match first(["channelID", "dynChannelID"]) {
        Some(channel) => Cow::Owned(format!("{device}/{channel}")),
        None => device,
    })
}

fn of_platform(event: &Json) -> Seen<'_> {
    /// 停止
    const STOP: i64 = 2;
    /// 联动更新, 异步图片: more of an event that was told.
    const MORE: [i64; 2] = [4, 5];
    let status = event.get("status");
    let status = status.and_then(|status| status.as_i64().or_else(|| status.as_str()?.trim().parse().ok()));
    Seen {
        camera: text(event, "srcIndex"),
        kind: text(event, "eventType"),
        id: text(event, "eventId"),
        time: event.get("happenTime"),
        phase: match status {
            Some(STOP) => Phase::Over,
            Some(status) if MORE.contains(&status) => Phase::Stands,
            Some(_) | None => Phase::Seen,
        },
        ..Seen::of(event)
    }
}

/// Codes come as numbers or as texts.
fn text<'j>(of: &'j Json, key: &str) -> Option<Cow<'j, str>> {
    match of.get(key)? {
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Number(number) => Some(Cow::Owned(number.to_string())),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// ISAPI's names in any letter case, and the code of iSecure that is known for certain; the platform's
/// administrator has the list of the others, for `kinds`.
pub(in crate::mqtt) fn kind(told: &str) -> Option<&'static str> {
    const KINDS: [(&str, &str); 12] = [
        ("VMD", "motion"),
        ("linedetection", "intrusion"),
        ("fielddetection", "intrusion"),
        ("regionEntrance", "intrusion"),
        ("131588", "intrusion"),
        ("loitering", "loitering"),
        ("group", "crowd"),
        ("firedetection", "flame"),
        ("smokedetection", "smoke"),
        ("videoloss", "video_loss"),
        ("tamperdetection", "video_loss"),
        ("shelteralarm", "video_loss"),
    ];
    KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(told)).map(|(_, kind)| *kind)
}
