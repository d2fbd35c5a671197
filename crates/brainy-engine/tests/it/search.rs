use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use brainy_core::{ErrorKind, Filter, Incident, Metadata, Metric, NounDraft, Operation, VectorError};
use brainy_engine::{Engine, EngineOptions, Error, ItemFilter, SearchQuery, Space};
use proptest::prelude::*;
use serde_json::json;

use crate::drive::*;

const WIDE: usize = 8;

fn wide(metric: Metric, options: EngineOptions) -> Engine {
    Engine::new(Space::new(WIDE, metric).with_verb_dimension(Some(WIDE)), options).unwrap()
}

/// Numbers in [−1, 1), the same for the same `seed`.
fn point(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..WIDE)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32) / (1_u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn k(k: usize) -> NonZeroUsize {
    NonZeroUsize::new(k).unwrap()
}

fn at(name: &str, seed: u64) -> NounDraft {
    let metadata = Metadata::from_value(&json!({ "seed": seed, "even": seed.is_multiple_of(2) })).unwrap();
    noun(name).with_vector(vector(&point(seed))).with_metadata(metadata)
}

#[derive(Clone, Debug)]
enum Step {
    /// Puts noun `.0` at point `.1`.
    Put(u8, u8),
    /// Writes noun `.0` again, without its vector.
    Bare(u8),
    Delete(u8),
    Clear,
    Index(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0..24_u8, 0..40_u8).prop_map(|(name, at)| Step::Put(name, at)),
        3 => (0..24_u8).prop_map(Step::Bare),
        6 => (0..24_u8).prop_map(Step::Delete),
        1 => Just(Step::Clear),
        12 => (1..12_usize).prop_map(Step::Index),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    // INV-15: a search is never staler than the state.
    #[test]
    fn a_search_finds_the_true_nearest_however_far_the_index_lags(
        metric in prop_oneof![Just(Metric::L2), Just(Metric::Cosine), Just(Metric::InnerProduct)],
        steps in proptest::collection::vec(any_step(), 1..80),
        wanted in 1..12_usize,
        seed in 100..200_u64,
    ) {
        let engine = wide(metric, EngineOptions::default());
        for (seq, step) in (1..).zip(steps) {
            let operation = match step {
                Step::Put(name, seed) => put(at(&format!("n{name}"), u64::from(seed))),
                Step::Bare(name) => put(noun(&format!("n{name}"))),
                Step::Delete(name) => delete(&format!("n{name}"), Incident::Detach),
                Step::Clear => Operation::Clear,
                Step::Index(most) => {
                    engine.index_pending(most);
                    continue;
                }
            };
            commit(&engine, seq, &[vec![operation]]);
            for filter in [ItemFilter::all(), ItemFilter::all().with_metadata(Filter::eq("even", true))] {
                let query = SearchQuery::new(point(seed), k(wanted)).with_filter(filter);
                let found = engine.search(&query).unwrap();
                let with_vector = engine.scan_nouns(None, usize::MAX, &query.filter).into_iter().filter(|noun| noun.vector.is_some()).count();
                prop_assert_eq!(found.len(), wanted.min(with_vector), "k hits where k exist");
                for hit in &found {
                    prop_assert_eq!(engine.noun(&hit.noun.id), Some(hit.noun.clone()), "nothing stale");
                }
                prop_assert_eq!(found, engine.search_exact(&query).unwrap());
            }
        }
        while engine.index_pending(7) > 0 {}
        let query = SearchQuery::new(point(seed), k(wanted));
        prop_assert_eq!(engine.search(&query).unwrap(), engine.search_exact(&query).unwrap());
    }
}

#[test]
fn a_walk_over_the_graph_finds_nearly_all_and_always_k() {
    let engine = wide(Metric::L2, EngineOptions::default());
    let mut seq = 0;
    for block in 0..30 {
        seq += 1;
        commit(&engine, seq, &[(0..100).map(|n| put(at(&format!("n{:05}", block * 100 + n), (block * 100 + n) as u64))).collect()]);
    }
    // A tenth changes and a tenth goes, some of it before and some after the index has seen it.
    engine.index_pending(1_500);
    for n in (0..3_000).step_by(10) {
        seq += 1;
        commit(&engine, seq, &[vec![put(at(&format!("n{n:05}"), 10_000 + n)), delete(&format!("n{:05}", n + 1), Incident::Detach)]]);
    }
    while engine.index_pending(500) > 100 {}
    let (mut hits, mut total) = (0, 0);
    for seed in 0..50 {
        for filter in [ItemFilter::all(), ItemFilter::all().with_metadata(Filter::eq("even", true))] {
            let query = SearchQuery::new(point(77_000 + seed), k(10)).with_ef_search(40).with_filter(filter);
            let (found, exact) = (engine.search(&query).unwrap(), engine.search_exact(&query).unwrap());
            assert_eq!((found.len(), exact.len()), (10, 10));
            hits += found.iter().filter(|hit| exact.contains(hit)).count();
            total += exact.len();
            assert!(found.iter().all(|hit| engine.noun(&hit.noun.id).as_ref() == Some(&hit.noun)));
        }
    }
    assert!(hits * 100 >= total * 95, "recall {hits}/{total}");
}

#[test]
fn equally_near_items_come_in_the_order_of_their_ids() {
    let engine = wide(Metric::Cosine, EngineOptions::default());
    let same = vector(&point(1));
    for (seq, n) in (1..).zip([5, 3, 9, 1, 7, 2, 8, 4, 6]) {
        commit(&engine, seq, &[vec![put(noun(&format!("n{n}")).with_vector(same.clone()))]]);
        engine.index_pending(if n % 2 == 0 { 0 } else { 10 });
    }
    let found = engine.search(&SearchQuery::new(point(1), k(4))).unwrap();
    assert_eq!(found.iter().map(|hit| hit.noun.id.as_str()).collect::<Vec<_>>(), ["n1", "n2", "n3", "n4"]);
    assert!(found.iter().all(|hit| hit.distance == 0.0));
}

#[test]
fn a_metadata_change_does_not_index_the_vector_again() {
    let engine = wide(Metric::L2, EngineOptions::default());
    commit(&engine, 1, &[vec![put(at("a", 1))]]);
    assert_eq!(engine.index_pending(10), 0);
    let changed = noun("a").with_vector(vector(&point(1)));
    commit(&engine, 2, &[vec![put(changed)]]);
    assert_eq!(engine.index_pending(0), 0, "nothing is left to index");
    assert_eq!(engine.search(&SearchQuery::new(point(1), k(1))).unwrap()[0].noun.version, version(2, 0));
    commit(&engine, 3, &[vec![put(at("a", 2))]]);
    assert!(engine.index_pending(0) > 0);
}

#[test]
fn searches_are_right_while_commits_and_the_indexer_run() {
    let engine = wide(Metric::L2, EngineOptions::default());
    commit(&engine, 1, &[(0..50).map(|n| put(at(&format!("n{n}"), n))).collect()]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                engine.index_pending(5);
            }
        });
        let searchers: Vec<_> = (0..2_u64)
            .map(|searcher| {
                let (engine, done) = (&engine, &done);
                scope.spawn(move || {
                    let mut searches = 0;
                    while !done.load(Ordering::Relaxed) || searches < 20 {
                        let query = SearchQuery::new(point(900 + searcher), k(50));
                        let found = engine.search(&query).unwrap();
                        // Every commit leaves 50 nouns with a vector; each appears once, under the vector of its own version.
                        assert_eq!(found.len(), 50);
                        let names: std::collections::BTreeSet<_> = found.iter().map(|hit| hit.noun.id.clone()).collect();
                        assert_eq!(names.len(), 50);
                        for hit in &found {
                            let distance: f32 = hit
                                .noun
                                .vector
                                .as_ref()
                                .unwrap()
                                .as_slice()
                                .iter()
                                .zip(&query.vector)
                                .map(|(a, b)| (a - b) * (a - b))
                                .sum();
                            assert!((distance - hit.distance).abs() < 1e-4);
                        }
                        searches += 1;
                    }
                    searches
                })
            })
            .collect();
        for seq in 2..400 {
            let n = seq * 7 % 50;
            commit(
                &engine,
                seq,
                &[
                    vec![put(at(&format!("n{n}"), seq))],
                    vec![delete(&format!("n{}", (n + 1) % 50), Incident::Detach)],
                    vec![put(at(&format!("n{}", (n + 1) % 50), seq + 1))],
                ],
            );
        }
        done.store(true, Ordering::Relaxed);
        assert!(searchers.into_iter().all(|searcher| searcher.join().unwrap() >= 20));
    });
    while engine.index_pending(64) > 0 {}
    let query = SearchQuery::new(point(5_000), k(50));
    assert_eq!(engine.search(&query).unwrap(), engine.search_exact(&query).unwrap());
}

