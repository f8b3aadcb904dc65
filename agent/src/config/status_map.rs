//! What the states of a status register mean, as an engineer copies it out of a manual into one cell.
//!
//! `0=normal;1=alarm_1;2=fault` names numbers. `bit4=fault;bit8=alarm_1` names bits, of which several may
//! be set; bit 0 is the least significant. Manuals that count from the other end are copied with `msb`:
//! `msb3` is the fourth bit from the top. Where no bit is set the state is `normal`, or what `0=` says.
//!
//! A state may be written in Chinese; the word that was written is what a rule reads of the status.

use std::sync::Arc;

use riskgate_drivers::modbus::Bit;
use riskgate_drivers::modbus::status::{Meaning, State, StatusMap};

use super::address::Wrong;
use super::fields::one_of;
use super::values::half_width;

const MEANINGS: [(&str, &str, Meaning); 8] = [
    ("normal", "正常", Meaning::Normal),
    ("alarm_1", "一级报警", Meaning::Alarm1),
    ("alarm_2", "二级报警", Meaning::Alarm2),
    ("fault", "故障", Meaning::Fault),
    ("comm_fault", "通讯故障", Meaning::CommFault),
    ("masked", "屏蔽", Meaning::Masked),
    ("under_range", "低于量程", Meaning::UnderRange),
    ("over_range", "高于量程", Meaning::OverRange),
];

const HINT: &str = "write 0=normal;1=alarm_1;2=fault, or of bits bit8=alarm_1;bit11=fault";
const BITS: u8 = 16;

/// What stands before the equals sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Code(u16),
    Bit(Bit),
}

/// The map, and all that is wrong with it; `None` where nothing of it can be used.
pub(super) fn parse(text: &str) -> (Option<StatusMap>, Vec<Wrong>) {
    let mut states: Vec<(Key, State)> = Vec::new();
    let mut faults = Vec::new();
    for part in text.split([';', '；', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
        match entry(part) {
            Ok((key, _)) if states.iter().any(|(known, _)| *known == key) => {
                faults.push(wrong(format!("'{part}' says a state for the second time"), None));
            }
            Ok(entry) => states.push(entry),
            Err(fault) => faults.push(fault),
        }
    }
    if states.is_empty() {
        if faults.is_empty() {
            faults.push(wrong(format!("'{text}' names no state"), Some(HINT.to_owned())));
        }
        return (None, faults);
    }
    let map = if states.iter().any(|(key, _)| matches!(key, Key::Bit(_))) {
        of_bits(states, &mut faults)
    } else {
        of_codes(states, &mut faults)
    };
    (Some(map), faults)
}

fn of_codes(states: Vec<(Key, State)>, faults: &mut Vec<Wrong>) -> StatusMap {
    // Among states that could not be read there may be one that is.
    if faults.is_empty() && !states.iter().any(|(_, state)| state.meaning == Meaning::Normal) {
        let hint = "a number is one state: write 0=normal beside the others; of bits write bit4=fault";
        faults.push(wrong("no number of this map is normal".to_owned(), Some(hint.to_owned())));
    }
    let code = |(key, state)| match key {
        Key::Code(code) => Some((code, state)),
        Key::Bit(_) => None,
    };
    StatusMap::Codes(states.into_iter().filter_map(code).collect())
}

fn of_bits(states: Vec<(Key, State)>, faults: &mut Vec<Wrong>) -> StatusMap {
    let mut bits = Vec::new();
    let mut none = None;
    for (key, state) in states {
        match key {
            Key::Bit(bit) => bits.push((bit, state)),
            Key::Code(0) if state.meaning == Meaning::Normal => none = Some(state.word),
            Key::Code(code) => {
                let message = format!("'{code}={}' is a number among bits", state.word);
                let hint = format!("beside bits stands 0=normal alone; of bit {code} write bit{code}=…");
                faults.push(wrong(message, Some(hint)));
            }
        }
    }
    // As the others are written.
    let chinese = bits.iter().any(|(_, state)| !state.word.is_ascii());
    let none = none.unwrap_or_else(|| Arc::from(if chinese { "正常" } else { "normal" }));
    StatusMap::Bits { bits, none }
}

fn entry(part: &str) -> Result<(Key, State), Wrong> {
    let narrow = half_width(part).to_ascii_lowercase();
    let Some((before, after)) = narrow.split_once('=') else {
        return Err(wrong(format!("'{part}' is no state"), Some(HINT.to_owned())));
    };
    let key = key(before.trim())?;
    let word = after.trim();
    match MEANINGS.iter().find(|(english, chinese, _)| *english == word || *chinese == word) {
        Some((_, _, meaning)) => Ok((key, State { meaning: *meaning, word: Arc::from(word) })),
        None => {
            let words: Vec<String> =
                MEANINGS.iter().map(|(english, chinese, _)| format!("{chinese} {english}")).collect();
            let hint = one_of(words.iter().map(String::as_str));
            Err(wrong(format!("the state '{word}' is not known"), Some(hint)))
        }
    }
}

fn key(text: &str) -> Result<Key, Wrong> {
    let place = |digits: &str| digits.trim().parse::<u8>().ok().filter(|place| *place < BITS);
    let bit = if let Some(digits) = text.strip_prefix("bit") {
        place(digits)
    } else if let Some(digits) = text.strip_prefix("msb") {
        place(digits).map(|from_the_top| BITS - 1 - from_the_top)
    } else {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16),
            None => text.parse::<u16>(),
        };
        let code = number.map(Key::Code);
        return code.map_err(|_| wrong(format!("'{text}' is no number and no bit"), Some(HINT.to_owned())));
    };
    bit.and_then(Bit::new).map(Key::Bit).ok_or_else(|| {
        let hint = "allowed: bit0, the least significant, to bit15; or msb0, the most significant, to msb15";
        wrong(format!("'{text}' is no bit of a register"), Some(hint.to_owned()))
    })
}

