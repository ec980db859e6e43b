//! Commands: simple statements with small answers, and prepared statements whose rows are streamed.

use std::time::Duration;

use mysql_common::constants::{CapabilityFlags, ColumnFlags, ColumnType};
use mysql_common::io::ParseBuf;
use mysql_common::packets;

use super::handshake::server_error;
use super::packet::{ROW_BYTES, SHORT_BYTES};
use super::{Connection, STATEMENT_TIMEOUT, WireError};
use crate::schema::KeyValue;

const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_CLOSE: u8 = 0x19;

const OK: u8 = 0x00;
/// Ends a result; as the first byte of a short packet it can't be the beginning of a row.
const EOF: u8 = 0xFE;
const ERR: u8 = 0xFF;
/// A payload from here on is a row, whatever its first byte is.
const LONGEST_EOF: usize = 0xFF_FFFF;

/// The rows and bytes that the answer to a simple statement has at most.
const ANSWER_ROWS: usize = 10_000;
const ANSWER_BYTES: usize = 1 << 20;

/// A column of a result, as the server describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Column {
    /// How its values are encoded.
    pub(in crate::source) column_type: ColumnType,
    /// Whether its integers have no sign.
    pub(in crate::source) unsigned: bool,
}

/// A prepared statement of one connection.
#[derive(Debug)]
pub(in crate::source) struct Statement {
    id: u32,
    parameters: usize,
}

impl Connection {
    /// Runs a statement, and returns the rows of its answer, if it has any, as text. For small answers only, which have to be there
    /// in this time.
    pub(in crate::source) fn query(
        &mut self,
        sql: &str,
        within: Duration,
    ) -> Result<Vec<Vec<Option<String>>>, WireError> {
        self.ends_within(within);
        let rows = self.small_answer(sql)?;
        self.may_last()?;
        Ok(rows)
    }

    fn small_answer(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, WireError> {
        self.command(COM_QUERY, sql.as_bytes())?;
        let payload = self.answer()?;
        let columns = match payload[0] {
            OK => return Ok(Vec::new()),
            _ => length_of(payload)?,
        };
        self.columns(columns)?;
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some(row) = self.row()? {
            bytes += row.len();
            if rows.len() == ANSWER_ROWS || bytes > ANSWER_BYTES {
                let reason = "a longer answer than the question has".to_owned();
                return Err(WireError::Protocol(reason));
            }
            let mut cells = ParseBuf(row);
            let cell = |_| {
                text_cell(&mut cells)
                    .ok_or_else(|| WireError::Protocol("a row is cut short".to_owned()))
            };
            rows.push((0..columns).map(cell).collect::<Result<_, _>>()?);
        }
        Ok(rows)
    }

    /// Prepares a statement with `?` for its parameters.
    pub(in crate::source) fn prepare(&mut self, sql: &str) -> Result<Statement, WireError> {
        self.packets.allow(SHORT_BYTES);
        // A table that is being altered is waited for here.
        self.ends_within(STATEMENT_TIMEOUT);
        self.command(COM_STMT_PREPARE, sql.as_bytes())?;
        let payload = self.answer()?;
        let [OK, id @ .., _, _, _] = payload.get(..12).unwrap_or_default() else {
            return Err(WireError::Protocol(
                "an unknown answer to a statement".to_owned(),
            ));
        };
        let short = |at: usize| usize::from(u16::from_le_bytes([id[at], id[at + 1]]));
        let (columns, parameters) = (short(4), short(6));
        let statement = Statement {
            id: u32::from_le_bytes([id[0], id[1], id[2], id[3]]),
            parameters,
        };
        for count in [parameters, columns] {
            if count > 0 {
                self.columns(count)?;
            }
        }
        Ok(statement)
    }

    /// Runs a statement. Its rows have to be read to their end, with [`Connection::row`], before anything else is asked; in this
    /// time, if any is stated.
    pub(in crate::source) fn execute(
        &mut self,
        statement: &Statement,
        values: &[&KeyValue],
        within: Option<Duration>,
    ) -> Result<Vec<Column>, WireError> {
        if values.len() != statement.parameters {
            return Err(WireError::Protocol(format!(
                "{} values for {} parameters",
                values.len(),
                statement.parameters
            )));
        }
        match within {
            Some(within) => self.ends_within(within),
            None => self.may_last()?,
        }
        self.packets.allow(ROW_BYTES);
        self.command(COM_STMT_EXECUTE, &execution(statement.id, values))?;
        let payload = self.answer()?;
        match payload[0] {
            OK => Ok(Vec::new()),
            _ => {
                let columns = length_of(payload)?;
                self.columns(columns)
            }
        }
    }

    /// The next row of the running statement, in the encoding of its protocol; none after the last one.
    pub(in crate::source) fn row(&mut self) -> Result<Option<&[u8]>, WireError> {
        let capabilities = self.capabilities;
        let payload = self.packets.next()?;
        match payload.first() {
            Some(&ERR) => Err(server_error(payload, capabilities)),
            Some(&EOF) if payload.len() < LONGEST_EOF && is_end(payload, capabilities) => Ok(None),
            Some(_) => Ok(Some(payload)),
            None => Err(WireError::Protocol("an empty packet for a row".to_owned())),
        }
    }

    /// Gives back what a row of more than 16 MiB has taken. The last row has been decoded.
    pub(in crate::source) fn forget_row(&mut self) {
        self.packets.forget_joined();
    }

    /// Forgets a statement. The server doesn't answer.
    pub(in crate::source) fn close(&mut self, statement: Statement) -> Result<(), WireError> {
        self.packets.allow(SHORT_BYTES);
        self.command(COM_STMT_CLOSE, &statement.id.to_le_bytes())
    }

    fn command(&mut self, command: u8, argument: &[u8]) -> Result<(), WireError> {
        self.packets.begin();
        let mut payload = Vec::with_capacity(argument.len() + 1);
        payload.push(command);
        payload.extend_from_slice(argument);
        Ok(self.packets.send(&payload)?)
    }

    /// The first packet of an answer, which is never empty.
    fn answer(&mut self) -> Result<&[u8], WireError> {
        let capabilities = self.capabilities;
        let payload = self.packets.next()?;
        match payload.first() {
            Some(&ERR) => Err(server_error(payload, capabilities)),
            Some(_) => Ok(payload),
            None => Err(WireError::Protocol("an empty answer".to_owned())),
        }
    }

    fn columns(&mut self, count: usize) -> Result<Vec<Column>, WireError> {
        let mut columns = Vec::with_capacity(count);
        for _ in 0..count {
            let column: packets::Column = ParseBuf(self.packets.next()?).parse(())?;
            let unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
            columns.push(Column {
                column_type: column.column_type(),
                unsigned,
            });
        }
        if !self
            .capabilities
            .contains(CapabilityFlags::CLIENT_DEPRECATE_EOF)
        {
            self.packets.next()?;
        }
        Ok(columns)
    }
}

/// Whether a packet that begins as an end is one: rows of the text protocol may begin with the same byte, for a value of 16 MiB
/// and more.
fn is_end(payload: &[u8], capabilities: CapabilityFlags) -> bool {
    capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) || payload.len() < 9
}

