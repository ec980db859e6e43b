//! From the row images of the binlog into Arrow, with the same values as a snapshot's.
//!
//! A table's images become rows of batches of the same schema as the table's read; what each image is, and the version of its row event,
//! stand beside them. The two images of an update are never parted by the end of a batch.

use std::collections::HashMap;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use mysql_async::binlog::events::TableMapEvent;

use super::batch::{self, Gathered};
use super::charset::Charsets;
use super::column::ColumnDecoder;
use super::image::layout::{Layout, MapMisfit};
use super::{Fault, ReadLimits, TableRead};
use crate::schema::SourceTable;
use crate::source::SourceError;
use crate::source::binlog::{Change, Rows, TableMap};

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

/// Where the cells of the source key's columns are, in both images of an update: room that is used again and again.
#[derive(Default)]
struct Scratch {
    before: Vec<Range<usize>>,
    after: Vec<Range<usize>>,
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
                let closed = images.close()?;
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

/// A row of the binlog that has no name.
const UNNAMED: &str = "of the binlog (its key is not read)";

/// Whether the first bits are all set.
fn all_present(bits: &[u8], width: usize) -> bool {
    (0..width).all(|i| bits.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1))
}

/// Where images go, and how they are laid out.
struct Images<'a> {
    layout: &'a Layout,
    read: &'a TableRead,
    gathered: &'a mut Gathered,
    kinds: &'a mut Vec<ImageKind>,
    versions: &'a mut Vec<u64>,
    has_key: bool,
}

