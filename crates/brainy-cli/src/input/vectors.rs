//! Vectors: raw little-endian rows, fvecs, or JSON.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use brainy::{Metric, Vector};
use half::f16;
use serde_json::Value;

use crate::failure::Failure;
use crate::input::json_lines::kind_name;

/// How the numbers of a file lie, as its name's ending says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `.f16`: IEEE half floats, little-endian, rows one after the other.
    Half,
    /// `.f32`: the same of floats.
    Single,
    /// `.fvecs`: each row its dimension as a little-endian 32-bit integer, then floats.
    Fvecs,
}

impl Layout {
    /// The layout of the file called `path`; none for any other ending.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "f16" => Some(Self::Half),
            "f32" => Some(Self::Single),
            "fvecs" => Some(Self::Fvecs),
            _ => None,
        }
    }

    const fn row_bytes(self, dimension: usize) -> usize {
        match self {
            Self::Half => 2 * dimension,
            Self::Single => 4 * dimension,
            Self::Fvecs => 4 + 4 * dimension,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Half => "half floats",
            Self::Single => "floats",
            Self::Fvecs => "floats behind their number",
        }
    }
}

/// The rows of one file, all of one dimension.
#[derive(Debug)]
pub(crate) struct VectorRows<R> {
    reader: R,
    file: String,
    layout: Layout,
    dimension: usize,
    metric: Metric,
    rows: u64,
    read: u64,
}

impl VectorRows<BufReader<File>> {
    /// The rows of the file at `path`, for a store of this dimension and metric.
    pub(crate) fn open(path: &Path, dimension: usize, metric: Metric) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let Some(layout) = Layout::of(path) else {
            return Err(Failure::File { file, reason: "its name must end in .f16, .f32 or .fvecs, to tell what it holds".into() });
        };
        let unreadable = |error: &std::io::Error| Failure::unreadable(&file, error);
        let reader = File::open(path).map_err(|error| unreadable(&error))?;
        let data = reader.metadata().map_err(|error| unreadable(&error))?;
        if !data.is_file() {
            return Err(Failure::File { file, reason: "not a regular file".into() });
        }
        Self::new(BufReader::with_capacity(1 << 16, reader), data.len(), file, layout, dimension, metric)
    }
}

impl<R: Read + Seek> VectorRows<R> {
    /// The rows of `reader`, which has `bytes` bytes and is called `file` in errors.
    pub(crate) fn new(mut reader: R, bytes: u64, file: String, layout: Layout, dimension: usize, metric: Metric) -> Result<Self, Failure> {
        let wrong = |reason: String| Err(Failure::File { file: file.clone(), reason });
        if layout == Layout::Fvecs && bytes >= 4 {
            // The first row tells a wrong dimension better than the file's size does.
            let mut head = [0; 4];
            let read = reader.read_exact(&mut head).and_then(|()| reader.seek(SeekFrom::Start(0)));
            read.map_err(|error| Failure::unreadable(&file, &error))?;
            let found = i32::from_le_bytes(head);
            if usize::try_from(found).ok() != Some(dimension) {
                return wrong(format!("row 1 has dimension {found}, the store has {dimension}"));
            }
        }
        let row_bytes = layout.row_bytes(dimension) as u64;
        let (rows, rest) = (bytes / row_bytes, bytes % row_bytes);
        if rest != 0 {
            return wrong(format!(
                "{bytes} bytes are {rows} rows of {dimension} {} ({row_bytes} bytes each) and {rest} bytes more: is the dimension another than the store's {dimension}, or is the file cut off?",
                layout.name()
            ));
        }
        Ok(Self { reader, file, layout, dimension, metric, rows, read: 0 })
    }

    /// What the file is called.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// How many rows the file has.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes row `row`, from 1, the next one.
    pub(crate) fn seek(&mut self, row: u64) -> Result<(), Failure> {
        if row == 0 || row > self.rows {
            return Err(Failure::File { file: self.file.clone(), reason: format!("there is no row {row}, it has {}", self.rows) });
        }
        let at = (row - 1) * self.layout.row_bytes(self.dimension) as u64;
        self.reader.seek(SeekFrom::Start(at)).map_err(|error| Failure::unreadable(&self.file, &error))?;
        self.read = row - 1;
        Ok(())
    }

    /// The next row; none after the last. A vector that the store does not take is a failure that names the row.
    pub(crate) fn next_vector(&mut self) -> Result<Option<Vector>, Failure> {
        if self.read == self.rows {
            return Ok(None);
        }
        let mut bytes = vec![0; self.layout.row_bytes(self.dimension)];
        self.reader.read_exact(&mut bytes).map_err(|error| Failure::unreadable(&self.file, &error))?;
        self.read += 1;
        let values: Vec<f32> = match self.layout {
            Layout::Half => bytes.as_chunks::<2>().0.iter().map(|value| f16::from_le_bytes(*value).to_f32()).collect(),
            Layout::Single => floats(&bytes),
            Layout::Fvecs => {
                let (head, rest) = bytes.split_first_chunk::<4>().expect("a row of fvecs begins with four bytes");
                let found = i32::from_le_bytes(*head);
                if usize::try_from(found).ok() != Some(self.dimension) {
                    return Err(self.wrong(format!("it has dimension {found}, the store has {}", self.dimension)));
                }
                floats(rest)
            }
        };
        let vector = Vector::new(values).map_err(|error| self.wrong(error.to_string()))?;
        vector.check(self.dimension, self.metric).map_err(|error| self.wrong(error.to_string()))?;
        Ok(Some(vector))
    }

