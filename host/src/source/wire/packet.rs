//! Framing: packets off a stream, lent out of one reusable buffer, and packets onto it.
//!
//! A MySQL packet is a three-byte length, a sequence number and the payload. A payload of 16 MiB − 1 or more is sent as several
//! packets, the last of which is shorter. Whole packets that are in the read buffer are lent without a copy; only payloads of
//! several packets are joined. What a header claims is never believed: room is made as bytes arrive, and a payload has a bound.

use std::io::{self, Read, Write};

/// The longest payload of one packet; a packet of this length is continued by the next.
const MAX_PAYLOAD: usize = 0xFF_FFFF;
const HEADER: usize = 4;
/// Large enough for thousands of rows per system call, small enough to stay in the processor's cache.
const READ_BUFFER_BYTES: usize = 256 << 10;
/// What it begins with: a connection for questions, or one that waits for the binlog, needs no more. It grows as reads fill it.
const FIRST_BUFFER_BYTES: usize = 16 << 10;

/// Room for a payload of several packets is made in such steps.
const STEP_BYTES: usize = 1 << 20;
/// The longest payload that is no row: answers to questions and errors are short, whatever a server sends.
pub(super) const SHORT_BYTES: usize = 64 << 20;
/// The longest row: the largest packet that MySQL has.
pub(super) const ROW_BYTES: usize = 1 << 30;

/// A stream of packets.
pub(super) struct Packets<S> {
    stream: S,
    buffer: Vec<u8>,
    /// The bytes that are read but not yet lent: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// The payload of several packets.
    joined: Vec<u8>,
    /// The number that the next packet, either way, has.
    sequence: u8,
    out: Vec<u8>,
    /// The longest payload that is read.
    longest: usize,
}

impl<S> Packets<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: vec![0; FIRST_BUFFER_BYTES],
            start: 0,
            end: 0,
            joined: Vec::new(),
            sequence: 0,
            out: Vec::new(),
            longest: SHORT_BYTES,
        }
    }

    /// Starts a command: numbers begin again.
    pub(super) fn begin(&mut self) {
        self.sequence = 0;
    }

    /// Gives the memory back in which payloads of several packets were joined: the last payload isn't needed any more.
    pub(super) fn forget_joined(&mut self) {
        self.joined = Vec::new();
    }

    /// Reads payloads of so many bytes at most from now on.
    pub(super) fn allow(&mut self, longest: usize) {
        self.longest = longest;
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Puts another stream in the place of this one, as TLS does in the middle of the handshake. Bytes that were read but not
    /// lent would belong to the old stream: a server that sent any was tampered with.
    pub(super) fn replace<T>(
        self,
        with: impl FnOnce(S) -> io::Result<T>,
    ) -> io::Result<Packets<T>> {
        if self.start != self.end {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "bytes in clear before the TLS handshake",
            ));
        }
        let stream = with(self.stream)?;
        Ok(Packets {
            stream,
            buffer: self.buffer,
            start: 0,
            end: 0,
            joined: self.joined,
            sequence: self.sequence,
            out: self.out,
            longest: self.longest,
        })
    }
}

impl<S: Read> Packets<S> {
    /// Whether the next payload is in the buffer already, as a whole.
    pub(super) fn is_ready(&self) -> bool {
        match self.buffer[self.start..self.end] {
            [a, b, c, _, ref rest @ ..] => {
                let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
                length < MAX_PAYLOAD && rest.len() >= length
            }
            _ => false,
        }
    }

    /// The next payload, until the next call.
    pub(super) fn next(&mut self) -> io::Result<&[u8]> {
        let length = self.header()?;
        if length < MAX_PAYLOAD {
            self.fill(length)?;
            let payload = self.start..self.start + length;
            self.start += length;
            return Ok(&self.buffer[payload]);
        }
        self.joined.clear();
        self.take_joined(length)?;
        loop {
            let length = self.header()?;
            self.take_joined(length)?;
            if length < MAX_PAYLOAD {
                return Ok(&self.joined);
            }
        }
    }

    /// Reads a header, and returns the length of its payload.
    fn header(&mut self) -> io::Result<usize> {
        self.fill(HEADER)?;
        let header = &self.buffer[self.start..self.start + HEADER];
        let length =
            usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
        if header[3] != self.sequence {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a packet is out of order",
            ));
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.start += HEADER;
        Ok(length)
    }

    /// Sees to it that `length` bytes from `start` on are in the buffer.
    fn fill(&mut self, length: usize) -> io::Result<()> {
        if self.end - self.start >= length {
            return Ok(());
        }
        let was_full = self.end == self.buffer.len();
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if was_full && self.buffer.len() < READ_BUFFER_BYTES {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        while self.end < length {
            if self.end == self.buffer.len() {
                self.buffer.resize(2 * self.end, 0);
            }
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Appends `length` bytes to `joined`: first what is buffered, the rest straight from the stream.
    fn take_joined(&mut self, length: usize) -> io::Result<()> {
        if self.joined.len() + length > self.longest {
            self.forget_joined();
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a packet of more than {} MiB", self.longest >> 20),
            ));
        }
        let buffered = length.min(self.end - self.start);
        self.joined
            .extend_from_slice(&self.buffer[self.start..self.start + buffered]);
        self.start += buffered;
        let mut left = length - buffered;
        while left > 0 {
            let step = left.min(STEP_BYTES);
            let from = self.joined.len();
            self.joined.resize(from + step, 0);
            self.stream.read_exact(&mut self.joined[from..])?;
            left -= step;
        }
        Ok(())
    }
}

