//! Sets of global transaction ids: what a place in the binlog has behind it.
//!
//! MySQL numbers the transactions of each source (`uuid`, since 8.3 also `uuid:tag`), and a place is the set of all that were
//! executed: [`GtidSet`]. MariaDB numbers those of each domain in a row, and a place is the last one of each domain:
//! [`DomainGtids`]. Both are read from the server's text and written as the server writes it.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

/// The largest transaction number that MySQL gives.
const LAST: u64 = i64::MAX as u64;

/// MySQL's GTID set. Written as the server does: sources in order, tags in order behind each one, neighbouring numbers joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet {
    /// The numbers of each source, as ranges `start..end` in order, with gaps between them.
    ranges: BTreeMap<(Uuid, String), Vec<(u64, u64)>>,
}

impl GtidSet {
    /// Reads a set as the server writes it; blanks and line breaks don't matter. None if it isn't one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for source in text.split(',').map(str::trim) {
            if source.is_empty() {
                continue;
            }
            let mut parts = source.split(':').map(str::trim);
            let uuid = Uuid::try_parse(parts.next()?).ok()?;
            let mut tag = String::new();
            let mut numbers = 0;
            for part in parts {
                if part.starts_with(|c: char| c.is_ascii_digit()) {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                    if first == 0 || last > LAST {
                        return None;
                    }
                    if first <= last {
                        set.insert(uuid, &tag, first, last + 1);
                    }
                    numbers += 1;
                } else {
                    tag = tag_name(part)?;
                }
            }
            if numbers == 0 {
                return None;
            }
        }
        Some(set)
    }

    /// Takes in one transaction.
    pub fn add(&mut self, uuid: Uuid, tag: &str, number: u64) {
        self.insert(uuid, tag, number, number.saturating_add(1));
    }

    /// Whether every transaction of `other` is in this set.
    pub fn contains(&self, other: &Self) -> bool {
        other.ranges.iter().all(|(source, wanted)| {
            let Some(ranges) = self.ranges.get(source) else {
                return wanted.is_empty();
            };
            wanted.iter().all(|&(start, end)| {
                let after = ranges.partition_point(|range| range.0 <= start);
                after > 0 && ranges[after - 1].1 >= end
            })
        })
    }

    /// Whether there is no transaction in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The text of each source and tag by itself: `uuid:1-5:7`, `uuid:tag:1-3`.
    pub fn sources(&self) -> impl Iterator<Item = String> {
        self.ranges.iter().map(|((uuid, tag), ranges)| {
            let mut text = uuid.to_string();
            if !tag.is_empty() {
                text.push(':');
                text.push_str(tag);
            }
            for range in ranges {
                text.push(':');
                text.push_str(&numbers(*range));
            }
            text
        })
    }

    /// Takes in `start..end`, and joins it with its neighbours.
    fn insert(&mut self, uuid: Uuid, tag: &str, start: u64, end: u64) {
        let ranges = self.ranges.entry((uuid, tag.to_owned())).or_default();
        match ranges.last_mut() {
            // The way of nearly every transaction: the next number of its source.
            Some(last) if last.1 == start => last.1 = end,
            _ => {
                let first = ranges.partition_point(|range| range.1 < start);
                let behind = ranges.partition_point(|range| range.0 <= end);
                let joined = ranges[first..behind]
                    .iter()
                    .fold((start, end), |all, range| {
                        (all.0.min(range.0), all.1.max(range.1))
                    });
                ranges.splice(first..behind, [joined]);
            }
        }
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<&Uuid> = None;
        for ((uuid, tag), ranges) in &self.ranges {
            if before != Some(uuid) {
                let comma = if before.is_some() { "," } else { "" };
                write!(f, "{comma}{uuid}")?;
            }
            before = Some(uuid);
            if !tag.is_empty() {
                write!(f, ":{tag}")?;
            }
            for range in ranges {
                write!(f, ":{}", numbers(*range))?;
            }
        }
        Ok(())
    }
}

/// A range as MySQL writes it: `7`, `1-5`.
fn numbers((start, end): (u64, u64)) -> String {
    match end - start {
        1 => start.to_string(),
        _ => format!("{start}-{}", end - 1),
    }
}

/// A tag in the server's spelling; none if it isn't one.
fn tag_name(text: &str) -> Option<String> {
    let name = text.to_ascii_lowercase();
    let first = name.chars().next()?;
    let right = (first == '_' || first.is_ascii_lowercase())
        && name.len() <= 32
        && name
            .chars()
            .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit());
    right.then_some(name)
}

/// The last transaction of each of MariaDB's domains: `0-1-100,5-2-7`, in the order of domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainGtids {
    /// Server and number by domain.
    last: BTreeMap<u32, (u32, u64)>,
}

impl DomainGtids {
    /// Reads what MariaDB writes, as in `@@gtid_binlog_pos`. None if it isn't that.
    pub fn parse(text: &str) -> Option<Self> {
        let mut gtids = Self::default();
        for gtid in text.split(',').map(str::trim) {
            if gtid.is_empty() {
                continue;
            }
            let mut parts = gtid.split('-');
            let domain = parts.next()?.parse().ok()?;
            let server = parts.next()?.parse().ok()?;
            let number = parts.next()?.parse().ok()?;
            if parts.next().is_some() {
                return None;
            }
            // Where a domain is there more than once, each server's last one was written, and the highest is the domain's.
            let known = gtids.last.get(&domain).is_some_and(|last| last.1 > number);
            if !known {
                gtids.set(domain, server, number);
            }
        }
        Some(gtids)
    }

