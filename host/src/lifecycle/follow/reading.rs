//! The reading side of a stream: a thread of its own, because decoding is work. It reads the binlog, decodes the changes of the
//! followed tables, and hands them over as flushes, cut at the ends of transactions.
//!
//! A flush ends when enough rows or bytes are gathered, or when its first change is old enough; a transaction that is larger than that
//! goes over in parts. Where the journal says how the changes behind its position were cut before, they are cut like that again. A lost
//! connection is made anew behind the last flush, and what had been gathered since is read again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::flush::{Decoding, End, Flush};
use crate::journal::{Pending, StreamRecord};
use crate::lifecycle::error::Error;
use crate::lifecycle::retry;
use crate::pipe::ApplySettings;
use crate::schema::{Position, TableName};
use crate::source::{
    Binlog, BinlogSettings, ChangeDecoder, Charsets, Event, EventKind, ReadLimits, Rows,
    SourceError, Statement, TableMap, TableStatement, Target,
};

/// How long a look at an idle binlog lasts, where something is at hand.
const LOOK: Duration = Duration::from_millis(200);
/// The same where nothing is.
const IDLE_LOOK: Duration = Duration::from_secs(2);
/// How old a position may become while only changes of other tables come.
const IDLE_COMMIT: Duration = Duration::from_secs(5);

/// How many numbers of tables are remembered.
const MOST_IDS: usize = 4096;

/// How the reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// It was asked to, or the writer is gone.
    Stopped,
    /// All up to the wanted position has been handed over.
    Reached,
}

/// How the flush under way is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// By what is gathered and by time, at the end of a transaction.
    Free,
    /// At the row event of this number.
    Counter(u64),
    /// In parts of so many rows or bytes.
    Limits(usize, usize),
}

struct Table {
    name: TableName,
    decoder: ChangeDecoder,
    decoding: Decoding,
}

pub(super) struct Reading {
    shared: Arc<Shared>,
    out: mpsc::Sender<Flush>,
    charsets: Arc<Charsets>,
    tables: Vec<Table>,
    by_name: HashMap<TableName, usize>,
    /// Which table rows of an id are of; none: one that isn't followed.
    by_id: HashMap<u64, Option<usize>>,
    target: Option<Target>,
    /// The end of the last whole flush.
    position: Position,
    /// The counter there, and now.
    flushed: u64,
    counter: u64,
    cut: Cut,
    replayed: bool,
    part: u32,
    in_transaction: bool,
    ended: Vec<(usize, String)>,
    rows: usize,
    bytes: usize,
    since: Option<Instant>,
    flushed_at: Instant,
    timestamp: u32,
    /// The settings of this flush; they may change between two.
    apply: ApplySettings,
}

impl Reading {
    pub(super) fn new(
        shared: Arc<Shared>,
        out: mpsc::Sender<Flush>,
        charsets: Arc<Charsets>,
        stream: &StreamRecord,
        tables: Vec<Decoding>,
        target: Option<Position>,
    ) -> Self {
        let mut reading = Self {
            out,
            charsets,
            tables: Vec::with_capacity(tables.len()),
            by_name: HashMap::new(),
            by_id: HashMap::new(),
            target: target.map(Target::new),
            position: stream.position.clone(),
            flushed: stream.counter,
            counter: stream.counter,
            cut: match &stream.pending {
                None => Cut::Free,
                Some(Pending::Upto { counter, .. }) => Cut::Counter(*counter),
                Some(Pending::Limits { rows, bytes }) => Cut::Limits(*rows, *bytes),
            },
            replayed: stream.pending.is_some(),
            part: 0,
            in_transaction: false,
            ended: Vec::new(),
            rows: 0,
            bytes: 0,
            since: None,
            flushed_at: Instant::now(),
            timestamp: 0,
            apply: shared.tuning.get().apply.clone(),
            shared,
        };
        for (i, decoding) in tables.into_iter().enumerate() {
            let name = decoding.table.name.clone();
            reading.by_name.insert(name.clone(), i);
            let decoder = reading.decoder(&decoding);
            reading.tables.push(Table {
                name,
                decoder,
                decoding,
            });
        }
        reading
    }

    fn decoder(&self, decoding: &Decoding) -> ChangeDecoder {
        let settings = self.shared.tuning.get();
        let snapshot = &settings.snapshot;
        ChangeDecoder::new(
            &decoding.table,
            &decoding.read,
            self.charsets.clone(),
            decoding.pairs,
            ReadLimits {
                batch_rows: snapshot.batch_rows,
                batch_bytes: snapshot.batch_bytes,
            },
        )
    }

