//! Numbers and bits.

use super::{Row, both};

pub(super) const ROWS: &[Row] = &[
    Row {
        samples: &[
            both(
                "TINYINT",
                &["-128", "-1", "0", "127"],
                "FLOOR(RAND() * 256) - 128",
            ),
            both(
                "SMALLINT",
                &["-32768", "0", "32767"],
                "FLOOR(RAND() * 65536) - 32768",
            ),
            both(
                "MEDIUMINT",
                &["-8388608", "0", "8388607"],
                "FLOOR(RAND() * 16777216) - 8388608",
            ),
            both(
                "INT",
                &["-2147483648", "0", "2147483647"],
                "FLOOR(RAND() * 4294967296) - 2147483648",
            ),
            both(
                "BIGINT",
                &[
                    "-9223372036854775808",
                    "0",
                    "9007199254740993",
                    "9223372036854775807",
                ],
                "CAST(RAND() * 1e18 AS SIGNED) - 500000000000000001",
            ),
        ],
        range: "all of the type",
        edges: "A narrower type is checked value by value; `clamp` gives its least or greatest value.",
    },
    Row {
        samples: &[
            both(
                "TINYINT UNSIGNED",
                &["0", "128", "255"],
                "FLOOR(RAND() * 256)",
            ),
            both(
                "SMALLINT UNSIGNED ZEROFILL",
                &["0", "7", "65535"],
                "FLOOR(RAND() * 65536)",
            ),
            both(
                "MEDIUMINT UNSIGNED",
                &["0", "8388608", "16777215"],
                "FLOOR(RAND() * 16777216)",
            ),
            both(
                "INT UNSIGNED",
                &["0", "2147483648", "4294967295"],
                "FLOOR(RAND() * 4294967296)",
            ),
            both(
                "BIGINT UNSIGNED",
                &["0", "9223372036854775808", "18446744073709551615"],
                "9223372036854775807 + CAST(RAND() * 1e18 AS UNSIGNED)",
            ),
        ],
        range: "all of the type",
        edges: "ZEROFILL is display only. For a signed type that holds all of them ask for the next wider one: `Int128` for BIGINT UNSIGNED.",
    },
    Row {
        samples: &[both("TINYINT(1)", &["0", "1"], "FLOOR(RAND() * 2)")],
        range: "0 and 1; as a number -128 … 127",
        edges: "Another number than 0 and 1 stops the load, and `check` looks for one: copy such a column with `types = { column = \"Int8\" }`, \
                which a transform then sees as a number, too.",
    },
    Row {
        samples: &[
            both("BIT(1)", &["b'0'", "b'1'"], "FLOOR(RAND() * 2)"),
            both(
                "BIT(9)",
                &["b'0'", "b'100000000'", "b'111111111'"],
                "FLOOR(RAND() * 512)",
            ),
            both(
                "BIT(64)",
                &["0", "1", "18446744073709551615"],
                "CAST(RAND() * 9e18 AS UNSIGNED) * 2",
            ),
        ],
        range: "1 to 64 bits",
        edges: "BIT(1) is a truth value, more bits are an unsigned number, the last bit its lowest.",
    },
    Row {
        samples: &[
            both("DECIMAL(1,0)", &["-9", "0", "9"], "FLOOR(RAND() * 10)"),
            both(
                "DECIMAL(10,2)",
                &["-99999999.99", "0", "0.01", "99999999.99"],
                "RAND() * 1e8",
            ),
            both(
                "DECIMAL(30,30)",
                &[
                    "-0.999999999999999999999999999999",
                    "0.000000000000000000000000000001",
                ],
                "RAND()",
            ),
            both(
                "DECIMAL(38,0)",
                &[
                    "-99999999999999999999999999999999999999",
                    "99999999999999999999999999999999999999",
                ],
                "RAND() * 1e17",
            ),
            both(
                "DECIMAL(39,1)",
                &["-99999999999999999999999999999999999999.9", "0.1"],
                "RAND() * 1e15",
            ),
            both(
                "DECIMAL(65,30)",
                &[
                    "-99999999999999999999999999999999999.999999999999999999999999999999",
                    "0.000000000000000000000000000001",
                    "99999999999999999999999999999999999.999999999999999999999999999999",
                ],
                "RAND() * 1e10",
            ),
        ],
        range: "65 digits, of which 30 after the point",
        edges: "Exact. With fewer digits a value fits if nothing is cut off; `clamp` rounds to the nearest, half away from zero. As `String`: \
                MySQL's own text, every digit of the scale.",
    },
    Row {
        samples: &[
            both(
                "FLOAT",
                &[
                    "-3.402823466e38",
                    "0",
                    "-0e0",
                    "1.17549435e-38",
                    "0.1",
                    "16777216",
                    "16777217",
                    "3.402823466e38",
                ],
                "RAND() * 1e10",
            ),
            both(
                "DOUBLE",
                &[
                    "-1.7976931348623157e308",
                    "0",
                    "2.2250738585072014e-308",
                    "0.1",
                    "9007199254740993",
                    "1.7976931348623157e308",
                ],
                "RAND() * 1e100",
            ),
        ],
        range: "all finite numbers of IEEE 754",
        edges: "Bit for bit. A DOUBLE as `Float32` must be one exactly; `clamp` rounds to the nearest finite one.",
    },
    Row {
        samples: &[both(
            "YEAR",
            &["0", "1901", "1970", "2155"],
            "1901 + FLOOR(RAND() * 255)",
        )],
        range: "0000 and 1901 … 2155",
        edges: "0000 stays 0.",
    },
];
