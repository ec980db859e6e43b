//! A chain: plugins in order, bound to one table. Binding asks every plugin once what it makes of the table that the one before it leaves; from then
//! on the chain is fixed, and workers take instances of it.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::apply::ChainInstance;
use super::binding::{Binding, OutColumn, TableShape};
use super::contract;
use super::error::{Site, TransformError};
use super::instance::Instance;
use super::limits::Limits;
use super::plan::{Lineage, Plan, lineage};
use super::plugin::Plugin;
use super::runtime::Runtime;
use super::warm::{StepId, WarmInstances};

/// One plugin's use in a chain.
#[derive(Clone, Debug)]
pub struct Step {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Its configuration: a JSON object.
    pub config: serde_json::Value,
    /// What it may use.
    pub limits: Limits,
}

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

/// A plugin and what it answered for its table.
pub(super) struct BoundStep {
    id: StepId,
    warm: Arc<WarmInstances>,
    plugin: Arc<Plugin>,
    config: String,
    limits: Limits,
    table: TableShape,
    pub(super) site: Site,
    pub(super) binding: Binding,
}

/// A step of a chain, for people.
#[derive(Clone, Debug, Serialize)]
pub struct StepBinding {
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// SHA-256 of the plugin's file, in hexadecimal.
    pub digest: String,
    /// The columns that enter the sandbox.
    pub reads: Vec<String>,
    /// The columns that it computes: name and Arrow type.
    pub computed: Vec<(String, String)>,
    /// The columns that pass by: name before and after.
    pub passed: Vec<(String, String)>,
    /// The columns that are not in its output.
    pub dropped: Vec<String>,
    /// Whether it may leave rows out.
    pub filters: bool,
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

    /// What pins the chain: a hash over the contract's version and, in order, every plugin's digest and configuration. Limits are not in it: they
    /// change no answer.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(contract::VERSION);
        for step in &self.inner.steps {
            for part in [step.plugin.digest(), &step.config] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        hex::encode(hash.finalize())
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

impl BoundStep {
    fn bind(runtime: &Runtime, step: &Step, table: TableShape) -> Result<Self, TransformError> {
        let plugin = step.plugin.clone();
        let site = Site {
            plugin: plugin.name().to_owned(),
            table: Some(table.to_string()),
            chunk: None,
        };
        if let Err(violations) = plugin.check_config(&step.config) {
            return Err(TransformError::Config {
                site: Box::new(site),
                violations,
            });
        }
        let config = canonical(&step.config).to_string();
        let (_, binding) = bound_instance(&plugin, &step.limits, &table, &config, &site)?;
        Ok(Self {
            id: StepId::next(),
            warm: runtime.warm(),
            plugin,
            config,
            limits: step.limits.clone(),
            table,
            site,
            binding,
        })
    }

    /// A warm instance, if there is one.
    pub(super) fn take_warm(&self) -> Option<Instance> {
        self.warm.take(self.id)
    }

    /// Gives an instance back for another worker.
    pub(super) fn give_warm(&self, instance: Instance) {
        self.warm.give(self.id, instance);
    }

    /// A fresh instance, bound as the first one was.
    pub(super) fn fresh_instance(&self, site: &Site) -> Result<Instance, TransformError> {
        let (instance, binding) =
            bound_instance(&self.plugin, &self.limits, &self.table, &self.config, site)?;
        if binding != self.binding {
            let reason =
                "it answered `bind` differently for the same table and configuration".to_owned();
            return Err(TransformError::Breach {
                site: Box::new(site.clone()),
                reason,
            });
        }
        Ok(instance)
    }

    /// The table that the next step sees.
    fn output_table(&self) -> TableShape {
        TableShape {
            schema: self.binding.schema.clone(),
            key: self.binding.key.clone(),
            ..self.table.clone()
        }
    }

    fn describe(&self) -> StepBinding {
        let source = |column: usize| self.table.schema.field(column).name().clone();
        let passes = || {
            self.binding
                .columns
                .iter()
                .zip(self.binding.schema.fields())
                .filter_map(|(column, field)| match column {
                    OutColumn::Pass(position) => Some((*position, field.name().clone())),
                    OutColumn::Computed(_) => None,
                })
        };
        let is_passed = |column: &usize| passes().any(|(position, _)| position == *column);
        StepBinding {
            plugin: self.plugin.name().to_owned(),
            version: self.plugin.version().to_owned(),
            digest: self.plugin.digest().to_owned(),
            reads: self
                .binding
                .reads
                .iter()
                .map(|&column| source(column))
                .collect(),
            computed: self
                .binding
                .computed
                .iter()
                .map(|field| (field.name().clone(), field.data_type().to_string()))
                .collect(),
            passed: passes()
                .map(|(position, name)| (source(position), name))
                .collect(),
            dropped: (0..self.table.schema.fields().len())
                .filter(|column| !is_passed(column))
                .map(source)
                .collect(),
            filters: self.binding.filters,
        }
    }
}

impl Drop for BoundStep {
    fn drop(&mut self) {
        self.warm.forget(self.id);
    }
}

fn bound_instance(
    plugin: &Plugin,
    limits: &Limits,
    table: &TableShape,
    config: &str,
    site: &Site,
) -> Result<(Instance, Binding), TransformError> {
    let mut instance = plugin.instance(limits, site)?;
    let raw = table.with_contract_form(site, |form| instance.bind(site, form, config))??;
    let binding = Binding::check(raw, table, site)?;
    Ok((instance, binding))
}

/// The same configuration, its keys in one order: written differently it is still the same.
fn canonical(config: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match config {
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .map(|(key, value)| (key.clone(), canonical(value)))
                .collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.into_iter().collect()
        }
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_s_spelling_does_not_matter() {
        let parse = |text: &str| canonical(&serde_json::from_str(text).unwrap()).to_string();
        assert_eq!(
            parse(r#"{"b": [{"y": 1, "x": null}], "a": 2}"#),
            parse(r#"{"a":2,"b":[{"x":null,"y":1}]}"#)
        );
        assert_ne!(parse("[1,2]"), parse("[2,1]"));
    }
}
