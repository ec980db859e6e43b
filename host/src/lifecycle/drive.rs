//! The state machine: from whatever phase the journal holds to the end, a pause, a gate or an error.

use std::sync::Arc;

use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

use super::binding::BoundTable;
use super::catch_up::{self, CaughtUp};
use super::error::Error;
use super::load::{self, Loaded};
use super::main_stream::MainStream;
use super::reading::signed;
use super::report::{Outcome, PercentChange};
use super::session::Session;
use super::work::Work;
use super::{pinned, setup, swap, verify};
use crate::destination::LiveTable;
use crate::journal::{Kind, Phase, TableRecord, TableState};
use crate::pipe::{Cdc, OnTableError};
use crate::schema::TableName;

/// What is left to do after a phase.
enum Next {
    Phase(Phase),
    NeedsApproval,
}

/// The span of a resync: all that is logged within bears its id. At the level of errors, so that it is there whatever is logged.
pub(super) fn span(work: &Work) -> Span {
    let resync = work.resync();
    tracing::error_span!(
        "resync",
        resync = resync.id,
        kind = ?resync.kind,
        tables = signed(work.tables().len() as u64),
        rows = Empty,
        bytes = Empty,
        phase = Empty,
    )
}

/// Tells the span what has become of the resync.
fn tell_span(work: &Work) -> Result<(), Error> {
    let (mut rows, mut bytes) = (0, 0);
    for table in work.tables() {
        for chunk in work.journal.chunks(&work.id(), &table.source)? {
            let result = chunk.result.as_ref();
            rows += result.map_or(0, |result| result.ledger.read);
            bytes += result.map_or(0, |result| result.bytes);
        }
    }
    Span::current()
        .record("rows", signed(rows))
        .record("bytes", signed(bytes))
        .record("phase", display(work.resync().phase));
    Ok(())
}

/// Drives a resync to its end. An error is journalled as Failed before it is returned.
pub(super) async fn drive(
    session: &Arc<Session>,
    work: &Arc<Work>,
    main: &MainStream,
    tables: Vec<BoundTable>,
) -> Result<Outcome, Error> {
    let driven = run(session, work, main, tables).await;
    if let Err(error) = &driven {
        work.update("failed", |resync| {
            resync.error = Some(error.to_string());
            resync.error_class = Some(error.class().name().to_owned());
        })?;
        work.enter(Phase::Failed)?;
    }
    if let Err(error) = tell_span(work) {
        tracing::warn!(%error, "what the resync came to can't be told");
    }
    driven
}

async fn run(
    session: &Arc<Session>,
    work: &Arc<Work>,
    main: &MainStream,
    tables: Vec<BoundTable>,
) -> Result<Outcome, Error> {
    take_up(work, &tables)?;
    loop {
        let phase = work.resync().phase;
        // A child of the resync's: where its time went.
        let span = || tracing::info_span!("phase", otel.name = %phase, phase = %phase);
        let next = match phase {
            Phase::Setup => setup(session, work, &tables).instrument(span()).await?,
            Phase::Snapshot => snapshot(session, work, &tables).instrument(span()).await?,
            Phase::Resync => {
                resync(session, work, main, &tables)
                    .instrument(span())
                    .await?
            }
            Phase::Paused => return Ok(Outcome::Paused(work.summary()?)),
            Phase::Running
            | Phase::Completed
            | Phase::Failed
            | Phase::Aborted
            | Phase::RolledBack => {
                return Ok(Outcome::Completed(work.summary()?));
            }
        };
        match next {
            Next::Phase(phase) => work.enter(phase)?,
            Next::NeedsApproval => return Ok(Outcome::NeedsApproval(work.summary()?)),
        }
    }
}

/// Back to the phase that was interrupted; to Setup, if what the shadows' content depends on has changed since.
fn take_up(work: &Work, tables: &[BoundTable]) -> Result<(), Error> {
    let resync = work.resync();
    let mut phase = resync.working_phase();
    let changed = |table: &&BoundTable| {
        work.table(&table.mapping.source).fingerprint != table.fingerprint(&work.pipe)
    };
    if let (Phase::Snapshot, Some(table)) = (phase, tables.iter().find(changed)) {
        work.note(format!(
            "the schema, the transforms or the settings of {} have changed since the load began, so it begins again",
            table.mapping.source
        ))?;
        phase = Phase::Setup;
    }
    let followed = work.journal.followed(&work.id())?;
    let ended = followed.iter().find(|table| !table.follows());
    if let (Phase::Snapshot | Phase::Resync, Some(table), false) =
        (phase, ended, begun_to_swap(work))
    {
        work.note(format!(
            "{} could not be followed behind its load ({}), so that begins again",
            table.source,
            table.reason.as_deref().unwrap_or_default()
        ))?;
        phase = Phase::Setup;
    }
    if resync.phase != phase {
        work.enter(phase)?;
    }
    Ok(())
}

