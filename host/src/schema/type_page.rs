//! The type table as a page of documentation, and as columns with boundary values for the tests: both are made of the same rows.

use std::fmt::Write;

use serde::Serialize;

use super::type_table::ClickHouseFeatures;
use super::{Form, MysqlType};

/// Rows of the table that share their edges.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The types, with values.
    pub samples: &'static [Sample],
    /// Which values MySQL has.
    pub range: &'static str,
    /// What happens at the edges, and what the policies do.
    pub edges: &'static str,
}

/// A column type and values to try.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The type, as SQL writes it.
    pub sql: &'static str,
    /// Which servers have it.
    pub servers: Servers,
    /// Least, greatest, zero and boundary values, as SQL literals.
    pub values: &'static [&'static str],
    /// A SQL expression for a random value.
    pub random: &'static str,
}

/// Which servers have a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// Both.
    Both,
    /// MySQL alone.
    Mysql,
    /// MariaDB alone.
    MariaDb,
}

const fn both(sql: &'static str, values: &'static [&'static str], random: &'static str) -> Sample {
    Sample {
        sql,
        servers: Servers::Both,
        values,
        random,
    }
}

const fn on(
    servers: Servers,
    sql: &'static str,
    values: &'static [&'static str],
    random: &'static str,
) -> Sample {
    Sample {
        sql,
        servers,
        values,
        random,
    }
}

/// All samples.
pub fn samples() -> impl Iterator<Item = &'static Sample> {
    ROWS.iter().flat_map(|row| row.samples)
}

