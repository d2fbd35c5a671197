//! Vectors to index, and what recall means.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use brainy_core::Metric;
use brainy_hnsw::{Hit, Index, Options};

pub(crate) type Rows = Vec<Vec<f32>>;

/// Repeatable numbers: xorshift64* (Vigna, 2016).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            chance.next();
        }
        chance
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Normally distributed, mean 0, variance 1: Box and Muller, 1958.
    pub(crate) fn gauss(&mut self) -> f32 {
        let (u, v) = ((self.below(1 << 52) + 1) as f64 / (1u64 << 52) as f64, self.below(1 << 52) as f64 / (1u64 << 52) as f64);
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    }

    pub(crate) fn row(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| self.gauss()).collect()
    }
}

pub(crate) fn gaussian(seed: u64, rows: usize, dimension: usize) -> Rows {
    let mut chance = Chance::new(seed);
    (0..rows).map(|_| chance.row(dimension)).collect()
}

/// Rows around `centres` points, at a quarter of the centres' own spread.
pub(crate) fn clustered(seed: u64, rows: usize, dimension: usize, centres: usize) -> Rows {
    let mut chance = Chance::new(seed);
    let centres: Rows = (0..centres).map(|_| chance.row(dimension)).collect();
    let mut near = |_| {
        let centre = &centres[chance.below(centres.len() as u64) as usize];
        centre.iter().map(|c| c + chance.gauss() / 4.0).collect()
    };
    (0..rows).map(&mut near).collect()
}

/// The embeddings of package descriptions: the whole set from `BRAINY_DATA` or from a data folder beside the workspace, else the sample
/// in the repository; none, and a line that says so, where neither is there.
pub(crate) fn packages() -> Option<Rows> {
    const DIMENSION: usize = 384;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let given = std::env::var_os("BRAINY_DATA").map(PathBuf::from);
    let whole = given
        .into_iter()
        .chain([root.join("../shared/data/debian-packages")])
        .find_map(|folder| std::fs::read(folder.join("vectors.f16")).ok());
    if whole.is_none() {
        println!("NOT RUN: full data set (set BRAINY_DATA to its folder)");
    }
    let bytes = whole.or_else(|| std::fs::read(root.join("crates/brainy/examples/data/vectors.f16")).ok())?;
    let numbers: Vec<f32> = bytes.as_chunks::<2>().0.iter().map(|pair| half::f16::from_le_bytes(*pair).to_f32()).collect();
    Some(numbers.chunks_exact(DIMENSION).map(<[f32]>::to_vec).collect())
}

pub(crate) fn index(metric: Metric, rows: &[Vec<f32>]) -> Index {
    let mut index = Index::new(rows[0].len(), metric, Options::default()).expect("the options are valid");
    for (key, row) in (0..).zip(rows) {
        assert!(!index.insert(key, row).expect("the rows are valid"), "key {key} is new");
    }
    index
}

pub(crate) fn k(k: usize) -> NonZeroUsize {
    NonZeroUsize::new(k).expect("tests ask for one or more")
}

/// The share of distinct returned rows that are no farther than the exact tenth: ties count, a row returned twice counts once.
pub(crate) fn recall_at_10(index: &Index, queries: &[Vec<f32>], ef_search: usize) -> f64 {
    let (mut good, mut wanted) = (0, 0);
    for query in queries {
        let exact = index.exact(query, k(10), &|_| true).expect("the queries are valid");
        let mut hits = index.search(query, k(10), ef_search).expect("the queries are valid");
        assert_ranked(&hits);
        hits.sort_by_key(|hit| hit.key);
        hits.dedup_by_key(|hit| hit.key);
        let limit = exact.last().expect("the index is not empty").distance;
        good += hits.iter().filter(|hit| hit.distance <= limit).count();
        wanted += exact.len();
    }
    good as f64 / wanted as f64
}

/// Nearest first, equal distances by key, no key twice.
pub(crate) fn assert_ranked(hits: &[Hit]) {
    assert!(hits.windows(2).all(|pair| pair[0].by_rank(&pair[1]).is_lt()), "{hits:?}");
}
