//! How many readings are lost to upstream, of when, and of which classes.

use riskgate_engine::Class;
use riskgate_point::Wall;
use serde::Deserialize;

use super::Reading;

/// All classes, in an order that files on disk have too.
pub(in crate::uplink) const CLASSES: [Class; 9] = [
    Class::Process,
    Class::Equipment,
    Class::System,
    Class::Video,
    Class::Permit,
    Class::People,
    Class::Gas,
    Class::Fire,
    Class::Sis,
];

/// Readings that upstream will never have. It is written to the spool as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize)]
pub(in crate::uplink) struct Dropped {
    pub(in crate::uplink) from: Wall,
    pub(in crate::uplink) to: Wall,
    pub(in crate::uplink) count: u64,
    /// Of these, how many were too large to be sent at all.
    pub(in crate::uplink) too_large: u64,
    /// Of these, how many the broker would not take.
    pub(in crate::uplink) refused: u64,
    /// By class, in the order of [`CLASSES`]; of damaged ones it is not known.
    pub(in crate::uplink) classes: [u64; CLASSES.len()],
}

impl Dropped {
    pub(in crate::uplink) fn unknown(from: Wall, to: Wall, count: u64) -> Self {
        Self { from, to, count, too_large: 0, refused: 0, classes: [0; CLASSES.len()] }
    }

    pub(in crate::uplink) fn of(readings: &[Reading]) -> Option<Self> {
        readings.iter().fold(None, |all, reading| {
            let mut one = Self::unknown(reading.time, reading.time, 1);
            for (count, class) in one.classes.iter_mut().zip(CLASSES) {
                *count = u64::from(class == reading.class);
            }
            Self::merged(all, Some(one))
        })
    }

    pub(in crate::uplink) fn merged(all: Option<Self>, more: Option<Self>) -> Option<Self> {
        let (all, more) = match (all, more) {
            (Some(all), Some(more)) => (all, more),
            (only, None) | (None, only) => return only,
        };
        let mut classes = all.classes;
        for (count, more) in classes.iter_mut().zip(more.classes) {
            *count = count.saturating_add(more);
        }
        Some(Self {
            from: all.from.min(more.from),
            to: all.to.max(more.to),
            count: all.count.saturating_add(more.count),
            too_large: all.too_large.saturating_add(more.too_large),
            refused: all.refused.saturating_add(more.refused),
            classes,
        })
    }
}
