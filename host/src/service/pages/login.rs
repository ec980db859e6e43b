//! Signing in with a token, and out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::fields::{Asked, Fields};
use super::{Frame, Page, guard, show};
use crate::service::Service;
use crate::service::auth::{COOKIE, Caller, cookie};
use crate::service::changes;

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    frame: Frame,
    next: String,
    refused: bool,
}

fn login(next: &str, refused: bool) -> Page {
    show(&Login {
        frame: Frame {
            who: None,
            section: "",
            done: None,
        },
        next: local(next).to_owned(),
        refused,
    })
}

/// An address of this service; the first page where it isn't one.
fn local(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next[1..].starts_with(['/', '\\'])
        && !next.contains(|c: char| c.is_control());
    if is_local { next } else { "/" }
}

/// The page to sign in.
pub(super) async fn page(Asked(query): Asked, caller: Option<Caller>) -> Page {
    let next = query.get("next").unwrap_or("/");
    match caller {
        Some(_) => Ok(Redirect::to(local(next)).into_response()),
        None => login(next, false),
    }
}

/// Signs in.
pub(super) async fn enter(State(service): State<Arc<Service>>, request: Request) -> Page {
    let (parts, body) = request.into_parts();
    guard::own_origin(&parts.headers)?;
    let fields = Fields::of(&changes::whole(body, guard::LARGEST_FORM).await?);
    let next = local(fields.get("next").unwrap_or("/")).to_owned();
    let token = fields.text("token").unwrap_or_default();
    let Some((tenant, token)) = service.store.bearer(token)? else {
        let mut page = login(&next, true)?;
        *page.status_mut() = StatusCode::UNAUTHORIZED;
        return Ok(page);
    };
    let cookie = service.store.tenant(&tenant).begin_session(&token)?;
    let caller = Caller {
        tenant,
        token,
        csrf: None,
    };
    let entry = changes::entry(&parts, &caller);
    changes::audit(&service, &caller, entry, StatusCode::SEE_OTHER);
    Ok(with_cookie(&service, &parts.headers, &cookie, &next, ""))
}

/// Signs out.
pub(super) async fn leave(State(service): State<Arc<Service>>, request: Request) -> Page {
    let (parts, _) = request.into_parts();
    if let Some(cookie) = cookie(&parts) {
        service.store.end_session(cookie)?;
    }
    Ok(with_cookie(
        &service,
        &parts.headers,
        "",
        "/login",
        "; Max-Age=0",
    ))
}

fn with_cookie(
    service: &Service,
    headers: &HeaderMap,
    value: &str,
    to: &str,
    more: &str,
) -> Response {
    let forwarded = headers.get("x-forwarded-proto");
    let is_https = service.https || forwarded.is_some_and(|by| by == "https");
    let secure = if is_https { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn a_login_leads_to_this_service_alone() {
        for path in ["/", "/pipes/a?x=1", "/pipes//a"] {
            assert_eq!(local(path), path);
        }
        for path in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "a",
            "/\t/evil.example",
        ] {
            assert_eq!(local(path), "/", "{path}");
        }
    }
}
