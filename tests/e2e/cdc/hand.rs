//! One connection of a writer: what it knows of its rows, and the statements that it makes of that.

use super::tables::{Key, Table};
use crate::support::Dice;

/// What happened to a key. All but `Here` are row events of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Insert,
    Update,
    Delete,
    /// The row has another key now.
    Away,
    /// A row got this key.
    Here,
}

/// A write of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) table: Table,
    pub(super) key: Key,
    pub(super) what: What,
    pub(super) rev: u64,
}

/// The keys of a table that a connection owns.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) live: Vec<Key>,
    pub(super) free: Vec<Key>,
}

/// The rows of all tables, in the order of [`Table::ALL`].
pub(super) type AllRows = [Rows; Table::ALL.len()];

/// The next statement: a table, what is done to it, and how many rows, all by the dice. None where there is nothing to do it to.
///
/// The rows are afterwards as if it had been done.
pub(super) fn statement(
    dice: &mut Dice,
    rows: &mut AllRows,
    step: u32,
    rev: u64,
) -> Option<(String, Vec<Write>)> {
    let (place, most) = match dice.below(100) {
        0..30 => (0, 60),
        30..40 => (1, 12),
        40..55 => (2, 40),
        55..80 => (3, 60),
        _ => (4, 60),
    };
    let table = Table::ALL[place];
    let count = match dice.below(10) {
        0..6 => 1 + dice.below(3),
        6..9 => 1 + dice.below(most / 3),
        _ => 1 + dice.below(most),
    };
    let mut maker = Maker {
        dice,
        rows: &mut rows[place],
        table,
        rev,
        writes: Vec::new(),
    };
    let few = maker.rows.live.len() < maker.rows.free.len() / 2;
    let sql = match maker.dice.below(100) {
        _ if few => maker.insert(count),
        0..22 => maker.insert(count),
        22..62 => maker.update(count),
        62..84 => maker.delete(count),
        84..91 => maker.change_key(),
        91..95 if table != Table::Stock => maker.shift_keys(step),
        _ if table != Table::Events => maker.upsert(),
        _ => maker.update(count),
    }?;
    let writes = maker.writes;
    Some((sql, writes))
}

struct Maker<'a> {
    dice: &'a mut Dice,
    rows: &'a mut Rows,
    table: Table,
    rev: u64,
    writes: Vec<Write>,
}

