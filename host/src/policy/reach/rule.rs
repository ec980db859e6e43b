//! An item of `service.reach`: a network, an address or a name, with a port or without. An item of `service.deny` is the same without names: whoever
//! wants to get at an address has another name for it.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// What the operator allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    target: Target,
    /// None: any.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Network(IpNet),
    /// In small letters; whatever addresses it has.
    Name(String),
}

impl Rule {
    /// Reads an item; what is wrong with it otherwise.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no network, address or name: write it as `10.1.0.0/16`, `10.1.2.3:3306`, `[fd00::/8]:8123` or `db.internal`"
            )
        };
        if let Some(network) = network(text) {
            return Ok(Self::of(network, None));
        }
        if let Some(name) = name(text) {
            let target = Target::Name(name);
            return Ok(Self { target, port: None });
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0);
        let port = Some(port.ok_or_else(wrong)?);
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        // `fd00::1:3306` is an address, and not one with a port.
        let found = match bare {
            Some(bare) => network(bare).filter(|network| network.addr().is_ipv6()),
            None => network(host).filter(|network| network.addr().is_ipv4()),
        };
        if let Some(network) = found {
            return Ok(Self::of(network, port));
        }
        let target = Target::Name(name(host).ok_or_else(wrong)?);
        Ok(Self { target, port })
    }

    /// Reads an item of those that are denied.
    pub(crate) fn parse_denied(text: &str) -> Result<Self, String> {
        let rule = Self::parse(text)?;
        match rule.target {
            Target::Network(_) => Ok(rule),
            Target::Name(name) => Err(format!(
                "`{name}` is a name, and addresses are denied, whatever names they have: write its addresses or networks"
            )),
        }
    }

    fn of(network: IpNet, port: Option<u16>) -> Self {
        let target = Target::Network(network);
        Self { target, port }
    }

    /// Whether it allows this address; `host`: the name that it was found by.
    pub(super) fn allows(&self, host: &str, address: SocketAddr) -> bool {
        let reaches = match &self.target {
            Target::Network(network) => {
                // Both forms of a mapped address are the same one.
                network.contains(&address.ip()) || network.contains(&address.ip().to_canonical())
            }
            Target::Name(name) => host.trim_end_matches('.').eq_ignore_ascii_case(name),
        };
        reaches && self.port.is_none_or(|port| port == address.port())
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>();
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    network.ok().or_else(address)
}

/// A host's name: not what a system would read as an address, such as `127.1` or `0x7f000001`.
fn name(text: &str) -> Option<String> {
    let text = text.trim_end_matches('.');
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_name = text.len() <= 253
        && text.chars().all(fits)
        && !text.split('.').any(str::is_empty)
        && last.starts_with(|c: char| c.is_ascii_alphabetic());
    is_name.then(|| text.to_ascii_lowercase())
}