/// The Setup phase: pins what the tables are loaded with, makes the shadows, and begins to keep changes for them.
async fn setup(
    session: &Arc<Session>,
    work: &Arc<Work>,
    tables: &[BoundTable],
) -> Result<Next, Error> {
    let cdc = work.pipe.cdc;
    if cdc.follows() {
        pinned::keep(&session.supply, &work.pipe, &work.id(), tables).await?;
        pinned::prune(&work.pipe.state, &work.journal, tables);
    }
    setup::create_shadows(session, work, tables).await?;
    if cdc.follows() {
        catch_up::begin(session, work, tables).await?;
    }
    Ok(Next::Phase(match cdc {
        Cdc::Only if work.resync().kind == Kind::Load => Phase::Resync,
        _ => Phase::Snapshot,
    }))
}

/// The Snapshot phase: loads all tables.
async fn snapshot(
    session: &Arc<Session>,
    work: &Arc<Work>,
    tables: &[BoundTable],
) -> Result<Next, Error> {
    Ok(Next::Phase(
        match load::load(session, work, tables).await? {
            Loaded::All => {
                note_end_of_load(session, work).await?;
                Phase::Resync
            }
            Loaded::Paused => Phase::Paused,
        },
    ))
}

/// Notes P1: what the copy must show before it is swapped.
async fn note_end_of_load(session: &Session, work: &Work) -> Result<(), Error> {
    if !work.pipe.cdc.follows() {
        return Ok(());
    }
    let p1 = catch_up::position(session).await?;
    work.update("end of the load noted", |resync| resync.p1 = Some(p1))?;
    Ok(())
}

/// The Resync phase: verify all, catch up, carry over, then swap pair by pair. No pair is swapped before all are verified.
async fn resync(
    session: &Arc<Session>,
    work: &Arc<Work>,
    main: &MainStream,
    tables: &[BoundTable],
) -> Result<Next, Error> {
    for table in tables {
        if let Err(error) = prove(session, work, table).await {
            // Any other error says nothing of the copy: it stays what it was proved to be, and a resume goes on from there.
            if !matches!(error, Error::Verification { .. }) {
                return Err(error);
            }
            fail(work, table, &error)?;
            if work.pipe.swap.on_table_error != OnTableError::Continue {
                return Err(error);
            }
            work.note(format!("{error}"))?;
        }
    }
    if waits_for_approval(work)? {
        return Ok(Next::NeedsApproval);
    }
    let follows = work.pipe.cdc.follows();
    if follows && !begun_to_swap(work) {
        if catch_up::catch_up(session, work, main).await? == CaughtUp::Paused {
            return Ok(Next::Phase(Phase::Paused));
        }
        catch_up::leave_main(work)?;
    }
    for table in tables {
        if matches!(
            work.table(&table.mapping.source).state,
            TableState::Verified | TableState::NeedsApproval
        ) {
            carry_over(session, work, table).await?;
        }
    }
    for table in tables {
        let source = &table.mapping.source;
        if matches!(
            work.table(source).state,
            TableState::Carried | TableState::Swapping
        ) {
            swap::swap(&session.destination, work, source).await?;
        }
    }
    let settled =
        |table: &TableRecord| matches!(table.state, TableState::Swapped | TableState::Failed);
    if let Some(table) = work.tables().iter().find(|table| !settled(table)) {
        return Err(Error::Worker(format!(
            "{} is {} where it should be swapped",
            table.source, table.state
        )));
    }
    let swapped = |table: &TableRecord| table.state == TableState::Swapped;
    if !work.tables().iter().any(swapped) {
        return Err(Error::Verification {
            table: "any table".to_owned(),
            reason: "none was verified".to_owned(),
        });
    }
    if !follows {
        return Ok(Next::Phase(Phase::Completed));
    }
    catch_up::join(work)?;
    work.end_replaced()?;
    Ok(Next::Phase(Phase::Running))
}

/// Whether a table may have been swapped already: then all have caught up.
fn begun_to_swap(work: &Work) -> bool {
    work.tables().iter().any(|table| {
        matches!(table.state, TableState::Swapping | TableState::Swapped) && table.shadow.is_some()
    })
}

fn fail(work: &Work, table: &BoundTable, error: &Error) -> Result<(), Error> {
    let reason = error.to_string();
    work.update_table(&table.mapping.source, "failed", |record| {
        record.state = TableState::Failed;
        record.reason = Some(reason);
    })?;
    Ok(())
}

