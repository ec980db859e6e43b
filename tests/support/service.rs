//! A service as a child process, and clients of its API.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{Answer, answer};
use super::{block_on, tidemill};

/// What the operator allows where a test doesn't say.
pub const POLICY: &str = "[service]\nembedded = true\nreach = [\"127.0.0.0/8\", \"::1/128\"]\n";

/// A service at work.
#[derive(Debug)]
pub struct Service {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    child: Option<Child>,
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Service {
    /// Starts one with an empty data folder.
    pub fn start() -> Self {
        Self::start_with(POLICY, &[], &[])
    }

    /// Starts one with a policy, more arguments and variables of the environment.
    pub fn start_with(policy: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("policy.toml"), policy).expect("it is writable");
        let own = |text: &&str| (*text).to_owned();
        let mut service = Self {
            folder,
            arguments: arguments.iter().map(own).collect(),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            child: None,
            url: "http://127.0.0.1:0".to_owned(),
        };
        service.start_again();
        service
    }

    /// The folder with the service's data, its policy and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The child's process id.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(tidemill());
        let policy = self.folder.path().join("policy.toml");
        command
            .env("TIDEMILL_KEY", "5a".repeat(32))
            .env("TIDEMILL_POLICY", policy)
            .env("TIDEMILL_DATA", self.data())
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the service where there is none: at the same port as before, if it had one.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let address = self.url.trim_start_matches("http://").to_owned();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("the log is writable");
        let before = self.log().len();
        let mut child = self
            .command()
            .args(["--log", "info", "serve", "--listen", &address])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let deadline = Instant::now() + Duration::from_secs(60);
        self.url = loop {
            let log = self.log();
            let told = BufReader::new(&log.as_bytes()[before..]).lines();
            let told = told.map_while(Result::ok).find_map(|line| {
                let (_, rest) = line.split_once("listening at ")?;
                Some(rest.split(';').next()?.to_owned())
            });
            if let Some(url) = told {
                break url;
            }
            let ended = child.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "the service ended: {log}");
            assert!(Instant::now() < deadline, "it doesn't listen: {log}");
            std::thread::sleep(Duration::from_millis(20));
        };
        self.child = Some(child);
    }

    /// Kills it: kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Asks it to end (SIGTERM), and waits for that: its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.ask_to_end();
        self.await_end()
    }

    /// Waits for the end of a service that was asked to end: its exit code.
    pub fn await_end(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            if let Some(status) = child.try_wait().expect("it can be asked") {
                return status.code();
            }
            if Instant::now() > deadline {
                child.kill().expect("it can be killed");
                panic!("it does not end: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end (SIGTERM).
    pub fn ask_to_end(&self) {
        let process = rustix::process::Pid::from_raw(self.process().cast_signed());
        let process = process.expect("a process has a number");
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
    }

    /// Runs a command of the operator's on the data folder.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        let mut command = self.command();
        command.args(["--output", "json"]).args(arguments);
        answer(command.output().expect("the binary runs"))
    }

    /// Runs `tidemill tenant` on the data folder: what it says.
    #[track_caller]
    pub fn tenant_command(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[&["tenant"], arguments].concat()).ok();
        said.json["result"].clone()
    }

    /// Makes a tenant: its admin.
    #[track_caller]
    pub fn tenant(&self, name: &str) -> Client {
        let made = self.tenant_command(&["create", name]);
        self.client(made["token"].as_str().expect("a token"))
    }

    /// A client with this token.
    pub fn client(&self, token: &str) -> Client {
        Client {
            url: self.url.clone(),
            token: token.to_owned(),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the service's log:\n{}", self.log());
        }
    }
}

/// Who asks the API.
#[derive(Clone, Debug)]
pub struct Client {
    /// The service.
    pub url: String,
    /// The token; empty: none is borne.
    pub token: String,
}

/// What the API answered.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, by name.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub json: Value,
}

