//! The writing side of a stream: sends changes through the transforms, inserts what they come to, and journals the position once
//! ClickHouse has acknowledged all of it.
//!
//! What is promised: a position in the journal has everything before it in the destination. What may have been inserted beyond it bears the
//! same versions and the same tokens when it comes again. A table that can't go on is journalled with its reason, and the others go on.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use super::Shared;
use super::flush::{Decoding, End, Flush};
use super::sink::{Sink, Written};
use crate::destination::{Block, DestinationError};
use crate::journal::{FollowState, FollowedRecord, Pending, StreamRecord};
use crate::lifecycle::error::Error;
use crate::lifecycle::retry;
use crate::schema::rejected_name;
use crate::source::{TableRead, Target};

/// How many tables are inserted into at the same time.
const PARALLEL_INSERTS: usize = 4;
/// Without changes for so long, a table's plugins are let go.
const REST: Duration = Duration::from_secs(5);
/// ClickHouse's codes for a table or column that isn't there any more.
const GONE_CODES: [u32; 4] = [16, 47, 60, 81];

/// Why the writing ended.
#[derive(Debug)]
pub(super) enum WriteEnd {
    /// All that was handed over is written.
    Done,
    /// It was asked to stop while the destination did not answer.
    Stopped,
    /// A table could not go on: what was read beyond the journalled position is read again, without it.
    Reread,
}

/// One insert.
struct Insert {
    sink: usize,
    table: String,
    /// The destination table beside which a table of rejected rows is made.
    rejected_of: Option<String>,
    block: Block,
    token: String,
}

pub(super) struct Writing {
    pub(super) shared: Arc<Shared>,
    /// The stream's name in the journal.
    pub(super) name: String,
    pub(super) stream: StreamRecord,
    pub(super) sinks: Vec<Sink>,
    /// Whether a table has failed: what is read on has to be read without it, so that row events are counted alike after a crash.
    pub(super) reread: bool,
}

impl Writing {
    /// What the reader needs to know of the tables.
    pub(super) fn decodings(&self) -> Vec<Decoding> {
        self.sinks.iter().map(decoding).collect()
    }

    /// Writes what comes, until there is no more.
    pub(super) async fn run(
        &mut self,
        mut inbox: tokio::sync::mpsc::Receiver<Flush>,
    ) -> Result<WriteEnd, Error> {
        loop {
            let next = match tokio::time::timeout(REST, inbox.recv()).await {
                Ok(next) => next,
                Err(_) => {
                    self.sinks.iter_mut().for_each(Sink::rest);
                    inbox.recv().await
                }
            };
            let Some(flush) = next else {
                return Ok(WriteEnd::Done);
            };
            match self.flush(flush).await? {
                WriteEnd::Done => {}
                end => return Ok(end),
            }
        }
    }

    async fn flush(&mut self, flush: Flush) -> Result<WriteEnd, Error> {
        let Flush {
            counter,
            part,
            changes,
            ended,
            limits,
            replayed,
            end,
        } = flush;
        let mut failed = Vec::new();
        let (mut inserts, mut counts) = (Vec::new(), Vec::new());
        for (sink, changes) in changes {
            // It has failed in an earlier part of this transaction.
            if !self.sinks[sink].record.follows() {
                continue;
            }
            match self.transform(sink, changes).await {
                Ok(written) => {
                    counts.push((sink, written.counts));
                    inserts.extend(self.inserts(sink, counter, part, written));
                }
                // There was no room to transform them, which is no fault of the table.
                Err(Error::Transform { cause, .. }) if cause.is_transient() => {
                    return Ok(WriteEnd::Stopped);
                }
                Err(error) => failed.push((sink, error.to_string())),
            }
        }
        if !inserts.is_empty() && !replayed && part == 0 {
            self.announce(limits, end.as_ref())?;
        }
        match self.insert(inserts).await? {
            None => return Ok(WriteEnd::Stopped),
            Some(gone) => failed.extend(gone),
        }
        for (sink, counted) in counts {
            self.sinks[sink].count(counted);
        }
        self.reread |= !failed.is_empty();
        for (sink, reason) in failed.into_iter().chain(ended) {
            self.end(sink, FollowState::NeedsResync, reason);
        }
        let Some(end) = end else {
            // A part of a transaction: its end is journalled with the last one.
            return Ok(WriteEnd::Done);
        };
        let mut told = Vec::new();
        if let Some((statement, tell)) = end.statement {
            let changed = self.apply_statement(&statement, end.timestamp).await?;
            told.push((changed, tell));
        }
        self.stream.position = end.position;
        self.stream.counter = end.counter;
        self.stream.pending = None;
        self.stream.error = None;
        let records: Vec<FollowedRecord> =
            self.sinks.iter().map(|sink| sink.record.clone()).collect();
        let changed = self.sinks.iter_mut().filter_map(Sink::take_changed);
        let changed: Vec<FollowedRecord> = changed.collect();
        self.shared
            .journal
            .write_stream(&self.name, &self.stream, &changed, "changes written")?;
        self.shared
            .live
            .written(&self.stream.position, end.timestamp, &records);
        if std::mem::take(&mut self.reread) {
            return Ok(WriteEnd::Reread);
        }
        for (changed, tell) in told {
            let decodings = changed.into_iter().map(|i| (i, decoding(&self.sinks[i])));
            // A reader that is gone needs no answer.
            let _ = tell.send(decodings.collect());
        }
        Ok(WriteEnd::Done)
    }

