//! What users store does not show in logs.

use std::sync::Arc;

use brainy_core::{OsEntropy, SystemClock};
use brainy_storage::{GetOptions, InMemoryStore, Metered, Precondition, Store, probe};
use brainy_testkit::{Fault, FaultStore, Lie, LyingStore};
use bytes::Bytes;
use futures_executor::block_on;

use crate::support::key;

#[test]
fn no_content_shows_in_debug_or_errors() {
    const SECRET: &str = "s3cr3t-content";
    let mut shown = String::new();
    let memory: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let mut stores = vec![Arc::clone(&memory), Arc::new(Metered::<dyn Store>::new(Arc::clone(&memory)))];
    stores.push(Arc::new(LyingStore::new(Arc::clone(&memory), Lie::IgnoresConditions)));
    let scratch = crate::support::Scratch::new();
    #[cfg(unix)]
    stores.push(Arc::new(brainy_storage::LocalStore::open(scratch.path(), brainy_storage::LocalOptions::default()).unwrap()));
    for store in &stores {
        block_on(async {
            for condition in [Precondition::None, Precondition::IfAbsent] {
                shown += &format!("{:?}", store.put(&key("a/b"), Bytes::from(SECRET), condition).await);
            }
            shown += &format!("{:?}", store.get(&key("a/b"), GetOptions::whole()).await);
            shown += &format!("{:?}", store.get(&key("a/b"), GetOptions::range(0..5)).await);
            for error in [
                store.get(&key("a/b"), GetOptions::range(50..60)).await.map(drop),
                store.put(&key("a/b/c"), Bytes::from(SECRET), Precondition::None).await.map(drop),
            ] {
                if let Err(error) = error {
                    shown += &format!("{error} {error:?} {:#?}", std::error::Error::source(&error));
                }
            }
            shown += &format!("{store:?} {}", store.location());
        });
    }
    let lying = LyingStore::new(Arc::clone(&memory), Lie::IgnoresConditions);
    shown += &format!("{:?}", block_on(probe(&lying, &SystemClock, &OsEntropy)));
    let faulty = FaultStore::scripted(Arc::clone(&memory), [Fault::LostAfter]);
    shown += &format!("{:?} {faulty:?}", block_on(faulty.put(&key("a/b"), Bytes::from(SECRET), Precondition::None)));
    let bytes = format!("{:?}", SECRET.as_bytes());
    for hidden in ["s3cr3t", bytes.trim_matches(['[', ']'])] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert!(shown.contains("a/b") && shown.contains("of 14 bytes"), "{shown}");
    drop(scratch);
}
