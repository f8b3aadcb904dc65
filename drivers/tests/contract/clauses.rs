//! What holds for every driver, whatever it speaks.

use std::time::Duration;

use riskgate_point::{Link, Report};
use tokio::time::timeout;

use super::bench::{Bench, PATIENCE, Peer, Way, link};

/// No two tellings in a row are the same, the first is that it connects, and no value comes but while it is
/// up. That a point is lost may be told a moment before the link is.
fn assert_link_is_in_order(heard: &[Report]) {
    let mut told: Option<&Link> = None;
    for report in heard {
        if let Some(link) = link(report) {
            assert!(told != Some(link), "told twice: {link:?}");
            assert!(told.is_some() || *link == Link::Connecting, "begins with {link:?}");
            assert!(told.is_none() || *link != Link::Connecting, "connecting is told at the start only");
            told = Some(link);
        } else if let Some(sample) = report.sample() {
            assert!(
                told == Some(&Link::Up) || sample.quality.is_bad(),
                "{sample:?} while the link was {told:?}"
            );
        }
    }
}

fn assert_values_are_right(bench: &Bench, peer: &impl Peer) {
    for sample in bench.heard.iter().filter_map(Report::sample) {
        let is_right = if sample.quality.is_bad() { sample.value.is_none() } else { peer.is_right(sample) };
        assert!(is_right, "{sample:?}");
    }
}

/// Every down names the peer, and says what to do about it.
fn assert_downs_have_words(bench: &Bench, peer: &impl Peer) {
    let name = peer.name();
    for link in bench.links() {
        if let Link::Down { why } = link {
            assert!(why.contains(&name), "{why} does not name {name}");
            assert!(why.contains(';'), "{why} says nothing of what to look at");
        }
    }
}

pub(crate) async fn the_link_is_told_once_per_change_and_samples_come_after_up<P: Peer>() {
    let peer = P::start(Way::Well).await;
    let mut bench = Bench::start(&peer);
    bench.until_up().await;
    bench.until_read::<P>(0).await;
    assert_eq!(bench.links(), [&Link::Connecting, &Link::Up]);
    assert_link_is_in_order(&bench.heard);
    assert_values_are_right(&bench, &peer);
    bench.ends(&peer).await;
}

pub(crate) async fn a_lost_peer_is_named_and_each_point_is_bad_once_and_it_comes_back_by_itself<P: Peer>() {
    let mut peer = P::start(Way::Well).await;
    let mut bench = Bench::start(&peer);
    bench.until_read::<P>(0).await;
    peer.turn(Way::Gone).await;
    bench.until_down().await;
    // It is tried in vain for a while, and that is no other news to the points.
    let tries = peer.tries().len();
    peer.turn(Way::Closes).await;
    bench.until("it is tried again", |_| peer.tries().len() >= tries + 2).await;
    peer.turn(Way::Well).await;
    bench.until_up().await;
    let since = bench.heard.iter().rposition(|report| link(report).is_some()).unwrap();
    bench.until_read::<P>(since).await;
    for id in 0..P::POINTS {
        assert_eq!(bench.lost(id), 1, "point {id}");
    }
    let ups = bench.links().into_iter().filter(|link| **link == Link::Up).count();
    assert_eq!(ups, 2);
    assert_link_is_in_order(&bench.heard);
    assert_downs_have_words(&bench, &peer);
    assert_values_are_right(&bench, &peer);
    bench.ends(&peer).await;
}

pub(crate) async fn a_peer_that_never_answers_is_down_with_words_within_its_timeout<P: Peer>() {
    let peer = P::start(Way::Silent).await;
    let mut bench = Bench::start(&peer);
    let took = bench.until_down().await;
    assert!(took <= P::TELLS_SILENCE_WITHIN, "{took:?}");
    for id in 0..P::POINTS {
        bench.until("each point is lost", |bench| bench.lost(id) == 1).await;
    }
    assert_link_is_in_order(&bench.heard);
    assert_downs_have_words(&bench, &peer);
    bench.ends(&peer).await;
}

pub(crate) async fn a_peer_that_falls_silent_is_down_and_comes_back<P: Peer>() {
    let mut peer = P::start(Way::Well).await;
    let mut bench = Bench::start(&peer);
    bench.until_read::<P>(0).await;
    peer.turn(Way::Silent).await;
    let took = bench.until_down().await;
    assert!(took <= P::NOTICES_SILENCE_WITHIN, "{took:?}");
    for id in 0..P::POINTS {
        bench.until("each point is lost", |bench| bench.lost(id) == 1).await;
    }
    peer.turn(Way::Well).await;
    bench.until_up().await;
    let since = bench.heard.iter().rposition(|report| link(report).is_some()).unwrap();
    bench.until_read::<P>(since).await;
    assert_link_is_in_order(&bench.heard);
    assert_downs_have_words(&bench, &peer);
    assert_values_are_right(&bench, &peer);
    bench.ends(&peer).await;
}