fn length_of(payload: &[u8]) -> Result<usize, WireError> {
    match ParseBuf(payload).checked_eat_lenenc_int() {
        Some(length) if (1..=4096).contains(&length) => Ok(length as usize),
        _ => Err(WireError::Protocol(
            "an unknown answer to a statement".to_owned(),
        )),
    }
}

/// A cell of the text protocol: outer none if it is cut short, inner none for NULL.
fn text_cell(cells: &mut ParseBuf<'_>) -> Option<Option<String>> {
    if cells.0.first() == Some(&0xFB) {
        cells.skip(1);
        return Some(None);
    }
    cells
        .checked_eat_lenenc_str()
        .map(|text| Some(String::from_utf8_lossy(text).into_owned()))
}

/// The argument of COM_STMT_EXECUTE: no cursor, once, no NULLs, and each value with its type.
fn execution(id: u32, values: &[&KeyValue]) -> Vec<u8> {
    let mut payload = id.to_le_bytes().to_vec();
    payload.push(0);
    payload.extend_from_slice(&1u32.to_le_bytes());
    if values.is_empty() {
        return payload;
    }
    payload.resize(payload.len() + values.len().div_ceil(8), 0);
    payload.push(1);
    for value in values {
        // Text is sent in the connection's character set; the server compares it in the column's collation, since a
        // parameter has less say than a column.
        let (column_type, unsigned) = match value {
            KeyValue::Int(number) => (
                ColumnType::MYSQL_TYPE_LONGLONG,
                *number > i128::from(i64::MAX),
            ),
            KeyValue::Text(_) => (ColumnType::MYSQL_TYPE_VAR_STRING, false),
            KeyValue::Bytes(_) => (ColumnType::MYSQL_TYPE_BLOB, false),
        };
        payload.extend_from_slice(&[column_type as u8, u8::from(unsigned) << 7]);
    }
    for value in values {
        match value {
            // Two's complement: the low 64 bits are right for both signs.
            KeyValue::Int(number) => payload.extend_from_slice(&(*number as u64).to_le_bytes()),
            KeyValue::Text(text) => put_lenenc(&mut payload, text.as_bytes()),
            KeyValue::Bytes(bytes) => put_lenenc(&mut payload, bytes),
        }
    }
    payload
}

/// Bytes behind their length. A bound is a key's value, which has at most 3072 bytes in an index.
fn put_lenenc(payload: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len();
    match length {
        0..=250 => payload.push(length as u8),
        251..=0xFFFF => {
            payload.push(0xFC);
            payload.extend_from_slice(&(length as u16).to_le_bytes());
        }
        _ => {
            payload.push(0xFE);
            payload.extend_from_slice(&(length as u64).to_le_bytes());
        }
    }
    payload.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_typed_and_in_order() {
        let values = [
            KeyValue::Int(-2),
            KeyValue::Int(i128::from(u64::MAX)),
            KeyValue::Text("é".into()),
            KeyValue::Bytes(vec![0]),
        ];
        let payload = execution(7, &values.iter().collect::<Vec<_>>());
        let expected = [
            &[7, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1][..],
            &[8, 0, 8, 0x80, 0xFD, 0, 0xFC, 0],
            &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0xFF; 8],
            &[2, 0xC3, 0xA9, 1, 0],
        ]
        .concat();
        assert_eq!(payload, expected);
    }

    #[test]
    fn lengths_have_three_forms() {
        for (length, head) in [
            (250, &[250][..]),
            (251, &[0xFC, 251, 0]),
            (0x1_0000, &[0xFE, 0, 0, 1, 0, 0, 0, 0, 0]),
        ] {
            let mut payload = Vec::new();
            put_lenenc(&mut payload, &vec![1; length]);
            assert_eq!(&payload[..head.len()], head);
            assert_eq!(payload.len(), head.len() + length);
        }
    }
}
