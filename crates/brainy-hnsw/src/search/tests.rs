use std::num::NonZeroUsize;

use brainy_core::Metric;

use super::*;
use crate::Options;
use crate::level::mix;

/// `rows` vectors of numbers between −1 and 1.
fn uniform(seed: u64, rows: usize, dimension: usize) -> Vec<Vec<f32>> {
    let mut state = mix(seed);
    let mut next = || {
        state = mix(state);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..rows).map(|_| (0..dimension).map(|_| next()).collect()).collect()
}

fn index(m: usize, rows: &[Vec<f32>]) -> Index {
    let options = Options::default().with_m(m).with_ef_construction(m.max(32));
    let mut index = Index::new(rows[0].len(), Metric::L2, options).unwrap();
    for (key, row) in (0..).zip(rows) {
        index.insert(key, row).unwrap();
    }
    index
}

fn k(k: usize) -> NonZeroUsize {
    NonZeroUsize::new(k).unwrap()
}

/// The walk alone, without the scan that stands behind it, meets every node if it may keep all of them.
fn assert_walk_meets_all(index: &Index, query: &[f32]) {
    let found = index.walk_from_entry(query, index.points.live(), |_| true, usize::MAX).unwrap();
    assert_eq!(found.len(), index.points.live());
}

#[test]
fn the_walk_alone_meets_every_node_after_any_churn() {
    for m in [2, 3, 4, 16] {
        let rows = uniform(m as u64, 400, 8);
        let mut index = index(m, &rows);
        assert_walk_meets_all(&index, &rows[7]);
        for key in 0..400 {
            if !mix(key).is_multiple_of(3) {
                assert!(index.remove(key));
            }
            if key % 20 == 0 {
                index.check().unwrap();
                assert_walk_meets_all(&index, &rows[7]);
            }
        }
        for (key, row) in (0..).zip(&rows) {
            index.insert(key, row).unwrap();
        }
        index.check().unwrap();
        assert_walk_meets_all(&index, &rows[399]);
    }
}

#[test]
fn the_walk_alone_leaves_a_crowd_of_all_but_equal_vectors() {
    // 300 vectors within 1e-6 of each other and 300 elsewhere: the crowd's nearest neighbours are all in the crowd.
    let mut rows = uniform(1, 600, 8);
    let centre = rows[0].clone();
    for row in &mut rows[..300] {
        for (x, c) in row.iter_mut().zip(&centre) {
            *x = c + *x * 1e-6;
        }
    }
    for crowd_first in [true, false] {
        if !crowd_first {
            rows.reverse();
        }
        let index = index(8, &rows);
        index.check().unwrap();
        assert_walk_meets_all(&index, &rows[0]);
        assert_walk_meets_all(&index, &rows[599]);
    }
}

#[test]
fn the_walk_alone_collects_every_allowed_node_through_those_that_are_not() {
    let rows = uniform(2, 2_000, 16);
    let index = index(16, &rows);
    for modulus in [2, 10, 100, 2_000] {
        let allow = |key: u64| key % modulus == 3 % modulus;
        let expected = (0..2_000).filter(|key| allow(*key)).count();
        let found = index.walk_from_entry(&rows[5], 2_000, |node| index.points.keys(node).any(allow), usize::MAX).unwrap();
        assert_eq!(found.len(), expected);
        // And with few candidates the nearest allowed ones are among them.
        let found = index.walk_from_entry(&rows[5], 50, |node| index.points.keys(node).any(allow), usize::MAX).unwrap();
        let hits = index.hits(&found, 1, allow);
        assert_eq!(hits, index.exact(&rows[5], k(1), &allow).unwrap());
    }
}