/// Pauses double, each being at least half of what it may be: so many rounds take at least the sum of the
/// halves. A busy machine makes that longer only.
pub(crate) async fn a_peer_that_closes_at_once_is_tried_with_growing_pauses<P: Peer>() {
    const PAUSES: u32 = 4;
    let (pause, in_a_row) = P::PAUSE;
    let peer = P::start(Way::Closes).await;
    let mut bench = Bench::start(&peer);
    let enough = usize::try_from(in_a_row * PAUSES).unwrap() + 1;
    bench.until("it is tried again and again", |_| peer.tries().len() >= enough).await;
    let tries = peer.tries();
    let took = tries[enough - 1] - tries[0];
    let at_least: Duration = (0..PAUSES).map(|round| pause * 2_u32.pow(round) / 2).sum();
    assert!(took >= at_least, "{enough} tries within {took:?}, where the pauses alone take {at_least:?}");
    assert!(matches!(bench.links()[..], [Link::Connecting, Link::Down { .. }]), "{:?}", bench.links());
    assert_link_is_in_order(&bench.heard);
    assert_downs_have_words(&bench, &peer);
    bench.ends(&peer).await;
}

pub(crate) async fn a_full_intake_does_not_hold_up_the_stop<P: Peer>() {
    const BOUND: usize = 16;
    let mut peer = P::start(Way::Well).await;
    let bench = Bench::with_room(&peer, BOUND);
    // Nobody takes anything out: what is merged away shows as well that it is full.
    let full = timeout(PATIENCE, async {
        while bench.receiver.depth() < BOUND && bench.receiver.merged() == 0 {
            peer.churn().await;
        }
    });
    assert!(full.await.is_ok(), "it never became full: {} wait", bench.receiver.depth());
    bench.ends_undrained(&peer).await;
}

pub(crate) async fn a_stop_ends_it_while_it_connects<P: Peer>() {
    let peer = P::start(Way::Silent).await;
    let mut bench = Bench::start(&peer);
    bench.until("it has come", |_| !peer.tries().is_empty()).await;
    bench.ends(&peer).await;
}

pub(crate) async fn a_stop_ends_it_while_it_is_up<P: Peer>() {
    let peer = P::start(Way::Well).await;
    let mut bench = Bench::start(&peer);
    bench.until_read::<P>(0).await;
    bench.ends(&peer).await;
}

pub(crate) async fn a_stop_ends_it_while_its_peer_is_silent<P: Peer>() {
    let mut peer = P::start(Way::Well).await;
    let mut bench = Bench::start(&peer);
    bench.until_read::<P>(0).await;
    peer.turn(Way::Silent).await;
    bench.ends(&peer).await;
}

pub(crate) async fn a_stop_ends_it_between_two_tries<P: Peer>() {
    let peer = P::start(Way::Gone).await;
    let mut bench = Bench::start(&peer);
    bench.until_down().await;
    bench.ends(&peer).await;
}

pub(crate) async fn what_it_counts_adds_up<P: Peer>() {
    let mut peer = P::start(Way::Well).await;
    let mut bench = Bench::start(&peer);
    bench.until_read::<P>(0).await;
    let counts = bench.counts();
    assert!(counts.polls > 0 && counts.connects == 1 && counts.polls_failed == 0, "{counts:?}");
    assert!(counts.round_trip <= counts.round_trip_max, "{counts:?}");
    peer.turn(Way::Gone).await;
    bench.until_down().await;
    let (lost, fails) = (bench.counts(), peer.books().counts_failures);
    assert!(!fails || lost.polls_failed > 0, "{lost:?}");
    assert_eq!(lost.connects, 1);
    peer.turn(Way::Well).await;
    bench.until_up().await;
    let since = bench.heard.iter().rposition(|report| link(report).is_some()).unwrap();
    bench.until_read::<P>(since).await;
    let counts = bench.ends(&peer).await;
    let books = peer.books();
    if let Some(connects) = books.connects {
        assert_eq!(counts.connects, connects, "{counts:?}");
    }
    if let Some((answered, on_the_way)) = books.answered {
        let range = answered.saturating_sub(on_the_way)..=answered;
        assert!(range.contains(&counts.polls), "{answered} were answered: {counts:?}");
    }
    assert!(counts.polls_failed >= lost.polls_failed && counts.polls > lost.polls, "{counts:?}");
}
