//! `like`: `%` is any text, `_` any character, and a backslash before them makes them themselves. Time grows with text times pattern at most.

/// A pattern.
#[derive(Clone, Debug)]
pub struct Like {
    form: Form,
}

/// What most patterns are, and what all are.
#[derive(Clone, Debug)]
enum Form {
    Equal(String),
    Starts(String),
    Ends(String),
    Contains(String),
    Any(Vec<Part>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Character(char),
    One,
    Many,
}

impl Like {
    /// The pattern of this text.
    pub fn new(pattern: &str) -> Self {
        let mut parts = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            parts.push(match character {
                '%' if parts.last() == Some(&Part::Many) => continue,
                '%' => Part::Many,
                '_' => Part::One,
                '\\' => Part::Character(characters.next().unwrap_or('\\')),
                other => Part::Character(other),
            });
        }
        let form = simple(&parts).unwrap_or(Form::Any(parts));
        Self { form }
    }

    /// Whether a text is like it.
    pub fn matches(&self, text: &str) -> bool {
        match &self.form {
            Form::Equal(whole) => text == whole,
            Form::Starts(start) => text.starts_with(start.as_str()),
            Form::Ends(end) => text.ends_with(end.as_str()),
            Form::Contains(part) => text.contains(part.as_str()),
            Form::Any(parts) => any(parts, text),
        }
    }
}

fn simple(parts: &[Part]) -> Option<Form> {
    let (open_start, parts) = match parts {
        [Part::Many, rest @ ..] => (true, rest),
        all => (false, all),
    };
    let (open_end, parts) = match parts {
        [rest @ .., Part::Many] => (true, rest),
        all => (false, all),
    };
    let character = |part: &Part| match part {
        Part::Character(character) => Some(*character),
        _ => None,
    };
    let text: String = parts.iter().map(character).collect::<Option<_>>()?;
    Some(match (open_start, open_end) {
        (false, false) => Form::Equal(text),
        (false, true) => Form::Starts(text),
        (true, false) => Form::Ends(text),
        (true, true) => Form::Contains(text),
    })
}

/// Goes back to the last `%` only: what comes before it has matched as early as can be.
fn any(parts: &[Part], text: &str) -> bool {
    let (mut at, mut rest) = (0, text);
    let mut back: Option<(usize, &str)> = None;
    loop {
        let mut characters = rest.chars();
        let next = characters.next();
        let fits = match (parts.get(at), next) {
            (Some(Part::Many), _) => {
                back = Some((at + 1, rest));
                at += 1;
                continue;
            }
            (None, None) => return true,
            (Some(Part::One), Some(_)) => true,
            (Some(Part::Character(wanted)), Some(found)) => *wanted == found,
            _ => false,
        };
        if fits {
            (at, rest) = (at + 1, characters.as_str());
            continue;
        }
        let Some((part, from)) = back else {
            return false;
        };
        let mut characters = from.chars();
        if characters.next().is_none() {
            return false;
        }
        back = Some((part, characters.as_str()));
        (at, rest) = (part, characters.as_str());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_in_sql() {
        for (pattern, text, expected) in [
            ("a%a", "anna", true),
            ("a%a", "a", false),
            ("____", "anna", true),
            ("___", "Zoë", true),
            ("%\\%%", "100%", true),
            ("\\_", "_", true),
            ("\\_", "a", false),
            ("%", "", true),
            ("", "", true),
            ("", "a", false),
            ("%an%", "anna", true),
            ("%na", "anna", true),
            ("an%", "anna", true),
            ("%a_a%a", "xabaya", true),
            ("a\\", "a\\", true),
        ] {
            assert_eq!(
                Like::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    /// By trying everything.
    fn naive(parts: &[Part], text: &[char]) -> bool {
        match (parts, text) {
            ([], []) => true,
            ([Part::Many, rest @ ..], _) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            ([Part::One, rest @ ..], [_, text @ ..]) => naive(rest, text),
            ([Part::Character(wanted), rest @ ..], [found, text @ ..]) => {
                wanted == found && naive(rest, text)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn every_form_agrees_with_trying_everything(pattern in "[abé%_]{0,8}", text in "[abé]{0,10}") {
            let part = |character| match character { '%' => Part::Many, '_' => Part::One, other => Part::Character(other) };
            let parts: Vec<Part> = pattern.chars().map(part).collect();
            let characters: Vec<char> = text.chars().collect();
            prop_assert_eq!(Like::new(&pattern).matches(&text), naive(&parts, &characters));
        }
    }
}
