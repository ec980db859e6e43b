//! Each template as it is: made, built, tested, looked at, and run in a pipe.

use std::process::Command;

use super::{Author, verdict};
use crate::support::{Flavor, World, root};

const ROWS: &str = "(1, 'Ada Lovelace', '  Ada@Example.ORG ', 12.50), (2, 'Robot 7', 'robot7@test.invalid', 0), \
                    (3, 'Grace Hopper', NULL, -3.10), (5, 'Zoë Đặng', 'zoë@bücher.example', 99999999.99)";

fn works(language: &str) {
    let author = Author::new(language);
    let built = author.json(&["plugin", "build"]).ok();
    assert_eq!(
        built.json["result"]["file"], "./build/tidy.wasm",
        "{built:#?}"
    );
    let tested = author.json(&["plugin", "test"]).ok();
    assert_eq!(verdict(&tested), "passed", "{tested:#?}");
    let test = &tested.json["result"][0];
    assert_eq!(
        (test["rows_in"].as_u64(), test["filtered"][0].as_u64()),
        (Some(5), Some(2)),
        "{test:#}"
    );
    assert_eq!(test["rejected"][0]["row"], 4, "{test:#}");

    let inspected = author.json(&["plugin", "inspect"]).ok();
    let told = &inspected.json["result"];
    assert_eq!(
        (&told["name"], &told["contract"]),
        (&"tidy".into(), &"0.1.0".into()),
        "{told:#}"
    );
    assert_eq!(
        told["config_schema"]["properties"]["column"]["default"], "email",
        "{told:#}"
    );
    let imports = told["imports"].as_array().unwrap();
    assert!(
        imports
            .iter()
            .all(|import| import.as_str().unwrap().starts_with("tidemill:transform/")),
        "{told:#}"
    );

    runs_in_a_pipe(&author);
}

fn runs_in_a_pipe(author: &Author) {
    let plugin = toml::Value::from(author.component().to_str().unwrap());
    let world = World::new(Flavor::MySql).table(
        "customers",
        &format!("[[table.transform]]\nplugin = {plugin}\nconfig = {{ drop_domains = [\"test.invalid\"] }}"),
    );
    world.mysql.run(&format!(
        "CREATE TABLE customers (id BIGINT PRIMARY KEY, name VARCHAR(50) NOT NULL, email VARCHAR(100), balance DECIMAL(10, 2) NOT NULL) \
         CHARACTER SET utf8mb4;\nINSERT INTO customers VALUES {ROWS};\n"
    ));
    world.tidemill(&["run"]).ok();
    let rows = world.clickhouse.query(
        "SELECT id, email, email_domain, balance FROM {db}.customers ORDER BY id FORMAT TSV",
    );
    assert_eq!(
        rows,
        "1\tada@example.org\texample.org\t12.5\n3\t\\N\t\\N\t-3.1\n5\tzoë@bücher.example\tbücher.example\t99999999.99"
    );
    // A row that can't be transformed stops a load that says nothing of it.
    world
        .mysql
        .run("INSERT INTO customers VALUES (4, 'Nobody', 'not an address', 0);\n");
    world
        .tidemill(&["resync", "--yes"])
        .fails(5, &["an @ is missing", "`tidy`"]);
}

fn passes(author: &Author, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .current_dir(author.path())
        .args(arguments)
        .env("CARGO_TARGET_DIR", root().join("target/templates"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:#?}"
    );
}

#[test]
fn rust_works_as_it_is() {
    works("rust");
}

#[test]
fn python_works_as_it_is() {
    works("python");
}

#[test]
fn javascript_works_as_it_is() {
    works("javascript");
}

#[test]
fn typescript_works_as_it_is() {
    works("typescript");
}

#[test]
fn c_works_as_it_is() {
    works("c");
}

#[test]
fn tests_without_the_sandbox_pass_too() {
    passes(
        &Author::new("python"),
        "python3",
        &["-m", "unittest", "discover", "-s", "tests"],
    );
    passes(&Author::new("javascript"), "npm", &["test", "--silent"]);
    passes(&Author::new("rust"), "cargo", &["test", "--quiet"]);

    let typed = Author::new("typescript");
    let tools = root().join("tests/provision/plugin-tools");
    let tools = Command::new(tools).output().unwrap().stdout;
    let modules = format!(
        "{}/node/node_modules",
        String::from_utf8(tools).unwrap().trim()
    );
    std::os::unix::fs::symlink(modules, typed.path().join("node_modules")).unwrap();
    passes(&typed, "npm", &["test", "--silent"]);
}

#[test]
fn the_helpers_pass_their_own_tests() {
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .current_dir(crate::support::root())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:#?}"
        );
    };
    run(
        "python3",
        &[
            "-B",
            "-m",
            "unittest",
            "discover",
            "-s",
            "plugins/sdk-python/tests",
        ],
    );
    run(
        "node",
        &["--test", "plugins/sdk-javascript/tidemill.test.js"],
    );
}