    /// Reads until it is asked to stop, or the target is reached. Lost connections are made again, as long as that takes.
    pub(super) fn run(mut self) -> Result<ReadEnd, Error> {
        let (mut attempt, mut taken) = (0, 0);
        loop {
            let before = self.position.clone();
            let error = match self.follow() {
                Ok(end) => return Ok(end),
                Err(error) if error.is_transient() => error,
                // A reader of ours that the server has begun with late may be the other one: another pipe comes again.
                Err(error @ SourceError::ServerIdTaken { .. }) if taken < 3 => {
                    taken += 1;
                    error
                }
                Err(error) => return Err(error.into()),
            };
            attempt = if self.position == before {
                attempt + 1
            } else {
                1
            };
            tracing::warn!(%error, attempt, "the binlog can't be read, trying again");
            self.shared.live.trouble(Some(error.to_string()));
            self.start_over();
            let until = Instant::now() + retry::FOLLOW.pause(attempt);
            while Instant::now() < until {
                if self.shared.stop.is_asked() {
                    return Ok(ReadEnd::Stopped);
                }
                std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
            }
        }
    }

    /// Forgets what was read since the last whole flush: it is read again, from there.
    fn start_over(&mut self) {
        self.counter = self.flushed;
        self.part = 0;
        self.in_transaction = false;
        // A table that had been given up is looked at again, and given up at the same event.
        for (table, _) in std::mem::take(&mut self.ended) {
            self.tables[table].decoding.follows = true;
        }
        self.by_id.clear();
        self.nothing_gathered();
        for i in 0..self.tables.len() {
            self.tables[i].decoder = self.decoder(&self.tables[i].decoding);
        }
    }

    fn nothing_gathered(&mut self) {
        (self.rows, self.bytes, self.since) = (0, 0, None);
    }

    fn follow(&mut self) -> Result<ReadEnd, SourceError> {
        let handle = Handle::current();
        let settings = BinlogSettings {
            server_id: self.shared.server_id,
            heartbeat: self.apply.heartbeat,
        };
        let source = self.shared.session.source.clone();
        let mut binlog = handle.block_on(source.binlog(&self.position, &settings))?;
        let end = self.read(&handle, &mut binlog);
        handle.block_on(binlog.close());
        end
    }

    fn read(&mut self, handle: &Handle, binlog: &mut Binlog) -> Result<ReadEnd, SourceError> {
        self.pass(binlog);
        // The target may be where the stream is already.
        if self.cut == Cut::Free && self.is_reached(binlog) {
            return Ok(ReadEnd::Reached);
        }
        loop {
            let event = match binlog.next().now_or_never() {
                Some(event) => event?,
                None => {
                    if !self.in_transaction
                        && let Some(end) = self.boundary(binlog, false)
                    {
                        return Ok(end);
                    }
                    if self.shared.stop.is_urgent() || self.out.is_closed() {
                        return Ok(ReadEnd::Stopped);
                    }
                    match handle.block_on(self.look(binlog)) {
                        Some(event) => event?,
                        None => continue,
                    }
                }
            };
            if let Some(end) = self.take(binlog, event)? {
                return Ok(end);
            }
        }
    }

    /// Waits for an event, until there is something else to look at.
    async fn look(&self, binlog: &mut Binlog) -> Option<Result<Event, SourceError>> {
        let stop = &self.shared.stop;
        let woken = async {
            if stop.is_asked() || self.since.is_some() {
                return tokio::time::sleep(LOOK).await;
            }
            // Nothing is at hand that could become too old: a thousand idle streams cost next to nothing.
            tokio::select! {
                _ = stop.within(IDLE_LOOK) => {}
                () = self.out.closed() => {}
            }
        };
        tokio::select! {
            event = binlog.next() => Some(event),
            () = woken => None,
        }
    }

