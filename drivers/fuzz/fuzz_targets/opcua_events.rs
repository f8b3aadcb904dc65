//! Events of an OPC UA server of any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| riskgate_drivers::opcua::fuzz::events(data));
