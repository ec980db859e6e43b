//! Proves a copy before its swap: the ledger adds up, the shadow's rows by key equal it, and where the pipe says `full` every
//! column's digest, as read back from ClickHouse, equals the digest of what was sent.

use super::binding::BoundTable;
use super::error::Error;
use super::load;
use super::session::Session;
use super::statistics;
use super::work::Work;
use crate::destination::Digest;
use crate::journal::ChunkRecord;
use crate::pipe::VerifyMode;
use crate::schema::{Engine, rejected_name};

/// Verifies a loaded table.
pub(super) async fn verify(
    session: &Session,
    work: &Work,
    table: &BoundTable,
) -> Result<(), Error> {
    let chunks = work.journal.chunks(&work.id(), &table.mapping.source)?;
    let differs = |reason: String| {
        Err(Error::Verification {
            table: table.mapping.source.to_string(),
            reason,
        })
    };
    let undone = chunks.iter().filter(|chunk| chunk.result.is_none()).count();
    if undone > 0 {
        return differs(format!("{undone} chunks are not done"));
    }
    let ledger = statistics::ledger(&chunks);
    if !ledger.adds_up() {
        return differs(format!(
            "{} rows were read, but {} written + {} filtered + {} rejected + {} skipped",
            ledger.read, ledger.written, ledger.filtered, ledger.rejected, ledger.skipped
        ));
    }
    let target = &table.target;
    let shadow = target.shadow();
    // An engine that doesn't replace shows every row, a second one of a key as well.
    let key: &[String] = match target.engine {
        Engine::ReplacingMergeTree => &target.key,
        Engine::MergeTree => &[],
    };
    let counted = session
        .retried("count the shadow's rows", || {
            session.destination.rows_by_key(&shadow, key)
        })
        .await?;
    // Chunks that were left unfinished, and loaded from a later snapshot: rows that were deleted in between are there still, and are
    // deleted by the changes that are applied next.
    let sent: u64 = chunks.iter().map(|chunk| chunk.sent).sum();
    let left = match load::mends_itself(&work.pipe, table) {
        true => sent.saturating_sub(ledger.written),
        false => 0,
    };
    if !(ledger.written..=ledger.written + left).contains(&counted) {
        let by = if key.is_empty() { "" } else { " by key" };
        return differs(format!(
            "{} rows were written to `{shadow}`, but it has {counted}{by}; several rows have the same key after the transforms",
            ledger.written
        ));
    }
    if ledger.rejected > 0 {
        let (id, name) = (work.id(), &target.name);
        let counted = session
            .retried("count rejected rows", || {
                session.destination.count_rejected(name, &id)
            })
            .await?;
        if counted != ledger.rejected {
            return differs(format!(
                "{} rows were rejected, but `{}` has {counted} of this resync",
                ledger.rejected,
                rejected_name(name)
            ));
        }
        work.note(format!(
            "{counted} rows of {} were rejected: they stand in `{}`, with the reason",
            table.mapping.source,
            rejected_name(name)
        ))?;
    }
    if work.pipe.verify == VerifyMode::Full {
        let sent = sent_digest(&chunks, table.chain.output().fields().len())?;
        let found = session
            .retried("read the shadow back", || async {
                session
                    .destination
                    .column_digests(&shadow, target, table.fitter.schema())
                    .await
            })
            .await?;
        if let Some(column) = sent.first_difference(&found) {
            let name = table.chain.output().field(column).name();
            return differs(format!(
                "the column `{name}` as read back from ClickHouse is not what was sent"
            ));
        }
    }
    Ok(())
}

/// The digest of all that was sent for a table.
fn sent_digest(chunks: &[ChunkRecord], columns: usize) -> Result<Digest, Error> {
    let mut sum = Digest::new(columns);
    for digest in chunks
        .iter()
        .filter_map(|chunk| chunk.result.as_ref())
        .filter_map(|result| result.digest.clone())
    {
        let digest: Digest = serde_json::from_value(digest)
            .map_err(|cause| Error::Worker(format!("a journalled digest: {cause}")))?;
        sum.merge(&digest);
    }
    Ok(sum)
}
