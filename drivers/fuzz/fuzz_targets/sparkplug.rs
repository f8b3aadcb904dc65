//! Messages of a Sparkplug node, of any bytes and in any order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| riskgate_drivers::mqtt::decode::fuzz::sparkplug(data));
