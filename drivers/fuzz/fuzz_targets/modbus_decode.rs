//! Modbus replies of any bytes, for devices of any points.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| riskgate_drivers::modbus::fuzz::decode(data));
