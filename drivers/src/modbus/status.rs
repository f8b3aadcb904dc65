//! What the status register beside a value says of it: that it is good, or why it is not. Pure.
//!
//! A controller keeps such a register for each detector, as one number (0 normal, 1 alarm, 2 fault) or as
//! bits that may be set together. Where several are, the quality of the value follows the gravest doubt,
//! and the word of the status itself names alarms first: the value of a detector in fault is bad already,
//! while an alarm that stands beside the fault would be told by nothing else.

use std::sync::Arc;

use riskgate_point::{BadReason, Quality, UncertainReason};

use super::Bit;

/// What one state of a status register means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    Normal,
    /// First level (一级报警). The value is as good as before.
    Alarm1,
    /// Second level (二级报警).
    Alarm2,
    UnderRange,
    OverRange,
    /// The instrument has failed.
    Fault,
    /// The controller does not reach the instrument.
    CommFault,
    /// 屏蔽: taken out of service at the device, by a person.
    Masked,
}

/// One state, and the word that a person gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub meaning: Meaning,
    pub word: Arc<str>,
}

/// What the numbers or the bits of a status register mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusMap {
    /// A number that is not among them cannot be what the configuration says.
    Codes(Vec<(u16, State)>),
    /// Bits that are not among them are left alone; `none` is the word where not one of them is set.
    Bits { bits: Vec<(Bit, State)>, none: Arc<str> },
}

impl StatusMap {
    /// What the register says of the value beside it.
    pub fn quality(&self, register: u16) -> Quality {
        match self {
            Self::Codes(codes) => code(codes, register)
                .map_or(Quality::Bad(BadReason::ConfigError), |state| state.meaning.quality()),
            Self::Bits { bits, .. } => set(bits, register)
                .map(|state| state.meaning)
                .max_by_key(|meaning| meaning.doubt())
                .map_or(Quality::Good, Meaning::quality),
        }
    }

    /// The word of the state. `None`: the map has none for it.
    pub fn word(&self, register: u16) -> Option<&Arc<str>> {
        match self {
            Self::Codes(codes) => code(codes, register).map(|state| &state.word),
            Self::Bits { bits, none } => Some(
                set(bits, register)
                    .max_by_key(|state| state.meaning.urgency())
                    .map_or(none, |state| &state.word),
            ),
        }
    }

    /// Every word that [`StatusMap::word`] can say, each once.
    pub fn words(&self) -> Vec<String> {
        let (states, none): (Vec<&State>, Option<&Arc<str>>) = match self {
            Self::Codes(codes) => (codes.iter().map(|(_, state)| state).collect(), None),
            Self::Bits { bits, none } => (bits.iter().map(|(_, state)| state).collect(), Some(none)),
        };
        let mut words: Vec<String> = Vec::new();
        for word in none.into_iter().chain(states.into_iter().map(|state| &state.word)) {
            if !words.iter().any(|known| **known == **word) {
                words.push(word.to_string());
            }
        }
        words
    }
}

fn code(codes: &[(u16, State)], register: u16) -> Option<&State> {
    codes.iter().find(|(code, _)| *code == register).map(|(_, state)| state)
}

fn set(bits: &[(Bit, State)], register: u16) -> impl Iterator<Item = &State> {
    bits.iter().filter(move |(bit, _)| bit.is_set(register)).map(|(_, state)| state)
}

impl Meaning {
    /// Of the value beside the status.
    fn quality(self) -> Quality {
        match self {
            Self::Normal | Self::Alarm1 | Self::Alarm2 => Quality::Good,
            Self::UnderRange => Quality::Uncertain(UncertainReason::UnderRange),
            Self::OverRange => Quality::Uncertain(UncertainReason::OverRange),
            Self::Fault => Quality::Bad(BadReason::DeviceFailure),
            Self::CommFault => Quality::Bad(BadReason::CommFailure),
            Self::Masked => Quality::Bad(BadReason::Masked),
        }
    }

    /// Which of several counts for the value.
    fn doubt(self) -> u8 {
        match self {
            Self::Normal | Self::Alarm1 | Self::Alarm2 => 0,
            Self::UnderRange => 1,
            Self::OverRange => 2,
            Self::Fault => 3,
            Self::CommFault => 4,
            Self::Masked => 5,
        }
    }

