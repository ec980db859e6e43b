use proptest::prelude::*;

use super::*;

/// The expression in full parentheses.
fn shown(expression: &Expr) -> String {
    let list = |items: &[Expr]| items.iter().map(shown).collect::<Vec<_>>().join(", ");
    match &expression.kind {
        Kind::Column(name) => name.clone(),
        Kind::Literal(literal) => format!("{literal:?}"),
        Kind::Not(inner) => format!("(not {})", shown(inner)),
        Kind::Minus(inner) => format!("(- {})", shown(inner)),
        Kind::Binary(left, operator, right) => {
            format!("({} {operator:?} {})", shown(left), shown(right))
        }
        Kind::IsNull(inner) => format!("({} is null)", shown(inner)),
        Kind::In(inner, items) => format!("({} in {})", shown(inner), list(items)),
        Kind::Between(inner, low, high) => {
            format!("({} between {} {})", shown(inner), shown(low), shown(high))
        }
        Kind::Like(inner, pattern) => format!("({} like {})", shown(inner), shown(pattern)),
        Kind::Case {
            operand,
            whens,
            otherwise,
        } => {
            let operand = operand.as_deref().map(shown).unwrap_or_default();
            let whens = whens
                .iter()
                .map(|(a, b)| format!("{}: {}", shown(a), shown(b)));
            let otherwise = otherwise.as_deref().map(shown).unwrap_or_default();
            format!(
                "(case {operand} {} {otherwise})",
                whens.collect::<Vec<_>>().join("; ")
            )
        }
        Kind::Call(name, arguments) => format!("{name}[{}]", list(arguments)),
        Kind::Cast(inner, name) => format!("({} as {name})", shown(inner)),
    }
}

#[test]
fn expressions_bind_as_in_sql() {
    for (text, expected) in [
        ("a or b and not c", "(a Or (b And (not c)))"),
        ("a + b * c - d", "((a Add (b Multiply c)) Subtract d)"),
        ("a - b - c", "((a Subtract b) Subtract c)"),
        ("-a * -2", "((- a) Multiply Number(\"-2\"))"),
        (
            "a+1 >= b",
            "((a Add Number(\"1\")) Compare(GreaterOrEqual) b)",
        ),
        ("not a is not null", "(not (not (a is null)))"),
        (
            "a not in (1, 'x''y')",
            "(not (a in Number(\"1\"), Text(\"x'y\")))",
        ),
        (
            "a between 1 and 2 and b",
            "((a between Number(\"1\") Number(\"2\")) And b)",
        ),
        (r"`a ``b` LIKE '\%\n'", "(a `b like Text(\"\\\\%\\n\"))"),
        ("X'00fF' = a", "(Bytes([0, 255]) Compare(Equal) a)"),
        (
            "case when a then 1 else 2 end",
            "(case  a: Number(\"1\") Number(\"2\"))",
        ),
        ("Case a When 1 Then b End", "(case a Number(\"1\"): b )"),
        ("COALESCE(a, upper(b), null)", "coalesce[a, upper[b], Null]"),
        (
            "cast(a as DECIMAL(10, 2)) + .5e-3",
            "((a as decimal(10,2)) Add Number(\".5e-3\"))",
        ),
        (
            "date '2020-01-01' < date",
            "(Moment(\"date\", \"2020-01-01\") Compare(Less) date)",
        ),
        ("!a and (b)", "((not a) And b)"),
        (
            "a % 2 <> 1.",
            "((a Modulo Number(\"2\")) Compare(NotEqual) Number(\"1.\"))",
        ),
    ] {
        let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(shown(&parsed), expected, "{text}");
    }
}

#[test]
fn a_part_says_where_it_stands() {
    let text = "a and (b + 1) = 2";
    let Kind::Binary(_, _, right) = parse(text).expect("it parses").kind else {
        panic!("`and`")
    };
    assert_eq!(&text[right.span.clone()], "(b + 1) = 2");
}

#[test]
fn mistakes_say_what_and_where() {
    for (text, expected) in [
        (
            "a =",
            "it ends where a column or a value is expected (line 1, column 4)",
        ),
        ("a = 1 a", "`a` stands behind its end (line 1, column 7)"),
        ("a\n or 'x", "a text that doesn't end (line 2, column 5)"),
        ("a ; b", "`;` is not expected (line 1, column 3)"),
        (
            "a not b",
            "`b` stands where `in`, `between` or `like` is expected (line 1, column 7)",
        ),
        (
            "x'0g'",
            "X'…' takes pairs of hexadecimal digits (line 1, column 1)",
        ),
        ("(a", "it ends where `)` is expected (line 1, column 3)"),
        (
            "",
            "it ends where a column or a value is expected (line 1, column 1)",
        ),
    ] {
        assert_eq!(parse(text).expect_err(text).to_string(), expected);
    }
}

#[test]
fn depth_is_bounded_and_length_is_not() {
    let deep = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(
        parse(&deep)
            .expect_err("too deep")
            .reason
            .contains("nested")
    );
    assert!(parse(&"- ".repeat(100_000)).is_err());
    assert!(parse(&format!("a{}", "+a".repeat(100_000))).is_err());
    let long = vec!["a = 1"; 100_000].join(" or ");
    assert!(parse(&long).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-c0-9 .,'\"`()<>=!+*/%x\\-eé\n]{0,40}|.{0,40}") {
        let _ = parse(&text);
    }
}
