//! A followed table: its chain of transforms as it was pinned when the table was loaded, and what its changes become at the destination.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use xxhash_rust::xxh3::Xxh3;

use super::{Shared, pairs};
use crate::destination::{
    Block, BlockWriter, DestinationError, Misfit, RejectedRow, identity_columns, rejected_block,
    row_as_json, with_metadata,
};
use crate::journal::{ChangeCounts, FollowedRecord};
use crate::lifecycle::binding::{self, BoundTable};
use crate::lifecycle::error::Error;
use crate::lifecycle::pace::LOOK_EVERY;
use crate::lifecycle::reading::batch_bytes;
use crate::lifecycle::transforms;
use crate::schema::{OnError, OutOfRange, SourceTable, row_text};
use crate::source::{Changes, ImageKind, Pairs};
use crate::transform::{Applied, ChainInstance, Lineage, Rejected, TransformError};

/// A block of ClickHouse has at most this many rows.
const BLOCK_ROWS: usize = 1_000_000;

/// How long it takes until room is looked for again.
const ROOM: Duration = Duration::from_secs(2);

/// A followed table.
pub(super) struct Sink {
    pub(super) record: FollowedRecord,
    pub(super) bound: BoundTable,
    /// Whether its record is another one than the journal's.
    pub(super) changed: bool,
    identity: Vec<usize>,
    /// None: it has had nothing to do for a while.
    instance: Option<ChainInstance>,
}

/// What a table's changes come to.
pub(super) struct Written {
    /// What is inserted, each block by itself.
    pub(super) blocks: Vec<Block>,
    /// What goes to the table of rejected rows.
    pub(super) rejected: Option<Block>,
    /// What became of the images.
    pub(super) counts: ChangeCounts,
}

impl Sink {
    pub(super) fn new(record: FollowedRecord, bound: BoundTable) -> Self {
        bound.chain.begin(binding::origin(&record.resync), &[]);
        bound.chain.lift_load_limits();
        Self {
            identity: identity_columns(&bound.target),
            instance: None,
            changed: false,
            record,
            bound,
        }
    }

    /// Lets go of what only changes need.
    pub(super) fn rest(&mut self) {
        self.instance = None;
    }

    /// Counts what became of changes.
    pub(super) fn count(&mut self, counts: ChangeCounts) {
        self.changed |= counts != ChangeCounts::default();
        self.record.counts += counts;
    }

    /// Its record, if the journal has another one.
    pub(super) fn take_changed(&mut self) -> Option<FollowedRecord> {
        std::mem::take(&mut self.changed).then(|| self.record.clone())
    }

    /// Whether an update's old row is always needed: where it may have to be deleted though its key stays.
    pub(super) fn pairs(&self) -> Pairs {
        let (chain, target) = (&self.bound.chain, &self.bound.target);
        let is_source_key = |column: &usize| match chain.lineage()[*column] {
            Lineage::Passed { source } => self.bound.source.key.contains(&source),
            Lineage::Computed { .. } => false,
        };
        let rejects = target
            .columns
            .iter()
            .any(|column| column.on_out_of_range == OutOfRange::Reject);
        let simple = !chain.filters()
            && !chain.tolerates()
            && !rejects
            && self.identity.iter().all(is_source_key);
        match simple && !self.identity.is_empty() {
            true => Pairs::ChangedKeys,
            false => Pairs::All,
        }
    }

    /// Sends changes through the transforms, and makes blocks of what they come to. `place` names them in errors.
    pub(super) fn write(
        &mut self,
        shared: &Shared,
        changes: Vec<Changes>,
        block_bytes: usize,
        place: &str,
    ) -> Result<Written, Error> {
        let mut written = Written {
            blocks: Vec::new(),
            rejected: None,
            counts: ChangeCounts::default(),
        };
        let mut rejected = Vec::new();
        let mut block: Option<(BlockWriter, usize)> = None;
        for changes in changes {
            count(&mut written.counts, &changes.kinds);
            let rows = self.rows(shared, changes, place, &mut written.counts, &mut rejected)?;
            if rows.num_rows() == 0 {
                continue;
            }
            let bytes = batch_bytes(&rows);
            if let Some((full, size)) = block.take() {
                match size + bytes > block_bytes || full.rows() + rows.num_rows() > BLOCK_ROWS {
                    true => written.blocks.push(full.finish()?),
                    false => block = Some((full, size)),
                }
            }
            let (mut open, size) = match block.take() {
                Some(open) => open,
                None => (
                    BlockWriter::new(&self.record.destination, &rows.schema())?,
                    0,
                ),
            };
            open.write(&rows)?;
            written.counts.written += rows.num_rows() as u64;
            written.counts.bytes += bytes as u64;
            block = Some((open, size + bytes));
        }
        if let Some((open, _)) = block {
            written.blocks.push(open.finish()?);
        }
        if !rejected.is_empty() {
            let source = self.record.source.to_string();
            written.rejected = Some(rejected_block(&self.record.resync, &source, 0, &rejected)?);
        }
        Ok(written)
    }