impl<S: Write> Packets<S> {
    /// Sends a payload, in as many packets as it takes.
    pub(super) fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.out.clear();
        let mut rest = payload;
        loop {
            let length = rest.len().min(MAX_PAYLOAD);
            self.out
                .extend_from_slice(&(length as u32).to_le_bytes()[..3]);
            self.out.push(self.sequence);
            self.out.extend_from_slice(&rest[..length]);
            self.sequence = self.sequence.wrapping_add(1);
            rest = &rest[length..];
            if length < MAX_PAYLOAD {
                break;
            }
        }
        self.stream.write_all(&self.out)?;
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A reader that gives at most `step` bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(into.len()).min(self.0.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn written(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut packets = Packets::new(Vec::new());
        for payload in payloads {
            packets.send(payload).expect("a vector takes all");
        }
        packets.stream
    }

    proptest! {
        #[test]
        fn what_is_sent_is_read_back(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..40), step in 1usize..5000) {
            let bytes = written(&payloads);
            let mut packets = Packets::new(Dribble(&bytes, step));
            for payload in &payloads {
                prop_assert_eq!(packets.next().expect("a packet"), &payload[..]);
            }
            prop_assert_eq!(packets.next().expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn payloads_of_several_packets_are_joined() {
        for length in [
            MAX_PAYLOAD - 1,
            MAX_PAYLOAD,
            MAX_PAYLOAD + 1,
            2 * MAX_PAYLOAD,
            2 * MAX_PAYLOAD + 7,
        ] {
            let payloads = [
                b"before".to_vec(),
                (0..length).map(|i| (i % 251) as u8).collect(),
                b"after".to_vec(),
            ];
            let bytes = written(&payloads);
            let mut packets = Packets::new(Dribble(&bytes, 1 << 20));
            for payload in &payloads {
                assert!(
                    packets.next().expect("a packet") == &payload[..],
                    "{length}"
                );
            }
        }
    }

    /// Packets of the largest size for ever, of which each says that the next one continues it.
    struct Endless {
        sent: usize,
        /// How much of the packet is left, header included.
        left: usize,
    }

    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            const WHOLE: usize = HEADER + MAX_PAYLOAD;
            if self.left == 0 {
                self.left = WHOLE;
            }
            if self.left > MAX_PAYLOAD {
                let sequence = (self.sent / WHOLE) as u8;
                let header = [0xFF, 0xFF, 0xFF, sequence];
                into[0] = header[WHOLE - self.left];
                (self.left, self.sent) = (self.left - 1, self.sent + 1);
                return Ok(1);
            }
            let length = into.len().min(self.left);
            into[..length].fill(1);
            (self.left, self.sent) = (self.left - length, self.sent + length);
            Ok(length)
        }
    }

    #[test]
    fn packets_that_continue_for_ever_end_at_the_bound() {
        for longest in [SHORT_BYTES, 200 << 20] {
            let mut packets = Packets::new(Endless { sent: 0, left: 0 });
            packets.allow(longest);
            let error = packets.next().expect_err("it has no end");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(
                error
                    .to_string()
                    .contains(&format!("{} MiB", longest >> 20)),
                "{error}"
            );
            assert!(packets.stream.sent <= longest + READ_BUFFER_BYTES);
            assert_eq!(packets.joined.capacity(), 0, "and its memory is given back");
        }
    }

    #[test]
    fn a_length_that_is_only_claimed_takes_no_memory() {
        // 16 MiB − 2, of which three bytes come.
        let bytes = [&[0xFE, 0xFF, 0xFF, 0][..], b"abc"].concat();
        let mut packets = Packets::new(&bytes[..]);
        assert!(packets.next().is_err());
        assert_eq!(packets.buffer.len(), FIRST_BUFFER_BYTES);
        // The same where it would be joined.
        let bytes = [&[0xFF, 0xFF, 0xFF, 0][..], b"abc"].concat();
        let mut packets = Packets::new(&bytes[..]);
        assert!(packets.next().is_err());
        assert!(packets.joined.capacity() <= 2 * STEP_BYTES);
    }

    #[test]
    fn a_packet_out_of_order_is_refused() {
        let mut bytes = written(&[b"a".to_vec(), b"b".to_vec()]);
        bytes[8] = 9;
        let mut packets = Packets::new(&bytes[..]);
        packets.next().expect("the first is in order");
        assert_eq!(
            packets.next().expect_err("the second is not").kind(),
            io::ErrorKind::InvalidData
        );
    }
}