impl Maker<'_> {
    fn wrote(&mut self, key: Key, what: What) {
        let (table, rev) = (self.table, self.rev);
        self.writes.push(Write {
            table,
            key,
            what,
            rev,
        });
    }

    /// A key that no row has; it counts as live from now on.
    fn take_free(&mut self) -> Option<Key> {
        let length = self.rows.free.len();
        if length == 0 {
            return None;
        }
        let place = self.dice.place(length);
        let mut key = self.rows.free.swap_remove(place);
        key.upper = self.table == Table::Stock && self.dice.percent(50);
        self.rows.live.push(key);
        Some(key)
    }

    /// Places of live keys, the last first, none twice.
    fn live_places(&mut self, count: u64) -> Option<Vec<usize>> {
        let length = self.rows.live.len();
        if length == 0 {
            return None;
        }
        let mut places: Vec<usize> = (0..count).map(|_| self.dice.place(length)).collect();
        places.sort_unstable();
        places.dedup();
        places.reverse();
        Some(places)
    }

    fn insert(&mut self, count: u64) -> Option<String> {
        let keys: Vec<Key> = (0..count).map_while(|_| self.take_free()).collect();
        for key in &keys {
            self.wrote(*key, What::Insert);
        }
        match keys.is_empty() {
            true => None,
            false => Some(insert(self.table, &keys, self.rev, self.dice)),
        }
    }

    fn update(&mut self, count: u64) -> Option<String> {
        let places = self.live_places(count)?;
        let keys: Vec<Key> = places.iter().map(|&place| self.rows.live[place]).collect();
        for key in &keys {
            self.wrote(*key, What::Update);
        }
        let some = self.dice.pick(&[0, 30, 100]);
        let mut values = self.table.values(self.dice);
        values.retain(|_| self.dice.percent(some));
        values.push(("rev", self.rev.to_string()));
        let assignments: Vec<_> = (values.iter())
            .map(|(column, value)| format!("{column} = {value}"))
            .collect();
        Some(format!(
            "UPDATE {} SET {} WHERE {}",
            self.table.name(),
            assignments.join(", "),
            self.table.is_one_of(&keys)
        ))
    }

    fn delete(&mut self, count: u64) -> Option<String> {
        let places = self.live_places(count)?;
        let keys: Vec<Key> = places
            .iter()
            .map(|&place| self.rows.live.swap_remove(place))
            .collect();
        self.rows.free.extend(&keys);
        for key in &keys {
            self.wrote(*key, What::Delete);
        }
        Some(format!(
            "DELETE FROM {} WHERE {}",
            self.table.name(),
            self.table.is_one_of(&keys)
        ))
    }

    /// Gives a row another key: a free one, or the same one in other letters.
    fn change_key(&mut self) -> Option<String> {
        let place = self.live_places(1)?[0];
        let old = self.rows.live[place];
        let new = if self.table == Table::Stock && self.dice.percent(50) {
            self.rows.live[place].upper = !old.upper;
            self.rows.live[place]
        } else {
            let new = self.take_free()?;
            self.rows.live.swap_remove(place);
            self.rows.free.push(old);
            new
        };
        self.wrote(old, What::Away);
        self.wrote(new, What::Here);
        let columns = self.table.key_columns().iter();
        let assignments: Vec<_> = columns
            .zip(self.table.key_values(new))
            .map(|(column, value)| format!("{column} = {value}"))
            .collect();
        Some(format!(
            "UPDATE {} SET {}, rev = {} WHERE {}",
            self.table.name(),
            assignments.join(", "),
            self.rev,
            self.table.is_one_of(&[old])
        ))
    }

    /// Moves a run of rows by one key, so that in one statement each gets the key that the one before it had.
    fn shift_keys(&mut self, step: u32) -> Option<String> {
        let place = self.live_places(1)?[0];
        let is_live = |rows: &Rows, number| rows.live.iter().position(|key| key.number == number);
        let mut run = vec![self.rows.live[place].number];
        while run.len() < 5 && is_live(self.rows, run[run.len() - 1] + step).is_some() {
            run.push(run[run.len() - 1] + step);
        }
        let target = Key::lower(run[run.len() - 1] + step);
        let free = (self.rows.free.iter()).position(|key| key.number == target.number)?;
        self.rows.free.swap_remove(free);
        self.rows.live.push(target);
        let first = is_live(self.rows, run[0])?;
        let first = self.rows.live.swap_remove(first);
        self.rows.free.push(first);
        // The last one moves first.
        for number in run.iter().rev() {
            self.wrote(Key::lower(*number), What::Away);
            self.wrote(Key::lower(*number + step), What::Here);
        }
        let keys: Vec<Key> = run.iter().map(|number| Key::lower(*number)).collect();
        Some(format!(
            "UPDATE {} SET id = id + {step}, rev = {} WHERE {} ORDER BY id DESC",
            self.table.name(),
            self.rev,
            self.table.is_one_of(&keys)
        ))
    }

    /// One row by `REPLACE` or `ON DUPLICATE KEY UPDATE`, whether it is there or not.
    fn upsert(&mut self) -> Option<String> {
        let key = match self.dice.percent(70) {
            true => {
                let place = self.live_places(1)?[0];
                let key = self.rows.live[place];
                self.wrote(key, What::Update);
                key
            }
            false => {
                let key = self.take_free()?;
                self.wrote(key, What::Insert);
                key
            }
        };
        let insert = insert(self.table, &[key], self.rev, self.dice);
        Some(match self.dice.percent(50) {
            true => insert.replacen("INSERT", "REPLACE", 1),
            false => format!("{insert} ON DUPLICATE KEY UPDATE rev = {}", self.rev),
        })
    }
}

/// Rows with these keys and whatever values.
pub(super) fn insert(table: Table, keys: &[Key], rev: u64, dice: &mut Dice) -> String {
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    for key in keys {
        let values = table.values(dice);
        columns = table.key_columns().to_vec();
        columns.extend(values.iter().map(|(column, _)| *column));
        let mut row = table.key_values(*key);
        row.extend(values.into_iter().map(|(_, value)| value));
        rows.push(format!("({}, {rev})", row.join(", ")));
    }
    let (name, columns, rows) = (table.name(), columns.join(", "), rows.join(", "));
    format!("INSERT INTO {name} ({columns}, rev) VALUES {rows}")
}
