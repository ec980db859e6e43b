//! Table maps and row images written by hand; what real servers write is the tests' of the whole pipe.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, UInt32Type};
use mysql_async::binlog::BinlogVersion;
use mysql_async::binlog::events::{Event, FormatDescriptionEvent};
use proptest::prelude::*;

use super::*;
use crate::schema::{Form, MysqlType, SourceColumn, TableName, ZeroDates};

const INT: u8 = 3;
const LONGLONG: u8 = 8;
const VARCHAR: u8 = 15;
const TIMESTAMP2: u8 = 17;

/// The first moment at which no row ends, as TIMESTAMP(6) has it.
const NEVER: [u8; 7] = [0x7F, 0xFF, 0xFF, 0xFF, 0x0F, 0x42, 0x3F];

/// A table map of columns by type and metadata, with names and signs where they are given.
fn table_map(columns: &[(u8, &[u8])], names: Option<&[&str]>, signs: Option<u8>) -> TableMap {
    let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0];
    body.extend_from_slice(b"\x04shop\0\x06orders\0");
    body.push(columns.len() as u8);
    body.extend(columns.iter().map(|(kind, _)| *kind));
    let metadata: Vec<u8> = columns
        .iter()
        .flat_map(|(_, bytes)| bytes.to_vec())
        .collect();
    body.push(metadata.len() as u8);
    body.extend_from_slice(&metadata);
    body.extend(vec![0xFF; columns.len().div_ceil(8)]);
    if let Some(signs) = signs {
        body.extend_from_slice(&[1, 1, signs]);
    }
    if let Some(names) = names {
        let names: Vec<u8> = names
            .iter()
            .flat_map(|name| [&[name.len() as u8], name.as_bytes()].concat())
            .collect();
        body.extend_from_slice(&[4, names.len() as u8]);
        body.extend_from_slice(&names);
    }
    let mut event = vec![0; 4];
    event.push(19);
    event.extend_from_slice(&1u32.to_le_bytes());
    event.extend_from_slice(&(19 + body.len() as u32).to_le_bytes());
    event.extend_from_slice(&[0; 6]);
    event.extend_from_slice(&body);
    let format = FormatDescriptionEvent::new(BinlogVersion::Version4);
    let event = Event::read(&format, &event[..]).expect("an event");
    let map: TableMapEvent<'_> = event.read_event().expect("a table map");
    TableMap {
        table_id: map.table_id(),
        table: TableName::new("shop", "orders"),
        map: map.into_owned(),
    }
}

fn column(name: &str, mysql_type: MysqlType) -> SourceColumn {
    SourceColumn {
        name: name.into(),
        charset: (mysql_type == MysqlType::Text).then(|| "utf8mb4".to_owned()),
        mysql_type,
        form: Form::Native,
        zero_dates: ZeroDates::Error,
        beyond_unicode: false,
        nullable: name != "id",
        comment: String::new(),
        generated: false,
    }
}

/// `id INT UNSIGNED PRIMARY KEY, n INT, t VARCHAR(9)`.
fn orders() -> SourceTable {
    SourceTable {
        name: TableName::new("shop", "orders"),
        columns: vec![
            column("id", MysqlType::Int { unsigned: true }),
            column("n", MysqlType::Int { unsigned: false }),
            column("t", MysqlType::Text),
        ],
        key: vec![0],
        row_end: None,
        key_index: Some("PRIMARY".into()),
        estimated_rows: 0,
        estimated_bytes: 0,
        comment: String::new(),
    }
}

const ORDERS: [(u8, &[u8]); 3] = [(INT, &[]), (INT, &[]), (VARCHAR, &[36, 0])];

fn decoder(table: &SourceTable, pairs: Pairs) -> ChangeDecoder {
    let mut charsets = Charsets::default();
    let utf8 = super::super::Charset::known("utf8mb4").expect("known");
    charsets.add("utf8mb4", utf8);
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let limits = ReadLimits {
        batch_rows: 3,
        batch_bytes: 1 << 20,
    };
    ChangeDecoder::new(
        table,
        &TableRead::new(table, &all),
        Arc::new(charsets),
        pairs,
        limits,
    )
}

fn image(id: u32, n: Option<i32>, t: &[u8]) -> Vec<u8> {
    let mut image = vec![if n.is_some() { 0 } else { 2 }];
    image.extend_from_slice(&id.to_le_bytes());
    image.extend(n.iter().flat_map(|n| n.to_le_bytes()));
    image.push(t.len() as u8);
    image.extend_from_slice(t);
    image
}

fn rows(change: Change, width: usize, images: &[Vec<u8>]) -> Rows {
    let all = |is_there: bool| {
        if is_there {
            vec![0xFF; width.div_ceil(8)]
        } else {
            vec![]
        }
    };
    Rows {
        table_id: 7,
        change,
        present_before: all(change != Change::Insert),
        present_after: all(change != Change::Delete),
        width,
        images: images.concat().into(),
    }
}

