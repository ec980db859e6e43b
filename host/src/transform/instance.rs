//! One instance of a plugin: a store, its memory, and the three calls. Every call is made here, under its limits, and every way in which
//! it can end is turned into a [`TransformError`] here. An instance that an error came out of is not used again, unless the plugin itself
//! refused in an orderly way.

use std::sync::Arc;

use wasmtime::component::{Linker, ResourceTableError};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;

use super::contract::{
    self, Column, RawBinding, RawDescription, RawError, RawOutput, StillWaiting, Table,
};
use super::error::{LimitKind, Refusal, Site, TransformError, quote};
use super::guest::Guest;
use super::lift::UntrustedOutput;
use super::limits::Limits;
use super::quota::MemoryQuota;
use super::usage::{Usage, Watch};
use super::wasi::{HANDLES, Terms, World};

/// What the engine reserves for the structure of an answer, apart from its bytes: 65,536 rejections and 4,096 columns fit twice.
const STRUCTURE_BYTES: u64 = 8 << 20;
/// What an answer to `describe` or `bind` may take.
const DESCRIPTION_BYTES: usize = 4 << 20;

/// A live instance.
pub(super) struct Instance {
    store: Store<Guest>,
    exports: contract::Exports,
    limits: Limits,
    /// What its calls took that nobody has asked for yet.
    usage: Usage,
    /// Batches that it has served.
    batches: u32,
}

impl Instance {
    /// A fresh instance: memory as the plugin's file says, nothing called yet. `wasi`: whether it imports any of WASI.
    pub(super) fn new(
        pre: &contract::Prepared<Guest>,
        wasi: bool,
        terms: &Terms,
        site: &Site,
    ) -> Result<Self, TransformError> {
        let limits = &terms.limits;
        let world = wasi.then(|| World::new(terms)).transpose();
        let world = world.map_err(|reason| TransformError::Unavailable {
            site: Box::new(site.clone()),
            reason,
        })?;
        let name = Arc::from(site.plugin.as_str());
        let guest = Guest::new(name, limits, terms.room.clone(), world);
        let mut store = Store::new(pre.engine(), guest);
        store.limiter(|guest| guest);
        store.set_epoch_deadline(limits.deadline_ticks());
        let mut usage = Usage::default();
        let watch = Watch::start();
        let made = pre.instantiate(&mut store, limits.batch_deadline);
        watch.stop(&mut usage);
        match made {
            Ok(exports) => Ok(Self {
                store,
                exports,
                limits: limits.clone(),
                usage,
                batches: 0,
            }),
            Err(cause) => Err(explain(&store, limits, site, &cause)),
        }
    }

    /// Whose memory it has.
    pub(super) fn quota(&self) -> &MemoryQuota {
        self.store.data().quota()
    }

    /// Whether what it logs is shown.
    pub(super) fn log_is_open(&mut self, open: bool) {
        self.store.data_mut().log_is_open(open);
    }

    /// Whether it has served so many batches that another takes its place.
    pub(super) fn is_worn(&self) -> bool {
        self.batches >= self.limits.batches.max(1)
    }

    /// What its calls took since the last time.
    pub(super) fn take_usage(&mut self) -> Usage {
        let memory = self.store.data().memory_used() as u64;
        let usage = std::mem::take(&mut self.usage);
        Usage {
            peak_memory_bytes: memory,
            ..usage
        }
    }

    pub(super) fn describe(&mut self, site: &Site) -> Result<RawDescription, TransformError> {
        self.call(site, DESCRIPTION_BYTES, |store, exports| {
            exports.describe(store)
        })
    }

    pub(super) fn bind(
        &mut self,
        site: &Site,
        table: Table<'_>,
        config: &str,
    ) -> Result<RawBinding, TransformError> {
        self.call(site, DESCRIPTION_BYTES, |store, exports| {
            exports.bind(store, table, config)
        })?
        .map_err(|error| refused(site, error))
    }

