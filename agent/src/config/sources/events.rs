//! The alarms that an OPC UA server keeps itself (Alarms & Conditions): whether it is listened to, where, and
//! of which class what it tells is.

use riskgate_drivers::opcua::Node;
use riskgate_engine::Class;

use super::Kind;
use crate::config::fields::Fields;
use crate::config::model::CLASSES;

/// The Server object, from which every event of the standard's model can be had.
const SERVER: &str = "i=2253";

/// Names the notifiers to the driver; gives the class of the conditions, where there are to be any.
pub(super) fn read(fields: &mut Fields<'_>, kind: &mut Kind) -> Option<Class> {
    let wanted = fields.flag("events").unwrap_or(false);
    let class = fields.word("events_class", &CLASSES);
    let said = fields.texts("notifiers");
    if !wanted {
        for key in ["events_class", "notifiers"] {
            if fields.has(key) {
                let message = format!("'{key}' is for the events of a server, and 'events' is not true");
                fields.error(key, message, "write events = true".to_owned());
            }
        }
        return None;
    }
    if said.as_ref().is_some_and(Vec::is_empty) {
        let hint = format!("leave it out for the Server object, {SERVER}");
        fields.error("notifiers", "'notifiers' names no node", hint);
    }
    let mut notifiers: Vec<Node> = Vec::new();
    for notifier in said.into_iter().flatten() {
        match Node::parse(&notifier.value) {
            Ok(node) => notifiers.push(node),
            Err(wrong) => {
                let message = format!("'{}' is no node id: {}", wrong.text, wrong.why);
                let hint = "write ns=2;s=Name, nsu=URI;s=Name or i=Number".to_owned();
                fields.faults().error(notifier.place, message, hint);
            }
        }
    }
    if notifiers.is_empty() {
        notifiers.extend(Node::parse(SERVER));
    }
    if let Kind::Opcua(server) = kind {
        server.notifiers = notifiers;
    }
    Some(class.unwrap_or(Class::System))
}
