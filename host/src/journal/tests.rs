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