impl Images<'_> {
    /// Takes what a row event is about: an image, or both of an update.
    fn event(
        &mut self,
        rest: &mut &[u8],
        change: Change,
        pairs: Pairs,
        version: u64,
        scratch: &mut Scratch,
    ) -> Result<(), SourceError> {
        if self.layout.row_end.is_some() {
            return self.versioned(rest, change, version);
        }
        match change {
            Change::Insert => self.push(rest, ImageKind::Insert, version),
            Change::Delete => self.push(rest, ImageKind::Delete, version),
            Change::Update if pairs == Pairs::ChangedKeys && self.has_key => {
                let before = *rest;
                let after = &before[self.cells(before, &mut scratch.before)?..];
                self.cells(after, &mut scratch.after)?;
                if self.same_key(before, after, scratch) {
                    *rest = after;
                    return self.push(rest, ImageKind::After, version);
                }
                self.update(rest, version)
            }
            Change::Update => self.update(rest, version),
        }
    }

    fn update(&mut self, rest: &mut &[u8], version: u64) -> Result<(), SourceError> {
        self.push(rest, ImageKind::Before, version)?;
        self.push(rest, ImageKind::After, version)
    }

    /// The same of a table whose rows have versions. Those that are over are not the table's rows: a row is deleted by an update that ends
    /// it, and what is written beside it is history.
    fn versioned(
        &mut self,
        rest: &mut &[u8],
        change: Change,
        version: u64,
    ) -> Result<(), SourceError> {
        let first = *rest;
        let (is_current, length) = self.is_current(first)?;
        *rest = &first[length..];
        let (from, kind) = match change {
            Change::Insert => (first, is_current.then_some(ImageKind::Insert)),
            Change::Delete => (first, is_current.then_some(ImageKind::Delete)),
            Change::Update => {
                let after = *rest;
                let (stays_current, length) = self.is_current(after)?;
                *rest = &after[length..];
                match (is_current, stays_current) {
                    (true, true) => return self.update(&mut &first[..], version),
                    (true, false) => (first, Some(ImageKind::Delete)),
                    (false, true) => (after, Some(ImageKind::Insert)),
                    (false, false) => (first, None),
                }
            }
        };
        match kind {
            Some(kind) => self.push(&mut &from[..], kind, version),
            None => Ok(()),
        }
    }

    /// Whether an image is of a row that is current, and the image's length.
    fn is_current(&self, image: &[u8]) -> Result<(bool, usize), SourceError> {
        let mut is_current = true;
        let length = walk(self.layout, image, |i, cell| {
            if self.layout.row_end == Some(i) {
                is_current = FOREVER.contains(&&image[cell]);
            }
        });
        let length = length.map_err(|_| self.read.protocol(batch::SHORT))?;
        Ok((is_current, length))
    }

    /// Finds the cells of the source key's columns in an image, and returns the image's length.
    fn cells(&self, image: &[u8], found: &mut Vec<Range<usize>>) -> Result<usize, SourceError> {
        found.clear();
        let length = walk(self.layout, image, |i, cell| {
            if self.layout.slots[i].is_key {
                found.push(cell);
            }
        });
        length.map_err(|_| self.read.protocol(batch::SHORT))
    }

    fn same_key(&self, before: &[u8], after: &[u8], scratch: &Scratch) -> bool {
        let mut pairs = scratch.before.iter().zip(&scratch.after);
        pairs.all(|(was, is)| before[was.clone()] == after[is.clone()])
    }

    /// Takes the image that the bytes begin with.
    #[inline]
    fn push(&mut self, rest: &mut &[u8], kind: ImageKind, version: u64) -> Result<(), SourceError> {
        let image = *rest;
        let slots = &self.layout.slots;
        let Some((nulls, mut cells)) = image.split_at_checked(slots.len().div_ceil(8)) else {
            return Err(self.read.protocol(batch::SHORT));
        };
        for (i, slot) in slots.iter().enumerate() {
            let is_null = nulls[i / 8] >> (i % 8) & 1 == 1;
            let Some((at, content)) = &slot.target else {
                if !is_null && slot.frame.take(&mut cells).is_err() {
                    return Err(self.read.protocol(batch::SHORT));
                }
                continue;
            };
            let column = &mut self.gathered.columns[*at];
            if is_null {
                if !column.push_null() {
                    return Err(self.read.was_not_null(*at));
                }
                continue;
            }
            let pushed = slot
                .frame
                .take(&mut cells)
                .and_then(|cell| column.push_image(content, cell));
            if let Err(fault) = pushed {
                return Err(self.fault(*at, fault, image));
            }
        }
        *rest = cells;
        self.gathered.rows += 1;
        self.kinds.push(kind);
        self.versions.push(version);
        Ok(())
    }

    fn close(&mut self) -> Result<Option<Changes>, SourceError> {
        close(self.gathered, self.read, self.kinds, self.versions)
    }

    #[cold]
    fn fault(&self, column: usize, fault: Fault, image: &[u8]) -> SourceError {
        match fault {
            Fault::Short => self.read.protocol(batch::SHORT),
            Fault::Value(problem) => self.read.value(column, self.row_name(image), &problem),
        }
    }

    /// The name of a row by its image: its key is decoded by itself, cells that can't be are left out.
    fn row_name(&self, image: &[u8]) -> String {
        let columns = &self.read.columns;
        let mut decoders: Vec<_> = columns.iter().map(ColumnDecoder::lenient).collect();
        let slots = &self.layout.slots;
        let (nulls, mut cells) = image.split_at(slots.len().div_ceil(8));
        for (i, slot) in slots.iter().enumerate() {
            let is_null = nulls[i / 8] >> (i % 8) & 1 == 1;
            let cell = match is_null {
                true => None,
                false => slot.frame.take(&mut cells).ok(),
            };
            let Some((at, content)) = &slot.target else {
                continue;
            };
            let pushed = cell.is_some_and(|cell| decoders[*at].push_image(content, cell).is_ok());
            if !pushed {
                decoders[*at] = ColumnDecoder::lenient(&columns[*at]);
                decoders[*at].push_null();
            }
        }
        let arrays: Vec<ArrayRef> = decoders
            .iter_mut()
            .map(|decoder| decoder.finish().0)
            .collect();
        self.read
            .row_name(&arrays, 0)
            .unwrap_or_else(|| UNNAMED.to_owned())
    }
}

/// The ends of rows that are current: the last moment of TIMESTAMP(6) with 31 and with 32 bits, and the last number of a transaction.
const FOREVER: [&[u8]; 3] = [
    &[0x7F, 0xFF, 0xFF, 0xFF, 0x0F, 0x42, 0x3F],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x42, 0x3F],
    &[0xFF; 8],
];

/// Steps over an image and says where each column's cell is, an empty one for NULL; returns the image's length.
#[inline]
fn walk(
    layout: &Layout,
    image: &[u8],
    mut each: impl FnMut(usize, Range<usize>),
) -> Result<usize, Fault> {
    let slots = &layout.slots;
    let (nulls, mut cells) = image
        .split_at_checked(slots.len().div_ceil(8))
        .ok_or(Fault::Short)?;
    for (i, slot) in slots.iter().enumerate() {
        let is_null = nulls[i / 8] >> (i % 8) & 1 == 1;
        let cell = match is_null {
            true => &[],
            false => slot.frame.take(&mut cells)?,
        };
        let end = image.len() - cells.len();
        each(i, end - cell.len()..end);
    }
    Ok(image.len() - cells.len())
}