/// Each request has a connection of its own, as those of different people have.
static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    // The second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0);
    client.build().expect("a client")
});

impl Reply {
    /// Expects a status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// Expects a problem document of this status and code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Self {
        let reply = self.is(status);
        assert_eq!(reply.json["code"], code, "{reply:#?}");
        assert_eq!(reply.json["status"], status, "{reply:#?}");
        let kind = reply.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{reply:#?}");
        assert!(reply.json["detail"].is_string(), "{reply:#?}");
        reply
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Client {
    /// Somebody else's: the same service, another token.
    pub fn with(&self, token: &str) -> Self {
        Self {
            url: self.url.clone(),
            token: token.to_owned(),
        }
    }

    /// A new token of the tenant with this role.
    #[track_caller]
    pub fn role(&self, role: &str) -> Self {
        let made = self.post("/v1/tokens", &json!({ "name": role, "role": role }));
        let made = made.is(201);
        self.with(made.json["token"].as_str().expect("a token"))
    }

    /// Asks, with JSON.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let headers = [("content-type", "application/json")];
        let body = body.map(|body| body.to_string().into_bytes());
        let headers = if body.is_some() { &headers[..] } else { &[] };
        self.send(method, path, headers, body)
    }

    /// Asks, with whatever headers and body.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Reply {
        let method = method.parse().expect("a method");
        let mut request = HTTP.request(method, format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = async {
            let reply = request.send().await.expect("the service answers");
            let status = reply.status().as_u16();
            let headers = reply.headers().iter();
            let headers = headers.map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), value)
            });
            let headers = headers.collect();
            let text = reply.text().await.expect("a whole body");
            (status, headers, text)
        };
        let (status, headers, text) = block_on(answer);
        Reply {
            status,
            headers,
            json: serde_json::from_str(&text).unwrap_or_default(),
            text,
        }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, None)
    }

    /// POST.
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.ask("POST", path, Some(body))
    }

    /// PUT.
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.ask("PUT", path, Some(body))
    }

    /// PATCH of a pipe's state.
    pub fn order(&self, pipe: &str, order: &Value) -> Reply {
        self.ask("PATCH", &format!("/v1/pipes/{pipe}/state"), Some(order))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Reply {
        self.ask("DELETE", path, None)
    }

    /// Makes a pipe out of a pipe file's text.
    pub fn create(&self, toml: &str) -> Reply {
        let headers = [("content-type", "application/toml")];
        self.send("POST", "/v1/pipes", &headers, Some(toml.into()))
    }

    /// Uploads a plugin that the tests have built.
    #[track_caller]
    pub fn upload(&self, name: &str) {
        let file = super::root().join(format!("target/plugins/{name}.wasm"));
        let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let headers = [("content-type", "application/wasm")];
        let path = format!("/v1/plugins?name={name}");
        self.send("POST", &path, &headers, Some(bytes)).is(201);
    }

    /// Runs a command of the command line on the service: its exit code, and what it prints as JSON.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = Command::new(super::tidemill())
            .args(["--output", "json", "--server", &self.url])
            .args(arguments)
            .env("TIDEMILL_TOKEN", &self.token)
            .output()
            .expect("the binary runs");
        let answer = answer(output);
        (answer.code, answer.json)
    }

    /// Waits until a pipe is in a state, and returns it.
    #[track_caller]
    pub fn await_state(&self, pipe: &str, state: &str) -> Value {
        self.await_pipe(pipe, &format!("in the state {state}"), |pipe| {
            pipe["state"] == state
        })
    }

    /// Waits until a pipe is as it is wanted.
    #[track_caller]
    pub fn await_pipe(&self, pipe: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let found = self.get(&format!("/v1/pipes/{pipe}")).is(200).json;
            if is(&found) {
                return found;
            }
            if Instant::now() > deadline {
                let events = self.get(&format!("/v1/pipes/{pipe}/events")).json;
                panic!("`{pipe}` is not {what}: {found:#}\n{events:#}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