/// The table's rows.
pub const ROWS: &[Row] = &[
    Row {
        samples: &[
            both(
                "TINYINT",
                &["-128", "-1", "0", "127"],
                "FLOOR(RAND() * 256) - 128",
            ),
            both(
                "SMALLINT",
                &["-32768", "0", "32767"],
                "FLOOR(RAND() * 65536) - 32768",
            ),
            both(
                "MEDIUMINT",
                &["-8388608", "0", "8388607"],
                "FLOOR(RAND() * 16777216) - 8388608",
            ),
            both(
                "INT",
                &["-2147483648", "0", "2147483647"],
                "FLOOR(RAND() * 4294967296) - 2147483648",
            ),
            both(
                "BIGINT",
                &[
                    "-9223372036854775808",
                    "0",
                    "9007199254740993",
                    "9223372036854775807",
                ],
                "CAST(RAND() * 1e18 AS SIGNED) - 500000000000000001",
            ),
        ],
        range: "all of the type",
        edges: "A narrower type is checked value by value; `clamp` gives its least or greatest value.",
    },
    Row {
        samples: &[
            both(
                "TINYINT UNSIGNED",
                &["0", "128", "255"],
                "FLOOR(RAND() * 256)",
            ),
            both(
                "SMALLINT UNSIGNED ZEROFILL",
                &["0", "7", "65535"],
                "FLOOR(RAND() * 65536)",
            ),
            both(
                "MEDIUMINT UNSIGNED",
                &["0", "8388608", "16777215"],
                "FLOOR(RAND() * 16777216)",
            ),
            both(
                "INT UNSIGNED",
                &["0", "2147483648", "4294967295"],
                "FLOOR(RAND() * 4294967296)",
            ),
            both(
                "BIGINT UNSIGNED",
                &["0", "9223372036854775808", "18446744073709551615"],
                "9223372036854775807 + CAST(RAND() * 1e18 AS UNSIGNED)",
            ),
        ],
        range: "all of the type",
        edges: "ZEROFILL is display only. For a signed type that holds all of them ask for the next wider one: `Int128` for BIGINT UNSIGNED.",
    },
    Row {
        samples: &[both("TINYINT(1)", &["0", "1"], "FLOOR(RAND() * 2)")],
        range: "0 and 1; as a number -128 … 127",
        edges: "Another number than 0 and 1 stops the load, and `check` looks for one: copy such a column with `types = { column = \"Int8\" }`, \
                which a transform then sees as a number, too.",
    },
    Row {
        samples: &[
            both("BIT(1)", &["b'0'", "b'1'"], "FLOOR(RAND() * 2)"),
            both(
                "BIT(9)",
                &["b'0'", "b'100000000'", "b'111111111'"],
                "FLOOR(RAND() * 512)",
            ),
            both(
                "BIT(64)",
                &["0", "1", "18446744073709551615"],
                "CAST(RAND() * 9e18 AS UNSIGNED) * 2",
            ),
        ],
        range: "1 to 64 bits",
        edges: "BIT(1) is a truth value, more bits are an unsigned number, the last bit its lowest.",
    },
    Row {
        samples: &[
            both("DECIMAL(1,0)", &["-9", "0", "9"], "FLOOR(RAND() * 10)"),
            both(
                "DECIMAL(10,2)",
                &["-99999999.99", "0", "0.01", "99999999.99"],
                "RAND() * 1e8",
            ),
            both(
                "DECIMAL(30,30)",
                &[
                    "-0.999999999999999999999999999999",
                    "0.000000000000000000000000000001",
                ],
                "RAND()",
            ),
            both(
                "DECIMAL(38,0)",
                &[
                    "-99999999999999999999999999999999999999",
                    "99999999999999999999999999999999999999",
                ],
                "RAND() * 1e17",
            ),
            both(
                "DECIMAL(39,1)",
                &["-99999999999999999999999999999999999999.9", "0.1"],
                "RAND() * 1e15",
            ),
            both(
                "DECIMAL(65,30)",
                &[
                    "-99999999999999999999999999999999999.999999999999999999999999999999",
                    "0.000000000000000000000000000001",
                    "99999999999999999999999999999999999.999999999999999999999999999999",
                ],
                "RAND() * 1e10",
            ),
        ],
        range: "65 digits, of which 30 after the point",
        edges: "Exact. With fewer digits a value fits if nothing is cut off; `clamp` rounds to the nearest, half away from zero. As `String`: \
                MySQL's own text, every digit of the scale.",
    },
    Row {
        samples: &[
            both(
                "FLOAT",
                &[
                    "-3.402823466e38",
                    "0",
                    "-0e0",
                    "1.17549435e-38",
                    "0.1",
                    "16777216",
                    "16777217",
                    "3.402823466e38",
                ],
                "RAND() * 1e10",
            ),
            both(
                "DOUBLE",
                &[
                    "-1.7976931348623157e308",
                    "0",
                    "2.2250738585072014e-308",
                    "0.1",
                    "9007199254740993",
                    "1.7976931348623157e308",
                ],
                "RAND() * 1e100",
            ),
        ],
        range: "all finite numbers of IEEE 754",
        edges: "Bit for bit. A DOUBLE as `Float32` must be one exactly; `clamp` rounds to the nearest finite one.",
    },
    Row {
        samples: &[both(
            "YEAR",
            &["0", "1901", "1970", "2155"],
            "1901 + FLOOR(RAND() * 255)",
        )],
        range: "0000 and 1901 … 2155",
        edges: "0000 stays 0.",
    },
    Row {
        samples: &[both(
            "DATE",
            &[
                "'1900-01-01'",
                "'1969-12-31'",
                "'1970-01-01'",
                "'2024-02-29'",
                "'2299-12-31'",
            ],
            "'1900-01-01' + INTERVAL FLOOR(RAND() * 146000) DAY",
        )],
        range: "0000-00-00, partial dates, 0001-01-01 … 9999-12-31",
        edges: "`Date32` holds 1900-01-01 … 2299-12-31, `Date` 1970-01-01 … 2149-06-06: beyond them `on_out_of_range`, where `clamp` gives the \
                first or the last day. Zero, partial and impossible dates: `zero_dates`. As `String`, MySQL's own text, all of them fit.",
    },
    Row {
        samples: &[
            both(
                "DATETIME",
                &[
                    "'0001-01-01 00:00:00'",
                    "'1000-01-01 00:00:00'",
                    "'1969-12-31 23:59:59'",
                    "'9999-12-31 23:59:59'",
                ],
                "'1000-01-01' + INTERVAL FLOOR(RAND() * 280000000000) SECOND",
            ),
            both(
                "DATETIME(3)",
                &["'1000-01-01 00:00:00.001'", "'9999-12-31 23:59:59.999'"],
                "'1970-01-01' + INTERVAL FLOOR(RAND() * 1e12) * 1000 MICROSECOND",
            ),
            both(
                "DATETIME(6)",
                &[
                    "'1000-01-01 00:00:00.000001'",
                    "'9999-12-31 23:59:59.999999'",
                ],
                "'1970-01-01' + INTERVAL FLOOR(RAND() * 1e15) MICROSECOND",
            ),
        ],
        range: "a wall clock; zero and partial dates, 0001 … 9999",
        edges: "Digit by digit: the wall clock is kept in the column's zone, which is UTC unless the pipe says another. In a zone with summer \
                time the hour that is skipped has no counterpart (`on_out_of_range`; `clamp` moves it ahead by as much as the clocks), and the hour that \
                comes twice is taken as its first. Zones other than UTC hold 1900 … 2299, `DateTime64(9)` holds 1677-09-21 … 2262-04-11, `DateTime` whole \
                seconds of 1970-01-01 … 2106-02-07. Fewer digits than the value has: `on_out_of_range`; `clamp` cuts them off. Dates \
                that are no days: `zero_dates`.",
    },
    Row {
        samples: &[
            both(
                "TIMESTAMP NULL",
                &[
                    "'1970-01-01 00:00:01'",
                    "'2000-01-01 00:00:00'",
                    "'2038-01-19 03:14:07'",
                ],
                "FROM_UNIXTIME(1 + FLOOR(RAND() * 2147483646))",
            ),
            both(
                "TIMESTAMP(6) NULL",
                &[
                    "'1970-01-01 00:00:01.000001'",
                    "'2038-01-19 03:14:07.999999'",
                ],
                "FROM_UNIXTIME(1 + RAND() * 2147483646)",
            ),
        ],
        range: "an instant of 1970 … 2038 (MariaDB 11.5: 2106), and zero",
        edges: "An instant: a zone changes how it is shown, not what it is. As `String` it is shown in UTC. Zero: `zero_dates`.",
    },
    Row {
        samples: &[
            both(
                "TIME",
                &[
                    "'-838:59:59'",
                    "'-00:00:01'",
                    "'00:00:00'",
                    "'24:00:00'",
                    "'838:59:59'",
                ],
                "SEC_TO_TIME(FLOOR(RAND() * 6000000) - 3000000)",
            ),
            both(
                "TIME(6)",
                &[
                    "'-838:59:58.999999'",
                    "'-00:00:00.000001'",
                    "'838:59:58.999999'",
                ],
                "SEC_TO_TIME(RAND() * 6000000 - 3000000)",
            ),
        ],
        range: "-838:59:59 … 838:59:59",
        edges: "With its sign and beyond a day. Where ClickHouse has no `Time64` (before 25.6) it is `Int64`, a number of microseconds.",
    },
    Row {
        samples: &[
            both(
                "CHAR(10)",
                &["''", "'a'", "'Zoë 🦀'"],
                "LEFT(SHA2(RAND(), 256), FLOOR(RAND() * 11))",
            ),
            both(
                "VARCHAR(40)",
                &[
                    "''",
                    "' '",
                    "'trailing  '",
                    "'tab\\tnew\\nline\\\\ \\'quoted\\''",
                    "'\\0'",
                    "'日本語 🦀'",
                ],
                "LEFT(SHA2(RAND(), 256), FLOOR(RAND() * 33))",
            ),
            both(
                "VARCHAR(20) CHARACTER SET latin1",
                &["''", "'€ é ÿ'"],
                "LEFT(SHA2(RAND(), 256), 9)",
            ),
            both(
                "VARCHAR(20) CHARACTER SET utf16",
                &["''", "'日本 🦀'"],
                "LEFT(SHA2(RAND(), 256), 9)",
            ),
            both(
                "VARCHAR(20) CHARACTER SET sjis",
                &["''", "'日本ｶﾅ'"],
                "LEFT(SHA2(RAND(), 256), 9)",
            ),
            both(
                "VARCHAR(20) CHARACTER SET cp1251",
                &["''", "'Привет №'"],
                "LEFT(SHA2(RAND(), 256), 9)",
            ),
            both("TINYTEXT", &["''", "REPEAT('x', 255)"], "SHA2(RAND(), 256)"),
            both(
                "TEXT",
                &["''", "REPEAT('ä', 32767)"],
                "REPEAT(SHA2(RAND(), 256), 10)",
            ),
            both(
                "MEDIUMTEXT",
                &["''", "REPEAT('y', 70000)"],
                "SHA2(RAND(), 256)",
            ),
            both("LONGTEXT", &["''", "'null'"], "SHA2(RAND(), 256)"),
        ],
        range: "any text of any character set and collation",
        edges: "The server turns it into UTF-8. Character sets with characters that Unicode doesn't have (of Japanese, Chinese, Korean, Hebrew, \
                Greek and others) are guarded: where the server would write `?` the load stops and names the row; `format = \"bytes\"` copies such a \
                column as its bytes. CHAR has no trailing spaces, as MySQL shows it. `FixedString(n)`: a value of up to n bytes that doesn't end \
                with a zero byte, or of n bytes; `clamp` cuts a longer one at a character. `Enum8(…)`: only its names fit. `JSON`: as for JSON.",
    },
    Row {
        samples: &[
            both(
                "BINARY(4)",
                &["X'00000000'", "X'01'", "X'FFFFFFFF'"],
                "UNHEX(LEFT(SHA2(RAND(), 256), 8))",
            ),
            both(
                "VARBINARY(20)",
                &["X''", "X'00'", "X'00FF7F80'"],
                "UNHEX(LEFT(SHA2(RAND(), 256), 2 * FLOOR(RAND() * 16)))",
            ),
            both(
                "BLOB",
                &["X''", "X'DEADBEEF00'"],
                "UNHEX(SHA2(RAND(), 256))",
            ),
            both(
                "LONGBLOB",
                &["X''", "REPEAT(X'C328', 40000)"],
                "UNHEX(SHA2(RAND(), 256))",
            ),
        ],
        range: "any bytes",
        edges: "Every byte. BINARY(n) has its zero bytes at the end. `FixedString(n)`: as for text; `clamp` cuts.",
    },
    Row {
        samples: &[both(
            "ENUM('a','b,c','it''s','','grün')",
            &["'a'", "'b,c'", "'it''s'", "''", "'grün'"],
            "1 + FLOOR(RAND() * 5)",
        )],
        range: "its values, and the error value of index 0, which is ''",
        edges: "`Enum` makes an Enum8 or Enum16 of the source's values under their numbers, with the error value '' = 0 where '' is none of them. \
                Of an `Enum8(…)` that the pipe writes out only its names fit.",
    },
    Row {
        samples: &[both(
            "SET('a','b','it''s','grün')",
            &["''", "'a'", "'a,grün'", "'a,b,it''s,grün'"],
            "FLOOR(RAND() * 16)",
        )],
        range: "any of its up to 64 members",
        edges: "The members with commas between them, in the order of the type. As an array: one string a member, none for ''.",
    },
    Row {
        samples: &[
            on(
                Servers::Mysql,
                "JSON",
                &[
                    "'null'",
                    "'{}'",
                    "'[1, 1.10, 1e300, 18446744073709551615, -9223372036854775808]'",
                    "'{\"ä\": \"\\\\u0000 \\\\\" 🦀\", \"a\": 1, \"a\": 2, \"b\": {\"c\": [[[[]]]]}}'",
                    "CAST(CAST('12345678901234567890.123456789' AS DECIMAL(40,20)) AS JSON)",
                    "CONCAT(REPEAT('[', 99), '7', REPEAT(']', 99))",
                ],
                "JSON_OBJECT('k', RAND(), 'n', SHA2(RAND(), 256))",
            ),
            on(
                Servers::MariaDb,
                "JSON",
                &[
                    "'null'",
                    "'{}'",
                    "'{\"b\":1, \"a\" : 1.10, \"a\": 123456789012345678901234567890}'",
                    "CONCAT(REPEAT('[', 31), '7', REPEAT(']', 31))",
                ],
                "JSON_OBJECT('k', RAND(), 'n', SHA2(RAND(), 256))",
            ),
        ],
        range: "any document",
        edges: "As `String` it is the server's own text: MySQL's is normalized by MySQL (keys in its order, the last of equal keys), MariaDB's as it was \
                written. ClickHouse's `JSON` takes objects only and drops what it can't tell from an absent path; so a document fits if it is an object \
                without null members, empty objects, equal keys, keys with dots or without characters, and numbers beyond 64 bits; else `on_out_of_range`.",
    },
    Row {
        samples: &[
            both(
                "POINT",
                &[
                    "ST_GeomFromText('POINT(1.5 -2)')",
                    "ST_GeomFromText('POINT(1e300 0.1)')",
                ],
                "ST_GeomFromText(CONCAT('POINT(', RAND(), ' ', RAND() * 1000, ')'))",
            ),
            both(
                "LINESTRING",
                &["ST_GeomFromText('LINESTRING(0 0,1 1,2 0)')"],
                "ST_GeomFromText(CONCAT('LINESTRING(0 0,', RAND(), ' 7)'))",
            ),
            both(
                "POLYGON",
                &["ST_GeomFromText('POLYGON((0 0,9 0,9 9,0 0),(1 1,2 1,2 2,1 1))')"],
                "ST_GeomFromText(CONCAT('POLYGON((0 0,1 0,1 ', 1 + RAND(), ',0 0))'))",
            ),
            both(
                "MULTIPOINT",
                &["ST_GeomFromText('MULTIPOINT(0 0,1 1)')"],
                "ST_GeomFromText(CONCAT('MULTIPOINT(0 0,', RAND(), ' 7)'))",
            ),
            both(
                "MULTILINESTRING",
                &["ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3,4 4))')"],
                "ST_GeomFromText(CONCAT('MULTILINESTRING((0 0,', RAND(), ' 7))'))",
            ),
            both(
                "MULTIPOLYGON",
                &["ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))')"],
                "ST_GeomFromText(CONCAT('MULTIPOLYGON(((0 0,1 0,1 ', 1 + RAND(), ',0 0)))'))",
            ),
            both(
                "GEOMETRYCOLLECTION",
                &["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))')"],
                "ST_GeomFromText(CONCAT('GEOMETRYCOLLECTION(POINT(', RAND(), ' 2))'))",
            ),
            both(
                "GEOMETRY",
                &[
                    "ST_GeomFromText('POINT(1 2)', 4326)",
                    "ST_GeomFromText('LINESTRING(1 2,3 4)')",
                    "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')",
                ],
                "ST_GeomFromText(CONCAT('POINT(', RAND(), ' 1)'))",
            ),
        ],
        range: "any shape of any reference system",
        edges: "WKT with all digits, x before y as stored, `SRID=n;` in front where it isn't 0. `format = \"wkb\"`: WKB, or EWKB where the SRID isn't 0. \
                `Point`, `LineString`, `Polygon` …: a value of that shape with SRID 0; they can't be NULL. \
                The value of no bytes that a MariaDB without strict mode holds is an empty text, and no shape.",
    },
    Row {
        samples: &[on(
            Servers::Mysql,
            "VECTOR(3)",
            &[
                "STRING_TO_VECTOR('[1,-2.5,3e38]')",
                "STRING_TO_VECTOR('[0,-0.1,2e-38]')",
            ],
            "STRING_TO_VECTOR(CONCAT('[', RAND(), ',', RAND(), ',1]'))",
        )],
        range: "32-bit floats",
        edges: "Bit for bit. Arrays can't be NULL in ClickHouse: for a column with NULLs state a `default`, such as `[]`.",
    },
    Row {
        samples: &[
            on(
                Servers::MariaDb,
                "UUID",
                &[
                    "'00000000-0000-0000-0000-000000000000'",
                    "'6ccd780c-baba-1026-9564-5b8c656024db'",
                    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
                ],
                "UUID()",
            ),
            on(
                Servers::MariaDb,
                "INET4",
                &["'0.0.0.0'", "'192.0.2.1'", "'255.255.255.255'"],
                "INET_NTOA(FLOOR(RAND() * 4294967296))",
            ),
            on(
                Servers::MariaDb,
                "INET6",
                &[
                    "'::'",
                    "'2001:db8::1'",
                    "'::ffff:192.0.2.1'",
                    "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'",
                ],
                "INSERT(INSERT(LEFT(SHA2(RAND(), 256), 12), 5, 0, ':'), 10, 0, '::')",
            ),
        ],
        range: "all of the type",
        edges: "As `String`: MariaDB's own text.",
    },
];

