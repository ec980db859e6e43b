//! The way to ClickHouse: an HTTP client whose connections are made to addresses that are within the pipe's reach, and to no other. It follows
//! no redirect, since hyper's client follows none.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use clickhouse::Client;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use tokio::net::TcpStream;
use tower_service::Service;

use super::answer::BoundedErrors;
use crate::policy::{Reach, ReachError};

/// How long a connection to an address may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// Quiet for so long, a connection is probed.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// ClickHouse closes idle connections after 3 s by default: one that is reused is not about to be closed.
const IDLE: Duration = Duration::from_secs(2);

/// A client with connections of its own.
pub(super) fn client(reach: Reach) -> Result<Client, rustls::Error> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(Dial(reach));
    let http = legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .build(BoundedErrors(connector));
    Ok(Client::with_http_client(http))
}

/// Connects to the host of a URL.
#[derive(Clone)]
struct Dial(Reach);

impl Service<hyper::Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = ReachError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ReachError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ReachError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: hyper::Uri) -> Self::Future {
        let reach = self.0.clone();
        Box::pin(async move {
            let no_host = || io::Error::new(io::ErrorKind::InvalidInput, "the URL has no host");
            let host = uri.host().ok_or_else(no_host)?;
            let usual = if uri.scheme_str() == Some("https") {
                443
            } else {
                80
            };
            let addresses = reach.lookup(host, uri.port_u16().unwrap_or(usual)).await?;
            Ok(TokioIo::new(connect(&addresses).await?))
        })
    }
}

/// Connects to the first address that answers.
async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE);
                socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 s"),
        }
    }
    Err(last)
}
