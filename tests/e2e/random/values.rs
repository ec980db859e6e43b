//! Values of a column, in SQL: the least, the greatest, zero, NULL, those at a boundary, and any.

use super::charsets::Charset;
use super::kinds::{Kind, Size};

/// The choices of one cell: the same ones for the same seed and row, whatever other rows there are. Each choice is between
/// numbers from 0 on, of which 0 is the simplest, and no choice is greater than the column's wildness lets it be.
#[derive(Debug)]
pub(super) struct Dice {
    state: u64,
    most: u64,
}

impl Dice {
    pub(super) fn new(seed: u64, row: u64, wildness: u32) -> Self {
        let most = 1u64.checked_shl(wildness).map_or(u64::MAX, |most| most - 1);
        let mut dice = Self {
            state: seed ^ row.wrapping_mul(0xD134_2543_DE82_EF95),
            most,
        };
        dice.any();
        dice
    }

    /// Any number (Sebastiano Vigna's SplitMix64).
    fn any(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) & self.most
    }

    fn below(&mut self, end: u64) -> u64 {
        self.any() % end
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn digits(&mut self, count: u8) -> String {
        (0..count)
            .map(|_| char::from(b'0' + self.below(10) as u8))
            .collect()
    }
}

/// A text in quotes, on one line.
pub(super) fn literal(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('\'', "\\'")
        .replace('\n', "\\n");
    format!("'{}'", escaped.replace('\0', "\\0").replace('\t', "\\t"))
}

/// A value of a type.
pub(super) fn value(kind: &Kind, nullable: bool, dice: &mut Dice) -> String {
    // The oracle expects NULL for a date that is no day, so NULL must be allowed.
    let no_day = |dice: &mut Dice| nullable && dice.below(12) == 11;
    if nullable && dice.below(8) == 7 && !matches!(kind, Kind::Vector(_)) {
        return "NULL".to_owned();
    }
    match kind {
        Kind::Int(_, bits, unsigned, zerofill) => int(*bits, *unsigned || *zerofill, dice),
        Kind::Bool => dice.below(2).to_string(),
        Kind::Bit(bits) => int(*bits, true, dice),
        Kind::Decimal(precision, scale, unsigned, zerofill) => {
            decimal(*precision, *scale, *unsigned || *zerofill, dice)
        }
        Kind::Float(_, unsigned) => float(f32::MAX.into(), *unsigned, dice),
        Kind::Double(_, unsigned) => float(f64::MAX, *unsigned, dice),
        Kind::Year => match dice.below(4) {
            3 => "0".to_owned(),
            2 => dice.pick(&["1901", "2155"]).to_owned(),
            _ => (1901 + (99 + dice.below(255)) % 255).to_string(),
        },
        Kind::Date if no_day(dice) => dice
            .pick(&["'0000-00-00'", "'2024-00-01'", "'2024-01-00'"])
            .to_owned(),
        Kind::Date => match dice.below(6) {
            5 => dice
                .pick(&[
                    "'1900-01-01'",
                    "'2299-12-31'",
                    "'1970-01-01'",
                    "'2024-02-29'",
                ])
                .to_owned(),
            _ => format!("'{}'", date(1900, 400, dice)),
        },
        Kind::DateTime(f) if no_day(dice) => {
            format!("'{}{}'", "0000-00-00 00:00:00", fraction(*f, dice))
        }
        Kind::DateTime(f) => match dice.below(8) {
            7 => format!("'9999-12-31 23:59:59{}'", &".999999"[..point(*f)]),
            6 => "'1000-01-01 00:00:00'".to_owned(),
            5 => format!("'1969-12-31 23:59:59{}'", &".999999"[..point(*f)]),
            _ => format!(
                "'{} {}{}'",
                date(1000, 9000, dice),
                clock(24, dice),
                fraction(*f, dice)
            ),
        },
        Kind::Timestamp(_) if no_day(dice) => "'0000-00-00 00:00:00'".to_owned(),
        Kind::Timestamp(f) => timestamp(*f, dice),
        Kind::Time(f) => match dice.below(6) {
            5 => dice
                .pick(&["'838:59:59'", "'-838:59:59'", "'24:00:00'", "'-00:00:01'"])
                .to_owned(),
            4 => format!("'-{}{}'", clock(838, dice), fraction(*f, dice)),
            _ => format!("'{}{}'", clock(838, dice), fraction(*f, dice)),
        },
        Kind::Text(size, charset, _) => text(*size, charset, dice),
        Kind::Bytes(size) => bytes(*size, dice),
        // By index; 0 is the error value, whose text is empty.
        Kind::Enum(members, _) => match dice.below(10) {
            9 if members.iter().all(|member| !member.is_empty()) => "0".to_owned(),
            _ => (1 + dice.below(members.len() as u64)).to_string(),
        },
        // By bits.
        Kind::Set(members, _) => (dice.any() & (u64::MAX >> (64 - members.len()))).to_string(),
        Kind::Json => literal(&json(30, dice)),
        Kind::Geometry(shape, srid, depth) => {
            let text = self::shape(shape, *srid == 4326, *depth, dice);
            format!("ST_GeomFromText('{text}', {srid})")
        }
        Kind::Vector(size) => {
            let count = 1 + dice.below((*size).into());
            // MySQL's own parser refuses numbers that are too small to be normal.
            let number = |dice: &mut Dice| match float(f32::MAX.into(), false, dice) {
                text if text.parse().is_ok_and(f32::is_subnormal) => "-1.5".to_owned(),
                text => text,
            };
            let numbers: Vec<_> = (0..count).map(|_| number(dice)).collect();
            format!("TO_VECTOR('[{}]')", numbers.join(", "))
        }
        Kind::Uuid => {
            let id = u128::from(dice.any()) << 64 | u128::from(dice.any());
            format!("'{}'", uuid::Uuid::from_u128(id))
        }
        Kind::Inet4 => format!("'{}'", std::net::Ipv4Addr::from(dice.any() as u32)),
        Kind::Inet6 => {
            let low = u128::from(dice.any());
            let high = dice.pick(&[0, 1, 2, 3]);
            let address = match high {
                0 => low,
                1 => 0xFFFF_0000_0000 | (low & 0xFFFF_FFFF),
                2 => u128::MAX,
                _ => u128::from(dice.any()) << 64 | low,
            };
            format!("'{}'", std::net::Ipv6Addr::from(address))
        }
    }
}

