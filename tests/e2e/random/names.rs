//! Names as MySQL allows them: anything but NUL and what lies beyond the basic plane.

use proptest::prelude::*;

/// What a name may have that somebody's quoting may not expect. No two differ in case or accent alone.
const HOSTILE: &[char] = &[
    'a', 'Z', '0', '_', ' ', '.', '\'', '"', '`', '\\', '/', '%', '-', '$', '#', '?', '!', '(',
    ')', '{', '}', '[', ']', ',', ':', '&', '|', '<', '=', '@', '*', '~', 'é', 'ß', 'ж', '日', 'ا',
    '\u{202E}', '€',
];

/// Words that mean something in SQL, of either side.
const RESERVED: &[&str] = &[
    "select", "from", "order", "table", "index", "key", "null", "default", "group", "interval",
    "true", "date", "array", "final", "sample", "prewhere", "tuple", "now", "count",
];

/// A name, which [`unique`] makes the only one of its kind.
pub(super) fn strategy(longest: usize) -> BoxedStrategy<String> {
    prop_oneof![
        3 => Just("c".to_owned()),
        1 => prop::sample::select(RESERVED).prop_map(str::to_owned),
        3 => prop::collection::vec(prop::sample::select(HOSTILE), 1..longest)
            .prop_map(String::from_iter),
    ]
    .boxed()
}

/// A name that no other number makes: names are compared without regard to case, and must not end with a space.
pub(super) fn unique(name: &str, number: usize, longest: usize) -> String {
    let number = number.to_string();
    let kept: String = name.chars().take(longest - number.len()).collect();
    format!("{kept}{number}")
}

/// The name that a table's number makes, if ClickHouse can name a file after it and after its twins.
pub(super) fn of_table(name: &str, number: usize) -> String {
    let escaped = |c: char| match c.is_ascii_alphanumeric() || c == '_' {
        true => 1,
        false => 3 * c.len_utf8(),
    };
    let mut left: usize = 150 - "_resync_old".len() - 4;
    let fits = |c: &char| {
        let fits = left >= escaped(*c);
        left = left.saturating_sub(escaped(*c));
        fits
    };
    let kept: String = name.chars().take_while(fits).collect();
    unique(&kept, number, 40)
}

/// In backquotes, for MySQL.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
