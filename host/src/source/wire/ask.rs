//! Questions: statements with answers that are held in memory as a whole.

use std::sync::Arc;
use std::time::Duration;

use mysql_common::io::ParseBuf;
use mysql_common::proto::{Binary, Text};
use mysql_common::row::{Row, RowDeserializer};
use mysql_common::value::{ServerSide, Value};

use super::statement::Parameter;
use super::{Connection, WireError};

/// What the rows of an answer take in memory at most. The longest answers are lists of tables: this is a list of some 200,000.
const ANSWER_BYTES: usize = 64 << 20;
/// What a cell takes beside its bytes.
const CELL_BYTES: usize = size_of::<Option<Value>>() + 16;

impl Connection {
    /// Runs a statement with values for its `?`, and returns the rows of its answer, if it has any. All of it has to be there in this time.
    /// An answer that is longer than is held is an error of the protocol.
    pub(in crate::source) fn ask(
        &mut self,
        sql: &str,
        values: &[Value],
        within: Duration,
    ) -> Result<Vec<Row>, WireError> {
        self.ends_within(within);
        let rows = match values.is_empty() {
            true => self.ask_in_text(sql),
            false => self.ask_with(sql, values),
        }?;
        self.may_last()?;
        Ok(rows)
    }

    fn ask_in_text(&mut self, sql: &str) -> Result<Vec<Row>, WireError> {
        let Some(count) = self.begin_query(sql)? else {
            return Ok(Vec::new());
        };
        let columns: Arc<[_]> = self.whole_columns(count)?.into();
        self.held(|row| {
            let row = ParseBuf(row).parse::<RowDeserializer<ServerSide, Text>>(columns.clone());
            row.map(RowDeserializer::into_inner)
        })
    }

    fn ask_with(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, WireError> {
        let statement = self.begin_preparation(sql)?;
        let parameters: Vec<_> = values.iter().map(parameter).collect();
        let rows = match self.begin_execution(&statement, &parameters)? {
            None => Vec::new(),
            Some(count) => {
                let columns: Arc<[_]> = self.whole_columns(count)?.into();
                self.held(|row| {
                    let row =
                        ParseBuf(row).parse::<RowDeserializer<ServerSide, Binary>>(columns.clone());
                    row.map(RowDeserializer::into_inner)
                })?
            }
        };
        self.close(statement)?;
        Ok(rows)
    }

    /// Reads rows to their end.
    fn held(
        &mut self,
        read: impl Fn(&[u8]) -> std::io::Result<Row>,
    ) -> Result<Vec<Row>, WireError> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some(row) = self.row()? {
            let row = read(row)
                .map_err(|_| WireError::Protocol("a row that can't be read".to_owned()))?;
            bytes += bytes_of(&row);
            if bytes > ANSWER_BYTES {
                let reason = "the answer is longer than what is held in memory".to_owned();
                return Err(WireError::Protocol(reason));
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

fn parameter(value: &Value) -> Parameter<'_> {
    match value {
        Value::Int(number) => Parameter::Int(*number as u64, false),
        Value::UInt(number) => Parameter::Int(*number, true),
        Value::Bytes(bytes) => Parameter::Text(bytes),
        // Nobody asks with moments and floating-point numbers.
        _ => Parameter::Null,
    }
}

/// What a row takes in memory, about.
fn bytes_of(row: &Row) -> usize {
    let cell = |at| match row.as_ref(at) {
        Some(Value::Bytes(bytes)) => CELL_BYTES + bytes.capacity(),
        _ => CELL_BYTES,
    };
    size_of::<Row>() + (0..row.len()).map(cell).sum::<usize>()
}
