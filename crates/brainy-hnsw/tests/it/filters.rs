use brainy_core::Metric;

use crate::data::{assert_ranked, clustered, gaussian, index, k};

// INV-16: k hits where k exist.
#[test]
fn a_filter_of_any_selectivity_fills_k_with_allowed_keys_alone() {
    let rows = clustered(1, 5_000, 24, 50);
    let index = index(Metric::L2, &rows);
    // How many keys are allowed, and the recall asked for.
    for (every, least) in [(1u64, 0.95), (2, 0.95), (10, 0.95), (100, 1.0), (5_000, 1.0), (0, 1.0)] {
        let allow = |key: u64| every != 0 && key.is_multiple_of(every);
        let allowed = (0..5_000).filter(|key| allow(*key)).count();
        let (mut good, mut wanted) = (0, 0);
        for query in rows.iter().step_by(97) {
            for count in [1, 10, 200] {
                let hits = index.search_filtered(query, k(count), 40, &allow).unwrap();
                assert_eq!(hits.len(), allowed.min(count), "1 in {every} allowed, k = {count}");
                assert!(hits.iter().all(|hit| allow(hit.key)));
                assert_ranked(&hits);
                let exact = index.exact(query, k(count), &allow).unwrap();
                assert_eq!(exact.len(), hits.len());
                good += hits.iter().filter(|hit| hit.distance <= exact[exact.len() - 1].distance).count();
                wanted += exact.len();
            }
        }
        assert!(good as f64 >= least * wanted as f64, "1 in {every} allowed: {good} of {wanted}");
    }
}

#[test]
fn a_filter_that_excludes_all_near_the_query_still_fills_k() {
    let rows = gaussian(2, 4_000, 16);
    let index = index(Metric::L2, &rows);
    for query in rows.iter().step_by(400) {
        let order = index.exact(query, k(4_000), &|_| true).unwrap();
        let mut far = vec![false; 4_000];
        for hit in &order[2_000..] {
            far[hit.key as usize] = true;
        }
        let hits = index.search_filtered(query, k(20), 20, &|key| far[key as usize]).unwrap();
        assert_eq!(hits.len(), 20);
        assert!(hits.iter().all(|hit| far[hit.key as usize]));
    }
}

/// HNSW 4 of the system before: what is filtered out takes no place among the hits.
#[test]
fn of_equal_vectors_only_allowed_keys_are_returned() {
    let mut rows = gaussian(3, 2_500, 8);
    for row in &mut rows[..400] {
        *row = vec![0.5; 8];
    }
    let index = index(Metric::L2, &rows);
    for allow in [(|key| key % 7 == 0) as fn(u64) -> bool, |key| key == 399, |key| key > 398] {
        let expected: Vec<u64> = (0..400).filter(|key| allow(*key)).take(10).collect();
        let hits = index.search_filtered(&[0.5; 8], k(10), 20, &allow).unwrap();
        let found: Vec<u64> = hits.iter().filter(|hit| hit.distance == 0.0).map(|hit| hit.key).collect();
        assert_eq!(found, expected);
        assert!(hits.iter().all(|hit| allow(hit.key)));
    }
}

#[test]
fn more_hits_than_there_are_vectors_may_be_asked_for() {
    let rows = gaussian(4, 300, 4);
    let index = index(Metric::L2, &rows);
    for count in [299, 300, 301, usize::MAX] {
        for ef_search in [0, 1, usize::MAX] {
            let hits = index.search(&rows[0], k(count), ef_search).unwrap();
            assert_eq!(hits.len(), count.min(300));
            assert_ranked(&hits);
            assert_eq!(index.search_filtered(&rows[0], k(count), ef_search, &|key| key < 9).unwrap().len(), 9);
        }
    }
}

#[test]
fn a_wide_filter_is_answered_without_asking_about_every_vector() {
    let rows = gaussian(5, 5_000, 8);
    let index = index(Metric::L2, &rows);
    for query in rows.iter().step_by(500) {
        let asked = std::cell::Cell::new(0);
        let allow = |key: u64| {
            asked.set(asked.get() + 1);
            key.is_multiple_of(2)
        };
        // As many hits as candidates: a filter behind the walk would leave half of them.
        assert_eq!(index.search_filtered(query, k(40), 40, &allow).unwrap().len(), 40);
        assert!(asked.get() < 2_500, "asked about {} of 5,000", asked.get());
    }
}
