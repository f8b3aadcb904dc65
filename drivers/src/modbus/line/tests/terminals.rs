//! A serial port as the operating system has it: a pair of pseudo terminals, of which the test is the device.

use std::os::unix::fs::symlink;

use riskgate_point::BadReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::super::super::frame::rtu;
use super::super::serial::Serial;
use super::super::*;
use super::{PACE, Terminals, holding, port, registers};

fn line_at(path: &std::path::Path) -> Line {
    Line::new(Endpoint::Serial(Port { path: path.to_owned(), ..port() }))
}

/// Answers every question with its own address, until the line is gone. Some adapters echo.
async fn answer(mut device: Serial, echoes: bool) {
    let mut frame = [0; 8];
    while device.read_exact(&mut frame).await.is_ok() {
        let mut reply = vec![frame[0], frame[1], frame[5] * 2];
        for at in 0..frame[5] {
            reply.extend([frame[2], frame[3] + at]);
        }
        reply.extend(rtu::checksum(&reply).to_le_bytes());
        let said = if echoes { [frame.to_vec(), reply].concat() } else { reply };
        if device.write_all(&said).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_serial_port_is_read_whether_its_adapter_echoes_or_not() {
    for echoes in [false, true] {
        let Terminals { device, path, _held } = Terminals::open();
        let mut tasks = JoinSet::new();
        tasks.spawn(answer(device, echoes));
        let (line, tally) = (line_at(&path), Tally::default());
        for address in 0..50 {
            let reply = line.ask(1, holding(address, 2), PACE, &tally).await.unwrap();
            assert_eq!(reply, registers(&[address, address + 1]), "echoes: {echoes}");
        }
        assert_eq!(tally.counts().connects, 1);
    }
}

#[tokio::test]
async fn an_adapter_that_is_plugged_in_again_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let by_id = folder.path().join("usb-adapter-if00");
    let (line, tally) = (line_at(&by_id), Tally::default());
    for address in [3, 4] {
        // The name stays; behind it is another port each time.
        let Terminals { device, path, _held } = Terminals::open();
        drop(std::fs::remove_file(&by_id));
        symlink(&path, &by_id).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(answer(device, false));
        let reply = line.ask(1, holding(address, 1), PACE, &tally).await.unwrap();
        assert_eq!(reply, registers(&[address]));
        tasks.shutdown().await;
        std::fs::remove_file(&by_id).unwrap();
        let unplugged = line.ask(1, holding(0, 1), PACE, &tally).await.unwrap_err();
        assert!(matches!(unplugged, Fault::Port { .. }), "{unplugged:?}");
        let said = unplugged.sentence(line.endpoint(), 1, holding(0, 1));
        assert!(said.contains("No such file") && said.contains("/dev/serial/by-id"), "{said}");
        assert_eq!(unplugged.reason(), BadReason::CommFailure);
    }
    assert_eq!(tally.counts().connects, 2);
}

#[tokio::test]
async fn a_port_has_one_owner_and_a_file_is_none() {
    let Terminals { device: _device, path, _held } = Terminals::open();
    let held = Serial::open(&Port { path: path.clone(), ..port() }).await.unwrap();
    let tally = Tally::default();
    let taken = line_at(&path).ask(1, holding(0, 1), PACE, &tally).await.unwrap_err();
    assert!(taken.to_string().contains("another program has the port open"), "{taken}");
    drop(held);
    // Free again: it is opened, and nobody answers.
    let silent = line_at(&path).ask(1, holding(0, 1), PACE, &tally).await.unwrap_err();
    assert!(matches!(silent, Fault::NoReply(_)), "{silent:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let no_port = line_at(file.path()).ask(1, holding(0, 1), PACE, &tally).await.unwrap_err();
    assert!(no_port.to_string().contains("it is no serial port"), "{no_port}");
}

#[tokio::test]
async fn a_wrong_baud_is_told_by_what_it_looks_like() {
    let Terminals { mut device, path, _held } = Terminals::open();
    let (line, tally) = (line_at(&path), Tally::default());
    let garbled = async {
        let mut frame = [0; 8];
        device.read_exact(&mut frame).await.unwrap();
        device.write_all(&[0xF8, 0x1E, 0x00, 0xE6, 0xFE]).await.unwrap();
    };
    let (asked, ()) = tokio::join!(line.ask(1, holding(0, 1), PACE, &tally), garbled);
    let said = asked.unwrap_err().sentence(line.endpoint(), 1, holding(0, 1));
    assert!(said.contains("5 bytes that are no frame") && said.contains("check baud, parity"), "{said}");
}
