//! Who asks: the bearer of a token, or a browser's session that was begun with one.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};

use super::Service;
use super::metrics::Asked;
use super::problem::Problem;
use super::store::{NewToken, Role, TenantStore, TokenRecord};
use super::supervisor::PipeId;

/// The name of the browser's cookie.
pub(super) const COOKIE: &str = "tidemill_session";

/// Tokens of a tenant, at most.
const MOST_TOKENS: u32 = 200;

/// Who asks, and in whose name.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) tenant: String,
    pub(super) token: TokenRecord,
    /// What a form of this browser's session must bear; none where a token was borne.
    pub(super) csrf: Option<String>,
}

impl Caller {
    /// What the caller's tenant has.
    pub(super) fn store<'s>(&'s self, service: &'s Service) -> TenantStore<'s> {
        service.store.tenant(&self.tenant)
    }

    /// A pipe of the caller's tenant, whether there is one of this name or not.
    pub(super) fn pipe(&self, name: &str) -> PipeId {
        PipeId {
            tenant: self.tenant.clone(),
            name: name.to_owned(),
        }
    }

    /// Refuses who has a lesser role.
    pub(super) fn require(&self, role: Role) -> Result<(), Problem> {
        match self.token.role >= role {
            true => Ok(()),
            false => {
                let detail = format!(
                    "this needs the role {role}, and the token has the role {}",
                    self.token.role
                );
                Err(Problem::new(StatusCode::FORBIDDEN, "role", detail))
            }
        }
    }
}

/// A caller who may look.
pub(super) struct Viewer(pub(super) Caller);
/// A caller who may change pipes and see rows.
pub(super) struct Operator(pub(super) Caller);
/// A caller who may give and take tokens.
pub(super) struct Admin(pub(super) Caller);

/// Who asks, by the token in the request's header.
pub(super) fn bearer(service: &Service, parts: &Parts) -> Result<Caller, Problem> {
    let refused = |detail: &str| {
        Problem::new(StatusCode::UNAUTHORIZED, "token", detail)
            .suggest("send `Authorization: Bearer` and a token of this service")
    };
    let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
        return Err(refused("the request bears no token"));
    };
    let Some(token) = token(value) else {
        return Err(refused("the request's authorization is no bearer token"));
    };
    match service.store.bearer(token)? {
        Some((tenant, token)) => {
            told(parts, &tenant);
            Ok(Caller {
                tenant,
                token,
                csrf: None,
            })
        }
        None => Err(refused("the token is unknown, has ended or was taken back")),
    }
}

/// The token of an `Authorization` header.
pub(super) fn token(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Log and metrics are told who asks.
fn told(parts: &Parts, tenant: &str) {
    if let Some(asked) = parts.extensions.get::<Asked>() {
        asked.by(tenant);
    }
}

/// Who asks, by the browser's session; none where there is none that is good.
pub(super) fn session(service: &Service, parts: &Parts) -> Result<Option<Caller>, Problem> {
    let Some(cookie) = cookie(parts) else {
        return Ok(None);
    };
    let session = service.store.session(cookie)?;
    if let Some(session) = &session {
        told(parts, &session.tenant);
    }
    Ok(session.map(|session| Caller {
        tenant: session.tenant,
        token: session.token,
        csrf: Some(session.csrf),
    }))
}

/// The browser's cookie.
pub(super) fn cookie(parts: &Parts) -> Option<&str> {
    let headers = parts.headers.get_all(header::COOKIE).iter();
    let pairs = headers.filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

impl Service {
    /// Makes a token of the caller's tenant that ends after so many days, or never.
    pub(super) fn make_token(
        &self,
        caller: &Caller,
        name: &str,
        role: Role,
        days: Option<u32>,
    ) -> Result<NewToken, Problem> {
        if name.trim().is_empty() || name.chars().count() > 100 {
            return Err(Problem::unusable("a token's name has 1 to 100 characters"));
        }
        let expires = match days {
            None => None,
            Some(days @ 1..=3650) => {
                Some(Timestamp::now() + SignedDuration::from_hours(24 * i64::from(days)))
            }
            Some(_) => return Err(Problem::unusable("a token lasts 1 to 3650 days")),
        };
        let store = caller.store(self);
        let made = store.make_token_of(MOST_TOKENS, name, role, expires)?;
        made.ok_or_else(|| {
            let detail = format!("the tenant has {MOST_TOKENS} tokens, and may have no more");
            Problem::quota(detail).suggest("revoke those that have ended or aren't used")
        })
    }
}

impl FromRequestParts<Arc<Service>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, Problem> {
        // The layer that writes the audit log has looked already.
        match parts.extensions.get::<Caller>() {
            Some(caller) => Ok(caller.clone()),
            None => bearer(service, parts),
        }
    }
}

impl OptionalFromRequestParts<Arc<Service>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Option<Self>, Problem> {
        session(service, parts)
    }
}

macro_rules! extractor {
    ($name:ident, $role:expr) => {
        impl FromRequestParts<Arc<Service>> for $name {
            type Rejection = Problem;

            async fn from_request_parts(
                parts: &mut Parts,
                service: &Arc<Service>,
            ) -> Result<Self, Problem> {
                let caller = <Caller as FromRequestParts<_>>::from_request_parts(parts, service);
                let caller = caller.await?;
                caller.require($role)?;
                Ok(Self(caller))
            }
        }
    };
}

extractor!(Viewer, Role::Viewer);
extractor!(Operator, Role::Operator);
extractor!(Admin, Role::Admin);
