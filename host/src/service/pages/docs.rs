//! The page of the API, made of its OpenAPI document.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::routing::get;
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use super::{Frame, Page, show};
use crate::service::Service;
use crate::service::auth::Caller;

/// What each code of a problem document means.
const CODES: [(&str, &str); 24] = [
    (
        "body",
        "The request's body can't be read, is too large, too slow or of another type.",
    ),
    (
        "busy",
        "The tenant has as many checks, plans, previews and queries at work as it may have at a time, and none has ended in half a minute.",
    ),
    (
        "closing",
        "The service is about to end, and begins nothing any more.",
    ),
    (
        "destination",
        "The pipe's ClickHouse server has failed, refused or can't be reached.",
    ),
    (
        "done",
        "The request with this idempotency key was done, and its answer isn't kept: it has a secret, or is too large.",
    ),
    (
        "form",
        "A page's form doesn't belong to the browser's session, or another site has sent it.",
    ),
    (
        "internal",
        "The service has failed; its operator finds why in its log, by the request's id.",
    ),
    (
        "invalid",
        "What was sent can't be used; the detail says why.",
    ),
    ("journal", "The pipe's journal can't be read or written."),
    ("locked", "Another process is at work on the pipe."),
    ("method", "The route doesn't have this method."),
    (
        "not_found",
        "There is no such thing, or it is another tenant's.",
    ),
    (
        "nothing_to_do",
        "It isn't possible as things are; the detail says why.",
    ),
    (
        "pipe",
        "The pipe's settings can't be used; `place` says where it is in them.",
    ),
    ("policy", "The operator doesn't allow it."),
    ("quota", "The tenant's quota is used up."),
    ("registry", "A plugin can't be had from its registry."),
    (
        "rejected_row",
        "A row can't be transformed or doesn't fit, and the pipe says that this stops it.",
    ),
    ("role", "The token's role is a lesser one than this needs."),
    (
        "source",
        "The pipe's MySQL server has failed, refused or can't be reached.",
    ),
    ("token", "The request bears no token that is good."),
    (
        "transform",
        "A plugin can't be loaded, refuses its configuration or a table, or has failed.",
    ),
    (
        "unfinished",
        "A load or resync is unfinished; go on with it, or give it up.",
    ),
    (
        "verification",
        "The copy isn't what the source had; nothing was swapped.",
    ),
];

/// A part of a type's text, with what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    text: String,
    link: Option<String>,
}

struct Field {
    name: String,
    kind: Vec<Piece>,
    /// Where a parameter is.
    place: String,
    needed: bool,
    about: String,
}

struct Content {
    media: String,
    kind: Vec<Piece>,
}

struct Answer {
    status: String,
    about: String,
    contents: Vec<Content>,
}

struct Operation {
    id: String,
    method: &'static str,
    path: String,
    summary: String,
    about: String,
    parameters: Vec<Field>,
    bodies: Vec<Content>,
    answers: Vec<Answer>,
    /// Statuses of what goes wrong: they are the same nearly everywhere.
    refusals: Vec<String>,
}

struct Group {
    name: String,
    about: String,
    operations: Vec<Operation>,
}

struct Schema {
    name: String,
    about: String,
    kind: Vec<Piece>,
    fields: Vec<Field>,
    words: Vec<String>,
}

/// The document, as the page shows it.
struct Docs {
    title: String,
    about: String,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage<'d> {
    frame: Frame,
    docs: &'d Docs,
    codes: &'static [(&'static str, &'static str)],
}

