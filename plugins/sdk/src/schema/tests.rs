#![allow(dead_code, reason = "only their schemas are looked at")]

use serde_json::{Value, json};

use super::Schema;
use crate::ConfigSchema;
use std::collections::BTreeMap;

fn told<T: ConfigSchema>() -> Value {
    serde_json::from_str(&T::SCHEMA.json()).expect("it is JSON")
}

/// Says "hello" \ to all.
#[derive(serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Whom.
    ///
    /// All of them.
    #[schema(min_items = 1)]
    column_names: Vec<String>,
    #[serde(rename = "where")]
    condition: Option<String>,
    #[serde(default)]
    #[schema(minimum = -3, default = 5)]
    times: i64,
    r#type: Kind,
    #[serde(default)]
    rules: BTreeMap<String, Rule>,
}

#[derive(serde::Deserialize, ConfigSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Plain,
    VeryFancy,
}

#[derive(serde::Deserialize, ConfigSchema)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
enum Rule {
    /// Cuts.
    Cut {
        length: u8,
    },
    Keep,
}

#[derive(serde::Deserialize, ConfigSchema)]
#[serde(untagged)]
enum Either {
    Text(String),
    Typed { value: f64 },
}

#[derive(serde::Deserialize, ConfigSchema)]
enum Outside {
    Nothing,
    Number(u8),
    Pair { a: bool },
}

#[derive(Default, serde::Deserialize, ConfigSchema)]
#[serde(default)]
struct AllDefault {
    a: Newtype,
    #[serde(skip)]
    hidden: u8,
}

#[derive(Default, serde::Deserialize, ConfigSchema)]
struct Newtype(bool);

#[test]
fn a_struct_is_an_object() {
    let rule = json!({ "oneOf": [
        { "title": "cut", "description": "Cuts.", "type": "object", "required": ["method", "length"], "additionalProperties": false,
          "properties": { "method": { "const": "cut" }, "length": { "type": "integer", "minimum": 0, "maximum": 255 } } },
        { "title": "keep", "type": "object", "required": ["method"], "additionalProperties": false, "properties": { "method": { "const": "keep" } } },
    ] });
    assert_eq!(
        told::<Settings>(),
        json!({
            "description": "Says \"hello\" \\ to all.",
            "type": "object",
            "required": ["column-names", "type"],
            "additionalProperties": false,
            "properties": {
                "column-names": { "type": "array", "items": { "type": "string" }, "minItems": 1, "description": "Whom.\n\nAll of them." },
                "where": { "type": "string" },
                "times": { "type": "integer", "minimum": -3, "default": 5 },
                "type": { "enum": ["plain", "very_fancy"] },
                "rules": { "type": "object", "additionalProperties": rule },
            },
        })
    );
}

#[test]
fn enums_are_alternatives() {
    assert_eq!(
        told::<Either>(),
        json!({ "anyOf": [
            { "type": "string" },
            { "type": "object", "required": ["value"], "properties": { "value": { "type": "number" } } },
        ] })
    );
    let pair = json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "boolean" } } });
    assert_eq!(
        told::<Outside>(),
        json!({ "oneOf": [
            { "const": "Nothing" },
            { "type": "object", "required": ["Number"], "additionalProperties": false,
              "properties": { "Number": { "type": "integer", "minimum": 0, "maximum": 255 } } },
            { "type": "object", "required": ["Pair"], "additionalProperties": false, "properties": { "Pair": pair } },
        ] })
    );
}

#[test]
fn what_has_a_default_is_not_required() {
    assert_eq!(
        told::<AllDefault>(),
        json!({ "type": "object", "properties": { "a": { "type": "boolean" } } })
    );
}

#[test]
fn a_document_is_itself() {
    struct ByHand;
    impl ConfigSchema for ByHand {
        const SCHEMA: Schema = Schema::document("\n{ \"type\": \"object\" }\n");
    }
    assert_eq!(told::<ByHand>(), json!({ "type": "object" }));
    assert_eq!(
        told::<Vec<ByHand>>(),
        json!({ "type": "array", "items": { "type": "object" } })
    );
}
