//! The web pages, made by the server: they read the same functions as the API does. A page that is live is fetched again by one small script, and works
//! without it. What goes wrong is a page with what to do ([`guard`]).

mod access;
mod assets;
mod charts;
mod docs;
mod fields;
mod guard;
mod login;
mod logs;
mod metrics;
mod overview;
mod plugins;
mod settings;
mod sources;
mod tables;
mod transforms;
mod wizard;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use utoipa::openapi::OpenApi;

use super::Service;
use super::auth::Caller;
use super::pipes::PipeSummary;
use super::problem::Problem;
use super::store::Role;

pub(super) use guard::nothing_here;

/// All pages.
pub(super) fn router(service: &Arc<Service>, document: &OpenApi) -> Router<Arc<Service>> {
    let signed_in = Router::new()
        .route("/", get(sources::page))
        .route("/new", get(wizard::connection).post(wizard::connect))
        .route(
            "/new/{draft}/tables",
            get(wizard::tables).post(wizard::choose),
        )
        .route(
            "/new/{draft}/destination",
            get(wizard::destination).post(wizard::aim),
        )
        .route(
            "/new/{draft}/review",
            get(wizard::review).post(wizard::make),
        )
        .route("/pipes/{pipe}", get(overview::page))
        .route("/pipes/{pipe}/state", post(overview::order))
        .route("/pipes/{pipe}/metrics", get(metrics::page))
        .route("/pipes/{pipe}/tables", get(tables::page))
        .route("/pipes/{pipe}/transforms", get(transforms::page))
        .route("/pipes/{pipe}/preview", get(transforms::preview))
        .route(
            "/pipes/{pipe}/settings",
            get(settings::page).post(settings::change),
        )
        .route("/pipes/{pipe}/secrets", post(settings::put_secret))
        .route(
            "/pipes/{pipe}/secrets/remove",
            post(settings::remove_secret),
        )
        .route("/pipes/{pipe}/files", post(settings::put_file))
        .route("/pipes/{pipe}/files/remove", post(settings::remove_file))
        .route("/pipes/{pipe}/resync", get(settings::resync))
        .route("/pipes/{pipe}/rollback", get(settings::rollback))
        .route(
            "/pipes/{pipe}/delete",
            get(settings::delete).post(settings::remove),
        )
        .route("/pipes/{pipe}/logs", get(logs::page))
        .route("/plugins", get(plugins::list).post(plugins::upload))
        .route("/plugins/{plugin}", get(plugins::inspect))
        .route(
            "/plugins/{plugin}/delete",
            get(plugins::delete).post(plugins::remove),
        )
        .route("/access", get(access::page))
        .route("/access/tokens", post(access::make))
        .route(
            "/access/tokens/{id}/rotate",
            get(access::ask_rotate).post(access::rotate),
        )
        .route(
            "/access/tokens/{id}/revoke",
            get(access::ask_revoke).post(access::revoke),
        )
        .route("/logout", post(login::leave))
        .layer(from_fn_with_state(service.clone(), guard::signed_in));
    Router::new()
        .merge(signed_in)
        .route("/login", get(login::page).post(login::enter))
        .merge(docs::routes(document))
        .layer(from_fn_with_state(service.clone(), guard::as_page))
        .merge(assets::routes())
}

/// What every page has around it.
struct Frame {
    /// Who looks; none: nobody has signed in.
    who: Option<Caller>,
    /// The part of the navigation that the page belongs to.
    section: &'static str,
    /// What was just done.
    done: Option<&'static str>,
}

impl Frame {
    fn new(caller: &Caller, section: &'static str) -> Self {
        Self {
            who: Some(caller.clone()),
            section,
            done: None,
        }
    }

    /// Tells what was just done, as the address has it: one of some words, never a text.
    fn done(mut self, query: &fields::Fields) -> Self {
        self.done = query.get("done").and_then(words::done);
        self
    }

    /// What each form must bear.
    fn csrf(&self) -> &str {
        let csrf = self.who.as_ref().and_then(|who| who.csrf.as_deref());
        csrf.unwrap_or_default()
    }

    /// Whether buttons that change pipes are shown.
    fn operates(&self) -> bool {
        self.may(Role::Operator)
    }

    /// Whether tokens are shown.
    fn administers(&self) -> bool {
        self.may(Role::Admin)
    }

    fn may(&self, role: Role) -> bool {
        self.who.as_ref().is_some_and(|who| who.token.role >= role)
    }
}

/// What every page of a pipe has above it.
struct Head {
    pipe: PipeSummary,
    tab: &'static str,
}

impl Head {
    fn new(
        service: &Service,
        caller: &Caller,
        name: &str,
        tab: &'static str,
        query: &fields::Fields,
    ) -> Result<(Frame, Self), Problem> {
        let record = service.pipe_record(caller, name)?;
        let pipe = service.summary(&caller.tenant, record);
        let frame = Frame::new(caller, "pipes").done(query);
        Ok((frame, Self { pipe, tab }))
    }
}

/// A page's answer.
type Page = Result<Response, Problem>;

/// A page of this template.
fn show(template: &impl Template) -> Page {
    match template.render() {
        Ok(html) => Ok(Html(html).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            Err(Problem::new(
                status,
                "internal",
                "the page could not be made",
            ))
        }
    }
}

/// Asks before something is done that can't be undone: a page of its own, which the script shows as a dialog.
#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm {
    frame: Frame,
    title: String,
    text: String,
    button: &'static str,
    /// Where the form goes.
    action: String,
    /// What it bears beside: names and values.
    hidden: Vec<(&'static str, String)>,
    back: String,
}
