//! Every format of this crate is pinned by a file in `tests/golden`, and each file is drawn in `docs/format.md`, field by field.
//!
//! `BRAINY_BLESS=1` writes the files anew, and prints their drawing: for a format that changed on purpose, together with a line of the changelog.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use brainy_core::codec::{self, ENVELOPE_BYTES, Fields, ObjectKind, REQUIRED};
use brainy_core::{ContentHash, Epoch, HolderId, Metric, Nonce, SequenceNumber, SetHash, StoreId, WriterId};
use bytes::Bytes;

use crate::batch::{Batch, BlobReference, Contents, Fence, Transaction, open_intent, seal_intent};
use crate::cas::Marks;
use crate::descriptor::{Constants, Descriptor, Space, Truncation};
use crate::garbage::{ManifestName, SegmentName};
use crate::head::Head;
use crate::hold::Hold;
use crate::keys;
use crate::lease::{Lease, Term};
use crate::machine::Verdict;
use crate::manifest::{self, Manifest};
use crate::protocol::ProtocolOperation;
use crate::segment;
use crate::slot::{self, Header, StatedSummary};
use crate::state::{Decision, LogDelta, LogState, Publication, WriterRecord};
use crate::token::OpId;

const STORE: StoreId = StoreId::from_bytes([0x51; 16]);
const WRITER: WriterId = WriterId::from_bytes([0x77; 16]);

fn hash(text: &str) -> ContentHash {
    ContentHash::of(text.as_bytes())
}

fn descriptor() -> Descriptor {
    let spaces = vec![Space::nouns(384, Metric::Cosine), Space::verbs(8, Metric::L2)];
    Descriptor::new(STORE, "brainy 0.1.0".into(), 1_767_225_600_000, spaces, Constants::new(Truncation::Delete)).unwrap()
}

fn marks() -> Marks {
    Marks { nonce: Nonce::from_bytes([0xaa; 16]), before: vec![Nonce::from_bytes([0xbb; 16])] }
}

fn head() -> Head {
    let mut head = Head::new(STORE, &brainy_core::SeededEntropy::new(1));
    head.epoch = Epoch::new(1);
    head.boundary = 300;
    head.manifest = Some(ManifestName { seq: 300, token: 7, hash: hash("manifest") });
    head.tail_hint = 301;
    head.marks = marks();
    head
}

fn lease() -> Lease {
    let term = Term {
        store: STORE,
        holder: HolderId::from_bytes([0x99; 16]),
        token: 7,
        ttl: Duration::from_secs(15),
        note: "host a".into(),
        since_ms: 1_767_225_600_000,
    };
    let mut lease = Lease::first(term, &brainy_core::SeededEntropy::new(1));
    lease.marks = marks();
    lease
}

fn operations() -> Vec<(&'static str, ProtocolOperation)> {
    let op = OpId { writer: WRITER, wseq: 5, index: 1, base: 300, hash: hash("batch") };
    vec![
        ("lease_claim.bin", ProtocolOperation::LeaseClaim { name: "compactor".into(), token: 7 }),
        ("cancel.bin", ProtocolOperation::Cancel { op }),
        ("refuse.bin", ProtocolOperation::Refuse { writer: WRITER, wseq: 5, reason: "cut off".into() }),
        ("upgrade.bin", ProtocolOperation::Upgrade { rules: 2 }),
        ("digest_override.bin", ProtocolOperation::DigestOverride { seq: 300, reason: "verified".into() }),
        ("snapshot_published.bin", ProtocolOperation::SnapshotPublished { seq: 300, token: 7, manifest: "manifest/x".into() }),
        ("forked.bin", ProtocolOperation::Forked { child: StoreId::from_bytes([0x52; 16]), manifest: "manifest/x".into() }),
        ("unforked.bin", ProtocolOperation::Unforked { child: StoreId::from_bytes([0x52; 16]) }),
    ]
}

