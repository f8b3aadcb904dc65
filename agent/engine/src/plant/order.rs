//! Rules that read other rules: in which order they are judged, and that none reads itself.

use std::collections::VecDeque;

use crate::plant::Rule;
use crate::{Draft, Fault, Item, Severity};

/// Gives each rule its rank, above those of all rules that it reads, and the class of the strictest of them
/// where it names none. Written rules stand behind the first `limits`. A cycle is refused with its path.
pub(super) fn rank(rules: &mut [Rule], limits: usize, draft: &Draft, faults: &mut Vec<Fault>) {
    let place = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
    let reads: Vec<Vec<usize>> =
        rules.iter().map(|rule| rule.rules.iter().map(|at| place(*at)).collect()).collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); rules.len()];
    let mut waits: Vec<usize> = Vec::with_capacity(rules.len());
    for (at, of) in reads.iter().enumerate() {
        waits.push(of.len());
        of.iter().for_each(|read| readers.get_mut(*read).into_iter().for_each(|all| all.push(at)));
    }
    let mut ready: VecDeque<usize> = (0..rules.len()).filter(|at| waits.get(*at) == Some(&0)).collect();
    while let Some(at) = ready.pop_front() {
        let Some((rank, class)) = rules.get(at).map(|rule| (rule.rank, rule.class)) else { continue };
        for reader in readers.get(at).into_iter().flatten() {
            let named = reader.checked_sub(limits).and_then(|at| draft.rules.get(at)?.class).is_some();
            if let Some(rule) = rules.get_mut(*reader) {
                rule.rank = rule.rank.max(rank + 1);
                rule.class = if named { rule.class } else { rule.class.max(class) };
            }
            if let Some(waits) = waits.get_mut(*reader) {
                *waits -= 1;
                if *waits == 0 {
                    ready.push_back(*reader);
                }
            }
        }
    }
    if let Some(path) = cycle(&reads, &waits) {
        let names: Vec<&str> = path.iter().filter_map(|at| Some(rules.get(*at)?.id.as_str())).collect();
        let first = path.first().and_then(|at| at.checked_sub(limits)).unwrap_or_default();
        faults.push(Fault {
            severity: Severity::Error,
            item: Item::Rule(first),
            field: "when",
            span: None,
            message: format!("rules read each other in a circle: {}", names.join(" -> ")),
            hint: Some("leave one `active('…')` out, or read the points themselves".to_owned()),
        });
    }
}

/// A way from a rule that still waits back to it.
fn cycle(reads: &[Vec<usize>], waits: &[usize]) -> Option<Vec<usize>> {
    let in_circle = |at: &usize| waits.get(*at).is_some_and(|waits| *waits > 0);
    let mut path = vec![(0..waits.len()).find(in_circle)?];
    loop {
        let next = *reads.get(*path.last()?)?.iter().find(|at| in_circle(at))?;
        if let Some(from) = path.iter().position(|at| *at == next) {
            path.drain(..from);
            path.push(next);
            return Some(path);
        }
        path.push(next);
    }
}
