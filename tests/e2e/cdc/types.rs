//! A value is the same whether it comes by the snapshot or by the binlog, of every type, in every character set, in a table of whatever shape.

use super::QUICK;
use crate::shapes::{Shape, count_in_x};
use crate::support::{Flavor, Following, World};
use crate::types::{Sampled, assert_characters, character_tables, fill_character_tables};

const APPLY: &str = "every = \"200ms\"";

#[test]
fn every_type_comes_out_the_same_both_ways() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).with_sentinel(APPLY).settings(QUICK);
        let all = Sampled::all(flavor);
        let tables: Vec<&str> = all.iter().map(|sampled| sampled.table.as_str()).collect();
        for sampled in &all {
            sampled.create(&world);
            world.add_table(&sampled.table, "");
        }
        let loaded: u64 = all.iter().map(|sampled| sampled.fill(&world)).sum();
        let mut pipe = Following::start(&world);
        assert_eq!(world.assert_same_cells(&tables).rows, loaded);
        // The same values a second time, and other ones.
        for table in &tables {
            world.mysql.run(&format!(
                "INSERT INTO {table} (v, w) SELECT v, w FROM {table} ORDER BY id;\n"
            ));
        }
        let followed: u64 = all.iter().map(|sampled| sampled.fill(&world)).sum();
        pipe.caught_up(&world);
        let compared = world.assert_same_cells(&tables);
        assert_eq!(compared.rows, 2 * loaded + followed, "{flavor:?}");
        // Other values in the rows that are there; a key that changes; deletions.
        for table in &tables {
            world.mysql.run(&format!(
                "UPDATE {table} a JOIN {table} b ON b.id = a.id + 1 SET a.v = b.w, a.w = b.w WHERE a.id % 3 = 0;\n\
                 UPDATE {table} SET id = id + 1000000 WHERE id % 7 = 1;\n\
                 DELETE FROM {table} WHERE id % 11 = 4;\n"
            ));
        }
        pipe.caught_up(&world);
        assert!(world.assert_same_cells(&tables).rows < compared.rows);
        assert!(pipe.exits.is_empty(), "{:#?}", pipe.exits);
    }
}

#[test]
fn every_character_of_every_character_set_follows() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).with_sentinel(APPLY).settings(QUICK);
        let sets = character_tables(&mut world);
        let mut pipe = Following::start(&world);
        fill_character_tables(&world, &sets);
        pipe.caught_up(&world);
        assert_characters(&world, &sets);
        // The texts of a deletion and of a changed key come from the image before it.
        for set in &sets {
            world.mysql.run(&format!(
                "UPDATE {set} SET id = -id - 1 WHERE id % 2;\nDELETE FROM {set} WHERE id % 3 = 0;\n"
            ));
        }
        pipe.caught_up(&world);
        world.assert_same_cells(&sets);
    }
}

#[test]
fn every_shape_of_a_table_follows() {
    for flavor in Flavor::ALL {
        let mut world = World::new(flavor).with_sentinel(APPLY).settings(QUICK);
        count_in_x(&world.mysql);
        // Of a table without a key every event is a row; those that are only inserted into look like their source.
        let shapes = || {
            Shape::all(flavor)
                .filter(|shape| !shape.key.is_empty() || !shape.rows.contains("UPDATE"))
        };
        for shape in shapes() {
            let (table, definition) = (shape.table, shape.definition);
            world
                .mysql
                .run(&format!("CREATE TABLE {table} {definition};\n"));
            world.add_table(table, "");
        }
        let mut pipe = Following::start(&world);
        for shape in shapes() {
            world.mysql.run(&format!("{};\n", shape.rows));
        }
        pipe.caught_up(&world);
        let assert_same = || {
            for shape in shapes() {
                let (table, columns, order) = (shape.table, shape.columns, shape.order);
                let modifier = if shape.key.is_empty() { "" } else { " FINAL" };
                world.assert_same_rows(
                    &format!("SELECT {columns} FROM {table} ORDER BY {order}"),
                    &format!("SELECT {columns} FROM {{db}}.{table}{modifier} ORDER BY {order}"),
                );
            }
        };
        assert_same();
        for shape in shapes().filter(|shape| !shape.key.is_empty()) {
            let last = shape.columns.rsplit(", ").next().unwrap();
            let table = shape.table;
            // By whatever column: some rows go.
            world.mysql.run(&format!(
                "DELETE FROM {table} WHERE CRC32({last}) % 3 = 0;\n"
            ));
        }
        pipe.caught_up(&world);
        assert_same();
    }
}