    /// The last transaction of a domain is this one now.
    pub fn set(&mut self, domain: u32, server: u32, number: u64) {
        self.last.insert(domain, (server, number));
    }

    /// Whether every domain of `other` is at least as far here.
    pub fn contains(&self, other: &Self) -> bool {
        other.last.iter().all(|(domain, (_, wanted))| {
            self.last
                .get(domain)
                .is_some_and(|(_, number)| number >= wanted)
        })
    }

    /// Whether no domain has a transaction.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }
}

impl fmt::Display for DomainGtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (domain, (server, number))) in self.last.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{domain}-{server}-{number}")?;
        }
        Ok(())
    }
}

/// The transactions that a place in the binlog has behind it, on either server.
#[derive(Clone, Debug)]
pub enum Gtids {
    /// None are known: GTIDs are off.
    None,
    /// MySQL's.
    Set(GtidSet),
    /// MariaDB's.
    Domains(DomainGtids),
}

impl Gtids {
    /// Reads what a position says. An empty text, which fits both servers, counts as MySQL's.
    pub fn parse(text: Option<&str>) -> Self {
        let set = || text.and_then(GtidSet::parse).map(Self::Set);
        let domains = || text.and_then(DomainGtids::parse).map(Self::Domains);
        set().or_else(domains).unwrap_or(Self::None)
    }

    /// Whether all of `other` is in here; none where the two can't be compared.
    pub fn contains(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Set(have), Self::Set(want)) => Some(have.contains(want)),
            (Self::Domains(have), Self::Domains(want)) => Some(have.contains(want)),
            (Self::Domains(_), Self::Set(want)) if want.is_empty() => Some(true),
            (Self::Set(have), Self::Domains(want)) if have.is_empty() => Some(want.is_empty()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn a_set_is_written_as_the_server_writes_it() {
        for (text, written) in [
            (format!("{A}:1-5"), format!("{A}:1-5")),
            (format!("{A}:5:1-3:4"), format!("{A}:1-5")),
            (format!("{B}:7,\n{A}:1-3:9"), format!("{A}:1-3:9,{B}:7")),
            (
                format!("{A}:1:Two:1-2:one:3, {A}:two:3"),
                format!("{A}:1:one:3:two:1-3"),
            ),
            (format!("{A}:one:1"), format!("{A}:one:1")),
            (A.to_uppercase() + ":1", format!("{A}:1")),
            (String::new(), String::new()),
        ] {
            let set = GtidSet::parse(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(set.to_string(), written);
            assert_eq!(
                GtidSet::parse(&set.sources().collect::<Vec<_>>().join(",")),
                Some(set)
            );
        }
        for wrong in [
            A,
            "0-1-100",
            "x:1",
            &format!("{A}:0"),
            &format!("{A}:1:1-x"),
            &format!("{A}:tag"),
        ] {
            assert_eq!(GtidSet::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_domain_is_as_far_as_its_number() {
        let gtids = |text| DomainGtids::parse(text).unwrap();
        assert_eq!(gtids("5-2-7,0-1-100").to_string(), "0-1-100,5-2-7");
        assert_eq!(gtids("0-1-100,0-2-90").to_string(), "0-1-100");
        assert!(gtids("0-1-100,5-2-7").contains(&gtids("0-9-100")));
        assert!(!gtids("0-1-99,5-2-7").contains(&gtids("0-1-100")));
        assert!(!gtids("0-1-100").contains(&gtids("5-2-7")));
        assert!(gtids("0-1-100").contains(&gtids("")));
        for wrong in ["0-1", "0-1-2-3", "a-1-2", &format!("{A}:1")] {
            assert_eq!(DomainGtids::parse(wrong), None, "{wrong}");
        }
    }

    type Transactions = BTreeSet<(u8, u8, u64)>;

    fn of(transactions: &Transactions) -> GtidSet {
        let mut set = GtidSet::default();
        // In an order of their own, so that ranges are joined from all sides.
        let mut order: Vec<_> = transactions.iter().collect();
        order.sort_by_key(|(_, _, number)| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15), *number));
        for (source, tag, number) in order {
            let tag = ["", "a", "b"][usize::from(*tag)];
            set.add(Uuid::from_u128(u128::from(*source)), tag, *number);
        }
        set
    }

    proptest! {
        #[test]
        fn sets_are_sets(
            one in proptest::collection::btree_set((0..2u8, 0..3u8, 1..40u64), 0..60),
            two in proptest::collection::btree_set((0..2u8, 0..3u8, 1..40u64), 0..60),
        ) {
            let (a, b): (Transactions, Transactions) = (one, two);
            prop_assert_eq!(of(&a).contains(&of(&b)), a.is_superset(&b));
            let both: Transactions = a.union(&b).copied().collect();
            prop_assert!(of(&both).contains(&of(&a)) && of(&both).contains(&of(&b)));
            prop_assert_eq!(of(&a) == of(&b), a == b);
            prop_assert_eq!(of(&a).is_empty(), a.is_empty());
            let written = of(&a).to_string();
            prop_assert_eq!(GtidSet::parse(&written), Some(of(&a)));
            prop_assert_eq!(GtidSet::parse(&written).unwrap().to_string(), written);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-0-9a-f:, \\n]{0,80}") {
            let _ = GtidSet::parse(&text);
            let _ = DomainGtids::parse(&text);
        }
    }
}
