//! What stands before every page: the session, the form's token, the audit log, and the headers that keep a browser from doing anything else. What goes wrong
//! becomes a page.

use std::sync::Arc;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use subtle::ConstantTimeEq;
use url::form_urlencoded::byte_serialize;

use super::fields::Fields;
use super::{Frame, show, words};
use crate::service::Service;
use crate::service::auth::{self, Caller};
use crate::service::changes;
use crate::service::problem::Problem;

/// Largest form but an upload, in bytes.
pub(super) const LARGEST_FORM: usize = 2 << 20;
/// What an upload's form has beside the file, at most.
const AROUND_A_FILE: usize = 64 << 10;

/// Headers of every page: nothing but the service's own files, no frames around it, forms that go nowhere else.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    problem: Problem,
    back: String,
}

/// Makes a page of what went wrong, and puts the headers on.
pub(super) async fn as_page(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let asked = parts.clone();
    let response = next.run(Request::from_parts(parts, body)).await;
    finished(&service, &asked, response)
}

/// There is nothing at this address: a page for a browser, a problem document for all else.
pub(in crate::service) async fn nothing_here(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let problem = crate::service::api::guard::nothing_here();
    let accept = parts.headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let is_browser = accept.is_some_and(|accept| accept.contains("text/html"));
    match is_browser && !parts.uri.path().starts_with("/v1/") {
        true => finished(&service, &parts, problem.into_response()),
        false => problem.into_response(),
    }
}

fn finished(service: &Service, asked: &Parts, mut response: Response) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let status = response.status();
        let page = ProblemPage {
            frame: Frame {
                who: auth::session(service, asked).ok().flatten(),
                section: "",
                done: None,
            },
            problem,
            back: back(asked),
        };
        // Should even this page fail, the document is what there is.
        if let Ok(page) = show(&page) {
            response = page;
            *response.status_mut() = status;
        }
    }
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Where a page of what went wrong leads: to what the address is about.
fn back(asked: &Parts) -> String {
    let mut parts = asked.uri.path().trim_matches('/').split('/');
    match (asked.method == Method::GET, parts.next(), parts.next()) {
        (false, Some("pipes"), Some(pipe)) => format!("/pipes/{pipe}"),
        (false, Some("new"), _) => "/new".to_owned(),
        (false, Some("plugins"), _) => "/plugins".to_owned(),
        (false, Some("access"), _) => "/access".to_owned(),
        _ => "/".to_owned(),
    }
}

/// Lets those in who have signed in; of a form that changes something it wants the session's token, and the audit log tells of it.
pub(super) async fn signed_in(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let caller = match auth::session(&service, &parts) {
        Ok(Some(caller)) => caller,
        Ok(None) => return to_login(&parts).into_response(),
        Err(problem) => return problem.into_response(),
    };
    parts.extensions.insert(caller.clone());
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let entry = changes::entry(&parts, &caller);
    let change = {
        let (service, caller) = (service.clone(), caller.clone());
        async move {
            if is_upload(&parts.headers)
                && let Some(turn) = service.shares.upload(&caller.tenant).await
            {
                parts.extensions.insert(turn);
            }
            let request = checked(&service, &caller, parts, body).await?;
            Ok(changes::run(next, request).await)
        }
    };
    changes::to_its_end(service, caller, entry, change).await
}

fn to_login(parts: &Parts) -> Redirect {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    match parts.method {
        Method::GET if path != "/" => {
            let next: String = byte_serialize(path.as_bytes()).collect();
            Redirect::to(&format!("/login?next={next}"))
        }
        _ => Redirect::to("/login"),
    }
}

/// A form that this session's own page has sent.
async fn checked(
    service: &Service,
    caller: &Caller,
    parts: Parts,
    body: Body,
) -> Result<Request, Problem> {
    own_origin(&parts.headers)?;
    let is_upload = is_upload(&parts.headers);
    let most = match is_upload {
        true => service.largest_upload().saturating_add(AROUND_A_FILE),
        false => LARGEST_FORM,
    };
    let body = changes::whole(body, most).await?;
    let sent = match is_upload {
        true => token_of_upload(&parts, body.clone()).await?,
        false => Fields::of(&body).get("csrf").map(str::to_owned),
    };
    let expected = caller.csrf.as_deref().unwrap_or_default();
    let fits = sent.is_some_and(|sent| bool::from(sent.as_bytes().ct_eq(expected.as_bytes())));
    if !fits || expected.is_empty() {
        let detail = "the form doesn't belong to this session";
        let problem = Problem::new(StatusCode::FORBIDDEN, "form", detail);
        return Err(problem.suggest("load the page again, and send its form"));
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// The first part of an upload's form is its token.
async fn token_of_upload(parts: &Parts, body: Bytes) -> Result<Option<String>, Problem> {
    let request = Request::from_parts(parts.clone(), Body::from(body));
    let unreadable = |error: &dyn std::fmt::Display| {
        Problem::new(StatusCode::BAD_REQUEST, "body", error.to_string())
    };
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| unreadable(&error))?;
    let first = form
        .next_field()
        .await
        .map_err(|error| unreadable(&error))?;
    let Some(first) = first.filter(|field| field.name() == Some("csrf")) else {
        return Ok(None);
    };
    let token = first.text().await.map_err(|error| unreadable(&error))?;
    Ok(Some(token))
}

/// Refuses a form that another site has sent, as far as the browser says so.
pub(super) fn own_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let fetch_site = text(HeaderName::from_static("sec-fetch-site"));
    let is_own = match (fetch_site, text(header::ORIGIN)) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let origin = origin.split_once("://").map(|(_, host)| host);
            origin.is_some() && origin == text(header::HOST)
        }
        (None, None) => true,
    };
    match is_own {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "form",
            "the form was sent by another site",
        )),
    }
}

pub(super) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn is_upload(headers: &HeaderMap) -> bool {
    content_type(headers).starts_with("multipart/form-data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_refused() {
        let check = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            own_origin(&headers.collect()).is_ok()
        };
        assert!(check(&[("sec-fetch-site", "same-origin"), ("host", "a:1")]));
        assert!(check(&[("origin", "http://a:1"), ("host", "a:1")]));
        assert!(check(&[("host", "a:1")]));
        assert!(!check(&[("sec-fetch-site", "same-site"), ("host", "a:1")]));
        assert!(!check(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "http://a:1"),
            ("host", "a:1")
        ]));
        assert!(!check(&[("origin", "http://b:1"), ("host", "a:1")]));
        assert!(!check(&[("origin", "null"), ("host", "a:1")]));
    }
}
