//! Which metrics there are, and where their numbers come from.

use std::sync::PoisonError;

use prometheus_client::metrics::MetricType::{Counter, Gauge, Histogram};

use super::pipe::{self, Counts};
use super::render::{Exposition, Labels, Metric};
use super::{Metrics, Scope};
use crate::journal;
use crate::lifecycle::report::{ChangeCounts, FollowReport, TableStatistics};
use crate::service::Service;
use crate::service::pipes::state;
use crate::service::problem::Problem;
use crate::service::store::PipeRecord;
use crate::service::supervisor::PipeId;

/// Pipes that are read from the store at a time.
const PIPES: usize = 1_000;

macro_rules! metrics {
    ($($metric:ident: $kind:ident $name:literal $help:literal;)*) => {
        $(static $metric: Metric = Metric { name: $name, help: $help, kind: $kind };)*
    };
}

metrics! {
    PIPES_RUNNING: Gauge "tidemill_pipes_running" "Pipes that run";
    PIPE_STATE: Gauge "tidemill_pipe_state" "1 for what the pipe is at";
    LAG_SECONDS: Gauge "tidemill_pipe_lag_seconds" "How far the destination is behind the source";
    LAG_BYTES: Gauge "tidemill_pipe_lag_bytes" "The same in bytes of binlog";
    POSITION_AGE: Gauge "tidemill_pipe_position_age_seconds" "Seconds since the acknowledged position in the binlog has moved";
    EVENT_RATE: Gauge "tidemill_pipe_events_per_second" "Row events of the binlog a second, just now";
    RESYNCS: Counter "tidemill_resyncs" "Loads and resyncs by how they ended, or were interrupted";
    PHASE_SECONDS: Counter "tidemill_resync_phase_seconds" "Seconds that loads and resyncs spent in each phase";
    ROWS_READ: Counter "tidemill_load_rows_read" "Rows that loads have read";
    ROWS: Counter "tidemill_load_rows" "Rows that loads have read, by what became of them";
    BYTES: Counter "tidemill_load_bytes" "Bytes that loads have written, as Arrow";
    CHUNKS: Counter "tidemill_load_chunks" "Chunks that loads have done";
    LOAD_RATE: Gauge "tidemill_load_rows_per_second" "Rows a second of a load that is at work, since its first chunk";
    CHUNKS_LEFT: Gauge "tidemill_load_chunks_left" "Chunks that a load at work has left";
    CHANGES: Counter "tidemill_changes" "Row events of the binlog that were applied, since the table's load";
    CHANGE_ROWS: Counter "tidemill_change_rows" "Row images of the binlog by what became of them, since the table's load";
    CHANGE_BYTES: Counter "tidemill_change_bytes" "Bytes that changes have written, as Arrow, since the table's load";
    PLUGIN_CPU: Counter "tidemill_plugin_cpu_seconds" "CPU time of plugins";
    PLUGIN_ROWS: Counter "tidemill_plugin_rows" "Rows that plugins were given";
    PLUGIN_MEMORY: Gauge "tidemill_plugin_memory_bytes" "Memory of plugin instances";
    WEBHOOKS_WAITING: Gauge "tidemill_webhook_deliveries_waiting" "Events that wait for webhooks";
    DELIVERIES: Counter "tidemill_webhook_deliveries" "Tries to tell webhooks of events, by what came of them";
    REQUESTS: Counter "tidemill_http_requests" "Requests that were answered";
    REQUEST_SECONDS: Histogram "tidemill_http_request_duration_seconds" "How long requests took";
    STORE_WRITES: Counter "tidemill_store_writes" "Writes to the service's store";
    STORE_SECONDS: Counter "tidemill_store_write_seconds" "Seconds that they took";
    JOURNAL_WRITES: Counter "tidemill_journal_writes" "Writes to journals of pipes";
    JOURNAL_SECONDS: Counter "tidemill_journal_write_seconds" "Seconds that they took";
    BUILD: Gauge "tidemill_build_info" "1, with the version";
    CPU: Counter "process_cpu_seconds" "CPU time of the process";
    MEMORY: Gauge "process_resident_memory_bytes" "Memory of the process";
    FILES: Gauge "process_open_fds" "Files and connections that are open";
    MOST_FILES: Gauge "process_max_fds" "Files and connections that may be open";
    STARTED: Gauge "process_start_time_seconds" "When the process was started, in seconds since 1970";
}

