//! Addresses that a device refuses: who is told what, and what it costs the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use riskgate_drivers::modbus::Table;
use riskgate_point::{BadReason, Link, Quality};

use super::plant::{Deed, Driver, Plant, device, holding, point};

const REFUSED: Quality = Quality::Bad(BadReason::RefusedAddress);

#[tokio::test]
async fn the_guilty_are_named_and_their_neighbours_are_read_from_the_first_cycle_on() {
    const GUILTY: [u16; 3] = [37, 38, 90];
    let plant = Plant::start(|asked| {
        if GUILTY.iter().any(|address| asked.holds(*address)) { Deed::Exception(2) } else { Deed::Answer }
    })
    .await;
    let mut driver = Driver::start(device(plant.port, holding(0..100)));
    driver.until("named", |driver| driver.counts().skips.len() == 3).await;
    driver.until("ten cycles", |driver| driver.good(0) >= 10).await;
    driver.assert_no_wrong_value();
    for (id, quality) in driver.qualities() {
        let guilty = GUILTY.contains(&u16::try_from(id).unwrap());
        assert_eq!(quality, if guilty { REFUSED } else { Quality::Good }, "point {id}");
    }
    assert_eq!(driver.links(), [&Link::Connecting, &Link::Up]);
    let counts = driver.counts();
    let (place, reason) = counts.skips.keys().next().unwrap();
    let sentence = &counts.skips.values().next().unwrap().example;
    assert_eq!((place.as_str(), *reason), ("holding 37", "refused_address"));
    let expect = format!(
        "modbus 127.0.0.1:{} device 1 refuses holding 37 (exception 2, illegal data address), asked for as \
         written here, counted from 0 on the wire; the device's list may count from 1 (address_base), or name \
         another table or a wider type; the other points are read on, and these are asked for again after minutes",
        plant.port
    );
    assert_eq!(*sentence, expect);
    assert_eq!(counts.connects, 1);
    driver.stop().await;
}

#[tokio::test]
async fn once_found_the_guilty_cost_nothing_but_one_more_read() {
    let plant = Plant::start(|asked| if asked.holds(37) { Deed::Exception(2) } else { Deed::Answer }).await;
    let mut driver = Driver::start(device(plant.port, holding(0..100)));
    driver.until("found and joined", |driver| driver.good(0) >= 15).await;
    let before = plant.asked().len();
    driver.until("ten more cycles", |driver| driver.good(0) >= 25).await;
    let asked = &plant.asked()[before..];
    let spans: Vec<(u16, u16)> = asked.iter().map(|asked| (asked.address, asked.count)).collect();
    assert!(spans.iter().all(|span| [(0, 37), (38, 62)].contains(span)), "{spans:?}");
    driver.stop().await;
}

#[tokio::test]
async fn a_table_that_is_refused_whole_is_told_in_one_sentence() {
    let plant =
        Plant::start(|asked| if asked.function == 3 { Deed::Exception(2) } else { Deed::Answer }).await;
    let mut points = holding(0..500);
    points.push(point(500, Table::Input, 7));
    let mut driver = Driver::start(device(plant.port, points));
    driver.until("told", |driver| !driver.counts().skips.is_empty()).await;
    driver.until("thirty cycles", |driver| driver.good(500) >= 30).await;
    driver.assert_no_wrong_value();
    assert!((0..500).all(|id| driver.qualities()[&id] == REFUSED));
    let skips = driver.counts().skips;
    assert_eq!(skips.len(), 1, "{skips:?}");
    let skipped = &skips[&("holding".to_owned(), "refused_address")];
    assert!(
        skipped.example.contains("refuses everything of table holding, 500 points"),
        "{}",
        skipped.example
    );
    assert!(skipped.example.contains("counts from 1 (address_base)"), "{}", skipped.example);
    driver.stop().await;
}

#[tokio::test]
async fn a_controller_that_starts_is_read_whole_again_as_soon_as_it_has_started() {
    let starting = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&starting);
    let plant =
        Plant::start(move |_| if flag.load(Ordering::SeqCst) { Deed::Exception(2) } else { Deed::Answer })
            .await;
    let mut driver = Driver::start(device(plant.port, holding(0..300)));
    driver.until("read", |driver| driver.good(299) >= 3).await;
    starting.store(true, Ordering::SeqCst);
    driver
        .until("all refused", |driver| driver.qualities().values().all(|quality| *quality == REFUSED))
        .await;
    // Long enough for every single point to have been asked for and refused.
    driver.until("searched", |_| plant.asked().len() > 800).await;
    starting.store(false, Ordering::SeqCst);
    let before = plant.asked().len();
    driver.until("all good", |driver| driver.qualities().values().all(|quality| quality.is_good())).await;
    assert!(plant.asked().len() - before < 60, "{} requests", plant.asked().len() - before);
    driver.assert_no_wrong_value();
    driver.stop().await;
}

#[tokio::test]
async fn a_busy_device_is_not_searched() {
    let plant =
        Plant::start(|asked| if asked.number % 3 == 1 { Deed::Exception(6) } else { Deed::Answer }).await;
    let mut driver = Driver::start(device(plant.port, holding((0..50).chain(100..150))));
    driver.until("twenty cycles", |driver| driver.good(0) >= 20 && driver.good(99) >= 20).await;
    assert!(plant.asked().iter().all(|asked| asked.count == 50));
    assert!(driver.bad(0).iter().all(|reason| *reason == BadReason::CommFailure));
    driver.stop().await;
}

#[tokio::test]
async fn an_address_that_silences_the_device_is_found_as_well() {
    let plant = Plant::start(|asked| if asked.holds(37) { Deed::Silence } else { Deed::Answer }).await;
    let points = holding((0..40).chain(100..110));
    let device = riskgate_drivers::modbus::Device {
        timeout: std::time::Duration::from_millis(30),
        ..device(plant.port, points)
    };
    let mut driver = Driver::start(device);
    driver
        .until("the neighbours are read", |driver| {
            let qualities = driver.qualities();
            qualities.len() == 50 && qualities.iter().all(|(id, quality)| *id == 37 || quality.is_good())
        })
        .await;
    driver.assert_no_wrong_value();
    assert_eq!(driver.good(37), 0);
    assert!(driver.bad(37).iter().all(|reason| *reason == BadReason::CommFailure));
    driver.stop().await;
}

#[tokio::test]
async fn a_point_that_is_refused_among_others_and_fails_alone_is_not_called_the_one_and_the_other_in_turn() {
    for (code, reason) in [(4, BadReason::DeviceFailure), (6, BadReason::CommFailure)] {
        let plant = Plant::start(move |asked| match asked.holds(5) {
            false => Deed::Answer,
            true if asked.count > 1 => Deed::Exception(2),
            true => Deed::Exception(code),
        })
        .await;
        let mut driver = Driver::start(device(plant.port, holding(0..10)));
        driver.until("it has failed often", |driver| driver.bad(5).len() >= 20).await;
        let told = driver.bad(5);
        let first = told.iter().position(|told| *told == reason).unwrap();
        assert!(told[first..].iter().all(|told| *told == reason), "{told:?}");
        driver.stop().await;
    }
}
