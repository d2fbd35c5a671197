//! What readers see of what was installed.

use brainy_coordination::StateMachine;
use brainy_core::{Incident, encode_operations};
use brainy_engine::{Engine, SearchQuery};

use crate::drive::{commit, context, delete, engine, fetch, noun, noun_id, put, vector, version};

#[test]
fn readers_and_searches_see_a_slot_once_it_is_confirmed_and_the_log_at_once() {
    let engine = engine();
    commit(&engine, 1, &[vec![put(noun("old").with_vector(vector(&[1.0, 0.0])))]]);
    while engine.index_pending(64) > 0 {}
    let payloads =
        [encode_operations(&[put(noun("new").with_vector(vector(&[1.0, 0.1])))]), encode_operations(&[delete("old", Incident::Restrict)])];
    let mut view = fetch(&engine, &payloads);
    for (at, payload) in payloads.iter().enumerate() {
        Engine::apply(&mut view, context(2, at), &Engine::decode(payload));
    }
    let summary = Engine::summary_of(&view);
    engine.install(view, version(2, 2));
    assert_eq!(engine.summary(), summary, "the log goes on from what is installed");
    let found = || engine.search(&SearchQuery::new([1.0, 0.0], 9.try_into().unwrap())).unwrap();
    let names = || found().iter().map(|hit| hit.noun.id.to_string()).collect::<Vec<_>>();
    let there = |name| engine.noun(&noun_id(name)).is_some();
    // The index takes in nothing of it either, nor lets go of what is gone.
    while engine.index_pending(64) > 0 {}
    assert_eq!((there("old"), there("new"), names()), (true, false, vec!["old".to_owned()]));
    assert_ne!(engine.digest(), summary.digest);
    engine.confirm();
    assert_eq!((there("old"), there("new"), names()), (false, true, vec!["new".to_owned()]));
    while engine.index_pending(64) > 0 {}
    assert_eq!((names(), engine.digest()), (vec!["new".to_owned()], summary.digest));
}
