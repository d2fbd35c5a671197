use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use brainy_storage::InMemoryStore;
use brainy_testkit::ManualClock;

use super::*;
use crate::environment::Environment;
use crate::log::{ChangeLog, LogOptions};
use crate::machine::NullMachine;
use crate::make::{NewStore, create_store};
use crate::token::OpId;

/// Asks the handle, in the very moment in which a name comes, what is in play.
struct Curious {
    log: ChangeLog<NullMachine>,
    found: Mutex<Vec<OpId>>,
}

impl Wake for Curious {
    fn wake(self: Arc<Self>) {
        self.found.lock().unwrap().extend(self.log.shared().ledger.undecided());
    }
}

#[test]
fn whoever_learns_a_name_finds_it_in_play() {
    let clock = ManualClock::new();
    let mut environment = Environment::new(Arc::new(InMemoryStore::new()));
    environment.clock = Arc::new(clock.clone());
    let far = Moment::after_origin(Duration::from_secs(600));
    let log = clock.run(async {
        create_store(&environment, &NewStore::new(vec![]), far).await.unwrap();
        ChangeLog::open(environment.clone(), Arc::new(NullMachine), LogOptions::default(), far).await.unwrap()
    });
    let mut pending = log.submit(&Transaction::payload("x"), far).unwrap();
    let curious = Arc::new(Curious { log: log.clone(), found: Mutex::default() });
    let waker = Waker::from(Arc::clone(&curious));
    {
        let mut name = Box::pin(pending.op_id());
        assert!(name.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let stop = async {
            brainy_core::Clock::sleep(&clock, Duration::from_secs(1)).await;
            log.stop("done");
        };
        drop(clock.run(futures_util::future::join(log.run(), stop)));
    }
    let name = clock.run(pending.op_id()).unwrap();
    assert_eq!(*curious.found.lock().unwrap(), [name]);
}