    /// `batch`: its number in the chunk that `site` names.
    pub(super) fn process(
        &mut self,
        site: &Site,
        batch: u64,
        rows: u32,
        columns: &[Column<'_>],
    ) -> Result<UntrustedOutput, TransformError> {
        let given: u64 = columns.iter().map(given_bytes).sum();
        let budget = self.limits.output_bytes.saturating_add(STRUCTURE_BYTES);
        let budget = usize::try_from(budget).unwrap_or(usize::MAX);
        let place = site.chunk.as_deref().unwrap_or_default();
        self.store.data_mut().begin_batch(place, batch);
        let answer = self.call(site, budget, |store, exports| {
            exports.process(store, rows, columns)
        });
        self.batches += 1;
        self.usage.batches += 1;
        self.usage.rows += u64::from(rows);
        self.usage.given_bytes += given;
        let output = answer?.map_err(|error| refused(site, error))?;
        let bytes = output_bytes(&output);
        self.usage.answered_bytes += bytes;
        self.check_size(site, rows, given, bytes)?;
        Ok(UntrustedOutput::new(output))
    }

    fn call<R>(
        &mut self,
        site: &Site,
        answer_bytes: usize,
        call: impl FnOnce(&mut Store<Guest>, &contract::Exports) -> wasmtime::Result<R>,
    ) -> Result<R, TransformError> {
        self.store.set_epoch_deadline(self.limits.deadline_ticks());
        self.store.set_hostcall_fuel(answer_bytes);
        self.store.data_mut().begin_call();
        let watch = Watch::start();
        let answer = call(&mut self.store, &self.exports);
        watch.stop(&mut self.usage);
        self.store.data_mut().end_call();
        answer.map_err(|cause| match is_answer_too_large(&cause) {
            true if answer_bytes == DESCRIPTION_BYTES => TransformError::Breach {
                site: Box::new(site.clone()),
                reason: format!(
                    "what it says of itself, or of a table, is more than {}",
                    bytesize::ByteSize(answer_bytes as u64)
                ),
            },
            _ => explain(&self.store, &self.limits, site, &cause),
        })
    }

    fn check_size(
        &self,
        site: &Site,
        rows: u32,
        given: u64,
        bytes: u64,
    ) -> Result<(), TransformError> {
        let size = |bytes| bytesize::ByteSize(bytes);
        let limit = |kind, limit, asked| TransformError::Limit {
            site: Box::new(site.clone()),
            kind,
            limit,
            asked,
        };
        if bytes > self.limits.output_bytes {
            let asked = format!("it returned {}", size(bytes));
            return Err(limit(LimitKind::Output, self.limits.output_text(), asked));
        }
        if bytes > self.limits.grown_bytes(rows, given) {
            let asked = format!(
                "it returned {} for {rows} rows of {}",
                size(bytes),
                size(given)
            );
            let factor = format!("{} times what it was given", self.limits.growth);
            return Err(limit(LimitKind::Growth, factor, asked));
        }
        Ok(())
    }
}

/// The bytes of a column that is lent.
fn given_bytes(column: &Column<'_>) -> u64 {
    (column.validity.map_or(0, <[u8]>::len) + column.offsets.len() + column.data.len()) as u64
}

/// The bytes of an answer's lists and texts.
fn output_bytes(output: &RawOutput) -> u64 {
    let columns = output
        .columns
        .iter()
        .map(|c| c.validity.as_ref().map_or(0, Vec::len) + c.offsets.len() + c.data.len());
    let rejected = output.rejected.iter().map(|r| r.reason.len());
    let keep = output.keep.as_ref().map_or(0, Vec::len);
    (columns.sum::<usize>() + rejected.sum::<usize>() + keep) as u64
}

fn refused(site: &Site, error: RawError) -> TransformError {
    let (refusal, reason) = match error {
        RawError::Config(reason) => (Refusal::Config, reason),
        RawError::Schema(reason) => (Refusal::Schema, reason),
        RawError::Data(reason) => (Refusal::Data, reason),
    };
    TransformError::Refused {
        site: Box::new(site.clone()),
        refusal,
        reason: quote(&reason),
    }
}

/// Why a call, or an instantiation, did not end well.
fn explain(
    store: &Store<Guest>,
    limits: &Limits,
    site: &Site,
    cause: &wasmtime::Error,
) -> TransformError {
    let guest = store.data();
    let site = Box::new(site.clone());
    let limit = |kind, limit, asked| TransformError::Limit {
        site: site.clone(),
        kind,
        limit,
        asked,
    };
    if let Some(wanted) = guest.memory_refused() {
        let asked = format!("it asked for {}", bytesize::ByteSize(wanted as u64));
        return match guest.is_quota_used_up() {
            true => limit(LimitKind::TenantMemory, guest.quota().text(), asked),
            false => limit(LimitKind::Memory, limits.memory_text(), asked),
        };
    }
    if let Some(full) = cause.downcast_ref::<PoolConcurrencyLimitError>() {
        return limit(
            LimitKind::Instances,
            "the process".to_owned(),
            quote(&full.to_string()),
        );
    }
    let late = |asked: &str| {
        limit(
            LimitKind::Deadline,
            format!("{:?}", limits.batch_deadline),
            asked.to_owned(),
        )
    };
    if cause.is::<StillWaiting>() {
        return late("the call was still waiting in the host");
    }
    if let Some(exit) = cause.downcast_ref::<I32Exit>() {
        let reason = format!("it ended itself with exit code {}", exit.0);
        return TransformError::Trapped { site, reason };
    }
    if let Some(ResourceTableError::Full) = cause.downcast_ref() {
        let reason = format!("it holds more than {HANDLES} handles of WASI at one time");
        return TransformError::Trapped { site, reason };
    }
    match cause.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => late("the call was still running"),
        Some(trap) => {
            let reason = match guest.last_error() {
                Some(words) => format!("{words} ({trap})"),
                None => trap.to_string(),
            };
            TransformError::Trapped { site, reason }
        }
        None if is_answer_too_large(cause) => limit(
            LimitKind::Output,
            limits.output_text(),
            "it returned more".to_owned(),
        ),
        None => TransformError::Breach {
            site,
            reason: quote(&cause.root_cause().to_string()),
        },
    }
}

/// The engine's error for an answer beyond the budget has a private type: its words are all there is to know it by. A test holds on to them.
fn is_answer_too_large(cause: &wasmtime::Error) -> bool {
    cause
        .root_cause()
        .to_string()
        .contains("fuel allocated for hostcalls has been exhausted")
}

/// Gives a component the one thing that it may import: the log.
pub(super) fn link_log(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use wasmtime::component::WasmStr;

    linker.instance(contract::LOG)?.func_wrap(
        "log",
        |mut store: wasmtime::StoreContextMut<'_, Guest>,
         (level, message): (contract::Level, WasmStr)| {
            // Read in place (the argument of an import is still in the guest's memory) and cut before it is kept.
            let text = quote(&message.to_str(&store)?);
            store.data_mut().log(level, text);
            Ok(())
        },
    )
}
