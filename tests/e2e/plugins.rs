//! The plugins that compute columns, in one chain on a real table, by both ways; what they compute is held against what the source computes itself.

use crate::support::{Flavor, Following, World};

const TRANSFORMS: &str = r#"
[[table.transform]]
plugin = "json"
config = { column = "doc", drop = true, extract = { city = { path = "$.address.city", type = "string" }, total = { path = "/total", type = "decimal(12, 2)" } } }

[[table.transform]]
plugin = "expression"
config = { columns = { amount = { expression = "price * quantity", type = "decimal(12, 2)" }, size = "case when quantity >= 100 then 'large' when quantity > 0 then 'small' end" } }

[[table.transform]]
plugin = "regex"
config = { replace = [{ column = "phone", pattern = "[^0-9+]", with = "" }], extract = [{ column = "email", pattern = "@(?<host>.+)$", into = { host = "mail_host" } }] }

[[table.transform]]
plugin = "datetime"
config = { columns = [{ method = "truncate", column = "seen", unit = "hour" }, { method = "zone", column = "created", to = "Europe/Berlin", into = "created_local" }] }

[[table.transform]]
plugin = "lookup"
config = { table = "countries", on = { country = "code" }, columns = { name = "country_name", vat = "vat" } }
tables = { countries = { file = "countries.csv", columns = ["vat: decimal128(4, 2)"] } }
"#;

/// The numeric codes of ISO 3166: digits, but no numbers.
const COUNTRIES: &str = "code,name,vat\n276,Germany,19.00\n040,Austria,20.00\n004,Afghanistan,\n";

const ROWS: &str = "
  (1, '{\"address\": {\"city\": \"Köln\"}, \"total\": 12.5}', 19.99, 3, '+49 (221) 12-34', 'ada@example.org', '2026-03-29 02:59:59.5', '2026-03-29 00:59:59', '276'),
  (2, '{\"address\": {}}', -0.01, 100, NULL, 'nobody', NULL, '2026-03-29 01:00:00', '040'),
  (3, NULL, 1.00, 0, 'none', NULL, '1999-12-31 23:00:00', '2026-10-25 00:30:00', '004'),
  (4, '{\"total\": \"7\"}', 2.50, 99, '', 'x@y@z', '2026-01-01 00:00:00', '2026-10-25 01:30:00', '999')";

/// What the destination must show of rows, asked of the source; the countries' names as given.
fn at_the_source(names: [&str; 2]) -> String {
    format!(
        "SELECT id, JSON_UNQUOTE(JSON_EXTRACT(doc, '$.address.city')), CAST(JSON_UNQUOTE(JSON_EXTRACT(doc, '$.total')) AS DECIMAL(12, 2)), \
           CAST(price * quantity AS DECIMAL(12, 2)), CASE WHEN quantity >= 100 THEN 'large' WHEN quantity > 0 THEN 'small' END, \
           REGEXP_REPLACE(phone, '[^0-9+]', ''), IF(email LIKE '%@%', SUBSTRING(email, LOCATE('@', email) + 1), NULL), DATE_FORMAT(seen, '%Y-%m-%d %H:00:00'), \
           CASE country WHEN '276' THEN '{}' WHEN '040' THEN '{}' WHEN '004' THEN 'Afghanistan' END, \
           CASE country WHEN '276' THEN '19.00' WHEN '040' THEN '20.00' END FROM orders ORDER BY id",
        names[0], names[1]
    )
}

const AT_THE_DESTINATION: &str = "SELECT id, city, toDecimalString(total, 2), toDecimalString(amount, 2), size, phone, mail_host, toDateTime(seen, 'UTC'), \
     country_name, toDecimalString(vat, 2) FROM {db}.orders FINAL ORDER BY id";