    /// Which of several is the word of the status. A masked instrument may well alarm: it is being tested.
    fn urgency(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::UnderRange => 1,
            Self::OverRange => 2,
            Self::Fault => 3,
            Self::CommFault => 4,
            Self::Alarm1 => 5,
            Self::Alarm2 => 6,
            Self::Masked => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(meaning: Meaning, word: &str) -> State {
        State { meaning, word: Arc::from(word) }
    }

    /// JB-TB-AX100, whose list counts bits from the most significant: [3] is bit 12 here.
    fn ax100() -> StatusMap {
        let bits = [
            (12, Meaning::CommFault, "通讯故障"),
            (11, Meaning::Fault, "故障"),
            (9, Meaning::Alarm2, "二级报警"),
            (8, Meaning::Alarm1, "一级报警"),
            (7, Meaning::Masked, "屏蔽"),
        ];
        let bits = bits.map(|(place, meaning, word)| (Bit::new(place).unwrap(), state(meaning, word)));
        StatusMap::Bits { bits: bits.to_vec(), none: Arc::from("正常") }
    }

    /// YA-K300-S, register 1.
    fn ya_k300() -> StatusMap {
        StatusMap::Codes(vec![
            (0, state(Meaning::Normal, "normal")),
            (1, state(Meaning::Alarm1, "alarm")),
            (2, state(Meaning::Fault, "fault")),
        ])
    }

    #[test]
    fn each_state_of_an_enumeration_says_its_quality_and_word() {
        let map = ya_k300();
        let said = |code| (map.quality(code), map.word(code).map(|word| word.to_string()));
        assert_eq!(said(0), (Quality::Good, Some("normal".to_owned())));
        assert_eq!(said(1), (Quality::Good, Some("alarm".to_owned())));
        assert_eq!(said(2), (Quality::Bad(BadReason::DeviceFailure), Some("fault".to_owned())));
        assert_eq!(map.words(), ["normal", "alarm", "fault"]);
    }

    #[test]
    fn a_state_that_the_map_does_not_have_is_a_fault_of_the_configuration() {
        for code in [3, 256, u16::MAX] {
            assert_eq!(ya_k300().quality(code), Quality::Bad(BadReason::ConfigError));
            assert_eq!(ya_k300().word(code), None);
        }
    }

    #[test]
    fn each_bit_of_the_ax100_says_what_its_manual_says() {
        let map = ax100();
        for (from_the_top, quality, word) in [
            (3, Quality::Bad(BadReason::CommFailure), "通讯故障"),
            (4, Quality::Bad(BadReason::DeviceFailure), "故障"),
            (6, Quality::Good, "二级报警"),
            (7, Quality::Good, "一级报警"),
            (8, Quality::Bad(BadReason::Masked), "屏蔽"),
            // Not in the manual.
            (0, Quality::Good, "正常"),
            (15, Quality::Good, "正常"),
        ] {
            let register = 0x8000_u16 >> from_the_top;
            assert_eq!(map.quality(register), quality, "[{from_the_top}]");
            assert_eq!(map.word(register).map(|word| &**word), Some(word), "[{from_the_top}]");
        }
        assert_eq!((map.quality(0), map.word(0).map(|word| &**word)), (Quality::Good, Some("正常")));
    }

    #[test]
    fn of_several_bits_the_value_follows_the_gravest_doubt_and_the_word_the_alarm() {
        let map = ax100();
        let said = |register: u16| (map.quality(register), map.word(register).map(|word| word.to_string()));
        let (fault, alarm_1, alarm_2, masked) = (1 << 11, 1 << 8, 1 << 9, 1 << 7);
        let failed = Quality::Bad(BadReason::DeviceFailure);
        assert_eq!(said(alarm_1 | alarm_2), (Quality::Good, Some("二级报警".to_owned())));
        assert_eq!(said(fault | alarm_2), (failed, Some("二级报警".to_owned())));
        assert_eq!(said(u16::MAX), (Quality::Bad(BadReason::Masked), Some("屏蔽".to_owned())), "all at once");
        assert_eq!(said(masked | alarm_1), (Quality::Bad(BadReason::Masked), Some("屏蔽".to_owned())));
    }

    #[test]
    fn a_value_beyond_the_instruments_range_is_uncertain() {
        let map = StatusMap::Codes(vec![
            (1, state(Meaning::UnderRange, "低于量程")),
            (2, state(Meaning::OverRange, "超量程")),
        ]);
        assert_eq!(map.quality(1), Quality::Uncertain(UncertainReason::UnderRange));
        assert_eq!(map.quality(2), Quality::Uncertain(UncertainReason::OverRange));
    }
}
