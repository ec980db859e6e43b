//! What attributes say: `serde`'s, `schema`'s and documentation.

use serde_json::{Number, Value};
use syn::{Attribute, Error, Expr, ExprLit, ExprUnary, Lit, LitStr, Meta, UnOp};

/// The attributes of a type, a variant or a field that change what is read.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) description: Option<String>,
    pub(crate) rename: Option<String>,
    pub(crate) rename_all: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) untagged: bool,
    pub(crate) default: bool,
    pub(crate) skip: bool,
    pub(crate) deny_unknown_fields: bool,
    /// Keywords of JSON Schema and their values.
    pub(crate) keywords: Vec<(String, Value)>,
}

impl Attributes {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self, Error> {
        let mut read = Self::default();
        let mut lines = Vec::new();
        for attribute in attributes {
            if let Meta::NameValue(pair) = &attribute.meta
                && pair.path.is_ident("doc")
                && let Expr::Lit(ExprLit {
                    lit: Lit::Str(line),
                    ..
                }) = &pair.value
            {
                let line = line.value();
                lines.push(line.strip_prefix(' ').unwrap_or(&line).to_owned());
            } else if attribute.path().is_ident("serde") {
                read.serde(attribute)?;
            } else if attribute.path().is_ident("schema") {
                read.schema(attribute)?;
            }
        }
        let description = lines.join("\n").trim().to_owned();
        read.description = (!description.is_empty()).then_some(description);
        Ok(read)
    }

    fn serde(&mut self, attribute: &Attribute) -> Result<(), Error> {
        attribute.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(ToString::to_string);
            let text = || Ok::<_, Error>(meta.value()?.parse::<LitStr>()?.value());
            match name.as_deref().unwrap_or_default() {
                "rename" => self.rename = Some(text()?),
                "rename_all" => self.rename_all = Some(text()?),
                "tag" => self.tag = Some(text()?),
                "untagged" => self.untagged = true,
                "deny_unknown_fields" => self.deny_unknown_fields = true,
                "skip" | "skip_deserializing" => self.skip = true,
                "default" => {
                    self.default = true;
                    if meta.input.peek(syn::Token![=]) {
                        text()?;
                    }
                }
                // How a value is checked or made, not how it is written.
                "bound" | "crate" | "expecting" => {
                    text()?;
                }
                other => {
                    return Err(meta.error(format!(
                        "`#[derive(ConfigSchema)]` does not know what `{other}` makes of the schema: write it by hand with `Schema::document`"
                    )));
                }
            }
            Ok(())
        })
    }

    fn schema(&mut self, attribute: &Attribute) -> Result<(), Error> {
        attribute.parse_nested_meta(|meta| {
            let name = meta.path.require_ident()?.to_string();
            let value = literal(&meta.value()?.parse()?)?;
            let name = camel_case(name.strip_prefix("r#").unwrap_or(&name));
            self.keywords.push((name, value));
            Ok(())
        })
    }
}

fn literal(expression: &Expr) -> Result<Value, Error> {
    let wrong = || {
        Error::new_spanned(
            expression,
            "a literal is expected: a text, a number, `true` or `false`, or several in brackets",
        )
    };
    Ok(match expression {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(text) => text.value().into(),
            Lit::Bool(truth) => truth.value.into(),
            Lit::Int(number) => number.base10_parse::<i64>()?.into(),
            Lit::Float(number) => Number::from_f64(number.base10_parse()?)
                .ok_or_else(wrong)?
                .into(),
            _ => return Err(wrong()),
        },
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => match literal(expr)? {
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => (-number).into(),
                (_, Some(number)) => (-number).into(),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        },
        Expr::Array(array) => array.elems.iter().map(literal).collect::<Result<_, _>>()?,
        _ => return Err(wrong()),
    })
}

/// `min_length` as JSON Schema writes it: `minLength`.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + &capitalised(part))
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// A name by `serde`'s rule of renaming. Fields are in snake case, variants in Pascal case.
pub(crate) fn renamed(
    name: &str,
    rule: Option<&str>,
    span: &dyn quote::ToTokens,
) -> Result<String, Error> {
    let Some(rule) = rule else {
        return Ok(name.to_owned());
    };
    let mut words: Vec<String> = Vec::new();
    for character in name.chars() {
        if character == '_' {
            words.push(String::new());
        } else if character.is_uppercase() || words.is_empty() {
            words.push(character.to_lowercase().collect());
        } else if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    let pascal = || {
        words
            .iter()
            .map(|word| capitalised(word))
            .collect::<String>()
    };
    Ok(match rule {
        "lowercase" => name.to_lowercase(),
        "UPPERCASE" => name.to_uppercase(),
        "snake_case" => words.join("_"),
        "kebab-case" => words.join("-"),
        "SCREAMING_SNAKE_CASE" => words.join("_").to_uppercase(),
        "SCREAMING-KEBAB-CASE" => words.join("-").to_uppercase(),
        "PascalCase" => pascal(),
        "camelCase" => {
            let pascal = pascal();
            let mut characters = pascal.chars();
            let first = characters.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(characters).collect()
        }
        other => {
            return Err(Error::new_spanned(
                span,
                format!("`{other}` is no rule of renaming"),
            ));
        }
    })
}
