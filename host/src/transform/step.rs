//! A step of a chain: a plugin with its configuration and limits, and what it answered for its table. Its instances come from here, and what they use is
//! counted here.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::binding::{Binding, OutColumn, TableShape};
use super::error::{LimitKind, Site, TransformError};
use super::instance::Instance;
use super::limits::Limits;
use super::lock;
use super::plugin::Plugin;
use super::runtime::Runtime;
use super::tolerance::{Tally, Tolerance};
use super::usage::{Usage, Watch};
use super::warm::{StepId, WarmInstances};
use super::wasi::{Grants, Origin, Terms};

/// The longest pause before an instance that takes the place of one that crashed.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// What a step used and set aside in a load, over all processes that worked on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTotals {
    /// CPU time.
    pub cpu: Duration,
    /// Rows that it could not transform.
    pub rejected: u64,
}

impl std::ops::AddAssign for StepTotals {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.rejected += other.rejected;
    }
}

/// One plugin's use in a chain.
#[derive(Clone, Debug)]
pub struct Step {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Its configuration: a JSON object.
    pub config: serde_json::Value,
    /// What it may use.
    pub limits: Limits,
    /// What of the machine it is given.
    pub grants: Grants,
    /// What becomes of rows that it can't transform.
    pub tolerance: Tolerance,
}

impl Step {
    /// A plugin with this configuration, with the default limits and nothing granted. The first row that it can't transform is an error.
    pub fn new(plugin: Arc<Plugin>, config: serde_json::Value) -> Self {
        Self {
            plugin,
            config,
            limits: Limits::default(),
            grants: Grants::default(),
            tolerance: Tolerance::default(),
        }
    }
}

/// A plugin and what it answered for its table.
pub(super) struct BoundStep {
    id: StepId,
    warm: Arc<WarmInstances>,
    pub(super) plugin: Arc<Plugin>,
    /// JSON, its keys in one order.
    pub(super) config: String,
    /// What it is granted, by content.
    pub(super) grants: Option<String>,
    terms: Mutex<Terms>,
    table: TableShape,
    usage: Mutex<Usage>,
    /// CPU time that counts for the limit: that of another process on the same load, too.
    charged: Mutex<Duration>,
    crashes: AtomicU32,
    pub(super) tolerance: Tolerance,
    pub(super) tally: Tally,
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

impl BoundStep {
    pub(super) fn bind(
        runtime: &Runtime,
        step: &Step,
        table: TableShape,
    ) -> Result<Self, TransformError> {
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
        let terms = Terms {
            limits: step.limits.clone(),
            grants: step.grants.clone(),
            origin: Origin::default(),
            room: runtime.room(),
        };
        let (_, binding) = bound_instance(&plugin, &terms, &table, &config, &site)?;
        Ok(Self {
            terms: Mutex::new(terms),
            usage: Mutex::default(),
            charged: Mutex::default(),
            crashes: AtomicU32::new(0),
            tolerance: step.tolerance.clone(),
            tally: Tally::default(),
            id: StepId::next(),
            warm: runtime.warm(),
            plugin,
            config,
            grants: step.grants.digest(),
            table,
            site,
            binding,
        })
    }

    /// Begins a load, see [`super::Chain::begin`].
    pub(super) fn begin(&self, origin: Origin, before: StepTotals) {
        lock(&self.terms).origin = origin;
        // What was used for chunks that are read again was used, too.
        let mut charged = lock(&self.charged);
        *charged = before.cpu.max(*charged);
        self.tally.resume(before.rejected);
    }

    /// What is limited over a whole load is so no more.
    pub(super) fn lift_load_limits(&self) {
        lock(&self.terms).limits.cpu = Duration::MAX;
        self.tally.lift_total();
    }

    /// What it has used so far, in this process.
    pub(super) fn usage(&self) -> Usage {
        *lock(&self.usage)
    }

    /// Its limits by now.
    pub(super) fn limits(&self) -> Limits {
        lock(&self.terms).limits.clone()
    }

