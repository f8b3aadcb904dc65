//! `[history]`: how long and how much of it is kept.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::Document;
use super::fields::Fields;
use super::place::Faults;
use crate::history::Limits;

const KEEP: RangeInclusive<Duration> = Duration::from_hours(1)..=Duration::from_hours(24 * 3660);
const KEEP_DEFAULT: Duration = Duration::from_hours(24 * 30);
/// Less would not hold what one write adds on a large plant.
const MAX: RangeInclusive<u64> = 16 * MIB..=1024 * 1024 * MIB;
const MAX_DEFAULT: u64 = 512 * MIB;
const MIB: u64 = 1024 * 1024;
const UNITS: [(&str, u64); 3] = [("KiB", 1024), ("MiB", MIB), ("GiB", 1024 * MIB)];
const MAX_HINT: &str = "write 64MiB, 512MiB or 4GiB";

/// What the table says; what it does not say stays as the design has it.
pub(super) fn read(document: &Document<'_>, faults: &Faults) -> Limits {
    let default = Limits { keep: KEEP_DEFAULT, max_bytes: MAX_DEFAULT };
    let Some(entry) = document.single("history") else { return default };
    let mut fields = entry.fields(faults);
    let keep = fields.duration("keep", KEEP);
    let max_bytes = max(&mut fields);
    fields.finish();
    Limits { keep: keep.unwrap_or(default.keep), max_bytes: max_bytes.unwrap_or(default.max_bytes) }
}

fn max(fields: &mut Fields<'_>) -> Option<u64> {
    let said = fields.text("max")?.value;
    match bytes(&said) {
        Some(bytes) if MAX.contains(&bytes) => return Some(bytes),
        Some(_) => {
            fields.error(
                "max",
                format!("'max' = \"{said}\" is out of range"),
                "allowed: 16MiB to 1024GiB".to_owned(),
            );
        }
        None => fields.error("max", format!("'max' = \"{said}\" is no size"), MAX_HINT.to_owned()),
    }
    None
}

/// A whole number and a unit.
fn bytes(said: &str) -> Option<u64> {
    UNITS
        .iter()
        .find_map(|(unit, bytes)| said.strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(bytes("512MiB"), Some(512 * MIB));
        assert_eq!(bytes("4 GiB"), Some(4 * 1024 * MIB));
        for wrong in ["", "512", "MiB", "0.5GiB", "-1MiB", "512MB", "99999999999999999GiB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
