//! A point of an OPC UA server: its node.

use riskgate_drivers::opcua;

use super::Read;
use crate::config::headers::Column;
use crate::config::row::Line;

pub(super) fn item(line: &Line<'_>, address: &str, read: Read) -> Option<opcua::Point> {
    match opcua::Node::parse(address) {
        Ok(node) => {
            let words = read.enum_words();
            Some(opcua::Point { point: read.point, node, scaling: read.scaling, words })
        }
        Err(wrong) => {
            let hint = "write ns=2;s=Name, nsu=URI;s=Name or i=Number".to_owned();
            line.wrong(Column::Address, address, &format!("is no node id: {}", wrong.why), hint);
            None
        }
    }
}
