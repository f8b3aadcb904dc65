//! An MQTT broker that sends any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| riskgate_drivers::mqtt::wire::fuzz::packets(data));
