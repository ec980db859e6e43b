//! Which addresses a pipe may connect to. A tenant's pipe must not become a scanner of the operator's network: it reaches the internet, and
//! beyond that what the operator's policy names in `service.reach`.
//!
//! A name is looked up once, each of its addresses is checked, and the connection is made to one that was: what a name server answers the
//! next time changes nothing. Whoever connects asks a [`Reach`] for addresses, and has no other way to them.

mod ranges;
mod rule;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use url::{Host, Url};

pub(crate) use rule::Rule;

/// How long a connection for a request may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Which addresses may be connected to. A clone is the same one.
#[derive(Clone)]
pub struct Reach(Option<Arc<Bounds>>);

struct Bounds {
    rules: Vec<Rule>,
    /// The policy's file.
    place: String,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Reach(anywhere)"),
            Some(bounds) => write!(f, "Reach(the internet and {:?})", bounds.rules),
        }
    }
}

/// An address that must not be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{target} is out of reach: {what}, and the service's pipes connect to addresses of the internet only; the operator can add `{target}` to \
     `service.reach` in {place}"
)]
pub struct OutOfReach {
    /// Host and port as they were asked for.
    target: String,
    /// What it is instead.
    what: String,
    place: String,
}

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// All that the name has are out of reach.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// The name has none, or can't be looked up.
    #[error(transparent)]
    Unknown(#[from] io::Error),
}

impl Reach {
    /// Anywhere, for pipes of the user's own.
    pub fn anywhere() -> Self {
        Self(None)
    }

    /// The internet, and what these rules allow of the file `place`.
    pub(super) fn bounded(rules: Vec<Rule>, place: String) -> Self {
        Self(Some(Arc::new(Bounds { rules, place })))
    }

    /// Refuses an address; `host`: what it was found by, or is written as.
    pub fn check(&self, host: &str, address: SocketAddr) -> Result<(), OutOfReach> {
        let Some(bounds) = &self.0 else {
            return Ok(());
        };
        let Some(what) = ranges::special(address.ip()) else {
            return Ok(());
        };
        if bounds.rules.iter().any(|rule| rule.allows(host, address)) {
            return Ok(());
        }
        Err(OutOfReach {
            target: match host.contains(':') && !host.starts_with('[') {
                true => format!("[{host}]:{}", address.port()),
                false => format!("{host}:{}", address.port()),
            },
            // The address itself would tell what the operator's own name servers know.
            what: format!("it is {what}"),
            place: bounds.place.clone(),
        })
    }

    /// The addresses of a host that may be connected to, at least one. Blocks while the name is looked up.
    pub fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ReachError> {
        let bare = bare(host);
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => (bare, port).to_socket_addrs()?.collect(),
        };
        self.within(host, found)
    }

    /// [`Reach::resolve`] for those who may not block.
    pub async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ReachError> {
        let bare = bare(host);
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::net::lookup_host((bare, port)).await?.collect(),
        };
        self.within(host, found)
    }

    fn within(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ReachError> {
        let mut refusal = None;
        let mut reached = Vec::with_capacity(found.len());
        for address in found {
            match self.check(host, address) {
                Ok(()) => reached.push(address),
                Err(refused) => refusal = Some(refused),
            }
        }
        match (reached.is_empty(), refusal) {
            (false, _) => Ok(reached),
            (true, Some(refused)) => Err(refused.into()),
            (true, None) => {
                let kind = io::ErrorKind::NotFound;
                Err(io::Error::new(kind, "the name has no address").into())
            }
        }
    }

    /// A request that is made to this URL and nowhere else: by no proxy, following no redirect, to an address that is within reach now.
    pub async fn request(
        &self,
        method: reqwest::Method,
        url: Url,
    ) -> Result<reqwest::RequestBuilder, ReachError> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let host = url.host().ok_or_else(|| invalid("the URL has no host"))?;
        let port = url
            .port_or_known_default()
            .ok_or_else(|| invalid("the URL has no port"))?;
        let name = host.to_string();
        let addresses = self.lookup(&name, port).await?;
        // The client needs one in the process; that there is one already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .no_proxy();
        if let Host::Domain(name) = host {
            client = client.resolve_to_addrs(name, &addresses);
        }
        let client = client.build().map_err(io::Error::other)?;
        Ok(client.request(method, url))
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

#[cfg(test)]
mod tests;
