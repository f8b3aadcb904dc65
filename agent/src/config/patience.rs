//! `[patience]`: how long nobody may be able to see a point or a source before that is told.

use std::ops::RangeInclusive;
use std::time::Duration;

use riskgate_engine::Patience;

use super::document::Document;
use super::place::Faults;

/// A gas detector that nobody sees for over a minute is a measure that has failed, whatever a file says.
const STRICT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const USUAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);
const SOURCE_HAZARD: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

pub(super) const REOPEN_WITHIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(30 * 24);

/// What the table says; what it does not say stays as the design has it.
pub(super) fn read(document: &Document<'_>, faults: &Faults) -> Patience {
    let default = Patience::default();
    let Some(entry) = document.single("patience") else { return default };
    let mut fields = entry.fields(faults);
    let strict = fields.duration("strict", STRICT);
    let usual = fields.duration("usual", USUAL);
    let source_hazard = fields.duration("source_hazard", SOURCE_HAZARD);
    let reopen_within = fields.duration("reopen_within", REOPEN_WITHIN);
    fields.finish();
    Patience {
        strict: strict.unwrap_or(default.strict),
        usual: usual.unwrap_or(default.usual),
        source_hazard: source_hazard.unwrap_or(default.source_hazard),
        reopen_within: reopen_within.unwrap_or(default.reopen_within),
    }
}
