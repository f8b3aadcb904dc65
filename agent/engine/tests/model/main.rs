//! The engine against a slow, obvious model of it.
//!
//! The model follows the words of the design and shares nothing with the engine but its public types. It keeps
//! the whole past: every input with its time, and what each part of each condition said at every second. At each
//! instant it judges anew from there. It has no windows, no deadlines, no index of who reads what.
//!
//! Time is whole seconds, and so are all delays and lengths, so that whatever happens by itself happens at a
//! second: the model looks at every one.
//!
//! `PROPTEST_CASES` says how many cases are tried. A failing case is shrunk, printed and kept in
//! `proptest-regressions`; it is tried first from then on.

#[cfg(test)]
mod alarms;
#[cfg(test)]
mod compare;
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
