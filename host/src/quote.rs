//! Words of others in our own messages.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Words of a guest or a server, fit to be shown: nothing that a terminal obeys, and no longer than so many bytes.
pub(crate) fn quote(text: &str, most_bytes: usize) -> String {
    let cut = text.floor_char_boundary(most_bytes);
    let clean = text[..cut].replace(is_command, " ");
    let more = if cut < text.len() { "…" } else { "" };
    format!("{clean}{more}").trim().to_owned()
}

/// A text with whatever a terminal would obey written as `\u{…}`; lines and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |sign: char| is_command(sign) && sign != '\n' && sign != '\t';
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for sign in text.chars() {
        match is_hidden(sign) {
            // Writing to a text can't fail.
            true => write!(shown, "{}", sign.escape_unicode()).unwrap_or_default(),
            false => shown.push(sign),
        }
    }
    Cow::Owned(shown)
}

/// Control characters (C0, DEL, C1), and those that turn the direction of what follows.
fn is_command(sign: char) -> bool {
    sign.is_control() || matches!(sign, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        for (text, shown) in [
            ("line\n\tnaïve ✓", "line\n\tnaïve ✓"),
            (
                "\u{1b}[31mred\u{1b}]0;title\u{7}",
                "\\u{1b}[31mred\\u{1b}]0;title\\u{7}",
            ),
            ("a\rb\u{7f}\u{9b}31m", "a\\u{d}b\\u{7f}\\u{9b}31m"),
            ("a\u{202e}cod.exe\u{2066}", "a\\u{202e}cod.exe\\u{2066}"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(quote("a\u{202e}b\u{9b}c\n", 100), "a b c");
    }
}
