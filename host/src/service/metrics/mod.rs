//! What is measured, for Prometheus at `/metrics`: per tenant, pipe, table and plugin what was done since the service was started, requests, and the process itself.
//!
//! Counts are kept here, beyond a pipe's stop and start. What something is at now (its state, its lag) is asked for when it is told. All of a tenant's series
//! bear the tenant; who asks with a tenant's token is told of this one alone. The number of series is bounded by pipes and their tables.

mod pipe;
mod render;
mod requests;
mod samples;
mod told;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::store::DeliveryState;
use super::supervisor::PipeId;
pub(super) use pipe::{Ending, PipeMetrics};
pub(super) use render::CONTENT_TYPE;
pub(super) use requests::{Asked, Requests};
pub(super) use samples::{SAMPLE_EVERY, Sample};

/// Shortest token of the operator's, in characters.
const SHORTEST_TOKEN: usize = 16;

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The operator: all there is.
    All,
    /// A tenant: its own.
    Tenant(String),
}

impl Scope {
    /// Whether a tenant's series are told.
    fn has(&self, tenant: &str) -> bool {
        match self {
            Self::All => true,
            Self::Tenant(own) => own == tenant,
        }
    }
}

/// The operator's token: who bears it is told of all tenants.
#[derive(Debug)]
pub(super) struct OperatorToken([u8; 32]);

impl OperatorToken {
    /// The token of a text, if that is long enough to be one.
    pub(super) fn new(text: &SecretString) -> Option<Self> {
        let text = text.expose_secret().trim();
        (text.len() >= SHORTEST_TOKEN).then(|| Self(Sha256::digest(text).into()))
    }

    /// Whether it is this one. What is compared are hashes, so how long it takes tells nothing.
    pub(super) fn is(&self, token: &str) -> bool {
        Sha256::digest(token)[..] == self.0
    }
}

/// What is counted.
#[derive(Default)]
pub(super) struct Metrics {
    pipes: Mutex<HashMap<PipeId, Arc<PipeMetrics>>>,
    pub(super) requests: Requests,
    /// Tries to tell webhooks of events, by tenant and by what came of them.
    deliveries: Mutex<BTreeMap<(String, &'static str), u64>>,
    pub(super) operator: Option<OperatorToken>,
}

impl Metrics {
    pub(super) fn new(operator: Option<OperatorToken>) -> Self {
        Self {
            operator,
            ..Self::default()
        }
    }

    /// A pipe's.
    pub(super) fn pipe(&self, id: &PipeId) -> Arc<PipeMetrics> {
        let mut pipes = self.guard();
        match pipes.get(id) {
            Some(pipe) => pipe.clone(),
            None => pipes.entry(id.clone()).or_default().clone(),
        }
    }

    /// A webhook was told of an event, or it was tried.
    pub(super) fn delivery(&self, tenant: &str, became: DeliveryState) {
        let outcome = match became {
            DeliveryState::Delivered => "delivered",
            DeliveryState::Waiting => "failed",
            DeliveryState::GivenUp => "given_up",
        };
        let mut deliveries = self
            .deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *deliveries.entry((tenant.to_owned(), outcome)).or_default() += 1;
    }

    /// The pipe is no more.
    pub(super) fn forget(&self, id: &PipeId) {
        self.guard().remove(id);
    }

    fn guard(&self) -> MutexGuard<'_, HashMap<PipeId, Arc<PipeMetrics>>> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_token_is_no_short_text_and_no_other_one() {
        assert!(OperatorToken::new(&"short".into()).is_none());
        let token = OperatorToken::new(&"0123456789abcdef\n".into()).unwrap();
        assert!(token.is("0123456789abcdef"));
        assert!(!token.is("0123456789abcdeF") && !token.is(""));
    }
}
