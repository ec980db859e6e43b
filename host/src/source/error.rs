//! Errors of the source: what could not be done, at which server, table, chunk, column and row, and what to do about it.
//!
//! Passwords and cell values never appear. A row is named by the values of its key, which is what a person needs to find it.

use std::path::PathBuf;

use crate::pipe::TlsMode;
use crate::policy::{OutOfReach, ReachError};
use crate::quote::quote;
use crate::schema::{Position, TableName, TypeError};

/// Longest part of a server's message that is shown, in bytes. A message may have 16 MiB, and errors are journalled, logged and sent on.
const MESSAGE_BYTES: usize = 500;

/// Why the source could not do what was asked. One attempt was made; whether another one may help is [`SourceError::is_transient`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nobody answers at the address.
    #[error(
        "the MySQL server at {address} can't be reached: {cause}; check `host`, `port` or `socket` in [source], and that the server is up"
    )]
    Unreachable {
        /// The address of the pipe file.
        address: String,
        /// What the operating system said.
        cause: String,
    },
    /// The address is one that the pipe may not connect to.
    #[error("the MySQL server is not connected to: {0}")]
    OutOfReach(#[from] OutOfReach),
    /// The server knows no such user, or the password is another one.
    #[error(
        "the MySQL server at {address} refuses the user `{user}` ({password}): {message}; check `user` and `password`, `password_env` or \
         `password_file` in [source]"
    )]
    AccessDenied {
        /// The address of the pipe file.
        address: String,
        /// The user of the pipe file.
        user: String,
        /// Whether a password was sent: `with a password` or `without a password`.
        password: &'static str,
        /// What the server said.
        message: String,
    },
    /// The server asks for a way to authenticate that Tidemill doesn't have.
    #[error("the user `{user}` can't be authenticated at {address}: {reason}")]
    Authentication {
        /// The address of the pipe file.
        address: String,
        /// The user of the pipe file.
        user: String,
        /// Which way, and what to do.
        reason: String,
    },
    /// No encryption as the pipe asks for it.
    #[error(
        "no TLS with the MySQL server at {address} (tls = \"{}\", {}): {cause}",
        tls_name(*mode),
        ca.as_ref().map_or_else(|| "no ca file".to_owned(), |ca| format!("ca {}", ca.display()))
    )]
    Tls {
        /// The address of the pipe file.
        address: String,
        /// The mode of the pipe file.
        mode: TlsMode,
        /// The file of trusted authorities.
        ca: Option<PathBuf>,
        /// What is wrong.
        cause: String,
    },
    /// The connection ended while something was going on. Whatever lived in it (a snapshot, a lock) is gone.
    #[error("the connection to the MySQL server was lost while {action}: {cause}")]
    ConnectionLost {
        /// What was going on, as in `reading chunk 3 of shop.orders`.
        action: String,
        /// Why.
        cause: String,
    },
    /// The server refused a statement.
    #[error("the MySQL server refused {action}: {message} (error {code})")]
    Server {
        /// What was asked.
        action: String,
        /// The server's error number.
        code: u16,
        /// What the server said.
        message: String,
    },
    /// The server sent what the protocol doesn't allow.
    #[error("the MySQL server sent something unexpected while {action}: {reason}")]
    Protocol {
        /// What was going on.
        action: String,
        /// What was unexpected.
        reason: String,
    },
    /// There is no such table, or the user may not see it.
    #[error(
        "there is no table {table} that the user may see{}",
        did_you_mean(similar)
    )]
    NoSuchTable {
        /// The name of the pipe file.
        table: TableName,
        /// Tables of a similar name, the nearest first.
        similar: Vec<TableName>,
    },
    /// The name is a view's.
    #[error(
        "{table} is a view; only tables are copied: name the tables behind it, or make the view anew in ClickHouse"
    )]
    View {
        /// The view.
        table: TableName,
    },
    /// The name is that of one of MariaDB's sequences.
    #[error(
        "{table} is a sequence, which counts and has no rows; only tables are copied: leave it out"
    )]
    Sequence {
        /// The sequence.
        table: TableName,
    },
    /// A column's type can't be copied.
    #[error("column `{column}` of {table}: {cause}")]
    Type {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Which type, and what to do.
        cause: TypeError,
    },
    /// The table is not what it was when it was looked at.
    #[error(
        "{table} was changed while it was read: column `{column}` {problem}; start the resync again"
    )]
    Changed {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// How it differs.
        problem: String,
    },
    /// A value that the column's Arrow type can't hold.
    #[error("column `{column}` of {table}, row {row}: {problem}")]
    Value {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// The row, by its key: `id = 7`.
        row: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The server doesn't have the binlog from a place on: it was purged or reset, or it is another server's.
    #[error(
        "the MySQL server no longer has the binlog from {position} on: {message}; `tidemill resync` loads the tables afresh and follows \
         from then on. To keep the binlog longer, raise `binlog_expire_logs_seconds` at the source"
    )]
    Purged {
        /// The place that was asked for.
        position: Position,
        /// What the server said.
        message: String,
    },
    /// The binlog has something that can't be followed faithfully.
    #[error("the binlog can't be followed behind {position}: {problem}")]
    Unfollowable {
        /// The last place that was reached.
        position: Position,
        /// What it is, and what to do.
        problem: String,
    },
    /// The user may not read the binlog.
    #[error(
        "the user may not read the binlog: {message}; GRANT REPLICATION SLAVE ON *.* to the user of [source], or set `cdc = false`"
    )]
    ReplicationDenied {
        /// What the server said.
        message: String,
    },
    /// Another reader of the binlog has the same number.
    #[error(
        "another reader of the binlog calls itself {server_id}, too, and the server has ended this one: {message}; give each its own \
         `server_id` in [apply]"
    )]
    ServerIdTaken {
        /// The number.
        server_id: u32,
        /// What the server said.
        message: String,
    },
    /// A lock for the consistent snapshot was not had in time.
    #[error(
        "no lock for a consistent snapshot within {seconds} s ({lock}): a statement or transaction that runs on the source is in its way; \
         see SHOW PROCESSLIST there, and try again"
    )]
    LockTimeout {
        /// The statement that waited.
        lock: String,
        /// How long it waited.
        seconds: u64,
    },
}

