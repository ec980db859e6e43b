//! A plugin's JSON Schema for its configuration. It comes from the plugin and is evaluated by the host, outside of all limits: so it must be one whose
//! evaluation can't take more than its size promises.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use super::error::{Violation, quote};

/// Longest schema, in bytes.
const BYTES: usize = 256 << 10;
/// Schemas in it, where each reference counts as a copy of what it refers to.
const SCHEMAS: u64 = 10_000;
/// How deep they lie in each other, references included.
const DEPTH: usize = 200;
/// Regular expressions in it, and what one of them may take when it is compiled, in bytes.
const PATTERNS: usize = 64;
const PATTERN_BYTES: usize = 1 << 20;
/// Violations of a configuration that are reported.
const VIOLATIONS: usize = 20;

/// A schema that was found to be one, and what checks configurations by it.
pub(super) struct ConfigSchema {
    pub(super) schema: Value,
    validator: Validator,
}

impl ConfigSchema {
    /// Reads a schema; why it can't be used otherwise.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > BYTES {
            return Err(format!(
                "the configuration's JSON Schema is longer than {BYTES} bytes"
            ));
        }
        let schema: Value = serde_json::from_str(text)
            .map_err(|cause| format!("the configuration's schema is not JSON: {cause}"))?;
        if !schema.is_object() {
            return Err("the configuration's schema is not a JSON object".to_owned());
        }
        let unusable =
            |reason: String| format!("the configuration's JSON Schema can't be used: {reason}");
        check_bounds(&schema).map_err(unusable)?;
        // Patterns on the engine that needs linear time, and no reference that leaves the document.
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .build(&schema)
            .map_err(|cause| unusable(quote(&cause.to_string())))?;
        Ok(Self { schema, validator })
    }

    /// Checks a configuration; the violations, if there are any. No value is repeated: some are secret.
    pub(super) fn check(&self, config: &Value) -> Result<(), Vec<Violation>> {
        // Errors are gathered, all of them, before the first is told: only where there are some.
        if self.validator.is_valid(config) {
            return Ok(());
        }
        let violations = self.validator.iter_errors(config).take(VIOLATIONS);
        Err(violations
            .map(|error| Violation {
                path: error.instance_path().to_string(),
                reason: quote(&error.masked_with("the value").to_string()),
            })
            .collect())
    }
}

/// What is looked at of a schema.
struct Bounds<'s> {
    root: &'s Value,
    schemas: u64,
    patterns: usize,
}

fn check_bounds(root: &Value) -> Result<(), String> {
    let mut bounds = Bounds {
        root,
        schemas: 0,
        patterns: 0,
    };
    bounds.value(root, 0)
}

