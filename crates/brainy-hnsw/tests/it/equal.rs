use brainy_core::Metric;

use crate::data::{assert_ranked, gaussian, index, k};

#[test]
fn a_thousand_equal_vectors_are_all_returned_and_leave_one_by_one() {
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let mut rows = gaussian(1, 3_000, 12);
        let same = rows[0].clone();
        for row in rows.iter_mut().step_by(3) {
            row.clone_from(&same);
        }
        let mut index = index(metric, &rows);
        index.check().unwrap();
        let hits = index.search(&same, k(1_000), 1).unwrap();
        assert_ranked(&hits);
        if metric != Metric::InnerProduct {
            assert!(hits.iter().all(|hit| hit.key % 3 == 0 && hit.distance == 0.0), "{metric}");
        }
        // Few of many equal ones: the least keys.
        let hits = index.search(&same, k(5), 20).unwrap();
        if metric != Metric::InnerProduct {
            assert_eq!(hits.iter().map(|hit| hit.key).collect::<Vec<_>>(), [0, 3, 6, 9, 12]);
        }
        // The rest is still found across them.
        for key in (1..3_000).step_by(301).filter(|key| key % 3 != 0 && metric == Metric::L2) {
            assert_eq!(index.search(&rows[key], k(1), 40).unwrap()[0].key, key as u64);
        }
        for key in (0..3_000).step_by(3) {
            assert!(index.remove(key));
        }
        index.check().unwrap();
        assert!(index.search(&same, k(2_000), 10).unwrap().iter().all(|hit| hit.key % 3 != 0));
    }
}

/// Vectors that are not equal, yet equally far from everything: none is a reason to prefer a link.
#[test]
fn vectors_at_equal_distances_stay_connected() {
    let unit = |at: usize| -> Vec<f32> { (0..200).map(|i| if i == at { 1.0 } else { 0.0 }).collect() };
    let rows: Vec<_> = (0..200).map(unit).collect();
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let mut index = index(metric, &rows);
        index.check().unwrap();
        assert_eq!(index.search(&rows[3], k(200), 1).unwrap().len(), 200);
        for key in 0..199 {
            assert!(index.remove(key));
            index.check().unwrap();
        }
    }
}

#[test]
fn a_key_that_moves_between_equal_vectors_is_in_one_place() {
    let (a, b) = (vec![1.0, 0.0], vec![0.0, 1.0]);
    let mut index = index(Metric::L2, &[a.clone(), a.clone(), b.clone()]);
    assert!(index.insert(0, &b).unwrap());
    assert!(index.insert(0, &b).unwrap());
    let keys = |query: &[f32]| index.search(query, k(3), 3).unwrap().iter().map(|hit| (hit.key, hit.distance)).collect::<Vec<_>>();
    assert_eq!(keys(&a), [(1, 0.0), (0, 2.0), (2, 2.0)]);
    assert_eq!(keys(&b), [(0, 0.0), (2, 0.0), (1, 2.0)]);
    index.check().unwrap();
}

#[test]
fn of_more_equal_distances_than_asked_for_the_exact_answer_has_the_least_keys() {
    // Steps along the axes, under shuffled keys: some rows are twins, the rest different nodes at one distance; nearer ones come late.
    let mut index = brainy_hnsw::Index::new(400, Metric::L2, brainy_hnsw::Options::default()).unwrap();
    for at in 0..1_000usize {
        let mut row = vec![0.0; 400];
        row[at % 400] = match at {
            990.. => 0.5,
            _ if at < 400 => 1.0,
            _ => -1.0,
        };
        index.insert(at as u64 * 577 % 1_000, &row).unwrap();
    }
    let query = [0.0; 400];
    for allowed in [1, 2, 5] {
        let all: Vec<_> = index.exact(&query, k(1_000), &|key| key % allowed == 0).unwrap();
        assert_ranked(&all);
        for count in [1, 5, 11, 12, 50, 199] {
            assert_eq!(index.exact(&query, k(count), &|key| key % allowed == 0).unwrap(), all[..count], "{count} of 1 in {allowed}");
        }
    }
}
