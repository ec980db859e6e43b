//! The planner: cuts a table into ranges of its key, of about a given number of rows each, that together cover every key.
//!
//! Where the key begins with an integer, the range of its values is halved, and halved again, until the optimizer's estimate of each
//! part is small enough: a few cheap questions a chunk, whatever gaps and skew the values have. Other keys are walked: the index is
//! followed, and every so many rows a bound is taken. Bounds are made of values, so rows that come and go while it is planned, or
//! afterwards, are in exactly one chunk all the same; estimates decide only about sizes, and where they are found
//! far too low, every key is walked.

use mysql_common::row::Row;
use mysql_common::value::Value;

use super::connect::{Control, Flavor, Source, cell};
use super::error::SourceError;
use super::keys::{self, KeyKind, force_index, order_by, quoted_table, range, use_index};
use crate::schema::{Chunk, KeyBound, KeyValue, SourceTable};

const ACTION: &str = "the plan of the chunks";
/// A plan has so many parts at most, and bounds of so many bytes. What is left then is one part: a large chunk, but all of the table. A
/// server could answer with new keys for ever otherwise.
const MOST_PARTS: usize = 1_000_000;
const MOST_BOUND_BYTES: usize = 128 << 20;
/// A key's value has at most 3072 bytes in an index, and in another character set four times as many.
const LONGEST_BOUND: usize = 16 << 10;
/// An estimate beyond this is none.
const MOST_ROWS: u64 = 1 << 43;

/// A part of a table, before it has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    after: Option<KeyBound>,
    upto: Option<KeyBound>,
    rows: u64,
}

impl Part {
    fn whole(rows: u64) -> Self {
        Self {
            after: None,
            upto: None,
            rows,
        }
    }
}

impl Source {
    /// Cuts a table into chunks of about `target_rows` rows, at least one, in the order of the key.
    ///
    /// # Errors
    /// A lost connection, or no right to read the table.
    pub async fn chunks(
        &self,
        table: &SourceTable,
        target_rows: u64,
    ) -> Result<Vec<Chunk>, SourceError> {
        let key: Vec<_> = table
            .key
            .iter()
            .map(|&i| table.columns[i].clone())
            .collect();
        let key = keys::bounding(&key);
        let (Some(index), Some((_, first))) = (table.key_index.as_deref(), key.first()) else {
            return Ok(vec![Chunk::whole(table.name.clone(), table.estimated_rows)]);
        };
        let mut planner = Planner {
            control: self.control().await?,
            explain: match self.server().flavor {
                Flavor::Mysql => "EXPLAIN FORMAT=TRADITIONAL",
                Flavor::MariaDb => "EXPLAIN",
            },
            from: format!("{}{}", quoted_table(&table.name), force_index(Some(index))),
            estimated: format!("{}{}", quoted_table(&table.name), use_index(index)),
            columns: key.iter().map(|(name, _)| name.clone()).collect(),
            values_differ: key.len() == 1 && table.key.len() == 1,
            target: target_rows.max(1),
            key: &key,
            room: Room::new(MOST_PARTS, MOST_BOUND_BYTES),
        };
        let estimated = if table.estimated_rows <= target_rows {
            Some(vec![Part::whole(table.estimated_rows)])
        } else if *first == KeyKind::Int {
            Some(planner.bisect(table.estimated_rows).await?)
        } else {
            None
        };
        let parts = match estimated {
            Some(parts) if planner.holds(&parts).await? => parts,
            _ => planner.walk(None, None).await?,
        };
        planner.control.close().await;
        Ok(numbered(table, parts))
    }
}

fn numbered(table: &SourceTable, parts: Vec<Part>) -> Vec<Chunk> {
    let chunk = |(number, part): (usize, Part)| Chunk {
        table: table.name.clone(),
        number: number as u32,
        after: part.after,
        upto: part.upto,
        estimated_rows: part.rows,
    };
    parts.into_iter().enumerate().map(chunk).collect()
}

struct Planner<'a> {
    control: Control,
    explain: &'static str,
    /// The table and its index, for a query.
    from: String,
    /// The table and its index, for an estimate.
    estimated: String,
    columns: Vec<String>,
    /// Whether the first column alone is unique, so that a range has no more rows than values.
    values_differ: bool,
    target: u64,
    key: &'a [(String, KeyKind)],
    room: Room,
}

/// What a plan may still have.
struct Room {
    parts: usize,
    bytes: usize,
}

impl Room {
    fn new(parts: usize, bytes: usize) -> Self {
        Self { parts, bytes }
    }

    /// Takes room for a part with this bound; false: there is none.
    fn take(&mut self, bound: &KeyBound) -> bool {
        let value = |value: &KeyValue| match value {
            KeyValue::Int(_) => 0,
            KeyValue::Text(text) => text.len(),
            KeyValue::Bytes(bytes) => bytes.len(),
        };
        let bytes = bound
            .iter()
            .map(|one| size_of::<KeyValue>() + value(one))
            .sum();
        let left = (self.parts.checked_sub(1)).zip(self.bytes.checked_sub(bytes));
        let Some((parts, bytes)) = left else {
            return false;
        };
        (self.parts, self.bytes) = (parts, bytes);
        true
    }
}

