//! A chain: plugins in order, bound to one table. Binding asks every plugin once what it makes of the table that the one before it leaves; from then
//! on the chain is fixed, and workers take instances of it.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use sha2::{Digest, Sha256};

use super::apply::ChainInstance;
use super::binding::{Binding, TableShape};
use super::contract;
use super::error::TransformError;
use super::plan::{Lineage, Plan, lineage};
use super::runtime::Runtime;
use super::step::{BoundStep, Step, StepBinding, StepTotals};
use super::usage::Usage;
use super::wasi::Origin;
use crate::schema::OnError;

/// Plugins bound to a table. Immutable; a clone is the same chain.
#[derive(Clone)]
pub struct Chain {
    inner: Arc<Bound>,
}

/// What all instances of a chain share.
pub(super) struct Bound {
    pub(super) table: TableShape,
    pub(super) steps: Vec<BoundStep>,
    pub(super) plan: Plan,
    pub(super) input: SchemaRef,
    pub(super) output: SchemaRef,
    output_key: Vec<usize>,
    lineage: Vec<Lineage>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain")
            .field("table", &self.inner.table.to_string())
            .field("steps", &self.describe())
            .finish_non_exhaustive()
    }
}

impl Chain {
    /// Binds plugins to a table, in order. Checks every configuration against the plugin's JSON Schema, asks every plugin for its binding, and checks
    /// that. No step at all is the identity.
    pub fn bind(
        runtime: &Runtime,
        table: &TableShape,
        steps: &[Step],
    ) -> Result<Self, TransformError> {
        check_key(table)?;
        let mut bound: Vec<BoundStep> = Vec::with_capacity(steps.len());
        for step in steps {
            let shape = bound
                .last()
                .map_or_else(|| table.clone(), BoundStep::output_table);
            bound.push(BoundStep::bind(runtime, step, shape)?);
        }
        let bindings: Vec<&Binding> = bound.iter().map(|step| &step.binding).collect();
        let width = table.schema.fields().len();
        let plan = Plan::new(width, &bindings);
        let input = Schema::new(
            plan.input
                .iter()
                .map(|&column| table.schema.fields()[column].clone())
                .collect::<arrow::datatypes::Fields>(),
        );
        let last = bound
            .last()
            .map_or_else(|| table.clone(), BoundStep::output_table);
        let lineage = lineage(
            width,
            bound.iter().map(|step| (step.plugin.name(), &step.binding)),
        );
        let inner = Bound {
            table: table.clone(),
            plan,
            input: Arc::new(input),
            output: last.schema,
            output_key: last.key,
            lineage,
            steps: bound,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The columns that a batch must have: those of the table that are read or passed on, in the table's order. Never empty, so that rows can be counted.
    pub fn input(&self) -> &SchemaRef {
        &self.inner.input
    }

    /// The positions of [`Chain::input`]'s columns in the table's schema.
    pub fn input_columns(&self) -> &[usize] {
        &self.inner.plan.input
    }

    /// The columns that come out.
    pub fn output(&self) -> &SchemaRef {
        &self.inner.output
    }

    /// The positions of the key's columns in the output, in key order. A key's column is found, in this order, as itself under its own name, as a computed
    /// column of the same name, or as itself under another name.
    pub fn output_key(&self) -> &[usize] {
        &self.inner.output_key
    }

    /// Whether any step may leave rows out.
    pub fn filters(&self) -> bool {
        self.inner.steps.iter().any(|step| step.binding.filters)
    }

    /// For each column of the output, where it comes from.
    pub fn lineage(&self) -> &[Lineage] {
        &self.inner.lineage
    }

    /// What pins the chain: a hash over the contract's version and, in order, every plugin's digest, configuration and grants, and what becomes of
    /// rows that it can't transform. Limits are not in it: a row is within them or is not.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(contract::VERSION);
        for step in &self.inner.steps {
            for part in [step.plugin.digest(), &step.config] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            hash.update(step.grants.as_deref().unwrap_or_default());
            match step.tolerance.on_error {
                OnError::Fail => {}
                OnError::Reject => hash.update("reject"),
                OnError::Skip => hash.update("skip"),
            }
        }
        hex::encode(hash.finalize())
    }

    /// Whether a row may be set aside because a plugin can't transform it.
    pub fn tolerates(&self) -> bool {
        self.inner
            .steps
            .iter()
            .any(|step| step.tolerance.is_tolerant())
    }

    /// What each step has used so far, in this process.
    pub fn usage(&self) -> Vec<Usage> {
        self.inner.steps.iter().map(BoundStep::usage).collect()
    }

    /// Begins a load, before its first batch, or goes on with it from another snapshot. Plugins' clocks and random numbers come from `origin`; `before`
    /// is what each step has used and set aside for what is loaded already, in whatever process: it counts for the limits.
    pub fn begin(&self, origin: Origin, before: &[StepTotals]) {
        for (i, step) in self.inner.steps.iter().enumerate() {
            step.begin(origin, before.get(i).copied().unwrap_or_default());
        }
    }

    /// Lifts the limits of a whole load, of CPU and of rejected rows: a stream of changes has no end that they could be measured against.
    pub fn lift_load_limits(&self) {
        for step in &self.inner.steps {
            step.lift_load_limits();
        }
    }

    /// What each step does, for people.
    pub fn describe(&self) -> Vec<StepBinding> {
        self.inner.steps.iter().map(BoundStep::describe).collect()
    }

    /// A worker's own way through the chain: warm instances where there are some, else instances are made with the first batch.
    pub fn instance(&self) -> ChainInstance {
        ChainInstance::new(self.inner.clone())
    }
}

/// A key of columns that the table doesn't have is a mistake of the caller, told before a plugin sees it.
fn check_key(table: &TableShape) -> Result<(), TransformError> {
    let width = table.schema.fields().len();
    match table.key.iter().find(|&&position| position >= width) {
        None => Ok(()),
        Some(position) => Err(TransformError::Batch {
            table: table.to_string(),
            chunk: "(none)".to_owned(),
            reason: format!("the key names column {position} of a table of {width}"),
        }),
    }
}
