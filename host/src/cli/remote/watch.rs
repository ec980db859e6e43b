//! Watches a resync of a service to its end, as the command line watches its own.

use std::time::{Duration, Instant};

use super::Remote;
use super::client::exit_of;
use crate::cli::exit::{Exit, Failure};
use crate::lifecycle::report::{Outcome, Phase, Progress, ResyncSummary, Status, TableStatistics};

/// How often the service is asked.
const LOOK: Duration = Duration::from_millis(300);
/// How long a pipe without news of its load counts as one that only follows, and a failed resync as one that may just be taken up again.
const SETTLES: Duration = Duration::from_secs(2);
/// How long a resync may take to be begun: its servers are asked first.
const BEGINS: Duration = Duration::from_secs(60);

/// Watches the resync of this id, or the first that is another one than `before`. None: the pipe follows, and nothing is loaded.
pub(super) async fn watch(
    remote: &Remote,
    before: Option<String>,
    id: Option<&str>,
    progress: &dyn Progress,
) -> Result<Option<Outcome>, Failure> {
    let began = Instant::now();
    let (mut phase, mut told) = (None, 0);
    loop {
        let status: Status = remote.get("status").await?;
        let follows = status.active
            && status
                .cdc
                .as_ref()
                .is_some_and(|cdc| cdc.phase == "running");
        let (active, resync) = (status.active, status.resync);
        let is_meant = |resync: &ResyncSummary| match id {
            Some(id) => resync.id == id,
            None => before.as_ref() != Some(&resync.id) || !resync.phase.is_over(),
        };
        let Some(resync) = resync.filter(is_meant) else {
            if follows && id.is_none() && began.elapsed() > SETTLES {
                return Ok(None);
            }
            failed(remote).await?;
            if began.elapsed() > BEGINS {
                let message =
                    "the service has not begun yet; `tidemill status` tells how far it is";
                return Err(Failure::internal(&message));
            }
            tokio::time::sleep(LOOK).await;
            continue;
        };
        if phase != Some(resync.phase) {
            phase = Some(resync.phase);
            progress.phase(&resync.id, resync.phase);
        }
        resync.tables.iter().for_each(|table| progress.table(table));
        let news = resync.notes.get(told..).unwrap_or_default();
        news.iter().for_each(|note| progress.note(note));
        told = resync.notes.len();
        let waits = resync.tables.iter().any(TableStatistics::waits);
        match resync.phase {
            // It is taken up again in a moment.
            Phase::Paused if active => {}
            Phase::Paused => return Ok(Some(Outcome::Paused(resync))),
            Phase::Failed if began.elapsed() > SETTLES => {
                let error = resync.error.unwrap_or_default();
                return Err(Failure {
                    exit: resync.error_class.as_deref().map_or(Exit::State, exit_of),
                    code: "resync_failed".to_owned(),
                    suggestion: Some(
                        "go on with `tidemill resume`, or give it up with `tidemill abort`"
                            .to_owned(),
                    ),
                    ..Failure::usage(format!("the resync failed: {error}"))
                });
            }
            phase if phase.is_over() => return Ok(Some(Outcome::Completed(resync))),
            _ if waits => return Ok(Some(Outcome::NeedsApproval(resync))),
            _ => failed(remote).await?,
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until no work is done on the pipe any more.
pub(super) async fn until_it_stands(remote: &Remote) -> Result<(), Failure> {
    let began = Instant::now();
    while began.elapsed() < BEGINS {
        let status: Status = remote.get("status").await?;
        if !status.active {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Why the pipe doesn't run, if an error ended it.
async fn failed(remote: &Remote) -> Result<(), Failure> {
    let pipe: serde_json::Value = remote.client.get(&remote.at).await?;
    match (pipe["wanted"].as_str(), pipe["error"].as_str()) {
        (Some("stopped"), Some(error)) => Err(Failure {
            exit: Exit::State,
            code: "failed".to_owned(),
            ..Failure::usage(error)
        }),
        _ => Ok(()),
    }
}
