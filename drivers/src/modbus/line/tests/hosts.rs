//! A redundant device with two addresses, on real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::super::*;
use super::{PACE, holding, registers};
use crate::modbus::Framing;
use crate::ports::free_port;

/// Answers every question with `word`, or never.
async fn serve(listener: TcpListener, word: Option<u8>) {
    let mut served = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        served.spawn(answer(stream, word));
    }
}

async fn answer(mut stream: TcpStream, word: Option<u8>) {
    let mut frame = [0; 12];
    while stream.read_exact(&mut frame).await.is_ok() {
        let Some(word) = word else { continue };
        let reply = [&frame[..4], &[0, 5], &frame[6..8], &[2, 0, word]].concat();
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

async fn listen(port: u16) -> (TcpListener, Address) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    (listener, Address { host: "127.0.0.1".to_owned(), port })
}

fn line(main: &Address, second: &Address) -> Line {
    Line::new(Endpoint::Tcp { main: main.clone(), second: Some(second.clone()), framing: Framing::Tcp })
}

/// Lets the clock run over the time after which the first address is knocked at.
async fn a_quarter_of_an_hour() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15 * 60)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_second_address_is_used_while_the_first_is_gone_and_then_the_first_again() {
    let (first, main) = listen(free_port()).await;
    let (second, other) = listen(free_port()).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(second, Some(2)));
    let mut first_serves = JoinSet::new();
    first_serves.spawn(serve(first, Some(1)));
    let (line, tally) = (line(&main, &other), Tally::default());
    assert_eq!(line.ask(1, holding(0, 1), PACE, &tally).await.unwrap(), registers(&[1]));
    first_serves.shutdown().await;
    for _ in 0..3 {
        assert_eq!(line.ask(1, holding(0, 1), PACE, &tally).await.unwrap(), registers(&[2]));
    }
    tasks.spawn(serve(listen(main.port).await.0, Some(1)));
    assert_eq!(line.ask(1, holding(0, 1), PACE, &tally).await.unwrap(), registers(&[2]), "not at once");
    a_quarter_of_an_hour().await;
    // The first is knocked at beside the polling.
    let returned = async {
        while line.ask(1, holding(0, 1), PACE, &tally).await.unwrap() != registers(&[1]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), returned).await.unwrap();
    assert_eq!(line.ask(1, holding(0, 1), PACE, &tally).await.unwrap(), registers(&[1]), "it stays");
}

#[tokio::test]
async fn an_address_that_lets_us_in_and_answers_nothing_is_left_for_the_other() {
    let (first, main) = listen(free_port()).await;
    let (second, other) = listen(free_port()).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(first, None));
    tasks.spawn(serve(second, Some(2)));
    let (line, tally) = (line(&main, &other), Tally::default());
    let pace = Pace { timeout: Duration::from_millis(30), ..PACE };
    for _ in 0..2 {
        assert!(matches!(line.ask(1, holding(0, 1), pace, &tally).await, Err(Fault::NoReply(_))));
    }
    assert_eq!(line.ask(1, holding(0, 1), PACE, &tally).await.unwrap(), registers(&[2]));
}

#[tokio::test]
async fn where_neither_answers_both_are_told() {
    let ((first, main), (second, other)) = (listen(free_port()).await, listen(free_port()).await);
    drop((first, second));
    let (line, tally) = (line(&main, &other), Tally::default());
    let fault = line.ask(1, holding(0, 1), PACE, &tally).await.unwrap_err();
    let said = fault.sentence(line.endpoint(), 1, holding(0, 1));
    for address in [&main, &other] {
        assert!(said.contains(&format!("{address}: connecting failed: Connection refused")), "{said}");
    }
}
