//! The API under `/v1`: what is asked for, as JSON; what goes wrong, as problem documents. Each handler says who may ask by its extractor
//! ([`super::auth::Viewer`], [`super::auth::Operator`], [`super::auth::Admin`]), and its annotation is the documentation.

mod body;
mod document;
mod events;
mod files;
pub(super) mod guard;
mod looks;
mod measured;
mod pipes;
mod plugins;
mod resyncs;
mod tenant;
mod tokens;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Service;
use super::pages;
use super::problem::Problem;
use body::{Body, PathOf, QueryOf};
use document::Security;
pub(super) use guard::RequestId;
pub(super) use plugins::PluginDetail;

/// Items of a page where the request doesn't say.
const PAGE: usize = 50;
/// Items of a page, at most.
const LARGEST_PAGE: usize = 200;
/// Largest body of a request but a plugin's, in bytes.
const LARGEST_BODY: usize = 2 << 20;

/// Which page of a list is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Items of the page; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Where the page begins: `next` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

impl Page {
    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(PAGE) {
            limit @ 1..=LARGEST_PAGE => Ok(limit),
            _ => Err(Problem::unusable(format!(
                "a page has 1 to {LARGEST_PAGE} items"
            ))),
        }
    }

    /// The name behind which the page begins.
    fn after(&self) -> &str {
        self.cursor.as_deref().unwrap_or_default()
    }

    /// The number before or behind which the page begins.
    fn number(&self) -> Result<Option<i64>, Problem> {
        let number = self.cursor.as_deref().map(str::parse).transpose();
        number.map_err(|_| Problem::unusable("the cursor is none that this list has given"))
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
struct List<T> {
    /// The items.
    items: Vec<T>,
    /// The cursor of the next page; null: this is the last one.
    next: Option<String>,
}

impl<T> List<T> {
    /// A page out of one item more than it has, if there are as many.
    fn page(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}

/// What every route may answer beside what it is for.
#[derive(utoipa::IntoResponses)]
#[expect(
    dead_code,
    reason = "it is the documentation of answers that other code gives"
)]
enum Refusals {
    /// The request can't be read.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// There is no good token.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The token's role is a lesser one, or a quota is used up.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing, or it is another tenant's.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The route doesn't have this method.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(Problem),
    /// The body has not come in time.
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// It isn't possible as things are, or it was done already and the answer isn't kept.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is of another type.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
    /// What was sent can't be used.
    #[response(status = 422, content_type = "application/problem+json")]
    Unusable(Problem),
    /// The pipe's source or destination has failed or refused.
    #[response(status = 424, content_type = "application/problem+json")]
    FailedDependency(Problem),
    /// The service is about to end.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidemill",
        description = "Pipes from MySQL to ClickHouse, their resyncs, and what becomes of their rows."
    ),
    components(schemas(Problem)),
    modifiers(&Security),
    tags(
        (name = "pipes", description = "Pipes and what they do"),
        (name = "looks", description = "What changes nothing: check, plan, preview, rejected rows"),
        (name = "plugins", description = "Transforms of the tenant's own"),
        (name = "tenant", description = "Tokens, quotas, the audit log"),
        (name = "webhooks", description = "Where events are posted")
    )
)]
struct Document;

/// All routes of the API, and the document of them.
fn documented() -> (Router<Arc<Service>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(pipes::list, pipes::create))
        .routes(routes!(pipes::read, pipes::change, pipes::remove))
        .routes(routes!(pipes::order))
        .routes(routes!(pipes::secrets))
        .routes(routes!(pipes::put_secret, pipes::remove_secret))
        .routes(routes!(files::list))
        .routes(routes!(files::put, files::remove))
        .routes(routes!(resyncs::status))
        .routes(routes!(resyncs::tables, resyncs::add_table))
        .routes(routes!(resyncs::leave_table))
        .routes(routes!(resyncs::list))
        .routes(routes!(resyncs::read))
        .routes(routes!(resyncs::metrics))
        .routes(routes!(events::of_pipe))
        .routes(routes!(events::of_tenant))
        .routes(routes!(looks::check))
        .routes(routes!(looks::plan))
        .routes(routes!(looks::preview))
        .routes(routes!(looks::query))
        .routes(routes!(looks::rejected))
        .routes(routes!(looks::source_tables))
        .routes(routes!(plugins::list, plugins::upload))
        .routes(routes!(plugins::inspect, plugins::remove))
        .routes(routes!(tenant::tenant))
        .routes(routes!(tenant::audit))
        .routes(routes!(tokens::list, tokens::make))
        .routes(routes!(tokens::rotate))
        .routes(routes!(tokens::revoke))
        .routes(routes!(webhooks::list, webhooks::make))
        .routes(routes!(webhooks::remove))
        .routes(routes!(webhooks::deliveries))
        .split_for_parts()
}

/// The API, its document and the page to read it.
pub(super) fn router(service: &Arc<Service>) -> Router<Arc<Service>> {
    let (routes, document) = documented();
    let routes = routes
        .layer(from_fn_with_state(service.clone(), guard::changes))
        .layer(DefaultBodyLimit::max(LARGEST_BODY));
    Router::new()
        .merge(routes)
        .merge(pages::router(service, &document))
        .merge(document::routes(document))
        .merge(tenant::health())
        .merge(measured::routes())
        .fallback(pages::nothing_here)
        .method_not_allowed_fallback(guard::not_that_method)
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(
            guard::panicked,
        ))
        .layer(from_fn_with_state(service.clone(), guard::request))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document is committed as the API's contract: a change of it is seen in review.
    #[test]
    fn every_route_documents_its_refusals() {
        let (_, document) = documented();
        for (path, item) in &document.paths.paths {
            let operations = [&item.get, &item.post, &item.put, &item.patch, &item.delete];
            for operation in operations.into_iter().flatten() {
                let id = operation.operation_id.as_deref().unwrap_or(path);
                for status in ["401", "403", "404"] {
                    assert!(
                        operation.responses.responses.contains_key(status),
                        "{id}: {status}"
                    );
                }
                assert!(operation.summary.is_some(), "{id} has no summary");
                assert!(operation.tags.is_some(), "{id} has no tag");
            }
        }
        assert!(document.paths.paths.len() > 20);
    }
}
