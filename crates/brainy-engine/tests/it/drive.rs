//! Driving an engine as a log would, and random transactions to drive it with.

use brainy_coordination::{Context, StateMachine, Verdict};
use brainy_core::{
    Epoch, Incident, Metadata, Metric, MissingEnds, NounDraft, NounId, Operation, Precondition, SequenceNumber, ServiceTag, TypeName,
    Vector, VerbDraft, VerbId, Version, encode_operations,
};
use brainy_engine::{Engine, EngineOptions, RULES, Reason, Space, View};
use futures_util::FutureExt;
use proptest::prelude::*;
use serde_json::json;

pub(crate) const DIMENSION: usize = 2;

pub(crate) fn space() -> Space {
    Space::new(DIMENSION, Metric::Cosine).with_verb_dimension(Some(DIMENSION))
}

pub(crate) fn engine() -> Engine {
    Engine::new(space(), EngineOptions::default()).unwrap()
}

pub(crate) fn noun_id(name: &str) -> NounId {
    NounId::new(name).unwrap()
}

pub(crate) fn verb_id(name: &str) -> VerbId {
    VerbId::new(name).unwrap()
}

pub(crate) fn kind(name: &str) -> TypeName {
    TypeName::new(name).unwrap()
}

pub(crate) fn noun(name: &str) -> NounDraft {
    NounDraft::new(noun_id(name), kind("thing"))
}

pub(crate) fn verb(source: &str, target: &str) -> VerbDraft {
    VerbDraft::new(noun_id(source), kind("uses"), noun_id(target))
}

pub(crate) fn vector(components: &[f32]) -> Vector {
    Vector::new(components).unwrap()
}

pub(crate) fn put(noun: NounDraft) -> Operation {
    Operation::PutNoun { noun, precondition: Precondition::None }
}

pub(crate) fn relate(verb: VerbDraft) -> Operation {
    Operation::PutVerb { verb, precondition: Precondition::None, missing: MissingEnds::Refuse }
}

pub(crate) fn relate_making(verb: VerbDraft) -> Operation {
    Operation::PutVerb { verb, precondition: Precondition::None, missing: MissingEnds::Create(kind("made")) }
}

pub(crate) fn delete(name: &str, incident: Incident) -> Operation {
    Operation::DeleteNoun { id: noun_id(name), incident, precondition: Precondition::None }
}

pub(crate) fn delete_verb(id: VerbId) -> Operation {
    Operation::DeleteVerb { id, precondition: Precondition::None }
}

pub(crate) fn version(seq: u64, ordinal: u32) -> Version {
    Version { epoch: Epoch::FIRST, seq: SequenceNumber::new(seq).unwrap(), ordinal }
}

pub(crate) fn context(seq: u64, ordinal: usize) -> Context {
    Context::new(RULES, version(seq, u32::try_from(ordinal).unwrap()), 1_000 + seq)
}

pub(crate) fn fetch(engine: &Engine, payloads: &[Vec<u8>]) -> View {
    let commands: Vec<_> = payloads.iter().map(|payload| Engine::decode(payload)).collect();
    engine.fetch(&commands.iter().collect::<Vec<_>>()).now_or_never().expect("state in memory is there at once").unwrap()
}

/// Commits one slot of these transactions; their verdicts.
pub(crate) fn commit(engine: &Engine, seq: u64, transactions: &[Vec<Operation>]) -> Vec<Verdict> {
    let payloads: Vec<Vec<u8>> = transactions.iter().map(|transaction| encode_operations(transaction)).collect();
    let mut view = fetch(engine, &payloads);
    let verdicts =
        payloads.iter().enumerate().map(|(at, payload)| Engine::apply(&mut view, context(seq, at), &Engine::decode(payload))).collect();
    let expected = Engine::summary_of(&view);
    engine.install(view, version(seq, u32::try_from(payloads.len()).unwrap()));
    engine.confirm();
    assert_eq!(engine.summary(), expected, "a summary before the slot is sent is that after it was installed");
    verdicts
}

pub(crate) fn effective(changed: u32) -> Verdict {
    Verdict::Effective { changed }
}

pub(crate) fn rejected(operation: u32, reason: Reason) -> Verdict {
    Verdict::Rejected(brainy_coordination::Rejection { operation, code: reason.code() })
}

fn any_noun_id() -> impl Strategy<Value = NounId> {
    (0..7_u8).prop_map(|n| noun_id(&format!("n{n}")))
}