impl<'s> Bounds<'s> {
    /// Each object counts, whether it is a schema or holds some: what stands for data is small.
    fn value(&mut self, value: &'s Value, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err(format!(
                "it is nested more than {DEPTH} deep, or a reference leads back to itself"
            ));
        }
        match value {
            Value::Object(members) => self.members(members, depth),
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.value(item, depth + 1)),
            _ => Ok(()),
        }
    }

    fn members(&mut self, members: &'s Map<String, Value>, depth: usize) -> Result<(), String> {
        self.schemas += 1;
        if self.schemas > SCHEMAS {
            return Err(format!(
                "with its references written out it has more than {SCHEMAS} parts"
            ));
        }
        for (key, value) in members {
            match (key.as_str(), value) {
                ("$ref", Value::String(reference)) => {
                    let target = reference
                        .strip_prefix('#')
                        .and_then(|pointer| self.root.pointer(pointer));
                    let target = target.ok_or_else(|| {
                        format!(
                            "`{}` refers to nothing in it: references are such as `#/$defs/name`",
                            quote(reference)
                        )
                    })?;
                    self.value(target, depth + 1)?;
                }
                ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                    return Err(format!("it has a `{key}`"));
                }
                ("$id" | "$anchor" | "$dynamicAnchor", Value::String(_)) if depth > 0 => {
                    return Err(format!("a part of it has an `{key}`"));
                }
                ("pattern", Value::String(_)) => self.pattern(1)?,
                ("patternProperties", Value::Object(patterns)) => {
                    self.pattern(patterns.len())?;
                    self.value(value, depth + 1)?;
                }
                // Definitions count where they are referred to.
                ("$defs" | "definitions", Value::Object(_)) if depth == 0 => {}
                _ => self.value(value, depth + 1)?,
            }
        }
        Ok(())
    }

    fn pattern(&mut self, more: usize) -> Result<(), String> {
        self.patterns += more;
        match self.patterns > PATTERNS {
            true => Err(format!("it has more than {PATTERNS} patterns")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(schema: &Value) -> String {
        match ConfigSchema::parse(&schema.to_string()) {
            Ok(_) => panic!("it is taken: {schema:.200}"),
            Err(reason) => reason,
        }
    }

    #[test]
    fn a_schema_whose_evaluation_would_have_no_end_is_refused() {
        let name = |i: usize| format!("a{i}");
        let refer = |i: usize| serde_json::json!({ "$ref": format!("#/$defs/a{i}") });
        // Two references at each of 40 steps: 2^40 errors.
        let mut doubling: Map<String, Value> = (0..40)
            .map(|i| {
                (
                    name(i),
                    serde_json::json!({ "allOf": [refer(i + 1), refer(i + 1)] }),
                )
            })
            .collect();
        doubling.insert(name(40), serde_json::json!({ "required": ["x"] }));
        let doubling = serde_json::json!({ "$defs": doubling, "$ref": "#/$defs/a0" });
        assert!(refused(&doubling).contains("more than 10000 parts"));
        // One reference after the other: as deep as a stack is not.
        let mut chain: Map<String, Value> = (0..7000).map(|i| (name(i), refer(i + 1))).collect();
        chain.insert(name(7000), serde_json::json!({}));
        let chain = serde_json::json!({ "$defs": chain, "$ref": "#/$defs/a0" });
        assert!(refused(&chain).contains("nested more than 200 deep"));
        for schema in [
            r##"{"$ref": "#"}"##,
            r##"{"allOf": [{"$ref": "#"}]}"##,
            r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##,
        ] {
            let reason = refused(&serde_json::from_str(schema).unwrap());
            assert!(reason.contains("leads back to itself"), "{reason}");
        }
    }

    #[test]
    fn patterns_have_a_number_and_a_size() {
        let many: Vec<Value> = (0..65)
            .map(|i| serde_json::json!({ "pattern": format!("^{i}$") }))
            .collect();
        assert!(refused(&serde_json::json!({ "anyOf": many })).contains("64 patterns"));
        let large = serde_json::json!({ "properties": { "a": { "pattern": r"\pL{2000}" } } });
        assert!(
            refused(&large).contains("can't be used"),
            "{}",
            refused(&large)
        );
    }

    #[test]
    fn a_schema_that_can_t_be_used_is_refused() {
        for schema in [
            "",
            "[]",
            "true",
            r#"{"type": 1}"#,
            r#"{"$ref": "https://example.com/schema.json"}"#,
            r#"{"$ref": "file:///etc/passwd"}"#,
            r##"{"$ref": "#/$defs/missing"}"##,
            r##"{"$dynamicRef": "#a"}"##,
            r#"{"properties": {"a": {"$id": "https://example.com/"}}}"#,
        ] {
            assert!(ConfigSchema::parse(schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn references_and_patterns_of_a_plain_schema_are_at_work() {
        let schema = ConfigSchema::parse(
            r##"{"$id": "https://example.com/", "$defs": {"name": {"type": "string", "pattern": "^[a-z]{1,64}$"}},
                 "type": "object", "properties": {"a": {"$ref": "#/$defs/name"}, "b": {"type": "array", "items": {"$ref": "#/$defs/name"}}}}"##,
        )
        .unwrap_or_else(|reason| panic!("{reason}"));
        assert!(
            schema
                .check(&serde_json::json!({ "a": "x", "b": ["y"] }))
                .is_ok()
        );
        let violations = schema
            .check(&serde_json::json!({ "a": "x", "b": ["y", "S3CRET"] }))
            .unwrap_err();
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].path, "/b/1");
        assert!(!violations[0].reason.contains("S3CRET"));
    }
}
