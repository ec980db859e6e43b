//! The tables that writers write to, and the pipe's mappings for them.
//!
//! A key is a number, and who owns the number alone writes its row; `rev` comes from one counter, so that it grows with each write of a key.

use crate::support::{Dice, World};

/// A table of the writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Narrow, with an integer key.
    Points,
    /// Wide: text, decimals, moments, JSON, blobs, ENUM, SET, NULLs.
    Wide,
    /// A composite key whose second part is text, differs by case alone at times, and is masked on its way.
    Stock,
    /// Its rows enter and leave the filter, and a column is masked.
    Orders,
    /// A MergeTree: every event is a row.
    Events,
}

/// A row's key: a number, and how the text of it is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) number: u32,
    pub(super) upper: bool,
}

impl Key {
    pub(super) fn lower(number: u32) -> Self {
        Self {
            number,
            upper: false,
        }
    }
}

const STATUS: &[&str] = &["new", "paid", "test", "sent"];
const NAMES: &[&str] = &[
    "",
    "plain",
    "O''Hara",
    "Zoë 🦀",
    "日本語",
    "tab\\tline\\nend",
    "\\\\back\\\"quoted",
    "%like_",
    " spaces ",
    "nul\\0byte",
];

impl Table {
    pub(super) const ALL: [Self; 5] = [
        Self::Points,
        Self::Wide,
        Self::Stock,
        Self::Orders,
        Self::Events,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Points => "points",
            Self::Wide => "wide",
            Self::Stock => "stock",
            Self::Orders => "orders",
            Self::Events => "events",
        }
    }

    fn definition(self) -> &'static str {
        match self {
            Self::Points | Self::Events => {
                "(id BIGINT NOT NULL PRIMARY KEY, v INT, rev BIGINT NOT NULL)"
            }
            Self::Wide => {
                "(id INT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(80) NOT NULL, note TEXT, price DECIMAL(14, 4), at DATETIME(6), seen TIMESTAMP(3) NULL, \
                  born DATE, span TIME(3), doc JSON, raw BLOB, fixed BINARY(6), kind ENUM('a', 'grün', 'c d'), tags SET('x', 'y', 'z') NOT NULL, flag BOOL, \
                  bits BIT(12), ratio DOUBLE, single FLOAT, big BIGINT UNSIGNED, latin VARCHAR(20) CHARACTER SET latin1, rev BIGINT NOT NULL)"
            }
            Self::Stock => {
                "(shop SMALLINT NOT NULL, sku VARCHAR(24) NOT NULL, pieces INT NOT NULL, rev BIGINT NOT NULL, PRIMARY KEY (shop, sku))"
            }
            Self::Orders => {
                "(id BIGINT NOT NULL PRIMARY KEY, status VARCHAR(8) NOT NULL, email VARCHAR(80), total DECIMAL(10, 2) NOT NULL, rev BIGINT NOT NULL)"
            }
        }
    }

    /// What stands below its mapping.
    fn mapping(self) -> &'static str {
        match self {
            Self::Points | Self::Wide => "",
            Self::Stock => {
                "[[table.transform]]\nplugin = \"mask\"\nconfig = { key = \"secret\", columns = [{ column = \"sku\", method = \"hash\", length = 32 }] }"
            }
            Self::Orders => {
                "[[table.transform]]\nplugin = \"filter\"\nconfig = { where = \"status <> 'test'\" }\n\
                 [[table.transform]]\nplugin = \"mask\"\nconfig = { key = \"secret\", columns = [{ column = \"email\", method = \"hash\", length = 24 }] }"
            }
            Self::Events => "engine = \"MergeTree\"",
        }
    }

    /// Creates all of them at the source.
    pub(super) fn create_all(world: &World) {
        for table in Self::ALL {
            let (name, definition) = (table.name(), table.definition());
            world
                .mysql
                .run(&format!("CREATE TABLE {name} {definition};\n"));
        }
    }

    /// Adds all of them to the pipe.
    pub(super) fn map_all(mut world: World) -> World {
        for table in Self::ALL {
            world.add_table(table.name(), table.mapping());
        }
        world
    }

    /// How many keys it has.
    pub(super) fn keys(self) -> u32 {
        match self {
            Self::Wide => 4_000,
            _ => 8_000,
        }
    }

    /// The columns of the key at the destination.
    pub(super) fn key_columns(self) -> &'static [&'static str] {
        match self {
            Self::Stock => &["shop", "sku"],
            _ => &["id"],
        }
    }

    /// The values of a key, in SQL.
    pub(super) fn key_values(self, key: Key) -> Vec<String> {
        match self {
            Self::Stock => vec![(key.number / 50).to_string(), format!("'{}'", sku(key))],
            _ => vec![key.number.to_string()],
        }
    }

    /// The condition that finds these keys.
    pub(super) fn is_one_of(self, keys: &[Key]) -> String {
        let values: Vec<String> = (keys.iter())
            .map(|key| format!("({})", self.key_values(*key).join(", ")))
            .collect();
        format!(
            "({}) IN ({})",
            self.key_columns().join(", "),
            values.join(", ")
        )
    }

    /// A row's other columns but `rev`, with new values, in SQL.
    pub(super) fn values(self, dice: &mut Dice) -> Vec<(&'static str, String)> {
        match self {
            Self::Points | Self::Events => vec![(
                "v",
                match dice.percent(5) {
                    true => "NULL".to_owned(),
                    false => (dice.any() as i32).to_string(),
                },
            )],
            Self::Stock => vec![("pieces", dice.below(1_000_000).to_string())],
            Self::Orders => vec![
                ("status", format!("'{}'", dice.pick(STATUS))),
                (
                    "email",
                    nullable(dice, |dice| format!("'c{}@exämple.com'", dice.below(500))),
                ),
                (
                    "total",
                    format!("{}.{:02}", dice.below(99_999_999), dice.below(100)),
                ),
            ],
            Self::Wide => wide(dice),
        }
    }
}

