//! `#[derive(ConfigSchema)]`: a configuration's JSON Schema, told from its type. See `tidemill_sdk::ConfigSchema`.

mod attributes;

use attributes::{Attributes, renamed};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use serde_json::{Value, json};
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error, Fields, FieldsNamed, Type, Variant};

/// Implements `tidemill_sdk::ConfigSchema`.
#[proc_macro_derive(ConfigSchema, attributes(serde, schema))]
pub fn config_schema(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    schema_of(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// The members of a schema: constant text, and the schemas of other types between it.
#[derive(Default)]
struct Members {
    parts: Vec<TokenStream>,
    text: String,
    /// Whether the next member needs a comma before it.
    begun: bool,
}

impl Members {
    /// `"name":value`.
    fn member(&mut self, name: &str, value: &Value) {
        self.name(name);
        self.text.push_str(&value.to_string());
    }

    fn name(&mut self, name: &str) {
        if std::mem::replace(&mut self.begun, true) {
            self.text.push(',');
        }
        self.text.push_str(&format!("{}:", json!(name)));
    }

    /// `{ … }`, or one behind another in a list.
    fn object(&mut self, inner: Self) {
        self.text.push('{');
        self.append(inner);
        self.text.push('}');
    }

    /// The members of another schema.
    fn append(&mut self, other: Self) {
        for part in other.parts {
            self.flush();
            self.parts.push(part);
        }
        self.text.push_str(&other.text);
    }

    /// The members of a type's schema.
    fn type_members(&mut self, of: &Type) {
        if std::mem::replace(&mut self.begun, true) {
            self.text.push(',');
        }
        self.flush();
        self.parts
            .push(quote! { <#of as ::tidemill_sdk::ConfigSchema>::SCHEMA });
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.parts
                .push(quote! { ::tidemill_sdk::Schema::Text(#text) });
        }
    }

    fn about(&mut self, attributes: &Attributes) {
        for (keyword, value) in &attributes.keywords {
            self.member(keyword, value);
        }
        if let Some(description) = &attributes.description {
            self.member("description", &json!(description));
        }
    }
}

fn schema_of(input: &DeriveInput) -> Result<TokenStream, Error> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a configuration has no parameters",
        ));
    }
    let attributes = Attributes::read(&input.attrs)?;
    let mut members = Members::default();
    members.about(&attributes);
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => object(&mut members, fields, &attributes, None)?,
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                members.type_members(&fields.unnamed[0].ty);
            }
            other => return Err(Error::new_spanned(other, "name the fields")),
        },
        Data::Enum(data) => {
            let variants: Vec<&Variant> = data.variants.iter().collect();
            alternatives(&mut members, &variants, &attributes)?;
        }
        Data::Union(_) => return Err(Error::new_spanned(input, "a union can't be read")),
    }
    members.flush();
    let (name, parts) = (&input.ident, &members.parts);
    Ok(quote! {
        impl ::tidemill_sdk::ConfigSchema for #name {
            const SCHEMA: ::tidemill_sdk::Schema = ::tidemill_sdk::Schema::Parts(&[#(#parts),*]);
        }
    })
}

/// An object with these fields, and a tag before them where it is an alternative that has one.
fn object(
    members: &mut Members,
    fields: &FieldsNamed,
    whole: &Attributes,
    tag: Option<(&str, &str)>,
) -> Result<(), Error> {
    let mut required: Vec<String> = tag.iter().map(|(tag, _)| (*tag).to_owned()).collect();
    let mut properties = Members::default();
    if let Some((tag, value)) = tag {
        properties.member(tag, &json!({ "const": value }));
    }
    for field in &fields.named {
        let attributes = Attributes::read(&field.attrs)?;
        if attributes.skip {
            continue;
        }
        let name = field
            .ident
            .as_ref()
            .map(|name| name.unraw().to_string())
            .unwrap_or_default();
        let name = match &attributes.rename {
            Some(name) => name.clone(),
            None => renamed(&name, whole.rename_all.as_deref(), field)?,
        };
        if !(attributes.default || whole.default || is_option(&field.ty)) {
            required.push(name.clone());
        }
        let mut inner = Members::default();
        inner.type_members(&field.ty);
        inner.about(&attributes);
        properties.name(&name);
        properties.object(inner);
    }
    members.member("type", &json!("object"));
    if !required.is_empty() {
        members.member("required", &json!(required));
    }
    if whole.deny_unknown_fields {
        members.member("additionalProperties", &json!(false));
    }
    members.name("properties");
    members.object(properties);
    Ok(())
}

