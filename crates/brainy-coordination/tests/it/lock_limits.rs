//! What a lock refuses before it writes anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brainy_coordination::{Error, Lock, LockOptions, Loss, MAX_LEASE_NAMES, Outcome, ProtocolOperation, Spawn, Task, Transaction};
use brainy_core::ErrorKind;
use brainy_storage::{Get, GetOptions, Key, Precondition, Store};
use futures_util::future::join_all;

use crate::hosts::{TTL, World};

const NAME: &str = "job";

async fn lease(world: &World) -> Get {
    world.store.get(&Key::new(format!("lease/{NAME}")).unwrap(), GetOptions::whole()).await.unwrap().value
}

#[test]
fn inv_33_one_lock_too_many_is_refused_before_anything_is_written() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let claim = |number: usize| ProtocolOperation::LeaseClaim { name: format!("name-{number}"), token: 1 };
        let claims = join_all((0..MAX_LEASE_NAMES).map(|number| {
            let pending = host.log.submit(&Transaction::protocol(claim(number)), host.within(60)).unwrap();
            pending.outcome()
        }));
        assert!(claims.await.into_iter().all(|outcome| matches!(outcome, Ok(Outcome::Committed(_)))));
        let refused = host.lock(NAME).try_acquire(host.within(30)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("lock job would be one name of a lock too many for this store, which has 1024"), "{refused}");
        assert_eq!(lease(&world).await, Get::Absent, "INV-33: there is no lease");
        let guard = host.lock("name-7").remake(host.within(30)).await.map(|()| host.lock("name-7"));
        assert_eq!(guard.unwrap().try_acquire(host.within(30)).await.unwrap().token(), 2, "a name that it has stays one");
    });
}

#[test]
fn a_guard_of_another_lock_writes_nothing() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let guard = host.lock("other").try_acquire(host.within(30)).await.unwrap();
        let refused = host.lock(NAME).commit(&guard, Transaction::payload("x"), host.within(30)).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
        assert_eq!(host.log.position().seq, 1, "the claim and nothing else");
    });
}

/// Runs nothing.
#[derive(Debug, Default)]
struct Nowhere(AtomicU64);

impl Spawn for Nowhere {
    fn spawn(&self, _: Task) {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < 1_000, "a turn after the other, without a pause");
    }
}

#[test]
fn whoever_loses_each_turn_at_once_takes_the_next_with_pauses() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let spawn = Arc::new(Nowhere::default());
        let lock = Lock::open(&host.log, Arc::<Nowhere>::clone(&spawn) as Arc<dyn Spawn>, NAME, LockOptions::default()).unwrap();
        let refused = lock.acquire(host.within(60)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::OutcomeUnknown, "{refused}");
        let turns = spawn.0.load(Ordering::Relaxed);
        assert!(turns > 1, "{turns}");
    });
}

#[test]
fn a_copy_that_believes_is_waited_for_like_a_stranger() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let lock = host.lock(NAME);
        let guard = lock.try_acquire(host.within(30)).await.unwrap();
        let Get::Found(early) = lease(&world).await else { panic!("it is held") };
        world.sleep(TTL / 2).await;
        // What a copy of this machine wrote: holder and token are this one's, and the body is none that it sent and that could be there.
        let key = Key::new(format!("lease/{NAME}")).unwrap();
        world.store.put(&key, early.bytes, Precondition::None).await.unwrap();
        world.sleep(TTL / 2).await;
        assert!(matches!(guard.check(), Err(Error::LeaseLost { loss: Loss::Taken, .. })));
        let before = lock.id();
        assert!(matches!(lock.try_acquire(host.within(30)).await, Err(Error::LeaseTaken { token: 1, .. })), "the copy believes in it");
        assert_ne!(lock.id(), before, "from now on they are two");
        assert_eq!(lock.acquire(host.within(60)).await.unwrap().token(), 2, "it was silent for its whole life");
    });
}