/// The text part of a key of `stock`.
pub(super) fn sku(key: Key) -> String {
    let text = format!("sku-é-{:05x}", key.number);
    match key.upper {
        true => text.to_uppercase(),
        false => text,
    }
}

fn nullable(dice: &mut Dice, value: impl FnOnce(&mut Dice) -> String) -> String {
    match dice.percent(15) {
        true => "NULL".to_owned(),
        false => value(dice),
    }
}

fn wide(dice: &mut Dice) -> Vec<(&'static str, String)> {
    let bytes = |dice: &mut Dice, length: u64| {
        let bytes: Vec<u8> = (0..length).map(|_| dice.any() as u8).collect();
        format!("X'{}'", hex::encode(bytes))
    };
    let day = |dice: &mut Dice| {
        let (year, month) = (1930 + dice.below(200), 1 + dice.below(12));
        format!("{year}-{month:02}-{:02}", 1 + dice.below(28))
    };
    let clock = |dice: &mut Dice| {
        let (hours, minutes) = (dice.below(24), dice.below(60));
        format!("{hours:02}:{minutes:02}:{:02}", dice.below(60))
    };
    vec![
        ("name", format!("'{}'", dice.pick(NAMES))),
        (
            "note",
            nullable(dice, |dice| {
                let times = dice.pick(&[0, 1, 7, 300]);
                format!("REPEAT('{}', {times})", dice.pick(NAMES))
            }),
        ),
        (
            "price",
            nullable(dice, |dice| {
                let sign = dice.pick(&["", "-"]);
                let (whole, part) = (dice.below(10_000_000_000), dice.below(10_000));
                format!("{sign}{whole}.{part:04}")
            }),
        ),
        (
            "at",
            nullable(dice, |dice| {
                let (day, clock) = (day(dice), clock(dice));
                format!("'{day} {clock}.{:06}'", dice.below(1_000_000))
            }),
        ),
        (
            "seen",
            nullable(dice, |dice| {
                let seconds = 1 + dice.below(2_000_000_000);
                format!("FROM_UNIXTIME({seconds}.{:03})", dice.below(1000))
            }),
        ),
        ("born", nullable(dice, |dice| format!("'{}'", day(dice)))),
        (
            "span",
            nullable(dice, |dice| {
                let sign = dice.pick(&["", "-"]);
                let (hours, seconds) = (dice.below(838), dice.below(60));
                format!("'{sign}{hours}:59:{seconds:02}.{:03}'", dice.below(1000))
            }),
        ),
        (
            "doc",
            nullable(dice, |dice| {
                let (n, text) = (dice.any() as i64, dice.pick(&["é", "x", "日"]));
                format!(
                    "'{{\"n\": {n}, \"list\": [1, null, true, \"{text}\"], \"deep\": {{\"d\": {}.5}}}}'",
                    dice.below(1000)
                )
            }),
        ),
        (
            "raw",
            nullable(dice, |dice| {
                let length = dice.pick(&[0, 1, 16, 300]);
                bytes(dice, length)
            }),
        ),
        (
            "fixed",
            nullable(dice, |dice| {
                let length = dice.pick(&[0, 3, 6]);
                bytes(dice, length)
            }),
        ),
        (
            "kind",
            nullable(dice, |dice| {
                dice.pick(&["'a'", "'grün'", "'c d'"]).to_owned()
            }),
        ),
        (
            "tags",
            dice.pick(&["''", "'x'", "'y,z'", "'x,y,z'"]).to_owned(),
        ),
        ("flag", nullable(dice, |dice| dice.below(2).to_string())),
        ("bits", nullable(dice, |dice| dice.below(4096).to_string())),
        (
            "ratio",
            nullable(dice, |dice| {
                format!("{}e{}", dice.any() as i64, dice.below(200) as i64 - 100)
            }),
        ),
        (
            "single",
            nullable(dice, |dice| format!("{}.25", dice.below(100_000))),
        ),
        ("big", nullable(dice, |dice| dice.any().to_string())),
        (
            "latin",
            nullable(dice, |dice| dice.pick(&["'é'", "'ÿ€'", "''"]).to_owned()),
        ),
    ]
}
