//! The rules one by one, where the random tests would show only that two programs agree.

use brainy_coordination::StateMachine;
use brainy_core::{
    Incident, MAX_DETACHED_VERBS, MAX_LABELS, Metric, MissingEnds, NounDraft, Operation, Precondition, ServiceTag, TypeName, VerbDraft,
};
use brainy_engine::{Engine, EngineOptions, Reason, Space, VerbQuery};

use crate::drive::*;

// INV-13: all of a transaction or nothing.
#[test]
fn a_transaction_is_all_or_nothing() {
    let engine = engine();
    let verdicts = commit(&engine, 1, &[vec![put(noun("a")), relate(verb("a", "b"))], vec![put(noun("c"))]]);
    assert_eq!(verdicts, [rejected(1, Reason::TargetMissing), effective(1)]);
    assert_eq!(engine.noun(&noun_id("a")), None);
    assert_eq!(engine.noun(&noun_id("c")).unwrap().version, version(1, 1));
}

#[test]
fn a_later_transaction_of_a_slot_sees_the_earlier_ones() {
    let engine = engine();
    let slot = [
        vec![put(noun("a")), put(noun("b"))],
        vec![relate(verb("a", "b"))],
        vec![delete("a", Incident::Restrict)],
        vec![delete("a", Incident::Detach)],
        vec![put(noun("a"))],
        vec![delete("a", Incident::Restrict)],
    ];
    let expected = [effective(2), effective(1), rejected(0, Reason::HasVerbs), effective(2), effective(1), effective(1)];
    assert_eq!(commit(&engine, 1, &slot), expected);
    assert_eq!((engine.statistics().nouns, engine.statistics().verbs), (1, 0));
    assert_eq!((engine.statistics().deleted_nouns, engine.statistics().deleted_verbs), (2, 1));
}

#[test]
fn a_clear_takes_all_and_the_slot_goes_on_after_it() {
    let engine = engine();
    commit(&engine, 1, &[vec![put(noun("a")), put(noun("b")), relate(verb("a", "b"))]]);
    let slot = [vec![put(noun("c"))], vec![Operation::Clear], vec![relate(verb("a", "b"))], vec![put(noun("a")), relate(verb("a", "a"))]];
    assert_eq!(commit(&engine, 2, &slot), [effective(1), effective(4), rejected(0, Reason::SourceMissing), effective(2)]);
    let statistics = engine.statistics();
    assert_eq!((statistics.nouns, statistics.verbs, statistics.deleted_nouns, statistics.deleted_verbs), (1, 1, 3, 1));
    assert_eq!(engine.noun(&noun_id("b")), None);
    assert_eq!(commit(&engine, 3, &[vec![Operation::Clear, put(noun("x"))]]), [rejected(0, Reason::ClearNotAlone)]);
    assert_eq!(commit(&engine, 4, &[vec![put(noun("x")), Operation::Clear]]), [rejected(1, Reason::ClearNotAlone)]);
}

#[test]
fn a_repeated_relation_changes_nothing_and_any_other_write_makes_a_version() {
    let engine = engine();
    commit(&engine, 1, &[vec![put(noun("a")), put(noun("b"))]]);
    let derived = verb("a", "b");
    let given = verb("a", "b").with_id(verb_id("given"));
    assert_eq!(commit(&engine, 2, &[vec![relate(derived.clone())], vec![relate(given.clone())]]), [effective(1), effective(1)]);
    let before = engine.digest();
    assert_eq!(commit(&engine, 3, &[vec![relate(derived.clone())]]), [effective(0)]);
    assert_eq!(engine.digest(), before);
    assert_eq!(commit(&engine, 4, &[vec![relate(given.clone())]]), [effective(1)]);
    assert_eq!(engine.verb(&verb_id("given")).unwrap().version, version(4, 0));
    let guarded = Operation::PutVerb { verb: derived.clone(), precondition: Precondition::Exists, missing: MissingEnds::Refuse };
    assert_eq!(commit(&engine, 5, &[vec![guarded]]), [effective(1)]);
    let stored = engine.verb(&derived.effective_id()).unwrap();
    assert_eq!((stored.version, stored.created_ms, stored.updated_ms), (version(5, 0), 1_002, 1_005));
    assert_eq!(commit(&engine, 6, &[vec![put(noun("a"))]]), [effective(1)]);
    assert_eq!(commit(&engine, 7, &[vec![relate(derived.with_weight(2.0))]]), [effective(1)]);
}