fn transaction() -> Transaction {
    let claim = ProtocolOperation::LeaseClaim { name: "job".into(), token: 7 };
    Transaction {
        payload: Some(Bytes::from_static(b"payload")),
        protocol: vec![claim],
        fence: Some(Fence { name: "job".into(), token: 7 }),
    }
}

fn batch_inline() -> Batch {
    let list = codec::encode_list(&[Transaction::payload("a").encode(), transaction().encode()]);
    Batch::new(STORE, WRITER, 5, 300, 2, Contents::Inline(list.into()))
}

/// The list of transactions that lies in the golden blob.
fn list() -> Vec<u8> {
    codec::encode_list(&[Transaction::payload("large").encode()])
}

fn batch_blob() -> Batch {
    let reference = BlobReference { hash: ContentHash::of(&list()), bytes: list().len() as u64 };
    Batch::new(STORE, WriterId::from_bytes([0x78; 16]), 1, 299, 1, Contents::Blob(reference))
}

fn header() -> Header {
    Header {
        seq: SequenceNumber::new(301).unwrap(),
        previous: hash("slot 300"),
        store: STORE,
        epoch: Epoch::new(1),
        creator: WRITER,
        scan_base: 298,
        listed: Some(300),
        rules: 1,
        at_ms: 1_767_225_600_000,
        tokens: BTreeMap::from([("compactor".into(), 7)]),
        summary: Some(StatedSummary {
            as_of: 301,
            counters: vec![1, 2, 3],
            machine: SetHash::from_bytes([0x0a; 32]),
            bookkeeping: SetHash::from_bytes([0x0b; 32]),
            verdicts: vec![vec![0b1], vec![0b101]],
        }),
    }
}

fn manifest() -> (ManifestName, Bytes) {
    let segment = SegmentName { token: 7, build: Nonce::from_bytes([0xcc; 16]), hash: hash("segment") };
    let manifest = Manifest {
        store: STORE,
        epoch: Epoch::new(1),
        seq: 300,
        token: 7,
        slot_hash: hash("slot 300"),
        machine: SetHash::from_bytes([0x0a; 32]),
        bookkeeping: SetHash::from_bytes([0x0b; 32]),
        keep: vec![keys::segment(&segment).to_string()],
        payload: manifest::whole_state_in(&segment),
    };
    manifest.encode()
}

/// A state in which one writer committed something, and another one's batch was given up.
fn state() -> LogState {
    let constants = Constants::new(Truncation::Delete);
    let mut state = LogState::new(STORE, Epoch::new(1), 299, hash("slot 299"), 1, &constants);
    let applied = Decision::Applied(vec![Verdict::Effective { changed: 2 }]);
    let records = [
        (WRITER, WriterRecord { wseq: 5, hash: Some(hash("batch")), slot: 300, first_ordinal: 0, decision: applied }),
        (
            WriterId::from_bytes([0x78; 16]),
            WriterRecord { wseq: 1, hash: None, slot: 300, first_ordinal: 0, decision: Decision::Cancelled },
        ),
    ];
    let mut delta = LogDelta { writers: records.into(), claims: [("compactor".to_owned(), 7)].into(), ..LogDelta::default() };
    delta.published = Some(Publication { seq: 200, token: 6, manifest: "manifest/x".into() });
    delta.forks.insert(StoreId::from_bytes([0x52; 16]), Some("manifest/x".into()));
    state.install(delta, hash("slot 300"), 298, vec![0b1], None);
    state
}

fn hold(kind: ObjectKind) -> Hold {
    let ttl = (kind == ObjectKind::Pin).then_some(Duration::from_secs(60));
    let mut hold = Hold::new(STORE, manifest().0, ttl, "nightly".into(), &brainy_core::SeededEntropy::new(1));
    hold.marks = marks();
    hold
}

/// Two batches: one of another writer, which is carried, and the creator's own.
fn slot_object() -> Bytes {
    slot::encode(&header(), &[batch_blob().bytes, batch_inline().bytes])
}

