//! What others get wrong, each a test that riskgate does not. The names are sentences; the devices are raw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use riskgate_drivers::modbus::{Device, Table};
use riskgate_point::{BadReason, Link, Quality, Report};

use super::plant::{Asked, BlackHole, Deed, Driver, Plant, bit_at, device, holding, point};

/// Three reads of one cycle: 0 to 9, 100 to 109, 200 to 209.
fn three_blocks(port: u16) -> Device {
    device(port, holding((0..10).chain(100..110).chain(200..210)))
}

#[tokio::test]
async fn a_failed_read_throws_away_no_value_that_was_read_before_it_in_the_cycle() {
    for failing in [0, 100, 200] {
        for deed in [Deed::Exception(4), Deed::Silence, Deed::Close, Deed::Short(2)] {
            let fails = deed.clone();
            let plant = Plant::start(
                move |asked| if asked.address == failing { fails.clone() } else { Deed::Answer },
            )
            .await;
            let device = Device { timeout: Duration::from_millis(40), ..three_blocks(plant.port) };
            let mut driver = Driver::start(device);
            let others: Vec<u32> =
                [0, 10, 20].into_iter().filter(|id| id * 10 != u32::from(failing)).collect();
            driver
                .until("the others are read in spite of it", |driver| {
                    others.iter().all(|id| driver.good(*id) >= 10)
                })
                .await;
            driver.assert_no_wrong_value();
            assert_eq!(driver.good(u32::from(failing) / 10), 0);
            driver.stop().await;
        }
    }
}

#[tokio::test]
async fn values_of_a_cycle_are_told_before_a_later_read_of_it_has_failed() {
    let plant = Plant::start(|asked| if asked.address == 200 { Deed::Silence } else { Deed::Answer }).await;
    let device = Device { timeout: Duration::from_secs(30), ..three_blocks(plant.port) };
    let mut driver = Driver::start(device);
    // The last read waits for half a minute; nobody waits for it.
    driver.until("the first two blocks", |driver| driver.good(0) == 1 && driver.good(19) == 1).await;
    assert!(driver.of(29).is_empty());
    driver.stop().await;
}

#[tokio::test]
async fn one_bad_address_does_not_silence_the_unit_nor_its_block() {
    for code in [2, 3] {
        let plant =
            Plant::start(move |asked| if asked.holds(5) { Deed::Exception(code) } else { Deed::Answer })
                .await;
        let mut driver = Driver::start(three_blocks(plant.port));
        driver.until("every other point", |driver| (0..30).all(|id| id == 5 || driver.good(id) >= 10)).await;
        driver.assert_no_wrong_value();
        assert!(driver.bad(5).iter().all(|reason| *reason == BadReason::RefusedAddress));
        assert_eq!(driver.good(5), 0);
        driver.stop().await;
    }
}

#[tokio::test]
async fn a_missing_coil_bit_does_not_become_false() {
    // Nine coils take two bytes; one comes.
    let plant = Plant::start(|asked| if asked.number > 4 { Deed::Short(1) } else { Deed::Answer }).await;
    let points: Vec<_> = (0..9).map(|at| point(u32::from(at), Table::Coil, at)).collect();
    let mut driver = Driver::start(device(plant.port, points));
    driver.until("told bad", |driver| (0..9).all(|id| !driver.bad(id).is_empty())).await;
    driver.assert_no_wrong_value();
    assert!(!bit_at(1, 7) && bit_at(1, 8), "the missing bit is set at the device");
    assert!(driver.of(8).iter().all(|sample| sample.quality.is_bad() || sample.value.is_some()));
    driver.stop().await;
}

#[tokio::test]
async fn a_short_reply_leaves_no_zero_as_a_value() {
    for missing in [1, 2, 10, 20] {
        let plant =
            Plant::start(move |asked| if asked.address == 100 { Deed::Short(missing) } else { Deed::Answer })
                .await;
        let mut driver = Driver::start(three_blocks(plant.port));
        driver.until("the others", |driver| driver.good(0) >= 5 && driver.good(20) >= 5).await;
        driver.assert_no_wrong_value();
        assert!((10..20).all(|id| driver.good(id) == 0 && !driver.bad(id).is_empty()));
        driver.stop().await;
    }
}

