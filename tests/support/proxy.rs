//! A TCP proxy on loopback that loses connections on command: at once, one byte before the end of an answer, or right after it has
//! passed a request on whose bytes hold a given text, so that the server does it and the client never hears.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A proxy in front of a server.
#[derive(Debug)]
pub struct Proxy {
    /// The port that it listens on.
    pub port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: Mutex<Vec<TcpStream>>,
    refuse: AtomicBool,
    within: AtomicBool,
    needle: Mutex<Option<Vec<u8>>>,
    answers_lost: AtomicU64,
    bytes_to_client: AtomicU64,
}

impl Proxy {
    /// A proxy in front of a port on loopback.
    pub fn new(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State::default());
        let accepted = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepted.refuse.load(Ordering::SeqCst) {
                    continue;
                }
                // A server that is down refuses: the client finds its connection closed.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    continue;
                };
                connect(&accepted, client, server);
            }
        });
        Self { port, state }
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for connection in self
            .state
            .connections
            .lock()
            .expect("not poisoned")
            .drain(..)
        {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Cuts the connection on which the server answers next, a byte before the end of what it sent: in the middle of a packet.
    pub fn cut_within_an_answer(&self) {
        self.state.within.store(true, Ordering::SeqCst);
    }

    /// Whether new connections are refused.
    pub fn refuse(&self, refuse: bool) {
        self.state.refuse.store(refuse, Ordering::SeqCst);
    }

    /// Cuts the connection of the next request that holds this text, once, a moment after the request was passed on.
    pub fn lose_answer_to(&self, needle: &str) {
        *self.state.needle.lock().expect("not poisoned") = Some(needle.as_bytes().to_vec());
    }

    /// How many answers were lost on purpose.
    pub fn answers_lost(&self) -> u64 {
        self.state.answers_lost.load(Ordering::SeqCst)
    }

    /// How many bytes the server has sent to clients.
    pub fn bytes_to_client(&self) -> u64 {
        self.state.bytes_to_client.load(Ordering::SeqCst)
    }
}

fn connect(state: &Arc<State>, client: TcpStream, server: TcpStream) {
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a socket");
    }
    let clone = |socket: &TcpStream| socket.try_clone().expect("a socket");
    state
        .connections
        .lock()
        .expect("not poisoned")
        .extend([clone(&client), clone(&server)]);
    let (requests, answers) = (state.clone(), state.clone());
    let (client_in, server_out) = (clone(&client), clone(&server));
    std::thread::spawn(move || pass_requests(&requests, client_in, server_out));
    std::thread::spawn(move || {
        let (mut from, mut to) = (server, client);
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            answers
                .bytes_to_client
                .fetch_add(read as u64, Ordering::SeqCst);
            let cut = answers.within.swap(false, Ordering::SeqCst);
            let passed = read - usize::from(cut);
            if to.write_all(&buffer[..passed]).is_err() || cut {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn pass_requests(state: &State, mut client: TcpStream, mut server: TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let lost = {
            let mut needle = state.needle.lock().expect("not poisoned");
            let found = needle.as_ref().is_some_and(|needle| {
                buffer[..read]
                    .windows(needle.len())
                    .any(|part| part == needle)
            });
            if found { needle.take() } else { None }
        };
        if lost.is_some() {
            // The client hears nothing from here on, while the server still gets the request.
            let _ = client.shutdown(Shutdown::Write);
        }
        if server.write_all(&buffer[..read]).is_err() {
            break;
        }
        if lost.is_some() {
            state.answers_lost.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(500));
            let _ = client.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}
