//! Requests: how many of each kind there were, and how long they took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

/// The bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Who asks, as far as that is known: set once the token or the session was looked at, read when the request is answered.
#[derive(Clone, Debug, Default)]
pub(in crate::service) struct Asked(Arc<OnceLock<String>>);

impl Asked {
    /// It is this tenant that asks.
    pub(in crate::service) fn by(&self, tenant: &str) {
        // Each look at the token finds the same tenant.
        if self.0.set(tenant.to_owned()).is_ok() {
            tracing::Span::current().record("tenant", tenant);
        }
    }

    /// The tenant that has asked, if one has.
    pub(in crate::service) fn tenant(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// Requests of a tenant to a route: the method and the route's pattern.
pub(super) type Route = (String, String);

/// Requests of one kind.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) seconds: Histogram,
}

/// All requests, by tenant (empty: nobody's) and route. Both are few: tenants are the operator's to make, routes are the service's own.
#[derive(Debug, Default)]
pub(in crate::service) struct Requests {
    counted: Mutex<BTreeMap<String, BTreeMap<Route, Counted>>>,
}

impl Requests {
    /// Counts a request.
    pub(in crate::service) fn count(
        &self,
        tenant: Option<&str>,
        (method, route): (&str, &str),
        status: u16,
        took: Duration,
    ) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let routes = counted.entry(tenant.unwrap_or_default().to_owned());
        let route = (method.to_owned(), route.to_owned());
        let requests = routes.or_default().entry(route);
        let requests = requests.or_insert_with(|| Counted {
            statuses: BTreeMap::new(),
            seconds: Histogram::new(BUCKETS),
        });
        *requests.statuses.entry(status).or_default() += 1;
        requests.seconds.observe(took.as_secs_f64());
    }

    /// What was counted.
    pub(super) fn counted(&self) -> BTreeMap<String, BTreeMap<Route, Counted>> {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.clone()
    }
}
