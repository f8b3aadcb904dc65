//! Anything at all as the answer to Modbus requests, over TCP and on a serial line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| riskgate_drivers::modbus::fuzz::frames(data));