fn wrong(message: String, hint: Option<String>) -> Wrong {
    Wrong { message, hint }
}

#[cfg(test)]
mod tests {
    use riskgate_point::{BadReason, Quality};

    use super::*;

    fn good(text: &str) -> StatusMap {
        let (map, faults) = parse(text);
        assert_eq!(faults, []);
        map.expect("a map")
    }

    fn word(map: &StatusMap, register: u16) -> &str {
        map.word(register).map_or("", |word| word)
    }

    #[test]
    fn bits_are_counted_from_either_end() {
        let from_below = "bit12=通讯故障;bit11=故障;bit9=二级报警;bit8=一级报警;bit7=屏蔽";
        let as_the_manual = "msb3=通讯故障；msb4=故障；msb6=二级报警；msb7=一级报警；msb8=屏蔽";
        assert_eq!(good(from_below), good(as_the_manual));
        let map = good(as_the_manual);
        assert_eq!(map.quality(0x1000), Quality::Bad(BadReason::CommFailure));
        assert_eq!((word(&map, 0x0100), word(&map, 0)), ("一级报警", "正常"));
    }

    #[test]
    fn numbers_name_states_and_the_written_word_is_read() {
        let map = good("0=normal; 1 = Alarm_1; 0x02=fault");
        assert_eq!(map.words(), ["normal", "alarm_1", "fault"]);
        assert_eq!(map.quality(2), Quality::Bad(BadReason::DeviceFailure));
        assert_eq!(map.quality(3), Quality::Bad(BadReason::ConfigError));
    }

    #[test]
    fn beside_bits_zero_names_the_state_of_none() {
        assert_eq!(word(&good("0=正常;bit1=fault"), 0), "正常");
        assert_eq!(word(&good("bit1=fault"), 0), "normal");
        assert_eq!(word(&good("bit1=fault"), 0xFFFD), "normal");
    }

    #[test]
    fn what_is_wrong_is_told_all_at_once() {
        let said = |text| parse(text).1.into_iter().map(|wrong| wrong.message).collect::<Vec<_>>();
        assert_eq!(said(""), ["'' names no state"]);
        assert_eq!(said("1=fault"), ["no number of this map is normal"]);
        assert_eq!(said("0=normal;0=fault"), ["'0=fault' says a state for the second time"]);
        assert_eq!(said("bit16=fault"), ["'bit16' is no bit of a register"]);
        assert_eq!(
            said("0=normal;2=broken;x=fault;fault"),
            ["the state 'broken' is not known", "'x' is no number and no bit", "'fault' is no state",]
        );
        assert_eq!(said("bit0=fault;2=masked"), ["'2=masked' is a number among bits"]);
    }
}
