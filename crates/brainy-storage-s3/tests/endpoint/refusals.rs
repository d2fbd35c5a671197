//! What the server refuses, and what the store makes of it.

use std::num::NonZeroUsize;

use brainy_core::ErrorKind;
use brainy_storage::{GetOptions, Precondition, Prefix, Store};
use brainy_storage_s3::S3Store;
use bytes::Bytes;

use crate::server::{Server, key};

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let server = Server::new().await;
    let mut options = server.options();
    options.bucket = "brainy-test-that-nobody-made".to_owned();
    let store = S3Store::open(options).unwrap();
    let errors = [
        store.get(&key("a"), GetOptions::whole()).await.map(drop),
        store.put(&key("a"), Bytes::new(), Precondition::IfAbsent).await.map(drop),
        store.list(&Prefix::root(), None, NonZeroUsize::MIN).await.map(drop),
    ];
    for error in errors.map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("bucket brainy-test-that-nobody-made does not exist"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_as_such() {
    let server = Server::new().await;
    if server.label == "ministack" {
        return server.not_run("it accepts a wrong secret");
    }
    let store = S3Store::open(server.wrong_secret()).unwrap();
    let errors = [
        store.get(&key("a"), GetOptions::whole()).await.map(drop),
        store.put(&key("a"), Bytes::new(), Precondition::IfAbsent).await.map(drop),
        store.list(&Prefix::root(), None, NonZeroUsize::MIN).await.map(drop),
    ];
    for error in errors.map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(!error.to_string().contains("not-the-secret"), "{error}");
    }
    let there = server.store().get(&key("a"), GetOptions::whole()).await.unwrap();
    assert_eq!(there.value, brainy_storage::Get::Absent, "nothing was written");
}

#[tokio::test]
async fn a_range_beyond_the_end_is_invalid() {
    let server = Server::new().await;
    let store = server.store();
    drop(store.put(&key("ten"), Bytes::from_static(b"0123456789"), Precondition::None).await.unwrap());
    for range in [10..11, 11..20, u64::from(u32::MAX)..u64::from(u32::MAX) + 1] {
        let error = store.get(&key("ten"), GetOptions::range(range.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{range:?}: {error}");
    }
    store.delete(&key("ten")).await.unwrap();
}
