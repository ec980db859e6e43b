//! Holds what would work on a shadow in the background while it is loaded: its merges, and the expiry of its rows.

use super::binding::BoundTable;
use super::error::Error;
use super::session::Session;
use super::work::Work;

/// Parts of a shadow up to which its merges are held: inserts are slowed down from 1,000 a partition on.
const HELD_PARTS: u64 = 250;
/// The same where a block makes a part for each partition that it has rows of.
const HELD_PARTS_PARTITIONED: u64 = 40;

/// Holds the TTLs of the shadows, and the merges of those that will have few parts; many parts would slow inserts down, and in the end stop them.
pub(super) async fn hold(
    session: &Session,
    work: &Work,
    tables: &[BoundTable],
) -> Result<(), Error> {
    let block_bytes = work.pipe.snapshot.block_bytes as u64;
    for table in tables {
        let shadow = table.target.shadow();
        session
            .retried("hold a TTL", || session.destination.hold_ttl(&shadow))
            .await?;
        let chunks = work
            .journal
            .chunks(&work.id(), &table.mapping.source)?
            .len() as u64;
        let parts = chunks + table.source.estimated_bytes / block_bytes;
        let most = match table.target.partition_by {
            Some(_) => HELD_PARTS_PARTITIONED,
            None => HELD_PARTS,
        };
        if parts > most {
            continue;
        }
        let held = session
            .retried("hold merges", || session.destination.hold_merges(&shadow))
            .await?;
        if !held {
            tracing::info!(
                shadow,
                "no right to SYSTEM STOP MERGES: the load is merged as it goes"
            );
        }
    }
    Ok(())
}

/// Lets the shadows be merged again. One of an earlier process may be held, so all are released. After a failure, which may well be the
/// destination's, it is tried once.
pub(super) async fn release(
    session: &Session,
    tables: &[BoundTable],
    loaded: bool,
) -> Result<(), Error> {
    for table in tables {
        let shadow = table.target.shadow();
        let release = || session.destination.release_merges(&shadow);
        if loaded {
            session.retried("release merges", release).await?;
        } else if let Err(error) = release().await {
            tracing::debug!(%error, shadow, "its merges are still held");
        }
    }
    Ok(())
}
