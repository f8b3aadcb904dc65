//! The demo room.
#![allow(dead_code)]
mod broker;
mod folder;
mod modbus;
mod mqtt;
mod opcua;
mod plant;
mod reader;
mod report;
mod scenario;
mod screen;
mod speed;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use riskgate_point::Now;

    /// The plant rests at second 0.
    pub(super) fn clock_at_rest() -> Now {
        Now::default()
    }

    /// The rows of the demo's point table, by column.
    pub(super) fn rows() -> Vec<HashMap<String, String>> {
        let text = include_str!("../../../config/demo/points.csv");
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        reader.deserialize().map(|row| row.expect("a good row")).collect()
    }
}
