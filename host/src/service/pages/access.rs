//! Access: who may do what, what the tenant may use, and who did what.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::fields::{Asked, Fields};
use super::{Confirm, Frame, Page, show, words};
use crate::service::Service;
use crate::service::auth::{Admin, Caller, Viewer};
use crate::service::problem::Problem;
use crate::service::store::{AuditEntry, NewToken, Quotas, Role, TokenRecord};

/// Entries of the audit log of a page.
const ENTRIES: usize = 50;

#[derive(Template)]
#[template(path = "access.html")]
struct Access {
    frame: Frame,
    tenant: String,
    token: TokenRecord,
    quotas: Quotas,
    tokens: Vec<TokenRecord>,
    audit: Vec<AuditEntry>,
    next: Option<i64>,
    /// A token that was just made: the only time that it is shown.
    made: Option<NewToken>,
}

pub(super) async fn page(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Asked(query): Asked,
) -> Page {
    show(&access(&service, &caller, &query, None)?)
}

fn access(
    service: &Service,
    caller: &Caller,
    query: &Fields,
    made: Option<NewToken>,
) -> Result<Access, Problem> {
    let frame = Frame::new(caller, "access").done(query);
    let record = service.store.tenant_record(&caller.tenant)?;
    let record = record.ok_or_else(|| Problem::not_found("tenant", &caller.tenant))?;
    let (mut tokens, mut audit) = (Vec::new(), Vec::new());
    if frame.administers() {
        let before = query.get("before").and_then(|before| before.parse().ok());
        tokens = caller.store(service).tokens()?;
        audit = caller
            .store(service)
            .audited(before.unwrap_or(i64::MAX), ENTRIES + 1)?;
    }
    let more = audit.len() > ENTRIES;
    audit.truncate(ENTRIES);
    Ok(Access {
        tenant: record.name,
        token: caller.token.clone(),
        quotas: record.quotas,
        tokens,
        next: audit.last().filter(|_| more).map(|entry| entry.id),
        audit,
        made,
        frame,
    })
}

/// Makes a token, and shows it this once.
pub(super) async fn make(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    fields: Fields,
) -> Page {
    let known = fields.needed("role")?;
    let known = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(known);
    let role = Role::deserialize(known).map_err(|_| Problem::unusable("there is no such role"))?;
    let days = fields.text("days").map(str::parse).transpose();
    let days = days.map_err(|_| Problem::unusable("the days are a number, or none"))?;
    let token = service.make_token(&caller, fields.needed("name")?, role, days)?;
    show(&access(&service, &caller, &Fields::default(), Some(token))?)
}

/// The token of an id.
fn token(service: &Service, caller: &Caller, id: &str) -> Result<TokenRecord, Problem> {
    let tokens = caller.store(service).tokens()?;
    let found = tokens.into_iter().find(|token| token.id == id);
    found.ok_or_else(|| Problem::not_found("token", id))
}

/// Asks before a token gets another secret.
pub(super) async fn ask_rotate(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> Page {
    let token = token(&service, &caller, &id)?;
    show(&Confirm {
        frame: Frame::new(&caller, "access"),
        title: format!("Rotate the token {}", token.name),
        text: "It gets another secret, which is shown once. The present one is good for an hour more. Browsers that signed in with it are signed out."
            .to_owned(),
        button: "Rotate the token",
        action: format!("/access/tokens/{id}/rotate"),
        hidden: Vec::new(),
        back: "/access".to_owned(),
    })
}

/// Gives a token another secret, and shows it this once.
pub(super) async fn rotate(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> Page {
    let rotated = caller.store(&service).rotate_token(&id)?;
    let rotated = rotated.ok_or_else(|| Problem::not_found("token", &id))?;
    show(&access(
        &service,
        &caller,
        &Fields::default(),
        Some(rotated),
    )?)
}

/// Asks before a token is revoked.
pub(super) async fn ask_revoke(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> Page {
    let token = token(&service, &caller, &id)?;
    let own = match token.id == caller.token.id {
        true => " It is the one that you have signed in with: you will be signed out.",
        false => "",
    };
    show(&Confirm {
        frame: Frame::new(&caller, "access"),
        title: format!("Revoke the token {}", token.name),
        text: format!(
            "Whoever uses it is refused from now on, and browsers that signed in with it are signed out.{own}"
        ),
        button: "Revoke the token",
        action: format!("/access/tokens/{id}/revoke"),
        hidden: Vec::new(),
        back: "/access".to_owned(),
    })
}

/// Takes a token back.
pub(super) async fn revoke(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> Page {
    match caller.store(&service).revoke_token(&id)? {
        true => Ok(Redirect::to("/access?done=revoked").into_response()),
        false => Err(Problem::not_found("token", &id)),
    }
}
