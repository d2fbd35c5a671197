use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use brainy_core::StoreId;

use crate::wake::{Bell, WakeSource};

/// Handles of this process on one store wake each other: who learns of a slot first, by a commit or by a look, tells the others.
///
/// Each handle has one of its own. A slot is told once, so handles do not wake each other in turns. Nothing is sent to the store.
#[derive(Debug)]
pub struct InProcessWake {
    hub: Arc<Hub>,
    bell: Arc<Bell>,
}

/// What the handles on one store share.
#[derive(Debug, Default)]
struct Hub {
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// The newest slot that was told. In a bucket that went back it is never reached again for a while: then hints are missing, no more.
    newest: u64,
    bells: Vec<Weak<Bell>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InProcessWake {
    /// One more handle on this store.
    pub fn of(store: StoreId) -> Self {
        static HUBS: LazyLock<Mutex<HashMap<StoreId, Weak<Hub>>>> = LazyLock::new(Mutex::default);
        let mut hubs = lock(&HUBS);
        // As many as there are stores with a handle.
        hubs.retain(|_, hub| hub.strong_count() > 0);
        let hub = hubs.get(&store).and_then(Weak::upgrade).unwrap_or_default();
        hubs.insert(store, Arc::downgrade(&hub));
        drop(hubs);
        let bell = Arc::new(Bell::new());
        lock(&hub.told).bells.push(Arc::downgrade(&bell));
        Self { hub, bell }
    }
}

impl WakeSource for InProcessWake {
    fn poll_wake(&self, context: &mut Context<'_>) -> Poll<()> {
        self.bell.poll_wake(context)
    }

    fn moved(&self, seq: u64) {
        let others: Vec<_> = {
            let mut told = lock(&self.hub.told);
            if seq <= told.newest {
                return;
            }
            told.newest = seq;
            told.bells.iter().filter_map(Weak::upgrade).filter(|bell| !Arc::ptr_eq(bell, &self.bell)).collect()
        };
        // Only once the lock is free: a waker is a stranger's code.
        others.iter().for_each(|bell| bell.ring());
    }
}

impl Drop for InProcessWake {
    fn drop(&mut self) {
        let own = Arc::downgrade(&self.bell);
        lock(&self.hub.told).bells.retain(|bell| bell.strong_count() > 0 && !bell.ptr_eq(&own));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker;

    use super::*;

    #[test]
    fn who_learns_of_a_slot_first_wakes_the_others_once_and_nobody_wakes_itself() {
        let (store, other_store) = (StoreId::from_bytes([1; 16]), StoreId::from_bytes([2; 16]));
        let [one, two, three] = [store; 3].map(InProcessWake::of);
        let stranger = InProcessWake::of(other_store);
        let waker = noop_waker();
        let mut context = Context::from_waker(&waker);
        let mut woken = |source: &InProcessWake| source.poll_wake(&mut context).is_ready();
        one.moved(7);
        assert_eq!([&one, &two, &three, &stranger].map(&mut woken), [false, true, true, false]);
        // They look, find slot 7, and tell nobody what everybody was told.
        two.moved(7);
        three.moved(7);
        assert_eq!([&one, &two, &three].map(&mut woken), [false; 3]);
        drop(two);
        three.moved(8);
        assert_eq!([&one, &three].map(&mut woken), [true, false]);
        assert_eq!(lock(&one.hub.told).bells.len(), 2, "what is dropped is forgotten");
    }
}
