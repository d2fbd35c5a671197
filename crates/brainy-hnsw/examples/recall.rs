//! Builds the index from a file of half floats and prints recall@10 and times: fresh, after half was deleted, after it was put back.
//!
//! `cargo run --release -p brainy-hnsw --example recall -- DIRECTORY [ROWS]`, where `DIRECTORY/vectors.f16` holds rows of 384
//! little-endian half floats. Every 27th row is a query and not in the index; the metric is cosine.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement talks to people and reads the clock")]

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use brainy_core::Metric;
use brainy_hnsw::{Index, Options};

const DIMENSION: usize = 384;
const K: NonZeroUsize = NonZeroUsize::new(10).expect("ten is not zero");

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("usage: recall DIRECTORY [ROWS]");
    let limit = arguments.next().map_or(usize::MAX, |rows| rows.parse().expect("ROWS is a number"));
    let bytes = std::fs::read(std::path::Path::new(&directory).join("vectors.f16")).expect("vectors.f16 can be read");
    let halves: Vec<f32> = bytes.as_chunks::<2>().0.iter().map(|pair| half::f16::from_le_bytes(*pair).to_f32()).collect();
    let rows: Vec<(u64, &[f32])> = (0..).zip(halves.chunks_exact(DIMENSION)).take(limit).collect();
    let (queries, base): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(key, _)| key % 27 == 0);

    let mut index = Index::new(DIMENSION, Metric::Cosine, Options::default()).expect("the options are valid");
    let took = insert(&mut index, &base);
    println!("{} rows built in {:.2} s, {} per vector", base.len(), took.as_secs_f64(), index.memory_bytes() / index.len());
    println!("{index:?}");
    report("fresh", &index, &queries);

    let half: Vec<_> = base.iter().copied().filter(|(key, _)| key % 2 == 1).collect();
    let start = Instant::now();
    for (key, _) in &half {
        assert!(index.remove(*key), "key {key} was inserted");
    }
    println!("{} rows deleted in {:.2} s", half.len(), start.elapsed().as_secs_f64());
    report("half deleted", &index, &queries);

    let took = insert(&mut index, &half);
    println!("{} rows put back in {:.2} s", half.len(), took.as_secs_f64());
    report("put back", &index, &queries);
    index.check().expect("the index is whole");
}

fn insert(index: &mut Index, rows: &[(u64, &[f32])]) -> Duration {
    let start = Instant::now();
    for (key, row) in rows {
        index.insert(*key, row).expect("the rows are valid");
    }
    start.elapsed()
}

fn report(state: &str, index: &Index, queries: &[(u64, &[f32])]) {
    let start = Instant::now();
    let exact: Vec<_> = queries.iter().map(|(_, query)| index.exact(query, K, &|_| true).expect("the queries are valid")).collect();
    println!("{state:>12}, exact: {:>8.0} searches/s", queries.len() as f64 / start.elapsed().as_secs_f64());
    for ef in [10, 20, 40, 80, 100, 160, 320, 640] {
        let start = Instant::now();
        let found: Vec<_> = queries.iter().map(|(_, query)| index.search(query, K, ef).expect("the queries are valid")).collect();
        let rate = queries.len() as f64 / start.elapsed().as_secs_f64();
        // A hit counts if it is no farther than the exact tenth: ties count.
        let good: usize = found
            .iter()
            .zip(&exact)
            .map(|(hits, exact)| hits.iter().filter(|hit| hit.distance <= exact[exact.len() - 1].distance).count())
            .sum();
        let wanted: usize = exact.iter().map(Vec::len).sum();
        println!("{state:>12}, ef {ef:>3}: recall@10 {:.4}, {rate:>8.0} searches/s", good as f64 / wanted as f64);
    }
}
