//! Shapes, vectors, and MariaDB's own.

use super::{Row, Servers, both, on};

pub(super) const ROWS: &[Row] = &[
    Row {
        samples: &[
            both(
                "POINT",
                &[
                    "ST_GeomFromText('POINT(1.5 -2)')",
                    "ST_GeomFromText('POINT(1e300 0.1)')",
                ],
                "ST_GeomFromText(CONCAT('POINT(', RAND(), ' ', RAND() * 1000, ')'))",
            ),
            both(
                "LINESTRING",
                &["ST_GeomFromText('LINESTRING(0 0,1 1,2 0)')"],
                "ST_GeomFromText(CONCAT('LINESTRING(0 0,', RAND(), ' 7)'))",
            ),
            both(
                "POLYGON",
                &["ST_GeomFromText('POLYGON((0 0,9 0,9 9,0 0),(1 1,2 1,2 2,1 1))')"],
                "ST_GeomFromText(CONCAT('POLYGON((0 0,1 0,1 ', 1 + RAND(), ',0 0))'))",
            ),
            both(
                "MULTIPOINT",
                &["ST_GeomFromText('MULTIPOINT(0 0,1 1)')"],
                "ST_GeomFromText(CONCAT('MULTIPOINT(0 0,', RAND(), ' 7)'))",
            ),
            both(
                "MULTILINESTRING",
                &["ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3,4 4))')"],
                "ST_GeomFromText(CONCAT('MULTILINESTRING((0 0,', RAND(), ' 7))'))",
            ),
            both(
                "MULTIPOLYGON",
                &["ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))')"],
                "ST_GeomFromText(CONCAT('MULTIPOLYGON(((0 0,1 0,1 ', 1 + RAND(), ',0 0)))'))",
            ),
            both(
                "GEOMETRYCOLLECTION",
                &["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))')"],
                "ST_GeomFromText(CONCAT('GEOMETRYCOLLECTION(POINT(', RAND(), ' 2))'))",
            ),
            both(
                "GEOMETRY",
                &[
                    "ST_GeomFromText('POINT(1 2)', 4326)",
                    "ST_GeomFromText('LINESTRING(1 2,3 4)')",
                    "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')",
                ],
                "ST_GeomFromText(CONCAT('POINT(', RAND(), ' 1)'))",
            ),
        ],
        range: "any shape of any reference system",
        edges: "WKT with all digits, x before y as stored, `SRID=n;` in front where it isn't 0. `format = \"wkb\"`: WKB, or EWKB where the SRID isn't 0. \
                `Point`, `LineString`, `Polygon` …: a value of that shape with SRID 0; they can't be NULL. \
                The value of no bytes that a MariaDB without strict mode holds is an empty text, and no shape.",
    },
    Row {
        samples: &[on(
            Servers::Mysql,
            "VECTOR(3)",
            &[
                "STRING_TO_VECTOR('[1,-2.5,3e38]')",
                "STRING_TO_VECTOR('[0,-0.1,2e-38]')",
            ],
            "STRING_TO_VECTOR(CONCAT('[', RAND(), ',', RAND(), ',1]'))",
        )],
        range: "32-bit floats",
        edges: "Bit for bit. Arrays can't be NULL in ClickHouse: for a column with NULLs state a `default`, such as `[]`.",
    },
    Row {
        samples: &[
            on(
                Servers::MariaDb,
                "UUID",
                &[
                    "'00000000-0000-0000-0000-000000000000'",
                    "'6ccd780c-baba-1026-9564-5b8c656024db'",
                    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
                ],
                "UUID()",
            ),
            on(
                Servers::MariaDb,
                "INET4",
                &["'0.0.0.0'", "'192.0.2.1'", "'255.255.255.255'"],
                "INET_NTOA(FLOOR(RAND() * 4294967296))",
            ),
            on(
                Servers::MariaDb,
                "INET6",
                &[
                    "'::'",
                    "'2001:db8::1'",
                    "'::ffff:192.0.2.1'",
                    "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'",
                ],
                "INSERT(INSERT(LEFT(SHA2(RAND(), 256), 12), 5, 0, ':'), 10, 0, '::')",
            ),
        ],
        range: "all of the type",
        edges: "As `String`: MariaDB's own text.",
    },
];