impl Metrics {
    /// What is told within a scope, as text.
    pub(in crate::service) fn tell(
        &self,
        service: &Service,
        scope: &Scope,
    ) -> Result<String, Problem> {
        let mut told = Exposition::default();
        for tenant in service.store.tenants()? {
            if scope.has(&tenant.name) {
                self.tell_tenant(service, &tenant.name, &mut told)?;
            }
        }
        self.tell_deliveries(scope, &mut told);
        self.tell_requests(scope, &mut told);
        if *scope == Scope::All {
            tell_process(service, &mut told);
        }
        let unwritable = |_| std::io::Error::other("the metrics could not be written");
        Ok(told.text().map_err(unwritable)?)
    }

    fn tell_tenant(
        &self,
        service: &Service,
        tenant: &str,
        told: &mut Exposition,
    ) -> Result<(), Problem> {
        let (mut running, mut after) = (0_u32, String::new());
        loop {
            let records = service.store.tenant(tenant).pipes(&after, PIPES)?;
            let Some(last) = records.last() else { break };
            after.clone_from(&last.name);
            for record in records {
                running += u32::from(self.tell_pipe(service, tenant, &record, told));
            }
        }
        let labels = || vec![("tenant", tenant.to_owned())];
        told.add(&PIPES_RUNNING, labels(), f64::from(running));
        let waiting = service.store.tenant(tenant).waiting_deliveries()?;
        told.add(&WEBHOOKS_WAITING, labels(), waiting as f64);
        tell_usage(service, tenant, told);
        Ok(())
    }

    /// Tells of a pipe. Whether it runs.
    fn tell_pipe(
        &self,
        service: &Service,
        tenant: &str,
        record: &PipeRecord,
        told: &mut Exposition,
    ) -> bool {
        let id = PipeId {
            tenant: tenant.to_owned(),
            name: record.name.clone(),
        };
        let running = service.supervisor.running(&id);
        let live = running.as_ref().map(|running| running.observer.live());
        let of = Of {
            tenant,
            pipe: &record.name,
        };
        let word = serde_json::to_value(state(record, live.as_ref())).ok();
        let word = word.as_ref().and_then(|word| word.as_str());
        told.add(
            &PIPE_STATE,
            of.labels([("state", word.unwrap_or_default())]),
            1.0,
        );
        let counts = self.pipe(&id).counts();
        tell_counts(of, &counts, told);
        if let Some(live) = live {
            live.tables
                .values()
                .filter(|table| table.state == "loading")
                .take(pipe::MOST_TABLES)
                .for_each(|table| tell_load(of, table, told));
            if let Some(report) = &live.following {
                tell_following(of, report, &counts, told);
            }
        }
        running.is_some()
    }

    fn tell_deliveries(&self, scope: &Scope, told: &mut Exposition) {
        let deliveries = self
            .deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for ((tenant, outcome), count) in &*deliveries {
            if scope.has(tenant) {
                let labels = [("tenant", tenant.as_str()), ("outcome", *outcome)];
                let labels = labels.map(|(name, value)| (name, value.to_owned()));
                told.add(&DELIVERIES, labels.into(), *count as f64);
            }
        }
    }

    fn tell_requests(&self, scope: &Scope, told: &mut Exposition) {
        for (tenant, routes) in self.requests.counted() {
            if !scope.has(&tenant) {
                continue;
            }
            for ((method, route), requests) in routes {
                let labels = vec![
                    ("tenant", tenant.clone()),
                    ("method", method),
                    ("route", route),
                ];
                for (status, count) in requests.statuses {
                    let mut labels = labels.clone();
                    labels.push(("status", status.to_string()));
                    told.add(&REQUESTS, labels, count as f64);
                }
                told.add_histogram(&REQUEST_SECONDS, labels, requests.seconds);
            }
        }
    }
}

/// Of which pipe something is told.
#[derive(Clone, Copy)]
struct Of<'n> {
    tenant: &'n str,
    pipe: &'n str,
}

