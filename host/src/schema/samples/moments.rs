//! Dates, times and instants.

use super::{Row, both};

pub(super) const ROWS: &[Row] = &[
    Row {
        samples: &[both(
            "DATE",
            &[
                "'1900-01-01'",
                "'1969-12-31'",
                "'1970-01-01'",
                "'2024-02-29'",
                "'2299-12-31'",
            ],
            "'1900-01-01' + INTERVAL FLOOR(RAND() * 146000) DAY",
        )],
        range: "0000-00-00, partial dates, 0001-01-01 … 9999-12-31",
        edges: "`Date32` holds 1900-01-01 … 2299-12-31, `Date` 1970-01-01 … 2149-06-06: beyond them `on_out_of_range`, where `clamp` gives the \
                first or the last day. Zero, partial and impossible dates: `zero_dates`. As `String`, MySQL's own text, all of them fit.",
    },
    Row {
        samples: &[
            both(
                "DATETIME",
                &[
                    "'0001-01-01 00:00:00'",
                    "'1000-01-01 00:00:00'",
                    "'1969-12-31 23:59:59'",
                    "'9999-12-31 23:59:59'",
                ],
                "'1000-01-01' + INTERVAL FLOOR(RAND() * 280000000000) SECOND",
            ),
            both(
                "DATETIME(3)",
                &["'1000-01-01 00:00:00.001'", "'9999-12-31 23:59:59.999'"],
                "'1970-01-01' + INTERVAL FLOOR(RAND() * 1e12) * 1000 MICROSECOND",
            ),
            both(
                "DATETIME(6)",
                &[
                    "'1000-01-01 00:00:00.000001'",
                    "'9999-12-31 23:59:59.999999'",
                ],
                "'1970-01-01' + INTERVAL FLOOR(RAND() * 1e15) MICROSECOND",
            ),
        ],
        range: "a wall clock; zero and partial dates, 0001 … 9999",
        edges: "Digit by digit: the wall clock is kept in the column's zone, which is UTC unless the pipe says another. In a zone with summer \
                time the hour that is skipped has no counterpart (`on_out_of_range`; `clamp` moves it ahead by as much as the clocks), and the hour that \
                comes twice is taken as its first. Zones other than UTC hold 1900 … 2299, `DateTime64(9)` holds 1677-09-21 … 2262-04-11, `DateTime` whole \
                seconds of 1970-01-01 … 2106-02-07. Fewer digits than the value has: `on_out_of_range`; `clamp` cuts them off. Dates \
                that are no days: `zero_dates`.",
    },
    Row {
        samples: &[
            both(
                "TIMESTAMP NULL",
                &[
                    "'1970-01-01 00:00:01'",
                    "'2000-01-01 00:00:00'",
                    "'2038-01-19 03:14:07'",
                ],
                "FROM_UNIXTIME(1 + FLOOR(RAND() * 2147483646))",
            ),
            both(
                "TIMESTAMP(6) NULL",
                &[
                    "'1970-01-01 00:00:01.000001'",
                    "'2038-01-19 03:14:07.999999'",
                ],
                "FROM_UNIXTIME(1 + RAND() * 2147483646)",
            ),
        ],
        range: "an instant of 1970 … 2038 (MariaDB 11.5: 2106), and zero",
        edges: "An instant: a zone changes how it is shown, not what it is. As `String` it is shown in UTC. Zero: `zero_dates`.",
    },
    Row {
        samples: &[
            both(
                "TIME",
                &[
                    "'-838:59:59'",
                    "'-00:00:01'",
                    "'00:00:00'",
                    "'24:00:00'",
                    "'838:59:59'",
                ],
                "SEC_TO_TIME(FLOOR(RAND() * 6000000) - 3000000)",
            ),
            both(
                "TIME(6)",
                &[
                    "'-838:59:58.999999'",
                    "'-00:00:00.000001'",
                    "'838:59:58.999999'",
                ],
                "SEC_TO_TIME(RAND() * 6000000 - 3000000)",
            ),
        ],
        range: "-838:59:59 … 838:59:59",
        edges: "With its sign and beyond a day. Where ClickHouse has no `Time64` (before 25.6) it is `Int64`, a number of microseconds.",
    },
];
