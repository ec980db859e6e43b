//! Tidies e-mail addresses: in small letters, without spaces around them, and with their domain in a column of its own.

use arrow_schema::{DataType, Field};
use tidemill_sdk::{Binding, ConfigSchema, Error, Fate, Row, RowTransform, Rows, Table};

/// The settings that a pipe file may give; the host checks them before it starts.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column with the address.
    #[serde(default = "email")]
    #[schema(default = "email")]
    column: String,
    /// Rows with an address at one of these are left out.
    #[serde(default)]
    drop_domains: Vec<String>,
}

fn email() -> String {
    "email".to_owned()
}

/// The transform of one table.
#[derive(Debug)]
pub struct Plugin {
    column: String,
    domain_column: String,
    drop_domains: Vec<String>,
}

impl RowTransform for Plugin {
    type Config = Config;
    const NAME: &str = "{{name}}";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &str = "tidies e-mail addresses, and puts their domain into a column of its own";

    // Asked once a table: which columns are read, which come out. Columns that aren't named pass by untouched.
    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let Config { column, drop_domains } = config;
        let position = table.position(&column)?;
        let field = table.fields[position].clone();
        if field.data_type() != &DataType::Utf8 {
            return Err(Error::Schema(format!("`{column}` is {}, and an address is text", field.data_type())));
        }
        let domain_column = format!("{column}_domain");
        let mut binding = Binding::pass_all(table);
        binding.read(position);
        binding.compute_in_place(position, field);
        binding.compute(Field::new(&domain_column, DataType::Utf8, true));
        binding.filters = !drop_domains.is_empty();
        Ok((Self { column, domain_column, drop_domains }, binding))
    }

    // Called once a row: sets what is computed, and says what becomes of the row.
    fn row(&mut self, row: &mut Row<'_>) -> Fate {
        let Some(address) = row.text(&self.column) else {
            return Fate::Keep;
        };
        let address = address.trim().to_lowercase();
        let Some((_, domain)) = address.split_once('@') else {
            return Fate::Reject("no address: an @ is missing".to_owned());
        };
        if self.drop_domains.iter().any(|dropped| dropped == domain) {
            return Fate::Drop;
        }
        row.set(&self.domain_column, domain);
        row.set(&self.column, address.as_str());
        Fate::Keep
    }
}

tidemill_sdk::export!(Rows<Plugin>);

// Tests without the sandbox: cargo test
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::StringArray;
    use tidemill_sdk::{Batch, Transform};

    use super::*;

    fn ran(addresses: Vec<Option<&str>>, drop_domains: &[&str]) -> (Batch, tidemill_sdk::Output) {
        let table = Table {
            database: "shop".to_owned(),
            name: "customers".to_owned(),
            fields: vec![Arc::new(Field::new("email", DataType::Utf8, true))].into_iter().collect(),
            key: vec![],
        };
        let config = Config {
            column: email(),
            drop_domains: drop_domains.iter().map(|&domain| domain.to_owned()).collect(),
        };
        let (mut plugin, _) = Rows::<Plugin>::bind(&table, config).unwrap();
        let rows = addresses.len();
        let batch = Batch { rows, columns: vec![StringArray::from(addresses).into()] };
        let output = plugin.process(&batch).unwrap();
        (output.batch(rows), output)
    }

    #[test]
    fn an_address_is_tidied() {
        let (columns, output) = ran(vec![Some(" Ada@Example.ORG"), None], &[]);
        assert_eq!(columns.utf8(0), StringArray::from(vec![Some("ada@example.org"), None]));
        assert_eq!(columns.utf8(1), StringArray::from(vec![Some("example.org"), None]));
        assert!(output.rejected.is_empty());
    }

    #[test]
    fn what_is_no_address_is_rejected() {
        let (_, output) = ran(vec![Some("nowhere")], &[]);
        assert_eq!(output.rejected, [(0, "no address: an @ is missing".to_owned())]);
    }

    #[test]
    fn domains_can_be_left_out() {
        let (_, output) = ran(vec![Some("a@b"), Some("a@c")], &["b"]);
        let keep = output.keep.unwrap();
        assert_eq!((keep.value(0), keep.value(1)), (false, true));
    }
}
