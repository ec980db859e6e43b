//! That the harness sees what it is for: with writers that have stopped, a load is equal to the source, and a row that was changed by hand is not.

use super::reference::{assert_same, compare_all};
use super::tables::Table;
use super::writer::Pace;
use super::{QUICK, written};
use crate::support::{Flavor, World};

#[test]
fn what_the_writers_wrote_is_compared_row_for_row() {
    for flavor in Flavor::ALL {
        let pace = Pace {
            connections: 4,
            rate: 0,
            noted: flavor == Flavor::MariaDb,
        };
        let (world, mut writer) = written(World::new(flavor).settings(QUICK), pace);
        writer.start();
        writer.await_events(20_000);
        writer.stop();
        world.tidemill(&["run"]).ok();
        let compared = assert_same(&world, &writer);
        assert!(
            compared.tables == 5 && compared.rows > 10_000,
            "{compared:?}"
        );
        for (table, change) in [
            (Table::Points, "rev = rev + 1"),
            (Table::Orders, "email = 'x'"),
            (Table::Stock, "pieces = pieces + 1"),
            (Table::Events, "v = 7"),
            (Table::Wide, "note = 'x'"),
        ] {
            let name = table.name();
            let row = format!("WHERE rev = (SELECT max(rev) FROM {{db}}.{name})");
            world.clickhouse.run(&format!(
                "CREATE TABLE {{db}}.kept AS {{db}}.{name};\nINSERT INTO {{db}}.kept SELECT * FROM {{db}}.{name};\n\
                 ALTER TABLE {{db}}.{name} UPDATE {change} {row} SETTINGS mutations_sync = 2;\n"
            ));
            let told = compare_all(&world, &writer).expect_err(name);
            assert!(told.contains(&format!("`{name}`")), "{told}");
            world.clickhouse.run(&format!(
                "EXCHANGE TABLES {{db}}.{name} AND {{db}}.kept;\nDROP TABLE {{db}}.kept SYNC;\n"
            ));
        }
        assert_same(&world, &writer);
    }
}