#[test]
fn preconditions_are_judged_against_the_state_before_the_transaction() {
    let engine = engine();
    commit(&engine, 1, &[vec![put(noun("a")), put(noun("b")), relate(verb("a", "b"))]]);
    let put_if = |name: &str, precondition| Operation::PutNoun { noun: noun(name), precondition };
    assert_eq!(commit(&engine, 2, &[vec![put_if("a", Precondition::Absent)]]), [rejected(0, Reason::AlreadyExists)]);
    assert_eq!(commit(&engine, 3, &[vec![put_if("z", Precondition::Exists)]]), [rejected(0, Reason::DoesNotExist)]);
    assert_eq!(commit(&engine, 4, &[vec![put_if("z", Precondition::Version(version(1, 0)))]]), [rejected(0, Reason::DoesNotExist)]);
    assert_eq!(commit(&engine, 5, &[vec![put_if("a", Precondition::Version(version(2, 0)))]]), [rejected(0, Reason::OtherVersion)]);
    assert_eq!(commit(&engine, 6, &[vec![put_if("a", Precondition::Version(version(1, 0)))]]), [effective(1)]);
    // Two writers that read the same version: one wins.
    let raise = put_if("a", Precondition::Version(version(6, 0)));
    assert_eq!(commit(&engine, 7, &[vec![raise.clone()], vec![raise]]), [effective(1), rejected(0, Reason::OtherVersion)]);
    // A deleted and re-made item never repeats a version.
    commit(&engine, 8, &[vec![delete("a", Incident::Detach)], vec![put(noun("a"))]]);
    assert_eq!(commit(&engine, 9, &[vec![put_if("a", Precondition::Version(version(7, 0)))]]), [rejected(0, Reason::OtherVersion)]);
    assert_eq!(engine.noun(&noun_id("a")).unwrap().created_ms, 1_008);
}

#[test]
fn an_item_is_written_once_in_a_transaction() {
    let engine = engine();
    let twice = |operations: Vec<Operation>| {
        let last = u32::try_from(operations.len() - 1).unwrap();
        assert_eq!(commit(&engine, 2, &[operations]), [rejected(last, Reason::WrittenTwice)]);
    };
    commit(&engine, 1, &[vec![put(noun("a")), put(noun("b")), relate(verb("a", "b"))]]);
    twice(vec![put(noun("c")), put(noun("c"))]);
    twice(vec![delete("c", Incident::Restrict), put(noun("c"))]);
    twice(vec![relate(verb("a", "b")), relate(verb("a", "b"))]);
    twice(vec![relate_making(verb("a", "new")), put(noun("new"))]);
    twice(vec![delete("a", Incident::Detach), relate_making(verb("a", "b"))]);
    twice(vec![delete("a", Incident::Detach), delete_verb(verb("a", "b").effective_id())]);
    twice(vec![relate(verb("b", "a")), delete("a", Incident::Detach)]);
    twice(vec![relate(verb("a", "b")), delete("a", Incident::Detach)]);
    // Not twice: verbs and nouns have names of their own, and a missing end is made once for all that need it.
    let same_name = relate(verb("a", "b").with_id(verb_id("a")));
    assert_eq!(commit(&engine, 3, &[vec![put(noun("a")), same_name]]), [effective(2)]);
    assert_eq!(
        commit(&engine, 4, &[vec![relate_making(verb("m", "m")), relate_making(verb("m", "a")), relate(verb("b", "m"))]]),
        [effective(4)]
    );
    // Verbs first, then their noun.
    let operations = vec![delete_verb(verb("m", "m").effective_id()), delete("m", Incident::Detach)];
    assert_eq!(commit(&engine, 5, &[operations]), [effective(4)]);
}

#[test]
fn a_noun_goes_only_with_its_verbs() {
    let engine = engine();
    commit(&engine, 1, &[vec![put(noun("a")), put(noun("b")), put(noun("c")), relate(verb("a", "a")), relate(verb("b", "a"))]]);
    assert_eq!(commit(&engine, 2, &[vec![delete("a", Incident::Restrict)]]), [rejected(0, Reason::HasVerbs)]);
    assert_eq!(commit(&engine, 3, &[vec![relate(verb("c", "b")), delete("c", Incident::Restrict)]]), [rejected(1, Reason::HasVerbs)]);
    assert_eq!(commit(&engine, 4, &[vec![delete("a", Incident::Detach)]]), [effective(3)]);
    assert_eq!(engine.verbs(&VerbQuery::all()), []);
    assert_eq!(commit(&engine, 5, &[vec![delete("a", Incident::Restrict)]]), [effective(0)]);
    // A verb that the transaction moves away no longer holds its noun.
    commit(&engine, 6, &[vec![put(noun("c")), relate(verb("b", "c").with_id(verb_id("v")))]]);
    let moved = relate(verb("b", "b").with_id(verb_id("v")));
    assert_eq!(commit(&engine, 7, &[vec![moved, delete("c", Incident::Restrict)]]), [effective(2)]);
    assert_eq!(engine.reader().verbs_by_target(&noun_id("c")), []);
    assert_eq!(engine.reader().incident(&noun_id("b")).len(), 1);
}

