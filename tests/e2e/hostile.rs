//! Plugins that misbehave while rows stream: one clear error, the original untouched, the host alive.

use crate::shop;
use crate::support::{Flavor, World};

/// A loaded shop whose `orders` go through the hostile plugin from now on.
fn world(mode: &str) -> (World, String) {
    let mut world = shop::loaded(shop::shop(Flavor::MySql));
    let before = shop::visible(&world);
    world.clear_tables();
    world.add_table(
        "orders",
        &format!("[[table.transform]]\nplugin = \"hostile\"\nconfig = {{ mode = \"{mode}\" }}\nlimits = {{ deadline = \"3s\", memory = \"32MiB\" }}"),
    );
    (world, before)
}

#[test]
fn a_misbehaving_plugin_is_named_with_table_chunk_and_reason() {
    for (mode, reason) in [
        ("trap", "crashed"),
        ("loop", "time limit"),
        ("memory", "memory limit"),
        ("short-column", "broke the contract"),
        ("bad-offsets", "broke the contract"),
        ("invalid-utf8", "broke the contract"),
    ] {
        let (world, before) = world(mode);
        let failed = world.tidemill(&["resync", "--yes"]);
        let table = format!("{}.orders", world.mysql.database);
        failed.fails(5, &["plugin `hostile`", &table, "chunk", reason]);
        assert_eq!(
            shop::visible(&world),
            before,
            "{mode}: the original is untouched"
        );
        // The pipe goes on with a plugin that behaves.
        world.tidemill(&["abort", "--yes"]).ok();
    }
}
