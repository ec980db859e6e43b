//! Writers: several connections that insert, update, change keys, delete, insert again, and roll back at random, each on rows of its own. They know
//! to the row event what they have committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts};

use super::hand::{self, AllRows, Rows, What, Write};
use super::tables::{Key, Table};
use crate::support::{Dice, World, block_on};

/// How writers write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) connections: u32,
    /// Row events a second, of all connections; 0 for as many as can be.
    pub(super) rate: u64,
    /// Whether the server may end: each transaction then notes its number in a table, so that a lost answer to `COMMIT` is found again.
    pub(super) noted: bool,
}

/// Server errors that mean that the transaction is rolled back: deadlock, lock wait.
const AGAIN: &[u16] = &[1205, 1213];
/// Server errors that mean that the server ends.
const ENDS: &[u16] = &[1053, 1077, 1079, 1152, 1317, 1927, 3169, 4031];

/// The writers, at work or not.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) seed: u64,
    shared: Arc<Shared>,
    idle: Vec<Connection>,
    working: Vec<JoinHandle<Connection>>,
}

#[derive(Debug, Default)]
struct Shared {
    rev: AtomicU64,
    stop: AtomicBool,
    /// Row events, and images of [`Table::Events`], that were committed since the first rows.
    events: AtomicU64,
    event_rows: AtomicU64,
    undone: AtomicU64,
}

#[derive(Debug)]
struct Connection {
    index: u32,
    pace: Pace,
    options: Opts,
    dice: Dice,
    rows: AllRows,
    /// As it is at the server, if the transaction at work is rolled back.
    committed: AllRows,
    pending: Vec<Write>,
    transaction: u64,
    done: Vec<Write>,
}

impl Writer {
    /// Writers of these tables, half of whose keys have a row at first.
    pub(super) fn new(world: &World, pace: Pace) -> Self {
        let seed = Dice::seed();
        Table::create_all(world);
        world
            .mysql
            .run("CREATE TABLE notes (connection INT PRIMARY KEY, transaction BIGINT NOT NULL);\n");
        let shared = Arc::new(Shared::default());
        let connection = |index| {
            let mut connection = Connection {
                index,
                pace,
                options: world.mysql.options().into(),
                dice: Dice::new(seed, u64::from(index)),
                rows: AllRows::default(),
                committed: AllRows::default(),
                pending: Vec::new(),
                transaction: 0,
                done: Vec::new(),
            };
            connection.fill(world, &shared);
            connection
        };
        let idle = (0..pace.connections).map(connection).collect();
        Self {
            seed,
            shared,
            idle,
            working: Vec::new(),
        }
    }

    /// Sets all connections to work.
    pub(super) fn start(&mut self) {
        self.shared.stop.store(false, Ordering::SeqCst);
        for connection in self.idle.drain(..) {
            let shared = self.shared.clone();
            let work = move || block_on(connection.work(&shared));
            self.working.push(std::thread::spawn(work));
        }
    }

