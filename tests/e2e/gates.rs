//! What holds a swap back.

use crate::shop::{self, KEPT_ORDERS};
use crate::support::{Flavor, World};

fn halved() -> (World, String) {
    let mut world = shop::loaded(shop::shop(Flavor::MySql));
    let before = shop::visible(&world);
    world.clear_tables();
    world.add_table("items", "");
    world.add_table(
        "orders",
        "[[table.transform]]\nplugin = \"filter\"\nconfig = { where = \"id > 2500\" }",
    );
    (world, before)
}

#[test]
fn a_filter_that_halves_a_table_waits_for_approval() {
    let (world, before) = halved();
    let waiting = world.tidemill(&["resync", "--yes"]);
    assert_eq!(waiting.code, Some(8), "{waiting:#?}");
    assert_eq!(
        shop::visible(&world),
        before,
        "no pair is swapped while one waits"
    );
    let status = world.tidemill(&["status"]).ok();
    assert_eq!(status.json["result"]["resync"]["phase"], "resync");
    let orders = &status.json["result"]["resync"]["tables"][1];
    assert!(
        orders["reason"]
            .as_str()
            .unwrap()
            .contains(&format!("{KEPT_ORDERS} rows become 2500")),
        "{orders}"
    );
    world.tidemill(&["approve", "--yes"]).ok();
    assert_eq!(world.clickhouse.count("orders"), 2500);
}

#[test]
fn what_waits_can_be_given_up() {
    let (world, before) = halved();
    assert_eq!(world.tidemill(&["resync", "--yes"]).code, Some(8));
    world.tidemill(&["abort", "--yes"]).ok();
    assert_eq!(shop::visible(&world), before);
    assert_eq!(
        world.clickhouse.query(
            "SELECT count() FROM system.tables WHERE database = '{db}' AND name LIKE '%_resync%'"
        ),
        "0"
    );
    world
        .tidemill(&["approve", "--yes"])
        .fails(9, &["no resync"]);
}

/// A resync that was killed when its copy was complete, and before it was verified.
fn stopped_before_verification(mode: &str) -> (World, String) {
    let world =
        shop::loaded(shop::shop(Flavor::MySql).settings(&format!("[verify]\nmode = \"{mode}\"\n")));
    let before = shop::visible(&world);
    stop_before_verification(&world);
    (world, before)
}

/// Kills a resync when its copy is complete, and before it is verified.
pub(crate) fn stop_before_verification(world: &World) {
    stop_at(world, |place| place.contains("after `phase Resync`"));
}

/// Kills a resync at the first crash point that is the wanted one.
pub(crate) fn stop_at(world: &World, wanted: impl Fn(&str) -> bool) {
    for step in 1.. {
        let mut command = world.command(&["resync", "--yes"]);
        let stopped = crate::support::world::answer(
            command
                .env("TIDEMILL_CRASH_AT", step.to_string())
                .output()
                .unwrap(),
        );
        assert_eq!(stopped.code, None, "{stopped:#?}");
        if wanted(&stopped.stderr) {
            return;
        }
        // There is nothing to give up where the kill came before the first record.
        world.tidemill(&["abort", "--yes"]);
    }
}

#[test]
fn a_copy_with_a_row_too_few_is_not_swapped() {
    let (world, before) = stopped_before_verification("counts");
    world
        .clickhouse
        .run("ALTER TABLE {db}.orders_resync DELETE WHERE id = 77 SETTINGS mutations_sync = 2;\n");
    world
        .tidemill(&["resume"])
        .fails(6, &["orders", "rows were written"]);
    assert_eq!(shop::visible(&world), before);
    assert_eq!(
        world.tidemill(&["status"]).json["result"]["resync"]["phase"],
        "failed"
    );
    world.tidemill(&["abort", "--yes"]).ok();
    assert_eq!(shop::visible(&world), before);
}

#[test]
fn a_copy_with_a_wrong_value_is_not_swapped() {
    let (world, before) = stopped_before_verification("full");
    world.clickhouse.run("ALTER TABLE {db}.orders_resync UPDATE total = total + 1 WHERE id = 77 SETTINGS mutations_sync = 2;\n");
    world
        .tidemill(&["resume"])
        .fails(6, &["the column `total`"]);
    assert_eq!(shop::visible(&world), before);
}
