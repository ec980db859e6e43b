//! Brings the shadows of a resync up to the moment of their swap, so that no reader sees older data after it than before.
//!
//! A resync has a stream of its own. It begins where the originals were when the resync began, or at the source's position of that moment
//! where there is none: what was deleted since is known as deleted. Behind the load it is followed until the position P1 at the load's end is
//! passed. Where the pipe's own stream is at work, for the other tables or with `--live`, both streams are then brought to one and
//! the same position, from which the tables go on in the pipe's stream.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::binding::BoundTable;
use super::design;
use super::error::Error;
use super::follow::live::Live;
use super::follow::{self, Ended, Shared};
use super::main_stream::MainStream;
use super::retry;
use super::session::Session;
use super::stop::StopSignal;
use super::work::Work;
use crate::journal::{FollowState, FollowedRecord, MAIN, StreamRecord, TableRecord, TableState};
use crate::schema::{Engine, Position};
use crate::source::{BinlogSettings, SourceError};

/// How often it is looked whether the pipe's own stream has come as far as it must.
const LOOK: Duration = Duration::from_millis(300);

/// How long the refusal of a position is waited for.
const FIRST_EVENT: Duration = Duration::from_secs(1);

/// Whether the tables could be brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CaughtUp {
    /// They can be swapped.
    Yes,
    /// A pause was asked for.
    Paused,
}

/// The source's position now. A pipe that follows can't do without.
pub(super) async fn position(session: &Session) -> Result<Position, Error> {
    let ask = || session.source.position();
    let position = retry::SERVER
        .run("ask for the position", SourceError::is_transient, ask)
        .await?;
    position.ok_or_else(|| Error::Nothing {
        reason: "the source tells no binlog position, so that the pipe can't follow it".to_owned(),
        suggestion: "switch the binlog on and GRANT REPLICATION CLIENT (MariaDB: BINLOG MONITOR), or set `cdc = false`".to_owned(),
    })
}

/// Begins the resync's stream at P0, with the shadows as its tables.
pub(super) async fn begin(
    session: &Arc<Session>,
    work: &Work,
    tables: &[BoundTable],
) -> Result<(), Error> {
    let now = position(session).await?;
    for table in tables {
        refuse_changed(session, table).await?;
    }
    let main = work.journal.stream(MAIN)?;
    let followed = work.journal.followed(MAIN)?;
    // From where the original is, if all of what came since can be read: a table whose definition has changed since begins now.
    let is_as_followed = |table: &BoundTable| {
        followed.iter().any(|old| {
            old.source == table.mapping.source && old.follows() && old.schema == table.source
        })
    };
    let mut start = now.clone();
    if let Some(main) = main.as_ref().filter(|_| tables.iter().any(is_as_followed)) {
        match can_open(session, &main.position).await? {
            true => start = main.position.clone(),
            false => work.note("the source no longer has the binlog since the old pipe stopped: rows that were deleted since then leave no trace")?,
        }
    }
    let mut counter = main.map_or(0, |main| main.counter);
    let mut records = Vec::with_capacity(tables.len());
    for table in tables {
        let target = &table.target;
        let highest = session
            .retried("ask for the highest version", || {
                session
                    .destination
                    .highest_version(&target.name, &target.metadata)
            })
            .await?;
        // Carried rows keep their versions: what comes later must be higher.
        counter = counter.max(highest);
        let name = match work.table(&table.mapping.source).shadow {
            Some(_) => target.shadow(),
            None => target.name.clone(),
        };
        records.push(FollowedRecord {
            source: table.mapping.source.clone(),
            destination: name,
            resync: work.id(),
            plugins: table.plugins.clone(),
            schema: table.source.clone(),
            state: FollowState::Following,
            reason: None,
            // A table that doesn't replace its rows would have those twice that are in its load already.
            from: (!is_as_followed(table) || target.engine != Engine::ReplacingMergeTree)
                .then(|| now.clone()),
            taken_up: Vec::new(),
            since: Timestamp::now(),
            counts: Default::default(),
        });
    }
    let stream = StreamRecord {
        position: start,
        counter,
        pending: None,
        error: None,
        paused: false,
    };
    work.journal.begin_stream(&work.id(), &stream, &records)?;
    Ok(())
}

