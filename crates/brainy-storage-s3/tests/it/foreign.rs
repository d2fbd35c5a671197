//! A store over somebody else's `ObjectStore`.

use std::sync::Arc;

use brainy_core::{ErrorKind, OsEntropy, SystemClock};
use brainy_storage::conformance::{self, Options};
use brainy_storage::{GetOptions, Outcome, Precondition, Store, probe};
use brainy_storage_s3::S3Store;
use brainy_storage_s3::object_store::aws::AmazonS3Builder;
use brainy_storage_s3::object_store::memory::InMemory;
use brainy_storage_s3::object_store::path::Path;
use brainy_storage_s3::object_store::{ObjectStore, ObjectStoreExt};
use bytes::Bytes;

use crate::world::{Said, key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_store_keeps_the_contract() {
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let store: Arc<dyn Store> = Arc::new(S3Store::from_object_store(Arc::clone(&inner), "some/prefix").unwrap());
    assert!(!store.capabilities().has_time);
    let report = conformance::run(&[Arc::clone(&store)], Arc::new(SystemClock), Arc::new(OsEntropy), Options::default()).await;
    assert!(report.is_ok(), "{report}");
    let report = probe(&*store, &SystemClock, &OsEntropy).await.unwrap();
    assert_eq!(report.store_time, None);
    let said = Said::of(store.put(&key("a"), Bytes::from_static(b"1"), Precondition::IfAbsent).await);
    assert_eq!(said, Said::Committed);
    let stored = inner.get(&Path::from("some/prefix/a")).await.unwrap().bytes().await.unwrap();
    assert_eq!(stored, "1");
}

#[tokio::test]
async fn a_refused_update_where_our_own_bytes_lie_is_unknown() {
    // As after a repetition by the stranger's client that lost to itself.
    let store = S3Store::from_object_store(Arc::new(InMemory::new()), "").unwrap();
    let name = key("a");
    let created = store.put(&name, Bytes::from_static(b"first"), Precondition::IfAbsent).await.unwrap().value;
    let Outcome::Committed(first) = created else { panic!("{created:?}") };
    let update = |body: &'static str| store.put(&name, Bytes::from_static(body.as_bytes()), Precondition::IfMatch(first.clone()));
    assert_eq!(Said::of(update("ours").await), Said::Committed);
    assert!(Said::of(update("ours").await).is_unknown());
    assert_eq!(Said::of(update("another's").await), Said::Rejected);
}

#[tokio::test]
async fn a_strangers_error_is_told_by_its_kind_alone() {
    // A client without a transport: it fails before anything is sent, with a text of its own.
    assert!(S3Store::from_object_store(Arc::new(InMemory::new()), "/slash/").is_err());
    assert!(AmazonS3Builder::new().with_bucket_name("b").with_access_key_id("sesame").build().is_err());
    let store = S3Store::from_object_store(Arc::new(InMemory::new()), "").unwrap();
    drop(store.put(&key("a"), Bytes::from_static(b"12345"), Precondition::None).await.unwrap());
    for range in [5..6, 7..9, 3..3] {
        let error = store.get(&key("a"), GetOptions::range(range)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(format!("{store:?}"), "S3Store(Foreign(Foreign(object-store://)))");
}
