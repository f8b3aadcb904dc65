//! 一级报警 and 二级报警 of a gas detector, as limits.
//!
//! Of combustible and toxic gas both rise: the first level is H, the second HH. Of oxygen the same words
//! are used for a lack of it: then they fall, and are L and LL. Which of the two is meant is decided only
//! where it is plain; anything else is refused, because the wrong side would never trip.

use riskgate_engine::Limits;

use super::values::half_width;

/// Oxygen of clean air, % by volume: below it is a lack, above it a surplus.
const OXYGEN_OF_AIR: f64 = 20.9;
/// No one works below this; a lower level is of an inerted vessel, where oxygen alarms when it rises.
const OXYGEN_LACK_MIN: f64 = 16.0;

/// The limits, or why they are not plain.
pub(super) fn limits(is_oxygen: bool, one: Option<f64>, two: Option<f64>) -> Result<Limits, &'static str> {
    let rising = Limits { h: one, hh: two, ..Limits::default() };
    let falling = Limits { l: one, ll: two, ..Limits::default() };
    match (one, two) {
        (Some(one), Some(two)) if one == two => Err("both levels are the same"),
        (Some(one), Some(two)) if !is_oxygen && two < one => {
            Err("the second level of a gas is above the first; where a lack of oxygen is meant, \
                 say so in the name (氧) or write L and LL")
        }
        (Some(one), Some(two)) if is_oxygen && one < OXYGEN_OF_AIR && two > OXYGEN_OF_AIR => {
            Err("one level is a lack of oxygen, the other a surplus: write L for the one and H for the other")
        }
        (Some(one), Some(two)) if is_oxygen && two < one => {
            if one < OXYGEN_OF_AIR {
                return Ok(falling);
            }
            Err("oxygen falls to a lack below 20.9 and rises to a surplus above: write L, LL, H or HH")
        }
        (Some(one), Some(two)) if is_oxygen && one >= OXYGEN_LACK_MIN && two < OXYGEN_OF_AIR => {
            Err("a lack of oxygen falls: its second level is below the first")
        }
        (Some(level), None) | (None, Some(level)) if is_oxygen && level < OXYGEN_OF_AIR => {
            if level >= OXYGEN_LACK_MIN {
                Ok(falling)
            } else {
                Err("whether oxygen alarms here when it falls or when it rises is not plain: write L or H")
            }
        }
        (Some(_) | None, Some(_) | None) => Ok(rising),
    }
}

/// Whether a point measures oxygen in % by volume, by its name and unit. Carbon dioxide is none.
pub(super) fn is_oxygen(tag: &str, name: &str, eu: &str) -> bool {
    let eu = half_width(eu).to_uppercase();
    let in_percent = eu.is_empty() || (eu.contains('%') && !eu.contains("LEL")) || eu.contains("VOL");
    let compound = ["二氧化", "一氧化", "三氧化", "氧化", "过氧", "臭氧", "双氧", "环氧"];
    let mut plain = name.to_owned();
    for word in compound {
        plain = plain.replace(word, "");
    }
    let words = |text: &str| {
        text.to_ascii_lowercase()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| word == "o2" || word == "oxygen")
    };
    in_percent && (plain.contains('氧') || words(name) || words(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(is_oxygen: bool, one: Option<f64>, two: Option<f64>) -> Option<[Option<f64>; 4]> {
        limits(is_oxygen, one, two).ok().map(|limits| [limits.ll, limits.l, limits.h, limits.hh])
    }

    #[test]
    fn the_levels_of_a_gas_rise() {
        assert_eq!(of(false, Some(25.0), Some(50.0)), Some([None, None, Some(25.0), Some(50.0)]));
        assert_eq!(of(false, Some(25.0), None), Some([None, None, Some(25.0), None]));
        assert_eq!(of(false, None, Some(50.0)), Some([None, None, None, Some(50.0)]));
        assert_eq!(of(false, Some(50.0), Some(25.0)), None);
    }

    #[test]
    fn a_lack_of_oxygen_falls_and_a_surplus_rises() {
        assert_eq!(of(true, Some(19.5), Some(18.0)), Some([Some(18.0), Some(19.5), None, None]));
        assert_eq!(of(true, Some(19.5), None), Some([None, Some(19.5), None, None]));
        assert_eq!(of(true, Some(23.5), None), Some([None, None, Some(23.5), None]));
        assert_eq!(of(true, Some(2.0), Some(5.0)), Some([None, None, Some(2.0), Some(5.0)]), "inerting");
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        assert_eq!(of(true, Some(19.5), Some(23.5)), None);
        assert_eq!(of(true, Some(5.0), None), None);
        assert_eq!(of(true, Some(23.5), Some(19.5)), None);
        assert_eq!(of(false, Some(5.0), Some(5.0)), None);
        assert_eq!(of(true, Some(18.0), Some(19.5)), None);
    }

    #[test]
    fn carbon_dioxide_is_no_oxygen() {
        assert!(is_oxygen("AI-1", "受限空间氧含量", "%VOL"));
        assert!(is_oxygen("O2-101", "", "%"));
        assert!(!is_oxygen("AI-2", "二氧化碳", "%"));
        assert!(!is_oxygen("AI-3", "环氧乙烷", "%LEL"));
        assert!(!is_oxygen("CO2-1", "CO2", "%"));
        assert!(!is_oxygen("AI-4", "微量氧", "ppm"));
        assert!(!is_oxygen("GD-5", "制氧站可燃气体", "%LEL"));
        assert!(is_oxygen("AI-6", "氧气", "％ＶＯＬ"));
    }
}
