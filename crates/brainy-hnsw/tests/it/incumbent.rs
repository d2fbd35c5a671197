//! HNSW 1, 2, 3 and 5: what is wrong with the graph of the system before this one. Each test bears the label that it has in `docs/testing.md`; 4 and 6 are in
//! `brainy`.

use std::collections::BTreeMap;

use brainy_core::Metric;
use brainy_hnsw::{Distance, Index, Options};

use crate::data::{Chance, gaussian, index, k, recall_at_10};

#[test]
fn hnsw1_every_one_of_two_thousand_vectors_is_reached_from_the_entry_and_finds_itself() {
    let rows = gaussian(11, 2_000, 128);
    let mut index = Index::new(128, Metric::Cosine, Options::default()).unwrap();
    for (key, row) in (0..).zip(&rows) {
        index.insert(key, row).unwrap();
        if key % 250 == 249 {
            // On each layer: reached by links, linked both ways, no list too long.
            index.check().unwrap();
        }
    }
    for (key, row) in (0..).zip(&rows) {
        // So few candidates that not all are compared.
        assert_eq!(index.search(row, k(1), 100).unwrap()[0].key, key);
    }
}

#[test]
fn hnsw2_the_nearest_candidate_comes_next_in_whatever_order_the_vectors_came() {
    let (rows, queries) = (gaussian(12, 2_500, 128), gaussian(13, 100, 128));
    let distance = Distance::new(Metric::L2);
    let middle = distance.prepare(&[0.0; 128]);
    let from_middle = |row: &Vec<f32>| distance.between(&middle, &distance.prepare(row));
    let mut outwards = rows.clone();
    outwards.sort_by(|a, b| from_middle(a).total_cmp(&from_middle(b)));
    let inwards = outwards.iter().rev().cloned().collect();
    for (order, rows) in [("as drawn", rows), ("outwards", outwards), ("inwards", inwards)] {
        let recall = recall_at_10(&index(Metric::L2, &rows), &queries, 150);
        println!("{order}: recall@10 {recall:.4}");
        assert!(recall >= 0.95, "{order}: {recall}");
    }
}

#[test]
fn hnsw3_of_many_neighbours_met_at_once_the_nearest_are_kept() {
    // Steps along the axes are equally far from each other, so each is linked to all: from wherever a walk starts, it meets everything at once.
    const COUNT: usize = 600;
    let step = |axis: usize| (0..COUNT).map(|at| if at == axis { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
    let options = Options::default().with_m(512).with_ef_construction(COUNT);
    let mut index = Index::new(COUNT, Metric::L2, options).unwrap();
    for axis in 0..COUNT {
        index.insert(axis as u64, &step(axis)).unwrap();
    }
    let mut chance = Chance::new(14);
    for round in 0..20 {
        // The larger a component, the nearer that step; neighbours come in no order of theirs.
        let mut order: Vec<usize> = (0..COUNT).collect();
        for at in (1..COUNT).rev() {
            order.swap(at, chance.below(at as u64 + 1) as usize);
        }
        let mut query = vec![0.0; COUNT];
        for (rank, axis) in order.iter().enumerate() {
            query[*axis] = (COUNT - rank) as f32 / COUNT as f32;
        }
        for count in [1, 5, 20] {
            let found: Vec<usize> = index.search(&query, k(count), count).unwrap().iter().map(|hit| hit.key as usize).collect();
            assert_eq!(found, order[..count], "{count} in round {round}");
        }
    }
}

#[test]
fn hnsw5_what_was_overwritten_or_deleted_leaves_nothing_behind() {
    let mut chance = Chance::new(15);
    let mut index = Index::new(16, Metric::L2, Options::default()).unwrap();
    let mut held: BTreeMap<u64, Vec<f32>> = BTreeMap::new();
    for step in 0..6_000_u64 {
        let key = chance.below(2_500);
        if step > 2_000 && chance.below(4) == 0 {
            assert_eq!(index.remove(key), held.remove(&key).is_some());
        } else {
            let row = chance.row(16);
            assert_eq!(index.insert(key, &row).unwrap(), held.insert(key, row).is_some());
        }
    }
    index.check().unwrap();
    assert_eq!(index.len(), held.len());
    let distance = Distance::new(Metric::L2);
    for (key, row) in &held {
        let hits = index.search(row, k(5), 60).unwrap();
        assert_eq!((hits[0].key, hits[0].distance), (*key, 0.0), "it finds itself");
        for hit in &hits {
            // At its place of now, not at one where it was.
            let now = distance.between(&distance.prepare(row), &distance.prepare(&held[&hit.key]));
            assert_eq!(hit.distance, now, "{}", hit.key);
        }
    }
    let queries = gaussian(16, 100, 16);
    let recall = recall_at_10(&index, &queries, 60);
    assert!(recall >= 0.95, "{recall}");
}