    fn take(&mut self, binlog: &Binlog, event: Event) -> Result<Option<ReadEnd>, SourceError> {
        if !matches!(event.kind, EventKind::Idle) {
            self.shared.live.busy();
        }
        if event.timestamp > 0 {
            self.timestamp = event.timestamp;
        }
        match event.kind {
            EventKind::Begin => {
                self.in_transaction = true;
                // Each transaction has its own maps.
                if self.by_id.len() > MOST_IDS {
                    self.by_id.clear();
                }
            }
            EventKind::TableMap(map) => self.map(&map),
            EventKind::Rows(rows) => return Ok(self.change(&rows)),
            EventKind::Commit => {
                self.in_transaction = false;
                self.shared.live.read(self.timestamp);
                self.pass(binlog);
                return Ok(self.boundary(binlog, false));
            }
            EventKind::Idle => {
                let again = 3 * self.apply.heartbeat;
                self.shared.live.idle(binlog.position(), again);
                return Ok(self.boundary(binlog, true));
            }
            EventKind::Statement(statement) => {
                let end = self.statement(binlog, statement);
                if !self.in_transaction {
                    self.pass(binlog);
                }
                return Ok(end);
            }
        }
        Ok(None)
    }

    /// Lets go of the places up to which changes are in a table's load already, once they are passed.
    fn pass(&mut self, binlog: &Binlog) {
        for Table { decoding, .. } in &mut self.tables {
            decoding.from.take_if(|from| binlog.reached(from));
        }
    }

    /// Each map is looked at, known or not: a server that was restarted gives its tables the numbers of others.
    fn map(&mut self, map: &TableMap) {
        let table = self.by_name.get(&map.table).copied();
        self.by_id.insert(map.table_id, table);
        let Some(i) = table else { return };
        let table = &mut self.tables[i];
        if !table.decoding.follows || table.decoding.from.is_some() {
            return;
        }
        if let Err(misfit) = table.decoder.map(map) {
            self.give_up(i, misfit.to_string());
        }
    }

    fn give_up(&mut self, table: usize, reason: String) {
        tracing::warn!(table = %self.tables[table].name, reason, "a table is followed no further");
        self.tables[table].decoding.follows = false;
        self.ended.push((table, reason));
    }

    fn change(&mut self, rows: &Rows) -> Option<ReadEnd> {
        let i = self.by_id.get(&rows.table_id).copied().flatten()?;
        let table = &mut self.tables[i];
        if !table.decoding.follows || table.decoding.from.is_some() {
            return None;
        }
        let (images, bytes) = (table.decoder.images(), table.decoder.bytes());
        match table.decoder.push(rows, self.counter + 1) {
            Ok(events) => {
                self.counter += events;
                self.shared.live.events(events);
            }
            // What came before it in the same event isn't whole, and its table is loaded afresh.
            Err(error) => {
                self.give_up(i, error.to_string());
                return None;
            }
        }
        self.rows += table.decoder.images() - images;
        self.bytes += table.decoder.bytes().saturating_sub(bytes);
        self.since.get_or_insert_with(Instant::now);
        let (most_rows, most_bytes) = match self.cut {
            Cut::Free => (2 * self.apply.rows, 2 * self.apply.bytes),
            Cut::Limits(rows, bytes) => (rows, bytes),
            Cut::Counter(_) => return None,
        };
        if self.rows < most_rows && self.bytes < most_bytes {
            return None;
        }
        // A transaction that is larger than what is gathered at once.
        self.cut = Cut::Limits(most_rows, most_bytes);
        self.send(None)
    }

    /// At the end of a transaction: whether the flush ends here, and the reading with it.
    fn boundary(&mut self, binlog: &Binlog, idle: bool) -> Option<ReadEnd> {
        let stop = self.shared.stop.is_asked();
        let is_full = match self.cut {
            Cut::Free => {
                self.rows >= self.apply.rows
                    || self.bytes >= self.apply.bytes
                    || self
                        .since
                        .is_some_and(|since| since.elapsed() >= self.apply.every)
                    || !self.ended.is_empty()
                    || self.since.is_none() && (idle || self.flushed_at.elapsed() >= IDLE_COMMIT)
            }
            Cut::Counter(counter) => self.counter >= counter,
            Cut::Limits(..) => self.part > 0,
        };
        // What is to be cut as it was before can't be cut here.
        let may_end = self.cut == Cut::Free || is_full;
        let reached = may_end && self.is_reached(binlog);
        if !(is_full || may_end && (stop || reached)) {
            return stop.then_some(ReadEnd::Stopped);
        }
        let position = binlog.position();
        let is_news = self.since.is_some() || !self.ended.is_empty() || position != self.position;
        if is_news {
            let end = End {
                position: position.clone(),
                counter: self.counter,
                timestamp: self.timestamp,
                statement: None,
            };
            if let Some(end) = self.send(Some(end)) {
                return Some(end);
            }
            self.position = position;
        }
        match (reached, stop) {
            (true, _) => Some(ReadEnd::Reached),
            (false, true) => Some(ReadEnd::Stopped),
            (false, false) => None,
        }
    }

