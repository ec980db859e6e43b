//! What a pipe file says of single columns, and of values that don't fit.

use super::ColumnSettings;
use super::error::PipeError;
use super::file::ColumnSettingsFile;
use super::validate::Check;
use crate::schema::ZeroDates;

impl Check<'_> {
    /// The settings of a column.
    pub(super) fn column(
        &self,
        name: &str,
        file: &ColumnSettingsFile,
        key: String,
    ) -> Result<ColumnSettings, PipeError> {
        let clickhouse_type = match file.clickhouse_type.as_deref().map(str::parse).transpose() {
            Ok(parsed) => parsed,
            Err(reason) => return self.invalid(&key, reason),
        };
        Ok(ColumnSettings {
            name: name.to_owned(),
            clickhouse_type,
            format: file.format,
            codec: file.codec.as_deref().map(codec),
            ttl: file.ttl.clone(),
            comment: file.comment.clone(),
            nullable: file.nullable,
            default: self.default(file.default.as_ref(), &key)?,
            on_out_of_range: file.on_out_of_range,
            zero_dates: self.zero_dates(file.zero_dates.as_deref(), &key)?,
            key,
        })
    }

    /// A value that takes the place of NULL, as text.
    fn default(&self, value: Option<&toml::Value>, key: &str) -> Result<Option<String>, PipeError> {
        Ok(Some(match value {
            None => return Ok(None),
            Some(toml::Value::String(text)) => text.clone(),
            Some(toml::Value::Array(items)) if items.is_empty() => "[]".to_owned(),
            Some(toml::Value::Array(_) | toml::Value::Table(_)) => {
                return self.invalid(
                    &format!("{key}.default"),
                    "a default is a text, a number, a truth value, a date or []",
                );
            }
            Some(plain) => plain.to_string(),
        }))
    }

    /// `error`, `null` or a date.
    pub(super) fn zero_dates(
        &self,
        text: Option<&str>,
        key: &str,
    ) -> Result<Option<ZeroDates>, PipeError> {
        match text.map(str::parse).transpose() {
            Ok(parsed) => Ok(parsed),
            Err(reason) => self.invalid(&format!("{key}.zero_dates"), reason),
        }
    }
}

/// What stands inside of `CODEC(…)`.
fn codec(text: &str) -> String {
    let inner = text
        .trim()
        .strip_prefix("CODEC(")
        .and_then(|rest| rest.strip_suffix(')'));
    inner.unwrap_or(text).trim().to_owned()
}
