//! Windows against a model that keeps all of the past and adds it up anew each time.

use proptest::prelude::*;

use super::super::window::{CHANGES_MAX, Outcome, Window, WindowKind};
use super::*;

const KINDS: [WindowKind; 6] = [
    WindowKind::Average,
    WindowKind::Min,
    WindowKind::Max,
    WindowKind::Delta,
    WindowKind::Rate,
    WindowKind::Deviation,
];

/// What was read, each from its time on.
struct Past(Vec<(u64, Option<f64>)>);

impl Past {
    /// (from, to, value) within `start..=end`, without what lasted no time.
    fn parts(&self, start: u64, end: u64) -> Vec<(u64, u64, Option<f64>)> {
        let ends = self.0.iter().skip(1).map(|(from, _)| *from).chain([u64::MAX]);
        let parts =
            self.0.iter().zip(ends).map(|((from, value), to)| (*from.max(&start), to.min(end), *value));
        parts.filter(|(from, to, _)| from < to).collect()
    }

    fn complete(&self, length: u64, now: u64) -> bool {
        let start = now.saturating_sub(length);
        let unknown: u64 = self
            .parts(start, now)
            .iter()
            .filter(|part| part.2.is_none())
            .map(|(from, to, _)| to - from)
            .sum();
        self.0.first().is_some_and(|(first, _)| first + length <= now) && unknown * 10 <= length
    }

    /// Also what lasted no time.
    fn extreme(&self, length: u64, now: u64, better: fn(f64, f64) -> f64) -> Option<f64> {
        let ends = self.0.iter().skip(1).map(|(from, _)| *from).chain([u64::MAX]);
        let inside = self.0.iter().zip(ends).filter(|(_, to)| to.saturating_add(length) > now);
        inside.filter_map(|((_, value), _)| *value).reduce(better)
    }

    fn delta(&self, length: u64, now: u64) -> Option<f64> {
        let mut known: Vec<f64> = self.parts(now - length, now).iter().filter_map(|part| part.2).collect();
        known.extend(self.0.last().and_then(|(_, present)| *present));
        Some(known.last()? - known.first()?)
    }

    /// Mean and deviation of the window as it stood at the end of the last whole step.
    fn moments(&self, length: u64, now: u64) -> Option<(f64, f64)> {
        let (first, step) = (self.0.first()?.0, length / 100);
        let end = first + (now - first) / step * step;
        let parts = self.parts(end.saturating_sub(step * 100), end);
        let known: Vec<(f64, f64)> =
            parts.iter().filter_map(|(from, to, value)| Some(((to - from) as f64, (*value)?))).collect();
        let time: f64 = known.iter().map(|(time, _)| time).sum();
        let mean = known.iter().map(|(time, value)| time * value).sum::<f64>() / time;
        let square = known.iter().map(|(time, value)| time * (value - mean).powi(2)).sum::<f64>() / time;
        Some((mean, square.sqrt()))
    }

    fn value(&self, kind: WindowKind, length: u64, now: u64) -> Option<f64> {
        match kind {
            WindowKind::Min => self.extreme(length, now, f64::min),
            WindowKind::Max => self.extreme(length, now, f64::max),
            WindowKind::Delta => self.delta(length, now),
            WindowKind::Rate => Some(self.delta(length, now)? / (length as f64 / 60e9)),
            WindowKind::Average => self.moments(length, now).map(|(mean, _)| mean),
            WindowKind::Deviation => self.moments(length, now).map(|(_, deviation)| deviation),
        }
    }
}

fn quality(value: Option<f64>) -> Quality {
    if value.is_some() { Quality::Good } else { Quality::Bad(BadReason::CommFailure) }
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(100.0)
}

fn agrees(
    kind: WindowKind,
    outcome: Outcome,
    past: &Past,
    length: u64,
    now: u64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(outcome.complete, past.complete(length, now), "{:?} complete at {}", kind, now);
    if !outcome.complete && !matches!(kind, WindowKind::Min | WindowKind::Max) {
        return Ok(());
    }
    let expected = past.value(kind, length, now);
    let same = match (outcome.value, expected) {
        (Some(value), Some(expected)) => near(value, expected),
        (value, expected) => value == expected,
    };
    prop_assert!(same, "{:?} at {}: {:?}, expected {:?}", kind, now, outcome, expected);
    Ok(())
}

/// (milliseconds since the last, value). Few of each, so that edges meet.
fn script() -> impl Strategy<Value = Vec<(u64, Option<f64>)>> {
    let pause =
        prop_oneof![Just(0), Just(1), Just(10), Just(50), Just(99), Just(100), Just(1_000), 0..300_u64];
    let value = prop_oneof![
        1 => Just(None),
        4 => (0..5_i32).prop_map(|value| Some(f64::from(value) * 10.0)),
        2 => (-1e3..1e3).prop_map(Some),
    ];
    prop::collection::vec((pause, value), 1..80)
}

