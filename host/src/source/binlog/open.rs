//! Opening the binlog: which of the server's ways, what the session says first, and what a refusal means.

use std::time::Duration;

use mysql_common::packets::Sid;
use mysql_common::packets::binlog_request::BinlogRequest;

use super::place::Place;
use super::stream::Stream;
use super::transaction::Transaction;
use super::{Binlog, BinlogSettings, FOLLOWING};
use crate::schema::{DomainGtids, GtidSet, Gtids, Position};
use crate::source::connect::{Control, Flavor, Source, cell};
use crate::source::error::SourceError;
use crate::source::wire::WireError;

const ACTION: &str = "the binlog";
/// The server's error of everything that is wrong with a dump.
const DUMP_FAILED: u16 = 1236;
/// MariaDB's error of a reader that another one of its number has replaced; MySQL says it with the error before.
const ALREADY_CONNECTED: u16 = 4052;
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
/// How often, and after what pause, a server is asked again whether it has executed what was read from it.
const EXECUTED_ATTEMPTS: u32 = 4;
const EXECUTED_PAUSE: Duration = Duration::from_millis(500);
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
        let mut control = self.control().await?;
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
        let request = BinlogRequest::new(settings.server_id);
        let request = match &gtids {
            Gtids::Set(set) => {
                let sids: Result<Vec<Sid<'static>>, _> =
                    set.sources().map(|source| source.parse()).collect();
                let sids = sids.map_err(|_| SourceError::Protocol {
                    action: FOLLOWING.to_owned(),
                    reason: "a GTID set that can't be read".to_owned(),
                })?;
                request
                    .with_use_gtid(true)
                    .with_pos(FILE_START)
                    .with_sids(sids)
            }
            Gtids::Domains(_) => request.with_pos(FILE_START),
            Gtids::None => request
                .with_filename(from.file.clone().into_bytes())
                .with_pos(from.offset.max(FILE_START)),
        };
        let stream = Stream::open(control, settings.server_id, request).await;
        let stream = stream.map_err(|error| refused(error, from, settings))?;
        Ok(Binlog {
            stream,
            settings: settings.clone(),
            place: Place::new(from, gtids),
            transaction: Transaction::default(),
            silent_since: None,
            was_silent: None,
            ended: false,
        })
    }
}

/// The position's GTID set, if the server goes by GTIDs. A server that has not executed all of it is another one than the tables were
/// read from, or was reset: it would send what it likes, as if that were new.
async fn mysql_gtids(control: &mut Control, from: &Position) -> Result<Gtids, SourceError> {
    let Some(set) = from.gtid.as_deref().and_then(GtidSet::parse) else {
        return Ok(Gtids::None);
    };
    let mode = "SHOW GLOBAL VARIABLES LIKE 'gtid_mode'";
    let rows = control.rows(mode, vec![], ACTION).await?;
    let mode: Option<String> = rows.first().and_then(|row| cell(row, 1));
    if mode.as_deref() != Some("ON") {
        return Ok(Gtids::None);
    }
    for attempt in 0.. {
        let sql = "SELECT @@GLOBAL.gtid_executed";
        let rows = control.rows(sql, vec![], ACTION).await?;
        let executed: Option<String> = rows.first().and_then(|row| cell(row, 0));
        let executed = executed.as_deref().and_then(GtidSet::parse);
        if executed.is_some_and(|executed| executed.contains(&set)) {
            break;
        }
        // A transaction is in the binlog a moment before it counts as executed.
        if attempt == EXECUTED_ATTEMPTS {
            return Err(SourceError::Purged {
                position: from.clone(),
                message: "it has not executed all the transactions that were followed; it is another server, or its binlog was reset"
                    .to_owned(),
            });
        }
        tokio::time::sleep(EXECUTED_PAUSE).await;
    }
    Ok(Gtids::Set(set))
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
    error: WireError,
    position: &Position,
    settings: &BinlogSettings,
) -> SourceError {
    match error {
        WireError::Server {
            code: ALREADY_CONNECTED,
            message,
        } => SourceError::ServerIdTaken {
            server_id: settings.server_id,
            message,
        },
        WireError::Server {
            code: DUMP_FAILED,
            message,
        } => dump_failed(message, position, settings),
        WireError::Server { code, message } if DENIED.contains(&code) => {
            SourceError::ReplicationDenied { message }
        }
        WireError::Server { .. } => error.at(ACTION),
        WireError::Io(_) | WireError::Protocol(_) => error.at(FOLLOWING),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, message: &str) -> SourceError {
        let position = Position {
            gtid: None,
            file: "binlog.000007".to_owned(),
            offset: 4,
        };
        let settings = BinlogSettings {
            server_id: 7,
            heartbeat: Duration::from_secs(5),
        };
        let message = message.to_owned();
        refused(WireError::Server { code, message }, &position, &settings)
    }

    #[test]
    fn what_the_servers_say_is_told_apart() {
        for gone in [
            "Cannot replicate because the source purged required binary logs. Replicate the missing transactions from elsewhere",
            "The slave is connecting using CHANGE MASTER TO MASTER_AUTO_POSITION = 1, but the master has purged binary logs containing \
             GTIDs that the slave requires.",
            "Could not find first log file name in binary log index file",
            "Client requested source to start replication from position > file size",
            "Client requested master to start replication from impossible position; the first event 'binlog.000007' at 900000000",
            "Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old",
            "Error: connecting slave requested to start from GTID 0-2-99, which is not in the master's binlog",
            "Replica has more GTIDs than the source has, using the source's SERVER_UUID.",
        ] {
            let error = of(1236, gone);
            assert!(matches!(error, SourceError::Purged { .. }), "{gone}");
            assert!(!error.is_transient() && !error.connection_lost());
        }
        for taken in [
            of(
                1236,
                "A replica with the same server_uuid/server_id as this replica has connected to the source",
            ),
            of(
                4052,
                "A slave with the same server_uuid/server_id is already connected",
            ),
        ] {
            assert!(matches!(
                taken,
                SourceError::ServerIdTaken { server_id: 7, .. }
            ));
            assert!(!taken.is_transient());
        }
        assert!(matches!(
            of(
                1227,
                "Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s) for this operation"
            ),
            SourceError::ReplicationDenied { .. }
        ));
        let truncated = of(
            1236,
            "binlog truncated in the middle of event; consider out of disk space on source",
        );
        assert!(matches!(truncated, SourceError::Server { code: 1236, .. }));
        assert!(of(1053, "Server shutdown in progress").connection_lost());
    }
}
