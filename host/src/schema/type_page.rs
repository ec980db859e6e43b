//! The type table as a page of documentation.

use std::fmt::Write;

use serde::Serialize;

use super::samples::{Sample, Servers, rows, samples};
use super::type_table::ClickHouseFeatures;
use super::{Form, MysqlType};

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
    for row in rows() {
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
