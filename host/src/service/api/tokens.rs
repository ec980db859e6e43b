//! Tokens: given, given another secret, taken back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Body, List, Page, PathOf, QueryOf, Refusals};
use crate::service::Service;
use crate::service::auth::Admin;
use crate::service::problem::Problem;
use crate::service::store::{NewToken, Role, TokenRecord};

/// All tokens of the tenant, without their secrets, the oldest first.
#[utoipa::path(get, path = "/v1/tokens", tag = "tenant", params(Page), responses((status = 200, body = List<TokenRecord>), Refusals))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    QueryOf(page): QueryOf<Page>,
) -> Result<Json<List<TokenRecord>>, Problem> {
    let limit = page.limit()?;
    let after = page.number()?.unwrap_or(0);
    let tokens = caller.store(&service).tokens_after(after, limit + 1)?;
    let page = List::page(tokens, limit, |(number, _)| number.to_string());
    let items = page.items.into_iter().map(|(_, token)| token).collect();
    Ok(Json(List {
        items,
        next: page.next,
    }))
}

/// A token that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenOf {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What its bearer may do.
    role: Role,
    /// Days until it ends; never, if there are none.
    #[schema(minimum = 1, maximum = 3650)]
    days: Option<u32>,
}

/// Make a token.
///
/// The answer is the only time that it is shown. A tenant has 200 at most.
#[utoipa::path(post, path = "/v1/tokens", tag = "tenant", request_body = TokenOf, responses((status = 201, body = NewToken), Refusals))]
pub(super) async fn make(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    Body(of): Body<TokenOf>,
) -> Result<Response, Problem> {
    let token = service.make_token(&caller, &of.name, of.role, of.days)?;
    Ok((StatusCode::CREATED, NO_STORE, Json(token)).into_response())
}

/// An answer with a secret is nothing to keep.
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Give a token another secret.
///
/// The present one is good for an hour more. Browsers that signed in with it are signed out.
#[utoipa::path(post, path = "/v1/tokens/{id}/rotate", tag = "tenant", params(("id" = String, Path, description = "The token's id")),
    responses((status = 200, body = NewToken), Refusals))]
pub(super) async fn rotate(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    PathOf(id): PathOf<String>,
) -> Result<Response, Problem> {
    match caller.store(&service).rotate_token(&id)? {
        Some(token) => Ok((NO_STORE, Json(token)).into_response()),
        None => Err(Problem::not_found("token", &id)),
    }
}

/// Take a token back.
///
/// Browsers that signed in with it are signed out.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tenant", params(("id" = String, Path, description = "The token's id")),
    responses((status = 204), Refusals))]
pub(super) async fn revoke(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    PathOf(id): PathOf<String>,
) -> Result<StatusCode, Problem> {
    match caller.store(&service).revoke_token(&id)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("token", &id)),
    }
}
