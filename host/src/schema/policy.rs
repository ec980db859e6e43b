//! What becomes of values that the other side has no place for and of rows that a plugin can't transform, and what a plugin is given.
//! Each is the pipe's choice, and each changes nothing in silence: the default is to stop, and to give nothing.

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

/// What becomes of a row that a plugin can't transform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It stops the load, or its table.
    #[default]
    Fail,
    /// It goes to the table of rejected rows.
    Reject,
    /// It is left out, and counted.
    Skip,
}

/// Something of the machine that a plugin is given only where the pipe grants it and the operator's policy allows that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Environment variables: `wasi:cli/environment`.
    Environment,
    /// Files, to be read: `wasi:filesystem`.
    Files,
    /// Connections: `wasi:sockets`.
    Network,
}

impl std::fmt::Display for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::Files => "files",
            Self::Network => "network",
        })
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
