//! Row images into the columns of a batch: which of them are rows of the table, and what they are.

use std::ops::Range;

use arrow::array::ArrayRef;

use super::super::batch::{self, Gathered};
use super::super::column::ColumnDecoder;
use super::super::image::layout::Layout;
use super::super::{Fault, TableRead};
use super::{ImageKind, Pairs};
use crate::source::SourceError;
use crate::source::binlog::Change;

/// Where the cells of the source key's columns are, in both images of an update: room that is used again and again.
#[derive(Default)]
pub(super) struct Scratch {
    before: Vec<Range<usize>>,
    after: Vec<Range<usize>>,
}

/// A row of the binlog that has no name.
pub(super) const UNNAMED: &str = "of the binlog (its key is not read)";

/// Where images go, and how they are laid out.
pub(super) struct Images<'a> {
    pub(super) layout: &'a Layout,
    pub(super) read: &'a TableRead,
    pub(super) gathered: &'a mut Gathered,
    pub(super) kinds: &'a mut Vec<ImageKind>,
    pub(super) versions: &'a mut Vec<u64>,
    pub(super) has_key: bool,
}

impl Images<'_> {
    /// Takes what a row event is about: an image, or both of an update.
    pub(super) fn event(
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
