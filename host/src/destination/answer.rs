//! What a ClickHouse server may answer, seen on the connection itself. The `clickhouse` crate streams what a query gives, and who reads it
//! has bounds. But it collects an error as a whole, and a server that means harm has one without an end.
//!
//! So the head of each response is read here first. Behind that of an error only so much is read, and the connection is not used again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use httparse::{EMPTY_HEADER, Response, Status};
use hyper::Uri;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower_service::Service;

/// The longest error that is read, as it is sent: a statement and what is wrong with it. LZ4 makes it 255 times as long at most.
const ERROR_BYTES: usize = 256 << 10;
/// The longest head of a response, and the most headers that hyper takes.
const HEAD_BYTES: usize = 64 << 10;
const HEADERS: usize = 100;
/// How much of a head is read at a time.
const READ_BYTES: usize = 8 << 10;
/// How requests begin.
const METHODS: [&[u8]; 2] = [b"POST ", b"GET "];

/// Makes connections whose errors are bounded.
#[derive(Clone)]
pub(super) struct BoundedErrors<C>(pub(super) C);

impl<C> Service<Uri> for BoundedErrors<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = Bounded<C::Response>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move { connecting.await.map(Bounded::new) })
    }
}

/// A connection that reads heads, and bounds errors.
pub(super) struct Bounded<S> {
    stream: S,
    answer: Answer,
    /// What was read with a head, and is still to be handed on.
    ready: Vec<u8>,
}

/// Where in a response the connection is.
enum Answer {
    /// Before it, or in its head, of which so much is read.
    Head(Vec<u8>),
    /// In what a query gives, of any length.
    Rows,
    /// In an error, of which so much may follow.
    Error(usize),
}

impl<S> Bounded<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            answer: Answer::Head(Vec::new()),
            ready: Vec::new(),
        }
    }

    /// Takes up what was read of a head; false: more of it is to be read first.
    fn take_head(&mut self, end: bool) -> io::Result<bool> {
        let Answer::Head(head) = &mut self.answer else {
            return Ok(true);
        };
        let mut headers = [EMPTY_HEADER; HEADERS];
        let mut response = Response::new(&mut headers);
        let (length, code, is_error) = match response.parse(head) {
            Ok(Status::Complete(length)) => {
                let is_exception = response.headers.iter().any(|header| {
                    header
                        .name
                        .eq_ignore_ascii_case("X-ClickHouse-Exception-Code")
                });
                let code = response.code.unwrap_or(0);
                (length, code, code != 200 || is_exception)
            }
            Ok(Status::Partial) if !end => {
                return match head.len() < HEAD_BYTES {
                    true => Ok(false),
                    false => Err(too_long("the head of an answer")),
                };
            }
            // Hyper says what is wrong with it.
            Ok(Status::Partial) | Err(_) => (head.len(), 0, true),
        };
        let mut head = std::mem::take(head);
        // What comes before the answer itself, such as 100.
        if (100..200).contains(&code) {
            let rest = head.split_off(length);
            self.ready.append(&mut head);
            self.answer = Answer::Head(rest);
            return self.take_head(end);
        }
        let rest = head.split_off(length);
        if !is_error {
            self.answer = Answer::Rows;
        } else {
            self.answer = Answer::Error(ERROR_BYTES);
            self.count(rest.len())?;
            // The last word of a head counts. A connection that has had an error tells no other response from its rest.
            if head.ends_with(b"\r\n\r\n") {
                head.truncate(head.len() - 2);
                head.extend_from_slice(b"connection: close\r\n\r\n");
            }
        }
        self.ready.extend(head);
        self.ready.extend(rest);
        Ok(true)
    }

    /// Counts bytes of an error.
    fn count(&mut self, bytes: usize) -> io::Result<()> {
        if let Answer::Error(left) = &mut self.answer {
            *left = left
                .checked_sub(bytes)
                .ok_or_else(|| too_long("an error"))?;
        }
        Ok(())
    }

    /// A request that begins is answered by a response of its own.
    fn writes(&mut self, bytes: &[u8]) {
        if matches!(self.answer, Answer::Rows)
            && METHODS.iter().any(|method| bytes.starts_with(method))
        {
            self.answer = Answer::Head(Vec::new());
        }
    }
}

fn too_long(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the server sends {what} that is too long"),
    )
}

impl<S: Read + Unpin> Read for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.ready.is_empty() && matches!(this.answer, Answer::Head(_)) {
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, read.unfilled()))?;
            let filled = read.filled();
            if let Answer::Head(head) = &mut this.answer {
                if filled.is_empty() && head.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                head.extend_from_slice(filled);
            }
            this.take_head(filled.is_empty())?;
        }
        if !this.ready.is_empty() {
            let length = this.ready.len().min(buffer.remaining());
            buffer.put_slice(&this.ready[..length]);
            this.ready.drain(..length);
            if this.ready.is_empty() {
                this.ready = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        if let Answer::Rows = this.answer {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let mut bytes = [0; READ_BYTES];
        let room = buffer.remaining().min(READ_BYTES);
        let mut read = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut this.stream).poll_read(cx, read.unfilled()))?;
        this.count(read.filled().len())?;
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes(bytes);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = parts.iter().find(|part| !part.is_empty());
        self.writes(first.map_or(&[], |part| part));
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
}

impl<S: Connection> Connection for Bounded<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}