fn alternatives(
    members: &mut Members,
    variants: &[&Variant],
    whole: &Attributes,
) -> Result<(), Error> {
    let mut named = Vec::new();
    for variant in variants {
        let attributes = Attributes::read(&variant.attrs)?;
        if attributes.skip {
            continue;
        }
        let name = match &attributes.rename {
            Some(name) => name.clone(),
            None => renamed(
                &variant.ident.unraw().to_string(),
                whole.rename_all.as_deref(),
                variant,
            )?,
        };
        named.push((*variant, name, attributes));
    }
    let plain = named
        .iter()
        .all(|(variant, ..)| matches!(variant.fields, Fields::Unit));
    if plain && whole.tag.is_none() && !whole.untagged {
        let names: Vec<&String> = named.iter().map(|(_, name, _)| name).collect();
        members.member("enum", &json!(names));
        return Ok(());
    }
    members.name(if whole.untagged { "anyOf" } else { "oneOf" });
    members.text.push('[');
    for (i, (variant, name, attributes)) in named.into_iter().enumerate() {
        if i > 0 {
            members.text.push(',');
        }
        let inner = alternative(variant, &name, attributes, whole)?;
        members.object(inner);
    }
    members.text.push(']');
    Ok(())
}

fn alternative(
    variant: &Variant,
    name: &str,
    mut attributes: Attributes,
    whole: &Attributes,
) -> Result<Members, Error> {
    attributes.deny_unknown_fields |= whole.deny_unknown_fields;
    let mut members = Members::default();
    if let Some(tag) = &whole.tag {
        members.member("title", &json!(name));
        members.about(&attributes);
        let none = FieldsNamed {
            brace_token: Default::default(),
            named: Default::default(),
        };
        let fields = match &variant.fields {
            Fields::Named(fields) => fields,
            Fields::Unit => &none,
            Fields::Unnamed(_) => return Err(Error::new_spanned(variant, "name the fields")),
        };
        object(&mut members, fields, &attributes, Some((tag, name)))?;
        return Ok(members);
    }
    if whole.untagged {
        members.about(&attributes);
        content(&mut members, variant, &attributes)?;
        return Ok(members);
    }
    members.about(&attributes);
    if matches!(variant.fields, Fields::Unit) {
        members.member("const", &json!(name));
        return Ok(members);
    }
    members.member("type", &json!("object"));
    members.member("required", &json!([name]));
    members.member("additionalProperties", &json!(false));
    let (mut properties, mut inner) = (Members::default(), Members::default());
    content(&mut inner, variant, &attributes)?;
    properties.name(name);
    properties.object(inner);
    members.name("properties");
    members.object(properties);
    Ok(members)
}

/// What a variant holds, by itself.
fn content(members: &mut Members, variant: &Variant, attributes: &Attributes) -> Result<(), Error> {
    match &variant.fields {
        Fields::Unit => members.member("type", &json!("null")),
        Fields::Named(fields) => object(members, fields, attributes, None)?,
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            members.type_members(&fields.unnamed[0].ty);
        }
        other => {
            return Err(Error::new_spanned(
                other.to_token_stream(),
                "name the fields",
            ));
        }
    }
    Ok(())
}

/// As `serde` sees it: by its name.
fn is_option(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}
