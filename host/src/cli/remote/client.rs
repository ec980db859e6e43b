//! The client of a service's API.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::arguments::RemoteArguments;
use crate::cli::exit::{Exit, Failure};
use crate::pipe::Location;
use crate::service::Problem;

/// How long an answer is waited for: a check looks at each table of a source.
const PATIENCE: Duration = Duration::from_secs(300);

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    next: Option<String>,
}

/// A service, and who asks.
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    token: SecretString,
}

impl Client {
    pub(super) fn new(server: &RemoteArguments) -> Result<Self, Failure> {
        let url = server.server.as_ref().map(ToString::to_string);
        let url = url.unwrap_or_default();
        let token = match (&server.token, &server.token_file) {
            (_, Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|cause| {
                    Failure::usage(format!("{} can't be read: {cause}", file.display()))
                })?;
                text.trim().into()
            }
            (Some(token), None) => token.clone(),
            (None, None) => {
                return Err(Failure::usage(
                    "a service wants a token: set TIDEMILL_TOKEN, or name its file with --token-file",
                ));
            }
        };
        Ok(Self {
            http: http().map_err(|cause| Failure::internal(&cause))?,
            url: url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.answer(self.request(Method::GET, path)).await
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        let method = method.parse().map_err(|cause| Failure::internal(&cause))?;
        let mut request = self.request(method, path);
        if let Some(body) = body {
            let json = header::HeaderValue::from_static("application/json");
            request = request.header(header::CONTENT_TYPE, json);
            request = request.body(body.to_string());
        }
        self.answer(request).await
    }

    /// Sends the settings of a pipe.
    pub(super) async fn send_toml<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        toml: &str,
    ) -> Result<T, Failure> {
        self.upload(method, path, "application/toml", toml.into())
            .await
    }

    /// Sends a file of this type.
    pub(super) async fn upload<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        kind: &'static str,
        bytes: Vec<u8>,
    ) -> Result<T, Failure> {
        let method = method.parse().map_err(|cause| Failure::internal(&cause))?;
        let request = self.request(method, path);
        let kind = header::HeaderValue::from_static(kind);
        self.answer(request.header(header::CONTENT_TYPE, kind).body(bytes))
            .await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        let _: Option<Value> = self.answer(self.request(Method::DELETE, path)).await?;
        Ok(())
    }

    /// All items of a list.
    pub(super) async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        page: usize,
    ) -> Result<Vec<T>, Failure> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let cursor = next.map_or_else(String::new, |next| format!("&cursor={}", part(&next)));
            let list: List<T> = self.get(&format!("{path}?limit={page}{cursor}")).await?;
            items.extend(list.items);
            next = list.next;
            if next.is_none() {
                return Ok(items);
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        request.bearer_auth(self.token.expose_secret())
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let unreachable = |cause: reqwest::Error| {
            let message = format!(
                "the service at {} does not answer: {}",
                self.url,
                cause.without_url()
            );
            Failure {
                exit: Exit::State,
                code: "unreachable".to_owned(),
                ..Failure::usage(message)
            }
        };
        let reply = request.send().await.map_err(unreachable)?;
        let status = reply.status();
        let text = reply.text().await.map_err(unreachable)?;
        if status.is_success() {
            let text = if text.is_empty() { "null" } else { &text };
            return serde_json::from_str(text).map_err(|cause| {
                Failure::internal(&format!(
                    "the service answered with something else than it should ({cause}): is it another version?"
                ))
            });
        }
        Err(match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => refused(problem),
            Err(_) => {
                let message = format!(
                    "{} answered {status}, and not as a Tidemill does: is it the right address?",
                    self.url
                );
                Failure::usage(message)
            }
        })
    }
}

/// The exit code for an error of this class.
pub(super) fn exit_of(class: &str) -> Exit {
    match class {
        "configuration" => Exit::Configuration,
        "source" => Exit::Source,
        "plugin" => Exit::Plugin,
        "verification" => Exit::Verification,
        "destination" => Exit::Destination,
        "state" => Exit::State,
        "internal" => Exit::Internal,
        _ => Exit::Usage,
    }
}

/// What a service refused, as the command line would have.
fn refused(problem: Problem) -> Failure {
    let exit = exit_of(&problem.class);
    let location = problem.place.map(|place| Location {
        file: "pipe.toml".into(),
        line: place.line,
        column: place.column,
        key: place.key,
    });
    Failure {
        exit,
        code: problem.code,
        message: problem.detail,
        location,
        suggestion: problem.suggestion,
    }
}

/// A client that trusts what the system's own clients trust. A token is sent to the address that was named, and not on to another one.
fn http() -> reqwest::Result<reqwest::Client> {
    // The second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// A part of a path or a query.
pub(super) fn part(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_any_name_is_one_part_of_a_path() {
        assert_eq!(part("shop.orders"), "shop.orders");
        assert_eq!(part("`a/b`.?ä"), "%60a%2Fb%60.%3F%C3%A4");
    }
}
