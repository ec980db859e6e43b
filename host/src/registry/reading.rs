//! What is read of a registry, and how far: a reply ends where it is longer than what was asked for may be. The client library reads manifests
//! and errors to their end, whatever that costs.

use oci_client::secrets::RegistryAuth;
use reqwest::header::ACCEPT;
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use super::error::{RegistryError, quote};
use super::oci::{CONNECT, SILENCE, USER_AGENT, chain};
use super::reference::Reference;

/// Most that is read of an error's text.
const ERROR_BYTES: u64 = 16 << 10;

/// Why something could not be read.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The registry wants other credentials.
    Credentials,
    /// There is no such thing.
    NotThere,
    /// No reply, or one that ended too early.
    Unreachable(String),
    /// Another reply.
    Failed(String),
}

/// A repository, as it is read.
#[derive(Clone)]
pub(super) struct Reader {
    client: Client,
    /// `https://host/v2/repository`
    base: String,
}

impl Reader {
    pub(super) fn of(reference: &Reference, plain: bool) -> Result<Self, RegistryError> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(USER_AGENT);
        if reference.is_loopback() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|cause| RegistryError::Failed {
            registry: reference.registry().to_owned(),
            reason: quote(&chain(&cause)),
        })?;
        let (scheme, inner) = (if plain { "http" } else { "https" }, reference.inner());
        let (host, repository) = (inner.resolve_registry(), inner.repository());
        Ok(Self {
            client,
            base: format!("{scheme}://{host}/v2/{repository}"),
        })
    }

    /// A manifest, or as much of it as shows that it has more bytes than this.
    pub(super) async fn manifest(
        &self,
        reference: &Reference,
        accept: &str,
        login: &Login,
        most: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let inner = reference.inner();
        let name = inner.digest().or(inner.tag()).unwrap_or("latest");
        let url = format!("{}/manifests/{name}", self.base);
        self.read(self.client.get(url).header(ACCEPT, accept), login, most)
            .await
    }

    /// A blob, or as much of it as shows that it has more bytes than this.
    pub(super) async fn blob(
        &self,
        digest: &str,
        login: &Login,
        most: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let url = format!("{}/blobs/{digest}", self.base);
        self.read(self.client.get(url), login, most).await
    }

    async fn read(
        &self,
        request: RequestBuilder,
        login: &Login,
        most: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let unreachable = |cause: reqwest::Error| Refusal::Unreachable(quote(&chain(&cause)));
        let response = login.show(request).send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => bounded(response, most).await.map_err(unreachable),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Refusal::Credentials),
            StatusCode::NOT_FOUND => Err(Refusal::NotThere),
            status => {
                let text = bounded(response, ERROR_BYTES).await.unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                Err(Refusal::Failed(quote(&format!("{status}: {text}"))))
            }
        }
    }
}

/// Whom a registry is told to be reading.
pub(super) enum Login {
    Nobody,
    /// Who logged in, by what they were given for it.
    Token(String),
    Basic(String, String),
}

impl Login {
    /// By what logging in has given, if it gave anything.
    pub(super) fn of(token: Option<String>, auth: &RegistryAuth) -> Self {
        match (token, auth) {
            (Some(token), _) => Self::Token(token),
            (None, RegistryAuth::Basic(user, password)) => {
                Self::Basic(user.clone(), password.clone())
            }
            (None, _) => Self::Nobody,
        }
    }

    fn show(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Nobody => request,
            Self::Token(token) => request.bearer_auth(token),
            Self::Basic(user, password) => request.basic_auth(user, Some(password)),
        }
    }
}

async fn bounded(mut response: Response, most: u64) -> reqwest::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() as u64 <= most {
        match response.chunk().await? {
            Some(part) => bytes.extend_from_slice(&part),
            None => break,
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::oci::Registry;
    use super::super::store::DOCUMENT_BYTES;
    use super::*;

    /// What a server sends in all before it gives up: far more than is believed.
    const ENDLESS: u64 = 1 << 30;

    /// A server whose answer to everything but the login begins with this, and doesn't end; its address, and how much it could send.
    fn endless(status: &'static str) -> (String, Arc<AtomicU64>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let sent = Arc::new(AtomicU64::new(0));
        let count = sent.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                answer(stream, status, &count);
            }
        });
        (address, sent)
    }

    fn answer(mut stream: TcpStream, status: &str, sent: &AtomicU64) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        for line in lines.map_while(Result::ok) {
            if line.is_empty() {
                break;
            }
        }
        if first.contains(" /v2/ ") {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            return;
        }
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\r\n");
        let (part, mut all) = (vec![b' '; 1 << 16], 0);
        let mut open = stream.write_all(head.as_bytes()).is_ok();
        while open && all < ENDLESS {
            open = stream.write_all(&part).is_ok();
            all += part.len() as u64;
            sent.store(all, Ordering::Relaxed);
        }
    }

    async fn pull(address: &str) -> String {
        let reference = Reference::parse(&format!("oci://{address}/acme/mask:1")).unwrap();
        let registry = Registry::of(&reference, false).unwrap();
        let pulled = registry.pull(|_| Ok(())).await;
        pulled.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_manifest_that_doesn_t_end_is_read_as_far_as_one_may_be_long() {
        let (address, sent) = endless("200 OK");
        let error = pull(&address).await;
        assert!(
            error.contains(&address) && error.contains(&DOCUMENT_BYTES.to_string()),
            "{error}"
        );
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < ENDLESS / 8, "{sent} bytes went out");
    }

    #[tokio::test]
    async fn an_error_that_doesn_t_end_is_read_as_far_as_it_is_shown() {
        let (address, sent) = endless("500 Internal Server Error");
        let error = pull(&address).await;
        assert!(error.contains("failed: 500"), "{error}");
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < ENDLESS / 8, "{sent} bytes went out");
    }
}
