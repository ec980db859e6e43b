//! The configuration's JSON Schema, told from its type.

use std::collections::{BTreeMap, BTreeSet};

/// The members of a JSON object that is a schema, without its braces, in parts that are put together when the plugin is described.
#[derive(Clone, Copy, Debug)]
pub enum Schema {
    /// A piece of text.
    Text(&'static str),
    /// One after the other.
    Parts(&'static [Self]),
}

impl Schema {
    /// A schema that was written by hand, as a whole: `Schema::document(include_str!("../schema.json"))`.
    ///
    /// # Panics
    /// While it is compiled, if the text is no JSON object.
    pub const fn document(text: &'static str) -> Self {
        match text.trim_ascii().as_bytes() {
            [b'{', inner @ .., b'}'] => match std::str::from_utf8(inner) {
                Ok(members) => Self::Text(members),
                Err(_) => panic!("a brace is a character of its own"),
            },
            _ => panic!("a schema is a JSON object"),
        }
    }

    /// The JSON text.
    pub fn json(self) -> String {
        let mut text = String::from("{");
        self.write(&mut text);
        text.push('}');
        text
    }

    fn write(self, text: &mut String) {
        match self {
            Self::Text(part) => text.push_str(part),
            Self::Parts(parts) => parts.iter().for_each(|part| part.write(text)),
        }
    }
}

/// A type whose values a configuration may hold. `#[derive(ConfigSchema)]` tells the schema from the type, its documentation and its `serde`
/// attributes; the host checks a pipe's configuration against it before the plugin is asked.
///
/// ```
/// use tidemill_sdk::ConfigSchema;
///
/// /// Shortens texts.
/// #[derive(serde::Deserialize, ConfigSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     /// The columns that are shortened.
///     #[schema(min_items = 1)]
///     columns: Vec<String>,
///     /// How many characters stay.
///     #[serde(default = "eighty")]
///     #[schema(minimum = 1, default = 80)]
///     length: u32,
/// }
///
/// fn eighty() -> u32 {
///     80
/// }
///
/// let schema: serde_json::Value = serde_json::from_str(&Config::SCHEMA.json()).unwrap();
/// assert_eq!(schema["required"], serde_json::json!(["columns"]));
/// assert_eq!(schema["additionalProperties"], false);
/// assert_eq!(schema["properties"]["length"]["minimum"], 1);
/// assert_eq!(schema["properties"]["length"]["description"], "How many characters stay.");
/// ```
///
/// Structs and enums of every form that `serde` reads (tagged inside, tagged outside, untagged, plain names) are understood, with `rename`,
/// `rename_all`, `default` and `deny_unknown_fields`. `#[schema(…)]` on a field adds any keyword of JSON Schema, in snake case, with a
/// literal. What can't be told from a type is written by hand: `const SCHEMA: Schema = Schema::document("…")`.
pub trait ConfigSchema {
    /// The schema of its values.
    const SCHEMA: Schema;
}

/// For a plugin without settings.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

impl ConfigSchema for NoConfig {
    const SCHEMA: Schema = Schema::Text(r#""type":"object","additionalProperties":false"#);
}

macro_rules! schemas {
    ($($type:ty: $members:literal;)*) => {
        $(impl ConfigSchema for $type {
            const SCHEMA: Schema = Schema::Text($members);
        })*
    };
}

schemas! {
    bool: r#""type":"boolean""#;
    String: r#""type":"string""#;
    char: r#""type":"string","minLength":1,"maxLength":1"#;
    i8: r#""type":"integer","minimum":-128,"maximum":127"#;
    i16: r#""type":"integer","minimum":-32768,"maximum":32767"#;
    i32: r#""type":"integer","minimum":-2147483648,"maximum":2147483647"#;
    i64: r#""type":"integer""#;
    u8: r#""type":"integer","minimum":0,"maximum":255"#;
    u16: r#""type":"integer","minimum":0,"maximum":65535"#;
    u32: r#""type":"integer","minimum":0,"maximum":4294967295"#;
    u64: r#""type":"integer","minimum":0"#;
    usize: r#""type":"integer","minimum":0,"maximum":4294967295"#;
    f32: r#""type":"number""#;
    f64: r#""type":"number""#;
    serde_json::Value: r#""type":["string","number","boolean","object","array","null"]"#;
}

impl<T: ConfigSchema> ConfigSchema for Option<T> {
    const SCHEMA: Schema = T::SCHEMA;
}

impl<T: ConfigSchema> ConfigSchema for Box<T> {
    const SCHEMA: Schema = T::SCHEMA;
}

impl<T: ConfigSchema> ConfigSchema for Vec<T> {
    const SCHEMA: Schema = Schema::Parts(&[
        Schema::Text(r#""type":"array","items":{"#),
        T::SCHEMA,
        Schema::Text("}"),
    ]);
}

impl<T: ConfigSchema> ConfigSchema for BTreeSet<T> {
    const SCHEMA: Schema = Schema::Parts(&[
        Schema::Text(r#""type":"array","uniqueItems":true,"items":{"#),
        T::SCHEMA,
        Schema::Text("}"),
    ]);
}

impl<T: ConfigSchema> ConfigSchema for BTreeMap<String, T> {
    const SCHEMA: Schema = Schema::Parts(&[
        Schema::Text(r#""type":"object","additionalProperties":{"#),
        T::SCHEMA,
        Schema::Text("}"),
    ]);
}

#[cfg(test)]
mod tests;
