//! Pipes that are being put together in browsers: a connection, tables and a destination, with their passwords, which leave the process in no page. They
//! are in memory alone, a bounded number of them, and end an hour after they were touched last.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use secrecy::SecretString;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::Service;
use super::auth::Caller;
use super::looks::{Connection, FoundTable, table_name};
use super::pipes::{Sent, has_failed};
use super::problem::Problem;
use crate::lifecycle;
use crate::lifecycle::report::CheckReport;
use crate::pipe::template::{Template, TemplateTable};
use crate::pipe::{DESTINATION_PASSWORD, SOURCE_PASSWORD};

/// How long a draft is kept that nobody touches.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// Drafts that a tenant may have; the one that was touched first makes room.
const OF_A_TENANT: usize = 20;
/// What a template says of the operator's machine, which a tenant's pipe can't use.
const OF_THE_MACHINE: [&str; 4] = ["# state", "# password_env", "# ca ", "# A Tidemill pipe"];

/// Where rows are to go.
#[derive(Clone, Debug)]
pub(super) struct DraftDestination {
    /// `embedded`, or the server's address.
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: Option<SecretString>,
    pub(super) database: String,
}

/// A pipe that is being put together.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The source.
    pub(super) connection: Connection,
    /// The tables that it has.
    pub(super) found: Arc<Vec<FoundTable>>,
    /// Those that the pipe is to have.
    pub(super) chosen: Vec<String>,
    /// The pipe's name.
    pub(super) name: String,
    /// The destination, once it is known.
    pub(super) destination: Option<DraftDestination>,
}

impl Draft {
    /// A draft of a source with these tables.
    pub(super) fn new(connection: Connection, found: Vec<FoundTable>) -> Self {
        Self {
            connection,
            found: Arc::new(found),
            chosen: Vec::new(),
            name: String::new(),
            destination: None,
        }
    }

    /// The settings and the passwords; what is missing, if something is.
    pub(super) fn settings(&self) -> Result<Sent, Problem> {
        let destination = self.destination.as_ref();
        let destination = destination
            .ok_or_else(|| Problem::unusable("the destination of the new pipe isn't known yet"))?;
        let names: HashSet<&String> = self.chosen.iter().collect();
        let chosen = self.found.iter();
        let chosen = chosen.filter(|found| names.contains(&found.table));
        let table = |found: &FoundTable| {
            Ok(TemplateTable {
                name: table_name(&found.table)?,
                is_view: found.is_view,
                estimated_rows: found.estimated_rows,
                key: found.key.clone(),
            })
        };
        let embedded = destination.url == "embedded";
        let template = Template {
            name: self.name.clone(),
            source: self.connection.settings(),
            destination: destination.url.clone(),
            database: destination.database.clone(),
            user: (!embedded && !destination.user.is_empty()).then(|| destination.user.clone()),
            tables: chosen.map(table).collect::<Result<_, Problem>>()?,
        };
        let text = template.render();
        let is_mine = |line: &&str| !OF_THE_MACHINE.iter().any(|start| line.starts_with(start));
        let mut lines: Vec<&str> = text.lines().filter(is_mine).collect();
        lines.push("");
        let passwords = [
            (SOURCE_PASSWORD, &self.connection.password),
            (DESTINATION_PASSWORD, &destination.password),
        ];
        let secrets: BTreeMap<String, SecretString> = passwords
            .into_iter()
            .filter_map(|(name, password)| Some((name.to_owned(), password.clone()?)))
            .collect();
        Ok(Sent::Apart(lines.join("\n"), secrets))
    }
}

struct Kept {
    /// The tenant, and the token of who began it.
    owner: (String, String),
    touched: Instant,
    draft: Draft,
}

/// All drafts, by their random ids.
#[derive(Default)]
pub(super) struct Drafts(Mutex<HashMap<String, Kept>>);

impl Drafts {
    /// Keeps a new draft: its id.
    pub(super) fn put(&self, caller: &Caller, draft: Draft) -> String {
        let mut all = self.guard();
        let of_tenant = all.iter().filter(|(_, kept)| kept.owner.0 == caller.tenant);
        let mut of_tenant: Vec<(Instant, String)> = of_tenant
            .map(|(id, kept)| (kept.touched, id.clone()))
            .collect();
        of_tenant.sort();
        let too_many = (of_tenant.len() + 1).saturating_sub(OF_A_TENANT);
        for (_, id) in of_tenant.into_iter().take(too_many) {
            all.remove(&id);
        }
        let id = Uuid::new_v4().simple().to_string();
        let kept = Kept {
            owner: owner(caller),
            touched: Instant::now(),
            draft,
        };
        all.insert(id.clone(), kept);
        id
    }

    /// Looks at a draft of the caller's own, and may change it.
    pub(super) fn with<T>(
        &self,
        caller: &Caller,
        id: &str,
        work: impl FnOnce(&mut Draft) -> T,
    ) -> Result<T, Problem> {
        let mut all = self.guard();
        let kept = all.get_mut(id);
        let Some(kept) = kept.filter(|kept| kept.owner == owner(caller)) else {
            let detail = "this new pipe is not known any more: it was made, or it was left alone for an hour";
            let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", detail);
            return Err(problem.suggest("begin again with the connection"));
        };
        kept.touched = Instant::now();
        Ok(work(&mut kept.draft))
    }

    /// A draft of the caller's own.
    pub(super) fn get(&self, caller: &Caller, id: &str) -> Result<Draft, Problem> {
        self.with(caller, id, |draft| draft.clone())
    }

    /// Forgets a draft.
    pub(super) fn remove(&self, caller: &Caller, id: &str) {
        let mut all = self.guard();
        if all.get(id).is_some_and(|kept| kept.owner == owner(caller)) {
            all.remove(id);
        }
    }

    fn guard(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| kept.touched.elapsed() < KEPT_FOR);
        all
    }
}

fn owner(caller: &Caller) -> (String, String) {
    (caller.tenant.clone(), caller.token.id.clone())
}

impl Service {
    /// Checks a draft against its servers. An embedded server is started for it and stopped, with its data in a folder that is removed.
    pub(super) async fn check_draft(
        self: &Arc<Self>,
        caller: &Caller,
        draft: &Draft,
    ) -> Result<CheckReport, Problem> {
        let name = Uuid::new_v4().simple().to_string();
        let folder = self.tenant_folder(&caller.tenant).join("drafts").join(name);
        let (home, draft) = (folder.clone(), draft.clone());
        let read = move |service: &Arc<Self>, caller: &Caller| {
            service.pipe_at(caller, home, draft.settings()?)
        };
        let pipe = self.on_disk(caller, read).await?;
        let environment = self.environment_of(&caller.tenant);
        let home = folder.clone();
        let looked = self.look(caller, async move {
            let looked = lifecycle::check(&pipe, &environment).await;
            // With the look's end, whether the client still waits for it or not.
            let removed = spawn_blocking(move || match home.exists() {
                true => std::fs::remove_dir_all(&home),
                false => Ok(()),
            });
            (looked, removed.await)
        });
        let (looked, removed) = looked.await?;
        removed.map_err(|cause| has_failed(&cause))??;
        looked.map_err(|error| Problem::from(error).without_path(&folder))
    }
}