impl Planner<'_> {
    /// Whether the first, the middle and the last of `parts`, at least one, have at most twice the rows that are wanted: statistics lag behind a bulk load,
    /// and are empty while they are made anew.
    async fn holds(&mut self, parts: &[Part]) -> Result<bool, SourceError> {
        let mut looked_at = vec![0, parts.len() / 2, parts.len() - 1];
        looked_at.dedup();
        for part in looked_at.into_iter().map(|i| &parts[i]) {
            let (after, upto) = (part.after.as_ref(), part.upto.as_ref());
            if self.bound(after, upto, 2 * self.target).await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Follows the index through a range, and takes a bound every `target` rows. The parts cover the range.
    async fn walk(
        &mut self,
        after: Option<KeyBound>,
        upto: Option<KeyBound>,
    ) -> Result<Vec<Part>, SourceError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut last = after;
        loop {
            let next = self
                .bound(last.as_ref(), upto.as_ref(), self.target - 1)
                .await?;
            // A key whose text doesn't read back as itself would stand still: then the rest is one part.
            let room = &mut self.room;
            let Some(next) = next.filter(|next| {
                Some(next) != last.as_ref() && Some(next) != upto.as_ref() && room.take(next)
            }) else {
                parts.push(Part {
                    after: last,
                    upto,
                    rows: self.target,
                });
                return Ok(parts);
            };
            parts.push(Part {
                after: last,
                upto: Some(next.clone()),
                rows: self.target,
            });
            last = Some(next);
        }
    }

    /// The key that comes `skip` rows after the first of a range, if another one follows it: nothing is worth a bound of its own at the end.
    async fn bound(
        &mut self,
        after: Option<&KeyBound>,
        upto: Option<&KeyBound>,
        skip: u64,
    ) -> Result<Option<KeyBound>, SourceError> {
        let mut values = Vec::new();
        let condition = range(self.key, after, upto, &mut values);
        let columns: Vec<_> = self
            .key
            .iter()
            .map(|(name, kind)| selected(name, kind))
            .collect();
        let sql = format!(
            "SELECT {} FROM {}{condition}{} LIMIT 2 OFFSET {skip}",
            columns.join(", "),
            self.from,
            order_by(&self.columns)
        );
        let values = values.into_iter().map(parameter).collect();
        let rows = self.control.rows(&sql, values, ACTION).await?;
        match &rows[..] {
            [row, _] => self.key_of(row).map(Some),
            _ => Ok(None),
        }
    }

    fn key_of(&self, row: &Row) -> Result<KeyBound, SourceError> {
        let in_bounds = |length: usize| length <= LONGEST_BOUND;
        let value = |(i, (_, kind)): (usize, &(String, KeyKind))| match kind {
            KeyKind::Int | KeyKind::Year => cell::<i128>(row, i).map(KeyValue::Int),
            KeyKind::Text | KeyKind::Cast(_) => cell::<String>(row, i)
                .filter(|text| in_bounds(text.len()))
                .map(KeyValue::Text),
            KeyKind::Bytes => cell::<Vec<u8>>(row, i)
                .filter(|bytes| in_bounds(bytes.len()))
                .map(KeyValue::Bytes),
        };
        self.key
            .iter()
            .enumerate()
            .map(value)
            .collect::<Option<_>>()
            .ok_or_else(|| SourceError::Protocol {
                action: format!("asking for {ACTION}"),
                reason: "a key has another type than its column".to_owned(),
            })
    }

    /// Halves the values of the first column until the parts are small enough. `total` is the table's estimate.
    async fn bisect(&mut self, total: u64) -> Result<Vec<Part>, SourceError> {
        let (column, target) = (self.columns[0].clone(), self.target);
        let sql = format!(
            "SELECT MIN({column}) + 0, MAX({column}) + 0 FROM {}",
            self.from
        );
        let rows = self.control.rows(&sql, vec![], ACTION).await?;
        let bounds = rows
            .first()
            .and_then(|row| cell::<i128>(row, 0).zip(cell::<i128>(row, 1)));
        let Some((lowest, highest)) = bounds else {
            return Ok(vec![Part::whole(0)]);
        };
        // All integers that a column can have are among these, and so no sum or difference of two is too large.
        let integers = i128::from(i64::MIN)..=i128::from(u64::MAX);
        if !(integers.contains(&lowest) && integers.contains(&highest) && lowest <= highest) {
            return Err(SourceError::Protocol {
                action: format!("asking for {ACTION}"),
                reason: "the lowest and the highest key are no range".to_owned(),
            });
        }
        let mut parts: Vec<Part> = Vec::new();
        // Ranges still to be looked at, the lowest on top: above the first, up to the second value.
        let mut todo = vec![(lowest - 1, highest)];
        while let Some((low, high)) = todo.pop() {
            let values = u64::try_from(high - low).unwrap_or(u64::MAX);
            let mut rows = self.estimate(low, high).await?;
            if self.values_differ {
                rows = rows.min(values);
            }
            let after = Some(vec![KeyValue::Int(low)]);
            let upto = Some(vec![KeyValue::Int(high)]);
            if rows <= target {
                merge(&mut parts, Part { after, upto, rows }, target);
            } else if values > 1 && self.room.take(&vec![KeyValue::Int(high)]) {
                let middle = low + (high - low) / 2;
                todo.push((middle, high));
                todo.push((low, middle));
            } else if values == 1 && self.key.len() > 1 {
                parts.extend(self.walk(after, upto).await?);
            } else {
                parts.push(Part { after, upto, rows });
            }
        }
        let mut parts = calibrated(parts, total, target);
        // Rows that come in beyond the ends belong to the first and the last part.
        if let Some(first) = parts.first_mut() {
            first.after = None;
        }
        if let Some(last) = parts.last_mut() {
            last.upto = None;
        }
        Ok(parts)
    }

    /// The optimizer's estimate of the rows of a range of the first column.
    async fn estimate(&mut self, low: i128, high: i128) -> Result<u64, SourceError> {
        let (explain, from, column) = (self.explain, &self.estimated, &self.columns[0]);
        // The value below the lowest may be one that the column's type doesn't have: `>=` the next is the same.
        let sql = format!(
            "{explain} SELECT 1 FROM {from} WHERE {column} >= {} AND {column} <= {high}",
            low + 1
        );
        let rows = self.control.rows(&sql, vec![], ACTION).await?;
        let estimate = |row: &Row| {
            let at = row
                .columns_ref()
                .iter()
                .position(|column| column.name_str().eq_ignore_ascii_case("rows"))?;
            cell::<u64>(row, at)
        };
        let rows = rows.first().and_then(estimate).unwrap_or(0);
        Ok(rows.min(MOST_ROWS))
    }
}

