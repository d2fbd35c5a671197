//! Search: right while others write, full wherever enough exist.

use brainy::{Brainy, ErrorKind, Filter, Freshness, Incident, Metadata, Metric, Search, ServiceTag, Vector};
use brainy_core::{Entropy, SeededEntropy};
use futures_executor::block_on;
use serde_json::json;

use crate::support::{at, edge, kind, memory, quiet, thing};

#[test]
fn a_filtered_search_fills_k_where_k_exist_while_others_write() {
    let (store, writer) = memory();
    let reader = block_on(quiet(&store).freshness(Freshness::Latest).open()).unwrap();
    let entropy = SeededEntropy::new(11);
    let service = |n: usize| ServiceTag::new(format!("service {}", n % 4)).unwrap();
    // (name, vector, group), as plain a model as can be.
    let mut model: Vec<(String, [f32; 2], usize)> = Vec::new();
    let mut made = 0;
    for round in 0..12 {
        let mut transaction = writer.transaction();
        for _ in 0..40 {
            let vector = [entropy.fraction() as f32, entropy.fraction() as f32];
            let (name, group) = (format!("{made:04}"), made % 20);
            let draft = at(&name, vector).with_metadata(Metadata::new(&json!({"group": group})).unwrap()).with_service(service(made));
            transaction = transaction.put(draft);
            model.push((name, vector, group));
            made += 1;
        }
        // Of those that were there before: an id is written once in a transaction.
        let before = model.len() - 40;
        for removed in 0..before.min(10) {
            let gone = model.remove((entropy.fraction() * (before - removed) as f64) as usize);
            transaction = transaction.delete(crate::support::id(&gone.0), Incident::Restrict);
        }
        block_on(transaction.commit()).unwrap();
        let query = [entropy.fraction() as f32, entropy.fraction() as f32];
        let distance = |vector: &[f32; 2]| (vector[0] - query[0]).powi(2) + (vector[1] - query[1]).powi(2);
        for group in [3, 7] {
            let mut expected: Vec<_> = model.iter().filter(|(_, _, of)| *of == group).collect();
            expected.sort_by(|one, two| distance(&one.1).total_cmp(&distance(&two.1)));
            let k = expected.len();
            let search = Search::new(query, k).with_filter(Filter::eq("group", group));
            let found = block_on(reader.search(&search)).unwrap();
            assert_eq!(found.len(), k, "round {round}: every one of {k} that exist");
            assert!(found.iter().all(|hit| hit.noun.metadata.to_value()["group"] == json!(group)));
            assert!(found.is_sorted_by(|one, two| one.distance <= two.distance));
            let exact = block_on(reader.search(&search.clone().exact())).unwrap();
            let names: Vec<_> = exact.iter().map(|hit| hit.noun.id.as_str()).collect();
            assert_eq!(names, expected.iter().map(|(name, _, _)| name.as_str()).collect::<Vec<_>>());
            let both = Search::new(query, 3).with_filter(Filter::eq("group", group)).with_service(service(group));
            assert_eq!(block_on(reader.search(&both.clone().with_kind(kind("thing")))).unwrap().len(), 3.min(k));
            assert_eq!(block_on(reader.search(&both.with_kind(kind("other")))).unwrap().len(), 0);
        }
        let all = block_on(reader.search(&Search::new(query, model.len() + 10))).unwrap();
        assert_eq!(all.len(), model.len(), "fewer only if fewer exist");
    }
}

#[test]
fn what_was_written_deleted_or_moved_shows_in_the_next_search() {
    let (_, db) = memory();
    let nearest = |db: Brainy| async move {
        let found = db.search(&Search::new([0.0, 0.0], 1)).await.unwrap();
        found.first().map(|hit| (hit.noun.id.to_string(), hit.distance))
    };
    block_on(async {
        assert_eq!(nearest(db.clone()).await, None, "an empty store has no nearest");
        db.put(thing("no vector")).await.unwrap();
        assert_eq!(nearest(db.clone()).await, None);
        db.put(at("a", [3.0, 4.0])).await.unwrap();
        assert_eq!(nearest(db.clone()).await, Some(("a".into(), 25.0)), "L2 is squared");
        db.put(at("b", [1.0, 0.0])).await.unwrap();
        assert_eq!(nearest(db.clone()).await, Some(("b".into(), 1.0)));
        db.put(at("b", [9.0, 9.0])).await.unwrap();
        assert_eq!(nearest(db.clone()).await, Some(("a".into(), 25.0)));
        db.delete("a", Incident::Restrict).await.unwrap();
        assert_eq!(nearest(db.clone()).await, Some(("b".into(), 162.0)));
        db.put(thing("b")).await.unwrap();
        assert_eq!(nearest(db.clone()).await, None, "written again without a vector");
    });
}

#[test]
fn verbs_are_found_by_vectors_of_their_own_where_the_store_keeps_them() {
    let (_, without) = memory();
    block_on(async {
        let db = Brainy::builder("memory://").dimension(2).metric(Metric::L2).verb_dimension(3).create().await.unwrap();
        db.transaction().put(thing("a")).put(thing("b")).commit().await.unwrap();
        let vector = |x: f32| Vector::new([x, 0.0, 0.0]).unwrap();
        db.relate(edge("a", "b").with_vector(vector(1.0))).await.unwrap();
        db.relate(edge("b", "a").with_vector(vector(5.0))).await.unwrap();
        for search in [Search::new([4.0, 0.0, 0.0], 9), Search::new([4.0, 0.0, 0.0], 9).exact()] {
            let found = db.search_verbs(&search).await.unwrap();
            let found: Vec<_> = found.iter().map(|hit| (hit.verb.source.as_str(), hit.distance)).collect();
            assert_eq!(found, [("b", 1.0), ("a", 9.0)]);
        }
        assert_eq!(db.search_verbs(&Search::new([1.0, 0.0], 9)).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(without.search_verbs(&Search::new([1.0, 0.0], 9)).await.unwrap_err().kind(), ErrorKind::Unsupported);
        let kept = without.relate_creating(edge("a", "b").with_vector(vector(1.0)), kind("stub")).await.unwrap_err();
        assert!(kept.to_string().contains("keeps no vectors of verbs"), "{kept}");
    });
}

#[test]
fn the_index_takes_in_everything_and_answers_the_same() {
    let (_, db) = memory();
    let entropy = SeededEntropy::new(5);
    block_on(async {
        let mut transaction = db.transaction();
        for n in 0..300 {
            transaction = transaction.put(at(&n.to_string(), [entropy.fraction() as f32, entropy.fraction() as f32]));
        }
        transaction.commit().await.unwrap();
        let search = Search::new([0.5, 0.5], 10).with_ef_search(300);
        let early = db.search(&search).await.unwrap();
        while db.index_pending() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(db.search(&search).await.unwrap(), early);
        assert_eq!(db.search(&search.exact()).await.unwrap(), early);
    });
}
