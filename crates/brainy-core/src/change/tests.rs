use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::codec::{self, CodecError, FieldWriter, encode, encode_list};
use crate::{Epoch, Metadata, NounId, SequenceNumber, ServiceTag, Vector};

fn noun_id(text: &str) -> NounId {
    NounId::new(text).unwrap()
}

fn type_name(text: &str) -> TypeName {
    TypeName::new(text).unwrap()
}

fn verb() -> VerbDraft {
    VerbDraft::new(noun_id("a"), type_name("knows"), noun_id("b"))
}

fn put_verb(verb: VerbDraft) -> Operation {
    Operation::PutVerb { verb, precondition: Precondition::None, missing: MissingEnds::Refuse }
}

fn preconditions() -> impl Strategy<Value = Precondition> {
    prop_oneof![
        Just(Precondition::None),
        Just(Precondition::Absent),
        Just(Precondition::Exists),
        (any::<u32>(), 1..=u64::MAX, any::<u32>()).prop_map(|(epoch, seq, ordinal)| {
            Precondition::Version(Version { epoch: Epoch::new(epoch), seq: SequenceNumber::new(seq).unwrap(), ordinal })
        }),
    ]
}

fn ids() -> impl Strategy<Value = NounId> {
    prop_oneof![
        prop::sample::select(vec!["../../x", "a//b", "é", "e\u{301}"]).prop_map(noun_id),
        "\\PC{1,12}".prop_map(|text| noun_id(&text))
    ]
}

fn vectors() -> impl Strategy<Value = Option<Vector>> {
    prop::option::of(prop::collection::vec(-1e30_f32..1e30, 1..9).prop_map(|values| Vector::new(values).unwrap()))
}

fn metadata() -> impl Strategy<Value = Metadata> {
    prop::collection::btree_map("[a-c]{0,2}", prop_oneof![any::<i64>().prop_map(|n| json!(n)), any::<f64>().prop_map(|n| json!(n))], 0..4)
        .prop_map(|members| Metadata::from_value(&members.into_iter().collect()).unwrap())
}

fn services() -> impl Strategy<Value = Option<ServiceTag>> {
    prop::option::of("[a-z]{1,5}".prop_map(|text| ServiceTag::new(text).unwrap()))
}

fn operations() -> impl Strategy<Value = Operation> {
    let noun = (ids(), "[a-z]{1,4}", vectors(), metadata(), services());
    let noun = noun.prop_map(|(id, kind, vector, metadata, service)| NounDraft { id, kind: type_name(&kind), vector, metadata, service });
    let given = prop::option::of(ids().prop_map(|id| VerbId::new(id.as_str()).unwrap()));
    let verb = ((given, ids(), ids()), "[a-z]{1,4}", vectors(), -1e300..1e300, metadata(), services());
    let verb = verb.prop_map(|((id, source, target), kind, vector, weight, metadata, service)| VerbDraft {
        id,
        source,
        kind: type_name(&kind),
        target,
        vector,
        weight,
        metadata,
        service,
    });
    let missing = prop_oneof![Just(MissingEnds::Refuse), "[a-z]{1,4}".prop_map(|kind| MissingEnds::Create(type_name(&kind)))];
    prop_oneof![
        (noun, preconditions()).prop_map(|(noun, precondition)| Operation::PutNoun { noun, precondition }),
        (ids(), prop::sample::select(vec![Incident::Restrict, Incident::Detach]), preconditions())
            .prop_map(|(id, incident, precondition)| Operation::DeleteNoun { id, incident, precondition }),
        (verb, preconditions(), missing).prop_map(|(verb, precondition, missing)| Operation::PutVerb { verb, precondition, missing }),
        (ids(), preconditions())
            .prop_map(|(id, precondition)| Operation::DeleteVerb { id: VerbId::new(id.as_str()).unwrap(), precondition }),
        Just(Operation::Clear),
    ]
}

