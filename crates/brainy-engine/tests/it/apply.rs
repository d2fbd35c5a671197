use brainy_coordination::StateMachine;
use brainy_core::{Noun, NounId, Operation, Verb, encode_operations};
use brainy_engine::{Engine, ItemFilter, VerbQuery, decode_counters};
use proptest::prelude::*;

use crate::drive::{any_transaction, commit, context, engine, fetch, kind, noun_id, verb_id};
use crate::oracle::Model;

/// Everything the engine says of its state, against the same read off the model's items.
pub(crate) fn agree(engine: &Engine, model: &Model) {
    let reader = engine.reader();
    let nouns: Vec<Noun> = model.nouns.values().cloned().collect();
    let verbs: Vec<Verb> = model.verbs.values().cloned().collect();
    assert_eq!(reader.scan_nouns(None, usize::MAX, &ItemFilter::all()), nouns);
    assert_eq!(reader.scan_verbs(None, usize::MAX, &ItemFilter::all()), verbs);
    let with = |test: &dyn Fn(&Verb) -> bool| -> Vec<Verb> { verbs.iter().filter(|verb| test(verb)).cloned().collect() };
    let ids: Vec<NounId> = (0..7).map(|n| noun_id(&format!("n{n}"))).collect();
    assert_eq!(reader.nouns(&ids), ids.iter().map(|id| model.nouns.get(id).cloned()).collect::<Vec<_>>());
    for id in &ids {
        assert_eq!(reader.verbs_by_source(id), with(&|verb| verb.source == *id));
        assert_eq!(reader.verbs_by_target(id), with(&|verb| verb.target == *id));
        assert_eq!(reader.incident(id), with(&|verb| verb.source == *id || verb.target == *id));
        let kind = kind("r1");
        let query = VerbQuery::all().with_target(id.clone()).with_kind(kind.clone());
        assert_eq!(reader.verbs(&query), with(&|verb| verb.target == *id && verb.kind == kind));
    }
    for kind in [kind("r0"), kind("r1")] {
        assert_eq!(reader.verbs_by_type(&kind), with(&|verb| verb.kind == kind));
    }
    for verb in &verbs {
        assert_eq!(reader.verb(&verb.id).as_ref(), Some(verb));
        assert!(model.nouns.contains_key(&verb.source) && model.nouns.contains_key(&verb.target), "both ends of a verb exist");
    }
    assert_eq!(reader.verb(&verb_id("none")), None);
    assert_eq!(*reader.statistics(), model.statistics());
    assert_eq!(reader.digest(), model.digest());
    let summary = engine.summary();
    assert_eq!(decode_counters(&summary.counters).unwrap(), model.statistics());
    assert_eq!(summary.digest, model.digest());
}

fn any_slots(versions: bool) -> impl Strategy<Value = Vec<Vec<Vec<Operation>>>> {
    proptest::collection::vec(proptest::collection::vec(any_transaction(versions), 1..4), 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    // INV-14: counters are a recount, on every instance.
    #[test]
    fn apply_does_what_the_plain_rules_say(slots in any_slots(true)) {
        let (engine, mut model) = (engine(), Model::default());
        for (seq, transactions) in (1..).zip(&slots) {
            let verdicts = commit(&engine, seq, transactions);
            for (at, transaction) in transactions.iter().enumerate() {
                prop_assert_eq!(verdicts[at], model.apply(context(seq, at), transaction), "slot {}, transaction {}", seq, at);
            }
            agree(&engine, &model);
        }
    }

    #[test]
    fn a_slot_that_lost_its_race_leaves_no_trace(slots in any_slots(false), lost in proptest::collection::vec(any_transaction(false), 1..4)) {
        let engine = engine();
        for (seq, transactions) in (1..).zip(&slots) {
            commit(&engine, seq, transactions);
        }
        let before = (engine.summary(), engine.snapshot());
        let payloads: Vec<Vec<u8>> = lost.iter().map(|transaction| encode_operations(transaction)).collect();
        let mut view = fetch(&engine, &payloads);
        for (at, payload) in payloads.iter().enumerate() {
            Engine::apply(&mut view, context(99, at), &Engine::decode(payload));
        }
        drop(view);
        prop_assert_eq!((engine.summary(), engine.snapshot()), before);
    }

    #[test]
    fn how_transactions_are_grouped_into_slots_does_not_matter(
        transactions in proptest::collection::vec(any_transaction(false), 1..20),
        cuts in proptest::collection::vec(1_usize..5, 20),
    ) {
        let (single, grouped) = (engine(), engine());
        let mut verdicts = Vec::new();
        for (seq, transaction) in (1..).zip(&transactions) {
            verdicts.extend(commit(&single, seq, std::slice::from_ref(transaction)));
        }
        let (mut rest, mut again) = (transactions.as_slice(), Vec::new());
        for (seq, cut) in (1..).zip(&cuts) {
            let (slot, later) = rest.split_at((*cut).min(rest.len()));
            again.extend(commit(&grouped, seq, slot));
            rest = later;
        }
        prop_assert_eq!(verdicts, again);
        prop_assert_eq!(contents_of(&single), contents_of(&grouped));
        prop_assert_eq!(single.statistics(), grouped.statistics());
        prop_assert_eq!(single.summary().counters, grouped.summary().counters, "equal counts, equal bytes");
    }
}

fn contents_of(engine: &Engine) -> Vec<Vec<u8>> {
    let reader = engine.reader();
    let nouns = reader.scan_nouns(None, usize::MAX, &ItemFilter::all());
    let verbs = reader.scan_verbs(None, usize::MAX, &ItemFilter::all());
    nouns.iter().map(Noun::content_bytes).chain(verbs.iter().map(Verb::content_bytes)).collect()
}
