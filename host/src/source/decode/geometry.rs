//! Spatial values: MySQL's own form (SRID, then WKB) into WKT, with `SRID=n;` before it where it isn't 0.
//!
//! Coordinates stand in the order in which they are stored, x (longitude) before y (latitude), as PostGIS writes them, whatever
//! axis order the reference system has. Numbers are as short as they can be and still read back to the same bits.

use std::fmt::Write;

/// Collections may contain collections; deeper than this nobody means it.
const DEEPEST: usize = 32;

/// Appends the text of a spatial value; MariaDB's value of no bytes has none. None if the value is malformed.
pub(super) fn ewkt(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if value.is_empty() {
        return Some(());
    }
    let (srid, wkb) = value.split_first_chunk::<4>()?;
    let mut text = Text {
        rest: wkb,
        out: String::new(),
    };
    let srid = u32::from_le_bytes(*srid);
    if srid != 0 {
        write!(text.out, "SRID={srid};").ok()?;
    }
    text.geometry(0)?;
    text.rest
        .is_empty()
        .then(|| out.extend_from_slice(text.out.as_bytes()))
}

/// The flag of a kind that says that an SRID follows it, as PostGIS has it.
const SRID_FLAG: u32 = 0x2000_0000;

/// Appends a spatial value as WKB or, where its SRID isn't 0, as EWKB. None if the value is malformed.
pub(super) fn ewkb(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if value.is_empty() {
        return Some(());
    }
    let (srid, wkb) = value.split_first_chunk::<4>()?;
    if *srid == [0; 4] {
        out.extend_from_slice(wkb);
        return Some(());
    }
    // MySQL stores all of it in little-endian order.
    let (&[1, kind @ ..], rest) = wkb.split_first_chunk::<5>()? else {
        return None;
    };
    out.push(1);
    out.extend_from_slice(&(u32::from_le_bytes(kind) | SRID_FLAG).to_le_bytes());
    out.extend_from_slice(srid);
    out.extend_from_slice(rest);
    Some(())
}

struct Text<'a> {
    rest: &'a [u8],
    out: String,
}

