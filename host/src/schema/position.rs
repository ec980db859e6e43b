//! Where in the source's binlog a reading was taken.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::gtid::Gtids;

/// A place in the binlog. Two equal positions of one server mean that nothing was committed in between, if its binlog has every commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Position {
    /// The executed GTID set (MySQL) or the binlog's GTID position (MariaDB); none if the server has no GTIDs.
    pub gtid: Option<String>,
    /// The binlog file.
    pub file: String,
    /// The offset in that file, in bytes.
    pub offset: u64,
}

impl Position {
    /// Whether all that is behind `target` is behind this place, too. By GTIDs where both have them, of one kind; else by file and
    /// offset, which say nothing over a change of the server: files of another name are not reached.
    pub fn reached(&self, target: &Self) -> bool {
        let (have, want) = (&self.gtid, &target.gtid);
        Gtids::parse(have.as_deref())
            .contains(&Gtids::parse(want.as_deref()))
            .unwrap_or_else(|| {
                file_reached((&self.file, self.offset), (&target.file, target.offset))
            })
    }
}

/// Whether a file and offset are at least as far as others.
pub fn file_reached((file, offset): (&str, u64), (target, wanted): (&str, u64)) -> bool {
    match (file_number(file), file_number(target)) {
        (Some((base, number)), Some((target_base, target_number))) => {
            base == target_base && (number, offset) >= (target_number, wanted)
        }
        _ => file == target && offset >= wanted,
    }
}

/// The two parts of a binlog file's name: `binlog.000042` is the 42nd of `binlog`.
pub fn file_number(file: &str) -> Option<(&str, u64)> {
    let (base, number) = file.rsplit_once('.')?;
    Some((base, number.parse().ok()?))
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)?;
        match &self.gtid {
            Some(gtid) if !gtid.is_empty() => write!(f, " ({gtid})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn at(gtid: Option<&str>, file: &str, offset: u64) -> Position {
        Position {
            gtid: gtid.map(str::to_owned),
            file: file.to_owned(),
            offset,
        }
    }

    #[test]
    fn gtids_go_before_files() {
        let set = |numbers: &str| format!("{UUID}:{numbers}");
        let (ten, nine) = (set("1-10"), set("1-9"));
        // Another server's files, after a failover.
        assert!(at(Some(&ten), "a.000001", 4).reached(&at(Some(&nine), "b.000009", 900)));
        assert!(!at(Some(&nine), "b.000009", 900).reached(&at(Some(&ten), "a.000001", 4)));
        assert!(!at(Some(&set("2-10")), "b.2", 4).reached(&at(Some(&nine), "b.1", 4)));
        assert!(at(Some("0-1-10,1-1-3"), "b.1", 4).reached(&at(Some("0-2-10"), "b.2", 4)));
        assert!(!at(Some("0-1-9,1-1-3"), "b.2", 4).reached(&at(Some("0-1-10"), "b.1", 4)));
    }

    #[test]
    fn files_go_by_number() {
        let (file, next) = ("binlog.999999", "binlog.1000000");
        assert!(at(None, next, 4).reached(&at(None, file, 9000)));
        assert!(!at(None, file, 9000).reached(&at(None, next, 4)));
        assert!(at(None, file, 9000).reached(&at(None, file, 9000)));
        assert!(!at(None, file, 8999).reached(&at(None, file, 9000)));
        assert!(!at(None, "mysql-bin.000002", 4).reached(&at(None, "binlog.000001", 4)));
        // GTIDs of one side alone, or of two kinds, can't be compared.
        let (mysql, mariadb) = (format!("{UUID}:1-10"), "0-1-10");
        assert!(at(Some(&mysql), file, 8).reached(&at(None, file, 8)));
        assert!(!at(Some(&mysql), file, 7).reached(&at(Some(mariadb), file, 8)));
    }

    proptest! {
        #[test]
        fn places_of_one_binlog_are_in_order(
            one in (1..4u64, 4..9u64, 0..20u64), two in (1..4u64, 4..9u64, 0..20u64), kind in 0..3u8,
        ) {
            let place = |(file, offset, number): (u64, u64, u64)| {
                let gtid = match kind {
                    0 => None,
                    1 => Some(if number == 0 { String::new() } else { format!("{UUID}:1-{number}") }),
                    _ => Some(format!("0-1-{number}")),
                };
                at(gtid.as_deref(), &format!("binlog.{file:06}"), offset)
            };
            let (a, b) = (place(one), place(two));
            prop_assert!(a.reached(&a));
            prop_assert!(a.reached(&b) || b.reached(&a));
            let (key_a, key_b) = match kind {
                0 => ((one.0, one.1), (two.0, two.1)),
                _ => ((one.2, 0), (two.2, 0)),
            };
            prop_assert_eq!(a.reached(&b), key_a >= key_b);
        }
    }
}