const HEAD: &str = "# MySQL and MariaDB types in ClickHouse

Written by `tidemill types --markdown` from the one type table in `host/src/schema`; a test holds it up to date.

Every value arrives exactly, or by a policy that the pipe states, or the load stops with an error that names table, column and row.

| MySQL or MariaDB | Arrow (what a plugin sees) | ClickHouse | or, by `types` |
| --- | --- | --- | --- |
";

const TAIL: &str = r#"
## NULL
A column is `Nullable` where the source allows NULL, or where a policy can make one; key columns never are. `nullable = false` with a `default` makes it
plain: NULL becomes the default. Empty strings stay empty strings.

## Policies
| setting | where | values |
| --- | --- | --- |
| `on_out_of_range` | `[values]`, `[[table]]`, a column of `types` | `"error"` (default): the load stops and names the row. `"null"`: NULL, or the column's `default`. `"clamp"`: the nearest value that the type has. `"reject"`: the whole row goes to `<table>_rejected`, with column and reason |
| `zero_dates` | `[values]`, `[[table]]`, a column of `types` | `"error"` (default where the column is NOT NULL), `"null"` (default where it isn't), or a day such as `"1970-01-01"`: for zero, partial and impossible dates |

The narrowest setting counts. `clamp` has no meaning for text, enumerations, JSON and shapes: there a value that doesn't fit is an error. In a key column, and
where there is neither NULL nor a default, `null` is an error, too.

## A column's settings
```toml
[[table]]
source = "shop.orders"
types = { total = "Decimal(18, 2)", placed_at = "DateTime64(3, 'Europe/Berlin')" }
# or with all that a column can have:
[table.types.note]
type = "String"             # one of the table above
codec = "ZSTD(3)"
comment = "free text"
ttl = "placed_at + INTERVAL 1 YEAR"
nullable = false
default = ""
on_out_of_range = "reject"
```
A column is named as the source names it; one that a transform computed, as the transform does. Types that hold what the default can't (`String` for dates,
`Int8` for TINYINT(1), `format = "wkb"`) change what a transform sees; all others are applied after the transforms.
"#;