    fn wrong(&self, reason: String) -> Failure {
        Failure::File { file: self.file.clone(), reason: format!("row {}: {reason}", self.read) }
    }
}

/// The vector in a JSON array of numbers.
pub(crate) fn from_json(value: &Value) -> Result<Vector, String> {
    let Value::Array(values) = value else {
        return Err(format!("the vector is a JSON {}, an array of numbers is needed", kind_name(value)));
    };
    let component = |(at, value): (usize, &Value)| {
        // A component is read as a double and rounded; what no f32 holds becomes infinite and is refused as such.
        let number = value.as_f64().ok_or_else(|| format!("component {at} is a {}, a number is needed", kind_name(value)))?;
        Ok(number as f32)
    };
    let components: Vec<f32> = values.iter().enumerate().map(component).collect::<Result<_, String>>()?;
    Vector::new(components).map_err(|error| error.to_string())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn rows(bytes: &[u8], layout: Layout, dimension: usize) -> Result<VectorRows<Cursor<&[u8]>>, Failure> {
        VectorRows::new(Cursor::new(bytes), bytes.len() as u64, "v".into(), layout, dimension, Metric::Cosine)
    }

    fn single(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn every_layout_gives_the_same_rows() {
        let half: Vec<u8> = [1.0, -2.0, 0.5, 3.0].iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
        let fvecs = [&2_i32.to_le_bytes()[..], &single(&[1.0, -2.0]), &2_i32.to_le_bytes(), &single(&[0.5, 3.0])].concat();
        for (layout, bytes) in [(Layout::Half, half), (Layout::Single, single(&[1.0, -2.0, 0.5, 3.0])), (Layout::Fvecs, fvecs)] {
            let mut rows = rows(&bytes, layout, 2).unwrap();
            assert_eq!(rows.rows(), 2);
            assert_eq!(rows.next_vector().unwrap().unwrap().as_slice(), [1.0, -2.0]);
            assert_eq!(rows.next_vector().unwrap().unwrap().as_slice(), [0.5, 3.0]);
            assert_eq!(rows.next_vector().unwrap(), None);
            rows.seek(2).unwrap();
            assert_eq!(rows.next_vector().unwrap().unwrap().as_slice(), [0.5, 3.0]);
            assert!(rows.seek(3).unwrap_err().to_string().contains("no row 3"));
        }
    }

    #[test]
    fn a_file_that_does_not_fit_the_store_is_refused_before_a_row_is_read() {
        let error = rows(&[0; 10], Layout::Half, 3).unwrap_err().to_string();
        assert!(error.starts_with("v: 10 bytes are 1 rows of 3 half floats (6 bytes each) and 4 bytes more"), "{error}");
        let other = [&3_i32.to_le_bytes()[..], &single(&[1.0; 3])].concat();
        assert_eq!(rows(&other, Layout::Fvecs, 2).unwrap_err().to_string(), "v: row 1 has dimension 3, the store has 2");
        let error = VectorRows::open(Path::new("nowhere/v.f32"), 2, Metric::L2).unwrap_err().to_string();
        assert!(error.starts_with("nowhere/v.f32: "), "{error}");
        let error = VectorRows::open(Path::new("v.npy"), 2, Metric::L2).unwrap_err().to_string();
        assert!(error.contains(".f16, .f32 or .fvecs"), "{error}");
    }

    #[test]
    fn a_row_that_is_no_vector_of_the_store_is_named() {
        let late = [&2_i32.to_le_bytes()[..], &single(&[1.0; 2]), &7_i32.to_le_bytes(), &single(&[1.0; 2])].concat();
        for (bytes, layout, reason) in [
            (single(&[1.0, 2.0, 3.0, f32::NAN]), Layout::Single, "v: row 2: component 1 of the vector is NaN"),
            (single(&[1.0, 2.0, f32::INFINITY, 3.0]), Layout::Single, "v: row 2: component 0 of the vector is inf"),
            (single(&[1.0, 2.0, 0.0, -0.0]), Layout::Single, "v: row 2: a zero vector has no direction"),
            (late, Layout::Fvecs, "v: row 2: it has dimension 7, the store has 2"),
        ] {
            let mut rows = rows(&bytes, layout, 2).unwrap();
            rows.next_vector().unwrap();
            let error = rows.next_vector().unwrap_err().to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn the_name_tells_the_layout() {
        for (name, layout) in [
            ("a.f16", Some(Layout::Half)),
            ("a.b.F32", Some(Layout::Single)),
            ("a.fvecs", Some(Layout::Fvecs)),
            ("f16", None),
            ("a.f64", None),
        ] {
            assert_eq!(Layout::of(Path::new(name)), layout, "{name}");
        }
    }
}
