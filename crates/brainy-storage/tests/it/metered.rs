//! Every request is counted once, by how it ended.

use std::num::NonZeroUsize;
use std::sync::Arc;

use brainy_storage::{GetOptions, InMemoryStore, Metered, Outcome, Precondition, Prefix, Store};
use brainy_testkit::{Fault, FaultStore};
use bytes::Bytes;
use futures_executor::block_on;

use crate::support::key;

#[test]
fn requests_and_bytes_are_counted_by_operation_and_outcome() {
    let faults = Arc::new(FaultStore::scripted(Arc::new(InMemoryStore::new()), []));
    let store = Metered::<dyn Store>::new(Arc::<FaultStore>::clone(&faults));
    block_on(async {
        let name = key("log/1");
        let Outcome::Committed(revision) = store.put(&name, Bytes::from("12345"), Precondition::IfAbsent).await.unwrap().value else {
            panic!()
        };
        store.put(&name, Bytes::from("123"), Precondition::IfAbsent).await.unwrap();
        faults.script([Fault::LostAfter]);
        store.put(&name, Bytes::from("1234567"), Precondition::None).await.unwrap();
        faults.script([Fault::Refused]);
        store.put(&name, Bytes::from("1"), Precondition::None).await.unwrap_err();

        store.get(&name, GetOptions::range(2..4)).await.unwrap();
        store.get(&key("log/2"), GetOptions::whole()).await.unwrap();
        store.get(&name, GetOptions::if_changed_from(revision)).await.unwrap();
        store.put(&name, Bytes::from("12345"), Precondition::None).await.unwrap();
        let before = store.snapshot();
        let same = brainy_storage::Revision::new(blake3_hex(b"12345"));
        store.get(&name, GetOptions::if_changed_from(same)).await.unwrap();
        store.get(&name, GetOptions::range(9..10)).await.unwrap_err();
        store.list(&Prefix::root(), None, NonZeroUsize::MIN).await.unwrap();
        store.delete_many(&[name.clone(), key("log/2")]).await.unwrap();
        store.delete(&name).await.unwrap();

        let usage = store.snapshot();
        assert_eq!((usage.put.done, usage.put.rejected, usage.put.unknown, usage.put.errors), (2, 1, 1, 1));
        assert_eq!(usage.put.bytes_up, 5 + 3 + 7 + 1 + 5);
        assert_eq!((usage.get.done, usage.get.absent, usage.get.not_modified, usage.get.errors), (2, 1, 1, 1));
        assert_eq!(usage.get.bytes_down, 2 + 7);
        assert_eq!((usage.list.done, usage.list.bytes_down, usage.delete.done), (1, 5, 2));
        assert_eq!(usage.requests(), 5 + 5 + 1 + 2);
        assert_eq!(usage.since(&before).requests(), 5);
        let dollars = (5.0 * 6.0 + 0.4 * 5.0) / 1e6;
        assert!((usage.dollars() - dollars).abs() < 1e-12, "{}", usage.dollars());
        let table = usage.to_string();
        assert!(table.lines().count() == 6 && table.contains("rejected"), "{table}");
    });
}

fn blake3_hex(bytes: &[u8]) -> String {
    brainy_core::ContentHash::of(bytes).to_string()
}

#[test]
fn a_request_whose_future_is_dropped_is_still_counted() {
    #[derive(Debug)]
    struct Silent(InMemoryStore);
    #[async_trait::async_trait]
    impl Store for Silent {
        async fn get(&self, _: &brainy_storage::Key, _: GetOptions) -> brainy_storage::StoreResult<brainy_storage::Get> {
            std::future::pending().await
        }
        async fn put(&self, _: &brainy_storage::Key, _: Bytes, _: Precondition) -> brainy_storage::StoreResult<Outcome> {
            std::future::pending().await
        }
        async fn list(
            &self,
            prefix: &Prefix,
            after: Option<&brainy_storage::Key>,
            limit: NonZeroUsize,
        ) -> brainy_storage::StoreResult<brainy_storage::Page> {
            self.0.list(prefix, after, limit).await
        }
        async fn delete(&self, key: &brainy_storage::Key) -> brainy_storage::StoreResult<()> {
            self.0.delete(key).await
        }
        fn location(&self) -> String {
            self.0.location()
        }
        fn capabilities(&self) -> brainy_storage::Capabilities {
            self.0.capabilities()
        }
    }
    use futures_util::FutureExt;
    let store = Metered::new(Arc::new(Silent(InMemoryStore::new())));
    let name = key("log/1");
    assert!(store.get(&name, GetOptions::whole()).now_or_never().is_none());
    assert!(store.put(&name, Bytes::from("123"), Precondition::None).now_or_never().is_none());
    let usage = store.snapshot();
    assert_eq!((usage.get.errors, usage.put.unknown), (1, 1));
}