#[test]
fn a_walk_without_budget_left_gives_up_and_the_scan_answers() {
    let rows = uniform(3, 3_000, 8);
    let index = index(8, &rows);
    assert_eq!(index.walk_from_entry(&rows[0], 100, |_| true, 10), None);
    // All allowed keys lie far from the query, so the sample promises a short walk and the walk runs out of its budget.
    let far =
        index.exact(&rows[0], k(3_000), &|_| true).unwrap()[2_700..].iter().map(|hit| hit.key).collect::<std::collections::HashSet<_>>();
    let allow = |key: u64| far.contains(&key);
    assert!(matches!(index.plan_filtered(4, &allow), Plan::Walk { .. }), "{:?}", index.plan_filtered(4, &allow));
    let hits = index.search_filtered(&rows[0], k(4), 4, &allow).unwrap();
    assert_eq!(hits.len(), 4);
    assert!(hits.iter().all(|hit| allow(hit.key)));
}

#[test]
fn small_sets_and_narrow_filters_are_scanned_and_wide_ones_walked() {
    let rows = uniform(4, 4_000, 4);
    let index = index(8, &rows);
    assert_eq!(index.plan(10), Plan::Walk { budget: usize::MAX });
    assert_eq!(index.plan(250), Plan::Scan);
    assert_eq!(index.plan(usize::MAX), Plan::Scan);
    assert!(matches!(index.plan_filtered(10, &|_| true), Plan::Walk { budget } if budget >= 4_000));
    assert!(matches!(index.plan_filtered(10, &|key| key % 2 == 0), Plan::Walk { .. }));
    assert_eq!(index.plan_filtered(10, &|key| key % 100 == 0), Plan::Scan);
    assert_eq!(index.plan_filtered(10, &|_| false), Plan::Scan);
}

#[test]
fn equal_vectors_share_a_node_and_leave_it_one_by_one() {
    let mut index = Index::new(3, Metric::Cosine, Options::default()).unwrap();
    for key in 0..50 {
        assert!(!index.insert(key, &[1.0, 2.0, 3.0]).unwrap());
    }
    index.insert(50, &[3.0, 2.0, 1.0]).unwrap();
    assert_eq!((index.len(), index.points.live()), (51, 2));
    for key in 0..50 {
        assert_eq!(index.points.live(), 2);
        assert!(index.remove(key));
        index.check().unwrap();
    }
    assert_eq!((index.len(), index.points.live()), (1, 1));
}

#[test]
fn freed_slots_are_used_again_before_new_ones() {
    let rows = uniform(5, 300, 4);
    let mut index = index(4, &rows);
    for key in 100..200 {
        assert!(index.remove(key));
    }
    for (key, row) in (1_000..).zip(uniform(6, 100, 4)) {
        index.insert(key, &row).unwrap();
    }
    assert_eq!((index.points.slots(), index.len()), (300, 300));
    let mut replace = |round: u64| {
        for (key, row) in (0..100).zip(uniform(7 + round, 100, 4)) {
            assert!(index.insert(key, &row).unwrap());
        }
        index.memory_bytes()
    };
    let warm = (0..10).map(&mut replace).max().unwrap();
    let later = (10..200).map(&mut replace).max().unwrap();
    assert!(later < warm * 5 / 4, "{later} bytes after {warm}");
    assert_eq!((index.points.slots(), index.len()), (300, 300));
    index.clear();
    assert_eq!(index.memory_bytes(), 0);
    index.check().unwrap();
}

/// HNSW 2 and 3 of the system before: the nearest candidate is expanded next, and a nearer find moves the limit at once.
#[test]
fn a_walk_compares_a_small_part_of_the_nodes() {
    let rows = uniform(8, 6_000, 8);
    let index = index(8, &rows);
    let queries = uniform(9, 50, 8);
    let within = |budget| queries.iter().filter(|query| index.walk_from_entry(query, 10, |_| true, budget).is_some()).count();
    assert!(within(450) >= 48, "{} of 50 end within 450 of 6,000 nodes", within(450));
}

#[test]
fn a_walk_starts_near_the_query_because_of_the_upper_layers() {
    let rows = uniform(10, 6_000, 4);
    let index = index(8, &rows);
    let mut nearer = 0;
    for query in uniform(11, 100, 4) {
        let start = index.start(&query).unwrap();
        let rank = rows.iter().filter(|row| index.distance.between(row, &query) < start.distance()).count();
        nearer += usize::from(rank < 300);
    }
    assert!(nearer >= 90, "{nearer} of 100 walks start among the nearest twentieth");
}
