//! The contract of a driver (style: given checked points and a bounded sender, run until cancelled), the same
//! clauses for each that there is: a table of peers, a table of clauses, one test for each pair.
//!
//! A driver is known here by nothing but what it reports, what it counts and what its peer has seen of it.
//! What one protocol alone can do wrong is in the tests of that protocol.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of it is test code: what cannot go on shall panic"
)]

mod bench;
mod clauses;
mod memory;
mod modbus;
mod mqtt;
mod opcua;
mod serial;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each test binary uses its own part of it")]
mod support;
mod tcp;

macro_rules! contract {
    ($($peer:ident: $kind:ty),* $(,)?) => {
        $(mod $peer {
            contract!(@clauses $kind:
                the_link_is_told_once_per_change_and_samples_come_after_up,
                a_lost_peer_is_named_and_each_point_is_bad_once_and_it_comes_back_by_itself,
                a_peer_that_never_answers_is_down_with_words_within_its_timeout,
                a_peer_that_falls_silent_is_down_and_comes_back,
                a_peer_that_closes_at_once_is_tried_with_growing_pauses,
                a_full_intake_does_not_hold_up_the_stop,
                a_stop_ends_it_while_it_connects,
                a_stop_ends_it_while_it_is_up,
                a_stop_ends_it_while_its_peer_is_silent,
                a_stop_ends_it_between_two_tries,
                what_it_counts_adds_up,
            );
        })*
    };
    (@clauses $kind:ty: $($clause:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $clause() {
            crate::clauses::$clause::<$kind>().await;
        })*
    };
}

contract! {
    a_modbus_device: crate::tcp::ModbusTcp,
    a_modbus_device_on_a_serial_line: crate::serial::Serial,
    a_modbus_device_in_memory: crate::memory::Memory,
    an_opcua_server: crate::opcua::OpcUa,
    an_mqtt_broker: crate::mqtt::Mqtt,
}