#[test]
fn a_query_without_a_distance_is_refused_by_name() {
    let engine = wide(Metric::Cosine, EngineOptions::default());
    commit(&engine, 1, &[vec![put(at("a", 1))]]);
    let refused = |vector: Vec<f32>| {
        let query = SearchQuery::new(vector, k(1));
        let error = engine.search(&query).unwrap_err();
        assert_eq!(error, engine.search_exact(&query).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error
    };
    assert_eq!(refused(vec![1.0; 3]), Error::Query(VectorError::Dimension { given: 3, expected: WIDE }));
    assert_eq!(refused(vec![0.0; WIDE]), Error::Query(VectorError::Zero));
    let mut broken = point(1);
    broken[2] = f32::INFINITY;
    assert_eq!(refused(broken.clone()), Error::Query(VectorError::NotFinite { at: 2, value: f32::INFINITY }));
    broken[2] = f32::NAN;
    let error = engine.search(&SearchQuery::new(broken, k(1))).unwrap_err();
    assert!(matches!(error, Error::Query(VectorError::NotFinite { at: 2, .. })), "{error:?}");
}

#[test]
fn verbs_are_searched_among_verbs() {
    let engine = wide(Metric::L2, EngineOptions::default());
    commit(&engine, 1, &[vec![put(at("a", 1)), put(at("b", 2))]]);
    let verbs = (3..9).map(|seed| relate(verb("a", "b").with_id(verb_id(&format!("v{seed}"))).with_vector(vector(&point(seed)))));
    commit(&engine, 2, &[verbs.collect()]);
    let query = SearchQuery::new(point(4), k(3));
    let pending = engine.search_verbs(&query).unwrap();
    assert_eq!(pending[0].verb.id, verb_id("v4"));
    assert_eq!(pending, engine.search_verbs_exact(&query).unwrap());
    while engine.index_pending(4) > 0 {}
    assert_eq!(engine.search_verbs(&query).unwrap(), pending);
    commit(&engine, 3, &[vec![delete("a", Incident::Detach)]]);
    assert_eq!(engine.search_verbs(&query).unwrap(), []);
    let none = Engine::new(Space::new(WIDE, Metric::L2), EngineOptions::default()).unwrap();
    assert_eq!(none.search_verbs(&query), Err(Error::NoVerbVectors));
}

#[test]
fn an_engine_without_index_refuses_searches_and_keeps_the_same_state() {
    let (with, without) = (engine(), Engine::new(space(), EngineOptions::default().with_vector_index(false)).unwrap());
    for engine in [&with, &without] {
        commit(engine, 1, &[vec![put(noun("a").with_vector(vector(&[1.0, 0.0])))]]);
    }
    assert_eq!(with.digest(), without.digest());
    assert_eq!(with.statistics(), without.statistics());
    let query = SearchQuery::new([1.0, 0.0], k(1));
    assert_eq!(without.search(&query), Err(Error::NoVectorIndex));
    assert_eq!(without.search_verbs(&query), Err(Error::NoVectorIndex));
    assert_eq!(without.index_pending(10), 0);
    assert_eq!(without.index_memory_bytes(), 0);
    assert!(with.search(&query).is_ok());
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let refused = |space: Space, options: EngineOptions| match Engine::new(space, options) {
        Err(Error::Option { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let two = Space::new(2, Metric::L2);
    assert_eq!(refused(Space::new(0, Metric::L2), EngineOptions::default()), "dimension");
    assert_eq!(refused(two.with_verb_dimension(Some(1 << 20)), EngineOptions::default()), "verb_dimension");
    assert_eq!(refused(two, EngineOptions::default().with_m(1)), "m");
    assert_eq!(refused(two, EngineOptions::default().with_ef_construction(1)), "ef_construction");
    assert_eq!(refused(two, EngineOptions::default().with_ef_search(0)), "ef_search");
}
