//! A real ClickHouse server out of `libchdb.so`, so that a first run needs no installation.
//!
//! The library carries clickhouse-local's own HTTP and native listeners. It sets signal handlers and reserves gigabytes of address
//! space, so it gets a process of its own: `tidemill clickhouse`, which [`run_server`] is, and which [`Embedded`] starts and stops. That
//! process lives no longer than its standard input, so it never outlives whoever started it.

use std::ffi::{CString, c_char, c_int, c_void};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use url::Url;

use super::DestinationError;

/// The environment variable that names the library.
const LIBRARY_VARIABLE: &str = "TIDEMILL_LIBCHDB";
/// How long a server may take to answer its first question.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one answer is waited for meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Its data folder; one process at a time.
    pub data: PathBuf,
    /// The HTTP port, on loopback.
    pub http_port: u16,
    /// The native protocol's port, on loopback.
    pub tcp_port: u16,
    /// The library; none: it is looked for.
    pub library: Option<PathBuf>,
}

/// Runs a server in this process until its standard input ends. It comes back only with an error.
pub fn run_server(settings: &ServerSettings) -> Result<std::convert::Infallible, DestinationError> {
    let failed = |reason: String| DestinationError::Embedded {
        data: settings.data.clone(),
        reason,
    };
    let library = match &settings.library {
        Some(library) => library.clone(),
        None => find_library()?,
    };
    std::fs::create_dir_all(&settings.data).map_err(|cause| failed(cause.to_string()))?;
    let data = settings
        .data
        .canonicalize()
        .map_err(|cause| failed(cause.to_string()))?;
    let arguments = [
        "clickhouse-local".to_owned(),
        format!("--path={}", data.display()),
        "--listen_host=127.0.0.1".to_owned(),
        format!("--http_port={}", settings.http_port),
        format!("--tcp_port={}", settings.tcp_port),
        "--query".to_owned(),
        // The last query holds the process until standard input ends.
        "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; \
         SELECT count() FROM file('/dev/stdin', 'LineAsString', 'line String') FORMAT Null"
            .to_owned(),
    ];
    let arguments: Result<Vec<CString>, _> = arguments.into_iter().map(CString::new).collect();
    let arguments = arguments.map_err(|cause| failed(cause.to_string()))?;
    let mut pointers: Vec<*mut c_char> = arguments
        .iter()
        .map(|argument| argument.as_ptr().cast_mut())
        .collect();
    let count = c_int::try_from(pointers.len()).map_err(|cause| failed(cause.to_string()))?;
    // SAFETY: the file is ClickHouse's library, which the operator has installed; its initialisers are what running ClickHouse is.
    let loaded =
        unsafe { libloading::Library::new(&library) }.map_err(|cause| failed(cause.to_string()))?;
    // SAFETY: `chdb_query_cmdline` of chdb.h is `chdb_result *(int argc, char **argv)`; the result is not looked at.
    let run = unsafe {
        loaded.get::<unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void>(
            b"chdb_query_cmdline\0",
        )
    };
    let run = run.map_err(|cause| failed(cause.to_string()))?;
    // SAFETY: `pointers` holds `count` pointers to C strings that live until after the call, as main's arguments would.
    unsafe { run(count, pointers.as_mut_ptr()) };
    // The library's threads and destructors must not run on: the process ends here, without them. Data is on the disk already.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// Where the library is, out of the places where it may be.
fn find_library() -> Result<PathBuf, DestinationError> {
    if let Some(given) = std::env::var_os(LIBRARY_VARIABLE) {
        return Ok(PathBuf::from(given));
    }
    let mut looked = Vec::new();
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cache")));
    if let Some(installed) = cache.map(|cache| cache.join("tidemill/libchdb")) {
        let mut versions: Vec<PathBuf> = std::fs::read_dir(&installed)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("libchdb.so"))
            .collect();
        versions.sort();
        looked.push(installed.join("*/libchdb.so"));
        if let Some(newest) = versions.into_iter().rev().find(|library| library.is_file()) {
            return Ok(newest);
        }
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.join("libchdb.so")));
    for place in beside.into_iter().chain([
        "/usr/local/lib/libchdb.so".into(),
        "/usr/lib/libchdb.so".into(),
    ]) {
        if place.is_file() {
            return Ok(place);
        }
        looked.push(place);
    }
    Err(DestinationError::NoLibrary { looked })
}

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub struct Embedded {
    child: Child,
    url: Url,
    data: PathBuf,
}

impl Embedded {
    /// Starts a server with its data in this folder, and waits until it answers.
    pub async fn start(data: &Path, port: Option<u16>) -> Result<Self, DestinationError> {
        let failed = |reason: String| DestinationError::Embedded {
            data: data.to_owned(),
            reason,
        };
        let io = |cause: std::io::Error| failed(cause.to_string());
        let library = std::path::absolute(find_library()?).map_err(io)?;
        std::fs::create_dir_all(data).map_err(io)?;
        let data = &data.canonicalize().map_err(io)?;
        let http_port = match port {
            Some(port) => port,
            None => free_port().map_err(io)?,
        };
        let log = data.join("server.log");
        let child = Command::new(std::env::current_exe().map_err(io)?)
            .arg("clickhouse")
            .arg("--data")
            .arg(data)
            .env(LIBRARY_VARIABLE, library)
            // clickhouse-local takes a `config.xml` of its folder for its own.
            .current_dir(data)
            .args([
                "--http-port",
                &http_port.to_string(),
                "--tcp-port",
                &free_port().map_err(io)?.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).map_err(io)?)
            // Control-C in a terminal is for whoever started it.
            .process_group(0)
            .spawn()
            .map_err(io)?;
        let url = Url::parse(&format!("http://127.0.0.1:{http_port}"))
            .map_err(|cause| failed(cause.to_string()))?;
        let mut embedded = Self {
            child,
            url,
            data: data.to_owned(),
        };
        embedded.await_answer(&log).await?;
        Ok(embedded)
    }

    /// The server's HTTP address.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Ends the server and waits for its end.
    pub async fn stop(mut self) -> Result<(), DestinationError> {
        drop(self.child.stdin.take());
        match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(cause)) => Err(DestinationError::Embedded {
                data: self.data.clone(),
                reason: cause.to_string(),
            }),
            Err(_) => {
                let reason = "it did not end in time".to_owned();
                Err(DestinationError::Embedded {
                    data: self.data.clone(),
                    reason,
                })
            }
        }
    }

    /// A start that fails ends the process with 0 and says so on standard error only: its answer is what counts.
    async fn await_answer(&mut self, log: &Path) -> Result<(), DestinationError> {
        let client = clickhouse::Client::default().with_url(self.url.as_str());
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let answer = client.query_raw("SELECT 1").execute();
            if let Ok(Ok(())) = tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
                return Ok(());
            }
            let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            if ended || Instant::now() > deadline {
                let words = std::fs::read_to_string(log).unwrap_or_default();
                let last: Vec<&str> = words.lines().rev().take(5).collect();
                let reason = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
                return Err(DestinationError::Embedded {
                    data: self.data.clone(),
                    reason,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A port that is free now.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