fn int(bits: u8, unsigned: bool, dice: &mut Dice) -> String {
    let (least, greatest) = match unsigned {
        true => (0, (1i128 << bits) - 1),
        false => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
    };
    let value = match dice.below(8) {
        7 => least,
        6 => greatest,
        5 => least + 1,
        4 => -1,
        0..2 => i128::from(dice.below(100)),
        _ => least + i128::from(dice.any()),
    };
    value.clamp(least, greatest).to_string()
}

fn decimal(precision: u8, scale: u8, unsigned: bool, dice: &mut Dice) -> String {
    let whole = precision - scale;
    let digits = match dice.below(6) {
        5 => "9".repeat(precision.into()),
        4 => format!("{}1", "0".repeat(usize::from(precision) - 1)),
        3 => format!("1{}", "0".repeat(usize::from(precision) - 1)),
        0 => format!("{:0>width$}", dice.below(10), width = precision.into()),
        _ => dice.digits(precision),
    };
    let (whole, fraction) = digits.split_at(whole.into());
    let sign = if !unsigned && dice.below(2) == 1 {
        "-"
    } else {
        ""
    };
    format!(
        "{sign}{}.{}",
        if whole.is_empty() { "0" } else { whole },
        if fraction.is_empty() { "0" } else { fraction }
    )
}

