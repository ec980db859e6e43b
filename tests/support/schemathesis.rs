//! Requests made from an OpenAPI document, and their answers checked against it, by Schemathesis as `tests/provision/schemathesis` fetches it.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::servers;

/// What is checked of an answer: that it is documented, by status, type, headers and body, and that nothing answers without a token or
/// to a method that the document doesn't have.
const CHECKS: &[&str] = &[
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
];

/// Signs that a run has not tried what it seems to have tried. They fail it like a wrong answer.
const FATAL_WARNINGS: &[&str] = &[
    "missing_auth",
    "method_not_allowed",
    "missing_deserializer",
    "unmatched_filter",
    "unresolvable_reference",
];

/// A bounded run over all operations of a document.
#[derive(Clone, Copy, Debug)]
pub struct Schemathesis<'a> {
    /// The document's URL.
    pub document: &'a str,
    /// The bearer token of the requests.
    pub token: &'a str,
    /// Operations that are left out, such as `POST /v1/tokens`.
    pub excluded: &'a [&'a str],
    /// Values that the service knows, by parameter, such as `path.pipe` or `body.name`: most requests use one of them, the others make one up.
    pub known: &'a [(&'a str, &'a [&'a str])],
    /// How many requests each operation gets at most in each phase that makes them up.
    pub examples: u32,
    /// What the requests are made from: the same seed makes the same ones.
    pub seed: u32,
    /// How long all of it may take.
    pub limit: Duration,
}

impl Schemathesis<'_> {
    /// Runs it. The settings, the report for people, a JUnit report and the log of all requests are kept in the folder.
    ///
    /// # Errors
    ///
    /// The failures, each with a request that shows it.
    pub fn run(&self, folder: &Path) -> Result<(), String> {
        let tools = servers::provision("schemathesis");
        std::fs::create_dir_all(folder).expect("a folder for the report");
        let settings = toml::to_string(&self.settings()).expect("settings");
        std::fs::write(folder.join("schemathesis.toml"), settings).expect("the settings");
        let report = folder.join("report.txt");
        let output = File::create(&report).expect("the report");
        let mut command = Command::new(tools.get("schemathesis"));
        command
            .args(["--config-file", "schemathesis.toml", "run", self.document])
            .args(["--checks", &CHECKS.join(",")])
            .args([
                "--report-junit-path",
                "junit.xml",
                "--report-ndjson-path",
                "requests.ndjson",
            ])
            .current_dir(folder)
            .env("SCHEMATHESIS_TOKEN", self.token)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("COLUMNS", "160")
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output);
        for operation in self.excluded {
            command.args(["--exclude-name", operation]);
        }
        let mut process = command.spawn().expect("Schemathesis can be run");
        let start = Instant::now();
        let ended = loop {
            match process.try_wait().expect("its end") {
                Some(status) => break Some(status),
                None if start.elapsed() > self.limit => break None,
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        let text = || std::fs::read_to_string(&report).expect("the report");
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("Schemathesis: {status}\n{}", failures(&text()))),
            None => {
                let _ = process.kill();
                let _ = process.wait();
                Err(format!(
                    "Schemathesis takes longer than {:?}\n{}",
                    self.limit,
                    text()
                ))
            }
        }
    }

    fn settings(&self) -> Value {
        let dictionaries: serde_json::Map<String, Value> = self
            .known
            .iter()
            .map(|(parameter, values)| (dictionary(parameter), json!({ "values": values })))
            .collect();
        let parameters: serde_json::Map<String, Value> = self
            .known
            .iter()
            .map(|(parameter, _)| {
                let binding = json!({ "dictionary": dictionary(parameter), "probability": 0.8 });
                ((*parameter).to_owned(), binding)
            })
            .collect();
        json!({
            "seed": self.seed,
            "color": false,
            "continue-on-failure": true,
            "request-timeout": 20,
            "max-stream-events": 3,
            "suppress-health-check": ["all"],
            "headers": { "Authorization": "Bearer ${SCHEMATHESIS_TOKEN}" },
            "cache": { "enabled": false },
            "generation": { "max-examples": self.examples, "database": "none" },
            "warnings": { "fail-on": FATAL_WARNINGS },
            "dictionaries": dictionaries,
            "parameters": parameters,
        })
    }
}

fn dictionary(parameter: &str) -> String {
    parameter.replace('.', "_")
}

/// The part of a report that says what failed, or all of it.
fn failures(report: &str) -> &str {
    ["= ERRORS =", "= FAILURES =", "= WARNINGS ="]
        .iter()
        .filter_map(|title| report.find(title))
        .min()
        .map_or(report, |at| &report[at..])
}
