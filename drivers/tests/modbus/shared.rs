//! Several devices: what a dead one costs the others, behind one connection and beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use riskgate_drivers::modbus::{Device, Line};
use riskgate_point::{BadReason, Link, SourceId};

use super::plant::{Asked, BlackHole, Deed, Driver, Plant, device, holding};

/// Units 1 to `n` behind one connection.
fn units(plant: &Plant, n: u8) -> Vec<Driver> {
    let of = |device_id| Device {
        source: SourceId(u16::from(device_id)),
        device_id,
        // Also of the living: a machine under load is slow, not silent.
        timeout: Duration::from_millis(500),
        ..device(plant.port, holding(0..10))
    };
    let line = Arc::new(Line::new(of(1).endpoint));
    (1..=n).map(|device_id| Driver::on(Arc::clone(&line), of(device_id))).collect()
}

/// How often the living were asked between each two requests to the dead.
fn between(asked: &[Asked], dead: impl Fn(&Asked) -> bool) -> Vec<usize> {
    let at: Vec<usize> =
        asked.iter().enumerate().filter(|(_, asked)| dead(asked)).map(|(at, _)| at).collect();
    at.windows(2).map(|pair| pair[1] - pair[0] - 1).collect()
}

#[tokio::test]
async fn a_dead_unit_costs_the_others_of_its_line_one_timeout_in_ten_polls_at_most() {
    let plant = Plant::start(|asked| if asked.device_id == 2 { Deed::Silence } else { Deed::Answer }).await;
    let mut drivers = units(&plant, 4);
    let dead = |asked: &Asked| asked.device_id == 2;
    let tries = || plant.asked().iter().filter(|asked| dead(asked)).count();
    drivers[0].until("the dead one was tried six times", |_| tries() >= 6).await;
    let asked = plant.asked();
    let gaps = between(&asked, dead);
    // At the start nobody knows yet that it is dead: it is asked as the others are.
    assert!(gaps[1..].iter().all(|gap| *gap >= 10), "{gaps:?}");
    for unit in [0, 2, 3] {
        drivers[unit].catch_up().await;
        drivers[unit].assert_no_wrong_value();
        assert_eq!(drivers[unit].links(), [&Link::Connecting, &Link::Up]);
        assert!(drivers[unit].bad(0).is_empty());
        // Late is a cycle that met a try, and what such a try left out.
        let counts = drivers[unit].counts();
        assert_eq!(counts.polls_failed, 0, "{counts:?}");
        assert!(counts.polls >= 50, "{counts:?}");
    }
    drivers[1].catch_up().await;
    assert_eq!(drivers[1].downs().len(), 1, "{:?}", drivers[1].downs());
    assert!(drivers[1].downs()[0].contains("device 2"), "{:?}", drivers[1].downs());
    assert_eq!(drivers[1].bad(0), [BadReason::CommFailure], "told once");
    for driver in drivers {
        driver.stop().await;
    }
}

#[tokio::test]
async fn the_living_are_asked_equally_often() {
    let plant = Plant::start(|asked| if asked.device_id == 2 { Deed::Silence } else { Deed::Answer }).await;
    let mut drivers = units(&plant, 4);
    drivers[0].until("two hundred polls", |driver| driver.good(0) >= 200).await;
    let asked = plant.asked();
    let polls = |unit: u8| asked.iter().filter(|asked| asked.device_id == unit).count();
    let (first, second, third) = (polls(1), polls(3), polls(4));
    assert!(first.abs_diff(second) <= 20 && first.abs_diff(third) <= 20, "{first}, {second}, {third}");
    for driver in drivers {
        driver.stop().await;
    }
}

#[tokio::test]
async fn half_of_the_units_dead_take_no_more_of_the_line_than_one() {
    let plant = Plant::start(|asked| if asked.device_id > 4 { Deed::Silence } else { Deed::Answer }).await;
    let mut drivers = units(&plant, 8);
    let dead = |asked: &Asked| asked.device_id > 4;
    let tries = || plant.asked().iter().filter(|asked| dead(asked)).count();
    drivers[0].until("the dead were tried often", |_| tries() >= 10).await;
    let gaps = between(&plant.asked(), dead);
    assert!(gaps[4..].iter().all(|gap| *gap >= 10), "{gaps:?}");
    for driver in drivers {
        driver.stop().await;
    }
}

