//! Every column type with boundary values, its range and its edges: the page of documentation ([`super::type_page`]) and the tests of
//! every type are made of them.

mod moments;
mod numbers;
mod others;
mod texts;

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

/// All rows, in the page's order.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [numbers::ROWS, moments::ROWS, texts::ROWS, others::ROWS]
        .into_iter()
        .flatten()
}

/// All samples.
pub fn samples() -> impl Iterator<Item = &'static Sample> {
    rows().flat_map(|row| row.samples)
}
