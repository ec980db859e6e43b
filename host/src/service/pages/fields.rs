//! The fields of a form, or those behind a `?`: a name may come several times, as checkboxes do.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Multipart, Request};
use axum::http::request::Parts;
use secrecy::SecretString;
use url::form_urlencoded::parse;

use crate::service::Service;
use crate::service::changes;
use crate::service::problem::Problem;
use crate::service::uploads::Uploaded;

/// Names and values.
#[derive(Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(parse(bytes).into_owned().collect())
    }

    /// The first value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The value of a name without the spaces around it; none: it is empty, or isn't there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    /// The same, where it must be there.
    pub(super) fn needed(&self, name: &str) -> Result<&str, Problem> {
        self.text(name)
            .ok_or_else(|| Problem::unusable(format!("the field `{name}` is empty")))
    }

    /// All values of a name.
    pub(super) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        let found = self.0.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A value that is shown to nobody; none: it is empty.
    pub(super) fn secret(&self, name: &str) -> Option<SecretString> {
        self.get(name)
            .filter(|text| !text.is_empty())
            .map(Into::into)
    }
}

/// The fields behind a `?`.
pub(super) struct Asked(pub(super) Fields);

impl FromRequestParts<Arc<Service>> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Service>) -> Result<Self, Infallible> {
        Ok(Self(Fields::of(
            parts.uri.query().unwrap_or_default().as_bytes(),
        )))
    }
}

/// The fields of a form. That it is one of this browser's session was looked at before.
impl FromRequest<Arc<Service>> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Service>) -> Result<Self, Problem> {
        let body = changes::whole(request.into_body(), super::guard::LARGEST_FORM).await?;
        Ok(Self::of(&body))
    }
}

/// A file that a form brings.
pub(super) struct Upload {
    /// The name that was given to it.
    pub(super) name: Option<String>,
    /// The name that it has in the browser.
    pub(super) file_name: String,
    pub(super) sent: Uploaded,
}

/// The file of a form. That it is one of this browser's session, and how large it is, was looked at before.
impl FromRequest<Arc<Service>> for Upload {
    type Rejection = Problem;

    async fn from_request(mut request: Request, _: &Arc<Service>) -> Result<Self, Problem> {
        let unusable =
            |error: MultipartError| Problem::new(error.status(), "body", error.body_text());
        DefaultBodyLimit::disable().apply(&mut request);
        let turn = request.extensions_mut().remove();
        let form = Multipart::from_request(request, &()).await;
        let mut form =
            form.map_err(|error| Problem::new(error.status(), "body", error.body_text()))?;
        let (mut name, mut file) = (None, None);
        while let Some(field) = form.next_field().await.map_err(unusable)? {
            match field.name() {
                Some("name") => name = Some(field.text().await.map_err(unusable)?),
                Some("file") => {
                    let file_name = field.file_name().unwrap_or_default().to_owned();
                    let bytes = field.bytes().await.map_err(unusable)?;
                    file = Some((file_name, bytes)).filter(|(_, bytes)| !bytes.is_empty());
                }
                _ => {}
            }
        }
        let (file_name, bytes) =
            file.ok_or_else(|| Problem::unusable("no file was chosen, or it is empty"))?;
        let name = name.map(|name| name.trim().to_owned());
        Ok(Self {
            name: name.filter(|name| !name.is_empty()),
            file_name,
            sent: Uploaded { bytes, _turn: turn },
        })
    }
}