fn float(greatest: f64, unsigned: bool, dice: &mut Dice) -> String {
    let is_single = greatest < 1e300;
    let value = match dice.below(8) {
        7 => greatest,
        6 => {
            if is_single {
                f32::MIN_POSITIVE.into()
            } else {
                f64::MIN_POSITIVE
            }
        }
        5 => {
            if is_single {
                f32::from_bits(1).into()
            } else {
                f64::from_bits(1)
            }
        }
        4 => -0.0,
        3 => 0.1,
        0 => dice.below(100) as f64,
        _ => {
            if is_single {
                f32::from_bits(dice.any() as u32).into()
            } else {
                f64::from_bits(dice.any())
            }
        }
    };
    let value = if value.is_finite() { value } else { 1.5 };
    format!("{:e}", if unsigned { value.abs() } else { value })
}

/// A date of so many years; the simplest is the first day of the 101st.
fn date(first: u64, years: u64, dice: &mut Dice) -> jiff::civil::Date {
    let year = (first + (100 + dice.below(years)) % years) as i16;
    let month = jiff::civil::date(year, 1 + dice.below(12) as i8, 1);
    month
        .with()
        .day(1 + dice.below(month.days_in_month() as u64) as i8)
        .build()
        .expect("a day")
}

fn clock(hours: u64, dice: &mut Dice) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        dice.below(hours),
        dice.below(60),
        dice.below(60)
    )
}

/// How long a fraction of so many digits is, with its point.
fn point(digits: u8) -> usize {
    if digits == 0 {
        0
    } else {
        usize::from(digits) + 1
    }
}

fn fraction(digits: u8, dice: &mut Dice) -> String {
    let written = match dice.below(4) {
        3 => "9".repeat(digits.into()),
        2 => "0".repeat(digits.into()),
        _ => dice.digits(digits),
    };
    if digits == 0 {
        written
    } else {
        format!(".{written}")
    }
}

fn timestamp(digits: u8, dice: &mut Dice) -> String {
    let seconds = match dice.below(5) {
        4 => 1,
        3 => i64::from(i32::MAX) - 1,
        _ => 1 + dice.below(i32::MAX as u64 - 1) as i64,
    };
    let moment = jiff::Timestamp::from_second(seconds).expect("in range");
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    format!(
        "'{} {}{}'",
        moment.date(),
        moment.time(),
        fraction(digits, dice)
    )
}

fn text(size: Size, charset: &Charset, dice: &mut Dice) -> String {
    // A TINYTEXT has 255 bytes.
    let longest = match size {
        Size::Fixed(n) => n.into(),
        Size::Varying(n) => n.into(),
        Size::Long(_) => 60,
    };
    let length = match dice.below(8) {
        7 => longest,
        6 => 0,
        5 => dice.below(longest + 1),
        _ => dice.below(longest.min(8) + 1),
    };
    let text: String = (0..length)
        .map(|_| charset.character(dice.below(charset.size())))
        .collect();
    match size {
        Size::Long(name) if name != "TINYTEXT" && dice.below(30) == 29 => {
            let times = if name == "TEXT" {
                200
            } else {
                dice.pick(&[200, 20_000])
            };
            format!(
                "REPEAT({}, {times})",
                literal(&text.chars().take(8).collect::<String>())
            )
        }
        _ => literal(&text),
    }
}

fn bytes(size: Size, dice: &mut Dice) -> String {
    let longest = match size {
        Size::Fixed(n) => n.into(),
        Size::Varying(n) => n.into(),
        Size::Long(_) => 255,
    };
    let length = match dice.below(8) {
        7 => longest,
        6 => 0,
        _ => dice.below(longest.min(20) + 1),
    };
    let bytes: Vec<u8> = (0..length).map(|_| dice.any() as u8).collect();
    format!("X'{}'", hex::encode_upper(bytes))
}

