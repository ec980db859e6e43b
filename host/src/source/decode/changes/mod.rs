//! From the row images of the binlog into Arrow, with the same values as a snapshot's.
//!
//! A table's images become rows of batches of the same schema as the table's read; what each image is, and the version of its row event,
//! stand beside them. The two images of an update are never parted by the end of a batch.

mod images;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use arrow::array::RecordBatch;
use mysql_async::binlog::events::TableMapEvent;

use super::batch::Gathered;
use super::charset::Charsets;
use super::image::layout::{Layout, MapMisfit};
use super::{ReadLimits, TableRead};
use crate::schema::SourceTable;
use crate::source::SourceError;
use crate::source::binlog::{Change, Rows, TableMap};
use images::{Images, Scratch, UNNAMED};

/// Images of rows, in the order in which the server wrote them.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The images, in the schema of the table's read.
    pub images: RecordBatch,
    /// What each image is.
    pub kinds: Vec<ImageKind>,
    /// The version of each image's row event.
    pub versions: Vec<u64>,
}

/// What an image of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// A row that was inserted.
    Insert,
    /// A row that was deleted, as it was.
    Delete,
    /// A row before an update; the next image is its [`ImageKind::After`].
    Before,
    /// A row after an update.
    After,
}

/// Which updates have their image from before the change decoded, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// All.
    All,
    /// Those that change the source key; of a table without a key, all.
    ChangedKeys,
}

/// Table maps that are remembered; more than one at a time are in use only while a table is altered.
const MOST_MAPS: usize = 8;

/// Collects the row images of one table into Arrow batches. After an error it is of no further use.
pub struct ChangeDecoder {
    table: SourceTable,
    read: TableRead,
    charsets: Arc<Charsets>,
    pairs: Pairs,
    limits: ReadLimits,
    /// By the number of the table map: the map, and how its images are laid out, if it fits.
    layouts: HashMap<u64, (TableMapEvent<'static>, Result<Layout, MapMisfit>)>,
    gathered: Gathered,
    kinds: Vec<ImageKind>,
    versions: Vec<u64>,
    closed: Vec<Changes>,
    closed_images: usize,
    closed_bytes: usize,
    scratch: Scratch,
}

impl std::fmt::Debug for ChangeDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeDecoder")
            .field("table", &self.table.name)
            .field("images", &self.images())
            .finish()
    }
}

impl ChangeDecoder {
    /// A decoder for a table as it is known, of which these columns are read.
    pub fn new(
        table: &SourceTable,
        read: &TableRead,
        charsets: Arc<Charsets>,
        pairs: Pairs,
        limits: ReadLimits,
    ) -> Self {
        Self {
            table: table.clone(),
            read: read.clone(),
            charsets,
            pairs,
            limits,
            layouts: HashMap::new(),
            gathered: Gathered::new(read),
            kinds: Vec::new(),
            versions: Vec::new(),
            closed: Vec::new(),
            closed_images: 0,
            closed_bytes: 0,
            scratch: Scratch::default(),
        }
    }

    /// Takes a table map: from now on, rows of its number are decoded by it. One that is the same as before costs next to nothing.
    ///
    /// # Errors
    /// The map doesn't fit the table as it is known. Rows of that number are then refused.
    pub fn map(&mut self, map: &TableMap) -> Result<(), MapMisfit> {
        if let Some((known, layout)) = self.layouts.get(&map.table_id)
            && *known == map.map
        {
            return layout.as_ref().map(|_| ()).map_err(Clone::clone);
        }
        if self.layouts.len() >= MOST_MAPS {
            self.layouts.clear();
        }
        let layout = Layout::new(&map.map, &self.table, &self.read, &self.charsets);
        let result = layout.as_ref().map(|_| ()).map_err(Clone::clone);
        self.layouts.insert(map.table_id, (map.map.clone(), layout));
        result
    }

    /// Takes row images. The first row event gets this version, each next one 1 more. Returns how many row events there were, those
    /// included of which nothing is decoded.
    ///
    /// # Errors
    /// A value that its Arrow type can't hold, rows without a fitting table map, images without all columns.
    pub fn push(&mut self, rows: &Rows, first_version: u64) -> Result<u64, SourceError> {
        let layout = match self.layouts.get(&rows.table_id) {
            Some((_, Ok(layout))) => layout,
            Some((_, Err(misfit))) => return Err(self.read.protocol(misfit.to_string())),
            None => {
                return Err(self
                    .read
                    .protocol("row images without a table map before them"));
            }
        };
        if layout.slots.len() != rows.width {
            let reason = format!(
                "row images of {} columns behind a table map of {}",
                rows.width,
                layout.slots.len()
            );
            return Err(self.read.protocol(reason));
        }
        for (present, is_there) in [
            (&rows.present_before, rows.change != Change::Insert),
            (&rows.present_after, rows.change != Change::Delete),
        ] {
            if is_there && !all_present(present, rows.width) {
                return Err(self.read.protocol(
                    "a row image doesn't have all the columns; set binlog_row_image = FULL, for all sessions, and copy the table anew",
                ));
            }
        }
        let mut images = Images {
            layout,
            read: &self.read,
            gathered: &mut self.gathered,
            kinds: &mut self.kinds,
            versions: &mut self.versions,
            has_key: !self.table.key.is_empty(),
        };
        let mut rest = &rows.images[..];
        let mut version = first_version;
        while !rest.is_empty() {
            images.event(
                &mut rest,
                rows.change,
                self.pairs,
                version,
                &mut self.scratch,
            )?;
            version += 1;
            if images.gathered.is_full(self.limits) {
                let bytes = images.gathered.bytes();
                let closed = close(images.gathered, images.read, images.kinds, images.versions)?;
                self.closed_images += closed.as_ref().map_or(0, |closed| closed.kinds.len());
                self.closed_bytes += bytes;
                self.closed.extend(closed);
            }
        }
        Ok(version - first_version)
    }

    /// Images that were gathered since the last [`ChangeDecoder::take`].
    pub fn images(&self) -> usize {
        self.closed_images + self.gathered.rows
    }

    /// Bytes of Arrow memory that were gathered since the last [`ChangeDecoder::take`].
    pub fn bytes(&self) -> usize {
        self.closed_bytes + self.gathered.bytes()
    }

    /// All that was gathered, in batches that end at the limits, between two row events.
    ///
    /// # Errors
    /// A text that isn't UTF-8.
    pub fn take(&mut self) -> Result<Vec<Changes>, SourceError> {
        let closed = close(
            &mut self.gathered,
            &self.read,
            &mut self.kinds,
            &mut self.versions,
        )?;
        self.closed.extend(closed);
        (self.closed_images, self.closed_bytes) = (0, 0);
        Ok(mem::take(&mut self.closed))
    }
}

/// Closes the batch, if it has rows.
fn close(
    gathered: &mut Gathered,
    read: &TableRead,
    kinds: &mut Vec<ImageKind>,
    versions: &mut Vec<u64>,
) -> Result<Option<Changes>, SourceError> {
    let Some(images) = gathered.finish(read, |_| UNNAMED.to_owned())? else {
        return Ok(None);
    };
    Ok(Some(Changes {
        images,
        kinds: mem::take(kinds),
        versions: mem::take(versions),
    }))
}

/// Whether the first bits are all set.
fn all_present(bits: &[u8], width: usize) -> bool {
    (0..width).all(|i| bits.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1))
}