    /// Lets every connection end its transaction, and waits for that.
    #[track_caller]
    pub(super) fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.working.drain(..) {
            self.idle
                .push(worker.join().expect("the writer's own panic"));
        }
        eprintln!(
            "{} row events committed, {} rolled back",
            self.events(),
            self.shared.undone.load(Ordering::SeqCst)
        );
    }

    /// Row events that were committed since the first rows were made.
    pub(super) fn events(&self) -> u64 {
        self.shared.events.load(Ordering::SeqCst)
    }

    /// Rows that these make in the MergeTree: an insert, an update, a deletion one, a changed key two.
    pub(super) fn event_rows(&self) -> u64 {
        self.shared.event_rows.load(Ordering::SeqCst)
    }

    /// Waits until so many row events have been committed.
    #[track_caller]
    pub(super) fn await_events(&self, events: u64) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while self.events() < events {
            assert!(
                Instant::now() < deadline,
                "only {} of {events} row events are written",
                self.events()
            );
            assert!(
                self.working.iter().all(|worker| !worker.is_finished()),
                "a writer has ended"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What was done to a key, in order.
    pub(super) fn history(&self, table: Table, number: u32) -> String {
        let of_key = |write: &&Write| write.table == table && write.key.number == number;
        let writes = self.idle.iter().flat_map(|connection| &connection.done);
        let writes: Vec<_> = writes.filter(of_key).collect();
        let lines: Vec<String> = (writes.iter())
            .skip(writes.len().saturating_sub(30))
            .map(|write| {
                let spelled = if write.key.upper { ", upper case" } else { "" };
                format!("  {:?} rev {}{spelled}", write.what, write.rev)
            })
            .collect();
        lines.join("\n")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.working.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Connection {
    /// Every other key that it owns gets a row.
    fn fill(&mut self, world: &World, shared: &Shared) {
        world
            .mysql
            .run(&format!("INSERT INTO notes VALUES ({}, 0);\n", self.index));
        for (table, rows) in Table::ALL.into_iter().zip(&mut self.rows) {
            let numbers = (self.index..table.keys()).step_by(self.pace.connections as usize);
            let (live, free): (Vec<_>, Vec<_>) =
                (numbers.map(Key::lower).enumerate()).partition(|(i, _)| i % 2 == 0);
            let keys = |some: Vec<(usize, Key)>| some.into_iter().map(|(_, key)| key).collect();
            *rows = Rows {
                live: keys(live),
                free: keys(free),
            };
            for some in rows.live.chunks(500) {
                let rev = shared.next_rev();
                let insert = hand::insert(table, some, rev, &mut self.dice);
                world.mysql.run(&format!("{insert};\n"));
                self.done.extend(some.iter().map(|key| Write {
                    table,
                    key: *key,
                    what: What::Insert,
                    rev,
                }));
            }
        }
        self.committed = self.rows.clone();
    }

    async fn work(mut self, shared: &Shared) -> Self {
        let mut connection = self.connect().await;
        let begun = Instant::now();
        let before = self.done.len();
        while !shared.stop.load(Ordering::SeqCst) {
            self.rest(begun, self.done.len() - before).await;
            match self.unit(&mut connection, shared).await {
                Ok(()) => {}
                Err(Error::Server(error)) if AGAIN.contains(&error.code) => {
                    let _ = connection.query_drop("ROLLBACK").await;
                    self.roll_back(shared);
                }
                Err(Error::Server(error)) if !ENDS.contains(&error.code) => {
                    panic!("the writer's own mistake: {error}")
                }
                Err(_) if self.pace.noted => {
                    connection = self.connect().await;
                    self.find_out(&mut connection, shared).await;
                }
                Err(error) => panic!("the source is gone: {error}"),
            }
        }
        let _ = connection.disconnect().await;
        self
    }

    /// One statement by itself, or a transaction of some, with savepoints that may be gone back to, which may be rolled back.
    async fn unit(&mut self, connection: &mut Conn, shared: &Shared) -> Result<(), Error> {
        if !self.pace.noted && self.dice.percent(40) {
            self.statement(connection, shared).await?;
            self.commit(shared);
            return Ok(());
        }
        connection.query_drop("BEGIN").await?;
        let mut savepoint = None;
        for _ in 0..1 + self.dice.below(8) {
            self.statement(connection, shared).await?;
            if self.dice.percent(15) {
                connection.query_drop("SAVEPOINT s").await?;
                savepoint = Some((self.rows.clone(), self.pending.len()));
            } else if self.dice.percent(15)
                && let Some((rows, pending)) = savepoint.take()
            {
                connection.query_drop("ROLLBACK TO SAVEPOINT s").await?;
                self.rows = rows;
                self.pending.truncate(pending);
            }
        }
        if self.dice.percent(12) {
            connection.query_drop("ROLLBACK").await?;
            self.roll_back(shared);
            return Ok(());
        }
        if self.pace.noted {
            let (note, index) = (self.transaction + 1, self.index);
            let note = format!("UPDATE notes SET transaction = {note} WHERE connection = {index}");
            connection.query_drop(note).await?;
        }
        connection.query_drop("COMMIT").await?;
        self.commit(shared);
        Ok(())
    }

    async fn statement(&mut self, connection: &mut Conn, shared: &Shared) -> Result<(), Error> {
        let rev = shared.next_rev();
        let step = self.pace.connections;
        if let Some((sql, writes)) = hand::statement(&mut self.dice, &mut self.rows, step, rev) {
            self.pending.extend(writes);
            connection.query_drop(sql).await?;
        }
        Ok(())
    }

    fn commit(&mut self, shared: &Shared) {
        self.transaction += 1;
        let events = self.pending.iter().filter(|write| write.what != What::Here);
        let rows = (self.pending.iter()).filter(|write| write.table == Table::Events);
        shared
            .events
            .fetch_add(events.count() as u64, Ordering::SeqCst);
        shared
            .event_rows
            .fetch_add(rows.count() as u64, Ordering::SeqCst);
        self.done.append(&mut self.pending);
        self.committed.clone_from(&self.rows);
    }

    fn roll_back(&mut self, shared: &Shared) {
        let undone = self.pending.len() as u64;
        shared.undone.fetch_add(undone, Ordering::SeqCst);
        self.pending.clear();
        self.rows.clone_from(&self.committed);
    }

    /// Whether the transaction whose answer was lost is committed.
    async fn find_out(&mut self, connection: &mut Conn, shared: &Shared) {
        let query = format!(
            "SELECT transaction FROM notes WHERE connection = {}",
            self.index
        );
        // A server that is stopped twice may lose this answer as well.
        let noted: Option<u64> = loop {
            match connection.query_first(&query).await {
                Ok(noted) => break noted,
                Err(Error::Server(error)) if !ENDS.contains(&error.code) => {
                    panic!("the writer's own mistake: {error}")
                }
                Err(_) => *connection = self.connect().await,
            }
        };
        match noted.expect("the note") {
            noted if noted == self.transaction => self.roll_back(shared),
            noted if noted == self.transaction + 1 => self.commit(shared),
            noted => panic!("transaction {noted} is noted after {}", self.transaction),
        }
    }

    /// A session; where the server is down, when it is up again.
    async fn connect(&self) -> Conn {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let error = match Conn::new(self.options.clone()).await {
                Ok(mut connection) => {
                    let isolation = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
                    match connection.query_drop(isolation).await {
                        Ok(()) => return connection,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            assert!(
                Instant::now() < deadline,
                "the source does not answer: {error}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sleeps as long as it is ahead of its pace.
    async fn rest(&self, begun: Instant, written: usize) {
        if self.pace.rate > 0 {
            let rate = self.pace.rate as f64 / f64::from(self.pace.connections);
            let due = Duration::from_secs_f64(written as f64 / rate);
            tokio::time::sleep(
                due.saturating_sub(begun.elapsed())
                    .min(Duration::from_millis(200)),
            )
            .await;
        }
    }
}

impl Shared {
    fn next_rev(&self) -> u64 {
        self.rev.fetch_add(1, Ordering::SeqCst) + 1
    }
}
