//! Every format of this crate is pinned by a file in `tests/golden`, and each file is drawn in `docs/format.md` byte by byte.
//!
//! `BRAINY_BLESS=1` writes the files anew: for a format that changed on purpose, together with its version, its drawing and a line of the changelog.

use std::path::{Path, PathBuf};

use brainy_core::codec::{self, FieldWriter, ObjectKind};
use brainy_core::{
    Epoch, Incident, Metadata, MissingEnds, NounDraft, NounId, Operation, Precondition, SequenceNumber, ServiceTag, TypeName, Vector,
    VerbDraft, VerbId, Version, decode_operations, encode_operations,
};
use serde_json::json;

fn noun(id: &str) -> NounId {
    NounId::new(id).unwrap()
}

fn kind(name: &str) -> TypeName {
    TypeName::new(name).unwrap()
}

fn metadata() -> Metadata {
    Metadata::from_value(&json!({"b": [null, true, false], "a": {"i": -1, "u": u64::MAX, "d": 1.5}, "": "é"})).unwrap()
}

fn operations() -> Vec<(&'static str, Operation)> {
    let put_noun = NounDraft::new(noun("apt"), kind("package"))
        .with_vector(Vector::new([1.0, -0.5]).unwrap())
        .with_metadata(Metadata::from_value(&json!({"n": 1})).unwrap())
        .with_service(ServiceTag::new("api").unwrap());
    let put_verb = VerbDraft::new(noun("apt"), kind("depends"), noun("libc6")).with_weight(0.5);
    let version = Version { epoch: Epoch::new(1), seq: SequenceNumber::new(300).unwrap(), ordinal: 2 };
    vec![
        ("put_noun.bin", Operation::PutNoun { noun: put_noun, precondition: Precondition::Version(version) }),
        ("delete_noun.bin", Operation::DeleteNoun { id: noun("apt"), incident: Incident::Detach, precondition: Precondition::Exists }),
        (
            "put_verb.bin",
            Operation::PutVerb {
                verb: put_verb.with_id(VerbId::new("v1").unwrap()),
                precondition: Precondition::Absent,
                missing: MissingEnds::Create(kind("stub")),
            },
        ),
        ("delete_verb.bin", Operation::DeleteVerb { id: VerbId::new("v1").unwrap(), precondition: Precondition::None }),
        ("clear.bin", Operation::Clear),
    ]
}

/// Every golden file and what this build writes in its place.
fn written() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![
        ("envelope.bin", codec::seal(ObjectKind::Slot, b"body")),
        ("fields.bin", FieldWriter::new().required(1, b"one").optional(7, b"").finish()),
        ("list.bin", codec::encode_list(&[&b"a"[..], b"bc"])),
        ("metadata.bin", metadata().as_bytes().to_vec()),
    ];
    files.extend(operations().into_iter().map(|(name, operation)| (name, encode_operations(&[operation]))));
    files
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[test]
fn bytes_are_written_as_they_always_were() {
    for (name, bytes) in written() {
        if std::env::var_os("BRAINY_BLESS").is_some() {
            std::fs::write(golden(name), &bytes).unwrap();
        }
        let kept = std::fs::read(golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(bytes, kept, "{name}");
    }
}

#[test]
fn bytes_are_read_as_they_always_were() {
    let read = |name: &str| std::fs::read(golden(name)).unwrap();
    assert_eq!(codec::open(ObjectKind::Slot, "golden", &read("envelope.bin")).unwrap(), b"body");
    let bytes = read("fields.bin");
    let fields = codec::Fields::parse("golden", &[1], &bytes).unwrap();
    assert_eq!((fields.get(1), fields.get(7)), (Some(&b"one"[..]), Some(&b""[..])));
    assert_eq!(codec::decode_list("golden", &read("list.bin")).unwrap(), [&b"a"[..], b"bc"]);
    assert_eq!(Metadata::from_bytes(&read("metadata.bin")).unwrap(), metadata());
    for (name, operation) in operations() {
        assert_eq!(decode_operations(&read(name)).unwrap(), [operation], "{name}");
    }
}

/// The bytes of the rows `| offset | bytes | meaning |` below the line that names `file`; panics where an offset is not the sum of the bytes before it.
fn drawn(document: &str, file: &str) -> Vec<u8> {
    let title = format!("Golden file `{file}`");
    let mut lines = document.lines().skip_while(|line| !line.starts_with(&title));
    assert!(lines.next().is_some(), "docs/format.md draws {file}");
    let rows = lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let mut bytes = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[1].parse::<usize>().unwrap(), bytes.len(), "{file}: {row}");
        let hex = cells[2].trim_matches('`').split_whitespace();
        bytes.extend(hex.map(|byte| u8::from_str_radix(byte, 16).unwrap_or_else(|error| panic!("{file}: {row}: {error}"))));
    }
    bytes
}

#[test]
fn the_format_document_draws_every_byte() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md");
    let document = std::fs::read_to_string(path).unwrap();
    for (name, bytes) in written() {
        assert_eq!(drawn(&document, name), bytes, "{name}");
    }
}
