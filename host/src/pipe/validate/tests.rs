use super::*;

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
    pipe(SourceText {
        path: PathBuf::from("pipes/shop.toml"),
        text: text.to_owned(),
    })
}

#[test]
fn a_good_pipe_has_its_defaults() {
    let pipe = load(GOOD).expect("it is good");
    assert_eq!(pipe.state, PathBuf::from("pipes/.tidemill/shop"));
    assert_eq!(pipe.source.tls, TlsMode::Disabled);
    assert_eq!(pipe.swap.max_shrink, 0.1);
    assert_eq!(pipe.swap.keep_old, Duration::from_secs(7 * 86_400));
    let table = &pipe.tables[0];
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