    /// A warm instance, if there is one.
    pub(super) fn take_warm(&self) -> Option<Instance> {
        self.warm.take(self.id)
    }

    /// Gives an instance back for another worker.
    pub(super) fn give_warm(&self, instance: Instance) {
        self.warm.give(self.id, instance);
    }

    /// A fresh instance, bound as the first one was; after crashes it takes its time.
    pub(super) fn fresh_instance(&self, site: &Site) -> Result<Instance, TransformError> {
        std::thread::sleep(pause(self.crashes.load(Ordering::Relaxed)));
        let terms = lock(&self.terms).clone();
        let mut took = Usage::default();
        let watch = Watch::start();
        let made = bound_instance(&self.plugin, &terms, &self.table, &self.config, site);
        watch.stop(&mut took);
        let (instance, binding) = made.inspect_err(|_| {
            // Nobody will ask this instance what it used.
            *lock(&self.usage) += took;
            *lock(&self.charged) += took.cpu;
            self.crashes.fetch_add(1, Ordering::Relaxed);
        })?;
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

    /// Another call was answered, or its instance is gone.
    pub(super) fn called(&self, instance: &mut Instance, answered: bool) -> Usage {
        match answered {
            true => self.crashes.store(0, Ordering::Relaxed),
            false => _ = self.crashes.fetch_add(1, Ordering::Relaxed),
        }
        let usage = instance.take_usage();
        *lock(&self.usage) += usage;
        *lock(&self.charged) += usage.cpu;
        usage
    }

    /// Whether it may use more CPU.
    pub(super) fn check_cpu(&self, site: &Site) -> Result<(), TransformError> {
        let (used, limit) = (*lock(&self.charged), lock(&self.terms).limits.cpu);
        match used < limit {
            true => Ok(()),
            false => Err(TransformError::Limit {
                site: Box::new(site.clone()),
                kind: LimitKind::Cpu,
                limit: format!("{limit:?}"),
                asked: format!("it has used {used:.1?} on this table"),
            }),
        }
    }

    /// The positions of the key's columns among these columns of its table, in key order; those that are not among them are left out.
    pub(super) fn key_among(&self, columns: &[usize]) -> Vec<usize> {
        let place = |column: &usize| columns.iter().position(|other| other == column);
        self.table.key.iter().filter_map(place).collect()
    }

    /// The names of these columns of its table, with their types.
    pub(super) fn fields_of(&self, columns: &[usize]) -> SchemaRef {
        let fields = columns
            .iter()
            .map(|&column| self.table.schema.fields()[column].clone());
        Arc::new(Schema::new(fields.collect::<arrow::datatypes::Fields>()))
    }

    /// The table that the next step sees.
    pub(super) fn output_table(&self) -> TableShape {
        TableShape {
            schema: self.binding.schema.clone(),
            key: self.binding.key.clone(),
            ..self.table.clone()
        }
    }

    pub(super) fn describe(&self) -> StepBinding {
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
    terms: &Terms,
    table: &TableShape,
    config: &str,
    site: &Site,
) -> Result<(Instance, Binding), TransformError> {
    let mut instance = plugin.instance(terms, site)?;
    let raw = table.with_contract_form(site, |form| instance.bind(site, form, config))??;
    let binding = Binding::check(raw, table, site)?;
    Ok((instance, binding))
}

/// The pause before an instance that takes the place of one that crashed, after so many crashes in a row.
fn pause(crashes: u32) -> Duration {
    match crashes {
        0 => Duration::ZERO,
        _ => (Duration::from_millis(1) * 2_u32.pow((crashes - 1).min(10))).min(LONGEST_PAUSE),
    }
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
    fn pauses_grow_and_end() {
        let pauses = [0, 1, 2, 3, 8, 9, u32::MAX].map(|crashes| pause(crashes).as_millis());
        assert_eq!(pauses, [0, 1, 2, 4, 100, 100, 100]);
    }

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
