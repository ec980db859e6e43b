//! `plugin test` and `plugin bench`: what differs is shown so that it can be mended, and what is right is written down.

use super::{Author, verdict};
use crate::support::{Flavor, World};

#[test]
fn a_difference_is_shown_by_row_and_cell_and_update_writes_it_down() {
    let author = Author::new("c");
    author.edit("tests/expected.jsonl", "ada@example.org", "Ada@example.org");
    author.edit("tests/expected.rejected.jsonl", "an @", "a letter");
    let shown = author.text(&["plugin", "test"]);
    assert_eq!(shown.status.code(), Some(5), "{shown:?}");
    let text = String::from_utf8(shown.stdout).unwrap();
    for words in [
        "failed addresses (5 rows in, 3 out, 1 left out, 1 rejected)",
        r#"- {"id": 1, "name": "Ada Lovelace", "email": "Ada@example.org""#,
        r#"+ {"id": 1, "name": "Ada Lovelace", "email": "ada@example.org""#,
        r#"email: expected "Ada@example.org", found "ada@example.org""#,
        r#"reason: expected "no address: a letter is missing", found "no address: an @ is missing""#,
        "0 of 1 test passed",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(
        !text.contains('\u{1b}'),
        "no colours without a terminal: {text}"
    );
    let updated = author.json(&["plugin", "test", "--update"]).ok();
    assert!(
        verdict(&updated)["updated"]
            .as_str()
            .unwrap()
            .ends_with("tests/expected.jsonl"),
        "{updated:#?}"
    );
    assert_eq!(verdict(&author.json(&["plugin", "test"]).ok()), "passed");
    // Nothing is rejected any more: the file of what is goes.
    author.edit("tests/customers.jsonl", "not an address", "an@address");
    author.json(&["plugin", "test", "--update"]).ok();
    assert!(!author.path().join("tests/expected.rejected.jsonl").exists());
}

#[test]
fn rows_come_in_every_format() {
    let author = Author::new("c");
    let columns = [
        "--column",
        "id: int64",
        "--column",
        "name: utf8",
        "--column",
        "email: utf8?",
        "--column",
        "balance: decimal128(10, 2)",
    ];
    for format in ["csv", "parquet", "arrow", "jsonl"] {
        let (rows, expected) = (
            format!("tests/rows.{format}"),
            format!("tests/out.{format}"),
        );
        // The template's rows, by way of a plugin that does nothing to them, in this format.
        let passed = [
            &[
                "plugin",
                "test",
                "passthrough.wasm",
                "--input",
                "tests/customers.jsonl",
                "--config",
                "{}",
                "--key",
                "id",
            ][..],
            &columns,
        ]
        .concat();
        std::fs::copy(
            crate::support::root().join("target/plugins/passthrough.wasm"),
            author.path().join("passthrough.wasm"),
        )
        .unwrap();
        author
            .json(&[&passed[..], &["--expected", &rows, "--update"]].concat())
            .ok();
        let test = ["plugin", "test", "--input", &rows, "--expected", &expected];
        author.json(&test).fails(5, &["--update", "out."]);
        author.json(&[&test[..], &["--update"]].concat()).ok();
        assert_eq!(verdict(&author.json(&test).ok()), "passed", "{format}");
    }
}

#[test]
fn a_plugin_that_remembers_is_found_out() {
    let author = Author::new("c");
    author.edit(
        "src/plugin.c",
        "tidemill_bytes given = trimmed(tidemill_cell(&columns[0], row));",
        "static int calls;\n    tidemill_bytes given = ++calls % 3 == 2 ? tidemill_of(\"a@b\") : trimmed(tidemill_cell(&columns[0], row));",
    );
    let told = author.json(&["plugin", "test"]);
    assert_eq!(told.code, Some(5), "{told:#?}");
    let reason = verdict(&told)["unsteady"]
        .as_str()
        .unwrap_or_else(|| panic!("{told:#?}"));
    assert!(
        reason.contains("another answer") && reason.contains("remember"),
        "{reason}"
    );
}

#[test]
fn an_error_can_be_expected() {
    let author = Author::new("c");
    let first = std::fs::read_to_string(author.path().join("tidemill-plugin.toml")).unwrap();
    let case = |column: &str| {
        format!(
            "{first}\n[[test]]\nname = \"refused\"\ncolumns = [\"id: int64\", \"other: int8\"]\nconfig = {{ column = \"{column}\" }}\n\
             rows = \"tests/none.jsonl\"\nerror = \"is no text\"\n"
        )
    };
    author.write("tests/none.jsonl", "");
    author.write("tidemill-plugin.toml", &case("other"));
    let passed = author.json(&["plugin", "test"]).ok();
    assert_eq!(passed.json["summary"], "2 of 2 tests passed", "{passed:#?}");
    author.write("tidemill-plugin.toml", &case("email"));
    let failed = author.json(&["plugin", "test", "--test", "refused"]);
    assert_eq!(failed.code, Some(5));
    let reason = verdict(&failed)["failed"].as_str().unwrap();
    assert!(
        reason.contains("no column") && reason.contains("expected is an error with `is no text`"),
        "{reason}"
    );
    author
        .json(&["plugin", "test", "--test", "missing"])
        .fails(2, &["`missing`", "addresses, refused"]);
}

#[test]
fn rows_of_a_source_become_a_test() {
    let author = Author::new("c");
    author.json(&["plugin", "build"]).ok();
    let world = World::new(Flavor::MySql).table("customers", "");
    world.mysql.run(
        "CREATE TABLE customers (id INT PRIMARY KEY, email VARCHAR(50), at TIMESTAMP(6) NOT NULL, span TIME);\n\
         INSERT INTO customers VALUES (2, ' B@C ', '2026-01-02 03:04:05.5', '-100:00:00'), (1, NULL, '2026-01-01 00:00:00', NULL), (3, 'D@E', '2026-01-01 00:00:00', '00:00:01');\n",
    );
    let (table, pipe) = (
        format!("{}.customers", world.mysql.database),
        world.write_pipe(),
    );
    let sampled = [
        "--pipe",
        pipe.to_str().unwrap(),
        "plugin",
        "test",
        "--table",
        &table,
        "--rows",
        "2",
        "--config",
        "{}",
        "--save",
        "tests/sampled.parquet",
    ];
    let shown = author.json(&sampled).ok();
    assert_eq!(verdict(&shown), "unchecked", "{shown:#?}");
    let expected = [&sampled[..10], &["--expected", "tests/table.jsonl"]].concat();
    author.json(&[&expected[..], &["--update"]].concat()).ok();
    assert_eq!(verdict(&author.json(&expected).ok()), "passed");
    author.edit("tests/table.jsonl", "b@c", "B@C");
    assert_eq!(author.json(&expected).code, Some(5));
    // What a pipe may not run is not shown the source's rows.
    author.write("policy.toml", "[plugins]\nrequire_signature = true\ndigests = [\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"]\n");
    let refused = author
        .command(&sampled)
        .env("TIDEMILL_POLICY", "policy.toml")
        .output()
        .unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(5), "{told}");
    assert!(
        told.contains("tidy.wasm") && told.contains("needs a signature"),
        "{told}"
    );
    std::fs::remove_file(author.path().join("policy.toml")).unwrap();
    let rows = shown.json["result"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{shown:#?}");
    assert_eq!(
        rows[1],
        r#"{"id": 2, "email": "b@c", "at": "2026-01-02T03:04:05.500Z", "span": "-100:00:00", "email_domain": "c"}"#
    );
    // The file has the types of the table.
    let again = author
        .json(&[
            "plugin",
            "test",
            "--input",
            "tests/sampled.parquet",
            "--config",
            "{}",
        ])
        .ok();
    assert_eq!(
        again.json["result"][0]["rows"],
        shown.json["result"][0]["rows"]
    );
    author
        .json(&[
            "--pipe",
            pipe.to_str().unwrap(),
            "plugin",
            "test",
            "--table",
            "nowhere.nothing",
        ])
        .fails(4, &["nowhere.nothing"]);
}

#[test]
fn what_is_compared_with_nothing_has_not_passed() {
    let author = Author::new("c");
    let rows = ["plugin", "test", "--input", "tests/customers.jsonl"];
    let shown = author.json(&rows).ok();
    assert_eq!(verdict(&shown), "unchecked", "{shown:#?}");
    let summary = shown.json["summary"].as_str().unwrap();
    assert!(
        summary.contains("nothing was compared") && !summary.contains("passed"),
        "{summary}"
    );
    author
        .json(&[&rows[..], &["--update"]].concat())
        .fails(2, &["--update", "--expected FILE"]);
    author.edit("tidemill-plugin.toml", "expected = ", "# expected = ");
    author
        .json(&["plugin", "test", "--update"])
        .fails(2, &["--update", "tidemill-plugin.toml", "expected ="]);
    let both = author.text(&[&rows[..], &["--test", "addresses"]].concat());
    assert_eq!(both.status.code(), Some(2), "{both:?}");
}

#[test]
fn what_is_no_source_is_no_reason_to_build() {
    let author = Author::new("c");
    author
        .json(&["plugin", "inspect"])
        .fails(5, &["tidy.wasm", "isn't built", "tidemill plugin build"]);
    assert!(!author.component().exists());
    let test = std::fs::read_to_string(author.path().join("tidemill-plugin.toml")).unwrap();
    let tables = "\n[test.tables]\nzones = { file = \"tests/zones.csv\" }\n";
    author.write("tidemill-plugin.toml", &format!("{test}{tables}"));
    author.json(&["plugin", "build"]).ok();
    author.json(&["plugin", "inspect"]).ok();
    author
        .json(&["plugin", "test"])
        .fails(5, &["test `addresses`", "`zones`", "tests/zones.csv"]);
    author.write("tidemill-plugin.toml", &test);

    author.json(&["plugin", "test"]).ok();
    let built = || {
        std::fs::metadata(author.component())
            .unwrap()
            .modified()
            .unwrap()
    };
    let first = built();
    author.edit("tests/customers.jsonl", "not an address", "an@address");
    author.json(&["plugin", "test", "--update"]).ok();
    author.write("README.md", "changed");
    author.json(&["plugin", "test"]).ok();
    assert_eq!(built(), first);
    author.edit("src/plugin.c", "free(small);", "free(small); ");
    author.json(&["plugin", "test"]).ok();
    assert!(built() > first);
}

#[test]
fn the_operator_s_policy_bounds_an_author_s_compilations() {
    let author = Author::new("c");
    author.json(&["plugin", "build"]).ok();
    let caches = tempfile::tempdir().unwrap();
    let inspect = |compile_time: &str| {
        author.write(
            "policy.toml",
            &format!("[plugins]\ncompile_time = \"{compile_time}\"\n"),
        );
        let mut command = author.command(&["plugin", "inspect", "build/tidy.wasm"]);
        command.env("TIDEMILL_POLICY", "policy.toml");
        // What was compiled before is in the other cache.
        command
            .env("XDG_CACHE_HOME", caches.path())
            .output()
            .unwrap()
    };
    let cut = inspect("1ms");
    let told = String::from_utf8(cut.stderr).unwrap();
    assert!(
        told.contains("longer than 1ms") && told.contains("plugins.compile_time"),
        "{told}"
    );
    assert!(inspect("10m").status.success());
}

#[test]
fn a_benchmark_stands_beside_the_pass_through_plugin() {
    let author = Author::new("c");
    let measured = author.json(&["plugin", "bench", "--seconds", "0.2"]).ok();
    let report = &measured.json["result"];
    assert_eq!(
        (&report["plugin"]["name"], &report["passthrough"]["name"]),
        (&"tidy".into(), &"passthrough".into()),
        "{report:#}"
    );
    for plugin in [&report["plugin"], &report["passthrough"]] {
        let number = |name: &str| plugin[name].as_f64().unwrap();
        assert_eq!(number("rows"), number("batches") * 65_536.0, "{plugin:#}");
        assert!(
            number("seconds") >= 0.2 && number("bytes") > number("rows"),
            "{plugin:#}"
        );
        assert!(
            number("seconds_inside") > 0.0 && number("seconds_inside") <= number("seconds"),
            "{plugin:#}"
        );
        assert!(number("peak_memory_bytes") >= 65_536.0, "{plugin:#}");
    }
    let text =
        String::from_utf8(author.text(&["plugin", "bench", "--seconds", "0.1"]).stdout).unwrap();
    for words in [
        "rows/s",
        "inside of the sandbox",
        "peak memory",
        "times the time of passthrough",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn what_is_logged_is_shown_and_what_is_printed_is_not() {
    for (language, file, edits) in [
        (
            "python",
            "src/plugin.py",
            [
                (
                    "import tidemill\n",
                    "import sys\nimport tidemill\nfrom tidemill import log\n\nprint('while it is built')\n",
                ),
                (
                    "        address = row[self.config.column]\n",
                    "        print(row, flush=True)\n        print(row, file=sys.stderr)\n        log('info', 'one way')\n        \
                     tidemill.log('warn', 'another way')\n        address = row[self.config.column]\n",
                ),
            ],
        ),
        (
            "javascript",
            "src/plugin.js",
            [
                ("import { Binding,", "import { log, Binding,"),
                (
                    "    if (row[column] === null) return row;\n",
                    "    console.log(row[column]);\n    console.error(row[column]);\n    log('info', 'one way');\n    \
                     log('warn', 'another way');\n    if (row[column] === null) return row;\n",
                ),
            ],
        ),
    ] {
        let author = Author::new(language);
        for (from, to) in edits {
            author.edit(file, from, to);
        }
        let tested = author.text(&["--log", "debug", "plugin", "test"]);
        let shown = String::from_utf8([tested.stdout, tested.stderr].concat()).unwrap();
        for words in [
            "1 of 1 test passed",
            "one way",
            "another way",
            "is not shown",
        ] {
            assert!(shown.contains(words), "{language}: `{words}`: {shown}");
        }
        assert!(!shown.contains("Ada@"), "{language}: {shown}");
    }
}