proptest! {
    #[test]
    fn windows_say_what_the_past_says(
        script in script(),
        length_ms in prop::sample::select(vec![100_u64, 250, 1_000, 3_000]),
        looks in prop::collection::vec(0..120_u64, 80),
    ) {
        let length = length_ms * 1_000_000;
        for kind in KINDS {
            let mut window = Window::new(kind, length);
            let mut past = Past(Vec::new());
            let mut now = ms(0).0;
            for ((pause, value), look) in script.iter().zip(&looks) {
                // A look in between changes nothing.
                if look < pause && let Some((_, present)) = past.0.last() {
                    let between = now + look * 1_000_000;
                    window.observe(*present, quality(*present), between);
                    agrees(kind, window.outcome(between), &past, length, between)?;
                }
                now += pause * 1_000_000;
                past.0.push((now, *value));
                window.observe(*value, quality(*value), now);
                agrees(kind, window.outcome(now), &past, length, now)?;
            }
        }
    }

    #[test]
    fn between_two_offered_changes_a_window_stands_still(
        script in script(),
        length_ms in prop::sample::select(vec![100_u64, 250, 1_000]),
        look in 0..100_u64,
    ) {
        let length = length_ms * 1_000_000;
        for kind in KINDS {
            let mut window = Window::new(kind, length);
            let mut now = ms(0).0;
            for (place, (_, value)) in script.iter().enumerate() {
                window.observe(*value, quality(*value), now);
                let pause = script.get(place + 1).map_or(5_000, |(pause, _)| *pause);
                let end = now + pause * 1_000_000;
                loop {
                    let next = window.next_change(now).filter(|next| *next < end);
                    prop_assert!(next.is_none_or(|next| next > now), "a change in the past");
                    let until = next.unwrap_or(end);
                    let between = now + (until - now) / 100 * look;
                    if between < until {
                        let mut seen = window.clone();
                        seen.observe(*value, quality(*value), between);
                        let (then, before) = (seen.outcome(between), window.outcome(now));
                        prop_assert_eq!(then.complete, before.complete, "{:?} {} {}", kind, now, between);
                        // What an incomplete window says is used of an extreme only.
                        if then.complete || matches!(kind, WindowKind::Min | WindowKind::Max) {
                            prop_assert_eq!(then.value, before.value, "{:?} {} {}", kind, now, between);
                        }
                        prop_assert_eq!(seen.next_change(between), next.or(window.next_change(now)));
                    }
                    now = until;
                    let Some(next) = next else { break };
                    window.observe(*value, quality(*value), next);
                }
                now = end;
            }
        }
    }
}

/// Numbers without a pattern, the same each time.
fn noise(n: u64) -> f64 {
    let mixed = (n ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 31)) % 1_000) as f64 / 10.0
}

#[test]
fn memory_is_bounded_and_what_is_merged_is_off_by_a_512th_of_the_window() {
    // 50,000 changes in a window of 10 s: one each 200 us, with a second of silence in each half minute.
    let length = 10_000_000_000;
    let mut windows = KINDS.map(|kind| Window::new(kind, length));
    let mut past = Past(Vec::new());
    let mut most = [0; 6];
    let mut n_compared = 0;
    for n in 0..150_000_u64 {
        let now = ms(0).0 + n * 200_000;
        // A slow fall under the noise fills the deque of the maximum, a slow rise that of the minimum.
        let drift = if n % 100_000 < 50_000 { -(n as f64) } else { n as f64 };
        let value = if n % 7 == 0 && n % 60 < 4 { None } else { Some(drift * 10.0 + noise(n)) };
        past.0.push((now, value));
        for (window, most) in windows.iter_mut().zip(&mut most) {
            window.observe(value, quality(value), now);
            *most = window.n_entries().max(*most);
        }
        if n % 5_000 == 4_999 {
            let late = length / 512 + 1;
            for window in &windows {
                let outcome = window.outcome(now);
                assert_eq!(outcome.complete, past.complete(length, now), "at {now}");
                let used = outcome.complete || matches!(window.kind(), WindowKind::Min | WindowKind::Max);
                let Some(value) = outcome.value.filter(|_| used) else { continue };
                n_compared += 1;
                match window.kind() {
                    kind @ (WindowKind::Max | WindowKind::Min) => {
                        let exact = past.value(kind, length, now).unwrap();
                        let wide = past.value(kind, length + late, now).unwrap();
                        assert!(
                            (exact.min(wide)..=exact.max(wide)).contains(&value),
                            "{kind:?} {value} {exact}"
                        );
                    }
                    kind @ (WindowKind::Average | WindowKind::Deviation) => {
                        assert!(near(value, past.value(kind, length, now).unwrap()), "{kind:?} {value}");
                    }
                    kind @ (WindowKind::Delta | WindowKind::Rate) => {
                        let delta = if kind == WindowKind::Rate { value / 6.0 } else { value };
                        let last = past.0.iter().rev().find_map(|(_, value)| *value).unwrap();
                        let around = past.parts(now - length - late, now - length + late);
                        let first = |part: &(u64, u64, Option<f64>)| {
                            part.2.is_some_and(|first| near(last - first, delta))
                        };
                        assert!(around.iter().any(first), "{kind:?} {value}");
                    }
                }
            }
        }
    }
    assert!(n_compared > 100, "{n_compared}");
    for (window, most) in windows.iter().zip(most) {
        assert!(most <= CHANGES_MAX, "{:?} held {most}", window.kind());
        let averages = matches!(window.kind(), WindowKind::Average | WindowKind::Deviation);
        assert!(averages || most >= CHANGES_MAX - 1, "{:?} did not reach the bound: {most}", window.kind());
    }
}

#[test]
fn a_long_silence_is_walked_in_one_step() {
    let length = 1_000_000_000;
    let mut window = Window::new(WindowKind::Average, length);
    window.observe(Some(10.0), Quality::Good, 0);
    window.observe(Some(20.0), Quality::Good, 10);
    let year = 365 * 86_400 * 1_000_000_000;
    window.observe(Some(30.0), Quality::Good, year);
    assert_eq!(window.outcome(year).value, Some(20.0));
    window.observe(Some(30.0), Quality::Good, year + length / 2);
    assert!(near(window.outcome(year + length / 2).value.unwrap(), 25.0));
}
