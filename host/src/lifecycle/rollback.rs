//! The way back: `rollback` brings the old tables back, `abort` gives a resync up, and old tables whose time has come are dropped.

use jiff::Timestamp;

use super::error::Error;
use super::swap::{bearer, settle};
use super::work::Work;
use crate::destination::Destination;
use crate::journal::{FollowState, Journal, MAIN, Phase, TableRecord, TableState};
use crate::schema::{TableName, old_name, shadow_name};

/// Brings back the old table of each swapped pair among `tables` (all, if it is empty).
pub(super) async fn roll_back(
    destination: &Destination,
    work: &Work,
    tables: &[TableName],
) -> Result<(), Error> {
    if !any(work, is_swapped) && any(work, |table| table.state == TableState::RolledBack) {
        // All was brought back; only its last word is missing from the journal.
        return Ok(work.enter(Phase::RolledBack)?);
    }
    let candidates = work
        .tables()
        .into_iter()
        .filter(|table| tables.is_empty() || tables.contains(&table.source));
    let (ready, gone): (Vec<_>, Vec<_>) = candidates.partition(can_roll_back);
    if ready.is_empty() || (!tables.is_empty() && !gone.is_empty()) {
        let names: Vec<String> = gone.iter().map(|table| table.source.to_string()).collect();
        return Err(Error::Nothing {
            reason: format!(
                "there is no old table to go back to for {}",
                names.join(", ")
            ),
            suggestion: "`tidemill status` lists the tables that can be rolled back".to_owned(),
        });
    }
    for table in &ready {
        follow_no_longer(work, table)?;
        exchange_back(destination, work, table).await?;
    }
    if !any(work, is_swapped) {
        work.enter(Phase::RolledBack)?;
    }
    Ok(())
}

fn any(work: &Work, is: impl Fn(&TableRecord) -> bool) -> bool {
    work.tables().iter().any(is)
}

fn is_swapped(table: &TableRecord) -> bool {
    matches!(table.state, TableState::Swapped | TableState::RollingBack)
}

fn can_roll_back(table: &TableRecord) -> bool {
    is_swapped(table) && table.original.is_some() && table.keep_old_until.is_some()
}

/// Changes since the swap are in the new table alone: the old one can't be gone on with.
fn follow_no_longer(work: &Work, table: &TableRecord) -> Result<(), Error> {
    let Some(stream) = work.journal.stream(MAIN)? else {
        return Ok(());
    };
    let followed = work.journal.followed(MAIN)?;
    if let Some(mut followed) = followed
        .into_iter()
        .find(|followed| followed.source == table.source)
    {
        followed.state = FollowState::Stopped;
        followed.reason = Some(format!(
            "the table from before the resync {} was brought back; a resync follows it again (`tidemill resync --table`)",
            work.id()
        ));
        work.journal
            .write_stream(MAIN, &stream, &[followed], "rolled back")?;
    }
    Ok(())
}

/// Exchanges the table with the old one, once; the new one is kept under the old one's name for as long.
async fn exchange_back(
    destination: &Destination,
    work: &Work,
    table: &TableRecord,
) -> Result<(), Error> {
    let Some(original) = table.original else {
        return Ok(());
    };
    let (name, old) = (&table.destination, old_name(&table.destination));
    work.update_table(&table.source, "rollback begun", |table| {
        table.state = TableState::RollingBack
    })?;
    if bearer(destination, name).await? != Some(original) {
        if bearer(destination, &old).await? != Some(original) {
            return Err(Error::Nothing {
                reason: format!(
                    "`{old}` is no longer the table that `{name}` was before the resync"
                ),
                suggestion: format!(
                    "look at both tables' UUIDs in system.tables; the journal expects {original}"
                ),
            });
        }
        let sent = destination.exchange(name, &old).await;
        settle(destination, name, original, sent).await?;
    }
    work.update_table(&table.source, "rolled back", |table| {
        table.state = TableState::RolledBack
    })?;
    Ok(())
}

/// Gives a resync up: pairs that were swapped are swapped back, the shadows are dropped.
pub(super) async fn abort(destination: &Destination, work: &Work) -> Result<(), Error> {
    for table in work.tables() {
        let name = &table.destination;
        let swapping = matches!(
            table.state,
            TableState::Swapping | TableState::Swapped | TableState::RollingBack
        );
        if let (true, Some(original), Some(shadow)) = (swapping, table.original, table.shadow) {
            undo_swap(destination, work, &table, original, shadow).await?;
        } else if let (true, Some(shadow)) = (swapping, table.shadow) {
            // There was no original: the new table goes, wherever it is by now.
            destination.drop_table(name, shadow).await?;
        }
        if let Some(shadow) = table.shadow {
            destination.drop_table(&shadow_name(name), shadow).await?;
        }
    }
    work.journal.clear_request(&work.id())?;
    work.journal.end_stream(&work.id())?;
    work.enter(Phase::Aborted)?;
    Ok(())
}

/// Brings a swapped pair back, wherever the swap was interrupted; the new table ends under the shadow's name.
async fn undo_swap(
    destination: &Destination,
    work: &Work,
    table: &TableRecord,
    original: uuid::Uuid,
    shadow: uuid::Uuid,
) -> Result<(), Error> {
    let name = &table.destination;
    work.update_table(&table.source, "rollback begun", |table| {
        table.state = TableState::RollingBack
    })?;
    for twin in [old_name(name), shadow_name(name)] {
        if bearer(destination, name).await? == Some(shadow)
            && bearer(destination, &twin).await? == Some(original)
        {
            let sent = destination.exchange(name, &twin).await;
            settle(destination, name, original, sent).await?;
        }
        if twin == old_name(name) {
            destination.drop_table(&twin, shadow).await?;
        }
    }
    work.update_table(&table.source, "rolled back", |table| {
        table.state = TableState::RolledBack;
        table.keep_old_until = None;
    })?;
    Ok(())
}

/// Drops old tables whose retention has ended, of all resyncs but those of the tables that `keep` still needs.
pub(super) async fn drop_expired(
    destination: &Destination,
    journal: &Journal,
    now: Timestamp,
) -> Result<Vec<String>, Error> {
    let mut dropped = Vec::new();
    for resync in journal.resyncs()? {
        for mut table in journal.tables(&resync.id)? {
            let expired = table.keep_old_until.is_some_and(|until| until <= now);
            let kept = match table.state {
                // After a rollback it is the new table that bears the old one's name.
                TableState::RolledBack => table.shadow,
                _ => table.original,
            };
            if let (true, Some(kept)) = (expired, kept) {
                let old = old_name(&table.destination);
                destination.drop_table(&old, kept).await?;
                table.keep_old_until = None;
                journal.update_table(&resync.id, &table, "old table dropped")?;
                dropped.push(old);
            }
        }
    }
    Ok(dropped)
}
