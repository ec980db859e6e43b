//! Which addresses a pipe may connect to. A tenant's pipe must not become a scanner of the operator's network: it reaches the internet, and
//! beyond that what the operator's policy names in `service.reach`. The machine's own addresses are near, too, even where they are the
//! internet's. What the policy names in `service.deny` is reached by no one.
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

/// What resolvers say of a name that there isn't, and of one that has no address.
const UNKNOWN_NAME: [&str; 3] = ["not known", "No address", "does not resolve"];

/// Which addresses may be connected to. A clone is the same one.
#[derive(Clone)]
pub struct Reach(Option<Arc<Bounds>>);

struct Bounds {
    rules: Vec<Rule>,
    deny: Vec<Rule>,
    /// The addresses that the machine has now: they come and go.
    own: fn() -> io::Result<Vec<IpAddr>>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Reach(anywhere)"),
            Some(bounds) => write!(
                f,
                "Reach(the internet and {:?}, without {:?})",
                bounds.rules, bounds.deny
            ),
        }
    }
}

/// An address that must not be connected to. It tells nothing of the operator's machine and network: a name that is known there and out of
/// reach is answered like one that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{target} is out of reach: {what}")]
pub struct OutOfReach {
    /// Host and port as they were asked for.
    target: String,
    /// What it is instead, and what to do.
    what: String,
}

impl OutOfReach {
    fn new(host: &str, port: u16, why: &Why) -> Self {
        let target = match host.contains(':') && !host.starts_with('[') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let what = match why {
            Why::Denied => "the operator denies it".to_owned(),
            Why::Near(what) => format!(
                "{what}, and the service's pipes connect to addresses of the internet only; the operator can add `{target}` to \
                 `service.reach` in the policy"
            ),
        };
        Self { target, what }
    }

    /// What a name is answered by, whether there is one or not.
    fn name(host: &str, port: u16) -> Self {
        let what = "the name is unknown, or that of a nearer address".to_owned();
        Self::new(host, port, &Why::Near(what))
    }
}

/// Why an address is out of reach.
enum Why {
    /// It is no address of the internet, but what is said here.
    Near(String),
    Denied,
}

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// All that the name has are out of reach.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// The name has none, or can't be looked up now. Where there are bounds, only the latter.
    #[error(transparent)]
    Unknown(#[from] io::Error),
}

impl Reach {
    /// Anywhere, for pipes of the user's own.
    pub fn anywhere() -> Self {
        Self(None)
    }

    /// The internet without the machine's own addresses, and what these rules allow; not what the rules of `deny` name.
    pub(super) fn bounded(rules: Vec<Rule>, deny: Vec<Rule>) -> Self {
        Self::beside(rules, deny, interfaces)
    }

    fn beside(rules: Vec<Rule>, deny: Vec<Rule>, own: fn() -> io::Result<Vec<IpAddr>>) -> Self {
        Self(Some(Arc::new(Bounds { rules, deny, own })))
    }

    /// Refuses an address; `host`: what it was found by, or is written as.
    pub fn check(&self, host: &str, address: SocketAddr) -> Result<(), OutOfReach> {
        let Some(bounds) = &self.0 else {
            return Ok(());
        };
        let Some(why) = bounds.refuses(host, address) else {
            return Ok(());
        };
        // The address that a name has would tell what the operator's own name servers know.
        Err(match bare(host).parse::<IpAddr>() {
            Ok(_) => OutOfReach::new(host, address.port(), &why),
            Err(_) => OutOfReach::name(host, address.port()),
        })
    }

    /// The addresses of a host that may be connected to, at least one. Blocks while the name is looked up.
    pub fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ReachError> {
        let bare = bare(host);
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => match (bare, port).to_socket_addrs() {
                Ok(found) => found.collect(),
                Err(cause) => return Err(self.not_found(host, port, cause)),
            },
        };
        self.within(host, port, found)
    }

    /// [`Reach::resolve`] for those who may not block.
    pub async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ReachError> {
        let bare = bare(host);
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => match tokio::net::lookup_host((bare, port)).await {
                Ok(found) => found.collect(),
                Err(cause) => return Err(self.not_found(host, port, cause)),
            },
        };
        self.within(host, port, found)
    }

    /// A failed look at a name.
    fn not_found(&self, host: &str, port: u16, cause: io::Error) -> ReachError {
        // What may be answered the next time says nothing of the name.
        let words = cause.to_string();
        let is_known_not_to_be = UNKNOWN_NAME.iter().any(|known| words.contains(known));
        match self.0.is_some() && is_known_not_to_be {
            true => OutOfReach::name(host, port).into(),
            false => cause.into(),
        }
    }

    fn within(
        &self,
        host: &str,
        port: u16,
        found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, ReachError> {
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
            (true, None) if self.0.is_some() => Err(OutOfReach::name(host, port).into()),
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

impl Bounds {
    /// What is wrong with an address, if it may not be connected to.
    fn refuses(&self, host: &str, address: SocketAddr) -> Option<Why> {
        if self.deny.iter().any(|rule| rule.allows(host, address)) {
            return Some(Why::Denied);
        }
        let what = match ranges::special(address.ip()) {
            Some(what) => format!("it is {what}"),
            None => self.own(address.ip())?.to_owned(),
        };
        let is_allowed = self.rules.iter().any(|rule| rule.allows(host, address));
        (!is_allowed).then_some(Why::Near(what))
    }

    /// Whether it is an address of this machine, on which more listens for itself than for the internet.
    fn own(&self, address: IpAddr) -> Option<&'static str> {
        let address = address.to_canonical();
        match (self.own)() {
            Ok(own) if own.iter().all(|own| own.to_canonical() != address) => None,
            Ok(_) => Some("it is an address of the service's machine"),
            Err(error) => {
                tracing::error!(%error, "the machine's addresses can't be listed, so nothing is connected to");
                Some("it can't be told from the addresses of the service's machine")
            }
        }
    }
}

/// The addresses of the machine's interfaces.
fn interfaces() -> io::Result<Vec<IpAddr>> {
    let all = if_addrs::get_if_addrs()?;
    Ok(all.iter().map(if_addrs::Interface::ip).collect())
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
