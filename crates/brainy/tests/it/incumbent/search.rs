//! HNSW 4 and 6, which take the whole store to show; 1, 2, 3 and 5 are in `brainy-hnsw`.

use std::sync::Arc;
use std::thread;

use brainy::storage::{InMemoryStore, Store};
use brainy::{Brainy, ItemFilter, Search, Vector};
use brainy_core::{Entropy, SeededEntropy};
use futures_executor::block_on;

use super::{service, until_indexed};
use crate::support::{at, edge, quiet, thing};

#[test]
fn hnsw4_a_search_for_nouns_finds_no_verb_however_near() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let db = block_on(quiet(&store).verb_dimension(2).create()).unwrap();
    block_on(async {
        for n in 0..20 {
            db.put(at(&n.to_string(), [10.0 + n as f32, 0.0])).await.unwrap();
        }
        for n in 0..19 {
            // At the very place that is searched for, where no noun is.
            let verb = edge(&n.to_string(), &(n + 1).to_string()).with_vector(Vector::new([0.0, 0.0]).unwrap());
            db.relate(verb.with_service(service("s"))).await.unwrap();
        }
    });
    let opened = block_on(quiet(&store).open()).unwrap();
    for db in [&db, &opened] {
        for indexed in [false, true] {
            if indexed {
                until_indexed(db);
            }
            let search = Search::new([0.0, 0.0], 5);
            for search in [search.clone(), search.clone().exact(), search.clone().with_ef_search(1_000)] {
                let found = block_on(db.search(&search)).unwrap();
                let names: Vec<_> = found.iter().map(|hit| hit.noun.id.as_str()).collect();
                assert_eq!(names, ["0", "1", "2", "3", "4"], "five are found though nineteen verbs are nearer");
            }
            assert!(block_on(db.search(&search.clone().with_service(service("s")))).unwrap().is_empty());
            let verbs = block_on(db.search_verbs(&search)).unwrap();
            assert!(verbs.len() == 5 && verbs.iter().all(|hit| hit.distance == 0.0));
        }
    }
}

/// Distinct rows that have no order.
fn rows(count: usize) -> Vec<Vec<f32>> {
    let entropy = SeededEntropy::new(66);
    (0..count).map(|_| (0..16).map(|_| entropy.fraction() as f32 - 0.5).collect()).collect()
}

fn adds(db: &Brainy, rows: &[Vec<f32>], from: usize) {
    let draft = |n: usize| thing(&n.to_string()).with_vector(Vector::new(rows[n].clone()).unwrap());
    let adds: Vec<_> = (from..from + 150).map(|n| db.transaction().put(draft(n)).submit().unwrap()).collect();
    for add in adds {
        block_on(add.wait()).unwrap();
    }
}

#[test]
fn hnsw6_nouns_that_are_added_at_the_same_time_find_each_other() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let builder = || quiet(&store).dimension(16);
    let (one, two) = (block_on(builder().create()).unwrap(), block_on(builder().open()).unwrap());
    let rows = rows(1_200);
    thread::scope(|scope| {
        for part in 0..8 {
            let (db, rows) = (if part % 2 == 0 { &one } else { &two }, &rows);
            scope.spawn(move || adds(db, rows, part * 150));
        }
    });
    for db in [&one, &two] {
        block_on(db.refresh()).unwrap();
        until_indexed(db);
        let (mut near, mut wanted) = (0, 0);
        for (n, row) in rows.iter().enumerate() {
            // Few candidates: else every vector would be compared.
            let search = Search::new(row.as_slice(), 10).with_ef_search(60);
            let found = block_on(db.search(&search)).unwrap();
            assert_eq!((found[0].noun.id.as_str(), found[0].distance), (&*n.to_string(), 0.0), "it finds itself");
            if n % 10 == 0 {
                let exact = block_on(db.search(&search.exact())).unwrap();
                near += found.iter().filter(|hit| hit.distance <= exact[9].distance).count();
                wanted += 10;
            }
        }
        assert!(near as f64 >= 0.95 * f64::from(wanted), "{near} of {wanted}");
        assert_eq!(block_on(db.scan(None, 5_000, &ItemFilter::all())).unwrap().len(), 1_200);
    }
}
