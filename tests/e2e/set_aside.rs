//! Rows that a plugin can't transform: the pipe says, transform by transform, whether they stop it, are kept apart, or are left out.

use crate::shop::SMALL_CHUNKS;
use crate::support::follow::table_of;
use crate::support::{Flavor, Following, World};

/// Rows at the start. Every hundredth has a code that is no number; every hundredth makes the hostile plugin crash.
const ROWS: u64 = 5_000;
const NO_NUMBERS: u64 = ROWS / 100;
const CRASHES: u64 = ROWS / 100;

/// A cast that rejects rows by itself, and a plugin that crashes; with these settings each.
fn transforms(cast: &str, crash: &str) -> String {
    format!(
        "[[table.transform]]\nplugin = \"columns\"\nconfig = {{ drop = [\"note\"], cast = {{ code = \"int32\" }} }}\n{cast}\n\
         [[table.transform]]\nplugin = \"hostile\"\nconfig = {{ mode = \"trap-at-13\" }}\n{crash}"
    )
}

/// Parcels that go through both.
fn world(flavor: Flavor, cast: &str, crash: &str) -> World {
    let world = World::new(flavor)
        .settings(SMALL_CHUNKS)
        .table("parcels", &transforms(cast, crash));
    let recursion = world.mysql.flavor.deep_recursion();
    world.mysql.run(&format!(
        "{recursion};
         CREATE TABLE parcels (id INT UNSIGNED NOT NULL PRIMARY KEY, code VARCHAR(12) NOT NULL, note TEXT);
         INSERT INTO parcels WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
           SELECT i, IF(i % 100 = 7, CONCAT('x', i), i), 'for nobody' FROM n;\n"
    ));
    world
}

fn shown(world: &World) -> String {
    world
        .clickhouse
        .query("SELECT count(), sum(id) FROM {db}.parcels FINAL")
}

/// Of these rows, how many there are in the table of rejected rows, with the first one's key, plugin and row.
fn rejected(world: &World, plugin: &str) -> String {
    world.clickhouse.query(&format!(
        "SELECT count(), argMin(key, rejected_at), argMin(JSONExtractString(row, 'id') != '', rejected_at), \
           countIf(reason = ''), countIf(JSONHas(row, 'note')) FROM {{db}}.parcels_rejected WHERE plugin = '{plugin}'"
    ))
}

fn sum_kept() -> u64 {
    (1..=ROWS).filter(|i| i % 100 != 7 && i % 100 != 13).sum()
}

#[test]
fn rejected_rows_are_kept_apart_and_the_others_are_loaded() {
    for flavor in Flavor::ALL {
        let world = world(flavor, "on_error = \"reject\"", "on_error = \"reject\"");
        let answer = world.tidemill(&["run"]).ok();
        let ledger = &answer.json["result"]["tables"][0]["ledger"];
        let kept = ROWS - NO_NUMBERS - CRASHES;
        assert_eq!(
            (
                &ledger["read"],
                &ledger["written"],
                &ledger["rejected"],
                &ledger["skipped"]
            ),
            (
                &ROWS.into(),
                &kept.into(),
                &(NO_NUMBERS + CRASHES).into(),
                &0.into()
            )
        );
        assert_eq!(shown(&world), format!("{kept}\t{}", sum_kept()));
        for (plugin, count) in [("columns", NO_NUMBERS), ("hostile", CRASHES)] {
            let told = rejected(&world, plugin);
            let cells: Vec<&str> = told.split('\t').collect();
            assert_eq!(cells[0], count.to_string(), "{plugin}");
            assert!(cells[1].starts_with("{\"id\":"), "{told}");
            // With its row, a reason each, and without the column that an earlier step dropped.
            assert_eq!(cells[2..], ["1", "0", "0"], "{plugin}: {told}");
        }
    }
}

