//! From row images to rows: what an insert, an update or a deletion at the source means for a table behind its transforms.
//!
//! | at the source | the new row passes the filter | it doesn't |
//! | --- | --- | --- |
//! | insert | written | nothing |
//! | update, the old row had passed | written; the old row deleted, if it is another one after the transforms | the old row deleted |
//! | update, the old row had not passed | written | nothing |
//! | deletion | the old row deleted, as the transforms make it | nothing |

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;

use crate::destination::SameRow;
use crate::source::ImageKind;

/// The rows that changes come to.
pub(super) struct Rows {
    /// The rows, in the order of the changes.
    pub(super) batch: RecordBatch,
    /// 1 for a deletion.
    pub(super) deleted: Vec<u8>,
    /// Each row's version.
    pub(super) versions: Vec<u64>,
}

/// Which rows are written for images of these kinds and versions. `batch` has the images that passed, `origins` the number of the image
/// that each came from, `identity` the columns that tell rows apart.
///
/// # Errors
/// A type of a column of `identity` that has no order.
pub(super) fn rows(
    kinds: &[ImageKind],
    versions: &[u64],
    batch: &RecordBatch,
    origins: &[usize],
    identity: &[usize],
) -> Result<Rows, ArrowError> {
    let mut place: Vec<Option<usize>> = vec![None; kinds.len()];
    for (row, &image) in origins.iter().enumerate() {
        place[image] = Some(row);
    }
    let same = match kinds.contains(&ImageKind::Before) {
        true => Some(SameRow::new(batch, identity)?),
        false => None,
    };
    let is_same = |a, b| same.as_ref().is_some_and(|same| same.is_same(a, b));
    let mut keep = vec![false; batch.num_rows()];
    let mut rows = (
        Vec::with_capacity(keep.len()),
        Vec::with_capacity(keep.len()),
    );
    let mut write = |row: usize, deleted: u8, version: u64| {
        keep[row] = true;
        rows.0.push(deleted);
        rows.1.push(version);
    };
    for (image, kind) in kinds.iter().enumerate() {
        let Some(row) = place[image] else { continue };
        match kind {
            ImageKind::Insert | ImageKind::After => write(row, 0, versions[image]),
            ImageKind::Delete => write(row, 1, versions[image]),
            ImageKind::Before => match place.get(image + 1).copied().flatten() {
                Some(after) if is_same(row, after) => {}
                _ => write(row, 1, versions[image]),
            },
        }
    }
    let (deleted, versions) = rows;
    let batch = match deleted.len() == batch.num_rows() {
        true => batch.clone(),
        false => filter_record_batch(batch, &BooleanArray::from(keep))?,
    };
    Ok(Rows {
        batch,
        deleted,
        versions,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int32Array};
    use arrow::datatypes::Int32Type;

    use super::*;
    use ImageKind::{After, Before, Delete, Insert};

    /// Images with the keys that they have after the transforms; none for one that was filtered. The rows: key, deleted, version.
    fn written(images: &[(ImageKind, Option<i32>)]) -> Vec<(i32, u8, u64)> {
        let kinds: Vec<ImageKind> = images.iter().map(|(kind, _)| *kind).collect();
        let mut version = 0;
        let versions: Vec<u64> = kinds
            .iter()
            .enumerate()
            .map(|(i, kind)| {
                let goes_on = *kind == After && i > 0 && kinds[i - 1] == Before;
                version += u64::from(!goes_on);
                version
            })
            .collect();
        let passed = images.iter().enumerate();
        let (origins, keys): (Vec<usize>, Vec<i32>) = passed
            .filter_map(|(i, (_, key))| Some((i, (*key)?)))
            .unzip();
        let batch =
            RecordBatch::try_from_iter([("k", Arc::new(Int32Array::from(keys)) as ArrayRef)])
                .expect("one column");
        let rows = rows(&kinds, &versions, &batch, &origins, &[0]).expect("ordered");
        let keys = rows.batch.column(0).as_primitive::<Int32Type>().values();
        let keyed = keys.iter().zip(rows.deleted).zip(rows.versions);
        keyed
            .map(|((key, deleted), version)| (*key, deleted, version))
            .collect()
    }

    #[test]
    fn each_change_comes_to_its_rows() {
        for (images, expected) in [
            (&[(Insert, Some(1))][..], &[(1, 0, 1)][..]),
            (&[(Insert, None)], &[]),
            (&[(Delete, Some(1))], &[(1, 1, 1)]),
            (&[(Delete, None)], &[]),
            (&[(After, Some(1))], &[(1, 0, 1)]),
            (&[(Before, Some(1)), (After, Some(1))], &[(1, 0, 1)]),
            (
                &[(Before, Some(1)), (After, Some(2))],
                &[(1, 1, 1), (2, 0, 1)],
            ),
            (&[(Before, Some(1)), (After, None)], &[(1, 1, 1)]),
            (&[(Before, None), (After, Some(1))], &[(1, 0, 1)]),
            (&[(Before, None), (After, None)], &[]),
            (
                &[
                    (Insert, Some(1)),
                    (Before, Some(1)),
                    (After, Some(2)),
                    (Delete, Some(2)),
                ],
                &[(1, 0, 1), (1, 1, 2), (2, 0, 2), (2, 1, 3)],
            ),
        ] {
            assert_eq!(written(images), expected, "{images:?}");
        }
    }
}
