//! Regular expressions on text columns: replace what matches, extract groups as columns. Time grows with the text, whatever the pattern: there
//! is no backtracking, and so no look-around and no back references.

use std::collections::BTreeMap;

use arrow_array::{Array, StringArray};
use arrow_schema::{DataType, Field};
use regex::{CaptureLocations, Regex, RegexBuilder};
use tidemill_sdk::build::TextBuilder;
use tidemill_sdk::{Batch, Binding, ColumnData, ConfigSchema, Error, Output, Table, Transform};

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 2 << 20;

/// Replaces in text columns, and extracts columns out of them.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is replaced, one after the other.
    #[serde(default)]
    replace: Vec<Replace>,
    /// What is extracted, from the columns as they come in.
    #[serde(default)]
    extract: Vec<Extract>,
}

/// Replaces every match in a column.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
struct Replace {
    column: String,
    /// The regular expression; `(?i)` at its beginning makes it blind to case.
    pattern: String,
    /// What stands for a match; `$1` and `${name}` are its groups, `$$` is a dollar.
    with: String,
    /// Only the first match of a text.
    #[serde(default)]
    #[schema(default = false)]
    first: bool,
}

/// Makes columns out of the groups of the first match.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
struct Extract {
    column: String,
    /// The regular expression, with groups: `(?<year>\d{4})-(\d\d)`.
    pattern: String,
    /// The groups, by name or number (`0` is the whole match), and the columns that they become.
    into: BTreeMap<String, String>,
    /// What becomes of a row whose text doesn't match. NULL stays NULL.
    #[serde(default)]
    #[schema(default = "null")]
    unmatched: Unmatched,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, ConfigSchema)]
#[serde(rename_all = "lowercase")]
enum Unmatched {
    #[default]
    Null,
    Reject,
}

/// A column that is rewritten, by its place among those that are read.
#[derive(Debug)]
struct Rewrite {
    read: usize,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    regex: Regex,
    with: String,
    first: bool,
}

#[derive(Debug)]
struct Extraction {
    read: usize,
    column: String,
    regex: Regex,
    /// Numbers of groups, in the order of their columns.
    groups: Vec<usize>,
    unmatched: Unmatched,
}

/// The transform.
#[derive(Debug)]
pub struct RegexTransform {
    rewrites: Vec<Rewrite>,
    extractions: Vec<Extraction>,
}

impl Transform for RegexTransform {
    type Config = Config;
    const NAME: &str = "regex";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &str = "replaces and extracts by regular expressions";

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let mut binding = Binding::pass_all(table);
        let mut rewrites: BTreeMap<usize, Rewrite> = BTreeMap::new();
        for replace in config.replace {
            let position = text_column(table, &replace.column)?;
            let read = binding.read(position);
            binding.compute_in_place(position, table.fields[position].clone());
            let step = Step {
                regex: compiled(&replace.pattern)?,
                with: replace.with,
                first: replace.first,
            };
            check_replacement(&step.regex, &step.with)?;
            let rewrite = rewrites.entry(position);
            let rewrite = rewrite.or_insert(Rewrite {
                read,
                steps: Vec::new(),
            });
            rewrite.steps.push(step);
        }
        let mut extractions = Vec::new();
        for extract in config.extract {
            let position = text_column(table, &extract.column)?;
            let regex = compiled(&extract.pattern)?;
            let mut groups = Vec::new();
            for (group, name) in &extract.into {
                groups.push(group_number(&regex, group)?);
                binding.compute(Field::new(name, DataType::Utf8, true));
            }
            extractions.push(Extraction {
                read: binding.read(position),
                column: extract.column,
                regex,
                groups,
                unmatched: extract.unmatched,
            });
        }
        binding.check_names(table)?;
        // Computed columns come in the order of the output: those in place by the table's order, then the new ones.
        let rewrites = rewrites.into_values().collect();
        Ok((
            Self {
                rewrites,
                extractions,
            },
            binding,
        ))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let mut output = Output::default();
        for rewrite in &self.rewrites {
            let mut texts = batch.utf8(rewrite.read);
            for step in &rewrite.steps {
                texts = step.apply(&texts);
            }
            output.columns.push(texts.into());
        }
        for extraction in &self.extractions {
            extraction.apply(batch, &mut output);
        }
        output.settle_rejections();
        Ok(output)
    }
}

impl Step {
    fn apply(&self, texts: &StringArray) -> StringArray {
        let mut replaced = TextBuilder::with_capacity(texts.len(), texts.value_data().len());
        let mut expanded = String::new();
        for text in texts {
            let Some(text) = text else {
                replaced.append_null();
                continue;
            };
            let mut end = 0;
            let limit = if self.first { 1 } else { usize::MAX };
            for captures in self.regex.captures_iter(text).take(limit) {
                let whole = captures.get_match();
                replaced.push_str(&text[end..whole.start()]);
                expanded.clear();
                captures.expand(&self.with, &mut expanded);
                replaced.push_str(&expanded);
                end = whole.end();
            }
            replaced.append(&text[end..]);
        }
        replaced.finish()
    }
}

impl Extraction {
    fn apply(&self, batch: &Batch, output: &mut Output) {
        let texts = batch.utf8(self.read);
        let builder = || TextBuilder::with_capacity(batch.rows, 0);
        let mut columns: Vec<TextBuilder> = self.groups.iter().map(|_| builder()).collect();
        let mut places: CaptureLocations = self.regex.capture_locations();
        for (row, text) in texts.iter().enumerate() {
            let found = text.filter(|text| self.regex.captures_read(&mut places, text).is_some());
            for (column, &group) in columns.iter_mut().zip(&self.groups) {
                let part =
                    found.and_then(|text| places.get(group).map(|(from, to)| &text[from..to]));
                column.append_option(part);
            }
            if self.unmatched == Unmatched::Reject && text.is_some() && found.is_none() {
                let reason = format!("`{}` doesn't match the pattern", self.column);
                output.rejected.push((row as u32, reason));
            }
        }
        let columns = columns
            .into_iter()
            .map(TextBuilder::finish)
            .map(ColumnData::from);
        output.columns.extend(columns);
    }
}

fn text_column(table: &Table, name: &str) -> Result<usize, Error> {
    let position = table.position(name)?;
    match table.fields[position].data_type() {
        DataType::Utf8 => Ok(position),
        other => Err(Error::Schema(format!(
            "`{name}` has the type {other}: regular expressions are for text"
        ))),
    }
}

fn compiled(pattern: &str) -> Result<Regex, Error> {
    let regex = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build();
    regex.map_err(|cause| Error::Config(format!("`{pattern}` is no regular expression: {cause}")))
}

fn group_number(regex: &Regex, group: &str) -> Result<usize, Error> {
    let named = regex.capture_names().position(|name| name == Some(group));
    let number = named.or_else(|| {
        group
            .parse()
            .ok()
            .filter(|number| *number < regex.captures_len())
    });
    number.ok_or_else(|| Error::Config(format!("`{regex}` has no group `{group}`")))
}

/// `$name` of a group that isn't there would stand for nothing without a word.
fn check_replacement(regex: &Regex, with: &str) -> Result<(), Error> {
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let group = match rest.strip_prefix('{') {
            Some(inner) => inner.split_once('}').map(|(group, _)| group),
            None => {
                let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
                Some(&rest[..rest.find(ends).unwrap_or(rest.len())])
            }
        };
        match group {
            Some("") | None => {}
            Some(group) => {
                group_number(regex, group)?;
            }
        }
    }
    Ok(())
}

tidemill_sdk::export!(RegexTransform);

#[cfg(test)]
mod tests;
