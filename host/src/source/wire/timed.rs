//! A socket with a deadline: the time that reading and writing may take in all, however the bytes come.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A socket that can be told how long to wait.
pub(super) trait Socket: Read + Write {
    /// The longest that one read or write waits.
    fn wait_at_most(&self, time: Duration) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

impl Socket for UnixStream {
    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

/// A socket with a deadline. It lies beneath TLS, which reads as often as a record takes.
pub(super) struct Timed<S> {
    stream: S,
    /// When all has to be done, and how long that was; none: each read and write waits by itself, and no clock is asked.
    deadline: Option<(Instant, Duration)>,
    /// How long each of them waits then.
    silence: Duration,
}

impl<S: Socket> Timed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            deadline: None,
            silence: Duration::MAX,
        }
    }

    pub(super) fn socket(&self) -> &S {
        &self.stream
    }

    pub(super) fn ends_within(&mut self, time: Duration) {
        self.deadline = Some((Instant::now() + time, time));
    }

    pub(super) fn may_last(&mut self, silence: Duration) -> io::Result<()> {
        self.deadline = None;
        self.silence = silence;
        self.stream.wait_at_most(silence)
    }

    /// Does something with the socket, in the time that is left.
    fn timed<T>(&mut self, work: impl FnOnce(&mut S) -> io::Result<T>) -> io::Result<T> {
        if let Some((until, time)) = self.deadline {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late(time));
            }
            self.stream.wait_at_most(left)?;
        }
        work(&mut self.stream).map_err(|error| match error.kind() {
            // So says a socket that has waited in vain.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                late(self.deadline.map_or(self.silence, |(_, time)| time))
            }
            _ => error,
        })
    }
}

fn late(time: Duration) -> io::Error {
    let text = match time.as_secs() {
        0 => format!("no answer within {} ms", time.as_millis()),
        seconds => format!("no answer within {seconds} s"),
    };
    io::Error::new(io::ErrorKind::TimedOut, text)
}

impl<S: Socket> Read for Timed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.timed(|stream| stream.read(buffer))
    }
}

impl<S: Socket> Write for Timed<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.timed(|stream| stream.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
