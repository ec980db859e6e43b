//! Spatial values: well-known binary, as MySQL gives it, and extended well-known text, as the copy has it, brought to one text
//! whose coordinates read back to the same bits.

/// The canonical text of `SRID;WKB in hex digits`.
pub(super) fn of_mysql(text: &str) -> Option<String> {
    let (srid, digits) = text.split_once(';')?;
    let bytes = hex::decode(digits).ok()?;
    let mut rest = &bytes[..];
    let mut out = match srid {
        "0" => String::new(),
        srid => format!("SRID={srid};"),
    };
    shape(&mut rest, &mut out, true)?;
    rest.is_empty().then_some(out)
}

/// The canonical text of extended well-known text: capitals, and each number as Rust writes it.
pub(super) fn of_ewkt(text: &str) -> Option<String> {
    let (srid, shape) = match text.split_once(';') {
        Some((srid, shape)) => (format!("{srid};"), shape),
        None => (String::new(), text),
    };
    let mut out = srid;
    let is_number = |c: char| c.is_ascii_digit() || "+-.".contains(c);
    let mut rest = shape;
    while let Some(first) = rest.chars().next() {
        if is_number(first) {
            let end = rest.find(|c| ",() ".contains(c)).unwrap_or(rest.len());
            out += &format!("{:?}", rest[..end].parse::<f64>().ok()?);
            rest = &rest[end..];
        } else {
            out.push(first.to_ascii_uppercase());
            rest = &rest[first.len_utf8()..];
        }
    }
    Some(out)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

/// A shape behind its byte order and type; its name is written where it doesn't go without saying.
fn shape(rest: &mut &[u8], out: &mut String, named: bool) -> Option<()> {
    // Both servers write the low byte first.
    let [1] = take(rest)? else { return None };
    let kind = u32::from_le_bytes(take(rest)?);
    if named {
        let names =
            "POINT LINESTRING POLYGON MULTIPOINT MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION";
        *out += names.split(' ').nth(kind.checked_sub(1)? as usize)?;
    }
    match kind {
        1 => {
            out.push('(');
            point(rest, out)?;
            out.push(')');
            Some(())
        }
        2 => list(rest, out, point),
        3 => list(rest, out, |rest, out| list(rest, out, point)),
        7 => list(rest, out, |rest, out| shape(rest, out, true)),
        _ => list(rest, out, |rest, out| shape(rest, out, false)),
    }
}

fn list(
    rest: &mut &[u8],
    out: &mut String,
    item: impl Fn(&mut &[u8], &mut String) -> Option<()>,
) -> Option<()> {
    let count = u32::from_le_bytes(take(rest)?);
    if count == 0 {
        out.push_str(" EMPTY");
        return Some(());
    }
    for i in 0..count {
        out.push(if i == 0 { '(' } else { ',' });
        item(rest, out)?;
    }
    out.push(')');
    Some(())
}

fn point(rest: &mut &[u8], out: &mut String) -> Option<()> {
    let (x, y) = (
        f64::from_le_bytes(take(rest)?),
        f64::from_le_bytes(take(rest)?),
    );
    *out += &format!("{x:?} {y:?}");
    Some(())
}

#[test]
fn binary_and_text_come_to_one_text() {
    let point = |x: f64, y: f64| {
        let bytes = [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat();
        hex::encode(bytes)
    };
    let same = |mysql: String, ewkt| assert_eq!(of_mysql(&mysql), of_ewkt(ewkt), "{ewkt}");
    same(format!("0;{}", point(1.0, -0.0)), "POINT(1 -0)");
    same(
        format!("4326;{}", point(1e300, 0.1)),
        "SRID=4326;POINT(1e300 0.1)",
    );
    let two = format!(
        "0;0104000000{}{}{}",
        "02000000",
        point(1.0, 2.0),
        point(3.0, 4.0)
    );
    same(two, "MULTIPOINT((1 2),(3 4))");
    let mixed = format!(
        "0;0107000000{}{}{}",
        "02000000",
        point(1.0, 2.0),
        "010700000000000000"
    );
    same(
        mixed,
        "GEOMETRYCOLLECTION(POINT(1 2),GEOMETRYCOLLECTION EMPTY)",
    );
    assert_ne!(
        of_mysql(&format!("0;{}", point(1.0, 0.0))),
        of_ewkt("POINT(1 -0)")
    );
    assert_eq!(of_mysql("0;01"), None);
}
