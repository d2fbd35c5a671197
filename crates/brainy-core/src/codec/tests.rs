use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const WHAT: &str = "test object";

proptest! {
    #[test]
    fn an_envelope_gives_back_its_body_and_only_under_its_kind(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let sealed = seal(ObjectKind::Slot, &body);
        prop_assert_eq!(sealed.len(), ENVELOPE_BYTES + body.len());
        prop_assert_eq!(open(ObjectKind::Slot, WHAT, &sealed).unwrap(), body.as_slice());
        prop_assert!(matches!(open(ObjectKind::Intent, WHAT, &sealed), Err(CodecError::Corrupt { .. })), "another kind");
        prop_assert_eq!(peek_kind(&sealed), Some(ObjectKind::Slot as u8));
    }

    #[test]
    fn an_envelope_shows_every_cut_and_every_flipped_bit(body in prop::collection::vec(any::<u8>(), 0..60), more in any::<u8>()) {
        let mut sealed = seal(ObjectKind::Slot, &body);
        for cut in 0..sealed.len() {
            prop_assert!(open(ObjectKind::Slot, WHAT, &sealed[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..sealed.len() * 8 {
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open(ObjectKind::Slot, WHAT, &sealed).is_err(), "bit {bit}");
            sealed[bit / 8] ^= 1 << (bit % 8);
        }
        sealed.push(more);
        prop_assert!(open(ObjectKind::Slot, WHAT, &sealed).is_err());
    }

    #[test]
    fn fields_come_back_and_unknown_ones_are_kept(fields in prop::collection::btree_map(0_u16..REQUIRED, prop::collection::vec(any::<u8>(), 0..9), 0..20), known in any::<u16>()) {
        let mut writer = FieldWriter::new();
        for (at, (tag, value)) in fields.iter().enumerate() {
            if at % 2 == 0 { writer.optional(*tag, value) } else { writer.required(*tag, value) };
        }
        let body = writer.finish();
        let tags: Vec<u16> = fields.keys().copied().collect();
        let parsed = Fields::parse(WHAT, &tags, &body).unwrap();
        for (tag, value) in &fields {
            prop_assert_eq!(parsed.need(*tag).unwrap(), value.as_slice());
        }

        // A build that knows only some of the optional fields re-writes the whole as it was.
        let known: Vec<u16> = fields.keys().enumerate().filter(|(at, _)| at % 2 == 1 || known >> (at % 16) & 1 == 1).map(|(_, tag)| *tag).collect();
        let parsed = Fields::parse(WHAT, &known, &body).unwrap();
        let mut writer = FieldWriter::new();
        writer.kept(&parsed.unknown(&known));
        for (at, (tag, value)) in fields.iter().enumerate().filter(|(_, (tag, _))| known.contains(tag)) {
            if at % 2 == 0 { writer.optional(*tag, value) } else { writer.required(*tag, value) };
        }
        prop_assert_eq!(writer.finish(), body);
    }

    #[test]
    fn cut_bodies_and_lists_are_refused_or_shorter_ones(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9)) {
        let list = encode_list(&values);
        prop_assert_eq!(decode_list(WHAT, &list).unwrap(), values.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for cut in 0..list.len() {
            prop_assert!(decode_list(WHAT, &list[..cut]).is_err(), "cut at {cut}");
        }
        prop_assert!(decode_list(WHAT, &[list.as_slice(), &[0]].concat()).is_err());

        let mut writer = FieldWriter::new();
        for (tag, value) in (0..).zip(&values) {
            writer.required(tag, value);
        }
        let body = writer.finish();
        let tags: Vec<u16> = (0..9).collect();
        for cut in 0..body.len() {
            if let Ok(fields) = Fields::parse(WHAT, &tags, &body[..cut]) {
                prop_assert!(fields.entries.iter().count() < values.len(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn no_bytes_make_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _opened = open(ObjectKind::Slot, WHAT, &bytes);
        let _listed = decode_list(WHAT, &bytes);
        let _decoded = decode::<BTreeMap<String, Vec<(u64, Option<String>)>>>(WHAT, &bytes);
        if let Ok(fields) = Fields::parse(WHAT, &[1, 2], &bytes) {
            let mut writer = FieldWriter::new();
            writer.required(1, b"x").kept(&fields.unknown(&[1, 2])).optional(2, b"y");
            let again = writer.finish();
            prop_assert!(Fields::read(WHAT, &again).is_ok());
        }
    }

    #[test]
    fn a_value_survives_its_bytes(value in prop::collection::btree_map("\\PC{0,5}", prop::collection::vec((any::<u64>(), any::<Option<i32>>()), 0..40), 0..40)) {
        let bytes = encode(&value);
        prop_assert_eq!(decode::<BTreeMap<String, Vec<(u64, Option<i32>)>>>(WHAT, &bytes).unwrap(), value);
        for cut in 0..bytes.len().min(200) {
            let cut_off = decode::<BTreeMap<String, Vec<(u64, Option<i32>)>>>(WHAT, &bytes[..cut]);
            prop_assert!(matches!(cut_off, Err(CodecError::Corrupt { .. })), "cut at {}", cut);
        }
    }
}

#[test]
fn the_smallest_form_of_large_numbers_is_within_the_limit_of_its_size() {
    for count in [1, 250, 300, 4_000, 5_000, 65_000, 70_000, 1_000_000, 4_000_000] {
        let wide = vec![0_u128; count];
        assert_eq!(decode::<Vec<u128>>(WHAT, &encode(&wide)).unwrap(), wide, "{count}");
    }
}

/// One that claims more than its input could hold would make a reader reserve it.
#[test]
fn lying_lengths_are_refused_before_memory_is_reserved() {
    let claims = |length: u64| encode(&length);
    for length in [1 << 13, 1 << 26, 1 << 40, u64::MAX] {
        let text = decode::<String>(WHAT, &claims(length)).unwrap_err();
        assert!(text.to_string().contains("LimitExceeded") || text.to_string().contains("limit"), "{text}");
        assert!(decode::<Vec<u64>>(WHAT, &claims(length)).is_err());
        assert!(decode::<BTreeMap<u64, String>>(WHAT, &claims(length)).is_err());
    }
}

#[test]
fn what_is_not_ours_is_told_apart_from_what_is_newer() {
    let sealed = seal(ObjectKind::Slot, b"body");
    let resealed = |at: usize, byte: u8| {
        let mut bytes = sealed.clone();
        bytes[at] = byte;
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..16]), &bytes[ENVELOPE_BYTES..]);
        bytes[16..20].copy_from_slice(&sum.to_le_bytes());
        open(ObjectKind::Slot, WHAT, &bytes).unwrap_err()
    };
    assert!(matches!(resealed(0, b'X'), CodecError::Corrupt { .. }));
    assert!(matches!(resealed(4, 2), CodecError::Unsupported { .. }));
    assert!(matches!(resealed(6, 2), CodecError::Unsupported { .. }));
    assert!(matches!(resealed(7, 99), CodecError::Corrupt { .. }));
    // A flipped bit of the codec is damage, not a newer build.
    let mut damaged = sealed.clone();
    damaged[6] ^= 4;
    assert!(matches!(open(ObjectKind::Slot, WHAT, &damaged), Err(CodecError::Corrupt { .. })));

    assert_eq!(peek_kind(b"BRNY"), None);
    assert_eq!(CodecError::corrupt(WHAT, "").kind(), crate::ErrorKind::Corrupt);
    assert_eq!(CodecError::unsupported(WHAT, "").kind(), crate::ErrorKind::Unsupported);
}

#[test]
fn unknown_fields_are_skipped_if_optional_and_refused_by_number_if_required() {
    let mut writer = FieldWriter::new();
    let body = writer.required(1, b"one").optional(7, b"seven").finish();
    let fields = Fields::parse(WHAT, &[1], &body).unwrap();
    assert_eq!(fields.get(7), Some(&b"seven"[..]));
    assert_eq!(fields.unknown(&[1]), [(7, b"seven".to_vec())]);
    assert!(matches!(fields.need(2), Err(CodecError::Corrupt { .. })));
    assert_eq!(fields.optional_value::<u64>(2).unwrap(), None);

    let body = writer.required(1, b"one").required(7, b"seven").finish();
    let error = Fields::parse(WHAT, &[1], &body).unwrap_err();
    assert!(error.to_string().contains("required field 7"), "{error}");
    assert_eq!(error.kind(), crate::ErrorKind::Unsupported);
}

#[test]
fn fields_out_of_order_or_twice_are_refused() {
    let field = |tag: u16| [&tag.to_le_bytes()[..], &[0, 0, 0, 0]].concat();
    for tags in [[2, 1], [1, 1], [1 | REQUIRED, 1], [1, 1 | REQUIRED]] {
        let body: Vec<u8> = tags.into_iter().flat_map(field).collect();
        assert!(matches!(Fields::parse(WHAT, &[1, 2], &body), Err(CodecError::Corrupt { .. })), "{tags:?}");
    }
}

#[test]
fn kept_fields_find_their_place_and_never_replace_a_written_one() {
    let mut writer = FieldWriter::new();
    let kept = [(2, b"kept".to_vec()), (3, b"stale".to_vec()), (9, b"last".to_vec())];
    let body = writer.required(1, b"a").kept(&kept).required(3, b"new").finish();
    let fields = Fields::parse(WHAT, &[1, 3], &body).unwrap();
    assert_eq!([fields.get(2), fields.get(3), fields.get(9)], [Some(&b"kept"[..]), Some(b"new"), Some(b"last")]);
    assert_eq!(writer.required(1, b"a").finish(), [1, 0x80, 1, 0, 0, 0, b'a'], "a finished writer is empty");
}

#[test]
fn fingerprints_are_those_of_xxh3_with_128_bits() {
    // As its reference implementation gives it.
    assert_eq!(fingerprint(b""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
}
