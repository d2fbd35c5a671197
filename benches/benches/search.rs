//! Searching the vector index: by `ef_search`, exactly, and under filters. Each way's recall@10 is printed before its speed.
#![expect(clippy::print_stdout, reason = "a bench talks to people")]

use std::num::NonZeroUsize;

use brainy_benches::{DIMENSION, Vectors, recall};
use brainy_core::Metric;
use brainy_hnsw::{DEFAULT_EF_SEARCH, Hit, Index, Options};
use criterion::{Criterion, Throughput};

const K: NonZeroUsize = NonZeroUsize::new(10).expect("not zero");
const EFS: [usize; 5] = [10, 20, 40, DEFAULT_EF_SEARCH, 200];
/// One key of so many passes the filter.
const FILTERS: [u64; 3] = [2, 10, 100];

struct Bench<'a> {
    criterion: &'a mut Criterion,
    queries: &'a [Vec<f32>],
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let vectors = Vectors::load();
    let mut index = Index::new(DIMENSION, Metric::Cosine, Options::default()).expect("valid options");
    for (key, row) in (0..).zip(&vectors.base) {
        index.insert(key, row).expect("valid rows");
    }
    println!("{vectors}; {} bytes a vector", index.memory_bytes() / index.len());

    let mut bench = Bench { criterion: &mut criterion, queries: &vectors.queries };
    let exact = |query: &[f32]| index.exact(query, K, &|_| true).expect("valid queries");
    for ef in EFS {
        bench.run(&format!("ef_search {ef}"), &|query| index.search(query, K, ef).expect("valid queries"), &exact);
    }
    bench.run("exact", &exact, &exact);
    for of in FILTERS {
        let allow = |key: u64| key.is_multiple_of(of);
        let walk = |query: &[f32]| index.search_filtered(query, K, DEFAULT_EF_SEARCH, &allow).expect("valid queries");
        let exact = |query: &[f32]| index.exact(query, K, &allow).expect("valid queries");
        bench.run(&format!("ef_search {DEFAULT_EF_SEARCH}, one of {of} allowed"), &walk, &exact);
    }
    criterion.final_summary();
}

impl Bench<'_> {
    fn run(&mut self, name: &str, search: &dyn Fn(&[f32]) -> Vec<Hit>, exact: &dyn Fn(&[f32]) -> Vec<Hit>) {
        let answers: Vec<_> = self.queries.iter().map(|query| (search(query), exact(query))).collect();
        assert!(answers.iter().all(|(found, exact)| found.len() == exact.len()), "{name}: k hits come back whenever k exist");
        println!("{name}: recall@10 {:.4}", recall(answers.iter().map(|(found, exact)| (found.as_slice(), exact.as_slice()))));
        let mut group = self.criterion.benchmark_group("search");
        group.throughput(Throughput::Elements(1));
        let mut turns = self.queries.iter().cycle();
        group.bench_function(name, |bencher| bencher.iter(|| search(turns.next().expect("it goes round"))));
        group.finish();
    }
}
