//! One instance of a plugin: a store, its memory, and the three calls. Every call is made here, under its limits, and every way in which
//! it can end is turned into a [`TransformError`] here. An instance that an error came out of is not used again, unless the plugin itself
//! refused in an orderly way.

use wasmtime::component::Linker;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use super::contract::{self, Column, RawBinding, RawDescription, RawError, RawOutput, Table};
use super::error::{LimitKind, Refusal, Site, TransformError, quote};
use super::lift::UntrustedOutput;
use super::limits::{Guest, Limits};

/// What the engine reserves for the structure of an answer, apart from its bytes: 65,536 rejections and 4,096 columns fit twice.
const STRUCTURE_BYTES: u64 = 8 << 20;
/// What an answer to `describe` or `bind` may take.
const DESCRIPTION_BYTES: usize = 4 << 20;

/// A live instance.
pub(super) struct Instance {
    store: Store<Guest>,
    exports: contract::Exports,
    limits: Limits,
    /// Batches that it has served.
    pub(super) batches: u32,
}

impl Instance {
    /// A fresh instance: memory as the plugin's file says, nothing called yet.
    pub(super) fn new(
        pre: &contract::Prepared<Guest>,
        limits: &Limits,
        site: &Site,
    ) -> Result<Self, TransformError> {
        let mut store = Store::new(
            pre.engine(),
            Guest::new(site.plugin.as_str().into(), limits),
        );
        store.limiter(|guest| guest);
        store.set_epoch_deadline(limits.deadline_ticks());
        match pre.instantiate(&mut store) {
            Ok(exports) => Ok(Self {
                store,
                exports,
                limits: limits.clone(),
                batches: 0,
            }),
            Err(cause) => Err(explain(&store, limits, site, &cause)),
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

    pub(super) fn process(
        &mut self,
        site: &Site,
        rows: u32,
        columns: &[Column<'_>],
    ) -> Result<UntrustedOutput, TransformError> {
        let budget = self.limits.output_bytes.saturating_add(STRUCTURE_BYTES);
        let budget = usize::try_from(budget).unwrap_or(usize::MAX);
        let answer = self.call(site, budget, |store, exports| {
            exports.process(store, rows, columns)
        })?;
        self.batches += 1;
        let output = answer.map_err(|error| refused(site, error))?;
        let bytes = output_bytes(&output);
        if bytes > self.limits.output_bytes {
            return Err(
                self.output_limit(site, format!("it returned {}", bytesize::ByteSize(bytes)))
            );
        }
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
        let answer = call(&mut self.store, &self.exports);
        self.store.data_mut().end_call();
        answer.map_err(|cause| explain(&self.store, &self.limits, site, &cause))
    }

    fn output_limit(&self, site: &Site, asked: String) -> TransformError {
        TransformError::Limit {
            site: Box::new(site.clone()),
            kind: LimitKind::Output,
            limit: self.limits.output_text(),
            asked,
        }
    }
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
        return limit(
            LimitKind::Memory,
            limits.memory_text(),
            format!("it asked for {}", bytesize::ByteSize(wanted as u64)),
        );
    }
    if let Some(full) = cause.downcast_ref::<PoolConcurrencyLimitError>() {
        return limit(
            LimitKind::Instances,
            "the process".to_owned(),
            quote(&full.to_string()),
        );
    }
    match cause.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => limit(
            LimitKind::Deadline,
            format!("{:?}", limits.batch_deadline),
            "the call was still running".to_owned(),
        ),
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
