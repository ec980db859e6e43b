//! Column types, with all of their attributes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::charsets::{self, Charset};
use super::values::literal;
use crate::support::Flavor;

/// The type of a column.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Name, bits, UNSIGNED, ZEROFILL.
    Int(&'static str, u8, bool, bool),
    Bool,
    Bit(u8),
    /// Precision, scale, UNSIGNED, ZEROFILL.
    Decimal(u8, u8, bool, bool),
    /// As it is written, and whether it is UNSIGNED.
    Float(&'static str, bool),
    Double(&'static str, bool),
    Year,
    Date,
    DateTime(u8),
    Timestamp(u8),
    Time(u8),
    Text(Size, &'static Charset, usize),
    Bytes(Size),
    Enum(Vec<String>, &'static Charset),
    Set(Vec<String>, &'static Charset),
    Json,
    /// Shape, the reference system of its values, and how deep collections may be in collections.
    Geometry(&'static str, u32, u32),
    Vector(u8),
    Uuid,
    Inet4,
    Inet6,
}

/// How much a text or binary column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// CHAR and BINARY.
    Fixed(u8),
    /// VARCHAR and VARBINARY.
    Varying(u16),
    /// The prefix of TEXT's and BLOB's name.
    Long(&'static str),
}

const INTS: [(&str, u8); 5] = [
    ("INT", 32),
    ("TINYINT", 8),
    ("SMALLINT", 16),
    ("MEDIUMINT", 24),
    ("BIGINT", 64),
];
const SHAPES: &[&str] = &[
    "POINT",
    "LINESTRING",
    "POLYGON",
    "MULTIPOINT",
    "MULTILINESTRING",
    "MULTIPOLYGON",
    "GEOMETRYCOLLECTION",
    "GEOMETRY",
];

/// Any type that a server has. A failing one becomes one that stands further up.
pub(super) fn strategy(flavor: Flavor) -> BoxedStrategy<Kind> {
    let fraction = || 0u8..=6;
    let int = (select(&INTS[..]), any::<bool>(), any::<bool>())
        .prop_map(|((name, bits), unsigned, zerofill)| Kind::Int(name, bits, unsigned, zerofill));
    let decimal = (1u8..=65, 0u8..=30, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(precision, scale, unsigned, zerofill)| {
            Kind::Decimal(precision, scale.min(precision), unsigned, zerofill)
        },
    );
    let floats = select(
        &[
            ("FLOAT", false),
            ("FLOAT UNSIGNED", true),
            ("FLOAT ZEROFILL", true),
            ("FLOAT(10,3)", false),
        ][..],
    );
    let doubles = select(
        &[
            ("DOUBLE", false),
            ("DOUBLE UNSIGNED", true),
            ("DOUBLE ZEROFILL", true),
            ("DOUBLE(20,5)", false),
        ][..],
    );
    let own = match flavor {
        Flavor::MySql => (1u8..=16).prop_map(Kind::Vector).boxed(),
        Flavor::MariaDb => {
            prop_oneof![Just(Kind::Uuid), Just(Kind::Inet4), Just(Kind::Inet6)].boxed()
        }
    };
    // MariaDB can't read a collection in a collection.
    let depth = if flavor == Flavor::MySql { 3 } else { 1 };
    prop_oneof![
        5 => int,
        1 => Just(Kind::Bool),
        1 => (1u8..=64).prop_map(Kind::Bit),
        3 => decimal,
        1 => floats.prop_map(|(text, unsigned)| Kind::Float(text, unsigned)),
        1 => doubles.prop_map(|(text, unsigned)| Kind::Double(text, unsigned)),
        1 => Just(Kind::Year),
        1 => Just(Kind::Date),
        5 => prop_oneof![
            fraction().prop_map(Kind::DateTime),
            fraction().prop_map(Kind::Timestamp),
            fraction().prop_map(Kind::Time),
        ],
        8 => text(flavor),
        3 => size(flavor, "BLOB").prop_map(Kind::Bytes),
        4 => members(flavor),
        1 => Just(Kind::Json),
        2 => (select(SHAPES), select(&[0u32, 4326, 3857][..]))
            .prop_map(move |(shape, srid)| Kind::Geometry(shape, srid, depth)),
        3 => own,
    ]
    .boxed()
}

fn charset(flavor: Flavor) -> impl Strategy<Value = &'static Charset> {
    select(charsets::all(flavor == Flavor::MySql))
}

fn size(flavor: Flavor, long: &'static str) -> impl Strategy<Value = Size> {
    // MariaDB can't read its own file of a table that ends with a CHAR(0) behind a virtual column (10.11, error 1033).
    let shortest = if flavor == Flavor::MySql { 0 } else { 1 };
    let longs: &[&str] = match long {
        "TEXT" => &["TEXT", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT"],
        _ => &["BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB"],
    };
    prop_oneof![
        (0u16..=60).prop_map(Size::Varying),
        (shortest..=60u8).prop_map(Size::Fixed),
        (100u16..=600).prop_map(Size::Varying),
        select(longs).prop_map(Size::Long),
    ]
}

fn text(flavor: Flavor) -> impl Strategy<Value = Kind> {
    (size(flavor, "TEXT"), charset(flavor), 0usize..9)
        .prop_map(|(size, charset, collation)| Kind::Text(size, charset, collation))
}

/// ENUM and SET. Members end with their number, which makes them differ in any collation, but for one that may be empty.
fn members(flavor: Flavor) -> impl Strategy<Value = Kind> {
    let few = prop::collection::vec(prop::collection::vec(any::<u16>(), 0..4), 1..=9);
    let many = prop::collection::vec(prop::collection::vec(any::<u16>(), 0..2), 60..=64);
    let enough = Just(vec![Vec::new(); 300]);
    (
        prop_oneof![9 => few, 2 => many, 1 => enough],
        charset(flavor),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(parts, charset, is_set, with_empty)| {
            let is_set = is_set && parts.len() <= 64;
            let mut members: Vec<String> = (parts.iter().enumerate())
                .map(|(i, part)| {
                    let text = part.iter().map(|&c| charset.character(c.into()));
                    // A comma parts the members of a SET, and ClickHouse's name for a NUL is not what is tried here.
                    text.filter(|&c| c != '\0' && !(is_set && c == ','))
                        .chain(i.to_string().chars())
                        .collect()
                })
                .collect();
            if with_empty && !is_set {
                members[0] = String::new();
            }
            match is_set {
                true => Kind::Set(members, charset),
                false => Kind::Enum(members, charset),
            }
        })
}

/// The names of all kinds that a server has, as [`Kind::name`] gives them.
pub(super) fn all(flavor: Flavor) -> BTreeSet<&'static str> {
    let common = [
        "int",
        "bool",
        "bit",
        "decimal",
        "float",
        "double",
        "year",
        "date",
        "datetime",
        "timestamp",
        "time",
        "text",
        "bytes",
        "enum",
        "set",
        "json",
        "geometry",
    ];
    let own: &[&str] = match flavor {
        Flavor::MySql => &["vector"],
        Flavor::MariaDb => &["uuid", "inet4", "inet6"],
    };
    common.iter().chain(own).copied().collect()
}

impl Kind {
    /// Its name, without any attribute.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Int(..) => "int",
            Self::Bool => "bool",
            Self::Bit(_) => "bit",
            Self::Decimal(..) => "decimal",
            Self::Float(..) => "float",
            Self::Double(..) => "double",
            Self::Year => "year",
            Self::Date => "date",
            Self::DateTime(_) => "datetime",
            Self::Timestamp(_) => "timestamp",
            Self::Time(_) => "time",
            Self::Text(..) => "text",
            Self::Bytes(_) => "bytes",
            Self::Enum(..) => "enum",
            Self::Set(..) => "set",
            Self::Json => "json",
            Self::Geometry(..) => "geometry",
            Self::Vector(_) => "vector",
            Self::Uuid => "uuid",
            Self::Inet4 => "inet4",
            Self::Inet6 => "inet6",
        }
    }

    /// The type in SQL.
    pub(super) fn sql(&self) -> String {
        let sign = |unsigned: bool, zerofill: bool| {
            let unsigned = if unsigned { " UNSIGNED" } else { "" };
            format!("{unsigned}{}", if zerofill { " ZEROFILL" } else { "" })
        };
        match self {
            Self::Int(name, _, unsigned, zerofill) => {
                format!("{name}{}", sign(*unsigned, *zerofill))
            }
            Self::Bool => "TINYINT(1)".to_owned(),
            Self::Bit(bits) => format!("BIT({bits})"),
            Self::Decimal(precision, scale, unsigned, zerofill) => {
                format!(
                    "DECIMAL({precision}, {scale}){}",
                    sign(*unsigned, *zerofill)
                )
            }
            Self::Float(text, _) | Self::Double(text, _) => (*text).to_owned(),
            Self::DateTime(f) | Self::Timestamp(f) | Self::Time(f) => {
                format!("{}({f})", self.name().to_uppercase())
            }
            Self::Text(size, charset, collation) => {
                let size = match size {
                    Size::Fixed(n) => format!("CHAR({n})"),
                    Size::Varying(n) => format!("VARCHAR({n})"),
                    Size::Long(name) => (*name).to_owned(),
                };
                let collation = charset.collations.get(*collation);
                let collation = collation.map_or(String::new(), |name| format!(" COLLATE {name}"));
                format!("{size} CHARACTER SET {}{collation}", charset.name)
            }
            Self::Bytes(Size::Fixed(n)) => format!("BINARY({n})"),
            Self::Bytes(Size::Varying(n)) => format!("VARBINARY({n})"),
            Self::Bytes(Size::Long(name)) => (*name).to_owned(),
            Self::Enum(members, charset) | Self::Set(members, charset) => {
                let members: Vec<_> = members.iter().map(|member| literal(member)).collect();
                let name = self.name().to_uppercase();
                format!(
                    "{name}({}) CHARACTER SET {}",
                    members.join(", "),
                    charset.name
                )
            }
            Self::Geometry(shape, ..) => (*shape).to_owned(),
            Self::Vector(n) => format!("VECTOR({n})"),
            other => other.name().to_uppercase(),
        }
    }

    /// Whether it can be part of a key; `prefix` is then the length that may or must be given.
    pub(super) fn key_part(&self) -> Option<KeyPart> {
        match self {
            Self::Json | Self::Geometry(..) | Self::Vector(_) => None,
            Self::Text(size, ..) | Self::Bytes(size) => match size {
                Size::Fixed(0) | Size::Varying(0) => None,
                Size::Fixed(1) | Size::Varying(1) => Some(KeyPart::Whole),
                Size::Fixed(_) | Size::Varying(2..=60) => Some(KeyPart::Either(1)),
                Size::Varying(_) | Size::Long(_) => Some(KeyPart::Prefix(20)),
            },
            _ => Some(KeyPart::Whole),
        }
    }
}

/// How a column can be part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyPart {
    Whole,
    /// Whole, or the first characters.
    Either(u8),
    /// The first characters only.
    Prefix(u8),
}
