use brainy_core::Clock;
use brainy_storage::{Get, GetOptions, Key, Outcome, Store};
use bytes::Bytes;

use super::*;
use crate::{Connect, FastStore, fast, http};

fn key() -> Key {
    Key::new("log/1").unwrap()
}

/// How one conditional create ends under `fault`, and whether the object is there when the client knows and when all is quiet.
fn create_under(fault: Option<Fault>, connect: &Connect) -> (String, bool, bool) {
    let scheduler = Scheduler::new(5);
    let wire = Wire::new(&scheduler, Latencies::S3);
    let mut left = fault;
    wire.set_script(move |_| left.take());
    let seen = Arc::new(Mutex::new(None));
    let process = {
        let (seen, wire, connect) = (Arc::clone(&seen), wire.clone(), Arc::clone(connect));
        scheduler.process("writer", move |life| {
            let (seen, wire, store) = (Arc::clone(&seen), wire.clone(), connect(&wire, life.process()));
            Box::pin(async move {
                if life.number() == 1 {
                    let put = store.put(&key(), Bytes::from_static(b"x"), Precondition::IfAbsent).await.unwrap();
                    let name = match put.value {
                        Outcome::Committed(_) => "committed",
                        Outcome::Rejected => "rejected",
                        Outcome::Unknown(_) => "unknown",
                    };
                    *seen.lock().unwrap() = Some((name.to_owned(), wire.look(|bucket| bucket.peek(&key()).is_some())));
                }
            })
        })
    };
    scheduler.start(process);
    assert_eq!(scheduler.run_for(Duration::from_secs(1_000)), End::Idle);
    let (name, there) = seen.lock().unwrap().clone().unwrap_or(("died".into(), false));
    let quiet = wire.look(|bucket| bucket.peek(&key()).is_some());
    scheduler.end();
    (name, there, quiet)
}

use crate::scheduler::End;

#[test]
fn each_fault_of_a_write_is_seen_as_a_client_would_see_it() {
    for (fault, name, there, quiet) in [
        (None, "committed", true, true),
        (Some(Fault::FailBefore), "unknown", false, false),
        (Some(Fault::LostRequest), "unknown", false, false),
        (Some(Fault::LostReply), "unknown", true, true),
        (Some(Fault::ErrorAfter), "unknown", true, true),
        (Some(Fault::ResetAfter), "unknown", true, true),
        (Some(Fault::Truncated), "unknown", true, true),
        (Some(Fault::Late), "unknown", false, true),
        (Some(Fault::Duplicate), "rejected", true, true),
        (Some(Fault::ConflictAlone), "unknown", false, false),
        (Some(Fault::SlowDown), "unknown", false, false),
        (Some(Fault::CrashBefore), "died", false, false),
        (Some(Fault::CrashDuring), "died", false, true),
        (Some(Fault::CrashAfter), "died", false, true),
        (Some(Fault::Pause), "committed", true, true),
    ] {
        for (store, connect) in [("fast", fast()), ("http", http())] {
            assert_eq!(create_under(fault, &connect), (name.to_owned(), there, quiet), "{fault:?} over the {store} store");
        }
    }
}

/// Two writers race for one key, and the request that is sent as the `meets`th one meets `fault`.
fn race_under(fault: Fault, race_for: &'static str, meets: u64) -> Vec<String> {
    let scheduler = Scheduler::new(9);
    let wire = Wire::new(&scheduler, Latencies::S3);
    wire.set_script(move |sent| (sent.number == meets).then_some(fault));
    let seen = Arc::new(Mutex::new(Vec::new()));
    for number in 0..2_u8 {
        let (seen, wire) = (Arc::clone(&seen), wire.clone());
        let process = scheduler.process("writer", move |life| {
            let (seen, wire) = (Arc::clone(&seen), wire.clone());
            Box::pin(async move {
                let store = FastStore::new(wire, life.process());
                life.clock().sleep(Duration::from_millis(u64::from(number))).await;
                let key = Key::new(race_for).unwrap();
                let put = store.put(&key, Bytes::copy_from_slice(&[number]), Precondition::IfAbsent).await.unwrap().value;
                let there = match store.get(&key, GetOptions::whole()).await.unwrap().value {
                    Get::Found(object) => object.bytes[0],
                    Get::Absent | Get::NotModified => 9,
                };
                let put = match put {
                    Outcome::Committed(_) => "committed",
                    Outcome::Rejected => "rejected",
                    Outcome::Unknown(_) => "unknown",
                };
                seen.lock().unwrap().push(format!("{number} {put}, {there} is there"));
            })
        });
        scheduler.start(process);
    }
    assert_eq!(scheduler.run_for(Duration::from_secs(100)), End::Idle);
    assert_eq!(wire.matrix().of_fault(fault), 1);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    seen
}

#[test]
fn a_rival_let_through_first_makes_a_conflict_or_a_refusal() {
    let slot = "log/00000000000000000001";
    assert_eq!(race_under(Fault::ConflictRival, slot, 2), ["0 committed, 0 is there", "1 unknown, 0 is there"]);
    assert_eq!(race_under(Fault::RefusedRival, slot, 2), ["0 committed, 0 is there", "1 rejected, 0 is there"]);
}

#[test]
fn where_rivals_are_rare_the_store_waits_for_one() {
    for key in ["ctl/head", "pin/00"] {
        assert_eq!(race_under(Fault::ConflictRival, key, 1), ["0 unknown, 1 is there", "1 committed, 1 is there"]);
        assert_eq!(race_under(Fault::RefusedRival, key, 1), ["0 rejected, 1 is there", "1 committed, 1 is there"]);
    }
}
