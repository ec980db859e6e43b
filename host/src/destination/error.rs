//! What ClickHouse, the way to it, or the embedded server can refuse.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use crate::policy::{OutOfReach, ReachError};

/// Longest part of a server's message that is shown, in bytes.
const MESSAGE_BYTES: usize = 500;

/// ClickHouse's codes of errors that pass by themselves: timeouts, too many queries or parts, memory, a server that starts.
const TRANSIENT_CODES: [u32; 9] = [159, 160, 202, 209, 210, 241, 242, 252, 439];
/// Wrong user or password.
const ACCESS_CODES: [u32; 3] = [192, 193, 516];
/// A right that the user doesn't have.
const FORBIDDEN_CODE: u32 = 497;

/// An error of the destination.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// No answer at all.
    #[error(
        "ClickHouse at {address} can't be reached: {reason}; check `destination.url` and that the server runs"
    )]
    Unreachable {
        /// The server's address.
        address: String,
        /// Why.
        reason: String,
    },
    /// The address is one that the pipe may not connect to.
    #[error("ClickHouse is not connected to: {0}")]
    OutOfReach(OutOfReach),
    /// The user or its password is refused.
    #[error(
        "ClickHouse at {address} denied access to the user `{user}`: check `destination.user` and its password"
    )]
    Denied {
        /// The server's address.
        address: String,
        /// The user.
        user: String,
    },
    /// The server is older than what is supported.
    #[error("ClickHouse {version} at {address} is too old: 24 is the oldest that works")]
    TooOld {
        /// The server's address.
        address: String,
        /// Its version.
        version: String,
    },
    /// The connection was lost while something was done.
    #[error("the connection to ClickHouse was lost: {doing}: {reason}")]
    Lost {
        /// What was done.
        doing: String,
        /// Why.
        reason: String,
    },
    /// The server refused a statement.
    #[error("ClickHouse refused: {doing}: {message} (code {code})")]
    Server {
        /// What was done.
        doing: String,
        /// ClickHouse's code.
        code: u32,
        /// The server's words, cut.
        message: String,
    },
    /// An answer could not be understood.
    #[error("ClickHouse's answer can't be understood: {doing}: {reason}")]
    Answer {
        /// What was done.
        doing: String,
        /// Why.
        reason: String,
    },
    /// An answer is longer than what is held in memory.
    #[error(
        "ClickHouse's answer is longer than {most}: {doing}; ask for fewer rows or columns, for example with LIMIT"
    )]
    TooLong {
        /// What was done.
        doing: String,
        /// The most that is held.
        most: ByteSize,
    },
    /// A value that the destination's column can't hold.
    #[error("column `{column}` of {table}, row {row}: {reason}")]
    Value {
        /// The destination table.
        table: String,
        /// The column.
        column: String,
        /// The row, by its key: `id = 7`.
        row: String,
        /// Why it doesn't fit.
        reason: String,
    },
    /// A soft-deleted row that can't be carried over without a loss.
    #[error(
        "a soft-deleted row of {table} can't be carried over: column `{column}` doesn't fit {new_type} (row with {key}); change the type, or remove the row"
    )]
    Carry {
        /// The destination table.
        table: String,
        /// The column.
        column: String,
        /// The new type.
        new_type: String,
        /// The row's key.
        key: String,
    },
    /// The database is of an engine that can't exchange tables.
    #[error(
        "the destination's database `{database}` has the engine {engine}: tables can only be swapped in an `Atomic` (or Replicated) one; choose another database"
    )]
    Engine {
        /// The database.
        database: String,
        /// Its engine.
        engine: String,
    },
    /// A table is in the way that a swap would destroy, and that is not the pipe's to destroy.
    #[error("the destination's table {table} {reason}")]
    InTheWay {
        /// The table.
        table: String,
        /// Why it can't go, and what to do.
        reason: String,
    },
    /// A right is missing without which the copy can't be proved.
    #[error(
        "the rows of {table} expire by its TTL, which must wait until the copy is proved: GRANT SYSTEM TTL MERGES ON {table} to the \
         destination's user"
    )]
    NoTtlHold {
        /// The shadow.
        table: String,
    },
    /// The embedded server's library is missing.
    #[error("libchdb.so, which an embedded ClickHouse runs out of, is not found: looked for {}; install it with `tests/provision/clickhouse install`", .looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    NoLibrary {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// The embedded server does not start.
    #[error("the embedded ClickHouse with its data in {} does not start: {reason}", .data.display())]
    Embedded {
        /// Its data folder.
        data: PathBuf,
        /// The end of its log, or why.
        reason: String,
    },
}

impl DestinationError {
    /// Whether it may pass by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::Server { code, .. } => TRANSIENT_CODES.contains(code),
            _ => false,
        }
    }

    /// An answer that didn't come in time.
    pub(super) fn late(doing: &str, within: Duration) -> Self {
        Self::Lost {
            doing: doing.to_owned(),
            reason: format!("no answer within {} s", within.as_secs()),
        }
    }

    /// From the client's error, while `doing` was done.
    pub(super) fn of(doing: &str, error: &clickhouse::error::Error) -> Self {
        if let Some(refused) = out_of_reach(error) {
            return Self::OutOfReach(refused.clone());
        }
        let doing = doing.to_owned();
        match error {
            clickhouse::error::Error::BadResponse(text) => match code(text) {
                Some(code) => Self::Server {
                    doing,
                    code,
                    message: cut(text),
                },
                None => Self::Lost {
                    doing,
                    reason: cut(text),
                },
            },
            clickhouse::error::Error::Network(_) | clickhouse::error::Error::TimedOut => {
                Self::Lost {
                    doing,
                    reason: cut(&chain(error)),
                }
            }
            other => Self::Answer {
                doing,
                reason: cut(&other.to_string()),
            },
        }
    }

    /// Whether the server refused the user.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Server { code, .. } if ACCESS_CODES.contains(code))
    }

    /// Whether the user has not the right to do it.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Server { code, .. } if *code == FORBIDDEN_CODE)
    }
}

/// The number in `Code: 60. DB::Exception: …`.
fn code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    rest.split('.').next()?.trim().parse().ok()
}

/// A server's message without its code and its version, and not too long.
pub(super) fn cut(text: &str) -> String {
    let text = text
        .split_once("DB::Exception: ")
        .map_or(text, |(_, message)| message);
    let text = text
        .rsplit_once(" (version ")
        .map_or(text, |(message, _)| message)
        .trim();
    let end = text.floor_char_boundary(MESSAGE_BYTES);
    if end < text.len() {
        format!("{}…", &text[..end])
    } else {
        text.to_owned()
    }
}

/// The refusal to connect that is behind an error.
fn out_of_reach<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e OutOfReach> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|cause| match cause.downcast_ref()? {
        ReachError::OutOfReach(refused) => Some(refused),
        ReachError::Unknown(_) => None,
    })
}

/// An error with its causes: hyper says only in the last one that a connection was refused.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_are_cut_to_what_matters() {
        let text =
            "Code: 60. DB::Exception: Table a.b does not exist. (UNKNOWN_TABLE) (version 26.7.2.1)"
                .to_owned();
        let error =
            DestinationError::of("count rows", &clickhouse::error::Error::BadResponse(text));
        assert_eq!(
            error.to_string(),
            "ClickHouse refused: count rows: Table a.b does not exist. (UNKNOWN_TABLE) (code 60)"
        );
        assert!(!error.is_transient());
    }
}
