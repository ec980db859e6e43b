//! Commands: simple statements, and prepared ones whose rows are streamed.

use std::time::Duration;

use mysql_common::constants::{CapabilityFlags, ColumnFlags, ColumnType};
use mysql_common::io::ParseBuf;
use mysql_common::packets;

use super::handshake::server_error;
use super::packet::{ROW_BYTES, SHORT_BYTES};
use super::{Connection, STATEMENT_TIMEOUT, WireError};
use crate::schema::KeyValue;

const COM_QUIT: u8 = 0x01;
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

/// The longest definition of a column: names, and a default.
const LONGEST_DEFINITION: usize = 64 << 10;

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
    /// Runs a statement, and returns how many columns its answer has; none: it has no rows.
    pub(super) fn begin_query(&mut self, sql: &str) -> Result<Option<usize>, WireError> {
        self.packets.allow(SHORT_BYTES);
        self.command(COM_QUERY, sql.as_bytes())?;
        self.width()
    }

    /// The first packet of an answer with rows, or without.
    fn width(&mut self) -> Result<Option<usize>, WireError> {
        let payload = self.answer()?;
        match payload[0] {
            OK => Ok(None),
            _ => length_of(payload).map(Some),
        }
    }

    /// Prepares a statement with `?` for its parameters. A table that is being altered is waited for here.
    pub(in crate::source) fn prepare(&mut self, sql: &str) -> Result<Statement, WireError> {
        self.ends_within(STATEMENT_TIMEOUT);
        self.begin_preparation(sql)
    }

    pub(super) fn begin_preparation(&mut self, sql: &str) -> Result<Statement, WireError> {
        self.packets.allow(SHORT_BYTES);
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
        match within {
            Some(within) => self.ends_within(within),
            None => self.may_last()?,
        }
        let values: Vec<_> = values
            .iter()
            .map(|value| Parameter::of_key(value))
            .collect();
        let width = self.begin_execution(statement, &values)?;
        self.packets.allow(ROW_BYTES);
        match width {
            None => Ok(Vec::new()),
            Some(width) => self.columns(width),
        }
    }

    /// Runs a statement, and returns how many columns its answer has; none: it has no rows.
    pub(super) fn begin_execution(
        &mut self,
        statement: &Statement,
        values: &[Parameter<'_>],
    ) -> Result<Option<usize>, WireError> {
        if values.len() != statement.parameters {
            return Err(WireError::Protocol(format!(
                "{} values for {} parameters",
                values.len(),
                statement.parameters
            )));
        }
        self.command(COM_STMT_EXECUTE, &execution(statement.id, values))?;
        self.width()
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

    /// Says goodbye. The server doesn't answer.
    pub(in crate::source) fn quit(mut self, within: Duration) {
        self.ends_within(within);
        // That it is gone already is no error.
        let _ = self.command(COM_QUIT, &[]);
    }

    fn command(&mut self, command: u8, argument: &[u8]) -> Result<(), WireError> {
        self.packets.begin();
        let mut payload = Vec::with_capacity(argument.len() + 1);
        payload.push(command);
        payload.extend_from_slice(argument);
        Ok(self.packets.send(&payload)?)
    }

    /// The first packet of an answer, which is never empty.
    pub(super) fn answer(&mut self) -> Result<&[u8], WireError> {
        let capabilities = self.capabilities;
        let payload = self.packets.next()?;
        match payload.first() {
            Some(&ERR) => Err(server_error(payload, capabilities)),
            Some(_) => Ok(payload),
            None => Err(WireError::Protocol("an empty answer".to_owned())),
        }
    }

    fn columns(&mut self, count: usize) -> Result<Vec<Column>, WireError> {
        let columns = self.whole_columns(count)?;
        let framed = |column: &packets::Column| Column {
            column_type: column.column_type(),
            unsigned: column.flags().contains(ColumnFlags::UNSIGNED_FLAG),
        };
        Ok(columns.iter().map(framed).collect())
    }

    /// The definitions of so many columns.
    pub(super) fn whole_columns(
        &mut self,
        count: usize,
    ) -> Result<Vec<packets::Column>, WireError> {
        let mut columns = Vec::with_capacity(count);
        for _ in 0..count {
            let definition = self.packets.next()?;
            if definition.len() > LONGEST_DEFINITION {
                return Err(WireError::Protocol("a column without an end".to_owned()));
            }
            columns.push(ParseBuf(definition).parse(())?);
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

/// A value for a `?`.
#[derive(Clone, Copy)]
pub(super) enum Parameter<'a> {
    Null,
    /// Two's complement, and whether it has no sign.
    Int(u64, bool),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
}

impl<'a> Parameter<'a> {
    fn of_key(value: &'a KeyValue) -> Self {
        match value {
            // The low 64 bits are right for both signs.
            KeyValue::Int(number) => Self::Int(*number as u64, *number > i128::from(i64::MAX)),
            KeyValue::Text(text) => Self::Text(text.as_bytes()),
            KeyValue::Bytes(bytes) => Self::Bytes(bytes),
        }
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

/// The argument of COM_STMT_EXECUTE: no cursor, once, which are NULL, and each value with its type.
fn execution(id: u32, values: &[Parameter<'_>]) -> Vec<u8> {
    let mut payload = id.to_le_bytes().to_vec();
    payload.push(0);
    payload.extend_from_slice(&1u32.to_le_bytes());
    if values.is_empty() {
        return payload;
    }
    let nulls = payload.len();
    payload.resize(nulls + values.len().div_ceil(8), 0);
    payload.push(1);
    for (i, value) in values.iter().enumerate() {
        // Text is sent in the connection's character set; the server compares it in the column's collation, since a
        // parameter has less say than a column.
        let (column_type, unsigned) = match value {
            Parameter::Null => {
                payload[nulls + i / 8] |= 1 << (i % 8);
                (ColumnType::MYSQL_TYPE_NULL, false)
            }
            Parameter::Int(_, unsigned) => (ColumnType::MYSQL_TYPE_LONGLONG, *unsigned),
            Parameter::Text(_) => (ColumnType::MYSQL_TYPE_VAR_STRING, false),
            Parameter::Bytes(_) => (ColumnType::MYSQL_TYPE_BLOB, false),
        };
        payload.extend_from_slice(&[column_type as u8, u8::from(unsigned) << 7]);
    }
    for value in values {
        match value {
            Parameter::Null => {}
            Parameter::Int(number, _) => payload.extend_from_slice(&number.to_le_bytes()),
            Parameter::Text(bytes) | Parameter::Bytes(bytes) => put_lenenc(&mut payload, bytes),
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
        let mut values: Vec<_> = values.iter().map(Parameter::of_key).collect();
        let payload = execution(7, &values);
        let expected = [
            &[7, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1][..],
            &[8, 0, 8, 0x80, 0xFD, 0, 0xFC, 0],
            &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0xFF; 8],
            &[2, 0xC3, 0xA9, 1, 0],
        ]
        .concat();
        assert_eq!(payload, expected);
        values.insert(1, Parameter::Null);
        let payload = execution(7, &values[..2]);
        let expected = [
            &[7, 0, 0, 0, 0, 1, 0, 0, 0, 2, 1][..],
            &[8, 0, 6, 0],
            &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
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
