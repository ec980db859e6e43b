//! How busy the source is, and how far behind: what a load is held by. Asked again and again over one connection, so that a server
//! under pressure isn't connected to for each question.

use std::time::Duration;

use mysql_common::row::Row;
use mysql_common::value::Value;

use super::connect::{Control, Flavor, Source, cell};
use super::error::SourceError;

/// How long an answer is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How far a replica is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaLag {
    /// So far.
    Behind(Duration),
    /// Nobody knows: its replication is stopped, or the pipe's own question answers NULL or nothing.
    Unknown,
}

impl ReplicaLag {
    /// Whether it is more than may be; what isn't known is.
    pub fn exceeds(self, most: Duration) -> bool {
        match self {
            Self::Behind(lag) => lag > most,
            Self::Unknown => true,
        }
    }
}

/// A connection that asks the source how it is.
#[derive(Debug)]
pub struct Gauge {
    source: Source,
    control: Option<Control>,
}

impl Source {
    /// A gauge of this source; it connects with its first question.
    pub fn gauge(&self) -> Gauge {
        Gauge {
            source: self.clone(),
            control: None,
        }
    }

    /// What the server says of itself as a replica: a row for each of its sources; no row: it is none.
    pub(super) async fn replica_status(
        &self,
        control: &mut Control,
    ) -> Result<Vec<Row>, SourceError> {
        let sql = match self.server().flavor {
            Flavor::MariaDb => "SHOW ALL SLAVES STATUS",
            Flavor::Mysql if self.version() >= (8, 1) => "SHOW REPLICA STATUS",
            Flavor::Mysql => "SHOW SLAVE STATUS",
        };
        control.rows(sql, vec![], "the state of a replica").await
    }
}

impl Gauge {
    /// How many threads the source runs, without the one that answers this and those of the `own` connections.
    ///
    /// # Errors
    /// A lost connection, an answer that doesn't come.
    pub async fn threads_running(&mut self, own: &[u32]) -> Result<u64, SourceError> {
        let mut control = self.control().await?;
        let running = answered("the threads that run", async {
            let sql = "SHOW GLOBAL STATUS LIKE 'Threads_running'";
            let rows = control.rows(sql, vec![], "the threads that run").await?;
            let running: u64 = rows.first().and_then(|row| cell(row, 1)).unwrap_or(0);
            Ok(running.saturating_sub(1 + own_running(&mut control, own).await?))
        })
        .await?;
        self.control = Some(control);
        Ok(running)
    }

    /// How far the source is behind as a replica, or whoever the question `query` asks about; none: the source is no replica.
    ///
    /// # Errors
    /// A lost connection, an answer that doesn't come or is no number.
    pub async fn replica_lag(
        &mut self,
        query: Option<&str>,
    ) -> Result<Option<ReplicaLag>, SourceError> {
        let mut control = self.control().await?;
        let lag = answered("the lag of a replica", async {
            match query {
                Some(query) => asked_lag(&mut control, query).await.map(Some),
                None => Ok(slowest(&self.source.replica_status(&mut control).await?)),
            }
        })
        .await?;
        self.control = Some(control);
        Ok(lag)
    }

    /// The connection of the last question; a new one after an error.
    async fn control(&mut self) -> Result<Control, SourceError> {
        match self.control.take() {
            Some(control) => Ok(control),
            None => self.source.control().await,
        }
    }
}

/// How many of these connections run something. Everyone sees their own connections.
async fn own_running(control: &mut Control, own: &[u32]) -> Result<u64, SourceError> {
    if own.is_empty() {
        return Ok(0);
    }
    let rows = control
        .rows("SHOW PROCESSLIST", vec![], "the pipe's own threads")
        .await?;
    let runs = |row: &&Row| {
        let is_own =
            cell::<u64>(row, 0).is_some_and(|id| own.iter().any(|&own| u64::from(own) == id));
        is_own && cell::<String>(row, 4).is_some_and(|command| command != "Sleep")
    };
    Ok(rows.iter().filter(runs).count() as u64)
}

/// The lag by a question of the pipe's own.
async fn asked_lag(control: &mut Control, query: &str) -> Result<ReplicaLag, SourceError> {
    let action = "asking brakes.replica_lag_query";
    let rows = control.rows(query, vec![], action).await?;
    let text = match rows.first().and_then(|row| row.as_ref(0)) {
        None | Some(Value::NULL) => return Ok(ReplicaLag::Unknown),
        Some(Value::Bytes(text)) => std::str::from_utf8(text).unwrap_or_default(),
        Some(_) => "",
    };
    // A clock that is behind makes a lag of less than nothing.
    let seconds = text.parse::<f64>().ok();
    let lag = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    lag.map(ReplicaLag::Behind)
        .ok_or_else(|| SourceError::Protocol {
            action: action.to_owned(),
            reason: "its first cell is no number of seconds".to_owned(),
        })
}

/// The lag of the source that a replica is furthest behind of.
fn slowest(channels: &[Row]) -> Option<ReplicaLag> {
    let lag = |row: &Row| {
        let column = row.columns_ref().iter().position(|column| {
            matches!(
                column.name_str().as_ref(),
                "Seconds_Behind_Source" | "Seconds_Behind_Master"
            )
        })?;
        cell::<u64>(row, column).map(Duration::from_secs)
    };
    let mut slowest = None;
    for channel in channels {
        slowest = match lag(channel) {
            None => return Some(ReplicaLag::Unknown),
            lag => slowest.max(lag),
        };
    }
    slowest.map(ReplicaLag::Behind)
}

async fn answered<T>(
    action: &str,
    asking: impl Future<Output = Result<T, SourceError>>,
) -> Result<T, SourceError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(SourceError::ConnectionLost {
            action: action.to_owned(),
            cause: format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
        }),
    }
}
