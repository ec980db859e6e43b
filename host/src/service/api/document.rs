//! The document of the API, and the page to read it.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};

use crate::service::Service;

/// Says that each route wants a token.
pub(super) struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of a tenant: `tm_…`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let wanted = SecurityRequirement::new("token", Vec::<String>::new());
        document.security = Some(vec![wanted]);
    }
}

/// The document.
pub(super) fn routes(document: OpenApi) -> Router<Arc<Service>> {
    let document = Arc::new(document);
    Router::new().route(
        "/v1/openapi.json",
        get(async move || Json((*document).clone())),
    )
}
