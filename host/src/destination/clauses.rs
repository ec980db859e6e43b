//! Reads single clauses out of the statements that ClickHouse writes of its tables.

use std::collections::HashMap;

/// A clause of `engine_full`, up to the next one: `TTL …` or `SETTINGS …`.
pub(super) fn clause(engine_full: &str, keyword: &str) -> Option<String> {
    let starts = top_level(engine_full, &format!(" {keyword} "))?;
    let rest = &engine_full[starts + keyword.len() + 2..];
    let end = [" TTL ", " SETTINGS "]
        .iter()
        .filter_map(|next| top_level(rest, next))
        .min()
        .unwrap_or(rest.len());
    Some(rest[..end].trim().to_owned())
}

/// The TTLs of the columns in a `CREATE TABLE` statement, by the column's quoted name. It is walked once, since it may have thousands.
pub(super) fn column_ttls(create: &str) -> HashMap<String, String> {
    // The table's own name may have brackets in it, too.
    let before = walk(create).take_while(|(c, _, quoted)| *c != '(' || *quoted);
    let opens: usize = before.map(|(c, ..)| c.len_utf8()).sum();
    let ttl = |definition: String| {
        let name = definition
            .starts_with('`')
            .then(|| top_level(&definition, " "))??;
        let starts = top_level(&definition, " TTL ")?;
        Some((
            definition[..name].to_owned(),
            definition[starts + 5..].trim().to_owned(),
        ))
    };
    split_top_level(create.get(opens + 1..).unwrap_or_default())
        .into_iter()
        .filter_map(ttl)
        .collect()
}

/// Splits at commas outside of brackets and quotes, as far as the bracket that closes the list.
pub(super) fn split_top_level(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for (c, depth, quoted) in walk(list) {
        if depth < 0 {
            break;
        }
        match c {
            ',' if depth == 0 && !quoted => parts.push(String::new()),
            c => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    parts
        .into_iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// Where a text stands outside of brackets and quotes.
fn top_level(text: &str, needle: &str) -> Option<usize> {
    let mut offset = 0;
    for (c, depth, quoted) in walk(text) {
        if depth == 0 && !quoted && text[offset..].starts_with(needle) {
            return Some(offset);
        }
        offset += c.len_utf8();
    }
    None
}

/// Each character with the depth of brackets that it stands in, and whether it is inside of quotes.
fn walk(text: &str) -> impl Iterator<Item = (char, i32, bool)> {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    text.chars().map(move |c| {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None => match c {
                '\'' | '`' | '"' => quote = Some(c),
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                _ => {}
            },
        }
        (c, depth, quote.is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_found_outside_of_brackets_and_quotes() {
        let full = "ReplacingMergeTree(v, d) ORDER BY a TTL toDateTime(x) + if(' SETTINGS ' = y, 1, 2) SETTINGS a = 'b, c', d = 2";
        assert_eq!(
            clause(full, "TTL").as_deref(),
            Some("toDateTime(x) + if(' SETTINGS ' = y, 1, 2)")
        );
        assert_eq!(
            split_top_level(&clause(full, "SETTINGS").expect("there")),
            ["a = 'b, c'", "d = 2"]
        );
        let create = "CREATE TABLE d.t (`a` Int32, `b` Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(3)) TTL toDateTime(b) + toIntervalDay(1), `c` Int8) ENGINE = MergeTree";
        let expected = "toDateTime(b) + toIntervalDay(1)";
        assert_eq!(
            column_ttls(create),
            HashMap::from([("`b`".to_owned(), expected.to_owned())])
        );
        let create = create.replace("d.t", "d.`(t`").replace("`b`", "`b, TTL (`");
        assert_eq!(column_ttls(&create)["`b, TTL (`"], expected);
    }
}
