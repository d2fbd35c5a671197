//! Bytes that are not what was written: a clear error, and nothing written on their strength.

use std::sync::Arc;

use brainy::storage::{InMemoryStore, Key, Store};
use brainy::{ErrorKind, Freshness, Mode};
use futures_executor::block_on;

use crate::support::{memory, objects, overwrite, quiet, slot_key, thing};

/// A copy of `store`, to be spoiled.
fn copy(store: &dyn Store) -> Arc<dyn Store> {
    let copy: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    for (key, bytes) in objects(store) {
        overwrite(&*copy, &key, bytes);
    }
    copy
}

fn three_slots() -> Arc<dyn Store> {
    let (store, db) = memory();
    for name in ["a", "b", "c"] {
        block_on(db.put(thing(name))).unwrap();
    }
    store
}

/// Opening says `kind`, names `text`, and changes nothing, in whatever mode.
fn refused(store: &Arc<dyn Store>, kinds: &[ErrorKind], text: &str) {
    let before = objects(&**store);
    for mode in [Mode::ReadWrite, Mode::ReadOnly, Mode::WriteOnly, Mode::Frozen] {
        let error = block_on(quiet(store).mode(mode).open()).map(drop).unwrap_err();
        assert!(kinds.contains(&error.kind()), "{text}, {mode:?}: {:?}: {error}", error.kind());
        assert!(error.to_string().contains(text), "{mode:?}: {error}");
    }
    assert_eq!(objects(&**store), before);
}

#[test]
fn a_slot_cut_short_anywhere_is_corrupt_by_name() {
    let sound = three_slots();
    for seq in [1, 3] {
        let whole = objects(&*sound)[&slot_key(seq)].clone();
        for length in [0, 1, 7, 16, whole.len() / 2, whole.len() - 1] {
            let store = copy(&*sound);
            overwrite(&*store, &slot_key(seq), whole.slice(..length));
            refused(&store, &[ErrorKind::Corrupt], &slot_key(seq));
        }
    }
}

#[test]
fn a_slot_with_any_one_bit_flipped_is_refused_by_name() {
    let sound = three_slots();
    let whole = objects(&*sound)[&slot_key(2)].clone();
    let store = copy(&*sound);
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        overwrite(&*store, &slot_key(2), bytes);
        let error = block_on(quiet(&store).mode(Mode::ReadOnly).open()).map(drop).unwrap_err();
        // A flipped version number looks like a newer build's.
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "byte {at}: {:?}: {error}", error.kind());
        assert!(error.to_string().contains(&slot_key(2)), "byte {at}: {error}");
    }
    let mut bytes = whole.to_vec();
    bytes[whole.len() / 2] ^= 8;
    overwrite(&*store, &slot_key(2), bytes);
    refused(&store, &[ErrorKind::Corrupt], &slot_key(2));
}

#[test]
fn a_slot_in_anothers_place_is_refused() {
    let sound = three_slots();
    let other = three_slots();
    for (seq, bytes) in [(2, objects(&*sound)[&slot_key(3)].clone()), (3, objects(&*other)[&slot_key(3)].clone())] {
        let store = copy(&*sound);
        overwrite(&*store, &slot_key(seq), bytes);
        refused(&store, &[ErrorKind::Corrupt, ErrorKind::RolledBack], "");
    }
}

#[test]
fn a_descriptor_that_is_no_descriptor_is_refused_and_never_repaired() {
    let sound = three_slots();
    let text = String::from_utf8(objects(&*sound)["brainy.json"].to_vec()).unwrap();
    for (spoiled, kinds) in [
        ("{}".to_owned(), vec![ErrorKind::Corrupt, ErrorKind::Unsupported]),
        ("not json".to_owned(), vec![ErrorKind::Corrupt]),
        (String::new(), vec![ErrorKind::Corrupt]),
        (text.replace("\"format\":1", "\"format\":9"), vec![ErrorKind::Unsupported]),
        (text.replace("\"dimension\":2", "\"dimension\":3"), vec![ErrorKind::Corrupt]),
        (text[..text.len() / 2].to_owned(), vec![ErrorKind::Corrupt]),
    ] {
        let store = copy(&*sound);
        assert_ne!(spoiled, text);
        overwrite(&*store, "brainy.json", spoiled);
        refused(&store, &kinds, "brainy.json");
        let before = objects(&*store);
        for made in [block_on(quiet(&store).create()), block_on(quiet(&store).open_or_create())] {
            assert!(kinds.contains(&made.unwrap_err().kind()));
        }
        assert!(block_on(quiet(&store).peek()).unwrap_err().to_string().contains("brainy.json"));
        assert_eq!(objects(&*store), before);
    }
}

