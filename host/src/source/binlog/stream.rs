//! The events of a dump: read by a thread of their own, and handed over some at a time.

use std::ops::ControlFlow;

use mysql_async::binlog::events::Event;
use mysql_common::packets::binlog_request::BinlogRequest;
use tokio::sync::mpsc;

use crate::source::connect::Control;
use crate::source::wire::{Hangup, WireError};

/// Events that are there already are handed over together up to so many bytes, or of so many.
const TOGETHER_BYTES: usize = 1 << 20;
const TOGETHER: usize = 1024;

/// Events in the order of the binlog. Dropped, it ends the connection.
pub(super) struct Stream {
    read: mpsc::Receiver<Result<Vec<Event>, WireError>>,
    ready: std::vec::IntoIter<Event>,
    _hangup: Hangup,
}

impl Stream {
    /// Asks for the binlog over this connection.
    pub(super) async fn open(
        control: Control,
        server_id: u32,
        request: BinlogRequest<'static>,
    ) -> Result<Self, WireError> {
        let lost = || WireError::Protocol("an answer that was left in the middle".to_owned());
        let (connection, hangup) = control.into_connection().ok_or_else(lost)?;
        let asked = tokio::task::spawn_blocking(move || connection.dump(server_id, &request));
        let dump = asked.await.map_err(|cause| WireError::Io(cause.into()))??;
        // One that waits while one is made and one is taken.
        let (sender, read) = mpsc::channel(1);
        let reading = move || {
            let (mut events, mut bytes) = (Vec::new(), 0);
            let ended = dump.read(&mut |event, more| {
                bytes += event.data().len();
                events.push(event);
                if more && bytes < TOGETHER_BYTES && events.len() < TOGETHER {
                    return ControlFlow::Continue(());
                }
                bytes = 0;
                match sender.blocking_send(Ok(std::mem::take(&mut events))) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            });
            if !events.is_empty() {
                let _ = sender.blocking_send(Ok(events));
            }
            if let Err(error) = ended {
                // Nobody may be left who would know.
                let _ = sender.blocking_send(Err(error));
            }
        };
        std::thread::Builder::new()
            .name("binlog".to_owned())
            .spawn(reading)?;
        Ok(Self {
            read,
            ready: Vec::new().into_iter(),
            _hangup: hangup,
        })
    }

    /// The next event; none after the last one. The future may be dropped at any time.
    pub(super) async fn next(&mut self) -> Option<Result<Event, WireError>> {
        loop {
            if let Some(event) = self.ready.next() {
                return Some(Ok(event));
            }
            match self.read.recv().await? {
                Ok(events) => self.ready = events.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