#[test]
fn they_compute_what_the_source_would_by_both_ways() {
    let world = World::new(Flavor::MySql)
        .with_sentinel("every = \"50ms\"")
        .table("orders", TRANSFORMS);
    let countries = world.folder().join("countries.csv");
    std::fs::write(&countries, COUNTRIES).unwrap();
    world.mysql.run(&format!(
        "SET time_zone = '+00:00';
         CREATE TABLE orders (id INT UNSIGNED NOT NULL PRIMARY KEY, doc JSON, price DECIMAL(8, 2) NOT NULL, quantity INT NOT NULL, phone VARCHAR(30),
           email VARCHAR(60), seen DATETIME(1), created TIMESTAMP NOT NULL, country CHAR(3) NOT NULL);
         INSERT INTO orders VALUES {ROWS};\n"
    ));
    let mut pipe = Following::start(&world);
    world.assert_same_rows(&at_the_source(["Germany", "Austria"]), AT_THE_DESTINATION);
    assert_eq!(
        world
            .clickhouse
            .query("SELECT groupArray(toString(toDateTime(created_local, 'UTC'))) FROM (SELECT created_local FROM {db}.orders FINAL ORDER BY id)"),
        "['2026-03-29 01:59:59','2026-03-29 03:00:00','2026-10-25 02:30:00','2026-10-25 02:30:00']"
    );
    assert_eq!(
        world.tidemill(&["status"]).ok().json["result"]["drift"],
        serde_json::json!([])
    );

    // The reference table is another one now; the pipe goes on with the one that it was loaded with, after a restart too.
    std::fs::write(&countries, COUNTRIES.replace("Germany", "Deutschland")).unwrap();
    pipe.pause(&world);
    pipe.go_on(&world, "resume");
    world.mysql.run(
        "SET time_zone = '+00:00';
         INSERT INTO orders SELECT id + 10, doc, price, quantity + 1, phone, email, seen, created, country FROM orders;
         UPDATE orders SET country = '040', doc = JSON_SET(doc, '$.total', 99.99), phone = '0043-1' WHERE id = 1;
         DELETE FROM orders WHERE id = 2;\n",
    );
    pipe.caught_up(&world);
    world.assert_same_rows(&at_the_source(["Germany", "Austria"]), AT_THE_DESTINATION);
    let drift = world.tidemill(&["status"]).ok().json["result"]["drift"].to_string();
    assert!(
        drift.contains("the configuration of `lookup`, or a table in it"),
        "{drift}"
    );

    world.tidemill(&["resync", "--yes"]).ok();
    world.assert_same_rows(
        &at_the_source(["Deutschland", "Austria"]),
        AT_THE_DESTINATION,
    );
    assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
}

#[test]
fn a_reference_table_that_cannot_be_used_is_told_with_its_line() {
    let world = World::new(Flavor::MySql).table("orders", TRANSFORMS);
    world.mysql.run(
        "CREATE TABLE orders (id INT NOT NULL PRIMARY KEY, doc JSON, price DECIMAL(8, 2) NOT NULL, quantity INT NOT NULL, phone VARCHAR(30),
           email VARCHAR(60), seen DATETIME(1), created TIMESTAMP NOT NULL, country CHAR(3) NOT NULL);\n",
    );
    let countries = world.folder().join("countries.csv");
    for (content, words) in [
        (None, ["tables.countries", "No such file"]),
        (Some("code,name,vat\n276,Germany,many\n"), ["line 2", "vat"]),
        (
            Some("code,name\n276,Germany\n"),
            ["no column `vat`", "it has code, name"],
        ),
        (
            Some("code,name,vat\n276,Germany,1\n276,Germany,1\n"),
            ["rows 1 and 2", "same key"],
        ),
        (
            Some("code,title,vat\n276,Germany,1\n"),
            ["no column `name`", "code, title, vat"],
        ),
    ] {
        if let Some(content) = content {
            std::fs::write(&countries, content).unwrap();
        }
        let answer = world.tidemill(&["check"]);
        let told = answer.message() + &answer.json.to_string();
        for word in words {
            assert!(told.contains(word), "`{word}` is not in: {told}");
        }
    }
    // A file of 16 MiB is no small table.
    std::fs::File::create(&countries)
        .unwrap()
        .set_len((16 << 20) + 1)
        .unwrap();
    let answer = world.tidemill(&["check"]);
    let told = answer.message() + &answer.json.to_string();
    assert!(
        told.contains("a small one, of at most 16777216 bytes"),
        "{told}"
    );
}

#[test]
fn a_granted_variable_with_another_value_asks_for_a_resync() {
    let world = World::new(Flavor::MySql)
        .with_sentinel("every = \"50ms\"")
        .table(
            "orders",
            "[[table.transform]]\nplugin = \"filter\"\nconfig = { where = \"id > 0\" }\ngrants = { environment = [\"SHOP_KEY\"] }",
        );
    let policy = world.folder().join("policy.toml");
    std::fs::write(&policy, "[plugins]\nallow = [\"environment\"]\n").unwrap();
    let world = world
        .variable("TIDEMILL_POLICY", policy)
        .variable("SHOP_KEY", "first".into());
    world.mysql.run(
        "CREATE TABLE orders (id INT NOT NULL PRIMARY KEY);\nINSERT INTO orders VALUES (1);\n",
    );
    let mut pipe = Following::start(&world);
    pipe.pause(&world);
    pipe.go_on(&world, "resume");
    pipe.await_table(&world, "orders", "following");
    pipe.pause(&world);

    let world = world.variable("SHOP_KEY", "second".into());
    pipe.go_on(&world, "resume");
    let table = pipe.await_table(&world, "orders", "needs_resync");
    let reason = table["reason"].as_str().unwrap();
    assert!(
        reason.contains("what `filter` is granted is not what it was"),
        "{reason}"
    );
    let name = format!("{}.orders", world.mysql.database);
    world.tidemill(&["resync", "--table", &name, "--yes"]).ok();
    pipe.await_table(&world, "orders", "following");
}