/// Every golden file and what this build writes in its place.
fn written() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![
        ("brainy.json", descriptor().encode()),
        ("head.bin", head().encode().to_vec()),
        ("lease.bin", lease().encode().to_vec()),
        ("slot.bin", slot_object().to_vec()),
        ("batch_inline.bin", batch_inline().bytes.to_vec()),
        ("batch_blob.bin", batch_blob().bytes.to_vec()),
        ("transaction.bin", transaction().encode()),
        ("blob.bin", codec::seal(ObjectKind::Blob, &list())),
        ("intent.bin", seal_intent(&batch_blob()).to_vec()),
        ("manifest.bin", manifest().1.to_vec()),
        (
            "payload.bin",
            manifest::whole_state_in(&SegmentName { token: 7, build: Nonce::from_bytes([0xcc; 16]), hash: hash("segment") }).to_vec(),
        ),
        ("bookkeeping.bin", state().fields()),
        ("segment.bin", segment::write_state(&state(), b"machine").1.to_vec()),
        ("pin.bin", hold(ObjectKind::Pin).encode(ObjectKind::Pin).to_vec()),
        ("tag.bin", hold(ObjectKind::Tag).encode(ObjectKind::Tag).to_vec()),
        ("tombstone.bin", slot::tombstone(STORE).to_vec()),
    ];
    files.extend(operations().into_iter().map(|(name, operation)| (name, operation.encode())));
    files
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn objects_are_written_as_they_always_were() {
    for (name, bytes) in written() {
        if std::env::var_os("BRAINY_BLESS").is_some() {
            std::fs::create_dir_all(golden("")).unwrap();
            std::fs::write(golden(name), &bytes).unwrap();
            println!("{}", drawing(name, &bytes));
        }
        assert_eq!(bytes, read(name), "{name}");
    }
}

#[test]
fn objects_are_read_as_they_always_were() {
    assert_eq!(Descriptor::decode(&read("brainy.json")).unwrap(), descriptor());
    assert_eq!(Head::decode(&read("head.bin")).unwrap(), head());
    assert_eq!(Lease::decode(&read("lease.bin")).unwrap(), lease());
    let slot = slot::decode(&read("slot.bin").into()).unwrap();
    assert_eq!((slot.header, slot.batches), (header(), vec![batch_blob().bytes, batch_inline().bytes]));
    for (name, batch) in [("batch_inline.bin", batch_inline()), ("batch_blob.bin", batch_blob())] {
        assert_eq!(Batch::decode(&read(name).into()).unwrap(), batch, "{name}");
    }
    assert_eq!(Transaction::decode(&read("transaction.bin").into()).unwrap(), transaction());
    assert_eq!(codec::open(ObjectKind::Blob, "golden", &read("blob.bin")).unwrap(), list());
    assert_eq!(open_intent(&read("intent.bin").into()).unwrap(), batch_blob());
    let (name, object) = manifest();
    assert_eq!(Manifest::decode(&name, STORE, &read("manifest.bin").into()).unwrap().encode(), (name, object));
    let (found, machine) = segment::read_state(STORE, &Constants::new(Truncation::Delete), &read("segment.bin").into()).unwrap();
    assert_eq!((found, machine.as_ref()), (state(), b"machine".as_slice()));
    for (file, kind) in [("pin.bin", ObjectKind::Pin), ("tag.bin", ObjectKind::Tag)] {
        assert_eq!(Hold::decode(kind, &read(file)).unwrap(), hold(kind), "{file}");
    }
    assert!(slot::is_tombstone(&read("tombstone.bin")));
    for (name, operation) in operations() {
        assert_eq!(ProtocolOperation::decode(&read(name)).unwrap(), operation, "{name}");
    }
}

/// Whether some bytes are taken for an object.
type Reads = fn(Vec<u8>) -> bool;

