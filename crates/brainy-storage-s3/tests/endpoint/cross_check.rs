//! What one client writes, the other reads.

use std::num::NonZeroUsize;

use aws_sdk_s3::error::ProvideErrorMetadata;
use brainy_storage::{Get, GetOptions, Outcome, Precondition, Prefix, Revision, Store};
use bytes::Bytes;

use crate::server::{Server, key};

/// Names in no order, with what sorts oddly. None is a folder of another: MinIO does not list what lies below an object.
const NAMES: [&str; 8] = ["log/10", "log/9", "log/09", "b", "a-b/c", "a/b", "a.b", "a_b"];

/// A body that differs by name, in sizes from nothing to more than one packet.
fn body(name: &str) -> Bytes {
    let repeat = name.len().pow(5) % 300_000;
    Bytes::from(name.as_bytes().repeat(repeat / name.len()))
}

#[tokio::test]
async fn every_stored_object_is_the_same_through_a_second_client() {
    let server = Server::new().await;
    let store = server.store();
    let mut revisions = Vec::new();
    for (number, name) in NAMES.iter().enumerate() {
        let precondition = if number % 2 == 0 { Precondition::IfAbsent } else { Precondition::None };
        let Outcome::Committed(revision) = store.put(&key(name), body(name), precondition).await.unwrap().value else {
            panic!("{name} was not written")
        };
        revisions.push(revision);
    }
    for (name, revision) in NAMES.iter().zip(&revisions) {
        let object = server.sdk.get_object().bucket(&server.bucket).key(server.name(&key(name))).send().await.unwrap();
        assert_eq!(object.e_tag(), Some(revision.as_str()), "{name}");
        assert_eq!(object.content_length(), i64::try_from(body(name).len()).ok(), "{name}");
        assert_eq!(object.body.collect().await.unwrap().into_bytes(), body(name), "{name}");
    }

    let listed = server.sdk.list_objects_v2().bucket(&server.bucket).prefix(format!("{}/", server.prefix)).send().await.unwrap();
    let theirs: Vec<_> = listed.contents().iter().map(|object| (object.key().unwrap().to_owned(), object.size().unwrap())).collect();
    let ours = store.list(&Prefix::root(), None, NonZeroUsize::new(100).unwrap()).await.unwrap().value;
    assert!(!ours.more);
    let ours: Vec<_> = ours.entries.iter().map(|entry| (server.name(&entry.key), i64::try_from(entry.size).unwrap())).collect();
    assert_eq!(ours, theirs, "the same objects in the same order");
    let mut sorted = NAMES;
    sorted.sort_unstable();
    assert_eq!(ours.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), sorted.map(|name| server.name(&key(name))));

    store.delete(&key(NAMES[0])).await.unwrap();
    store.delete_many(&NAMES.map(key)).await.unwrap();
    for name in NAMES {
        let gone = server.sdk.head_object().bucket(&server.bucket).key(server.name(&key(name))).send().await.unwrap_err();
        assert!(gone.into_service_error().is_not_found(), "{name}");
    }
}

#[tokio::test]
async fn what_the_second_client_writes_is_read_ranges_and_revisions_included() {
    let server = Server::new().await;
    let store = server.store();
    let whole = Bytes::from_static(b"0123456789");
    let put =
        server.sdk.put_object().bucket(&server.bucket).key(server.name(&key("theirs"))).body(whole.clone().into()).send().await.unwrap();
    let revision = Revision::new(put.e_tag().unwrap());
    for (range, expected) in [(0..10, &b"0123456789"[..]), (3..5, b"34"), (9..10, b"9"), (8..100, b"89"), (0..1, b"0")] {
        let Get::Found(object) = store.get(&key("theirs"), GetOptions::range(range.clone())).await.unwrap().value else {
            panic!("{range:?}")
        };
        assert_eq!((&*object.bytes, object.size, &object.revision), (expected, 10, &revision), "{range:?}");
    }
    let unchanged = store.get(&key("theirs"), GetOptions::if_changed_from(revision.clone())).await.unwrap();
    assert_eq!(unchanged.value, Get::NotModified);
    assert!(unchanged.at.is_some(), "the server says its time");
    // Conditional writes of both clients meet.
    let update = server.sdk.put_object().bucket(&server.bucket).key(server.name(&key("theirs"))).if_match(revision.as_str());
    drop(update.body(Bytes::from_static(b"next").into()).send().await.unwrap());
    let stale = store.put(&key("theirs"), Bytes::from_static(b"ours"), Precondition::IfMatch(revision)).await.unwrap().value;
    assert!(matches!(stale, Outcome::Rejected), "{stale:?}");
    drop(store.put(&key("ours"), Bytes::from_static(b"1"), Precondition::IfAbsent).await.unwrap());
    let create = server.sdk.put_object().bucket(&server.bucket).key(server.name(&key("ours"))).if_none_match("*");
    let refused = create.body(Bytes::from_static(b"2").into()).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("PreconditionFailed"));
    store.delete_many(&[key("ours"), key("theirs")]).await.unwrap();
}

#[tokio::test]
async fn a_full_page_never_claims_to_be_the_last() {
    let server = Server::new().await;
    let store = server.store();
    // After `a/c/d` MinIO 20260212 says of a full page that it is the last, whatever follows.
    let names = ["a/b", "a/c/d", "a/c0", "a0", "a_", "aa", "b", "z/0"];
    for name in names {
        drop(store.put(&key(name), Bytes::from_static(b"1"), Precondition::None).await.unwrap());
    }
    for limit in 1..names.len() {
        let (mut listed, mut after) = (Vec::new(), Some(key("a/c/d")));
        loop {
            let page = store.list(&Prefix::root(), after.as_ref(), NonZeroUsize::new(limit).unwrap()).await.unwrap().value;
            listed.extend(page.entries.iter().map(|entry| entry.key.to_string()));
            after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more {
                break;
            }
        }
        assert_eq!(listed, names[2..], "limit {limit}");
    }
    store.delete_many(&names.map(key)).await.unwrap();
}