/// A table that was changed since it was bound would be read by the wrong definition.
async fn refuse_changed(session: &Session, table: &BoundTable) -> Result<(), Error> {
    let look = || session.source.table(&table.mapping.source);
    let now = retry::SERVER
        .run("look at a table", SourceError::is_transient, look)
        .await?;
    let now = design::with_choices(&session.pipe, &table.mapping, now)?;
    let is_same = now.columns == table.source.columns && now.key == table.source.key;
    match is_same {
        true => Ok(()),
        false => Err(Error::Nothing {
            reason: format!(
                "{} was changed while its resync began",
                table.mapping.source
            ),
            suggestion: "start it again with `tidemill resume`".to_owned(),
        }),
    }
}

/// Whether the source still has the binlog from here on.
async fn can_open(session: &Session, position: &Position) -> Result<bool, Error> {
    let settings = BinlogSettings {
        // A number of its own: a server that is slow to begin with this reader would end the one that comes after it.
        server_id: side_server_id(session).wrapping_add(1),
        heartbeat: session.tuning.get().apply.heartbeat,
    };
    let open = || async {
        let mut binlog = session.source.binlog(position, &settings).await?;
        // A place that is gone is told instead of the first event; where it is the last one, no event comes.
        let event = tokio::time::timeout(FIRST_EVENT, binlog.next()).await;
        binlog.close().await;
        event.map_or(Ok(()), |event| event.map(|_| ()))
    };
    let opened = retry::SERVER
        .run("open the binlog", SourceError::is_transient, open)
        .await;
    match opened {
        Ok(()) => Ok(true),
        Err(SourceError::Purged { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The main stream's number is in use while that runs.
fn side_server_id(session: &Session) -> u32 {
    session.pipe.apply.server_id.wrapping_add(1).max(1)
}

/// Where a table's load begins: of a table that doesn't replace its rows, changes that the snapshot has must not come again.
pub(super) fn loaded_from(
    work: &Work,
    table: &BoundTable,
    snapshot: Option<&Position>,
) -> Result<(), Error> {
    if table.target.engine == Engine::ReplacingMergeTree || !work.pipe.cdc.follows() {
        return Ok(());
    }
    let Some(stream) = work.journal.stream(&work.id())? else {
        return Ok(());
    };
    let followed = work.journal.followed(&work.id())?;
    let record = followed
        .into_iter()
        .find(|record| record.source == table.mapping.source);
    if let (Some(mut record), Some(snapshot)) = (record, snapshot) {
        record.from = Some(snapshot.clone());
        work.journal
            .write_stream(&work.id(), &stream, &[record], "load begun")?;
    }
    Ok(())
}

/// Follows the resync's stream until P1 is passed, and on to where the pipe's own stream is, which is stopped there.
pub(super) async fn catch_up(
    session: &Arc<Session>,
    work: &Arc<Work>,
    main: &MainStream,
) -> Result<CaughtUp, Error> {
    let stop = Arc::new(StopSignal::default());
    let watch = tokio::spawn(watch_pause(work.clone(), stop.clone()));
    let caught_up = follow_up(session, work, main, &stop).await;
    watch.abort();
    caught_up
}

async fn watch_pause(work: Arc<Work>, stop: Arc<StopSignal>) {
    loop {
        tokio::time::sleep(LOOK).await;
        // A journal that can't be read is told by whoever writes to it.
        if work.journal.pause_requested(&work.id()).unwrap_or(false) {
            stop.ask();
        }
    }
}

async fn follow_up(
    session: &Arc<Session>,
    work: &Arc<Work>,
    main: &MainStream,
    stop: &Arc<StopSignal>,
) -> Result<CaughtUp, Error> {
    let p1 = match work.resync().p1 {
        Some(p1) => p1,
        None => position(session).await?,
    };
    let shared = Arc::new(Shared {
        session: session.clone(),
        journal: work.journal.clone(),
        tuning: session.tuning.clone(),
        server_id: side_server_id(session),
        stop: stop.clone(),
        live: Arc::new(Live::new(work.progress.clone())),
    });
    let mut target = p1.clone();
    loop {
        if follow::follow(&shared, &work.id(), Some(&target)).await? == Ended::Stopped {
            return Ok(CaughtUp::Paused);
        }
        refuse_ended(work)?;
        if !main.is_running().await {
            break;
        }
        let (side, ahead) = (stream(work, &work.id())?, stream(work, MAIN)?);
        if side.position.reached(&ahead.position) {
            if ahead.position.reached(&p1) {
                break;
            }
            // The pipe's own stream is behind the load's end: the tables would not be of one moment with the others.
            if stop.within(LOOK).await {
                return Ok(CaughtUp::Paused);
            }
        }
        target = match ahead.position.reached(&p1) {
            true => ahead.position,
            false => p1.clone(),
        };
    }
    meet(&shared, work, main, stop).await
}

/// Stops the pipe's own stream, and brings both to one position.
async fn meet(
    shared: &Arc<Shared>,
    work: &Arc<Work>,
    main: &MainStream,
    stop: &Arc<StopSignal>,
) -> Result<CaughtUp, Error> {
    if !main.is_running().await {
        return Ok(CaughtUp::Yes);
    }
    main.stop().await?;
    loop {
        let (side, ahead) = (stream(work, &work.id())?, stream(work, MAIN)?);
        let ended = match (
            side.position.reached(&ahead.position),
            ahead.position.reached(&side.position),
        ) {
            (true, true) => return Ok(CaughtUp::Yes),
            (true, false) => main.run_to(&side.position, stop).await?,
            (false, _) => follow::follow(shared, &work.id(), Some(&ahead.position)).await?,
        };
        refuse_ended(work)?;
        if ended == Ended::Stopped {
            return Ok(CaughtUp::Paused);
        }
    }
}

fn stream(work: &Work, name: &str) -> Result<StreamRecord, Error> {
    let stream = work.journal.stream(name)?;
    stream.ok_or_else(|| Error::Worker(format!("there is no stream `{name}`")))
}

/// A shadow that can't be followed is not swapped.
fn refuse_ended(work: &Work) -> Result<(), Error> {
    let followed = work.journal.followed(&work.id())?;
    let is_open = |record: &TableRecord| record.state != TableState::Failed;
    for table in followed.into_iter().filter(|table| !table.follows()) {
        if is_open(&work.table(&table.source)) {
            return Err(Error::Verification {
                table: table.source.to_string(),
                reason: table.reason.unwrap_or_default(),
            });
        }
    }
    Ok(())
}

/// Before the first swap: the tables leave the pipe's own stream, which would write to their new tables by the old transforms.
pub(super) fn leave_main(work: &Work) -> Result<(), Error> {
    for table in work.journal.followed(MAIN)? {
        let is_swapped_next = |record: &TableRecord| {
            record.source == table.source && record.state != TableState::Failed
        };
        if work.tables().iter().any(is_swapped_next) {
            work.journal.leave_main(&table, "left by")?;
        }
    }
    Ok(())
}

/// After the last swap: the tables go on in the pipe's own stream.
pub(super) fn join(work: &Work) -> Result<(), Error> {
    let Some(side) = work.journal.stream(&work.id())? else {
        // They have joined it, and the process ended right then.
        return Ok(());
    };
    let swapped: Vec<TableRecord> = work
        .tables()
        .into_iter()
        .filter(|table| table.state == TableState::Swapped)
        .collect();
    let mut tables = Vec::with_capacity(swapped.len());
    for mut table in work.journal.followed(&work.id())? {
        let Some(record) = swapped.iter().find(|record| record.source == table.source) else {
            continue;
        };
        table.destination.clone_from(&record.destination);
        tables.push(table);
    }
    let main = work.journal.stream(MAIN)?;
    // Both are at one position; where only one is at work, the other one's is of no use any more.
    let others = work
        .journal
        .followed(MAIN)?
        .iter()
        .any(FollowedRecord::follows);
    let joined = StreamRecord {
        position: match &main {
            Some(main) if others => main.position.clone(),
            _ => side.position,
        },
        counter: side
            .counter
            .max(main.as_ref().map_or(0, |main| main.counter)),
        pending: None,
        error: None,
        paused: false,
    };
    work.journal.join_stream(&work.id(), &joined, &tables)?;
    Ok(())
}
