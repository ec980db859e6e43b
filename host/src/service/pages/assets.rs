//! The files of the pages: they are in the binary. A browser asks whether its copy is still the right one.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::service::Service;

struct Asset {
    path: &'static str,
    kind: &'static str,
    content: &'static str,
    etag: LazyLock<String>,
}

macro_rules! asset {
    ($file:literal, $kind:literal) => {
        Asset {
            path: concat!("/assets/", $file),
            kind: $kind,
            content: include_str!(concat!("assets/", $file)),
            etag: LazyLock::new(|| etag(include_str!(concat!("assets/", $file)))),
        }
    };
}

static ASSETS: [Asset; 3] = [
    asset!("tidemill.css", "text/css; charset=utf-8"),
    asset!("tidemill.js", "text/javascript; charset=utf-8"),
    asset!("favicon.svg", "image/svg+xml"),
];

fn etag(content: &str) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(content)[..16]))
}

pub(super) fn routes() -> Router<Arc<Service>> {
    let with = |router: Router<Arc<Service>>, asset: &'static Asset| {
        router.route(
            asset.path,
            get(async move |headers: HeaderMap| answer(asset, &headers)),
        )
    };
    ASSETS.iter().fold(Router::new(), with)
}

fn answer(asset: &Asset, headers: &HeaderMap) -> Response {
    let etag = asset.etag.as_str();
    let told = [
        (header::ETAG, etag),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_TYPE, asset.kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let known = headers.get(header::IF_NONE_MATCH);
    match known.is_some_and(|known| known == etag) {
        true => (StatusCode::NOT_MODIFIED, told).into_response(),
        false => (told, asset.content).into_response(),
    }
}
