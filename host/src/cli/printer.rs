//! The one way to standard output and standard error: text for people, or one JSON envelope.

use serde::Serialize;
use serde_json::json;

use super::arguments::Output;
use super::exit::Failure;
use crate::quote::visible;

/// Prints what a command has to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    command: &'static str,
    output: Output,
}

impl Printer {
    pub(super) fn new(command: &'static str, output: Output) -> Self {
        Self { command, output }
    }

    /// Whether a script reads it.
    pub(super) fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// A result: as text, or in the envelope. Words of others in the text were made [`visible`] before they were coloured.
    pub(super) fn result(&self, summary: &str, text: &str, result: &impl Serialize) {
        match self.output {
            Output::Text => anstream::println!("{}", text.trim_end()),
            Output::Json => self.envelope(&json!({
                "command": self.command, "ok": true, "summary": summary, "result": result, "error": null,
            })),
        }
    }

    /// An error: on standard error, or in the envelope.
    pub(super) fn failure(&self, failure: &Failure) {
        match self.output {
            Output::Text => {
                anstream::eprintln!("error: {}", visible(&failure.message));
                if let Some(suggestion) = &failure.suggestion {
                    anstream::eprintln!(" help: {}", visible(suggestion));
                }
            }
            Output::Json => self.envelope(&json!({
                "command": self.command, "ok": false, "summary": failure.message, "result": null,
                "error": {
                    "code": failure.code, "message": failure.message, "where": failure.location, "suggestion": failure.suggestion,
                },
            })),
        }
    }

    /// Something on the way, on standard error.
    pub(super) fn note(&self, text: &str) {
        anstream::eprintln!("{text}");
    }

    fn envelope(&self, envelope: &serde_json::Value) {
        anstream::println!("{envelope}");
    }
}