/// Verifies a table, as far as that isn't done, and counts its original's visible rows for the gate.
async fn prove(session: &Arc<Session>, work: &Work, table: &BoundTable) -> Result<(), Error> {
    let source = &table.mapping.source;
    if matches!(
        work.table(source).state,
        TableState::Loaded | TableState::Failed
    ) {
        verify::verify(session, work, table).await?;
        work.update_table(source, "verified", |record| {
            record.state = TableState::Verified;
            record.reason = None;
        })?;
    }
    if work.table(source).state != TableState::Verified {
        return Ok(());
    }
    let name = &table.target.name;
    let original = session
        .retried("look at the original", || {
            session.destination.live_table(name)
        })
        .await?;
    let mut rows = None;
    if let Some(original) = &original {
        rows = Some(count_original(session, work, table, original).await?);
    }
    work.update_table(source, "counted the original of", |record| {
        record.original = original.as_ref().map(|original| original.uuid);
        record.original_rows = rows;
    })?;
    Ok(())
}

/// Moves the soft-deleted rows of the original over.
async fn carry_over(session: &Arc<Session>, work: &Work, table: &BoundTable) -> Result<(), Error> {
    let (source, name) = (&table.mapping.source, &table.target.name);
    let destination = &session.destination;
    let shadow = table.target.shadow();
    session
        .retried("release a TTL", || destination.release_ttl(&shadow))
        .await?;
    let original = session
        .retried("look at the original", || destination.live_table(name))
        .await?;
    let mut carried = None;
    if let Some(original) = &original {
        let moved = session
            .retried("carry rows over", || {
                destination.carry_over(&table.target, original)
            })
            .await?;
        if let Some(note) = &moved.note {
            work.note(format!("{name}: {note}"))?;
        }
        carried = Some(moved.rows);
    }
    work.update_table(source, "carried over", |record| {
        record.state = TableState::Carried;
        record.original = original.as_ref().map(|original| original.uuid);
        record.carried_over = carried;
    })?;
    Ok(())
}

/// The original's rows, for the gate and the record. They are counted exactly where the gate could depend on it.
async fn count_original(
    session: &Session,
    work: &Work,
    table: &BoundTable,
    original: &LiveTable,
) -> Result<u64, Error> {
    let (destination, metadata) = (&session.destination, &table.target.metadata);
    let what = "count the original";
    let most = session
        .retried(what, || destination.live_rows_at_most(original, metadata))
        .await?;
    let written = written(work, &table.mapping.source)?;
    if work.pipe.swap.max_growth.is_none() && gate(&work.pipe, Some(most), written).is_none() {
        return Ok(most);
    }
    Ok(session
        .retried(what, || destination.live_rows(original, metadata))
        .await?)
}

/// The gate: a table that differs from its original by more than the pipe allows waits for a person.
fn waits_for_approval(work: &Work) -> Result<bool, Error> {
    let mut waits = false;
    for table in work.tables() {
        if !matches!(
            table.state,
            TableState::Verified | TableState::NeedsApproval
        ) || table.approved
        {
            continue;
        }
        let rows = written(work, &table.source)?;
        let Some(reason) = gate(&work.pipe, table.original_rows, rows) else {
            continue;
        };
        waits = true;
        work.update_table(&table.source, "waits for approval", |record| {
            record.state = TableState::NeedsApproval;
            record.reason = Some(reason);
        })?;
    }
    Ok(waits)
}

/// Why a table may not be swapped without approval, if so.
fn gate(pipe: &crate::pipe::Pipe, original_rows: Option<u64>, rows: u64) -> Option<String> {
    let before = original_rows.filter(|&rows| rows > 0)?;
    let change = PercentChange::between(before, rows);
    let (limit, name) = match change.share() {
        share if share < -pipe.swap.max_shrink => (pipe.swap.max_shrink, "max_shrink"),
        share if pipe.swap.max_growth.is_some_and(|limit| share > limit) => {
            (pipe.swap.max_growth?, "max_growth")
        }
        _ => return None,
    };
    Some(format!(
        "{before} rows become {rows} ({change}), and swap.{name} is {:.0}%",
        limit * 100.0
    ))
}

fn written(work: &Work, source: &TableName) -> Result<u64, Error> {
    Ok(super::statistics::ledger(&work.journal.chunks(&work.id(), source)?).written)
}

/// Approves the tables that wait.
pub(super) fn approve(work: &Work) -> Result<(), Error> {
    for table in work
        .tables()
        .iter()
        .filter(|table| table.state == TableState::NeedsApproval)
    {
        work.update_table(&table.source, "approved", |record| {
            record.approved = true;
            record.reason = None;
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_said_with_its_sign() {
        for (before, after, text) in [
            (1000, 500, "-50.0%"),
            (1000, 1001, "+0.1%"),
            (1, 3, "+200.0%"),
        ] {
            assert_eq!(PercentChange::between(before, after).to_string(), text);
        }
    }
}
