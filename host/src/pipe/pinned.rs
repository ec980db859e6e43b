//! A pipe file to be kept: as it was, without its secrets.

/// The authorities' file is left out, too: it is found beside the pipe file alone.
const LEFT_OUT: [&str; 4] = ["password", "password_env", "password_file", "ca"];

/// The text of a pipe file that was read before, without the secrets of its source and its destination.
pub(super) fn text(text: &str) -> String {
    // A text that became a pipe is TOML, and what was read from TOML can be written as TOML.
    let mut file: toml::Table = text.parse().unwrap_or_default();
    for section in ["source", "destination"] {
        if let Some(section) = file.get_mut(section).and_then(toml::Value::as_table_mut) {
            section.retain(|key, _| !LEFT_OUT.contains(&key));
        }
    }
    file.to_string()
}
