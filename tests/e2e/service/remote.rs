//! The command line with `--server`: the same subcommands and outputs as on a pipe file of this machine.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Flavor, Service, World};

/// The names of all members of a document, each by its way from the top.
fn shape(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                shape(field, &format!("{at}.{name}"), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| shape(item, at, found)),
        _ => drop(found.insert(at.to_owned())),
    }
}

fn shape_of(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    shape(value, "", &mut found);
    found
}

fn world() -> World {
    let world = World::new(Flavor::MySql).table(
        "orders",
        "[[table.transform]]\nplugin = \"filter\"\nconfig = { where = \"id <> 2\" }\n",
    );
    world.mysql.run(
        "CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20)); INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (3, 'c');\n",
    );
    world
}

#[test]
fn commands_answer_of_a_service_as_of_a_pipe_file() {
    let (here, there, service) = (world(), world(), Service::start());
    let client = service.tenant("acme");
    let file = there.folder().join("remote.toml");
    std::fs::write(&file, there.pipe_text("remote")).expect("it is writable");
    let file = file.display().to_string();
    let (code, made) = client.command(&["pipe", "create", &file]);
    assert_eq!((code, &made["ok"]), (Some(0), &Value::Bool(true)), "{made}");

    let tables = [&here, &there].map(|world| format!("{}.orders", world.mysql.database));
    let steps: [&[&str]; 9] = [
        &["check"],
        &["plan"],
        &["preview", "{table}"],
        &["run"],
        &["status"],
        &["tables"],
        &["resync", "--yes"],
        &["history"],
        &["rollback", "--yes"],
    ];
    for step in steps {
        let fill = |table: &str| -> Vec<String> {
            step.iter()
                .map(|word| word.replace("{table}", table))
                .collect()
        };
        let (own, others) = (fill(&tables[0]), fill(&tables[1]));
        fn words(words: &[String]) -> Vec<&str> {
            words.iter().map(String::as_str).collect()
        }
        let local = here.tidemill(&words(&own));
        let mut arguments = vec!["--pipe", "remote"];
        let others = words(&others);
        arguments.extend(&others);
        let (code, json) = client.command(&arguments);
        assert_eq!(code, local.code, "{step:?}: {json:#} {local:#?}");
        assert_eq!(json["command"], local.json["command"]);
        let differ = (shape_of(&local.json), shape_of(&json));
        let differ: Vec<_> = differ.0.symmetric_difference(&differ.1).collect();
        assert!(
            differ.is_empty(),
            "{step:?}: {differ:?}\n{json:#}\n{:#}",
            local.json
        );
    }
    // By the file, whose name it has; and what is refused has the same code and exit.
    let (code, json) = client.command(&["--pipe", &file, "abort", "--yes"]);
    assert_eq!(code, Some(9), "{json}");
    assert_eq!(json["error"]["code"], "nothing_to_do");
    let (code, json) = client.command(&["--pipe", "none", "status"]);
    assert_eq!(
        (code, &json["error"]["code"]),
        (Some(2), &"not_found".into())
    );
    let (code, listed) = client.command(&["pipe", "list"]);
    assert_eq!(
        (code, &listed["result"][0]["name"]),
        (Some(0), &"remote".into())
    );
    let (code, _) = client.command(&["pipe", "delete", "remote", "--yes"]);
    assert_eq!(code, Some(0));
    let (code, json) = client.with("tm_0_0").command(&["pipe", "list"]);
    assert_eq!((code, &json["error"]["code"]), (Some(2), &"token".into()));
}
