//! The engine against a slow, obvious model of it.
//!
//! The model follows the words of the design and shares nothing with the engine but its public types. It keeps
//! the whole past: every input with its time, and what each part of each condition said at every second. At each
//! instant it judges anew from there. It has no windows, no deadlines, no index of who reads what.
//!
//! Time is whole seconds, and so are all delays and lengths, so that whatever happens by itself happens at a
//! second: the model looks at every one, and between two of them when the engine does. Cycles of tasks end at the
//! half of one.
//!
//! What both are asked: random plants of eight points and six sources, with limits and up to three written rules
//! over the whole language, some of them as built-in kinds on one side and written out on the other; hazards raised at
//! once, after a time and after repeats; readings of every quality, late, out of order and out of history; links,
//! silence and keep-alives; fixes, sightings, conditions and permits; acts of persons on alarms, hazards and units;
//! the records of an automatic measure; restarts, one at every point of a scenario too; a changed configuration, in
//! another order; a wall clock that is set by up to a day, and a machine that is suspended. What is compared: all that
//! is told of alarms, hazards, tasks, units, stops and records, when it is told, and whether an act is accepted. The
//! words, the evidence and the ids are not.
//!
//! What it does not know, and other tests do: records of persons, cycles of more than half a minute and what is
//! overdue, the deadlines of rectification, indicators; hazards that are raised late and share a cause; kinds of rules
//! about people, permits and cameras; an episode that ends while its rule is bound to another measure, of which the
//! hazard of the first is not told either; text beyond words of a list; persons of a list, polygons and floors; more than
//! there is room for; windows that are refilled from history; a wall clock that is set while shelves, permits, cycles
//! or stops run, or before a restart.
//!
//! `PROPTEST_CASES` says how many cases are tried in all, others each time; without it there are about 2,000, always
//! the same. `tests/run --long` tries 100,000. The run tells the seed that it draws its cases by: with
//! `PROPTEST_RNG_SEED` and as many cases it is repeated. Many cases want optimised code that still counts with care:
//!
//! ```text
//! PROPTEST_CASES=100000 CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true \
//!     cargo test --release -p riskgate-engine --test model
//! ```
//!
//! A failing case is shrunk and told: the plant, and all that went in and came out up to the first difference. Its
//! seed is told as a line `cc ...` and kept in `agent/engine/tests/proptest-regressions/compare.txt`: what stands
//! there is tried first from then on. To try one of another machine again, put its line there and run
//! `cargo test -p riskgate-engine --test model NAME`. A seed means another case once cases are drawn otherwise, so
//! what is worth keeping is written out in `found.rs` as well.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a match does not name is for it all alike: a list of it would hide the few that matter"
)]
#![allow(clippy::needless_range_loop, reason = "points and sources are known by their places in every list")]

#[cfg(test)]
mod alarms;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod found;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod language;
#[cfg(test)]
mod model;
#[cfg(test)]
mod site;
#[cfg(test)]
mod truth;
#[cfg(test)]
mod world;