#[test]
fn skipped_rows_are_counted_and_nowhere_else() {
    let world = world(
        Flavor::MySql,
        "on_error = \"skip\"",
        "on_error = \"reject\"\nkeep_row = false",
    );
    let answer = world.tidemill(&["run"]).ok();
    let ledger = &answer.json["result"]["tables"][0]["ledger"];
    assert_eq!(
        (&ledger["rejected"], &ledger["skipped"]),
        (&CRASHES.into(), &NO_NUMBERS.into())
    );
    assert_eq!(
        shown(&world),
        format!("{}\t{}", ROWS - NO_NUMBERS - CRASHES, sum_kept())
    );
    assert!(rejected(&world, "columns").starts_with("0\t"));
    // Those that were rejected are known by their keys alone.
    let kept = world.clickhouse.query(
        "SELECT countIf(row = ''), countIf(JSONHas(key, 'id')) FROM {db}.parcels_rejected WHERE plugin = 'hostile'",
    );
    assert_eq!(kept, format!("{CRASHES}\t{CRASHES}"));
}

#[test]
fn too_many_rejected_rows_stop_the_load_and_a_higher_bound_lets_it_go_on() {
    let bound = |most: u64| format!("on_error = \"reject\"\nmax_rejected = {most}");
    let mut world = world(Flavor::MySql, &bound(20), "on_error = \"skip\"");
    world.tidemill(&["run"]).fails(
        5,
        &[
            "plugin `columns`",
            ".parcels",
            "`max_rejected` of 20 allows",
        ],
    );
    world.clear_tables();
    let mapping = transforms(&bound(NO_NUMBERS), "on_error = \"skip\"");
    world.add_table("parcels", &mapping);
    world.tidemill(&["resume"]).ok();
    assert_eq!(
        shown(&world),
        format!("{}\t{}", ROWS - NO_NUMBERS - CRASHES, sum_kept())
    );
    assert!(rejected(&world, "columns").starts_with(&format!("{NO_NUMBERS}\t")));
}

#[test]
fn without_a_policy_the_first_row_stops_the_load_and_is_named() {
    let world = world(Flavor::MySql, "", "on_error = \"skip\"");
    world
        .tidemill(&["run"])
        .fails(5, &["plugin `columns` rejected a row of", "(key id = "]);
}

#[test]
fn changes_that_can_t_be_transformed_are_kept_apart_and_their_row_is_gone() {
    for flavor in Flavor::ALL {
        let world = world(flavor, "on_error = \"reject\"", "on_error = \"skip\"").with_sentinel("");
        world.write_pipe();
        let mut pipe = Following::start(&world);
        world.mysql.run(
            "UPDATE parcels SET code = 'lost' WHERE id = 1;
             UPDATE parcels SET code = 'lost again' WHERE id = 1;
             UPDATE parcels SET code = '700' WHERE id = 7;
             INSERT INTO parcels VALUES (6001, 'new', NULL), (6013, '1', NULL), (6002, '2', NULL);
             DELETE FROM parcels WHERE id IN (107, 113, 2);\n",
        );
        pipe.caught_up(&world);
        let shown = world.clickhouse.query(
            "SELECT groupArray(id) FROM (SELECT id FROM {db}.parcels FINAL WHERE id IN (1, 2, 7, 107, 113, 6001, 6002, 6013) ORDER BY id)",
        );
        assert_eq!(shown, "[7,6002]", "{flavor:?}");
        let told = world.clickhouse.query(
            "SELECT groupArray((JSONExtractString(key, 'id'), JSONExtractString(row, 'code'))) FROM \
               (SELECT key, row FROM {db}.parcels_rejected WHERE JSONExtractString(row, 'code') NOT LIKE 'x%' ORDER BY key, JSONExtractString(row, 'code'))",
        );
        assert_eq!(
            told, "[('1','lost'),('1','lost again'),('6001','new')]",
            "{flavor:?}"
        );
        let status = world.tidemill(&["status"]).ok();
        let counts = table_of(&status.json["result"], "parcels");
        assert_eq!(
            (&counts["rejected"], &counts["skipped"]),
            (&3.into(), &1.into()),
            "{status:#?}"
        );
    }
}
