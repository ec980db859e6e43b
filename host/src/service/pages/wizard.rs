//! The wizard: a connection, its tables, a destination, then what `check` says of it all. What is known so far stays in the process ([`crate::service::drafts`]).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use super::fields::Fields;
use super::{Frame, Page, show, words};
use crate::lifecycle::report::{CheckReport, Severity};
use crate::service::Service;
use crate::service::auth::{Caller, Operator};
use crate::service::drafts::{Draft, DraftDestination};
use crate::service::looks::{Connection, FoundTable};
use crate::service::pipes::{Action, Order};
use crate::service::problem::Problem;

/// What the choice of TLS offers.
const TLS: [(&str, &str); 4] = [
    (
        "verify_identity",
        "Verify the server's certificate and name",
    ),
    ("verify_ca", "Verify the server's certificate"),
    ("required", "Encrypt, verify nothing"),
    ("disabled", "No encryption"),
];

#[derive(Template)]
#[template(path = "wizard/connection.html")]
struct ConnectionPage {
    frame: Frame,
    host: String,
    port: String,
    user: String,
    tls: String,
    refused: Option<Problem>,
}

impl ConnectionPage {
    fn new(caller: &Caller, fields: &Fields, refused: Option<Problem>) -> Self {
        let text = |name, default: &str| fields.text(name).unwrap_or(default).to_owned();
        Self {
            frame: Frame::new(caller, "pipes"),
            host: text("host", ""),
            port: text("port", "3306"),
            user: text("user", ""),
            tls: text("tls", "required"),
            refused,
        }
    }
}

/// Step 1: the connection.
pub(super) async fn connection(Operator(caller): Operator) -> Page {
    show(&ConnectionPage::new(&caller, &Fields::default(), None))
}

/// Looks at the source.
pub(super) async fn connect(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    fields: Fields,
) -> Page {
    match drafted(&service, &caller, &fields).await {
        Ok(draft) => {
            let id = service.drafts.put(&caller, draft);
            Ok(Redirect::to(&format!("/new/{id}/tables")).into_response())
        }
        Err(refused) => again(ConnectionPage::new(&caller, &fields, Some(refused))),
    }
}

async fn drafted(service: &Service, caller: &Caller, fields: &Fields) -> Result<Draft, Problem> {
    let port = fields.text("port").map(str::parse).transpose();
    let connection = Connection {
        host: fields.needed("host")?.to_owned(),
        port: port.map_err(|_| Problem::unusable("a port is a number from 1 to 65535"))?,
        user: fields.needed("user")?.to_owned(),
        password: fields.secret("password"),
        tls: fields.text("tls").map(str::to_owned),
    };
    let found = service.source_tables(caller, connection.clone()).await?;
    Ok(Draft::new(connection, found))
}

/// A page once more, with what was refused.
fn again(page: impl Template) -> Page {
    let mut answer = show(&page)?;
    *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(answer)
}

/// Tables of a database.
struct Database {
    name: String,
    tables: Vec<FoundTable>,
    /// Whether all can be seen at once.
    open: bool,
}

#[derive(Template)]
#[template(path = "wizard/tables.html")]
struct TablesPage {
    frame: Frame,
    id: String,
    databases: Vec<Database>,
    chosen: HashSet<String>,
    refused: Option<Problem>,
}

impl TablesPage {
    fn new(caller: &Caller, id: &str, draft: Draft, refused: Option<Problem>) -> Self {
        let mut databases: Vec<Database> = Vec::new();
        let mut known = HashMap::new();
        let chosen: HashSet<String> = draft.chosen.into_iter().collect();
        for table in draft.found.iter() {
            let parsed = table.table.parse::<crate::schema::TableName>();
            let name = parsed.map_or_else(|_| String::new(), |name| name.database);
            let at = *known.entry(name.clone()).or_insert_with(|| {
                databases.push(Database {
                    name,
                    tables: Vec::new(),
                    open: false,
                });
                databases.len() - 1
            });
            databases[at].tables.push(table.clone());
        }
        let few = databases.len() <= 3;
        for database in &mut databases {
            let mut tables = database.tables.iter();
            database.open = few || tables.any(|table| chosen.contains(&table.table));
        }
        Self {
            frame: Frame::new(caller, "pipes"),
            id: id.to_owned(),
            databases,
            chosen,
            refused,
        }
    }
}

/// Step 2: the tables.
pub(super) async fn tables(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(id): Path<String>,
) -> Page {
    let draft = service.drafts.get(&caller, &id)?;
    let shown =
        move |_: &Arc<Service>, caller: &Caller| show(&TablesPage::new(caller, &id, draft, None));
    service.on_disk(&caller, shown).await
}

/// Keeps the choice of tables.
pub(super) async fn choose(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    fields: Fields,
) -> Page {
    let sent: HashSet<&str> = fields.all("tables").collect();
    let is_chosen = |table: &&FoundTable| {
        !table.is_view && !table.key.is_empty() && sent.contains(table.table.as_str())
    };
    let found = service.drafts.get(&caller, &id)?.found;
    let chosen = found.iter().filter(is_chosen);
    let chosen: Vec<String> = chosen.map(|table| table.table.clone()).collect();
    // Who else has a draft waits for no more than this.
    let draft = service.drafts.with(&caller, &id, |draft| {
        draft.chosen = chosen;
        draft.clone()
    })?;
    if draft.chosen.is_empty() {
        let refused = Problem::unusable("no table was chosen").suggest("choose at least one");
        return again(TablesPage::new(&caller, &id, draft, Some(refused)));
    }
    Ok(Redirect::to(&format!("/new/{id}/destination")).into_response())
}