#[tokio::test]
async fn the_transaction_id_is_checked() {
    let plant =
        Plant::start(|asked| if asked.address == 100 { Deed::OtherTransaction } else { Deed::Answer }).await;
    let mut driver = Driver::start(three_blocks(plant.port));
    driver.until("the others", |driver| driver.good(0) >= 5 && driver.good(20) >= 5).await;
    assert!((10..20).all(|id| driver.good(id) == 0 && !driver.bad(id).is_empty()));
    driver.stop().await;
}

#[tokio::test]
async fn a_dead_unit_1_on_one_device_does_not_silence_unit_1_on_another() {
    let dead = Plant::start(|_| Deed::Silence).await;
    let well = Plant::start(|_| Deed::Answer).await;
    let mut silent = Driver::start(Device { timeout: Duration::from_millis(40), ..three_blocks(dead.port) });
    let mut living = Driver::start(three_blocks(well.port));
    silent.until("down", |driver| !driver.downs().is_empty()).await;
    living.until("twenty cycles", |driver| driver.good(0) >= 20).await;
    assert_eq!(living.links(), [&Link::Connecting, &Link::Up]);
    assert!((0..30).all(|id| living.bad(id).is_empty()));
    silent.stop().await;
    living.stop().await;
}

#[tokio::test]
async fn a_dial_that_never_returns_stalls_no_other_device() {
    let hole = BlackHole::open().await;
    let well = Plant::start(|_| Deed::Answer).await;
    let mut dialing =
        Driver::start(Device { connect_timeout: Duration::from_secs(60), ..three_blocks(hole.port) });
    let mut living = Driver::start(three_blocks(well.port));
    living.until("twenty cycles", |driver| driver.good(0) >= 20).await;
    dialing.catch_up().await;
    assert_eq!(dialing.links(), [&Link::Connecting], "it still dials");
    dialing.stop().await;
    living.stop().await;
}

#[tokio::test]
async fn the_last_good_value_is_never_repeated() {
    // The third poll is the last that is answered; what is told afterwards holds no value.
    let answers = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&answers);
    let plant =
        Plant::start(move |_| if flag.load(Ordering::SeqCst) { Deed::Answer } else { Deed::Silence }).await;
    let device = Device { timeout: Duration::from_millis(30), ..device(plant.port, holding(0..10)) };
    let mut driver = Driver::start(device);
    driver.until("read", |driver| driver.good(0) >= 3).await;
    answers.store(false, Ordering::SeqCst);
    driver.until("down", |driver| !driver.downs().is_empty()).await;
    driver.until("tried again and again", |driver| driver.counts().polls_failed >= 5).await;
    driver.catch_up().await;
    let answered = driver.counts().polls;
    assert_eq!(u64::try_from(driver.good(0)).unwrap(), answered, "a value for each answer, and none beside");
    let down =
        driver.heard.iter().position(|report| matches!(report, Report::Link { link: Link::Down { .. }, .. }));
    for report in &driver.heard[down.unwrap()..] {
        if let Report::Sample(sample) = report {
            assert_eq!((&sample.value, sample.quality), (&None, Quality::Bad(BadReason::CommFailure)));
        }
    }
    driver.stop().await;
}

#[tokio::test]
async fn all_polls_go_over_one_connection() {
    let plant = Plant::start(|_| Deed::Answer).await;
    let mut driver = Driver::start(three_blocks(plant.port));
    driver.until("fifty cycles", |driver| driver.good(0) >= 50).await;
    assert!(plant.asked().iter().all(|asked: &Asked| asked.connection == 0));
    assert_eq!(driver.counts().connects, 1);
    driver.stop().await;
}
