//! Opening the binlog: which of the server's ways, what the session says first, and what a refusal means.

use std::io::ErrorKind;
use std::time::Duration;

use mysql_async::{BinlogStreamRequest, IoError, Sid};

use super::place::{Gtids, Place};
use super::transaction::Transaction;
use super::{Binlog, BinlogSettings, FOLLOWING};
use crate::schema::{DomainGtids, GtidSet, Position};
use crate::source::connect::{Control, Flavor, Source, cell};
use crate::source::error::SourceError;

const ACTION: &str = "the binlog";
/// The server's error of everything that is wrong with a dump.
const DUMP_FAILED: u16 = 1236;
/// The server's errors of a missing privilege.
const DENIED: [u16; 2] = [1045, 1227];
/// What servers say of a place that they don't have: purged, of another server's binlog, of one that was reset.
const GONE: [&str; 9] = [
    "purged",
    "Could not find first log file name",
    "could not find next log",
    "impossible position",
    "position > file size",
    "could not open log file",
    "GTID state requested",
    "not in the master's binlog",
    "has more GTIDs than",
];
/// COM_BINLOG_DUMP has 32 bits for the offset.
const LARGEST_OFFSET: u64 = u32::MAX as u64;
/// The first event of a file.
const FILE_START: u64 = 4;

impl Source {
    /// Opens the binlog behind a position: by GTIDs where the position has them and the server uses them, else by file and offset.
    ///
    /// # Errors
    /// A connection that can't be had, a missing privilege. That the server no longer has the position may be told only by the
    /// first [`Binlog::next`].
    pub async fn binlog(
        &self,
        from: &Position,
        settings: &BinlogSettings,
    ) -> Result<Binlog, SourceError> {
        let mut control = self.replication().await?;
        let gtids = match self.server().flavor {
            Flavor::Mysql => mysql_gtids(&mut control, from).await?,
            Flavor::MariaDb => mariadb_gtids(from),
        };
        if matches!(gtids, Gtids::None) && from.offset > LARGEST_OFFSET {
            return Err(SourceError::Unfollowable {
                position: from.clone(),
                problem: "without GTIDs the server can be asked for the first 4 GiB of a binlog file only: set `gtid_mode = ON` at the \
                          source, or smaller transactions, and run `tidemill resync`"
                    .to_owned(),
            });
        }
        for sql in session(&gtids, settings.heartbeat) {
            control.run(&sql, ACTION).await?;
        }
        let request = BinlogStreamRequest::new(settings.server_id);
        let stream = match &gtids {
            Gtids::Set(set) => {
                let sids: Result<Vec<Sid<'_>>, _> =
                    set.sources().map(|source| source.parse()).collect();
                let sids = sids.map_err(|_| SourceError::Protocol {
                    action: FOLLOWING.to_owned(),
                    reason: "a GTID set that can't be read".to_owned(),
                })?;
                let request = request.with_gtid().with_pos(FILE_START).with_gtid_set(sids);
                control.into_stream(request).await
            }
            Gtids::Domains(_) => control.into_stream(request.with_pos(FILE_START)).await,
            Gtids::None => {
                let file = from.file.as_bytes();
                let request = request
                    .with_filename(file)
                    .with_pos(from.offset.max(FILE_START));
                control.into_stream(request).await
            }
        };
        let stream = stream.map_err(|error| refused(error, from, settings))?;
        Ok(Binlog {
            stream,
            settings: settings.clone(),
            place: Place::new(from, gtids),
            transaction: Transaction::default(),
            silent_since: None,
            ended: false,
        })
    }
}

/// The position's GTID set, if the server goes by GTIDs.
async fn mysql_gtids(control: &mut Control, from: &Position) -> Result<Gtids, SourceError> {
    let Some(set) = from.gtid.as_deref().and_then(GtidSet::parse) else {
        return Ok(Gtids::None);
    };
    let rows = control
        .rows("SHOW GLOBAL VARIABLES LIKE 'gtid_mode'", vec![], ACTION)
        .await?;
    let mode: Option<String> = rows.first().and_then(|row| cell(row, 1));
    match mode.as_deref() {
        Some("ON") => Ok(Gtids::Set(set)),
        _ => Ok(Gtids::None),
    }
}

fn mariadb_gtids(from: &Position) -> Gtids {
    match from.gtid.as_deref().and_then(DomainGtids::parse) {
        Some(gtids) if !gtids.is_empty() => Gtids::Domains(gtids),
        _ => Gtids::None,
    }
}

/// What the session says before it asks for the binlog. A server reads the variables that it knows and ignores the others.
fn session(gtids: &Gtids, heartbeat: Duration) -> Vec<String> {
    let nanoseconds = heartbeat.as_nanos();
    let mut statements = vec![format!(
        "SET @master_heartbeat_period = {nanoseconds}, @source_heartbeat_period = {nanoseconds}, @mariadb_slave_capability = 4"
    )];
    if let Gtids::Domains(gtids) = gtids {
        // Strict: a server that has not the very transaction refuses, instead of going on from somewhere near.
        statements.push(format!(
            "SET @slave_connect_state = '{gtids}', @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0"
        ));
    }
    statements
}

/// What the server's refusal, or a failed stream, means.
pub(super) fn refused(
    error: mysql_async::Error,
    position: &Position,
    settings: &BinlogSettings,
) -> SourceError {
    let following = |cause: String| SourceError::ConnectionLost {
        action: FOLLOWING.to_owned(),
        cause,
    };
    let is_privilege =
        matches!(&error, mysql_async::Error::Server(error) if DENIED.contains(&error.code));
    match error {
        mysql_async::Error::Server(error) if error.code == DUMP_FAILED => {
            dump_failed(error.message, position, settings)
        }
        mysql_async::Error::Io(error) if is_of_the_connection(&error) => {
            following(error.to_string())
        }
        mysql_async::Error::Io(error) => SourceError::Protocol {
            action: FOLLOWING.to_owned(),
            reason: error.to_string(),
        },
        mysql_async::Error::Driver(mysql_async::DriverError::ConnectionClosed) => {
            following("it was closed".to_owned())
        }
        other => match SourceError::of_driver(other, ACTION) {
            SourceError::Server { message, .. } if is_privilege => {
                SourceError::ReplicationDenied { message }
            }
            error => error,
        },
    }
}

/// Whether a failed reading is the connection's fault, not that of what was read.
fn is_of_the_connection(error: &IoError) -> bool {
    match error {
        IoError::Io(error) => match error.kind() {
            ErrorKind::InvalidData | ErrorKind::Other => false,
            // The driver's crate says so of an event that is too short.
            ErrorKind::UnexpectedEof => !error.to_string().contains("can't parse"),
            _ => true,
        },
        IoError::Tls(_) => true,
    }
}

/// The server has one number for all that is wrong with a dump; the text says what. By MySQL 5.7 to 9 and MariaDB 10 to 12.
fn dump_failed(message: String, position: &Position, settings: &BinlogSettings) -> SourceError {
    let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if says(&["same server_uuid/server_id", "same server_id"]) {
        return SourceError::ServerIdTaken {
            server_id: settings.server_id,
            message,
        };
    }
    if says(&GONE) {
        return SourceError::Purged {
            position: position.clone(),
            message,
        };
    }
    SourceError::Server {
        action: ACTION.to_owned(),
        code: DUMP_FAILED,
        message,
    }
}
