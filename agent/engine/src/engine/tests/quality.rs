//! The figures of alarm quality, over a plant that is driven by the second.

use riskgate_point::Mono;

use crate::site::{Site, draft, plant, rule, ruled, secs};
use crate::*;

fn site(draft: Draft) -> Site {
    let mut site = Site::new(vec![plant(draft)]);
    site.warm();
    site
}

fn at(site: &Site, secs_: u64) -> AlarmQuality {
    site.engine.quality(Mono(0).after(secs(secs_)))
}

#[test]
fn three_onsets_in_a_minute_are_chattering_and_one_of_a_day_is_stale() {
    let mut site = site(ruled(vec![rule("hot", "{TI} > 80")]));
    for time in [10, 30, 69] {
        site.line(&format!("{time}s TI 90"));
        if time < 69 {
            site.line(&format!("{}s TI 50", time + 1));
        }
    }
    assert_eq!(at(&site, 69).chattering, ["hot"]);
    assert_eq!(at(&site, 70).chattering, ["hot"]);
    assert_eq!(at(&site, 71).chattering, [""; 0]);
    let day = 24 * 3600;
    assert_eq!(at(&site, 69 + day).stale, [""; 0]);
    assert_eq!(at(&site, 70 + day).stale, ["hot"]);
    // The restart does not make it young again, and what is shelved is no longer on the operator's list.
    site.line(&format!("{day}s restart"));
    assert_eq!(at(&site, 70 + day).stale, ["hot"]);
    site.line(&format!("{day}s shelve hot 100s"));
    let quality = at(&site, 70 + day);
    assert_eq!((quality.stale.len(), quality.standing, quality.shelved), (0, 0, 1));
}

#[test]
fn a_flood_begins_with_the_eleventh_in_ten_minutes_and_ends_when_fewer_than_five_are_left() {
    let mut site = site(ruled(vec![rule("hot", "{TI} > 80")]));
    // One each ten seconds: the eleventh comes 100 s after the first.
    for n in 0..11u64 {
        assert!(!at(&site, 1200 + 10 * n).flood);
        site.line(&format!("{}s TI 90", 1200 + 10 * n));
        site.line(&format!("{}s TI 50", 1201 + 10 * n));
    }
    assert!(at(&site, 1301).flood);
    // Of the eleven four are left ten minutes after the seventh: 1260 s.
    site.line("1859s");
    assert!(at(&site, 1859).flood);
    site.line("1860s");
    assert!(!at(&site, 1860).flood);
    let quality = at(&site, 2400);
    assert_eq!((quality.day.annunciated, quality.day.peak_10_min), (11, 11));
    assert_eq!(quality.day.covered_s, 2400);
    assert!((quality.day.per_10_min - 2.75).abs() < 1e-9, "{quality:?}");
    // From 1300 s to 1860 s.
    assert!((quality.day.flood_share - 560.0 / 2400.0).abs() < 1e-9, "{quality:?}");
    assert_eq!(quality.day.worst, [("hot".to_owned(), 11)]);
    assert_eq!(quality.day.by_priority, [(Priority::High, 1.0)].into());
    // A day and a little later the day has forgotten it, the week has not.
    let later = at(&site, 24 * 3600 + 3600);
    assert_eq!((later.day.annunciated, later.week.annunciated), (0, 11));
    assert!(later.day.flood_share < 1e-9 && later.week.flood_share > 0.0);
}

#[test]
fn what_is_withheld_is_not_heard_until_it_is_released() {
    let mut site = site(draft());
    site.line("10s shelve GD-1/H 60s");
    site.line("11s GD-1 30");
    assert_eq!((at(&site, 12).day.annunciated, at(&site, 12).standing), (0, 0));
    site.line("71s");
    assert_eq!((at(&site, 72).day.annunciated, at(&site, 72).standing), (1, 1));
}

#[test]
fn a_flood_of_a_week_is_held_in_bounded_memory_and_ends_in_time() {
    let mut site = site(ruled(vec![rule("hot", "{TI} > 80")]));
    let week = 7 * 24 * 3600;
    // One each minute and twenty seconds for eight days: seven or eight in ten minutes, after a burst.
    for n in 0..12u64 {
        site.line(&format!("{}s TI 90", 10 + 2 * n));
        site.line(&format!("{}s TI 50", 11 + 2 * n));
    }
    for n in 1..8640u64 {
        site.line(&format!("{}s TI 90", 80 * n));
        site.line(&format!("{}s TI 50", 80 * n + 1));
    }
    let quality = at(&site, 80 * 8640);
    assert!(quality.flood && (quality.week.flood_share - 1.0).abs() < 1e-6, "{quality:?}");
    assert!(quality.week.covered_s <= week && quality.week.covered_s >= week - 600, "{quality:?}");
    assert_eq!(quality.week.peak_10_min, 8);
    site.line(&format!("{}s", 80 * 8640 + 600));
    assert!(!at(&site, 80 * 8640 + 600).flood);
}
