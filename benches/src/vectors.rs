//! The vectors that the index benches work on.

use std::path::{Path, PathBuf};

use crate::Random;

/// Components of every row.
pub const DIMENSION: usize = 384;
/// Of so many rows one is a query and not in the index.
const QUERY_EVERY: usize = 27;
/// How many rows are made where there are no files.
const MADE_ROWS: usize = 5_000;
/// Around so many centres, so that neighbours exist.
const MADE_CENTRES: usize = 200;
/// Standard deviation of a component of a made row around its centre, whose components have 1.
const MADE_SPREAD: f32 = 0.6;
const MADE_SEED: u64 = 1;

/// Rows to be indexed and rows to be asked for.
#[derive(Debug)]
pub struct Vectors {
    /// Where they are from, for people.
    pub name: String,
    /// The rows to be indexed.
    pub base: Vec<Vec<f32>>,
    /// The rows to be asked for; none is in `base`.
    pub queries: Vec<Vec<f32>>,
}

impl Vectors {
    /// Those of the directory that `BRAINY_DATA` names, else of the examples' sample, else made ones.
    ///
    /// # Panics
    /// The variable names a directory whose `vectors.f16` cannot be read: numbers of other data than asked for would mislead.
    pub fn load() -> Self {
        if let Some(named) = std::env::var_os("BRAINY_DATA") {
            let folder = PathBuf::from(named);
            let bytes = std::fs::read(folder.join("vectors.f16"))
                .unwrap_or_else(|error| panic!("BRAINY_DATA: {}/vectors.f16: {error}", folder.display()));
            let name = folder.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned());
            return Self::split(name, halves(&bytes));
        }
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/brainy/examples/data/vectors.f16");
        match std::fs::read(sample) {
            Ok(bytes) => Self::split("the examples' sample".into(), halves(&bytes)),
            Err(_) => Self::split(format!("made, seed {MADE_SEED}"), made()),
        }
    }

    fn split(name: String, rows: Vec<Vec<f32>>) -> Self {
        let (mut base, mut queries) = (Vec::new(), Vec::new());
        for (at, row) in rows.into_iter().enumerate() {
            if at % QUERY_EVERY == 0 { queries.push(row) } else { base.push(row) }
        }
        Self { name, base, queries }
    }
}

/// One line for people.
impl std::fmt::Display for Vectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "vectors: {}, {} × {DIMENSION} and {} queries, cosine", self.name, self.base.len(), self.queries.len())
    }
}

fn halves(bytes: &[u8]) -> Vec<Vec<f32>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    assert!(rest.is_empty() && pairs.len().is_multiple_of(DIMENSION), "vectors.f16 holds whole rows of {DIMENSION} half floats");
    pairs.chunks_exact(DIMENSION).map(|row| row.iter().map(|pair| half::f16::from_le_bytes(*pair).to_f32()).collect()).collect()
}

fn made() -> Vec<Vec<f32>> {
    let mut random = Random::new(MADE_SEED);
    let centres: Vec<Vec<f32>> = (0..MADE_CENTRES).map(|_| random.row(DIMENSION)).collect();
    (0..MADE_ROWS)
        .map(|at| {
            let centre = &centres[at * MADE_CENTRES / MADE_ROWS];
            centre.iter().map(|x| x + MADE_SPREAD * random.normal()).collect()
        })
        .collect()
}