fn any_kind() -> impl Strategy<Value = TypeName> {
    (0..3_u8).prop_map(|n| kind(&format!("k{n}")))
}

fn any_service() -> impl Strategy<Value = Option<ServiceTag>> {
    proptest::option::of((0..2_u8).prop_map(|n| ServiceTag::new(format!("s{n}")).unwrap()))
}

fn any_vector() -> impl Strategy<Value = Option<Vector>> {
    prop_oneof![
        4 => Just(None),
        6 => (-3_i8..4, 1_i8..4).prop_map(|(x, y)| Some(vector(&[f32::from(x), f32::from(y)]))),
        1 => Just(Some(vector(&[0.0, -0.0]))),
        1 => Just(Some(vector(&[1.0]))),
    ]
}

pub(crate) fn any_metadata() -> impl Strategy<Value = Metadata> {
    (0..4_u8).prop_map(|n| Metadata::from_value(&if n == 0 { json!({}) } else { json!({ "n": n }) }).unwrap())
}

fn any_precondition(versions: bool) -> impl Strategy<Value = Precondition> {
    let version = (1..10_u64, 0..3_u32).prop_map(|(seq, ordinal)| Precondition::Version(version(seq, ordinal)));
    prop_oneof![
        12 => Just(Precondition::None),
        1 => Just(Precondition::Absent),
        1 => Just(Precondition::Exists),
        u32::from(versions) => version,
    ]
}

fn any_put_noun(versions: bool) -> impl Strategy<Value = Operation> {
    (any_noun_id(), any_kind(), any_vector(), any_metadata(), any_service(), any_precondition(versions)).prop_map(
        |(id, kind, vector, metadata, service, precondition)| {
            let mut noun = NounDraft::new(id, kind).with_metadata(metadata);
            noun.vector = vector;
            noun.service = service;
            Operation::PutNoun { noun, precondition }
        },
    )
}

fn any_put_verb(versions: bool) -> impl Strategy<Value = Operation> {
    let id = prop_oneof![3 => Just(None), 2 => (0..4_u8).prop_map(|n| Some(verb_id(&format!("v{n}"))))];
    let missing = prop_oneof![2 => Just(MissingEnds::Refuse), 1 => any_kind().prop_map(MissingEnds::Create)];
    let vector = prop_oneof![6 => Just(None), 1 => any_vector()];
    let weight = prop_oneof![3 => Just(1.0), 1 => Just(-0.0), 1 => Just(0.0)];
    let content = (vector, weight, any_metadata(), any_service());
    (id, any_noun_id(), 0..2_u8, any_noun_id(), content, any_precondition(versions), missing).prop_map(
        |(id, source, kind, target, (vector, weight, metadata, service), precondition, missing)| {
            let mut verb =
                VerbDraft::new(source, super::drive::kind(&format!("r{kind}")), target).with_weight(weight).with_metadata(metadata);
            verb.id = id;
            verb.vector = vector;
            verb.service = service;
            Operation::PutVerb { verb, precondition, missing }
        },
    )
}

fn any_operation(versions: bool) -> impl Strategy<Value = Operation> {
    let incident = prop_oneof![Just(Incident::Restrict), Just(Incident::Detach)];
    let derived = (any_noun_id(), 0..2_u8, any_noun_id()).prop_map(|(a, k, b)| VerbId::derived(&a, &kind(&format!("r{k}")), &b));
    let any_verb = prop_oneof![(0..4_u8).prop_map(|n| verb_id(&format!("v{n}"))), derived];
    prop_oneof![
        200 => any_put_noun(versions),
        250 => any_put_verb(versions),
        60 => (any_noun_id(), incident, any_precondition(versions))
            .prop_map(|(id, incident, precondition)| Operation::DeleteNoun { id, incident, precondition }),
        60 => (any_verb, any_precondition(versions)).prop_map(|(id, precondition)| Operation::DeleteVerb { id, precondition }),
        3 => Just(Operation::Clear),
    ]
}

/// One transaction. `versions`: also with preconditions on versions.
pub(crate) fn any_transaction(versions: bool) -> impl Strategy<Value = Vec<Operation>> {
    prop_oneof![
        40 => proptest::collection::vec(any_operation(versions), 0..5),
        1 => Just(vec![Operation::Clear]),
    ]
}
