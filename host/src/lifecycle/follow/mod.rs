//! Following the binlog: changes of the source's tables, through the same transforms as their load, into the destination.
//!
//! ```text
//! reader thread:  binlog ──images──▶ Arrow batches ──┐  (bounded: one flush waits)
//! writer task:                                       └──▶ transforms ──▶ blocks ──▶ ClickHouse, then the journal
//! ```
//! A stream is a position in the binlog and the tables that follow it. The pipe has one of its own; a resync has another one, for the
//! shadows, until its tables join the pipe's. What is promised: the position in the journal has everything before it in the destination;
//! a replay gives each row event the same version, and each insert the same token; a table that can't go on is told with its reason,
//! and holds up no other.

mod flush;
pub(super) mod live;
mod pairs;
mod reading;
mod schema_change;
mod sink;
mod writing;

use std::sync::Arc;

use tokio::sync::mpsc;

use self::reading::{ReadEnd, Reading};
use self::sink::Sink;
use self::writing::{WriteEnd, Writing};
use super::error::Error;
use super::pinned::Pinned;
use super::retry;
use super::session::Session;
use super::stop::StopSignal;
use super::tuning::Tuning;
use crate::destination::Zones;
use crate::journal::{FollowState, FollowedRecord, Journal};
use crate::schema::{Position, SourceTable};
use crate::source::SourceError;
use live::Live;

/// What the parts of a stream share.
pub(super) struct Shared {
    pub(super) session: Arc<Session>,
    pub(super) journal: Arc<Journal>,
    pub(super) tuning: Arc<Tuning>,
    /// What it calls itself at the source.
    pub(super) server_id: u32,
    pub(super) stop: Arc<StopSignal>,
    pub(super) live: Arc<Live>,
}

/// How following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was asked to stop, and did at the journalled position.
    Stopped,
    /// The target is reached.
    Reached,
}

/// Follows a stream of the journal until it is asked to stop, or has reached the target.
pub(super) async fn follow(
    shared: &Arc<Shared>,
    stream: &str,
    target: Option<&Position>,
) -> Result<Ended, Error> {
    loop {
        match follow_once(shared, stream, target).await? {
            Some(ended) => return Ok(ended),
            // A table could not go on: the others do, from the journalled position.
            None => tokio::task::yield_now().await,
        }
    }
}

async fn follow_once(
    shared: &Arc<Shared>,
    stream: &str,
    target: Option<&Position>,
) -> Result<Option<Ended>, Error> {
    let Some(record) = shared.journal.stream(stream)? else {
        return Err(Error::Worker(format!("there is no stream `{stream}`")));
    };
    let mut writing = Writing {
        shared: shared.clone(),
        name: stream.to_owned(),
        stream: record.clone(),
        sinks: sinks(&shared.session, shared.journal.followed(stream)?).await?,
        reread: false,
    };
    let sinks = writing.sinks.iter().enumerate();
    let changed = sinks.filter_map(|(i, sink)| Some((i, changed_grants(sink)?)));
    for (sink, reason) in changed.collect::<Vec<_>>() {
        writing.end(sink, FollowState::NeedsResync, reason);
    }
    let followed: Vec<FollowedRecord> = writing
        .sinks
        .iter()
        .map(|sink| sink.record.clone())
        .collect();
    shared.live.written(&record.position, 0, &followed);
    let tables: Vec<SourceTable> = writing
        .sinks
        .iter()
        .map(|sink| sink.source().clone())
        .collect();
    let source = &shared.session.source;
    let charsets = retry::SERVER
        .run("learn character sets", SourceError::is_transient, || {
            source.charsets(&tables)
        })
        .await?;
    let (out, inbox) = mpsc::channel(1);
    let reading = Reading::new(
        shared.clone(),
        out,
        Arc::new(charsets),
        &record,
        writing.decodings(),
        target.cloned(),
    );
    let span = tracing::Span::current();
    let reader = tokio::task::spawn_blocking(move || span.in_scope(|| reading.run()));
    let written = writing.run(inbox).await;
    let read = reader
        .await
        .map_err(|cause| Error::Worker(cause.to_string()))?;
    match written? {
        WriteEnd::Reread => Ok(None),
        WriteEnd::Stopped => Ok(Some(Ended::Stopped)),
        WriteEnd::Done => Ok(Some(match read? {
            ReadEnd::Stopped => Ended::Stopped,
            ReadEnd::Reached => Ended::Reached,
        })),
    }
}

/// Binds the tables of a stream as they were pinned when they were loaded.
async fn sinks(session: &Session, followed: Vec<FollowedRecord>) -> Result<Vec<Sink>, Error> {
    let mut sinks = Vec::with_capacity(followed.len());
    let mut zones = Zones::default();
    for record in followed {
        let pinned = Pinned::open(&session.pipe, &record.resync)?;
        let bound = pinned
            .bind(session, record.schema.clone(), &record.plugins, &mut zones)
            .await?;
        sinks.push(Sink::new(record, bound));
    }
    Ok(sinks)
}

/// Why changes would not go through the transforms of the load: a variable that a plugin is given has another value now, or a folder another place.
fn changed_grants(sink: &Sink) -> Option<String> {
    let mut plugins = sink.bound.plugins.iter().zip(&sink.record.plugins);
    let (_, then) = plugins.find(|(now, then)| now.grants != then.grants)?;
    Some(format!(
        "what `{}` is granted is not what it was when the table was loaded",
        then.plugin
    ))
}
