//! Words of others in our own messages.

/// Words of a guest or a server, fit to be shown: no control characters, and no longer than so many bytes.
pub(crate) fn quote(text: &str, most_bytes: usize) -> String {
    let cut = text.floor_char_boundary(most_bytes);
    let clean = text[..cut].replace(char::is_control, " ");
    let more = if cut < text.len() { "…" } else { "" };
    format!("{clean}{more}").trim().to_owned()
}
