use std::collections::BTreeMap;

use super::*;
use crate::digest::Digest;
use crate::pipe::{Access, Cdc, OnDrop, OnTruncate};

const GOOD: &str = r#"
name = "shop"

[source]
user = "tidemill"
password = "s3cret"

[destination]
url = "embedded"
database = "shop"

[[table]]
source = "shop.orders"
settings = { index_granularity = 4096, storage_policy = "hot's" }

[[table.transform]]
plugin = "filter"
config = { where = "status <> 'test'" }
limits = { memory = "32MiB", deadline = "200ms" }
"#;

fn load(text: &str) -> Result<Pipe, PipeError> {
    let path = PathBuf::from("pipes/shop.toml");
    let text = text.to_owned();
    pipe(SourceText { path, text }, Access::Own)
}

#[test]
fn a_good_pipe_has_its_defaults() {
    let pipe = load(GOOD).expect("it is good");
    assert_eq!(pipe.state, PathBuf::from("pipes/.tidemill/shop"));
    assert_eq!(pipe.source.tls, TlsMode::Disabled);
    assert_eq!(pipe.cdc, Cdc::AfterLoad);
    assert_eq!(pipe.apply.rows, 100_000);
    assert_eq!(pipe.apply.bytes, 64 << 20);
    assert_eq!(pipe.apply.every, Duration::from_secs(1));
    assert_eq!(pipe.apply.heartbeat, Duration::from_secs(5));
    assert!(!pipe.brakes.any());
    assert_eq!(pipe.swap.max_shrink, 0.1);
    assert_eq!(pipe.swap.keep_old, Duration::from_secs(7 * 86_400));
    let table = &pipe.tables[0];
    assert_eq!(table.on_truncate, OnTruncate::Stop);
    assert_eq!(table.on_drop, OnDrop::Stop);
    assert_eq!(table.destination, "orders");
    assert_eq!(
        table.settings[1],
        ("storage_policy".to_owned(), "'hot\\'s'".to_owned())
    );
    assert_eq!(
        table.transforms[0].limits.batch_deadline,
        Some(Duration::from_millis(200))
    );
    assert!(
        !format!("{pipe:?}").contains("s3cret"),
        "a secret is never printed"
    );
    assert_eq!(
        pipe.locate("table[0].transform[0].config.where").line,
        Some(18)
    );
}

