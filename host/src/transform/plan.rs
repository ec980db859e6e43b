//! Which columns a chain needs, and where each one is at every step: worked out once when a chain is bound, so that a batch only follows it.
//!
//! Going backwards from the output, a column is wanted if it is read, or passed into a column that is wanted. What nobody wants is not
//! even asked of the source.

use std::collections::BTreeSet;

use super::binding::{Binding, OutColumn};

/// Where a column of a chain's output comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lineage {
    /// The source's column at this position, unchanged, whatever it is called now.
    Passed {
        /// Position in the source table's schema.
        source: usize,
    },
    /// A plugin computed it.
    Computed {
        /// The plugin's name: the last one, where several had a hand in it.
        plugin: String,
        /// Positions of the source's columns that it may depend on: all that were read to compute it. In ascending order.
        from: Vec<usize>,
    },
}

/// A chain's way for a batch.
#[derive(Debug)]
pub(super) struct Plan {
    /// Positions in the source table of the columns that a batch must have, ascending.
    pub(super) input: Vec<usize>,
    /// One for each step.
    pub(super) steps: Vec<StepPlan>,
}

/// What a step does with the columns that it finds in its batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StepPlan {
    /// The batch's columns, by their position in the step's table, ascending.
    pub(super) batch: Vec<usize>,
    /// The batch's columns that the plugin is given, in its order.
    pub(super) reads: Vec<usize>,
    /// The columns of the next batch: passed from this one (by place in the batch), or computed.
    pub(super) columns: Vec<OutColumn>,
}

impl Plan {
    /// The plan for a chain of bindings on a table of so many columns.
    pub(super) fn new(width: usize, bindings: &[&Binding]) -> Self {
        let Some(last) = bindings.last() else {
            return Self {
                input: (0..width).collect(),
                steps: Vec::new(),
            };
        };
        let mut wanted: Vec<usize> = (0..last.columns.len()).collect();
        let mut steps = Vec::with_capacity(bindings.len());
        for (position, binding) in bindings.iter().enumerate().rev() {
            let mut before = wanted_before(binding, &wanted);
            if position == 0 && before.is_empty() && width > 0 {
                // Rows must still be counted: a query for no column at all returns none.
                before.push(0);
            }
            // `before` holds every position that is looked up here: it was made of them.
            let place = |column: usize| before.partition_point(|&other| other < column);
            let columns = wanted.iter().map(|&out| match binding.columns[out] {
                OutColumn::Pass(source) => OutColumn::Pass(place(source)),
                computed => computed,
            });
            steps.push(StepPlan {
                batch: before.clone(),
                reads: binding.reads.iter().map(|&column| place(column)).collect(),
                columns: columns.collect(),
            });
            wanted = before;
        }
        steps.reverse();
        Self {
            input: wanted,
            steps,
        }
    }
}

/// The columns of a step's table that are wanted, if these columns of its output are.
fn wanted_before(binding: &Binding, wanted: &[usize]) -> Vec<usize> {
    let passed = wanted.iter().filter_map(|&out| match binding.columns[out] {
        OutColumn::Pass(source) => Some(source),
        OutColumn::Computed(_) => None,
    });
    binding
        .reads
        .iter()
        .copied()
        .chain(passed)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Where the columns of the last output come from, for a table of so many columns.
pub(super) fn lineage<'a>(
    width: usize,
    steps: impl Iterator<Item = (&'a str, &'a Binding)>,
) -> Vec<Lineage> {
    let source: Vec<Lineage> = (0..width)
        .map(|source| Lineage::Passed { source })
        .collect();
    steps.fold(source, |table, (plugin, binding)| {
        let mut from = BTreeSet::new();
        for &column in &binding.reads {
            match &table[column] {
                Lineage::Passed { source } => drop(from.insert(*source)),
                Lineage::Computed { from: earlier, .. } => from.extend(earlier),
            }
        }
        let from: Vec<usize> = from.into_iter().collect();
        let origin = |column: &OutColumn| match column {
            OutColumn::Pass(source) => table[*source].clone(),
            OutColumn::Computed(_) => Lineage::Computed {
                plugin: plugin.to_owned(),
                from: from.clone(),
            },
        };
        binding.columns.iter().map(origin).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;
    use OutColumn::{Computed, Pass};

    fn binding(reads: &[usize], columns: &[OutColumn]) -> Binding {
        Binding {
            reads: reads.to_vec(),
            columns: columns.to_vec(),
            computed: Vec::new(),
            schema: Arc::new(Schema::empty()),
            key: Vec::new(),
            filters: false,
        }
    }

    #[test]
    fn no_step_wants_everything() {
        assert_eq!(Plan::new(3, &[]).input, [0, 1, 2]);
    }

    #[test]
    fn what_nobody_wants_is_not_asked_for() {
        // Of six columns: the first step reads 4, passes 0, 2 and 3 and computes one; the second drops what 3 became and reads what 2 became.
        let first = binding(&[4], &[Pass(3), Pass(0), Computed(0), Pass(2)]);
        let second = binding(&[3], &[Pass(1), Pass(2), Computed(0)]);
        let plan = Plan::new(6, &[&first, &second]);
        assert_eq!(plan.input, [0, 2, 4]);
        assert_eq!(
            plan.steps[0],
            StepPlan {
                batch: vec![0, 2, 4],
                reads: vec![2],
                columns: vec![Pass(0), Computed(0), Pass(1)]
            }
        );
        assert_eq!(
            plan.steps[1],
            StepPlan {
                batch: vec![1, 2, 3],
                reads: vec![2],
                columns: vec![Pass(0), Pass(1), Computed(0)]
            }
        );

        let lineage = lineage(6, [("a", &first), ("b", &second)].into_iter());
        let computed = |plugin: &str, from: &[usize]| Lineage::Computed {
            plugin: plugin.into(),
            from: from.to_vec(),
        };
        assert_eq!(
            lineage,
            [
                Lineage::Passed { source: 0 },
                computed("a", &[4]),
                computed("b", &[2])
            ]
        );
    }

    #[test]
    fn constants_alone_still_need_a_column_to_count() {
        assert_eq!(Plan::new(2, &[&binding(&[], &[Computed(0)])]).input, [0]);
    }
}
