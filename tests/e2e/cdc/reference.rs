//! What the pipe's transforms do to the writers' rows, told a second time without Tidemill, and the comparison through it.

use sha2::{Digest, Sha256};

use super::tables::Table;
use super::writer::Writer;
use crate::support::World;
use crate::support::oracle::{self, Cell, Compared};

/// The row that arrives; none if it stays behind. Texts are their UTF-8 in upper-case hexadecimal digits.
fn transformed(table: Table, names: &[&str], mut row: Vec<Cell>) -> Option<Vec<Cell>> {
    let place = |column: &str| names.iter().position(|name| *name == column);
    let place = |column| place(column).expect("a column of the table");
    match table {
        Table::Orders if row[place("status")].as_deref() == Some(&hex_of("test")) => return None,
        Table::Orders => mask(&mut row[place("email")], 24),
        Table::Stock => mask(&mut row[place("sku")], 32),
        Table::Points | Table::Wide | Table::Events => {}
    }
    Some(row)
}

fn mask(cell: &mut Cell, length: usize) {
    let Some(text) = cell else { return };
    let value = hex::decode(&*text).expect("hexadecimal digits");
    *text = hex_of(&hash("secret", &value)[..length]);
}

fn hex_of(text: &str) -> String {
    hex::encode_upper(text)
}

/// HMAC-SHA-256 as RFC 2104 has it, in hexadecimal digits.
pub(super) fn hash(key: &str, value: &[u8]) -> String {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        for (byte, key) in block.iter_mut().zip(key.bytes()) {
            *byte ^= key;
        }
        block
    };
    let digest = |head: &[u8], tail: &[u8]| {
        Sha256::new()
            .chain_update(head)
            .chain_update(tail)
            .finalize()
    };
    hex::encode(digest(&padded(0x5C), &digest(&padded(0x36), value)))
}

/// The rows that live at a destination table, as a query that can be read from: the last version of each key, unless it is a deletion.
pub(super) fn latest(table: Table) -> String {
    let (name, key) = (table.name(), table.key_columns().join(", "));
    match table {
        Table::Events => format!(
            "(SELECT * FROM (SELECT * FROM {{db}}.{name} ORDER BY _peerdb_version DESC LIMIT 1 BY {key}) WHERE _peerdb_is_deleted = 0)"
        ),
        _ => format!("(SELECT * FROM {{db}}.{name} FINAL)"),
    }
}

/// Compares a table row for row; what differs first is told with its history on both sides.
fn compare(world: &World, table: Table, writer: &Writer) -> Result<Compared, String> {
    let through = move |names: &[&str], row| transformed(table, names, row);
    // Of a MergeTree the last versions are compared, in another database than the pipe's.
    let view = format!("{}_latest", table.name());
    if table == Table::Events {
        world.clickhouse.run(&format!(
            "CREATE OR REPLACE VIEW {{db}}.{view} AS SELECT * FROM {};\n",
            latest(table)
        ));
    }
    let (mysql, clickhouse) = (&world.mysql, &world.clickhouse);
    let destination = match table {
        Table::Events => &view,
        _ => table.name(),
    };
    let compared = oracle::compare_through(
        mysql,
        &mysql.database,
        table.name(),
        &through,
        clickhouse,
        destination,
    );
    if table == Table::Events {
        clickhouse.run(&format!("DROP VIEW {{db}}.{view};\n"));
    }
    compared.map_err(|told| {
        let histories: Vec<_> = (told.iter().take(3))
            .map(|difference| history(world, table, writer, &difference.row))
            .collect();
        format!("{}\n{}", oracle::listed(&told), histories.join("\n"))
    })
}

/// All that both sides know of a row, by its key as the oracle shows it.
fn history(world: &World, table: Table, writer: &Writer, row: &str) -> String {
    let parts: Vec<&str> = row.split(", ").map(|part| part.trim_matches('`')).collect();
    let conditions: Vec<String> = (table.key_columns().iter().zip(&parts))
        .map(|(column, part)| match *column {
            "sku" => format!("hex(sku) = '{part}'"),
            _ => format!("{column} = {part}"),
        })
        .collect();
    let held = world.clickhouse.try_query(&format!(
        "SELECT _peerdb_version, _peerdb_is_deleted, rev, _peerdb_synced_at, _part FROM {{db}}.{} WHERE {} ORDER BY 1, 4",
        table.name(),
        conditions.join(" AND ")
    ));
    let number = (0..table.keys()).find(|number| match table {
        Table::Stock => [false, true].iter().any(|&upper| {
            let key = super::tables::Key {
                number: *number,
                upper,
            };
            let text = super::tables::sku(key);
            Some(&*hex_of(&hash("secret", text.as_bytes())[..32])) == parts.get(1).copied()
        }),
        _ => parts.first() == Some(&&*number.to_string()),
    });
    format!(
        "{} {row}: ClickHouse holds (version, deleted, rev, synced, part)\n{}\nwritten by (number {number:?})\n{}",
        table.name(),
        held.unwrap_or_else(|error| error),
        number.map_or_else(String::new, |number| writer.history(table, number))
    )
}

/// Compares every table; what differs, with its history.
pub(super) fn compare_all(world: &World, writer: &Writer) -> Result<Compared, String> {
    let mut all = Compared::default();
    let mut told = Vec::new();
    for table in Table::ALL {
        match compare(world, table, writer) {
            Ok(compared) => all += compared,
            Err(text) => told.push(text),
        }
    }
    match told.is_empty() {
        true => Ok(all),
        false => Err(told.join("\n")),
    }
}

/// Expects that every table at the destination shows exactly the source's rows, through the transforms.
#[track_caller]
pub(super) fn assert_same(world: &World, writer: &Writer) -> Compared {
    let seed = writer.seed;
    compare_all(world, writer)
        .unwrap_or_else(|told| panic!("TIDEMILL_SEED={seed}; the destination differs:\n{told}"))
}

/// How often the MergeTree has events of version 1 and more, and that none is there twice.
#[track_caller]
pub(super) fn events_once(world: &World) -> u64 {
    let counted = world.clickhouse.query(
        "SELECT countIf(_peerdb_version > 0), uniqExactIf((id, _peerdb_version), _peerdb_version > 0), countIf(_peerdb_version = 0) = uniqExactIf(id, _peerdb_version = 0) FROM {db}.events",
    );
    let cells: Vec<&str> = counted.split('\t').collect();
    assert_eq!((cells[0], cells[2]), (cells[1], "1"), "an event is there twice: {}",
        world.clickhouse.query("SELECT id, _peerdb_version, count(), groupArray(_peerdb_synced_at), groupArray(_part) FROM {db}.events GROUP BY 1, 2 HAVING count() > 1 LIMIT 20"));
    cells[0].parse().expect("a number")
}

#[test]
fn the_hash_is_that_of_the_rfc() {
    // RFC 4231, test case 2.
    assert_eq!(
        hash("Jefe", b"what do ya want for nothing?"),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}
