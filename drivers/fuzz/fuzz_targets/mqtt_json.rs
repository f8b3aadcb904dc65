//! MQTT messages of any bytes, read in every way that a feed can be configured.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| riskgate_drivers::mqtt::decode::fuzz::json(data));
