use brainy_core::{Filter, Incident, Metadata, NounId, ServiceTag};
use brainy_engine::{Direction, Engine, ItemFilter, Reached, TraverseOptions, VerbQuery};
use serde_json::json;

use crate::drive::*;

fn names(reached: &[Reached]) -> Vec<(&str, u32)> {
    reached.iter().map(|reached| (reached.id.as_str(), reached.depth)).collect()
}

/// a → b → c → a, a → d, e → a.
fn circle() -> Engine {
    let engine = engine();
    let nouns = ["a", "b", "c", "d", "e"].map(|name| put(noun(name)));
    commit(&engine, 1, &[nouns.to_vec()]);
    let other = brainy_core::VerbDraft::new(noun_id("a"), kind("other"), noun_id("d"));
    let verbs = vec![
        relate(verb("a", "b").with_id(verb_id("1"))),
        relate(verb("b", "c").with_id(verb_id("2"))),
        relate(verb("c", "a").with_id(verb_id("3"))),
        relate(other.with_id(verb_id("4"))),
        relate(verb("e", "a").with_id(verb_id("5"))),
    ];
    commit(&engine, 2, &[verbs]);
    engine
}

#[test]
fn a_traversal_goes_breadth_first_once_to_each_noun() {
    let engine = circle();
    let from = |start: &str, options: TraverseOptions| engine.traverse(&[noun_id(start)], &options);
    let options = TraverseOptions::default;
    let out = from("a", options());
    assert_eq!(names(&out.reached), [("b", 1), ("d", 1), ("c", 2)]);
    assert!(out.complete);
    assert_eq!(out.reached[2].via, verb_id("2"));
    assert_eq!(names(&from("a", options().with_max_depth(1)).reached), [("b", 1), ("d", 1)]);
    assert_eq!(names(&from("a", options().with_direction(Direction::In)).reached), [("c", 1), ("e", 1), ("b", 2)]);
    assert_eq!(names(&from("a", options().with_direction(Direction::Both)).reached), [("b", 1), ("d", 1), ("c", 1), ("e", 1)]);
    assert_eq!(names(&from("a", options().with_kind(kind("uses"))).reached), [("b", 1), ("c", 2)]);
    assert_eq!(from("nowhere", options()).reached, []);
    let cut = from("a", options().with_limit(2));
    assert_eq!((names(&cut.reached), cut.complete), (vec![("b", 1), ("d", 1)], false));
    assert!(from("a", options().with_limit(3)).complete);
    let two = engine.traverse(&[noun_id("b"), noun_id("e"), noun_id("b")], &options().with_max_depth(1));
    assert_eq!(names(&two.reached), [("c", 1), ("a", 1)]);
}

#[test]
fn pages_follow_each_other_without_gap_or_repetition() {
    let engine = engine();
    let mut seq = 0;
    for block in 0..10 {
        seq += 1;
        commit(&engine, seq, &[(0..20).map(|n| put(noun(&format!("n{:03}", n * 10 + block)))).collect()]);
    }
    let mut all: Vec<NounId> = Vec::new();
    loop {
        let page = engine.scan_nouns(all.last(), 7, &ItemFilter::all());
        if page.is_empty() {
            break;
        }
        all.extend(page.into_iter().map(|noun| noun.id));
    }
    assert_eq!(all, (0..200).map(|n| noun_id(&format!("n{n:03}"))).collect::<Vec<_>>());
}

#[test]
fn verbs_are_paged_by_every_order_they_are_found_by() {
    let engine = circle();
    let ids = |query: VerbQuery| engine.verbs(&query).into_iter().map(|verb| verb.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(VerbQuery::all().with_limit(2)), ["1", "2"]);
    assert_eq!(ids(VerbQuery::all().with_after(verb_id("2")).with_limit(2)), ["3", "4"]);
    assert_eq!(ids(VerbQuery::all().with_source(noun_id("a")).with_after(verb_id("1"))), ["4"]);
    assert_eq!(ids(VerbQuery::all().with_target(noun_id("a"))), ["3", "5"]);
    assert_eq!(ids(VerbQuery::all().with_target(noun_id("a")).with_after(verb_id("3"))), ["5"]);
    assert_eq!(ids(VerbQuery::all().with_kind(kind("uses")).with_after(verb_id("2"))), ["3", "5"]);
    assert_eq!(ids(VerbQuery::all().with_source(noun_id("a")).with_target(noun_id("d"))), ["4"]);
    assert_eq!(ids(VerbQuery::all().with_service(ServiceTag::new("s").unwrap())), [""; 0]);
}

#[test]
fn a_filter_asks_for_type_service_and_metadata() {
    let engine = engine();
    let metadata = |n: u32| Metadata::from_value(&json!({ "n": n })).unwrap();
    let service = |name: &str| ServiceTag::new(name).unwrap();
    let nouns = vec![
        put(noun("a").with_metadata(metadata(1)).with_service(service("x"))),
        put(noun("b").with_metadata(metadata(2)).with_service(service("y"))),
        put(noun("c").with_metadata(metadata(3))),
        put(brainy_core::NounDraft::new(noun_id("d"), kind("other"))),
    ];
    commit(&engine, 1, &[nouns]);
    let ids = |filter: ItemFilter| engine.scan_nouns(None, 10, &filter).into_iter().map(|noun| noun.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(ItemFilter::all()), ["a", "b", "c", "d"]);
    assert_eq!(ids(ItemFilter::all().with_kind(kind("thing"))), ["a", "b", "c"]);
    assert_eq!(ids(ItemFilter::all().with_kind(kind("other")).with_kind(kind("thing"))).len(), 4);
    assert_eq!(ids(ItemFilter::all().with_service(service("x"))), ["a"]);
    assert_eq!(ids(ItemFilter::all().with_metadata(Filter::gte("n", 2))), ["b", "c"]);
    assert_eq!(ids(ItemFilter::all().with_metadata(Filter::gte("n", 2)).with_service(service("y"))), ["b"]);
}

#[test]
fn a_reader_keeps_its_state_while_commits_go_on() {
    let engine = circle();
    let reader = engine.reader();
    let before = (reader.statistics().clone(), reader.digest(), reader.incident(&noun_id("a")));
    commit(&engine, 3, &[vec![delete("a", Incident::Detach)]]);
    commit(&engine, 4, &[vec![brainy_core::Operation::Clear]]);
    assert_eq!((reader.statistics().clone(), reader.digest(), reader.incident(&noun_id("a"))), before);
    assert_eq!(before.2.len(), 4);
    assert_eq!(engine.noun(&noun_id("a")), None);
    assert_eq!(engine.position(), Some(version(4, 1)));
}