fn fingerprint(operation: &Operation) -> u128 {
    match operation {
        Operation::PutNoun { noun, .. } => codec::fingerprint(&noun.content_bytes()),
        Operation::PutVerb { verb, .. } => codec::fingerprint(&verb.content_bytes()),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn operations_survive_their_bytes(operations in prop::collection::vec(operations(), 0..6)) {
        let bytes = encode_operations(&operations);
        let decoded = decode_operations(&bytes).unwrap();
        prop_assert_eq!(encode_operations(&decoded), bytes.as_slice());
        let fingerprints: Vec<_> = operations.into_iter().map(|operation| (operation.clone(), fingerprint(&operation))).collect();
        prop_assert_eq!(decode_and_fingerprint(&bytes).unwrap(), fingerprints);
    }

    #[test]
    fn cut_operations_are_refused(operations in prop::collection::vec(operations(), 1..3)) {
        let bytes = encode_operations(&operations);
        for cut in 0..bytes.len() {
            prop_assert!(decode_operations(&bytes[..cut]).is_err(), "cut at {}", cut);
        }
    }

    #[test]
    fn damaged_operations_are_refused_or_sound(operations in prop::collection::vec(operations(), 1..3), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = encode_operations(&operations);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(decoded) = decode_operations(&bytes) {
            prop_assert!(decoded.iter().all(|operation| operation.check().is_ok()));
            // Whatever the bytes look like, the fingerprint is that of the item: a replica that loads it from a snapshot has nothing else.
            for (operation, found) in decode_and_fingerprint(&bytes).unwrap() {
                prop_assert_eq!(found, fingerprint(&operation));
            }
            prop_assert_eq!(decode_operations(&encode_operations(&decoded)).unwrap(), decoded);
        }
    }

    #[test]
    fn contents_have_equal_bytes_exactly_if_they_are_equal(a in operations(), b in operations(), version in preconditions()) {
        let content = |operation: &Operation| match operation {
            Operation::PutNoun { noun, .. } => Some((noun.id.to_string(), noun.content_bytes())),
            Operation::PutVerb { verb, .. } => Some((verb.effective_id().to_string(), verb.content_bytes())),
            _ => None,
        };
        if let (Some(first), Some(second)) = (content(&a), content(&b)) {
            let equal = match (&a, &b) {
                (Operation::PutNoun { noun: a, .. }, Operation::PutNoun { noun: b, .. }) => a == b,
                (Operation::PutVerb { verb: a, .. }, Operation::PutVerb { verb: b, .. }) => {
                    a.clone().with_id(a.effective_id()) == b.clone().with_id(b.effective_id())
                }
                _ => false,
            };
            prop_assert_eq!(first.1 == second.1, equal);
        }
        if let Precondition::Version(version) = version {
            match &a {
                Operation::PutNoun { noun, .. } => {
                    prop_assert_eq!(crate::Noun::from_draft(noun, version, 1, 2).content_bytes(), noun.content_bytes());
                }
                Operation::PutVerb { verb, .. } => {
                    prop_assert_eq!(crate::Verb::from_draft(verb, version, 1, 2).content_bytes(), verb.content_bytes());
                }
                _ => {}
            }
        }
    }
}

/// One operation of these fields.
fn decode_fields(fields: &[(u16, &[u8])]) -> Result<Vec<Operation>, CodecError> {
    let mut body = FieldWriter::new();
    for (tag, value) in fields {
        body.required(*tag, value);
    }
    decode_operations(&encode_list(&[body.finish()]))
}

#[track_caller]
fn check_corrupt(fields: &[(u16, &[u8])], word: &str) {
    match decode_fields(fields) {
        Err(CodecError::Corrupt { reason, .. }) => assert!(reason.contains(word), "{reason:?} does not name {word:?}"),
        other => panic!("{fields:?} gave {other:?}"),
    }
}

#[test]
fn hostile_values_are_refused_by_name() {
    let empty = Metadata::empty();
    let noun = |at: usize, value: &'static [u8]| {
        let mut fields: Vec<(u16, &[u8])> =
            vec![(1, &[1]), (2, b"a"), (3, b"t"), (4, &[0, 0, 0x80, 0x3f]), (5, empty.as_bytes()), (6, b"s")];
        fields[at].1 = value;
        fields
    };
    assert!(decode_fields(&noun(1, b"../../x")).is_ok());
    check_corrupt(&noun(1, b""), "noun id is empty");
    check_corrupt(&noun(1, b"a\0"), "NUL");
    check_corrupt(&noun(1, &[b'x'; 2_000]), "2000 bytes");
    check_corrupt(&noun(1, &[0xff]), "utf-8");
    check_corrupt(&noun(2, b""), "type is empty");
    check_corrupt(&noun(3, &[0, 0, 0xc0, 0x7f]), "component 0 of the vector is NaN");
    check_corrupt(&noun(3, &[0, 0, 0x80]), "vector");
    check_corrupt(&noun(3, &[]), "a vector of 0 components");
    check_corrupt(&noun(4, &[8, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "canonical");
    check_corrupt(&noun(4, &[7, 0, 0, 0, 0]), "array");
    check_corrupt(&noun(5, &[b's'; 300]), "service");
    check_corrupt(&noun(0, &[]), "kind");

    let weight = |weight: f64| decode_operations(&encode_operations(&[put_verb(verb().with_weight(weight))]));
    assert!(weight(-0.0).is_ok());
    for hostile in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(weight(hostile).unwrap_err().to_string().contains("weight"), "{hostile}");
    }
    check_corrupt(&[(1, &[5]), (2, b"a")], "field 2 does not belong");
    check_corrupt(&[(1, &[4])], "field 2 is missing");
    check_corrupt(&[(1, &[4]), (2, b"a"), (16, &[1, 0])], "too many");
    check_corrupt(&[(1, &[4]), (2, b"a"), (16, &[3, 0, 0, 0])], "");
}

#[test]
fn what_a_newer_build_wrote_is_skipped_or_refused_by_name() {
    let unsupported = |fields: &[(u16, &[u8])], word: &str| match decode_fields(fields) {
        Err(CodecError::Unsupported { reason, .. }) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{fields:?} gave {other:?}"),
    };
    unsupported(&[(1, &[6])], "kind 6");
    unsupported(&[(1, &[5]), (40, b"?")], "required field 40");
    unsupported(&[(1, &[4]), (2, b"a"), (16, &[4])], "variant 4 of field 16");
    unsupported(&[(1, &[2]), (2, b"a"), (17, &[2])], "variant 2 of field 17");

    let mut body = FieldWriter::new();
    body.required(1, &[5]).optional(40, b"skip me");
    assert_eq!(decode_operations(&encode_list(&[body.finish()])), Ok(vec![Operation::Clear]));
    // Each variant of the enums is told apart from a newer one.
    assert_eq!(encode(&Incident::Detach), [1]);
    assert_eq!(encode(&Precondition::Exists), [2]);
}

#[test]
fn limits_hold_on_both_sides() {
    let many = vec![Operation::Clear; MAX_OPERATIONS + 1];
    assert_eq!(Operation::check_all(&many), Err(ChangeError::Operations { given: MAX_OPERATIONS + 1 }));
    assert!(decode_operations(&encode_operations(&many)).unwrap_err().to_string().contains("100001 operations"));
    assert_eq!(decode_operations(&encode_operations(&many[1..])).unwrap().len(), MAX_OPERATIONS);
    let error = decode_operations(&vec![0; MAX_TRANSACTION_BYTES + 1]).unwrap_err();
    assert!(error.to_string().contains("bytes"), "{error}");
    assert_eq!(decode_operations(&encode_operations(&[])), Ok(vec![]));
}

#[test]
fn operations_that_no_store_could_take_are_refused_with_the_item() {
    let error = put_verb(verb().with_weight(f64::NAN)).check().unwrap_err();
    assert!(error.to_string().contains(verb().effective_id().as_str()), "{error}");
    assert_eq!(error.kind(), ErrorKind::Invalid);

    let delete = Operation::DeleteNoun { id: noun_id("a"), incident: Incident::Restrict, precondition: Precondition::None };
    let put = Operation::PutNoun { noun: NounDraft::new(noun_id("a"), type_name("t")), precondition: Precondition::None };
    assert_eq!(Operation::check_all(&[delete.clone(), put]), Err(ChangeError::NounTwice { id: noun_id("a") }));
    assert_eq!(Operation::check_all(&[Operation::Clear, delete.clone()]), Err(ChangeError::ClearNotAlone { others: 1 }));

    let named = VerbId::new("a").unwrap();
    let delete_verb = Operation::DeleteVerb { id: named.clone(), precondition: Precondition::None };
    Operation::check_all(&[delete, delete_verb.clone(), put_verb(verb())]).unwrap();
    let twice = [delete_verb, put_verb(verb().with_id(named.clone()))];
    assert_eq!(Operation::check_all(&twice), Err(ChangeError::VerbTwice { id: named }));
    let derived = [put_verb(verb()), put_verb(verb().with_id(verb().effective_id()))];
    assert_eq!(Operation::check_all(&derived), Err(ChangeError::VerbTwice { id: verb().effective_id() }));
}
