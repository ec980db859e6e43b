//! What a pipe is at and was, as its tenant is told: with what only the process knows, and without paths of the service's folders. These stand in errors that
//! were journalled, and tell a tenant about the machine and nothing of use.

use crate::lifecycle;
use crate::lifecycle::report::{CheckReport, Finding, FollowStatus, Plan, ResyncSummary, Status};
use crate::pipe::Pipe;
use crate::service::Service;
use crate::service::problem::{Problem, without_path};
use crate::service::supervisor::PipeId;

impl Service {
    /// An error of a pipe, without the paths of the service's folders.
    pub(in crate::service) fn problem(&self, id: &PipeId, error: impl Into<Problem>) -> Problem {
        let problem = error.into().without_path(&self.pipe_folder(id));
        problem.without_path(&self.data)
    }

    /// A text about a pipe, without those paths.
    pub(super) fn stripped(&self, id: &PipeId, text: &str) -> String {
        let text = without_path(text, &self.pipe_folder(id));
        without_path(&text, &self.data)
    }

    /// What a pipe is at, by its journal and by what runs.
    pub(in crate::service) fn status_of(
        &self,
        id: &PipeId,
        pipe: &Pipe,
    ) -> Result<Status, Problem> {
        let status = lifecycle::status(pipe).map_err(|error| self.problem(id, error))?;
        Ok(self.told(id, status))
    }

    /// The same with the latest loads and resyncs, the last first.
    pub(in crate::service) fn status_with_latest(
        &self,
        id: &PipeId,
        pipe: &Pipe,
        most: usize,
    ) -> Result<(Status, Vec<ResyncSummary>), Problem> {
        let read = lifecycle::status_with_latest(pipe, most);
        let (status, mut latest) = read.map_err(|error| self.problem(id, error))?;
        self.strip_resyncs(id, &mut latest);
        Ok((self.told(id, status), latest))
    }

    /// Loads and resyncs of a pipe, the latest first: `most` of those before this one, or of all. None, if there is no such one.
    pub(in crate::service) fn resyncs(
        &self,
        id: &PipeId,
        pipe: &Pipe,
        before: Option<&str>,
        most: usize,
    ) -> Result<Option<Vec<ResyncSummary>>, Problem> {
        let read = lifecycle::resyncs(pipe, before, most);
        let mut resyncs = read.map_err(|error| self.problem(id, error))?;
        self.strip_resyncs(id, resyncs.iter_mut().flatten());
        Ok(resyncs)
    }

    /// A load or resync of a pipe.
    pub(in crate::service) fn resync(
        &self,
        id: &PipeId,
        pipe: &Pipe,
        resync: &str,
    ) -> Result<Option<ResyncSummary>, Problem> {
        let read = lifecycle::past_resync(pipe, resync);
        let mut found = read.map_err(|error| self.problem(id, error))?;
        self.strip_resyncs(id, &mut found);
        Ok(found)
    }

    fn told(&self, id: &PipeId, mut status: Status) -> Status {
        status.file = "pipe.toml".into();
        let running = self.supervisor.running(id);
        if let (Some(resync), Some(running)) = (&mut status.resync, running) {
            running.observer.see(|live| {
                // Rows of chunks that aren't done yet are known to the process alone.
                if live.resync.as_ref().is_none_or(|(id, _)| *id != resync.id) {
                    return;
                }
                for table in &mut resync.tables {
                    if let Some(newer) = live.tables.get(&table.source)
                        && newer.ledger.read > table.ledger.read
                    {
                        table.clone_from(newer);
                    }
                }
            });
        }
        self.strip_resyncs(id, &mut status.resync);
        let cdc = status
            .cdc
            .as_mut()
            .map(|FollowStatus { error, report, .. }| {
                let reasons = report.tables.iter_mut();
                let reasons = reasons.filter_map(|table| table.reason.as_mut());
                reasons.chain(error).chain(&mut report.trouble)
            });
        let texts = cdc.into_iter().flatten();
        let texts = texts
            .chain(&mut status.drift)
            .chain(&mut status.brakes.reason);
        self.strip(id, texts);
        status
    }

    fn strip_resyncs<'r>(
        &self,
        id: &PipeId,
        resyncs: impl IntoIterator<Item = &'r mut ResyncSummary>,
    ) {
        for resync in resyncs {
            let reasons = resync.tables.iter_mut();
            let reasons = reasons.filter_map(|table| table.reason.as_mut());
            let texts = reasons.chain(&mut resync.notes);
            self.strip(
                id,
                texts
                    .chain(&mut resync.error)
                    .chain(&mut resync.consistency),
            );
        }
    }

    /// What a check has found.
    pub(in crate::service) fn told_check(
        &self,
        id: &PipeId,
        mut report: CheckReport,
    ) -> CheckReport {
        self.strip(id, messages(&mut report.findings));
        report
    }

    /// What a plan says.
    pub(in crate::service) fn told_plan(&self, id: &PipeId, mut plan: Plan) -> Plan {
        self.strip(id, messages(&mut plan.findings));
        plan
    }

    fn strip<'t>(&self, id: &PipeId, texts: impl Iterator<Item = &'t mut String>) {
        texts.for_each(|text| *text = self.stripped(id, text));
    }
}

fn messages(findings: &mut [Finding]) -> impl Iterator<Item = &mut String> {
    findings.iter_mut().map(|finding| &mut finding.message)
}