#[tokio::test]
async fn a_unit_that_answers_again_is_at_once_polled_at_its_full_period() {
    let dead = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&dead);
    let plant = Plant::start(move |asked| {
        if asked.device_id == 2 && flag.load(Ordering::SeqCst) { Deed::Silence } else { Deed::Answer }
    })
    .await;
    let mut drivers = units(&plant, 4);
    drivers[1].until("down", |driver| !driver.downs().is_empty()).await;
    dead.store(false, Ordering::SeqCst);
    drivers[1].until("read again", |driver| driver.good(0) >= 20).await;
    let asked = plant.asked();
    let answered = asked.iter().rposition(|asked| asked.device_id == 2).unwrap();
    let own: Vec<usize> = (0..=answered).filter(|at| asked[*at].device_id == 2).collect();
    // Of its last twenty polls no two have more than two rounds of the others between them.
    let widest = own[own.len() - 20..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(widest <= 3 * 4, "{widest}");
    assert!(matches!(drivers[1].links().as_slice(), [Link::Connecting, Link::Down { .. }, Link::Up]));
    for driver in drivers {
        driver.stop().await;
    }
}

#[tokio::test]
async fn a_line_whose_units_are_all_dead_is_tried_without_waiting_for_anyone() {
    let dead = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&dead);
    let plant =
        Plant::start(move |_| if flag.load(Ordering::SeqCst) { Deed::Silence } else { Deed::Answer }).await;
    let mut drivers = units(&plant, 4);
    for driver in &mut drivers {
        driver.until("down", |driver| !driver.downs().is_empty()).await;
    }
    dead.store(false, Ordering::SeqCst);
    for driver in &mut drivers {
        driver.until("up again", |driver| driver.good(0) >= 3).await;
        driver.assert_no_wrong_value();
    }
    for driver in drivers {
        driver.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_black_holes_among_a_hundred_devices_cost_the_others_no_poll() {
    let own = |source: u16, port| Device {
        source: SourceId(source),
        period: Duration::from_millis(100),
        connect_timeout: Duration::from_millis(200),
        ..device(port, holding(0..10))
    };
    let mut plants = Vec::new();
    let holes = futures_util::future::join_all((0..10).map(|_| BlackHole::open())).await;
    for _ in 0..90 {
        plants.push(Plant::start(|_| Deed::Answer).await);
    }
    let mut dead: Vec<Driver> =
        (0..).zip(&holes).map(|(source, hole)| Driver::start(own(source, hole.port))).collect();
    let mut living: Vec<Driver> =
        (10..).zip(&plants).map(|(source, plant)| Driver::start(own(source, plant.port))).collect();
    for driver in &mut dead {
        driver.until("down", |driver| !driver.downs().is_empty() && driver.counts().polls_failed >= 3).await;
        assert!(driver.downs()[0].contains("no connection within 200ms"), "{:?}", driver.downs());
    }
    living[0].until("thirty polls", |driver| driver.good(0) >= 30).await;
    let polls: Vec<u64> =
        living.iter().map(|driver| driver.counts().polls + driver.counts().polls_late).collect();
    for driver in &mut living {
        driver.catch_up().await;
        assert_eq!(driver.links(), [&Link::Connecting, &Link::Up]);
        assert_eq!((driver.counts().polls_failed, driver.counts().connects), (0, 1));
        assert!(driver.bad(0).is_empty());
    }
    // Each on its own grid: what this machine left out is left out for all alike, and counted.
    let (least, most) = (polls.iter().min().unwrap(), polls.iter().max().unwrap());
    assert!(most - least <= most / 10 + 2, "{polls:?}");
    for driver in living.into_iter().chain(dead) {
        driver.stop().await;
    }
}