fn json(depth: u32, dice: &mut Dice) -> String {
    const STRINGS: [&str; 8] = [
        r#""""#,
        r#""a""#,
        r#""é日🦀""#,
        r#""\u0000\ud83e\udd80""#,
        r#""\"\\\/\b\n""#,
        r#""a'b;`""#,
        r#"" ""#,
        r#""\u001f""#,
    ];
    const NUMBERS: [&str; 11] = [
        "0",
        "-1",
        "1.0",
        "-0.0",
        "1e308",
        "1.5e-7",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "0.1",
        "123456789012345678901234567890.123456789",
    ];
    match dice.below(8) {
        0 => dice.pick(&NUMBERS).to_owned(),
        1 => dice.pick(&STRINGS).to_owned(),
        2 => dice.pick(&["null", "true", "false", "[]", "{}"]).to_owned(),
        3 => format!(
            "{}1{}",
            "[".repeat(depth as usize),
            "]".repeat(depth as usize)
        ),
        4 if depth > 24 => {
            let items: Vec<_> = (0..dice.below(5)).map(|_| json(depth - 1, dice)).collect();
            format!("[{}]", items.join(","))
        }
        5 | 6 if depth > 24 => {
            // Keys twice, too.
            let pairs: Vec<_> = (0..dice.below(6))
                .map(|_| format!("{} : {}", dice.pick(&STRINGS), json(depth - 1, dice)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        _ => dice.pick(&NUMBERS).to_owned(),
    }
}

/// Well-known text of a shape. On the globe, coordinates are degrees.
fn shape(name: &str, globe: bool, depth: u32, dice: &mut Dice) -> String {
    const ALL: [&str; 7] = [
        "POINT",
        "LINESTRING",
        "POLYGON",
        "MULTIPOINT",
        "MULTILINESTRING",
        "MULTIPOLYGON",
        "GEOMETRYCOLLECTION",
    ];
    let parts = |part: &dyn Fn(&mut Dice) -> String, dice: &mut Dice| {
        let count = 1 + dice.below(3);
        (0..count).map(|_| part(dice)).collect::<Vec<_>>().join(",")
    };
    let point =
        |dice: &mut Dice| format!("{} {}", coordinate(globe, dice), coordinate(globe, dice));
    let line = |dice: &mut Dice| format!("(0 0,1 2,{})", parts(&point, dice));
    let ring = |dice: &mut Dice| {
        let (x, y) = (dice.below(80), dice.below(80));
        format!("({x} {y},{} {y},{} {},{x} {y})", x + 1, x + 1, y + 1)
    };
    let rings = |dice: &mut Dice| format!("({})", parts(&ring, dice));
    match name {
        "POINT" => format!("POINT({})", point(dice)),
        "LINESTRING" => format!("LINESTRING{}", line(dice)),
        "POLYGON" => format!("POLYGON{}", rings(dice)),
        // MariaDB knows no brackets around its points.
        "MULTIPOINT" => format!("MULTIPOINT({})", parts(&point, dice)),
        "MULTILINESTRING" => format!("MULTILINESTRING({})", parts(&line, dice)),
        "MULTIPOLYGON" => format!("MULTIPOLYGON({})", parts(&rings, dice)),
        "GEOMETRYCOLLECTION" if dice.below(4) == 3 => "GEOMETRYCOLLECTION EMPTY".to_owned(),
        "GEOMETRYCOLLECTION" => {
            let of = if depth > 1 { &ALL[..] } else { &ALL[..6] };
            let part = |dice: &mut Dice| shape(dice.pick(of), globe, depth - 1, dice);
            format!("GEOMETRYCOLLECTION({})", parts(&part, dice))
        }
        _ => {
            let name = dice.pick(&ALL);
            shape(name, globe, depth, dice)
        }
    }
}

fn coordinate(globe: bool, dice: &mut Dice) -> String {
    match dice.below(8) {
        7 if !globe => dice
            .pick(&[
                "1e300",
                "-1.7976931348623157e308",
                "5e-324",
                "123456789.12345678",
                "1e15",
                "1e21",
            ])
            .to_owned(),
        6 => dice.pick(&["-0.0", "1e-7", "0.1", "-90", "90"]).to_owned(),
        0..3 => dice.below(90).to_string(),
        _ => format!(
            "{:?}",
            (dice.any() >> 11) as f64 / (1u64 << 53) as f64 * 180.0 - 90.0
        ),
    }
}
