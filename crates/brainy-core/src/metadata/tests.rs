use proptest::prelude::*;
use serde_json::json;

use super::*;

fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![json!(u64::MAX), json!(i64::MIN), json!(-0.0), json!(1e308), json!(5e-324), json!(1), json!(1.0)]),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map("\\PC{0,4}", inner, 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn objects() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("\\PC{0,4}", values(), 0..6).prop_map(|members| members.into_iter().collect())
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, level| if level % 2 == 0 { json!({ "a": inner }) } else { json!([inner]) })
}

/// Whether `bytes` are what is written of the value that they hold: by building it and writing it again.
fn is_canonical(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let value = read(&mut rest, 0).ok().filter(|_| rest.is_empty());
    value.and_then(|value| Metadata::from_value(&value).ok()).is_some_and(|again| again.as_bytes() == bytes)
}

proptest! {
    #[test]
    fn metadata_survives_its_bytes(value in objects()) {
        let metadata = Metadata::from_value(&value).unwrap();
        let again = Metadata::from_bytes(metadata.as_bytes()).unwrap();
        prop_assert_eq!(&again, &metadata);
        prop_assert_eq!(again.to_value(), value);
    }

    #[test]
    fn the_order_of_members_does_not_change_the_bytes(value in objects(), by in any::<prop::sample::Index>()) {
        // Through text, members in another order; the map may sort them or keep them, by the features of the JSON library.
        let mut members: Vec<_> = value.as_object().unwrap().iter().collect();
        if !members.is_empty() {
            let by = by.index(members.len());
            members.rotate_left(by);
        }
        let text = members.iter().map(|(name, member)| format!("{}:{member}", Value::from(name.as_str()))).collect::<Vec<_>>().join(",");
        let shuffled: Value = serde_json::from_str(&format!("{{{text}}}")).unwrap();
        prop_assert_eq!(Metadata::from_value(&shuffled).unwrap(), Metadata::from_value(&value).unwrap());
    }

    #[test]
    fn cut_or_prolonged_bytes_are_refused(value in objects(), more in any::<u8>()) {
        let mut bytes = Metadata::from_value(&value).unwrap().as_bytes().to_vec();
        for cut in 0..bytes.len() {
            prop_assert!(Metadata::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        bytes.push(more);
        prop_assert!(Metadata::from_bytes(&bytes).is_err());
    }

    #[test]
    fn whatever_bytes_are_accepted_are_canonical(value in objects(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = Metadata::from_value(&value).unwrap().as_bytes().to_vec();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert_eq!(Metadata::from_bytes(&bytes).is_ok(), is_canonical(&bytes), "{:?}", bytes);
    }

    #[test]
    fn no_bytes_make_a_panic_or_a_second_spelling(bytes in prop::collection::vec(0_u8..12, 0..200)) {
        let object = [&[OBJECT, 1, 0, 0, 0, 1, 0, 0, 0, b'n'], bytes.as_slice()].concat();
        for bytes in [bytes, object] {
            prop_assert_eq!(Metadata::from_bytes(&bytes).is_ok(), is_canonical(&bytes), "{:?}", bytes);
        }
    }
}

#[test]
fn numbers_keep_their_spelling_of_kind_and_nothing_else() {
    let bytes = |text: &str| Metadata::from_value(&serde_json::from_str(&format!("{{\"n\":{text}}}")).unwrap()).unwrap();
    assert_ne!(bytes("1"), bytes("1.0"));
    assert_eq!(bytes("1e2"), bytes("100.0"));
    assert_eq!(bytes("1.50"), bytes("15e-1"));
    assert_eq!(bytes("-0"), bytes("-0.0"));
    assert_ne!(bytes("-0"), bytes("0"));
    assert_eq!(bytes("18446744073709551615").to_value(), json!({ "n": u64::MAX }));
    assert_eq!(bytes("18446744073709551616"), bytes("18446744073709551616.0"));
    assert_eq!(bytes("-9223372036854775808").to_value(), json!({ "n": i64::MIN }));
    // Off by its last bit unless texts are read exactly.
    assert_eq!(bytes("4.996585653249857e+299").to_value(), json!({ "n": 4.996585653249857e299 }));
    assert_eq!(bytes("1e308").to_value(), json!({ "n": 1e308 }));
}

#[test]
fn a_second_spelling_of_a_value_is_refused_when_read() {
    let object = |value: &[u8]| [&[OBJECT, 1, 0, 0, 0, 1, 0, 0, 0, b'n'], value].concat();
    let small_unsigned = object(&[&[UNSIGNED][..], &5_u64.to_le_bytes()].concat());
    assert_eq!(Metadata::from_bytes(&small_unsigned), Err(MetadataError::Corrupt("a number that is not in canonical form".into())));
    let not_a_number = object(&[&[DOUBLE][..], &f64::NAN.to_bits().to_le_bytes()].concat());
    assert!(Metadata::from_bytes(&not_a_number).is_err());
    let twice = [&[OBJECT, 2, 0, 0, 0][..], &[1, 0, 0, 0, b'n', NULL].repeat(2)].concat();
    assert!(Metadata::from_bytes(&twice).is_err());
    let unsorted = [OBJECT, 2, 0, 0, 0, 1, 0, 0, 0, b'n', NULL, 1, 0, 0, 0, b'a', NULL];
    assert!(Metadata::from_bytes(&unsorted).is_err());
    assert!(Metadata::from_bytes(&[NULL]).is_err());
    assert!(Metadata::from_bytes(&[OBJECT, 1, 0, 0, 0, 1, 0, 0, 0, 0xff, NULL]).is_err());
}

#[test]
fn depth_and_size_are_bounded_both_ways() {
    let deepest = nested(MAX_METADATA_DEPTH + 1);
    let deepest = if deepest.is_object() { deepest } else { json!({ "a": nested(MAX_METADATA_DEPTH) }) };
    let metadata = Metadata::from_value(&deepest).unwrap();
    assert_eq!(Metadata::from_bytes(metadata.as_bytes()).unwrap().to_value(), deepest);
    assert_eq!(Metadata::from_value(&json!({ "a": deepest })), Err(MetadataError::TooDeep));

    let deep_bytes = [OBJECT, 1, 0, 0, 0, 0, 0, 0, 0].repeat(100_000);
    assert!(Metadata::from_bytes(&deep_bytes).is_err());
    let lying_count = [OBJECT, 1, 0, 0, 0, 0, 0, 0, 0, ARRAY, 0xff, 0xff, 0xff, 0xff];
    assert!(Metadata::from_bytes(&lying_count).is_err());

    // An object of one text: 5 bytes, a name of 4 + 1, a kind, 4 of length.
    let fits = "x".repeat(MAX_METADATA_BYTES - 15);
    assert_eq!(Metadata::from_value(&json!({ "a": fits })).unwrap().as_bytes().len(), MAX_METADATA_BYTES);
    let error = Metadata::from_value(&json!({ "a": fits + "x" })).unwrap_err();
    assert_eq!(error, MetadataError::TooLarge { bytes: MAX_METADATA_BYTES + 1 });
    assert_eq!(Metadata::from_bytes(&vec![0; MAX_METADATA_BYTES + 1]).unwrap_err(), error);
}

#[test]
fn only_objects_are_metadata() {
    for value in [json!(null), json!([]), json!("x"), json!(3)] {
        let error = Metadata::from_value(&value).unwrap_err();
        assert!(matches!(error, MetadataError::NotAnObject { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(Metadata::empty().to_value(), json!({}));
    assert_eq!(Metadata::new(&std::collections::BTreeMap::from([("a", 1)])).unwrap().to_value(), json!({ "a": 1 }));
    assert!(matches!(Metadata::new(&std::collections::BTreeMap::from([((1, 2), 1)])), Err(MetadataError::Serialize(_))));
    assert_eq!(MetadataError::Corrupt(String::new()).kind(), ErrorKind::Corrupt);
}

#[test]
fn values_do_not_reach_logs() {
    let metadata = Metadata::from_value(&json!({"token": "s3cr3t"})).unwrap();
    assert_eq!(format!("{metadata:?}"), format!("Metadata({} bytes)", metadata.as_bytes().len()));
}
