//! Shapes out of the text that the source makes of them: `POLYGON((0 0,1 0,1 1,0 0))` into lists of points.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields};

use super::convert::{Converted, without};
use crate::schema::Shape;

/// Points in so many lists.
pub(super) fn wire(shape: Shape) -> DataType {
    (0..shape.depth()).fold(DataType::Struct(fields()), |inner, _| {
        DataType::List(Arc::new(Field::new("item", inner, false)))
    })
}

fn fields() -> Fields {
    let coordinate = |name: &str| Field::new(name, DataType::Float64, false);
    Fields::from(vec![coordinate("1"), coordinate("2")])
}

/// Converts texts. A text of another shape, or with an SRID, is outside.
pub(super) fn convert(shape: Shape, array: &ArrayRef) -> Converted {
    let texts = array.as_string::<i32>();
    let mut shapes = Shapes::new(shape.depth());
    let mut outside = Vec::new();
    for (row, text) in texts.iter().enumerate() {
        let Some(text) = text else {
            shapes.push_nothing();
            continue;
        };
        let before = shapes.lengths();
        if shapes.push(shape, text).is_none() {
            shapes.cut(&before);
            shapes.push_nothing();
            outside.push(row);
        }
    }
    let nulls = without(array.nulls(), texts.len(), &outside);
    Converted {
        array: shapes.finish(Some(nulls).filter(|nulls| nulls.null_count() > 0)),
        outside,
    }
}

/// Points end to end, and for each level of lists where its lists end.
struct Shapes {
    x: Vec<f64>,
    y: Vec<f64>,
    /// The outermost level first.
    ends: Vec<Vec<i32>>,
}

impl Shapes {
    fn new(depth: usize) -> Self {
        Self {
            x: Vec::new(),
            y: Vec::new(),
            ends: vec![vec![0]; depth],
        }
    }

    fn lengths(&self) -> Vec<usize> {
        let ends = self.ends.iter().map(Vec::len);
        std::iter::once(self.x.len()).chain(ends).collect()
    }

    fn cut(&mut self, lengths: &[usize]) {
        self.x.truncate(lengths[0]);
        self.y.truncate(lengths[0]);
        for (ends, length) in self.ends.iter_mut().zip(&lengths[1..]) {
            ends.truncate(*length);
        }
    }

    /// What stands in the buffers for NULL.
    fn push_nothing(&mut self) {
        match self.ends.is_empty() {
            true => self.push_point(0.0, 0.0),
            false => self.end(0),
        }
    }

    fn push_point(&mut self, x: f64, y: f64) {
        self.x.push(x);
        self.y.push(y);
    }

    /// Ends a list of a level, which holds all of the next level that came since.
    fn end(&mut self, level: usize) {
        let inner = match self.ends.get(level + 1) {
            Some(ends) => ends.len() - 1,
            None => self.x.len(),
        };
        // A text of 2 GiB is no row of MySQL's.
        self.ends[level].push(i32::try_from(inner).unwrap_or(i32::MAX));
    }

    fn push(&mut self, shape: Shape, text: &str) -> Option<()> {
        let name = match shape {
            Shape::Point => "POINT",
            Shape::LineString => "LINESTRING",
            Shape::MultiLineString => "MULTILINESTRING",
            Shape::Polygon => "POLYGON",
            Shape::MultiPolygon => "MULTIPOLYGON",
        };
        let body = text.strip_prefix(name)?;
        let rest = match self.ends.is_empty() {
            true => self.point(body.strip_prefix('(')?)?.strip_prefix(')')?,
            false => self.list(0, body)?,
        };
        rest.is_empty().then_some(())
    }

    fn list<'t>(&mut self, level: usize, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix(" EMPTY") {
            self.end(level);
            return Some(rest);
        }
        let mut rest = text.strip_prefix('(')?;
        loop {
            rest = match level + 1 == self.ends.len() {
                true => self.point(rest)?,
                false => self.list(level + 1, rest)?,
            };
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        self.end(level);
        rest.strip_prefix(')')
    }

    fn point<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (x, rest) = text.split_once(' ')?;
        let end = rest.find([',', ')'])?;
        let (y, rest) = rest.split_at(end);
        self.push_point(x.parse().ok()?, y.parse().ok()?);
        Some(rest)
    }

    fn finish(self, nulls: Option<NullBuffer>) -> ArrayRef {
        let points = |nulls| {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Float64Array::from(self.x)),
                Arc::new(Float64Array::from(self.y)),
            ];
            Arc::new(StructArray::new(fields(), columns, nulls)) as ArrayRef
        };
        let depth = self.ends.len();
        let mut array = points(if depth == 0 { nulls.clone() } else { None });
        for (level, ends) in self.ends.into_iter().enumerate().rev() {
            let field = Arc::new(Field::new("item", array.data_type().clone(), false));
            let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
            let nulls = if level == 0 { nulls.clone() } else { None };
            array = Arc::new(ListArray::new(field, ends, array, nulls));
        }
        array
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use arrow::util::display::array_value_to_string;

    use super::*;

    fn shown(shape: Shape, texts: &[&str]) -> (Vec<String>, Vec<usize>) {
        let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let converted = convert(shape, &array);
        assert_eq!(*converted.array.data_type(), wire(shape));
        let text = |row| array_value_to_string(&converted.array, row).expect("printable");
        ((0..texts.len()).map(text).collect(), converted.outside)
    }

    #[test]
    fn shapes_are_lists_of_points() {
        let (points, outside) = shown(
            Shape::Point,
            &[
                "POINT(1.5 -2e300)",
                "SRID=4326;POINT(1 2)",
                "LINESTRING(0 0,1 1)",
                "POINT(1 2)",
            ],
        );
        assert_eq!(points[0], "{1: 1.5, 2: -2e300}");
        assert_eq!(points[3], "{1: 1.0, 2: 2.0}");
        assert_eq!(outside, [1, 2]);
        let (polygons, outside) = shown(
            Shape::Polygon,
            &[
                "POLYGON((0 0,1 0,0 0),(2 2,3 3,2 2))",
                "POLYGON((0 0,1 0",
                "POLYGON((7 7,8 8,7 7))",
            ],
        );
        assert_eq!(outside, [1]);
        assert_eq!(
            polygons[2],
            "[[{1: 7.0, 2: 7.0}, {1: 8.0, 2: 8.0}, {1: 7.0, 2: 7.0}]]"
        );
        let (_, outside) = shown(
            Shape::MultiPolygon,
            &[
                "MULTIPOLYGON(((0 0,1 0,0 0)),((5 5,6 6,5 5)))",
                "MULTIPOLYGON EMPTY",
            ],
        );
        assert!(outside.is_empty());
    }
}