    fn is_reached(&self, binlog: &Binlog) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|target| binlog.reached(target))
    }

    /// Hands over what was gathered. The end of the reading, if the writer is gone.
    fn send(&mut self, end: Option<End>) -> Option<ReadEnd> {
        let mut changes = Vec::new();
        for i in 0..self.tables.len() {
            match self.tables[i].decoder.take() {
                Ok(some) if some.is_empty() => {}
                Ok(some) => changes.push((i, some)),
                Err(error) => self.give_up(i, error.to_string()),
            }
        }
        let is_end = end.is_some();
        let flush = Flush {
            counter: self.flushed,
            part: self.part,
            changes,
            ended: self.ended.clone(),
            limits: match self.cut {
                Cut::Limits(rows, bytes) => Some((rows, bytes)),
                _ => None,
            },
            replayed: self.replayed,
            end,
        };
        self.nothing_gathered();
        self.part += 1;
        if is_end {
            (self.part, self.flushed) = (0, self.counter);
            (self.cut, self.replayed) = (Cut::Free, false);
            self.flushed_at = Instant::now();
            self.ended.clear();
            self.apply = self.shared.tuning.get().apply.clone();
        }
        match self.out.blocking_send(flush) {
            Ok(()) => None,
            Err(_) => Some(ReadEnd::Stopped),
        }
    }

    /// A statement stands between the changes before it and those behind it: the tables that it changes are decoded as the writer says.
    fn statement(&mut self, binlog: &Binlog, statement: Statement) -> Option<ReadEnd> {
        let concerned = self.concerned(&statement);
        if concerned.is_empty() {
            return match self.in_transaction {
                true => None,
                false => self.boundary(binlog, false),
            };
        }
        if self.in_transaction {
            for table in concerned {
                let reason = format!(
                    "{} was made anew at the source by a statement of a transaction ({})",
                    self.tables[table].name, statement.text_hint
                );
                self.give_up(table, reason);
            }
            return None;
        }
        let (tell, told) = oneshot::channel();
        let position = binlog.position();
        let end = End {
            position: position.clone(),
            counter: self.counter,
            timestamp: self.timestamp,
            statement: Some((statement, tell)),
        };
        if let Some(end) = self.send(Some(end)) {
            return Some(end);
        }
        self.position = position;
        // The writer answers once the destination has what the statement changes; if it is gone, it has said why.
        let Ok(changed) = told.blocking_recv() else {
            return Some(ReadEnd::Stopped);
        };
        for (i, decoding) in changed {
            let decoder = self.decoder(&decoding);
            let table = &mut self.tables[i];
            (table.decoder, table.decoding) = (decoder, decoding);
        }
        self.boundary(binlog, false)
    }

    /// The followed tables that a statement may have changed.
    fn concerned(&self, statement: &Statement) -> Vec<usize> {
        // What a statement did before the load is in it.
        let counts = |table: &Table| table.decoding.follows && table.decoding.from.is_none();
        let named = |name: &TableName| {
            let table = self.by_name.get(name).copied();
            table.filter(|&i| counts(&self.tables[i]))
        };
        let all = |is: &dyn Fn(&Table) -> bool| {
            let tables = self.tables.iter().enumerate();
            let followed = tables.filter(|(_, table)| counts(table) && is(table));
            followed.map(|(i, _)| i).collect::<Vec<_>>()
        };
        let mut concerned: Vec<usize> = statement
            .kinds
            .iter()
            .flat_map(|kind| match kind {
                TableStatement::Truncate(table)
                | TableStatement::Drop(table)
                | TableStatement::Alter(table)
                | TableStatement::ColumnGone { table, .. }
                | TableStatement::ColumnChanged { table, .. }
                | TableStatement::RowsChanged(table)
                | TableStatement::Create(table) => named(table).into_iter().collect(),
                TableStatement::Rename { from, to } => {
                    named(from).into_iter().chain(named(to)).collect()
                }
                TableStatement::DropDatabase(database) => {
                    all(&|table: &Table| table.name.database == *database)
                }
                TableStatement::Unknown => all(&|_| true),
            })
            .collect();
        concerned.sort_unstable();
        concerned.dedup();
        concerned
    }
}
