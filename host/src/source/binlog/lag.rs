//! How much binlog is still to be read.

use crate::schema::Position;
use crate::schema::position::file_number;
use crate::source::connect::{Source, cell};
use crate::source::error::SourceError;

const ACTION: &str = "the list of binlogs";
/// The server has no binlog.
const NO_BINLOG: u16 = 1381;

impl Source {
    /// How many bytes of binlog are between a position and where the server is now; none if the server doesn't tell, or has no such file.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn binlog_bytes_after(
        &self,
        position: &Position,
    ) -> Result<Option<u64>, SourceError> {
        let mut control = self.control().await?;
        let rows = control.rows("SHOW BINARY LOGS", vec![], ACTION).await;
        control.close().await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(SourceError::Server {
                code: NO_BINLOG, ..
            }) => return Ok(None),
            Err(error) if error.is_privilege() => return Ok(None),
            Err(error) => return Err(error),
        };
        let files = rows
            .iter()
            .filter_map(|row| cell::<String>(row, 0).zip(cell::<u64>(row, 1)));
        Ok(bytes_after(position, files))
    }
}

/// The sizes of the files behind a position, and of the rest of its own.
fn bytes_after(position: &Position, files: impl Iterator<Item = (String, u64)>) -> Option<u64> {
    let from = file_number(&position.file)?;
    let mut found = false;
    let mut bytes = 0u64;
    for (file, size) in files {
        let Some((base, number)) = file_number(&file) else {
            continue;
        };
        if (base, number) == from {
            found = true;
            bytes += size.saturating_sub(position.offset);
        } else if base == from.0 && number > from.1 {
            bytes += size;
        }
    }
    found.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_file_and_all_behind_it() {
        let files = || {
            [
                ("binlog.000009", 500),
                ("binlog.000010", 700),
                ("binlog.000011", 40),
            ]
            .into_iter()
            .map(|(file, size)| (file.to_owned(), size))
        };
        let after = |file: &str, offset| {
            let file = file.to_owned();
            bytes_after(
                &Position {
                    gtid: None,
                    file,
                    offset,
                },
                files(),
            )
        };
        assert_eq!(after("binlog.000009", 4), Some(496 + 700 + 40));
        assert_eq!(after("binlog.000011", 40), Some(0));
        assert_eq!(
            after("binlog.000011", 50),
            Some(0),
            "the list is older than the position"
        );
        assert_eq!(after("binlog.000008", 4), None, "purged");
        assert_eq!(after("mysql-bin.000009", 4), None, "another server's");
    }
}