/// A line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The type, as SQL writes it, and whose it is, if only one of the servers has it.
    pub column: String,
    /// What a plugin sees.
    pub arrow: String,
    /// The default.
    pub clickhouse: String,
    /// What a pipe may ask for instead.
    pub alternatives: String,
}

/// The table's lines.
pub fn entries() -> Vec<Entry> {
    let entry = |sample: &Sample| {
        let parsed = MysqlType::parse(&sample.sql.to_lowercase()).ok()?;
        let features = ClickHouseFeatures { time64: true };
        let server = match sample.servers {
            Servers::Both => "",
            Servers::Mysql => " (MySQL)",
            Servers::MariaDb => " (MariaDB)",
        };
        Some(Entry {
            column: format!("{}{server}", sample.sql),
            arrow: parsed.arrow(Form::Native).to_string(),
            clickhouse: parsed.clickhouse(Form::Native, features).to_string(),
            alternatives: parsed.possible(),
        })
    };
    samples().filter_map(entry).collect()
}

/// The page, as Markdown.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for entry in entries() {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            entry.column, entry.arrow, entry.clickhouse, entry.alternatives
        );
    }
    page += "\n## Edges\n";
    for row in ROWS {
        let names: Vec<&str> = row.samples.iter().map(|sample| sample.sql).collect();
        let _ = writeln!(
            page,
            "- **{}** ({}). {}",
            names.join(", "),
            row.range,
            row.edges
        );
    }
    page + TAIL
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../TYPES.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == markdown(),
            "TYPES.md is not what the type table says: write it with `tidemill types --markdown > TYPES.md`"
        );
    }

    #[test]
    fn every_type_has_a_row() {
        use std::mem::discriminant;
        let parsed: Vec<MysqlType> = samples()
            .map(|sample| MysqlType::parse(&sample.sql.to_lowercase()).expect(sample.sql))
            .collect();
        for name in [
            "tinyint(1)",
            "tinyint",
            "smallint",
            "mediumint",
            "int",
            "bigint",
            "decimal(5,1)",
            "float",
            "double",
            "bit(3)",
            "year",
            "date",
            "datetime",
            "timestamp",
            "time",
            "text",
            "binary(2)",
            "blob",
            "enum('a')",
            "set('a')",
            "json",
            "geometry",
            "vector",
            "uuid",
            "inet4",
            "inet6",
        ] {
            let wanted = MysqlType::parse(name).expect(name);
            assert!(
                parsed
                    .iter()
                    .any(|known| discriminant(known) == discriminant(&wanted)),
                "{name}"
            );
        }
    }
}