/// Estimates of ranges may be twice too high; the table's own is near, unless it is stale. So the parts' are scaled to it, within bounds, and
/// small parts joined.
fn calibrated(parts: Vec<Part>, total: u64, target: u64) -> Vec<Part> {
    let sum = parts
        .iter()
        .fold(0u64, |sum, part| sum.saturating_add(part.rows));
    let total = total.max(sum / 5 * 2);
    let mut joined = Vec::with_capacity(parts.len());
    for mut part in parts {
        if sum > total {
            part.rows = (u128::from(part.rows) * u128::from(total) / u128::from(sum)) as u64;
        }
        merge(&mut joined, part, target);
    }
    joined
}

/// Appends a part, or joins it to the one before if both together are small enough.
fn merge(parts: &mut Vec<Part>, part: Part, target: u64) {
    match parts.last_mut() {
        Some(last) if last.upto == part.after && last.rows.saturating_add(part.rows) <= target => {
            last.upto = part.upto;
            last.rows += part.rows;
        }
        _ => parts.push(part),
    }
}

/// A key column in a form that reads back as a bound.
fn selected(column: &str, kind: &KeyKind) -> String {
    match kind {
        KeyKind::Int | KeyKind::Year => format!("{column} + 0"),
        KeyKind::Bytes => column.to_owned(),
        // In the connection's character set, whatever the column's is.
        KeyKind::Text | KeyKind::Cast(_) => format!("CAST({column} AS CHAR)"),
    }
}

fn parameter(value: &KeyValue) -> Value {
    match value {
        KeyValue::Int(number) => match i64::try_from(*number) {
            Ok(number) => Value::Int(number),
            Err(_) => Value::UInt(*number as u64),
        },
        KeyValue::Text(text) => Value::Bytes(text.clone().into_bytes()),
        KeyValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_room_for_so_many_parts_and_bytes() {
        let number = vec![KeyValue::Int(7)];
        let mut room = Room::new(2, 1 << 20);
        assert!(room.take(&number) && room.take(&number) && !room.take(&number));
        let text = vec![KeyValue::Text("x".repeat(1000))];
        let mut room = Room::new(MOST_PARTS, 1 << 20);
        let taken = (0..2000).take_while(|_| room.take(&text)).count();
        assert!((900..1048).contains(&taken), "{taken}");
    }

    #[test]
    fn small_neighbours_are_joined() {
        let bound = |n: i128| Some(vec![KeyValue::Int(n)]);
        let part = |after, upto, rows| Part {
            after: bound(after),
            upto: bound(upto),
            rows,
        };
        let mut parts = Vec::new();
        for next in [
            part(0, 5, 40),
            part(5, 9, 50),
            part(9, 10, 20),
            part(10, 30, 0),
        ] {
            merge(&mut parts, next, 100);
        }
        assert_eq!(parts, [part(0, 9, 90), part(9, 30, 20)]);
    }
}
