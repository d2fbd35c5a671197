//! What dead processes leave, and who clears it away.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use brainy_core::Clock;
use brainy_core::clock::before;
use brainy_storage::{InMemoryStore, Prefix, Store};
use brainy_testkit::{Latencies, LatencyStore, ManualClock};
use futures_util::future::{join, join_all};

use crate::driving::{add, commit, driven};
use crate::stores::{constants, environment, fresh, opened, within};

fn in_inbox(store: &InMemoryStore, clock: &ManualClock) -> usize {
    clock.run(store.list(&Prefix::new("inbox").unwrap(), None, NonZeroUsize::MAX)).unwrap().value.entries.len()
}

/// L5 of the system before: the code that removes old entries and dead locks is called by nobody.
#[test]
fn l5_what_dead_processes_left_is_cleared_away_by_whoever_goes_on() {
    let (memory, clock, plain) = fresh(51);
    let mut left = 0;
    for round in 0..3 {
        let member = |number: u64| {
            let seed = round * 100 + number;
            let slow = LatencyStore::new(Arc::new(memory.clone()), Arc::new(clock.clone()), seed, Latencies::S3);
            let environment = environment(Arc::new(slow), &clock, 1_000 + seed);
            let clock = &clock;
            async move {
                let log = opened(&environment).await;
                let work = async {
                    // Whatever becomes of one: the next.
                    while let Ok(pending) = log.submit(&add(1), within(&environment, 600)) {
                        drop(pending.outcome().await);
                    }
                };
                let life = std::pin::pin!(join(log.run(), work));
                let dies = clock.now().after(Duration::from_millis(4_000 + 97 * number));
                assert!(before(clock, dies, life).await.is_none(), "it dies in the middle");
            }
        };
        clock.run(join_all((0..16).map(member)));
        left += in_inbox(&memory, &clock);
    }
    assert!(left > 0, "nobody died with an intent in the inbox");
    clock.run(async {
        let log = opened(&plain).await;
        driven(&log, async {
            for _ in 0..3 * constants().scan_slots {
                commit(&log, &add(1)).await;
            }
        })
        .await;
    });
    assert_eq!(in_inbox(&memory, &clock), 0);
}
