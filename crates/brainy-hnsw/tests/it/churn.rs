use std::collections::BTreeMap;

use brainy_core::Metric;
use brainy_hnsw::{Distance, Hit, Index, Options};
use proptest::prelude::*;

use crate::data::{Chance, assert_ranked, gaussian, k};

#[derive(Clone, Debug)]
enum Step {
    /// The key gets the vector with this number.
    Insert(u64, u64),
    Remove(u64),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => (0u64..40, 0u64..60).prop_map(|(key, vector)| Step::Insert(key, vector)),
        40 => (0u64..40).prop_map(Step::Remove),
        1 => Just(Step::Clear),
    ]
}

/// A few numbers give equal vectors, some give vectors that differ in the last bits, most are far apart.
fn vector(number: u64) -> Vec<f32> {
    match number {
        0..6 => vec![1.0, 1.0, 1.0],
        6..12 => vec![1.0, 1.0, 1.0 + (number as f32) * f32::EPSILON],
        _ => Chance::new(number).row(3),
    }
}

fn assert_equals_oracle(index: &Index, oracle: &BTreeMap<u64, Vec<f32>>, query: &[f32]) {
    let distance = Distance::new(index.metric());
    let prepared = distance.prepare(query);
    let between = |(key, row): (&u64, &Vec<f32>)| Hit { key: *key, distance: distance.between(&prepared, &distance.prepare(row)) };
    let mut expected: Vec<Hit> = oracle.iter().map(between).collect();
    expected.sort_by(Hit::by_rank);
    assert_eq!(index.len(), oracle.len());
    assert_eq!(index.exact(query, k(1_000), &|_| true).expect("the query is valid"), expected);
    assert_eq!(index.search(query, k(1_000), 1).expect("the query is valid"), expected, "all were asked for");
    let first = index.search(query, k(1), 2).expect("the query is valid");
    assert_eq!(first.len(), oracle.len().min(1));
    assert_ranked(&first);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// HNSW 5 of the system before: an overwritten vector leaves nothing.
    #[test]
    fn an_index_holds_what_a_map_would_after_every_step(
        metric in prop_oneof![Just(Metric::L2), Just(Metric::Cosine), Just(Metric::InnerProduct)],
        m in 2usize..6,
        steps in prop::collection::vec(step(), 1..160),
    ) {
        let mut index = Index::new(3, metric, Options::default().with_m(m).with_ef_construction(m + 2)).unwrap();
        let mut oracle = BTreeMap::new();
        for step in steps {
            match step {
                Step::Insert(key, number) => {
                    let replaced = index.insert(key, &vector(number)).unwrap();
                    prop_assert_eq!(replaced, oracle.insert(key, vector(number)).is_some());
                }
                Step::Remove(key) => prop_assert_eq!(index.remove(key), oracle.remove(&key).is_some()),
                Step::Clear => {
                    index.clear();
                    oracle.clear();
                }
            }
            if let Err(error) = index.check() {
                return Err(TestCaseError::fail(error));
            }
            assert_equals_oracle(&index, &oracle, &[0.3, -0.2, 1.0]);
        }
        for (key, row) in &oracle {
            let held = index.vector(*key).expect("the map has it");
            let expected = Distance::new(metric).prepare(row);
            prop_assert_eq!(held.as_ref(), expected.as_slice());
        }
    }
}

#[test]
fn an_overwritten_vector_is_found_at_its_new_place_alone() {
    let rows = gaussian(1, 2_000, 16);
    let mut index = crate::data::index(Metric::L2, &rows);
    for key in 0..500 {
        let moved: Vec<f32> = rows[key as usize].iter().map(|x| x + 100.0).collect();
        assert!(index.insert(key, &moved).unwrap());
        let old = index.search(&rows[key as usize], k(10), 50).unwrap();
        assert!(old.iter().all(|hit| hit.key > key), "{key}: {old:?}");
        assert_eq!(index.search(&moved, k(1), 50).unwrap()[0].key, key);
    }
    index.check().unwrap();
}

/// Every hundredth step of a long run is checked; the graph has several layers all the time.
#[test]
fn layers_and_ties_hold_through_a_long_churn() {
    for (m, seed) in [(2, 1u64), (4, 2), (16, 3)] {
        let mut chance = Chance::new(seed);
        let mut index = Index::new(6, Metric::L2, Options::default().with_m(m).with_ef_construction(m.max(24)).with_seed(seed)).unwrap();
        let mut oracle = BTreeMap::new();
        for step in 0..4_000 {
            let key = chance.below(600);
            if chance.below(3) == 0 {
                assert_eq!(index.remove(key), oracle.remove(&key).is_some());
            } else {
                let row = chance.row(6);
                index.insert(key, &row).unwrap();
                oracle.insert(key, row);
            }
            if step % 100 == 0 {
                index.check().unwrap_or_else(|error| panic!("m {m}, step {step}: {error}"));
            }
        }
        index.check().unwrap();
        assert_equals_oracle(&index, &oracle, &[0.0; 6]);
    }
}

#[test]
fn an_index_survives_its_last_delete_and_fills_again() {
    let rows = gaussian(5, 500, 8);
    let mut index = crate::data::index(Metric::Cosine, &rows);
    for round in 0..3 {
        // The oldest first in one round, the newest in another: the entry point leaves at different times.
        for key in 0..500 {
            let key = if round % 2 == 0 { key } else { 499 - key };
            assert!(index.remove(key));
            assert!(!index.remove(key));
            assert!(!index.contains(key) && index.vector(key).is_none());
            if key % 25 == 0 || index.len() < 5 {
                index.check().unwrap();
            }
            if !index.is_empty() {
                assert_eq!(index.search(&rows[3], k(3), 10).unwrap().len(), index.len().min(3));
            }
        }
        assert!(index.is_empty());
        assert_eq!(index.search(&rows[3], k(3), 10).unwrap(), []);
        for (key, row) in (0..).zip(&rows) {
            assert!(!index.insert(key, row).unwrap());
        }
        index.check().unwrap();
    }
}
