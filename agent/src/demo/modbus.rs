//! Two Modbus TCP devices of the simulated plant: the tank farm's control station and the gas controller.
//!
//! They answer function code 3 over their registers and nothing else. A detector that has failed answers
//! with exception 4 (device failure) wherever its value register is part of the read, as cards do.

use std::future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response};

use super::plant::Plant;

/// One device, and where its values lie.
#[derive(Debug)]
pub(super) struct Device {
    /// As in the configuration.
    pub(super) source: &'static str,
    pub(super) registers: &'static [Register],
}

#[derive(Debug)]
pub(super) struct Register {
    /// On the wire, from 0.
    pub(super) address: u16,
    pub(super) tag: &'static str,
    pub(super) form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// IEEE 754, two registers, the high word first.
    Float,
    /// The value times this, rounded.
    Word(f64),
}

/// Registers that no value lies in read as 0 up to here; beyond, the address is refused.
const REGISTERS: u16 = 100;

pub(super) const DCS: Device = Device {
    source: "dcs",
    registers: &[
        Register { address: 0, tag: "LT-101", form: Form::Float },
        Register { address: 2, tag: "LT-102", form: Form::Float },
        Register { address: 4, tag: "TT-101", form: Form::Float },
        Register { address: 6, tag: "PT-101", form: Form::Word(100.0) },
    ],
};

pub(super) const GAS: Device = Device {
    source: "gas",
    registers: &[
        Register { address: 0, tag: "GD-101", form: Form::Word(10.0) },
        Register { address: 1, tag: "GD-101.S", form: Form::Word(1.0) },
        Register { address: 2, tag: "GD-102", form: Form::Word(10.0) },
        Register { address: 3, tag: "GD-102.S", form: Form::Word(1.0) },
        Register { address: 40, tag: "GD-103", form: Form::Word(10.0) },
        Register { address: 60, tag: "GD-103.S", form: Form::Word(1.0) },
        Register { address: 80, tag: "GD-301", form: Form::Word(10.0) },
    ],
};

struct Answers {
    device: &'static Device,
    plant: Arc<Plant>,
}

impl Service for Answers {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = future::Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        // Not our own enum, and a device that knows one function says so to all others.
        let answer = if let Request::ReadHoldingRegisters(address, quantity) = request {
            self.plant.note_read(self.device.source);
            self.read(address, quantity).map(Response::ReadHoldingRegisters)
        } else {
            Err(ExceptionCode::IllegalFunction)
        };
        future::ready(answer)
    }
}

impl Answers {
    fn read(&self, address: u16, quantity: u16) -> Result<Vec<u16>, ExceptionCode> {
        if quantity == 0 || quantity > 125 {
            return Err(ExceptionCode::IllegalDataValue);
        }
        let end = address.checked_add(quantity).filter(|end| *end <= REGISTERS);
        let end = end.ok_or(ExceptionCode::IllegalDataAddress)?;
        let mut words = vec![0; usize::from(quantity)];
        for register in self.device.registers {
            for (address_of_word, word) in (register.address..).zip(register.form.width()) {
                if !(address..end).contains(&address_of_word) {
                    continue;
                }
                let (value, _) = self.plant.value(register.tag).ok_or(ExceptionCode::ServerDeviceFailure)?;
                let place = words.get_mut(usize::from(address_of_word - address));
                if let (Some(place), Some(bits)) = (place, register.form.words(value).nth(usize::from(*word)))
                {
                    *place = bits;
                }
            }
        }
        Ok(words)
    }
}

impl Form {
    /// The numbers of its words.
    fn width(self) -> &'static [u8] {
        match self {
            Self::Float => &[0, 1],
            Self::Word(_) => &[0],
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a register holds what fits: f32 precision, 0 to 65535 (the cast saturates)"
    )]
    fn words(self, value: f64) -> std::vec::IntoIter<u16> {
        let words = match self {
            Self::Float => {
                let [a, b, c, d] = (value as f32).to_be_bytes();
                vec![u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
            }
            Self::Word(factor) => vec![(value * factor).round() as u16],
        };
        words.into_iter()
    }
}