#[derive(Template)]
#[template(path = "wizard/destination.html")]
struct DestinationPage {
    frame: Frame,
    id: String,
    name: String,
    url: String,
    user: String,
    database: String,
    has_password: bool,
    /// Whether the operator allows embedded servers.
    embedded: bool,
    refused: Option<Problem>,
}

impl DestinationPage {
    fn new(service: &Service, caller: &Caller, id: &str, draft: &Draft) -> Self {
        let embedded = service.environment.policy().allows_embedded();
        let first = draft.chosen.first();
        let first = first.and_then(|name| name.parse::<crate::schema::TableName>().ok());
        let database = first.map_or_else(|| "tidemill".to_owned(), |name| name.database);
        let known = draft.destination.as_ref();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        Self {
            frame: Frame::new(caller, "pipes"),
            id: id.to_owned(),
            name: match draft.name.is_empty() {
                true => database.chars().filter(|c| fits(*c)).take(64).collect(),
                false => draft.name.clone(),
            },
            url: known.map_or_else(String::new, |known| known.url.clone()),
            user: known.map_or_else(|| "default".to_owned(), |known| known.user.clone()),
            database: known.map_or(database, |known| known.database.clone()),
            has_password: known.is_some_and(|known| known.password.is_some()),
            embedded,
            refused: None,
        }
    }
}

/// Step 3: the destination, and the pipe's name.
pub(super) async fn destination(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(id): Path<String>,
) -> Page {
    let draft = service.drafts.get(&caller, &id)?;
    show(&DestinationPage::new(&service, &caller, &id, &draft))
}

/// Keeps the destination.
pub(super) async fn aim(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    fields: Fields,
) -> Page {
    let text = |name| fields.text(name).unwrap_or_default().to_owned();
    let url = match fields.get("kind") {
        Some("embedded") => "embedded".to_owned(),
        _ => text("url"),
    };
    let draft = service.drafts.with(&caller, &id, |draft| {
        draft.name = text("name");
        let before = draft.destination.take();
        // A password that isn't given again stays, where it goes to the same server.
        let before = before.filter(|before| before.url == url);
        let password = fields.secret("password");
        draft.destination = Some(DraftDestination {
            user: text("user"),
            password: password.or_else(|| before.and_then(|before| before.password)),
            database: text("database"),
            url,
        });
        draft.clone()
    })?;
    let taken = caller.store(&service).pipe(&draft.name)?;
    let refused = match taken {
        Some(_) => Some(
            Problem::conflict(format!("there is a pipe `{}` already", draft.name))
                .suggest("choose another name"),
        ),
        None => {
            let draft = draft.clone();
            let read = move |service: &Arc<Service>, caller: &Caller| {
                let folder = service.pipe_folder(&caller.pipe("_"));
                service.pipe_at(caller, folder, draft.settings()?)
            };
            service.on_disk(&caller, read).await.err()
        }
    };
    match refused {
        None => Ok(Redirect::to(&format!("/new/{id}/review")).into_response()),
        Some(refused) => again(DestinationPage {
            refused: Some(refused),
            ..DestinationPage::new(&service, &caller, &id, &draft)
        }),
    }
}

#[derive(Template)]
#[template(path = "wizard/review.html")]
struct Review {
    frame: Frame,
    id: String,
    draft: Draft,
    destination: DraftDestination,
    report: Option<CheckReport>,
    problem: Option<Problem>,
    /// Whether nothing stands in the way.
    good: bool,
}

/// What `check` says of it all.
pub(super) async fn review(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(id): Path<String>,
) -> Page {
    let draft = service.drafts.get(&caller, &id)?;
    let Some(destination) = draft.destination.clone() else {
        return Ok(Redirect::to(&format!("/new/{id}/destination")).into_response());
    };
    let (report, problem) = match service.check_draft(&caller, &draft).await {
        Ok(report) => (Some(report), None),
        Err(problem) => (None, Some(problem)),
    };
    let mut findings = report.iter().flat_map(|report| &report.findings);
    show(&Review {
        frame: Frame::new(&caller, "pipes"),
        good: problem.is_none() && findings.all(|finding| finding.severity != Severity::Error),
        id,
        destination,
        draft,
        report,
        problem,
    })
}

/// Makes the pipe, and starts it if that is wanted.
pub(super) async fn make(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    fields: Fields,
) -> Page {
    let draft = service.drafts.get(&caller, &id)?;
    let made = move |service: &Arc<Service>, caller: &Caller| {
        service.create_pipe(caller, draft.settings()?)
    };
    let pipe = service.on_disk(&caller, made).await?;
    service.drafts.remove(&caller, &id);
    let mut done = "made";
    if fields.get("start").is_some() {
        let order = Order {
            state: Action::Start,
            tables: Vec::new(),
            live: false,
        };
        service.order(&caller, &pipe.name, order).await?;
        done = "start";
    }
    Ok(Redirect::to(&format!("/pipes/{}?done={done}", pipe.name)).into_response())
}
