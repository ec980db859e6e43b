use super::*;
use crate::schema::{KeyValue, Ledger};

fn table() -> TableRecord {
    TableRecord {
        estimated_rows: 10,
        ..TableRecord::new(
            TableName::new("shop", "orders"),
            "orders".to_owned(),
            "f".to_owned(),
        )
    }
}

#[test]
fn what_was_written_is_there_for_the_next_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let resync = ResyncRecord::new(Kind::Resync);
    let chunk = Chunk {
        table: table().source,
        number: 1,
        after: Some(vec![
            KeyValue::Int(i128::from(u64::MAX)),
            KeyValue::Bytes(vec![0, 255]),
        ]),
        upto: None,
        estimated_rows: 5,
    };
    let result = ChunkResult {
        ledger: Ledger {
            read: 5,
            written: 4,
            filtered: 1,
            rejected: 0,
            skipped: 0,
        },
        bytes: 9,
        digest: None,
        steps: Vec::new(),
    };
    {
        let journal = Journal::open(folder.path()).expect("a new journal");
        journal.begin(&resync, &[table()]).expect("begun");
        let whole = Chunk {
            number: 0,
            ..chunk.clone()
        };
        journal
            .plan_chunks(&resync.id, &table(), &[whole, chunk.clone()])
            .expect("planned");
        journal
            .chunk_done(&resync.id, &chunk, result.clone())
            .expect("done");
        journal.request_pause(&resync.id).expect("asked");
    }
    let journal = Journal::open_existing(folder.path())
        .expect("readable")
        .expect("there");
    assert_eq!(
        journal.last_resync().expect("readable").map(|r| r.id),
        Some(resync.id.clone())
    );
    let chunks = journal.chunks(&resync.id, &chunk.table).expect("readable");
    assert_eq!(
        chunks.iter().map(|c| c.result.clone()).collect::<Vec<_>>(),
        [None, Some(result)]
    );
    assert_eq!(chunks[1].chunk, chunk);
    assert!(journal.pause_requested(&resync.id).expect("readable"));
    journal.clear_request(&resync.id).expect("cleared");
    assert!(!journal.pause_requested(&resync.id).expect("readable"));
}

#[test]
fn a_newer_journal_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(folder.path()).expect("a new journal");
    journal
        .connection()
        .pragma_update(None, "user_version", 99)
        .expect("set");
    let error = Journal::open(folder.path())
        .expect_err("it is newer")
        .to_string();
    assert!(error.contains("newer Tidemill (version 99"), "{error}");
}

#[test]
fn resyncs_are_read_by_pages_and_tables_by_their_last_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(folder.path()).expect("a new journal");
    let of = |name: &str, estimated_rows| TableRecord {
        estimated_rows,
        ..TableRecord::new(
            TableName::new("shop", name),
            name.to_owned(),
            "f".to_owned(),
        )
    };
    let mut ids = Vec::new();
    for number in 0..5 {
        let resync = ResyncRecord::new(Kind::Resync);
        // Only the second has had a part for `lines`.
        let mut tables = vec![of("orders", number)];
        tables.extend((number == 1).then(|| of("lines", number)));
        journal.begin(&resync, &tables).expect("begun");
        ids.insert(0, resync.id);
    }
    let page = |before: Option<&str>, most| {
        let page = journal.latest_resyncs(before, most).expect("readable");
        page.map(|page| page.into_iter().map(|r| r.id).collect::<Vec<_>>())
    };
    assert_eq!(page(None, 2), Some(ids[..2].to_vec()));
    assert_eq!(page(Some(&ids[1]), 2), Some(ids[2..4].to_vec()));
    assert_eq!(page(Some(&ids[3]), usize::MAX), Some(ids[4..].to_vec()));
    assert_eq!(page(Some(&ids[4]), 2), Some(Vec::new()));
    assert_eq!(page(Some("none"), 2), None);
    let found = journal.resync(&ids[2]).expect("readable");
    assert_eq!(found.map(|found| found.id), Some(ids[2].clone()));
    let last = |name: &str| {
        let last = journal.last_of_table(&TableName::new("shop", name));
        last.expect("readable").map(|table| table.estimated_rows)
    };
    assert_eq!(
        (last("orders"), last("lines"), last("none")),
        (Some(4), Some(1), None)
    );
}