/// Serves until it is dropped; returns only where the listener fails.
pub(super) async fn serve(
    device: &'static Device,
    plant: Arc<Plant>,
    listener: TcpListener,
) -> std::io::Result<()> {
    let server = Server::new(listener);
    let service = |_: SocketAddr| Ok(Some(Answers { device, plant: Arc::clone(&plant) }));
    let on_connected = |stream, address| future::ready(accept_tcp_connection(stream, address, service));
    // A client that hangs up in the middle of a request is the client's business.
    server.serve(&on_connected, |_| {}).await
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use tokio_modbus::client::{Reader as _, tcp};

    use super::*;
    use crate::demo::scenario::DEMO;
    use crate::demo::tests::{clock_at_rest, rows};

    async fn connected(
        device: &'static Device,
        plant: &Arc<Plant>,
    ) -> (JoinSet<()>, tokio_modbus::client::Context) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut servers = JoinSet::new();
        let plant = Arc::clone(plant);
        servers.spawn(async move { serve(device, plant, listener).await.expect("it serves") });
        (servers, tcp::connect(address).await.expect("it answers"))
    }

    #[tokio::test]
    async fn a_modbus_client_reads_the_levels_and_the_gas() {
        let plant = Plant::new(&DEMO, 1, clock_at_rest);
        let (_dcs, mut client) = connected(&DCS, &plant).await;
        let words = client.read_holding_registers(0, 7).await.expect("a link").expect("registers");
        let level = f32::from_bits(u32::from(words[0]) << 16 | u32::from(words[1]));
        assert!((level - 72.0).abs() < 0.1, "{level}");
        assert!((i32::from(words[6]) - 120).abs() <= 2, "{}", words[6]);
        let (_gas, mut client) = connected(&GAS, &plant).await;
        let words = client.read_holding_registers(0, 4).await.expect("a link").expect("registers");
        assert!((i32::from(words[0]) - 20).abs() <= 2, "{}", words[0]);
        assert_eq!(words[1], 0);
    }

    #[tokio::test]
    async fn a_client_is_refused_what_the_device_does_not_have_and_cannot_write() {
        use tokio_modbus::client::Writer as _;
        let plant = Plant::new(&DEMO, 1, clock_at_rest);
        let (_dcs, mut client) = connected(&DCS, &plant).await;
        let beyond = client.read_holding_registers(99, 2).await.expect("a link");
        assert_eq!(beyond, Err(ExceptionCode::IllegalDataAddress));
        let other = client.read_input_registers(0, 1).await.expect("a link");
        assert_eq!(other, Err(ExceptionCode::IllegalFunction));
        let written = client.write_single_register(0, 1).await.expect("a link");
        assert_eq!(written, Err(ExceptionCode::IllegalFunction));
    }

    #[tokio::test]
    async fn a_failed_detector_is_a_device_failure_and_harms_no_other_register() {
        static FAILED: crate::demo::scenario::Scenario =
            crate::demo::scenario::Scenario { failures: &[("GD-103", 0.0)], ..DEMO };
        let plant = Plant::new(&FAILED, 1, clock_at_rest);
        let (_gas, mut client) = connected(&GAS, &plant).await;
        let failed = client.read_holding_registers(40, 1).await.expect("a link");
        assert_eq!(failed, Err(ExceptionCode::ServerDeviceFailure));
        let state = client.read_holding_registers(60, 1).await.expect("a link").expect("registers");
        assert_eq!(state, [3]);
        assert!(client.read_holding_registers(0, 4).await.expect("a link").is_ok());
    }

    #[test]
    fn the_registers_are_those_of_the_point_table() {
        for device in [&DCS, &GAS] {
            let told: Vec<String> = device
                .registers
                .iter()
                .map(|register| {
                    let (kind, scale) = match register.form {
                        Form::Float => ("f32", 1.0),
                        Form::Word(factor) => ("u16", 1.0 / factor),
                    };
                    format!("{} holding:{} {kind} {scale}", register.tag, register.address)
                })
                .collect();
            let table: Vec<String> = rows()
                .iter()
                .filter(|row| row["数据源"] == device.source)
                .map(|row| {
                    let scale: f64 = row["系数"].parse().unwrap_or(1.0);
                    format!("{} {} {} {scale}", row["位号"], row["地址"], row["数据类型"])
                })
                .collect();
            assert_eq!(told, table);
        }
    }
}