fn misfit(table: &SourceTable, map: &TableMap) -> String {
    let misfit = decoder(table, Pairs::All).map(map).expect_err("a misfit");
    misfit.to_string()
}

#[test]
fn images_become_rows_and_pairs_stay_together() {
    let mut decoder = decoder(&orders(), Pairs::All);
    decoder
        .map(&table_map(&ORDERS, None, Some(0x80)))
        .expect("it fits");
    let inserts = [image(1, Some(-5), b"a"), image(2, None, "ä".as_bytes())];
    assert_eq!(
        decoder
            .push(&rows(Change::Insert, 3, &inserts), 10)
            .expect("rows"),
        2
    );
    let updates = [image(1, Some(-5), b"a"), image(1, Some(6), b"b")];
    assert_eq!(
        decoder
            .push(&rows(Change::Update, 3, &updates), 12)
            .expect("rows"),
        1
    );
    let delete = [image(2, None, "ä".as_bytes())];
    assert_eq!(
        decoder
            .push(&rows(Change::Delete, 3, &delete), 13)
            .expect("a row"),
        1
    );
    assert_eq!(decoder.images(), 5);
    let changes = decoder.take().expect("UTF-8");
    assert_eq!(
        (decoder.images(), decoder.bytes(), changes.len()),
        (0, 0, 2)
    );
    use ImageKind::{After, Before, Delete, Insert};
    assert_eq!(changes[0].kinds, [Insert, Insert, Before, After]);
    assert_eq!(changes[0].versions, [10, 11, 12, 12]);
    assert_eq!(
        (&changes[1].kinds[..], &changes[1].versions[..]),
        (&[Delete][..], &[13][..])
    );
    let images = &changes[0].images;
    assert_eq!(
        images.column(0).as_primitive::<UInt32Type>().values(),
        &[1, 2, 1, 1]
    );
    let n = images.column(1).as_primitive::<Int32Type>();
    assert_eq!((n.value(0), n.is_null(1), n.value(3)), (-5, true, 6));
    let t: Vec<_> = images
        .column(2)
        .as_string::<i32>()
        .iter()
        .flatten()
        .collect();
    assert_eq!(t, ["a", "ä", "a", "b"]);
}

#[test]
fn images_from_before_are_wanted_where_the_key_changes() {
    let updates = [
        image(1, Some(5), b"a"),
        image(1, Some(6), b"b"),
        image(1, Some(6), b"b"),
        image(9, None, b"b"),
    ];
    let kinds = |table: &SourceTable| {
        let mut decoder = decoder(table, Pairs::ChangedKeys);
        decoder
            .map(&table_map(&ORDERS, None, None))
            .expect("it fits");
        decoder
            .push(&rows(Change::Update, 3, &updates), 1)
            .expect("rows");
        let changes = decoder.take().expect("UTF-8");
        changes
            .into_iter()
            .flat_map(|changes| changes.kinds)
            .collect::<Vec<_>>()
    };
    use ImageKind::{After, Before};
    assert_eq!(kinds(&orders()), [After, Before, After]);
    let no_key = SourceTable {
        key: vec![],
        ..orders()
    };
    assert_eq!(kinds(&no_key), [Before, After, Before, After]);
}

#[test]
fn columns_are_found_by_their_names() {
    let mut decoder = decoder(&orders(), Pairs::All);
    let moved = [
        (VARCHAR, &[36, 0][..]),
        (LONGLONG, &[]),
        (INT, &[]),
        (INT, &[]),
    ];
    let names = ["t", "new", "n", "id"];
    decoder
        .map(&table_map(&moved, Some(&names), Some(0x20)))
        .expect("it fits");
    let mut image = vec![0, 1, b'x'];
    image.extend_from_slice(&[9; 8]);
    image.extend_from_slice(&(-1i32).to_le_bytes());
    image.extend_from_slice(&4u32.to_le_bytes());
    decoder
        .push(&rows(Change::Insert, 4, &[image]), 1)
        .expect("a row");
    let images = &decoder.take().expect("UTF-8")[0].images;
    assert_eq!(images.column(0).as_primitive::<UInt32Type>().value(0), 4);
    assert_eq!(images.column(1).as_primitive::<Int32Type>().value(0), -1);
    assert_eq!(images.column(2).as_string::<i32>().value(0), "x");
}