pub(super) fn routes(document: &OpenApi) -> Router<Arc<Service>> {
    let docs = Arc::new(read(&serde_json::to_value(document).unwrap_or_default()));
    Router::new().route(
        "/docs",
        get(async move |caller: Option<Caller>| -> Page {
            show(&DocsPage {
                frame: Frame {
                    who: caller,
                    section: "docs",
                    done: None,
                },
                docs: &docs,
                codes: &CODES,
            })
        }),
    )
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn fields_of(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn read(document: &Value) -> Docs {
    let schemas = fields_of(&document["components"]["schemas"]);
    Docs {
        title: text(&document["info"], "title"),
        about: text(&document["info"], "description"),
        groups: groups(document),
        schemas: schemas.map(|(name, value)| schema(name, value)).collect(),
    }
}

fn groups(document: &Value) -> Vec<Group> {
    let tags = document["tags"].as_array().into_iter().flatten();
    let mut groups: Vec<Group> = tags
        .map(|tag| Group {
            name: text(tag, "name"),
            about: text(tag, "description"),
            operations: Vec::new(),
        })
        .collect();
    for (path, item) in fields_of(&document["paths"]) {
        for method in ["get", "post", "put", "patch", "delete"] {
            let Some(value) = item.get(method) else {
                continue;
            };
            let tag = value["tags"][0].as_str().unwrap_or("other");
            let known = groups.iter().position(|group| group.name == tag);
            let at = known.unwrap_or_else(|| {
                groups.push(Group {
                    name: tag.to_owned(),
                    about: String::new(),
                    operations: Vec::new(),
                });
                groups.len() - 1
            });
            groups[at].operations.push(operation(path, method, value));
        }
    }
    groups
}

fn operation(path: &str, method: &'static str, value: &Value) -> Operation {
    let parameters = value["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|parameter| Field {
        name: text(parameter, "name"),
        kind: kind(&parameter["schema"]),
        place: text(parameter, "in"),
        needed: parameter["required"] == true,
        about: text(parameter, "description"),
    });
    let (good, bad): (Vec<_>, Vec<_>) =
        fields_of(&value["responses"]).partition(|(status, _)| status.starts_with(['1', '2', '3']));
    let answers = good.into_iter().map(|(status, answer)| Answer {
        status: status.clone(),
        about: text(answer, "description"),
        contents: contents(&answer["content"]),
    });
    Operation {
        id: format!("{method}{}", path.replace(['/', '{', '}'], "-")),
        method,
        path: path.to_owned(),
        summary: text(value, "summary"),
        about: text(value, "description"),
        parameters: parameters.collect(),
        bodies: contents(&value["requestBody"]["content"]),
        answers: answers.collect(),
        refusals: bad.into_iter().map(|(status, _)| status.clone()).collect(),
    }
}

fn contents(value: &Value) -> Vec<Content> {
    let content = |(media, content): (&String, &Value)| Content {
        media: media.clone(),
        kind: kind(&content["schema"]),
    };
    fields_of(value).map(content).collect()
}

fn schema(name: &str, value: &Value) -> Schema {
    let mut fields = Vec::new();
    let parts = value["allOf"].as_array().into_iter().flatten();
    for part in std::iter::once(value).chain(parts) {
        let needed = part["required"].as_array();
        let is_needed = |name: &String| {
            needed.is_some_and(|names| names.iter().any(|known| known == name.as_str()))
        };
        fields.extend(fields_of(&part["properties"]).map(|(name, field)| Field {
            name: name.clone(),
            kind: kind(field),
            place: String::new(),
            needed: is_needed(name),
            about: text(field, "description"),
        }));
    }
    let words = value["enum"].as_array().into_iter().flatten();
    let words = words.filter_map(|word| word.as_str().map(str::to_owned));
    Schema {
        name: name.to_owned(),
        about: text(value, "description"),
        kind: if fields.is_empty() {
            kind(value)
        } else {
            Vec::new()
        },
        fields,
        words: words.collect(),
    }
}

/// A type in words: `list of TokenRecord or null`.
fn kind(schema: &Value) -> Vec<Piece> {
    let plain = |text: &str| Piece {
        text: text.to_owned(),
        link: None,
    };
    let joined = |parts: &Value, word: &str| {
        let mut pieces = Vec::new();
        for part in parts.as_array().into_iter().flatten() {
            if !pieces.is_empty() {
                pieces.push(plain(word));
            }
            pieces.extend(kind(part));
        }
        pieces
    };
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return vec![Piece {
            text: name.to_owned(),
            link: Some(format!("schema-{name}")),
        }];
    }
    for (key, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if schema[key].is_array() {
            return joined(&schema[key], word);
        }
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => {
            let mut pieces = vec![plain("list of ")];
            pieces.extend(kind(&schema["items"]));
            pieces
        }
        Value::String(name) => match schema["format"].as_str() {
            Some(format) => vec![plain(&format!("{name} ({format})"))],
            None => vec![plain(name)],
        },
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            vec![plain(&names.join(" or "))]
        }
        _ => vec![plain("anything")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_said_in_words_with_what_they_lead_to() {
        let words = |schema| {
            kind(&schema)
                .into_iter()
                .map(|piece| piece.text)
                .collect::<String>()
        };
        assert_eq!(
            words(json!({"type": "array", "items": {"$ref": "#/components/schemas/Event"}})),
            "list of Event"
        );
        assert_eq!(words(json!({"type": ["string", "null"]})), "string or null");
        assert_eq!(
            words(json!({"oneOf": [{"type": "null"}, {"$ref": "#/x/Phase"}]})),
            "null or Phase"
        );
        let linked = kind(&json!({"$ref": "#/components/schemas/Event"}));
        assert_eq!(linked[0].link.as_deref(), Some("schema-Event"));
    }
}
