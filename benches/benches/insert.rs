//! Building the vector index, and moving one vector in a full one; the recall of what was built is printed.
#![expect(clippy::print_stdout, reason = "a bench talks to people")]

use std::num::NonZeroUsize;

use brainy_benches::{DIMENSION, Vectors, recall};
use brainy_core::Metric;
use brainy_hnsw::{DEFAULT_EF_SEARCH, Index, Options};
use criterion::{Criterion, Throughput};

const K: NonZeroUsize = NonZeroUsize::new(10).expect("not zero");
/// Rows of the index that is built again and again.
const BUILT: usize = 2_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let vectors = Vectors::load();
    println!("{vectors}");
    let first = &vectors.base[..BUILT.min(vectors.base.len())];

    let mut group = criterion.benchmark_group("insert");
    group.sample_size(10);
    group.throughput(Throughput::Elements(first.len() as u64));
    group.bench_function(format!("build of {}", first.len()), |bencher| bencher.iter(|| build(first)));
    group.finish();

    let mut index = build(&vectors.base);
    let mut turns = (0..vectors.base.len()).cycle();
    let mut group = criterion.benchmark_group("insert");
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("remove and insert, {} held", index.len()), |bencher| {
        bencher.iter(|| {
            let at = turns.next().expect("it goes round");
            assert!(index.remove(at as u64), "it was there");
            assert!(!index.insert(at as u64, &vectors.base[at]).expect("valid rows"), "it was gone");
        });
    });
    group.finish();
    index.check().expect("the index is whole");
    assert_eq!(index.len(), vectors.base.len());
    println!("after that: recall@10 {:.4} at ef_search {DEFAULT_EF_SEARCH}", recall_of(&index, &vectors.queries));
    criterion.final_summary();
}

fn build(rows: &[Vec<f32>]) -> Index {
    let mut index = Index::new(DIMENSION, Metric::Cosine, Options::default()).expect("valid options");
    for (key, row) in (0..).zip(rows) {
        index.insert(key, row).expect("valid rows");
    }
    index
}

fn recall_of(index: &Index, queries: &[Vec<f32>]) -> f64 {
    let answers: Vec<_> = queries
        .iter()
        .map(|query| {
            let found = index.search(query, K, DEFAULT_EF_SEARCH).expect("valid queries");
            (found, index.exact(query, K, &|_| true).expect("valid queries"))
        })
        .collect();
    recall(answers.iter().map(|(found, exact)| (found.as_slice(), exact.as_slice())))
}