#[test]
fn tables_that_were_changed_are_refused() {
    let orders = orders();
    let wider = [ORDERS[0], (LONGLONG, &[][..]), ORDERS[2]];
    insta::assert_snapshot!(
        misfit(&orders, &table_map(&wider, None, None)),
        @"shop.orders in the binlog isn't the table that was looked at: column `n` is BIGINT there and was INT"
    );
    insta::assert_snapshot!(
        misfit(&orders, &table_map(&ORDERS, None, Some(0))),
        @"shop.orders in the binlog isn't the table that was looked at: column `id` is INT there and was INT UNSIGNED"
    );
    insta::assert_snapshot!(
        misfit(&orders, &table_map(&ORDERS[..2], Some(&["id", "m"]), None)),
        @"shop.orders in the binlog isn't the table that was looked at: column `n` is missing there; column `t` is missing there"
    );
    insta::assert_snapshot!(
        misfit(&orders, &table_map(&ORDERS[..2], None, None)),
        @"shop.orders in the binlog isn't the table that was looked at: it has 2 columns there, without names, and had 3 (set binlog_row_metadata = FULL)"
    );
}

#[test]
fn images_without_all_columns_are_refused() {
    let mut decoder = decoder(&orders(), Pairs::All);
    decoder
        .map(&table_map(&ORDERS, None, None))
        .expect("it fits");
    let mut minimal = rows(Change::Delete, 3, &[image(1, None, b"")]);
    minimal.present_before = vec![1];
    let error = decoder.push(&minimal, 1).expect_err("refused").to_string();
    assert!(error.contains("binlog_row_image"), "{error}");
    let mut unknown = rows(Change::Delete, 3, &[image(1, None, b"")]);
    unknown.table_id = 8;
    assert!(decoder.push(&unknown, 1).is_err());
    let short = image(1, Some(3), b"abc");
    let short = rows(Change::Insert, 3, &[short[..short.len() - 1].to_vec()]);
    assert!(decoder.push(&short, 1).is_err());
}

#[test]
fn rows_are_named_by_their_key() {
    let mut flags = orders();
    flags.columns[1] = column("n", MysqlType::Bool);
    let mut decoder = decoder(&flags, Pairs::All);
    let map = [ORDERS[0], (1, &[][..]), ORDERS[2]];
    decoder.map(&table_map(&map, None, None)).expect("it fits");
    let two = vec![0, 77, 0, 0, 0, 2, 0];
    let error = decoder
        .push(&rows(Change::Insert, 3, &[two]), 1)
        .expect_err("2 is no truth value");
    assert!(
        error
            .to_string()
            .contains("column `n` of shop.orders, row id = 77: "),
        "{error}"
    );
    let mut decoder = self::decoder(&orders(), Pairs::All);
    decoder
        .map(&table_map(&ORDERS, None, None))
        .expect("it fits");
    decoder
        .push(&rows(Change::Insert, 3, &[image(78, None, b"\xFF")]), 1)
        .expect("unseen");
    let error = decoder.take().expect_err("no UTF-8").to_string();
    assert!(error.contains("row id = 78: its text"), "{error}");
}

#[test]
fn versions_of_rows_that_are_over_are_no_rows() {
    let versioned = SourceTable {
        row_end: Some("row_end".into()),
        columns: orders().columns[..1].to_vec(),
        ..orders()
    };
    let map = [ORDERS[0], (TIMESTAMP2, &[6][..])];
    let image = |id: u8, end: [u8; 7]| [&[0, id, 0, 0, 0][..], &end].concat();
    let (now, past) = (NEVER, [1; 7]);
    let mut decoder = decoder(&versioned, Pairs::All);
    let names = ["id", "row_end"];
    decoder
        .map(&table_map(&map, Some(&names), None))
        .expect("it fits");
    let mut push = |change, images: &[Vec<u8>]| decoder.push(&rows(change, 2, images), 1);
    push(Change::Insert, &[image(1, now), image(2, past)]).expect("rows");
    push(Change::Update, &[image(3, now), image(3, past)]).expect("rows");
    push(Change::Update, &[image(4, now), image(4, now)]).expect("rows");
    push(Change::Delete, &[image(5, past), image(6, now)]).expect("rows");
    let changes = decoder.take().expect("UTF-8");
    let kinds: Vec<_> = changes
        .iter()
        .flat_map(|changes| changes.kinds.clone())
        .collect();
    use ImageKind::{After, Before, Delete, Insert};
    assert_eq!(kinds, [Insert, Delete, Before, After, Delete]);
    assert!(
        misfit(&versioned, &table_map(&map[..1], Some(&names[..1]), None)).contains("versions")
    );
}

proptest! {
    #[test]
    fn nothing_panics(images in prop::collection::vec(any::<u8>(), 0..60), change in 0..3) {
        let change = [Change::Insert, Change::Update, Change::Delete][change as usize];
        for pairs in [Pairs::All, Pairs::ChangedKeys] {
            let mut decoder = decoder(&orders(), pairs);
            decoder.map(&table_map(&ORDERS, None, None)).expect("it fits");
            let _ = decoder.push(&rows(change, 3, std::slice::from_ref(&images)), 1);
            let _ = decoder.take();
        }
    }
}