#[test]
fn no_prefix_and_no_flipped_byte_of_an_object_is_taken_for_one_or_panics() {
    let readers: [(&str, Reads); 5] = [
        ("lease.bin", |bytes| Lease::decode(&bytes).is_ok()),
        ("intent.bin", |bytes| open_intent(&bytes.into()).is_ok()),
        ("brainy.json", |bytes| Descriptor::decode(&bytes).is_ok()),
        ("head.bin", |bytes| Head::decode(&bytes).is_ok()),
        ("slot.bin", |bytes| slot::decode(&bytes.into()).is_ok()),
    ];
    for (name, reads) in readers {
        let whole = read(name);
        for length in 0..whole.len() {
            assert!(!reads(whole[..length].to_vec()), "the first {length} bytes of {name}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            assert!(!reads(flipped), "byte {at} of {name}");
        }
    }
    // Without a checksum of their own these may still decode; they must not panic.
    for name in ["batch_inline.bin", "batch_blob.bin", "transaction.bin", "cancel.bin", "refuse.bin"] {
        let whole = read(name);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                let bytes = Bytes::from(flipped);
                drop((Transaction::decode(&bytes), ProtocolOperation::decode(&bytes), Batch::decode(&bytes)));
            }
        }
    }
}

/// One row of a drawing: the offset of a field, its tag with or without the required bit, its length.
type Row = (usize, u16, bool, usize);

/// The fields of a golden file, as they lie in it.
fn rows(name: &str, bytes: &[u8]) -> Vec<Row> {
    let sealed = codec::peek_kind(bytes).is_some();
    let body = if sealed { &bytes[ENVELOPE_BYTES..] } else { bytes };
    let all: Vec<u16> = (0..REQUIRED).collect();
    let fields = Fields::parse("golden", &all, body).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut offset = bytes.len() - body.len();
    let rows = fields.unknown(&[]).into_iter().map(|(tag, value)| {
        let row = (offset, tag & !REQUIRED, tag & REQUIRED != 0, value.len());
        offset += 6 + value.len();
        row
    });
    rows.collect()
}

/// How a file's table begins.
fn title(name: &str) -> String {
    format!("Golden file `{name}`:")
}

/// The rows as they stand in the document, without what the fields mean.
fn drawing(name: &str, bytes: &[u8]) -> String {
    if ["brainy.json", "blob.bin", "segment.bin"].contains(&name) {
        return String::new();
    }
    let rows = rows(name, bytes).into_iter().map(|(offset, tag, required, length)| {
        format!("| {offset} | {tag} | {} | {length} |", if required { "required" } else { "optional" })
    });
    [title(name)].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md")).unwrap()
}

/// The rows of the table below a file's title: offset, field, required or optional, bytes, and some words.
fn drawn(document: &str, name: &str) -> Vec<Row> {
    let mut lines = document.lines().skip_while(|line| *line != title(name));
    assert!(lines.next().is_some(), "docs/format.md draws {name}");
    let rows = lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let rows = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let required = match cells[3] {
            "required" => true,
            "optional" => false,
            other => panic!("{name}: {other:?} in {row}"),
        };
        assert!(!cells[5].is_empty(), "{name}: {row} says nothing");
        (cells[1].parse().unwrap(), cells[2].parse().unwrap(), required, cells[4].parse().unwrap())
    });
    rows.collect()
}

#[test]
fn the_format_document_draws_every_field() {
    let document = document();
    for (name, bytes) in written() {
        if drawing(name, &bytes).is_empty() {
            assert!(document.contains(&format!("`{name}`")), "docs/format.md speaks of {name}");
        } else {
            assert_eq!(drawn(&document, name), rows(name, &bytes), "{name}");
        }
    }
}

#[test]
fn the_format_document_shows_the_descriptor_as_it_is() {
    let text = String::from_utf8(read("brainy.json")).unwrap();
    assert!(document().contains(text.trim_end()), "docs/format.md shows tests/golden/brainy.json, byte for byte");
}
