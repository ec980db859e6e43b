//! Text, bytes, enumerations and documents.

use super::{Row, Servers, both, on};

pub(super) const ROWS: &[Row] = &[
    Row {
        samples: &[
            both(
                "CHAR(10)",
                &["''", "'a'", "'Zoë 🦀'"],
                "LEFT(SHA2(RAND(), 256), FLOOR(RAND() * 11))",
            ),
            both(
                "VARCHAR(40)",
                &[
                    "''",
                    "' '",
                    "'trailing  '",
                    "'tab\\tnew\\nline\\\\ \\'quoted\\''",
                    "'\\0'",
                    "'日本語 🦀'",
                ],
                "LEFT(SHA2(RAND(), 256), FLOOR(RAND() * 33))",
            ),
            both(
                "VARCHAR(20) CHARACTER SET latin1",
                &["''", "'€ é ÿ'"],
                "LEFT(SHA2(RAND(), 256), 9)",
            ),
            both(
                "VARCHAR(20) CHARACTER SET utf16",
                &["''", "'日本 🦀'"],
                "LEFT(SHA2(RAND(), 256), 9)",
            ),
            both(
                "VARCHAR(20) CHARACTER SET sjis",
                &["''", "'日本ｶﾅ'"],
                "LEFT(SHA2(RAND(), 256), 9)",
            ),
            both(
                "VARCHAR(20) CHARACTER SET cp1251",
                &["''", "'Привет №'"],
                "LEFT(SHA2(RAND(), 256), 9)",
            ),
            both("TINYTEXT", &["''", "REPEAT('x', 255)"], "SHA2(RAND(), 256)"),
            both(
                "TEXT",
                &["''", "REPEAT('ä', 32767)"],
                "REPEAT(SHA2(RAND(), 256), 10)",
            ),
            both(
                "MEDIUMTEXT",
                &["''", "REPEAT('y', 70000)"],
                "SHA2(RAND(), 256)",
            ),
            both("LONGTEXT", &["''", "'null'"], "SHA2(RAND(), 256)"),
        ],
        range: "any text of any character set and collation",
        edges: "The server turns it into UTF-8. Character sets with characters that Unicode doesn't have (of Japanese, Chinese, Korean, Hebrew, \
                Greek and others) are guarded: where the server would write `?` the load stops and names the row; `format = \"bytes\"` copies such a \
                column as its bytes. CHAR has no trailing spaces, as MySQL shows it. `FixedString(n)`: a value of up to n bytes that doesn't end \
                with a zero byte, or of n bytes; `clamp` cuts a longer one at a character. `Enum8(…)`: only its names fit. `JSON`: as for JSON.",
    },
    Row {
        samples: &[
            both(
                "BINARY(4)",
                &["X'00000000'", "X'01'", "X'FFFFFFFF'"],
                "UNHEX(LEFT(SHA2(RAND(), 256), 8))",
            ),
            both(
                "VARBINARY(20)",
                &["X''", "X'00'", "X'00FF7F80'"],
                "UNHEX(LEFT(SHA2(RAND(), 256), 2 * FLOOR(RAND() * 16)))",
            ),
            both(
                "BLOB",
                &["X''", "X'DEADBEEF00'"],
                "UNHEX(SHA2(RAND(), 256))",
            ),
            both(
                "LONGBLOB",
                &["X''", "REPEAT(X'C328', 40000)"],
                "UNHEX(SHA2(RAND(), 256))",
            ),
        ],
        range: "any bytes",
        edges: "Every byte. BINARY(n) has its zero bytes at the end. `FixedString(n)`: as for text; `clamp` cuts.",
    },
    Row {
        samples: &[both(
            "ENUM('a','b,c','it''s','','grün')",
            &["'a'", "'b,c'", "'it''s'", "''", "'grün'"],
            "1 + FLOOR(RAND() * 5)",
        )],
        range: "its values, and the error value of index 0, which is ''",
        edges: "`Enum` makes an Enum8 or Enum16 of the source's values under their numbers, with the error value '' = 0 where '' is none of them. \
                Of an `Enum8(…)` that the pipe writes out only its names fit.",
    },
    Row {
        samples: &[both(
            "SET('a','b','it''s','grün')",
            &["''", "'a'", "'a,grün'", "'a,b,it''s,grün'"],
            "FLOOR(RAND() * 16)",
        )],
        range: "any of its up to 64 members",
        edges: "The members with commas between them, in the order of the type. As an array: one string a member, none for ''.",
    },
    Row {
        samples: &[
            on(
                Servers::Mysql,
                "JSON",
                &[
                    "'null'",
                    "'{}'",
                    "'[1, 1.10, 1e300, 18446744073709551615, -9223372036854775808]'",
                    "'{\"ä\": \"\\\\u0000 \\\\\" 🦀\", \"a\": 1, \"a\": 2, \"b\": {\"c\": [[[[]]]]}}'",
                    "CAST(CAST('12345678901234567890.123456789' AS DECIMAL(40,20)) AS JSON)",
                    "CONCAT(REPEAT('[', 99), '7', REPEAT(']', 99))",
                ],
                "JSON_OBJECT('k', RAND(), 'n', SHA2(RAND(), 256))",
            ),
            on(
                Servers::MariaDb,
                "JSON",
                &[
                    "'null'",
                    "'{}'",
                    "'{\"b\":1, \"a\" : 1.10, \"a\": 123456789012345678901234567890}'",
                    "CONCAT(REPEAT('[', 31), '7', REPEAT(']', 31))",
                ],
                "JSON_OBJECT('k', RAND(), 'n', SHA2(RAND(), 256))",
            ),
        ],
        range: "any document",
        edges: "As `String` it is the server's own text: MySQL's is normalized by MySQL (keys in its order, the last of equal keys), MariaDB's as it was \
                written. ClickHouse's `JSON` takes objects only and drops what it can't tell from an absent path; so a document fits if it is an object \
                without null members, empty objects, equal keys, keys with dots or without characters, and numbers beyond 64 bits; else `on_out_of_range`.",
    },
];