    /// The rows of one batch of images, with their metadata.
    fn rows(
        &mut self,
        shared: &Shared,
        changes: Changes,
        place: &str,
        counts: &mut ChangeCounts,
        rejected: &mut Vec<RejectedRow>,
    ) -> Result<RecordBatch, Error> {
        let images = changes.images;
        let applied = self.apply(shared, &images, place)?;
        shared.session.meter.followed(images.num_rows() as u64);
        if let Some(failure) = transforms::first_failure(&applied) {
            return Err(self.failure_of(&images, failure, place));
        }
        counts.filtered += applied.filtered_rows;
        for row in &applied.rejected {
            // What a row was is behind it: only a row that is to be written can be missed.
            let is_new = is_new(changes.kinds[row.row]);
            match row.on_error {
                OnError::Reject if is_new => {
                    counts.rejected += 1;
                    rejected.push(transforms::rejected_row(&self.bound.mapping, &applied, row));
                }
                OnError::Skip if is_new => counts.skipped += 1,
                _ => {}
            }
        }
        let fitted = self
            .bound
            .fitter
            .fit(&applied.batch)
            .map_err(|misfit| self.misfit(&applied.batch, &misfit))?;
        let mut origins = applied.origins();
        if !fitted.rejected.is_empty() {
            let mut keep = vec![true; origins.len()];
            for misfit in &fitted.rejected {
                keep[misfit.row] = false;
                if is_new(changes.kinds[origins[misfit.row]]) {
                    counts.rejected += 1;
                    rejected.push(self.rejected_row(&applied.batch, misfit));
                }
            }
            let mut keep = keep.into_iter();
            origins.retain(|_| keep.next().unwrap_or(true));
        }
        let broken = |cause: arrow::error::ArrowError| Error::Worker(cause.to_string());
        let rows = pairs::rows(
            &changes.kinds,
            &changes.versions,
            &fitted.batch,
            &origins,
            &self.identity,
        )
        .map_err(broken)?;
        let metadata = &self.bound.target.metadata;
        with_metadata(&rows.batch, metadata, rows.deleted, rows.versions).map_err(broken)
    }

    /// Sends images through the transforms, as long as it takes to have the room for that.
    fn apply(
        &mut self,
        shared: &Shared,
        images: &RecordBatch,
        place: &str,
    ) -> Result<Applied, TransformError> {
        let chain = &self.bound.chain;
        let chain = self.instance.get_or_insert_with(|| chain.instance());
        let stopped = || shared.stop.is_asked();
        let mut failed = false;
        loop {
            let images = images.clone();
            match shared.session.transform(chain, images, &place, &stopped) {
                Ok(applied) => return Ok(applied),
                Err(error) if error.is_transient() && !stopped() => {
                    tracing::warn!(%error, "changes wait for room to be transformed");
                    shared.live.trouble(Some(error.to_string()));
                    let until = Instant::now() + ROOM;
                    while Instant::now() < until && !stopped() {
                        std::thread::sleep(LOOK_EVERY);
                    }
                }
                // A second look at what failed: a busy machine may have let a deadline pass.
                Err(_) if !failed => failed = true,
                Err(error) => return Err(error),
            }
        }
    }

    fn rejected_row(&self, batch: &RecordBatch, misfit: &Misfit) -> RejectedRow {
        let key = self.bound.chain.output_key();
        RejectedRow {
            key: row_as_json(batch, misfit.row, key.iter().copied()),
            row: row_as_json(batch, misfit.row, 0..batch.num_columns()),
            column: misfit.column.clone(),
            reason: misfit.reason.clone(),
            plugin: String::new(),
        }
    }

    fn misfit(&self, batch: &RecordBatch, misfit: &Misfit) -> Error {
        let key = self.bound.chain.output_key();
        Error::from(DestinationError::Value {
            table: self.record.source.to_string(),
            reason: misfit.to_string(),
            column: misfit.column.clone(),
            row: match key.is_empty() {
                true => "of a table without a key".to_owned(),
                false => row_text(batch, misfit.row, key.iter().copied()),
            },
        })
    }

    /// The error of a row that stops its table.
    fn failure_of(&self, images: &RecordBatch, rejected: &Rejected, place: &str) -> Error {
        Error::RejectedChange {
            plugin: rejected.plugin.clone(),
            table: self.record.source.to_string(),
            place: place.to_owned(),
            key: transforms::key_text(&self.bound.source, images, rejected.row),
            reason: rejected.reason.clone(),
        }
    }

    /// The table as its rows are decoded.
    pub(super) fn source(&self) -> &SourceTable {
        &self.bound.source
    }

    /// By what an insert is recognised, should it come again: the same changes, cut at the same places.
    pub(super) fn token(&self, counter: u64, part: u32, number: usize, block: &Block) -> String {
        let mut token = Xxh3::new();
        for text in [
            "changes",
            &self.record.resync,
            &self.record.source.to_string(),
            &self.bound.chain.fingerprint(),
        ] {
            token.update(text.as_bytes());
            token.update(&[0]);
        }
        token.update(&counter.to_le_bytes());
        token.update(&part.to_le_bytes());
        token.update(&(number as u64).to_le_bytes());
        token.update(&block.content_hash().to_le_bytes());
        format!("{:032x}", token.digest128())
    }
}

/// Whether an image is a row that is to be written.
fn is_new(kind: ImageKind) -> bool {
    matches!(kind, ImageKind::Insert | ImageKind::After)
}

fn count(counts: &mut ChangeCounts, kinds: &[ImageKind]) {
    for kind in kinds {
        match kind {
            ImageKind::Insert => counts.inserts += 1,
            ImageKind::After => counts.updates += 1,
            ImageKind::Delete => counts.deletes += 1,
            ImageKind::Before => {}
        }
    }
}
