use brainy_core::Metric;
use brainy_hnsw::{Hit, Index, Options};

use crate::data::{clustered, index, k};

fn churned(seed: u64, rows: &[Vec<f32>]) -> Index {
    let mut index = Index::new(rows[0].len(), Metric::L2, Options::default().with_m(4).with_ef_construction(16).with_seed(seed))
        .expect("the options are valid");
    for (key, row) in (0..).zip(rows) {
        index.insert(key, row).expect("the rows are valid");
        if key % 3 == 2 {
            index.remove(key - 1);
        }
    }
    index
}

#[test]
fn the_same_calls_in_the_same_order_give_the_same_graph() {
    let rows = clustered(1, 3_000, 24, 20);
    // With so few candidates the answers are far from exact, and so show the graph.
    let answers = |index: &Index| -> Vec<Hit> { rows.iter().step_by(5).flat_map(|row| index.search(row, k(3), 3).unwrap()).collect() };
    let first = churned(1, &rows);
    assert_eq!(answers(&first), answers(&churned(1, &rows)));
    assert_ne!(answers(&first), answers(&churned(2, &rows)), "the answers do not depend on the graph");
}

#[test]
fn searches_from_many_threads_give_what_one_gives() {
    let rows = clustered(2, 3_000, 16, 30);
    let index = index(Metric::Cosine, &rows);
    let ask = || -> Vec<Vec<Hit>> { rows.iter().step_by(7).map(|row| index.search(row, k(5), 20).unwrap()).collect() };
    let alone = ask();
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        for asker in askers {
            assert_eq!(asker.join().unwrap(), alone);
        }
    });
}

#[test]
fn a_filter_that_panics_leaves_the_index_usable() {
    let rows = clustered(3, 3_000, 8, 30);
    let index = index(Metric::L2, &rows);
    let before = index.search(&rows[0], k(5), 20).unwrap();
    let failed = std::panic::catch_unwind(|| {
        index.search_filtered(&rows[0], k(5), 20, &|key| if key == before[0].key { panic!("on purpose") } else { true })
    });
    assert!(failed.is_err());
    assert_eq!(index.search(&rows[0], k(5), 20).unwrap(), before);
}
