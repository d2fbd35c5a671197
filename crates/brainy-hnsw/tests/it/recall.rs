use brainy_core::Metric;
use brainy_hnsw::DEFAULT_EF_SEARCH;

use crate::data::{Rows, clustered, gaussian, index, k, packages, recall_at_10};

/// Without optimisation the whole set takes too long; with it, all of it is used.
const ROWS: usize = if cfg!(debug_assertions) { 6_000 } else { usize::MAX };

/// Recall fresh, after half of the rows was deleted, and after they were put back.
fn check(name: &str, metric: Metric, ef_search: usize, at_least: f64, rows: Rows) {
    let (queries, rows): (Vec<_>, Vec<_>) = rows.into_iter().enumerate().partition(|(at, _)| at % 27 == 0);
    let queries: Rows = queries.into_iter().map(|(_, row)| row).take(300).collect();
    let rows: Rows = rows.into_iter().map(|(_, row)| row).collect();
    let mut index = index(metric, &rows);
    let judge = |state: &str, index: &brainy_hnsw::Index| {
        index.check().expect("the graph is whole");
        let recall = recall_at_10(index, &queries, ef_search);
        println!("{name}: {} rows, {state}: recall@10 {recall:.4} at ef_search {ef_search}", index.len());
        assert!(recall >= at_least, "{name}, {state}: {recall}");
    };
    judge("fresh", &index);
    for key in (0..rows.len() as u64).filter(|key| key % 2 == 0) {
        assert!(index.remove(key));
    }
    judge("half deleted", &index);
    for (key, row) in (0..).zip(&rows).filter(|(key, _)| key % 2 == 0) {
        assert!(!index.insert(key, row).expect("the rows are valid"));
    }
    assert_eq!(index.len(), rows.len());
    judge("put back", &index);
}

#[test]
fn recall_on_package_descriptions_is_kept_through_deletes() {
    let Some(mut rows) = packages() else {
        println!("NOT RUN: recall on package descriptions");
        return;
    };
    rows.truncate(ROWS);
    check("packages", Metric::Cosine, DEFAULT_EF_SEARCH, 0.95, rows);
}

#[test]
fn recall_on_clusters_is_kept_through_deletes() {
    for metric in [Metric::L2, Metric::Cosine] {
        check("clusters", metric, DEFAULT_EF_SEARCH, 0.95, clustered(1, 4_000, 48, 100));
    }
}

/// HNSW 2 and 3 of the system before: the nearest candidate comes next, the limit is read anew at each.
#[test]
fn recall_on_gaussian_vectors_of_128_dimensions() {
    // 10,000 of them, and 385 queries.
    check("gauss", Metric::L2, 300, 0.95, gaussian(2, 10_385, 128));
}

#[test]
fn recall_under_inner_product() {
    check("inner product", Metric::InnerProduct, DEFAULT_EF_SEARCH, 0.95, gaussian(3, 4_000, 32));
}

/// HNSW 1 and 6 of the system before: nodes without links to them are not found, nor are those that were added right after each other.
#[test]
fn every_vector_finds_itself() {
    let rows = gaussian(4, 3_000, 32);
    let mut index = index(Metric::L2, &rows);
    for round in 0..2 {
        for (key, row) in (0..).zip(&rows) {
            let hits = index.search(row, k(1), 50).unwrap();
            assert_eq!((hits[0].key, hits[0].distance), (key, 0.0), "round {round}");
        }
        for key in (0..3_000).step_by(3) {
            assert!(index.remove(key));
        }
        for (key, row) in (0..).zip(&rows).step_by(3) {
            index.insert(key, row).unwrap();
        }
    }
}
