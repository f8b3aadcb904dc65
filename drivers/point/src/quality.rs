//! How far a reading can be trusted: OPC UA's three classes, each with its reason.

use serde::{Deserialize, Serialize};

/// Good is compared; uncertain is compared and marked; bad makes a comparison unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "class", content = "reason")]
pub enum Quality {
    Good,
    Uncertain(UncertainReason),
    Bad(BadReason),
}

/// Why a value is compared with a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UncertainReason {
    /// Beyond the upper end of the range; the value is clamped to that end.
    OverRange,
    /// Beyond the lower end of the range; the value is clamped to that end.
    UnderRange,
    /// It has not moved for longer than a living instrument would hold still.
    Frozen,
    /// The source's own queue lost values before this one.
    Overflow,
    /// The source itself says uncertain.
    Source,
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadReason {
    NeverRead,
    /// The link or the device did not answer.
    CommFailure,
    /// The instrument reports its own failure.
    DeviceFailure,
    /// NaN, infinity, or bytes that are no number of the point's type.
    NotANumber,
    /// Not refreshed for longer than the point allows.
    Stale,
    /// Masked (屏蔽) or out of service at the device.
    Masked,
    /// The device refuses the address.
    RefusedAddress,
    /// The device answers, and what it answers cannot be what the configuration says.
    ConfigError,
}

impl Quality {
    pub fn is_good(self) -> bool {
        self == Self::Good
    }

    pub fn is_bad(self) -> bool {
        matches!(self, Self::Bad(_))
    }
}

impl UncertainReason {
    pub fn word(self) -> &'static str {
        match self {
            Self::OverRange => "over_range",
            Self::UnderRange => "under_range",
            Self::Frozen => "frozen",
            Self::Overflow => "overflow",
            Self::Source => "source",
        }
    }
}

impl BadReason {
    pub fn word(self) -> &'static str {
        match self {
            Self::NeverRead => "never_read",
            Self::CommFailure => "comm_failure",
            Self::DeviceFailure => "device_failure",
            Self::NotANumber => "not_a_number",
            Self::Stale => "stale",
            Self::Masked => "masked",
            Self::RefusedAddress => "refused_address",
            Self::ConfigError => "config_error",
        }
    }
}

impl std::fmt::Display for Quality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Uncertain(reason) => write!(f, "uncertain {}", reason.word()),
            Self::Bad(reason) => write!(f, "bad {}", reason.word()),
        }
    }
}
