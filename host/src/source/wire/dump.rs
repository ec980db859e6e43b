//! The dump of a binlog: events, taken out of their packets, and compressed transactions out of their event.
//!
//! What an event says of its own length is held against the packet's, or is read as far as there is something to read: nothing is made room for
//! by a claim.

use std::io::Read;
use std::ops::ControlFlow;

use mysql_async::binlog::BinlogVersion;
use mysql_async::binlog::events::{
    BinlogEventFooter, Event, FormatDescriptionEvent, TransactionPayloadEvent,
};
use mysql_common::misc::raw::Either;
use mysql_common::packets::ComRegisterSlave;
use mysql_common::packets::binlog_request::BinlogRequest;
use mysql_common::proto::MySerialize;

use super::handshake::server_error;
use super::packet::ROW_BYTES;
use super::{Connection, STATEMENT_TIMEOUT, WireError};

const OK: u8 = 0x00;
const EOF: u8 = 0xFE;
const ERR: u8 = 0xFF;
/// The bytes of an event before its data, and where among them its length is.
const HEADER: usize = 19;
const LENGTH: std::ops::Range<usize> = 9..13;
/// A checksum behind an event, and what a format description has before it.
const CHECKSUM: usize = 4;
const FORMAT_DESCRIPTION: u8 = 15;
const TRANSACTION_PAYLOAD: u8 = 40;

/// A connection that has nothing but events.
pub(in crate::source) struct Dump {
    connection: Connection,
    format: FormatDescriptionEvent<'static>,
}

/// Takes an event; the flag: whether the next one is there already.
pub(in crate::source) type Sink<'a> = &'a mut dyn FnMut(Event, bool) -> ControlFlow<()>;

impl Connection {
    /// Asks for the binlog.
    pub(in crate::source) fn dump(
        mut self,
        server_id: u32,
        request: &BinlogRequest<'_>,
    ) -> Result<Dump, WireError> {
        // The server sends checksums as its files have them.
        self.ask(
            "SET @master_binlog_checksum = 'ALL'",
            &[],
            STATEMENT_TIMEOUT,
        )?;
        self.ends_within(STATEMENT_TIMEOUT);
        self.command_of(&ComRegisterSlave::new(server_id))?;
        self.answer()?;
        match request.as_cmd() {
            Either::Left(command) => self.command_of(&command)?,
            Either::Right(command) => self.command_of(&command)?,
        }
        self.may_last()?;
        self.packets.allow(ROW_BYTES);
        Ok(Dump {
            connection: self,
            format: FormatDescriptionEvent::new(BinlogVersion::Version4),
        })
    }

    fn command_of(&mut self, command: &impl MySerialize) -> Result<(), WireError> {
        self.packets.begin();
        let mut payload = Vec::new();
        command.serialize(&mut payload);
        Ok(self.packets.send(&payload)?)
    }
}

impl Dump {
    /// Reads events until the server ends them, or the sink does.
    pub(in crate::source) fn read(mut self, sink: Sink<'_>) -> Result<(), WireError> {
        let capabilities = self.connection.capabilities;
        loop {
            let packets = &mut self.connection.packets;
            let payload = packets.next()?;
            let event = match payload.split_first() {
                Some((&OK, event)) => read_event(&self.format, event)?,
                Some((&EOF, rest)) if rest.len() < 8 => return Ok(()),
                Some((&ERR, _)) => return Err(server_error(payload, capabilities)),
                _ => return Err(unreadable()),
            };
            packets.forget_joined();
            let more = packets.is_ready();
            let flow = match event.header().event_type_raw() {
                TRANSACTION_PAYLOAD => self.read_transaction(&event, more, sink)?,
                FORMAT_DESCRIPTION => {
                    let format = event
                        .read_event::<FormatDescriptionEvent<'_>>()
                        .map_err(|_| unreadable())?;
                    self.format = format.into_owned().with_footer(event.footer());
                    sink(event, more)
                }
                _ => sink(event, more),
            };
            if flow.is_break() {
                return Ok(());
            }
        }
    }

    /// Hands out a compressed transaction: its event, and then those that are in it, as they are decompressed.
    fn read_transaction(
        &self,
        event: &Event,
        more: bool,
        sink: Sink<'_>,
    ) -> Result<ControlFlow<()>, WireError> {
        let transaction = event
            .read_event::<TransactionPayloadEvent<'_>>()
            .map_err(|_| unreadable())?;
        let mut events = transaction.decompressed().map_err(|_| unreadable())?;
        // They have no checksums.
        let plain = BinlogEventFooter::default();
        let format = self.format.clone().with_footer(plain);
        let mut next = event.clone();
        loop {
            let goes_on = events.has_data_left().map_err(|_| unreadable())?;
            let flow = sink(next, goes_on || more);
            if flow.is_break() || !goes_on {
                return Ok(flow);
            }
            let mut bytes = Vec::new();
            append(&mut events, HEADER, &mut bytes)?;
            let length = stated_length(&bytes).ok_or_else(unreadable)?;
            if !(HEADER..=ROW_BYTES).contains(&length) {
                return Err(unreadable());
            }
            append(&mut events, length - HEADER, &mut bytes)?;
            next = read_event(&format, &bytes)?;
            if next.header().event_type_raw() == TRANSACTION_PAYLOAD {
                return Err(unreadable());
            }
        }
    }
}

/// Reads so many bytes, as they come.
fn append(from: &mut impl Read, length: usize, bytes: &mut Vec<u8>) -> Result<(), WireError> {
    let read = from.take(length as u64).read_to_end(bytes);
    match read {
        Ok(read) if read == length => Ok(()),
        _ => Err(unreadable()),
    }
}

fn stated_length(event: &[u8]) -> Option<usize> {
    let length: [u8; 4] = event.get(LENGTH)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(length)).ok()
}

/// Reads an event that is as long as it says.
fn read_event(format: &FormatDescriptionEvent<'static>, bytes: &[u8]) -> Result<Event, WireError> {
    let least = HEADER + CHECKSUM;
    let is_short = bytes.len() < least && (has_checksum(format) || bytes.len() < HEADER);
    if is_short || stated_length(bytes) != Some(bytes.len()) {
        return Err(unreadable());
    }
    Event::read(format, bytes).map_err(|_| unreadable())
}

fn has_checksum(format: &FormatDescriptionEvent<'static>) -> bool {
    format.footer() != BinlogEventFooter::default()
}

fn unreadable() -> WireError {
    WireError::Protocol("an event that can't be read".to_owned())
}