#[test]
fn a_wrong_key_or_value_is_named_with_its_line() {
    let cases = [
        (
            "user = \"tidemill\"",
            "usr = \"tidemill\"",
            "pipes/shop.toml:5:1: unknown field `usr`",
        ),
        (
            "url = \"embedded\"",
            "url = \"localhost\"",
            "pipes/shop.toml:9:1: `destination.url`: expected `embedded`",
        ),
        (
            "\"shop.orders\"",
            "\"orders\"",
            "pipes/shop.toml:13:1: `table[0].source`: `orders` is no table name",
        ),
        (
            "\"32MiB\"",
            "\"lots\"",
            "`table[0].transform[0].limits.memory`: `lots` is no size",
        ),
        (
            "\"200ms\"",
            "\"soon\"",
            "`table[0].transform[0].limits.deadline`: `soon` is no duration",
        ),
        (
            "password = \"s3cret\"",
            "password_env = \"TIDEMILL_NOT_SET\"",
            "the environment variable TIDEMILL_NOT_SET is not set",
        ),
        (
            "password = \"s3cret\"",
            "password_file = \"nowhere\"",
            "pipes/nowhere can't be read",
        ),
        (
            "name = \"shop\"",
            "name = \"a b\"",
            "pipes/shop.toml:2:1: `name`: a pipe's name has",
        ),
        (
            "name = \"shop\"",
            "name = \"shop\"\ncdc = false\ncdc_only = true",
            "pipes/shop.toml:4:1: `cdc_only`: without cdc",
        ),
        (
            "[destination]",
            "[apply]\nrows = 1000001\n[destination]",
            "pipes/shop.toml:9:1: `apply.rows`: an insert has 1 to 1000000",
        ),
        (
            "[destination]",
            "[apply]\nbytes = \"1MB\"\n[destination]",
            "`apply.bytes`: an insert has 1MiB",
        ),
        (
            "[destination]",
            "[apply]\nevery = \"9ms\"\n[destination]",
            "`apply.every`: `9ms` is not between 10ms and 10 minutes",
        ),
        (
            "[destination]",
            "[apply]\nheartbeat = \"1h\"\n[destination]",
            "`apply.heartbeat`: `1h` is not between 100ms and 10 minutes",
        ),
        (
            "[destination]",
            "[apply]\nserver_id = 0\n[destination]",
            "`apply.server_id`: a server's number is 1 to",
        ),
        (
            "[destination]",
            "[apply]\non_drop = \"apply\"\n[destination]",
            "unknown variant `apply`, expected `stop` or `ignore`",
        ),
        (
            "[destination]",
            "[brakes]\nthreads_running = 0\n[destination]",
            "`brakes.threads_running`: at least one",
        ),
        (
            "[destination]",
            "[brakes]\nreplica_lag = \"late\"\n[destination]",
            "`brakes.replica_lag`: `late` is no duration",
        ),
        (
            "[destination]",
            "[brakes]\nreplica_lag_query = \"SELECT 1\"\n[destination]",
            "`brakes.replica_lag_query`: the lag is only asked for",
        ),
    ];
    for (from, to, expected) in cases {
        let error = load(&GOOD.replace(from, to)).expect_err(to).to_string();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn destinations_may_not_clash() {
    for destination in [
        "orders",
        "orders_resync",
        "orders_resync_old",
        "orders_rejected",
    ] {
        let text = format!(
            "{GOOD}\n[[table]]\nsource = \"shop.other\"\ndestination = \"{destination}\"\n"
        );
        let error = load(&text).expect_err(destination).to_string();
        assert!(
            error.contains("clashes with `orders` of `table[0]`"),
            "{error}"
        );
    }
}

#[test]
fn a_table_follows_the_pipe_unless_it_says_otherwise() {
    let text = GOOD.replace(
        "[destination]",
        "[apply]\non_truncate = \"apply\"\non_drop = \"ignore\"\n[destination]",
    ) + "\n[[table]]\nsource = \"shop.kept\"\non_truncate = \"ignore\"\non_drop = \"stop\"\n";
    let pipe = load(&text).expect("it is good");
    let policies: Vec<_> = pipe
        .tables
        .iter()
        .map(|table| (table.on_truncate, table.on_drop))
        .collect();
    let stated = [
        (OnTruncate::Apply, OnDrop::Ignore),
        (OnTruncate::Ignore, OnDrop::Stop),
    ];
    assert_eq!(policies, stated);
    let only = load(&GOOD.replace("name =", "cdc_only = true\nname =")).expect("it is good");
    assert_eq!(only.cdc, Cdc::Only);
}

#[test]
fn a_pipe_has_a_server_id_of_its_own() {
    let server_id = |from: &str, to: &str| {
        let pipe = load(&GOOD.replace(from, to)).expect("it is good");
        pipe.apply.server_id
    };
    let own = server_id("", "");
    assert!(own >= 1_000_000);
    assert_eq!(own, server_id("", ""), "it stays the same");
    assert_ne!(own, server_id("name = \"shop\"", "name = \"shop2\""));
    assert_ne!(
        own,
        server_id("name = \"shop\"", "name = \"shop\"\nstate = \"elsewhere\"")
    );
    let stated = "[apply]\nserver_id = 7\n[destination]";
    assert_eq!(server_id("[destination]", stated), 7);
}

#[test]
fn a_pinned_pipe_is_the_same_without_its_secrets() {
    let text = GOOD
        .replace("name = \"shop\"", "name = \"shop\"\ncdc_only = true")
        .replace(
            "[destination]",
            "[values]\non_out_of_range = \"clamp\"\n[metadata]\nversion = \"v\"\n[destination]\npassword = \"s3cret too\"",
        )
        + "\n[[table]]\nsource = \"shop.`a.b \\\"c\\\"`\"\ntypes = { flag = \"Int8\", \"no te\" = { default = \"\\u0007\", zero_dates = \"1970-01-01\" } }\n";
    let pipe = load(&text).expect("it is good");
    let pinned = pipe.pinned_text(&BTreeMap::new());
    assert!(!pinned.contains("s3cret"), "{pinned}");
    let again = load(&pinned).unwrap_or_else(|error| panic!("{error}: {pinned}"));
    assert!(again.source.password.is_none() && again.destination.password.is_none());
    let content = |pipe: &Pipe| {
        let (tables, metadata) = (&pipe.tables, &pipe.metadata);
        format!("{tables:?} {metadata:?} {:?} {:?}", pipe.cdc, pipe.apply)
    };
    assert_eq!(content(&again), content(&pipe));
    assert_eq!(again.pinned_text(&BTreeMap::new()), pinned);
    let from_elsewhere = GOOD.replace("password = \"s3cret\"", "password_env = \"PATH\"");
    let pinned = load(&from_elsewhere)
        .expect("it is good")
        .pinned_text(&BTreeMap::new());
    assert!(!pinned.contains("PATH"), "{pinned}");
}

#[test]
fn a_pinned_pipe_finds_the_files_of_its_transforms_from_anywhere() {
    let text = format!(
        "{GOOD}[[table.transform]]\nplugin = \"lookup\"\ntables = {{ kept = {{ file = \"a.csv\" }}, other = {{ file = \"b.csv\" }} }}\ngrants = {{ files = [\"geo\"] }}\n"
    );
    let pipe = load(&text).unwrap_or_else(|error| panic!("{error}"));
    let transform = &pipe.tables[0].transforms[1];
    let key = transform.table_key(&transform.references[0]);
    let digest = Digest::of(b"rows");
    let copy = (PathBuf::from("/kept/1.csv"), digest.clone());
    let pinned = pipe.pinned_text(&BTreeMap::from([(key, copy)]));
    let again = Pipe::parse(Path::new("/elsewhere/pinned.toml"), pinned).unwrap();
    let transform = &again.tables[0].transforms[1];
    let [kept, other] = &transform.references[..] else {
        panic!("{transform:#?}")
    };
    assert_eq!(
        (&kept.file, &kept.digest),
        (&PathBuf::from("/kept/1.csv"), &Some(digest))
    );
    let here = |name: &str| std::path::absolute(pipe.folder.join(name)).unwrap();
    assert_eq!((&other.file, &other.digest), (&here("b.csv"), &None));
    assert_eq!(transform.grants.files, Some(vec![here("geo")]));
}

#[test]
fn ten_thousand_tables_are_compared_at_once_and_more_are_refused() {
    let pipe_of = |tables: usize, last: &str| {
        let (head, _) = GOOD.split_once("[[table]]").unwrap();
        let mut text = head.to_owned();
        for i in 0..tables {
            text += &format!("[[table]]\nsource = \"shop.t{i}\"\n");
        }
        text + last
    };
    let begun = std::time::Instant::now();
    assert_eq!(load(&pipe_of(10_000, "")).unwrap().tables.len(), 10_000);
    let twice = load(&pipe_of(9_999, "[[table]]\nsource = \"shop.t7\"\n")).unwrap_err();
    assert!(
        twice
            .to_string()
            .contains("shop.t7 is in `table[7]` already"),
        "{twice}"
    );
    for (name, twin) in [
        ("t7_resync", "t7"),
        ("t9_rejected", "t9"),
        ("t0_resync_old", "t0"),
    ] {
        let last = format!("[[table]]\nsource = \"shop.x\"\ndestination = \"{name}\"\n");
        let error = load(&pipe_of(9_999, &last)).unwrap_err().to_string();
        assert!(
            error.contains(&format!("clashes with `{twin}` of")),
            "{error}"
        );
    }
    let more = load(&pipe_of(10_001, "")).unwrap_err().to_string();
    assert!(
        more.contains("at most 10000 tables") && more.contains("table[10000]"),
        "{more}"
    );
    // Pairs of them would be 50 million, five times.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn a_later_table_may_not_have_a_twin_of_an_earlier_ones_name() {
    let (head, _) = GOOD.split_once("[[table]]").unwrap();
    let text =
        format!("{head}[[table]]\nsource = \"shop.a_resync\"\n[[table]]\nsource = \"shop.a\"\n");
    let error = load(&text).unwrap_err().to_string();
    assert!(
        error.contains("`a` clashes with `a_resync` of `table[0]`"),
        "{error}"
    );
}