#[test]
fn a_head_that_is_gone_or_another_stores_stops_everybody() {
    let sound = three_slots();
    let other = objects(&*three_slots())["ctl/head"].clone();
    let store = copy(&*sound);
    block_on(store.delete(&Key::new("ctl/head").unwrap())).unwrap();
    refused(&store, &[ErrorKind::Corrupt], "ctl/head is missing");
    overwrite(&*store, "ctl/head", other);
    refused(&store, &[ErrorKind::Corrupt], "ctl/head belongs to store");
    overwrite(&*store, "ctl/head", "garbage");
    refused(&store, &[ErrorKind::Corrupt], "ctl/head");
}

#[test]
fn a_blob_that_is_gone_or_spoiled_is_named() {
    let (store, db) = memory();
    let transaction = (0..2_000).fold(db.transaction(), |transaction, n| transaction.put(thing(&format!("noun number {n}"))));
    block_on(transaction.commit()).unwrap();
    drop(db);
    let key = objects(&*store).into_keys().find(|key| key.starts_with("blob/")).expect("a large batch lies in a blob");
    let whole = objects(&*store)[&key].clone();
    let mut bytes = whole.to_vec();
    bytes[whole.len() / 2] ^= 1;
    overwrite(&*store, &key, bytes);
    refused(&store, &[ErrorKind::Corrupt], &key);
    block_on(store.delete(&Key::new(&key).unwrap())).unwrap();
    refused(&store, &[ErrorKind::Corrupt], &key);
    overwrite(&*store, &key, whole);
    assert_eq!(block_on(block_on(quiet(&store).open()).unwrap().statistics()).unwrap().statistics.nouns, 2_000);
}

#[test]
fn a_handle_that_is_open_meets_a_spoiled_slot_with_an_error_and_answers_from_what_it_has() {
    let (store, writer) = memory();
    block_on(async {
        writer.put(thing("a")).await.unwrap();
        let reader = quiet(&store).open().await.unwrap();
        writer.put(thing("b")).await.unwrap();
        let sound = objects(&*store)[&slot_key(2)].clone();
        overwrite(&*store, &slot_key(2), "garbage");
        let error = reader.with_freshness(Freshness::Latest).get("a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(&slot_key(2)), "{error}");
        assert!(reader.with_freshness(Freshness::Local).get("a").await.unwrap().is_some());
        let before = objects(&*store);
        let refused = reader.put(thing("c")).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
        assert_eq!(objects(&*store), before, "nothing is written behind a slot that cannot be read");
        overwrite(&*store, &slot_key(2), sound);
        assert!(reader.with_freshness(Freshness::Latest).get("b").await.unwrap().is_some(), "mended, it goes on");
    });
}

#[test]
fn the_log_can_be_read_slot_by_slot_as_it_was_written() {
    let (store, db) = memory();
    block_on(async {
        let receipt = db.transaction().put(thing("a")).put(thing("b")).commit().await.unwrap();
        db.put_if_absent(thing("a")).await.unwrap_err();
        let first = db.log_slot(brainy::SequenceNumber::FIRST).await.unwrap().unwrap();
        assert_eq!((first.seq, first.hash.clone()), (receipt.version.seq, receipt.token.hash.to_string()));
        assert_eq!(first.bytes, objects(&*store)[&slot_key(1)].len() as u64);
        let transaction = &first.transactions[0];
        assert_eq!((transaction.op, transaction.version, transaction.effective), (receipt.op, receipt.version, Some(true)));
        assert_eq!(transaction.operations.len(), 2);
        let second = db.log_slot(brainy::SequenceNumber::new(2).unwrap()).await.unwrap().unwrap();
        assert_eq!(second.transactions[0].effective, Some(false));
        assert!(db.log_slot(brainy::SequenceNumber::new(3).unwrap()).await.unwrap().is_none());
    });
}