/// Server errors after which the connection is gone: shutdown, killed, closed for idleness.
const LOST: [u16; 7] = [1053, 1152, 1153, 1158, 1159, 1927, 4031];
/// Server errors that another attempt may not meet: too many connections, lock waits, deadlocks, an interrupted query.
const PASSING: [u16; 7] = [1040, 1041, 1203, 1205, 1213, 1317, 1226];

impl SourceError {
    /// Whether the connection, and with it the snapshot that lived in it, is gone.
    pub fn connection_lost(&self) -> bool {
        match self {
            Self::ConnectionLost { .. } => true,
            Self::Server { code, .. } => LOST.contains(code),
            _ => false,
        }
    }

    /// Whether the same may succeed when it is tried again.
    pub fn is_transient(&self) -> bool {
        match self {
            // Not a lock's timeout: all who write to the source wait behind the lock, and would again.
            Self::Unreachable { .. } => true,
            Self::Server { code, .. } => LOST.contains(code) || PASSING.contains(code),
            _ => self.connection_lost(),
        }
    }

    /// Whether the server refused for want of a privilege.
    pub(super) fn is_privilege(&self) -> bool {
        matches!(
            self,
            Self::Server {
                code: 1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 3619,
                ..
            }
        )
    }

    /// Whether a lock was waited for in vain.
    pub(super) fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Server { code: 1205, .. })
    }

    /// Why there is no address to connect to.
    pub(super) fn no_address(error: ReachError, address: &str) -> Self {
        match error {
            ReachError::OutOfReach(refused) => Self::OutOfReach(refused),
            ReachError::Unknown(cause) => Self::Unreachable {
                address: address.to_owned(),
                cause: cause.to_string(),
            },
        }
    }
}

/// A server's words, as far as they are shown.
pub(super) fn said(text: &str) -> String {
    quote(text, MESSAGE_BYTES)
}

/// The mode as the pipe file writes it.
pub(super) fn tls_name(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::Disabled => "disabled",
        TlsMode::Required => "required",
        TlsMode::VerifyCa => "verify_ca",
        TlsMode::VerifyIdentity => "verify_identity",
    }
}

fn did_you_mean(similar: &[TableName]) -> String {
    match similar {
        [] => "; `tidemill init` lists the source's tables".to_owned(),
        names => format!(
            "; did you mean {}?",
            names
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" or ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_table_proposes_its_neighbours() {
        let missing = |similar| SourceError::NoSuchTable {
            table: TableName::new("shop", "order"),
            similar,
        };
        insta::assert_snapshot!(
            missing(vec![TableName::new("shop", "orders")]),
            @"there is no table shop.order that the user may see; did you mean shop.orders?"
        );
        insta::assert_snapshot!(
            missing(vec![]),
            @"there is no table shop.order that the user may see; `tidemill init` lists the source's tables"
        );
    }

    #[test]
    fn what_may_pass_and_what_is_lost() {
        let server = |code| SourceError::Server {
            action: "a query".into(),
            code,
            message: String::new(),
        };
        assert!(server(1053).connection_lost() && server(1053).is_transient());
        assert!(!server(1205).connection_lost() && server(1205).is_transient());
        assert!(!server(1146).is_transient());
        assert!(server(1227).is_privilege());
        let lock = SourceError::LockTimeout {
            lock: "FLUSH TABLES WITH READ LOCK".into(),
            seconds: 30,
        };
        assert!(!lock.is_transient(), "each attempt holds all writers up");
    }
}