    /// Follows a table no further.
    pub(super) fn end(&mut self, sink: usize, state: FollowState, reason: String) {
        let record = &mut self.sinks[sink].record;
        if record.follows() {
            tracing::warn!(table = %record.source, reason, "a table is followed no further");
            self.shared
                .live
                .note(format!("{}: {reason}", record.source));
            record.state = state;
            record.reason = Some(reason);
            self.sinks[sink].changed = true;
        }
    }

    async fn transform(
        &mut self,
        sink: usize,
        changes: Vec<crate::source::Changes>,
    ) -> Result<Written, Error> {
        let block_bytes = self.shared.tuning.get().apply.bytes;
        let place = format!("behind {}", self.stream.position);
        let (sink, shared) = (&mut self.sinks[sink], &self.shared);
        tokio::task::block_in_place(|| sink.write(shared, changes, block_bytes, &place))
    }

    fn inserts(&self, sink: usize, counter: u64, part: u32, written: Written) -> Vec<Insert> {
        let this = &self.sinks[sink];
        let table = &this.record.destination;
        let insert = |(number, (block, rejected_of)): (usize, (Block, Option<String>))| Insert {
            sink,
            table: match &rejected_of {
                Some(of) => rejected_name(of),
                None => table.clone(),
            },
            token: this.token(counter, part, number, &block),
            rejected_of,
            block,
        };
        let rejected = written
            .rejected
            .map(|block| (block, Some(this.bound.target.name.clone())));
        let blocks = written.blocks.into_iter().map(|block| (block, None));
        blocks.chain(rejected).enumerate().map(insert).collect()
    }

    /// Journals what is about to be written, so that it is cut in the same way again.
    fn announce(&mut self, limits: Option<(usize, usize)>, end: Option<&End>) -> Result<(), Error> {
        self.stream.pending = Some(match (limits, end) {
            (Some((rows, bytes)), _) => Pending::Limits { rows, bytes },
            (None, Some(end)) => Pending::Upto {
                counter: end.counter,
                position: end.position.clone(),
            },
            (None, None) => {
                let reason = "changes were handed over without an end".to_owned();
                return Err(Error::Worker(reason));
            }
        });
        self.shared
            .journal
            .write_stream(&self.name, &self.stream, &[], "writes changes")?;
        Ok(())
    }

    /// Inserts all, as long as it takes. The tables whose destination is gone, with the reason; none: it was asked to stop before it was done.
    async fn insert(&self, inserts: Vec<Insert>) -> Result<Option<Vec<(usize, String)>>, Error> {
        let outcomes: Vec<Option<(usize, String)>> = {
            let one = |insert: Insert| async move {
                match self.insert_one(&insert).await {
                    Ok(true) => Ok(None),
                    Ok(false) => Err(None),
                    Err(DestinationError::Server { code, message, .. })
                        if GONE_CODES.contains(&code) =>
                    {
                        Ok(Some((
                            insert.sink,
                            format!("its destination can't be written to: {message}"),
                        )))
                    }
                    Err(error) => Err(Some(error)),
                }
            };
            let all = stream::iter(inserts)
                .map(one)
                .buffer_unordered(PARALLEL_INSERTS)
                .try_collect()
                .await;
            match all {
                Ok(outcomes) => outcomes,
                Err(None) => return Ok(None),
                Err(Some(error)) => return Err(error.into()),
            }
        };
        let mut gone: Vec<(usize, String)> = outcomes.into_iter().flatten().collect();
        gone.dedup_by_key(|(sink, _)| *sink);
        Ok(Some(gone))
    }

    /// Inserts a block, again and again while the destination may come back. False: it was asked to stop.
    async fn insert_one(&self, insert: &Insert) -> Result<bool, DestinationError> {
        let destination = &self.shared.session.destination;
        for attempt in 1.. {
            let once = async {
                if let Some(of) = &insert.rejected_of {
                    destination.create_rejected(of).await?;
                }
                destination
                    .insert(&insert.table, &insert.block, &insert.token)
                    .await
            };
            let error = match once.await {
                Ok(()) => return Ok(true),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            tracing::warn!(%error, attempt, "changes can't be written, trying again");
            self.shared.live.trouble(Some(error.to_string()));
            let pause = retry::FOLLOW.pause(attempt);
            if self.shared.stop.within(pause).await {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What the reader needs to know of a table.
fn decoding(sink: &Sink) -> Decoding {
    Decoding {
        table: sink.source().clone(),
        read: TableRead::new(sink.source(), sink.bound.chain.input_columns()),
        pairs: sink.pairs(),
        from: sink.record.from.clone().map(Target::new),
        follows: sink.record.follows(),
    }
}