impl Text<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn number(&mut self, little: bool) -> Option<u32> {
        let bytes = self.bytes()?;
        Some(if little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    /// Byte order and kind.
    fn header(&mut self) -> Option<(bool, u32)> {
        let [order] = self.bytes()?;
        let little = order == 1;
        Some((little, self.number(little)?))
    }

    fn geometry(&mut self, depth: usize) -> Option<()> {
        let (little, kind) = self.header()?;
        let name = match kind {
            1 => "POINT",
            2 => "LINESTRING",
            3 => "POLYGON",
            4 => "MULTIPOINT",
            5 => "MULTILINESTRING",
            6 => "MULTIPOLYGON",
            7 => "GEOMETRYCOLLECTION",
            _ => return None,
        };
        self.out.push_str(name);
        match kind {
            1 => {
                self.out.push('(');
                self.point(little)?;
                self.out.push(')');
                Some(())
            }
            2 | 3 => self.body(kind, little),
            _ if depth == DEEPEST => None,
            _ => self.list(little, |text| {
                if kind == 7 {
                    return text.geometry(depth + 1);
                }
                // A part of a multi-geometry has a header of its own, and its kind goes without saying.
                let (little, part) = text.header()?;
                (part == kind - 3).then_some(())?;
                text.body(part, little)
            }),
        }
    }

    fn body(&mut self, kind: u32, little: bool) -> Option<()> {
        match kind {
            1 => {
                self.out.push('(');
                self.point(little)?;
                self.out.push(')');
                Some(())
            }
            2 => self.list(little, |text| text.point(little)),
            _ => self.list(little, |ring| ring.list(little, |text| text.point(little))),
        }
    }

    /// A count, and as many items.
    fn list(&mut self, little: bool, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let count = self.number(little)?;
        if count == 0 {
            self.out.push_str(" EMPTY");
            return Some(());
        }
        self.out.push('(');
        for i in 0..count {
            if i > 0 {
                self.out.push(',');
            }
            item(self)?;
        }
        self.out.push(')');
        Some(())
    }

    fn point(&mut self, little: bool) -> Option<()> {
        self.coordinate(little)?;
        self.out.push(' ');
        self.coordinate(little)
    }

    fn coordinate(&mut self, little: bool) -> Option<()> {
        let bytes = self.bytes()?;
        let value = if little {
            f64::from_le_bytes(bytes)
        } else {
            f64::from_be_bytes(bytes)
        };
        // `{}` never has an exponent, `{:?}` has one where it is shorter but writes `1.0`.
        let small = value.abs() < 1e15 && value.fract() == 0.0;
        if small {
            write!(self.out, "{value}")
        } else {
            write!(self.out, "{value:?}")
        }
        .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(x: f64, y: f64) -> Vec<u8> {
        [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat()
    }

    fn text(value: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        ewkt(value, &mut out)?;
        String::from_utf8(out).ok()
    }

    #[test]
    fn geometries_are_written() {
        let at = |srid: u32, wkb: &[u8]| text(&[&srid.to_le_bytes()[..], wkb].concat());
        assert_eq!(at(0, &point(1.0, -2.5)).as_deref(), Some("POINT(1 -2.5)"));
        assert_eq!(
            at(4326, &point(1e300, 1e-7)).as_deref(),
            Some("SRID=4326;POINT(1e300 1e-7)")
        );
        let multi = [
            &[1, 4, 0, 0, 0, 2, 0, 0, 0][..],
            &point(0.0, 1.0),
            &point(2.0, 3.0),
        ]
        .concat();
        assert_eq!(at(0, &multi).as_deref(), Some("MULTIPOINT((0 1),(2 3))"));
        assert_eq!(
            at(0, &[1, 7, 0, 0, 0, 0, 0, 0, 0]).as_deref(),
            Some("GEOMETRYCOLLECTION EMPTY")
        );
        let collection = [&[1, 7, 0, 0, 0, 1, 0, 0, 0][..], &multi].concat();
        assert_eq!(
            at(0, &collection).as_deref(),
            Some("GEOMETRYCOLLECTION(MULTIPOINT((0 1),(2 3)))")
        );
        assert_eq!(at(0, &[&point(0.0, 0.0)[..], &[0]].concat()), None);
    }

    #[test]
    fn no_bytes_are_no_text() {
        let mut out = Vec::new();
        assert_eq!(
            (ewkt(&[], &mut out), ewkb(&[], &mut out)),
            (Some(()), Some(()))
        );
        assert!(out.is_empty());
    }

    #[test]
    fn wkb_keeps_the_srid() {
        let at = |srid: u32| {
            let mut out = Vec::new();
            ewkb(
                &[&srid.to_le_bytes()[..], &point(1.0, 2.0)].concat(),
                &mut out,
            )?;
            Some(out)
        };
        assert_eq!(at(0), Some(point(1.0, 2.0)));
        let ewkb = at(4326).expect("a point");
        assert_eq!(ewkb[..9], [1, 1, 0, 0, 0x20, 0xE6, 0x10, 0, 0]);
        assert_eq!(ewkb[9..], point(1.0, 2.0)[5..]);
    }

    #[test]
    fn collections_without_end_are_refused() {
        let nested = [&[0; 4][..], &[1, 7, 0, 0, 0, 1, 0, 0, 0].repeat(100_000)].concat();
        assert_eq!(text(&nested), None);
    }

    proptest! {
        #[test]
        fn coordinates_read_back_to_the_same_bits(x in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
            let text = text(&[&[0; 4][..], &point(x, 0.0)].concat()).expect("a point");
            let back: f64 = text["POINT(".len()..text.find(' ').expect("two coordinates")].parse().expect("a number");
            prop_assert_eq!(back.to_bits(), x.to_bits());
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(0u8..9, 0..200)) {
            let _ = text(&bytes);
        }
    }
}
