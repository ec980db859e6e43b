//! Swaps each pair of original and shadow, once.
//!
//! A client that repeats a timed-out `EXCHANGE` swaps the old table back. So both tables' UUIDs are journalled before the
//! statement, the statement is sent once, outside of the retry policy, and afterwards, after a lost answer and after a restart
//! alike, ClickHouse is asked which UUID bears which name. A pair is never swapped back but by `rollback`.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::error::Error;
use super::retry;
use super::work::Work;
use crate::destination::{Destination, DestinationError};
use crate::journal::TableState;
use crate::schema::{TableName, old_name, shadow_name};

/// Gives the shadow the original's name, and keeps the original as the way back.
pub(super) async fn swap(
    destination: &Destination,
    work: &Work,
    source: &TableName,
) -> Result<(), Error> {
    let record = work.table(source);
    let name = &record.destination;
    let shadow_name = shadow_name(name);
    let Some(shadow) = record.shadow else {
        return Err(Error::Worker(format!("{source} has no shadow to swap")));
    };
    work.update_table(source, "swap begun", |table| {
        table.state = TableState::Swapping
    })?;
    if bearer(destination, name).await? != Some(shadow) {
        let sent = match record.original {
            Some(_) => destination.exchange(name, &shadow_name).await,
            None => destination.rename(&shadow_name, name).await,
        };
        settle(destination, name, shadow, sent).await?;
    }
    let mut keep_old_until = None;
    if let Some(original) = record.original {
        keep_old(destination, work, name, original).await?;
        keep_old_until = Some(Timestamp::now() + work.pipe.swap.keep_old);
    }
    work.update_table(source, "swapped", |table| {
        table.state = TableState::Swapped;
        table.keep_old_until = keep_old_until;
    })?;
    Ok(())
}

/// Moves the old table from the shadow's name to its own, in place of an older one that an earlier resync has kept.
async fn keep_old(
    destination: &Destination,
    work: &Work,
    name: &str,
    original: Uuid,
) -> Result<(), Error> {
    let (shadow_name, old_name) = (shadow_name(name), old_name(name));
    if bearer(destination, &old_name).await? != Some(original) {
        if let Some(older) = bearer(destination, &old_name).await? {
            if !work.journal.knows(older)? {
                return Err(not_ours(&old_name, "a swap keeps the old table").into());
            }
            destination.drop_table(&old_name, older).await?;
        }
        let sent = destination.rename(&shadow_name, &old_name).await;
        settle(destination, &old_name, original, sent).await?;
    }
    Ok(())
}

/// Refuses to drop a table that is somebody else's, and bears a name for which the pipe has a use of its own.
pub(super) fn not_ours(name: &str, use_: &str) -> DestinationError {
    DestinationError::InTheWay {
        table: format!("`{name}`"),
        reason: format!(
            "was not made by this pipe, and {use_} under that name: rename it, or drop it if nobody needs it"
        ),
    }
}

/// After a statement that changes names: whatever its answer was, what ClickHouse says of the names decides.
///
/// A statement whose answer was lost may still be at work, so the names are asked for until they show it or it is
/// certain that it failed.
pub(super) async fn settle(
    destination: &Destination,
    name: &str,
    wanted: Uuid,
    sent: Result<(), DestinationError>,
) -> Result<(), Error> {
    let Err(error) = sent else {
        return match bearer(destination, name).await? {
            Some(found) if found == wanted => Ok(()),
            found => Err(Error::Worker(format!(
                "after the swap `{name}` is table {found:?} instead of {wanted}"
            ))),
        };
    };
    // The server answered with an error of its own: it did not do it. Else its answer was lost: look for a while.
    let looks = if error.is_transient() { 20 } else { 1 };
    for look in 0..looks {
        if look > 0 {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        if bearer(destination, name).await? == Some(wanted) {
            tracing::warn!(name, %error, "the answer to a change of names was lost, but it was done");
            return Ok(());
        }
    }
    Err(error.into())
}

/// The UUID of the table that bears a name.
pub(super) async fn bearer(
    destination: &Destination,
    name: &str,
) -> Result<Option<Uuid>, DestinationError> {
    let names = [name];
    let ask = || destination.uuids(&names);
    let mut found = retry::SERVER
        .run(
            "ask for a table's UUID",
            DestinationError::is_transient,
            ask,
        )
        .await?;
    Ok(found.remove(name))
}
