//! What becomes of values that the other side has no place for. Each is the pipe's choice, and each changes nothing in silence:
//! the default is to stop.

use jiff::civil;
use serde::{Deserialize, Serialize};

/// What becomes of a value that the destination's type can't hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutOfRange {
    /// The load stops, and names the row.
    #[default]
    Error,
    /// It becomes NULL, or the column's `default` where it has one.
    Null,
    /// It becomes the type's nearest value.
    Clamp,
    /// Its row goes to the table of rejected rows.
    Reject,
}

impl OutOfRange {
    /// As the pipe file writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Null => "null",
            Self::Clamp => "clamp",
            Self::Reject => "reject",
        }
    }
}

/// What becomes of a date that is no day: zero, partial, or a 31st of February.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZeroDates {
    /// The load stops, and names the row.
    Error,
    /// It becomes NULL.
    Null,
    /// It becomes midnight of this day.
    Day(civil::Date),
}

impl ZeroDates {
    /// What a column does where the pipe says nothing.
    pub fn of_nullable(nullable: bool) -> Self {
        if nullable { Self::Null } else { Self::Error }
    }
}

impl std::str::FromStr for ZeroDates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "null" => Ok(Self::Null),
            day => day.parse().map(Self::Day).map_err(|_| {
                format!("`{text}` is none of `error`, `null` and a date such as `1970-01-01`")
            }),
        }
    }
}
