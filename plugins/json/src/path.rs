//! Paths, and the tree of all the paths of a configuration.

/// A step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member of an object.
    Member(String),
    /// An item of a list, from 0.
    Item(usize),
    /// A JSON Pointer doesn't say whether it means a member of this name or an item of this number.
    Either(String, usize),
}

/// The steps of `$.a["b"][0]` or `/a/b/0`.
pub(crate) fn parse(path: &str) -> Result<Vec<Step>, &'static str> {
    if path.is_empty() || path.starts_with('/') {
        return pointer(path);
    }
    let mut rest = path
        .strip_prefix('$')
        .ok_or("it begins with `$`, or with `/` as a JSON Pointer")?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = step(rest)?;
        steps.push(step);
        rest = after;
    }
    Ok(steps)
}

fn step(rest: &str) -> Result<(Step, &str), &'static str> {
    const FORMS: &str = "a step is `.name`, `.\"name\"`, `[\"name\"]` or `[0]`; wildcards, filters and `..` are not understood";
    if let Some(rest) = rest.strip_prefix('.') {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (name, after) = quoted.split_once('"').ok_or(FORMS)?;
            return Ok((Step::Member(name.to_owned()), after));
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() || name == "*" {
            return Err(FORMS);
        }
        if name.contains(['"', '\'']) {
            return Err("a name with a quote in it is written `[\"it's\"]`");
        }
        return Ok((Step::Member(name.to_owned()), after));
    }
    let rest = rest.strip_prefix('[').ok_or(FORMS)?;
    if let Some(quote) = rest
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''))
    {
        let (name, after) = rest[1..].split_once(quote).ok_or(FORMS)?;
        let after = after.strip_prefix(']').ok_or(FORMS)?;
        return Ok((Step::Member(name.to_owned()), after));
    }
    let (number, after) = rest.split_once(']').ok_or(FORMS)?;
    Ok((Step::Item(number.parse().map_err(|_| FORMS)?), after))
}

/// RFC 6901.
fn pointer(path: &str) -> Result<Vec<Step>, &'static str> {
    let steps = path.split('/').skip(1);
    let step = |step: &str| {
        let name = step.replace("~1", "/").replace("~0", "~");
        match name.parse::<usize>() {
            Ok(number) if number.to_string() == name => Step::Either(name, number),
            _ => Step::Member(name),
        }
    };
    Ok(steps.map(step).collect())
}

/// What is wanted of a value: itself, for these columns, and members and items of it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) columns: Vec<usize>,
    pub(crate) members: Vec<(String, Tree)>,
    pub(crate) items: Vec<(usize, Tree)>,
}

impl Tree {
    /// Wants the value at the end of these steps for a column.
    pub(crate) fn add(&mut self, steps: &[Step], column: usize) {
        let Some((step, rest)) = steps.split_first() else {
            self.columns.push(column);
            return;
        };
        if let Step::Member(name) | Step::Either(name, _) = step {
            branch(&mut self.members, name.clone()).add(rest, column);
        }
        if let Step::Item(number) | Step::Either(_, number) = step {
            branch(&mut self.items, *number).add(rest, column);
        }
    }

    /// Whether more is wanted than the value itself.
    pub(crate) fn branches(&self) -> bool {
        !(self.members.is_empty() && self.items.is_empty())
    }
}

fn branch<K: PartialEq>(branches: &mut Vec<(K, Tree)>, key: K) -> &mut Tree {
    let at = branches.iter().position(|(known, _)| *known == key);
    let at = at.unwrap_or_else(|| {
        branches.push((key, Tree::default()));
        branches.len() - 1
    });
    &mut branches[at].1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Step {
        Step::Member(name.to_owned())
    }

    #[test]
    fn both_kinds_of_paths_are_read() {
        assert_eq!(parse("$").as_deref(), Ok(&[][..]));
        assert_eq!(
            parse("$.a[\"b.c\"][2].d"),
            Ok(vec![member("a"), member("b.c"), Step::Item(2), member("d")])
        );
        assert_eq!(parse("$['x']"), Ok(vec![member("x")]));
        assert_eq!(parse("$.\"x y\""), Ok(vec![member("x y")]));
        assert_eq!(parse("$.\"unit.price\""), Ok(vec![member("unit.price")]));
        assert_eq!(
            parse("$.a.\"b[0].c\"[1].d"),
            Ok(vec![
                member("a"),
                member("b[0].c"),
                Step::Item(1),
                member("d")
            ])
        );
        assert_eq!(
            parse("/a~1b/~0/01/1"),
            Ok(vec![
                member("a/b"),
                member("~"),
                member("01"),
                Step::Either("1".to_owned(), 1)
            ])
        );
        assert_eq!(parse(""), Ok(vec![]));
        for wrong in [
            "a",
            "$a",
            "$.",
            "$..a",
            "$.*",
            "$[*]",
            "$[-1]",
            "$[1",
            "$['x'",
            "$[?(@.a)]",
            "$.\"a",
            "$.\"a\"b",
            "$.a\"",
            "$.a\"b.c\"",
            "$.'a.b'",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
