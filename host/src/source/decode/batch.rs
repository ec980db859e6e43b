//! The columns of a batch that is being gathered.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};

use super::column::ColumnDecoder;
use super::{BEYOND_UNICODE, ReadLimits, TableRead};
use crate::source::SourceError;

/// What is wrong with a row that ends before its last cell does.
pub(super) const SHORT: &str = "a row is cut short";

/// Rows so far, column by column.
pub(super) struct Gathered {
    pub(super) columns: Vec<ColumnDecoder>,
    pub(super) rows: usize,
    /// Which columns have values of differing sizes.
    variable: Vec<usize>,
    fixed_row_bytes: usize,
}

impl Gathered {
    pub(super) fn new(read: &TableRead) -> Self {
        let columns: Vec<_> = read.columns.iter().map(ColumnDecoder::new).collect();
        Self {
            rows: 0,
            variable: (0..columns.len())
                .filter(|&i| columns[i].fixed_bytes() == 0)
                .collect(),
            fixed_row_bytes: columns.iter().map(ColumnDecoder::fixed_bytes).sum(),
            columns,
        }
    }

    /// Bytes of Arrow memory.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        let variable: usize = self
            .variable
            .iter()
            .map(|&i| self.columns[i].variable_bytes())
            .sum();
        self.rows * self.fixed_row_bytes + variable
    }

    /// Whether a limit is reached.
    #[inline]
    pub(super) fn is_full(&self, limits: ReadLimits) -> bool {
        self.rows >= limits.batch_rows || self.bytes() >= limits.batch_bytes
    }

    /// The rows as a batch, if there are any; the next one begins with as much room. A row whose key isn't read is named by its place.
    pub(super) fn finish(
        &mut self,
        read: &TableRead,
        unnamed: impl Fn(usize) -> String,
    ) -> Result<Option<RecordBatch>, SourceError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        let mut failed = None;
        for (i, column) in self.columns.iter_mut().enumerate() {
            let (array, bad_row) = column.finish();
            if let (Some(row), None) = (bad_row, &failed) {
                failed = Some((i, row));
            }
            arrays.push(array);
        }
        if let Some((column, row)) = failed {
            let name = read.row_name(&arrays, row).unwrap_or_else(|| unnamed(row));
            return Err(read.value(column, name, BEYOND_UNICODE));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(read.schema(), arrays, &options)
            .map_err(|cause| read.protocol(cause.to_string()))?;
        self.rows = 0;
        Ok(Some(batch))
    }
}