#[test]
fn vectors_are_those_of_the_store() {
    let engine = Engine::new(Space::new(2, Metric::Cosine), EngineOptions::default()).unwrap();
    let with = |components: &[f32]| vec![put(noun("a").with_vector(vector(components)))];
    assert_eq!(commit(&engine, 1, &[with(&[1.0, 2.0, 3.0])]), [rejected(0, Reason::VectorDimension)]);
    assert_eq!(commit(&engine, 2, &[with(&[0.0, 0.0])]), [rejected(0, Reason::VectorZero)]);
    assert_eq!(commit(&engine, 3, &[with(&[0.0, 1.0])]), [effective(1)]);
    let verb = relate(verb("a", "a").with_vector(vector(&[1.0, 1.0])));
    assert_eq!(commit(&engine, 4, &[vec![verb]]), [rejected(0, Reason::VectorNotKept)]);
}

#[test]
fn more_verbs_than_the_limit_do_not_go_with_their_noun() {
    let engine = engine();
    commit(&engine, 1, &[vec![put(noun("hub"))]]);
    let loops = |from: usize, to: usize| -> Vec<Operation> {
        (from..to).map(|n| relate(verb("hub", "hub").with_id(verb_id(&format!("v{n}"))))).collect()
    };
    let half = MAX_DETACHED_VERBS / 2;
    commit(&engine, 2, &[loops(0, half), loops(half, MAX_DETACHED_VERBS + 1)]);
    assert_eq!(engine.statistics().verbs, MAX_DETACHED_VERBS as u64 + 1);
    // One less, and all go.
    let slot = [vec![delete("hub", Incident::Detach)], vec![delete_verb(verb_id("v7"))], vec![delete("hub", Incident::Detach)]];
    let all = u32::try_from(MAX_DETACHED_VERBS + 1).unwrap();
    assert_eq!(commit(&engine, 3, &slot), [rejected(0, Reason::TooManyVerbs), effective(1), effective(all)]);
    assert_eq!((engine.statistics().nouns, engine.statistics().verbs), (0, 0));
}

#[test]
fn nothing_of_an_item_shows_in_debug_output() {
    let engine = engine();
    commit(&engine, 1, &[vec![put(noun("secret-id"))]]);
    let view = fetch(&engine, &[brainy_core::encode_operations(&[put(noun("secret-id"))])]);
    for text in [format!("{engine:?}"), format!("{:?}", engine.reader()), format!("{view:?}")] {
        assert!(!text.contains("secret-id"), "{text}");
        assert!(text.len() < 1_000);
    }
}

#[test]
fn distinct_types_and_services_are_bounded_so_that_every_slot_can_be_read() {
    let engine = engine();
    // As long as labels may be, and no two alike.
    let label = |kind: &str, n: usize| format!("{kind}{n:0250}");
    let item = |n: usize, kind: usize| {
        let noun = NounDraft::new(noun_id(&format!("n{n}")), TypeName::new(label("t", kind)).unwrap());
        put(noun.with_service(ServiceTag::new(label("s", kind)).unwrap()))
    };
    let edge = |kind: usize| {
        let verb = VerbDraft::new(noun_id("n0"), TypeName::new(label("v", kind)).unwrap(), noun_id("n0"));
        relate(verb.with_service(ServiceTag::new(label("w", kind)).unwrap()))
    };
    let nouns: Vec<_> = (0..MAX_LABELS).map(|n| item(n, n)).collect();
    let all = u32::try_from(MAX_LABELS).unwrap();
    assert_eq!(commit(&engine, 1, &[nouns]), [effective(all)]);
    assert_eq!(commit(&engine, 2, &[(0..MAX_LABELS).map(&edge).collect()]), [effective(all)]);
    assert!(engine.summary().counters.len() < 900_000, "{}", engine.summary().counters.len());
    // One more is refused, alone or as a missing end; one that is there is not, and one that goes makes room.
    let refused = [vec![item(9_999, MAX_LABELS)], vec![edge(MAX_LABELS)], vec![item(9_999, 0)]];
    assert_eq!(commit(&engine, 3, &refused), [rejected(0, Reason::TooManyLabels), rejected(0, Reason::TooManyLabels), effective(1)]);
    let slot = [vec![delete("n7", Incident::Restrict)], vec![item(9_998, MAX_LABELS)]];
    assert_eq!(commit(&engine, 4, &slot), [effective(1), effective(1)]);
    // Within one transaction too: nothing of it is done.
    let engine = self::engine();
    let over: Vec<_> = (0..=MAX_LABELS).map(|n| item(n, n)).collect();
    assert_eq!(commit(&engine, 1, &[over]), [rejected(all, Reason::TooManyLabels)]);
    assert_eq!(engine.statistics().nouns, 0);
}
