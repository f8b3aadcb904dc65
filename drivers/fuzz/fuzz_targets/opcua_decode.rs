//! Values of an OPC UA server of any bytes, for points of any kind.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| riskgate_drivers::opcua::fuzz::decode(data));
