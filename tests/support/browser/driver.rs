//! The process that drives Chromium, and what it can do beyond the WebDriver standard.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::wd::WebDriverCompatibleCommand;
use serde_json::Value;

/// ChromeDriver on a port of its own. It ends with this.
#[derive(Debug)]
pub struct Driver {
    /// The port that it listens on, on loopback.
    pub port: u16,
    /// Its log.
    pub log: PathBuf,
    process: Child,
}

impl Driver {
    /// Starts it on a port that it finds itself. Its log is kept in the folder.
    pub fn start(program: &str, folder: &Path) -> Self {
        let log = folder.join("chromedriver.log");
        let output = File::create(&log).expect("the driver's log");
        let process = Command::new(program)
            .arg("--port=0")
            // What Chromium keeps outside of its profile.
            .env("XDG_CONFIG_HOME", folder.join("profile/config"))
            .env("XDG_CACHE_HOME", folder.join("profile/cache"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn()
            .expect("the driver can be run");
        let mut driver = Self {
            port: 0,
            log,
            process,
        };
        driver.port = driver.wait_for_port();
        driver
    }

    fn wait_for_port(&mut self) -> u16 {
        let start = Instant::now();
        loop {
            let text = std::fs::read_to_string(&self.log).expect("the driver's log");
            let port = text
                .lines()
                .find_map(|line| line.split_once("started successfully on port "))
                .and_then(|(_, port)| port.trim_end_matches('.').parse().ok());
            if let Some(port) = port {
                return port;
            }
            let ended = self.process.try_wait().expect("its state").is_some();
            assert!(
                !ended && start.elapsed() < Duration::from_secs(30),
                "the driver does not start: {text}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command of the driver that the WebDriver standard doesn't have.
#[derive(Debug)]
pub struct Extension {
    /// Its path below the session.
    pub path: &'static str,
    /// Its parameters.
    pub body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(self.body.to_string()))
    }
}