impl Of<'_> {
    fn labels<const N: usize>(self, more: [(&'static str, &str); N]) -> Labels {
        let pipe = [("tenant", self.tenant), ("pipe", self.pipe)];
        let all = pipe.into_iter().chain(more);
        all.map(|(name, value)| (name, value.to_owned())).collect()
    }
}

/// What a tenant's plugins have used.
fn tell_usage(service: &Service, tenant: &str, told: &mut Exposition) {
    let usage = service.environment_of(tenant).usage();
    let memory = vec![("tenant", tenant.to_owned())];
    told.add(&PLUGIN_MEMORY, memory, usage.plugin_memory_bytes as f64);
    for (pipe, used) in &usage.pipes {
        let of = Of { tenant, pipe };
        for (plugin, used) in &used.plugins {
            let labels = || of.labels([("plugin", plugin)]);
            told.add(&PLUGIN_CPU, labels(), used.cpu_us as f64 / 1e6);
            told.add(&PLUGIN_ROWS, labels(), used.rows as f64);
        }
    }
}

fn tell_counts(of: Of<'_>, counts: &Counts, told: &mut Exposition) {
    for (ending, count) in &counts.endings {
        let labels = of.labels([("outcome", ending.name())]);
        told.add(&RESYNCS, labels, *count as f64);
    }
    for (phase, seconds) in counts.phases() {
        told.add(
            &PHASE_SECONDS,
            of.labels([("phase", phase.name())]),
            seconds,
        );
    }
    for (table, load) in &counts.tables {
        let labels = || of.labels([("table", table)]);
        let rows = load.rows;
        told.add(&ROWS_READ, labels(), rows.read as f64);
        for (outcome, count) in [
            ("written", rows.written),
            ("filtered", rows.filtered),
            ("rejected", rows.rejected),
            ("skipped", rows.skipped),
        ] {
            let labels = of.labels([("table", table), ("outcome", outcome)]);
            told.add(&ROWS, labels, count as f64);
        }
        told.add(&BYTES, labels(), load.bytes as f64);
        told.add(&CHUNKS, labels(), load.chunks as f64);
    }
}

fn tell_load(of: Of<'_>, table: &TableStatistics, told: &mut Exposition) {
    let labels = || of.labels([("table", &table.source)]);
    told.add(&LOAD_RATE, labels(), table.rows_per_second);
    let left = table.chunks_total.saturating_sub(table.chunks_done);
    told.add(&CHUNKS_LEFT, labels(), left as f64);
}

fn tell_following(of: Of<'_>, report: &FollowReport, counts: &Counts, told: &mut Exposition) {
    told.add(&EVENT_RATE, of.labels([]), report.events_per_second);
    if let Some(seconds) = report.lag_seconds {
        told.add(&LAG_SECONDS, of.labels([]), seconds as f64);
    }
    if let Some(bytes) = report.lag_bytes {
        told.add(&LAG_BYTES, of.labels([]), bytes as f64);
    }
    if let Some(seconds) = counts.position_age() {
        told.add(&POSITION_AGE, of.labels([]), seconds);
    }
    let mut tables = std::collections::BTreeMap::<String, ChangeCounts>::new();
    for table in &report.tables {
        let name = pipe::bounded(&tables, &table.source);
        *tables.entry(name).or_default() += table.counts;
    }
    for (table, changes) in &tables {
        for (kind, count) in [
            ("insert", changes.inserts),
            ("update", changes.updates),
            ("delete", changes.deletes),
        ] {
            let labels = of.labels([("table", table), ("kind", kind)]);
            told.add(&CHANGES, labels, count as f64);
        }
        for (outcome, count) in [
            ("written", changes.written),
            ("filtered", changes.filtered),
            ("rejected", changes.rejected),
            ("skipped", changes.skipped),
        ] {
            let labels = of.labels([("table", table), ("outcome", outcome)]);
            told.add(&CHANGE_ROWS, labels, count as f64);
        }
        let labels = of.labels([("table", table)]);
        told.add(&CHANGE_BYTES, labels, changes.bytes as f64);
    }
}

/// What concerns nobody but the operator.
fn tell_process(service: &Service, told: &mut Exposition) {
    for (writes, seconds, (count, took)) in [
        (&STORE_WRITES, &STORE_SECONDS, service.store.write_times()),
        (&JOURNAL_WRITES, &JOURNAL_SECONDS, journal::write_times()),
    ] {
        told.add(writes, Vec::new(), count as f64);
        told.add(seconds, Vec::new(), took);
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    told.add(&BUILD, vec![("version", version)], 1.0);
    if let Err(error) = tell_system(told) {
        tracing::warn!(%error, "the system doesn't tell about the process");
    }
}

fn tell_system(told: &mut Exposition) -> procfs::ProcResult<()> {
    let process = procfs::process::Process::myself()?;
    let stat = process.stat()?;
    let ticks = procfs::ticks_per_second();
    let cpu = (stat.utime + stat.stime) as f64 / ticks as f64;
    told.add(&CPU, Vec::new(), cpu);
    let memory = stat.rss.saturating_mul(procfs::page_size());
    told.add(&MEMORY, Vec::new(), memory as f64);
    told.add(&FILES, Vec::new(), process.fd_count()? as f64);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if let Some(most) = limit.current {
        told.add(&MOST_FILES, Vec::new(), most as f64);
    }
    let boot = procfs::boot_time_secs()? as f64;
    let started = boot + stat.starttime as f64 / ticks as f64;
    told.add(&STARTED, Vec::new(), started);
    Ok(())
}
