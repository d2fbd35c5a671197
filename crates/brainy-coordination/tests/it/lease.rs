//! Leases as their users see them. Each way to get a lease wrong is a test here:
//!
//! | what goes wrong | test |
//! | --- | --- |
//! | wall clocks are compared | `k3_an_owner_whose_wall_clock_is_wrong_keeps_its_lease_and_a_waiter_s_gains_nothing` |
//! | the holder counts its life from the reply | `a_holder_counts_its_life_from_before_it_sent` |
//! | a waiter counts from when the object was last modified | `a_waiter_counts_from_its_own_first_sight` |
//! | release deletes the object | `a_release_overwrites_and_the_token_goes_on` |
//! | bodies without a nonce: a late release frees a later state | `a_release_that_lands_late_frees_nothing_that_was_renewed_since` |
//! | a renewal whose reply was lost is taken for a lost lease, or the reverse | `a_renewal_whose_reply_was_lost_keeps_the_lease`, `a_renewal_without_an_answer_extends_nothing` |
//! | a request may take longer than the lease lives | `a_request_that_never_answers_does_not_cost_the_lease` |
//! | clocks stand still while a machine is suspended | `a_suspended_holder_believes_on_and_its_writes_are_fenced` |
//! | renewal waits behind other work | `renewals_need_nothing_of_whoever_works` |
//! | everybody comes at once when a lease ends | `waiters_do_not_all_come_at_once` |
//! | a 409 is taken for a holder | `a_conflict_without_a_rival_is_no_holder` |
//! | the bucket's own rules delete the object | `a_lease_that_vanished_stops_everybody_until_it_is_made_anew` |
//! | revisions are computed, not echoed | every test here: the store's revisions are veiled |
//! | another bucket's copy is taken for the lease | `a_lease_of_another_store_is_refused` |
//! | the token lives in the holder's memory only, or in the object only | `a_dead_holders_token_is_outdone`, `a_restored_lease_gets_a_token_above_every_claim` |
//! | a holder believes until the reply to its release | `a_holder_stops_believing_before_its_release_is_sent` |
//! | the holder's life and the waiter's are equally long | `lease::decide::tests::a_holder_stops_before_an_observer_may_begin_whatever_their_clocks`, in the crate |
//! | the holder acts before its claim counts | `nothing_is_held_before_the_claim_is_effective` |
//!
//! `k1` to `k8` are the holes of the locks that these replace.

use std::collections::BTreeSet;
use std::time::Duration;

use brainy_coordination::{Error, Lock, LockOptions, Loss, Outcome, ProtocolOperation, Transaction};
use brainy_core::{Clock, ErrorKind};
use brainy_storage::{Get, GetOptions, Key, Precondition, Store};
use futures_util::future::join_all;

use crate::hosts::{Host, TTL, Trouble, World};
use crate::register::{Change, Register};

const NAME: &str = "job";

fn key() -> Key {
    Key::new(format!("lease/{NAME}")).unwrap()
}

/// The lease's bytes, without anybody's noticing.
async fn bytes(world: &World) -> Option<bytes::Bytes> {
    match world.store.get(&key(), GetOptions::whole()).await.unwrap().value {
        Get::Found(object) => Some(object.bytes),
        _ => None,
    }
}

async fn overwrite(world: &World, bytes: bytes::Bytes) {
    drop(world.store.put(&key(), bytes, Precondition::None).await.unwrap());
}

fn set(value: i64) -> Transaction {
    Change::Add("register".into(), value).transaction(u64::try_from(value).unwrap())
}

async fn register(host: &Host) -> i64 {
    host.log.refresh(host.within(60)).await.unwrap();
    host.log.machine().get("register")
}

/// Longer than a waiter has to watch.
fn a_whole_life() -> Duration {
    TTL + TTL / 100 + Duration::from_secs(2)
}

#[test]
fn k1_of_four_contenders_one_holds() {
    let world = World::new();
    world.run(async {
        let hosts = join_all((0..4).map(|_| world.host())).await;
        let locks: Vec<_> = hosts.iter().map(|host| host.lock(NAME)).collect();
        let got = join_all(locks.iter().zip(&hosts).map(|(lock, host)| lock.try_acquire(host.within(30)))).await;
        let guards: Vec<_> = got.iter().flatten().collect();
        assert_eq!(guards.len(), 1, "{got:?}");
        assert_eq!(guards[0].token(), 1);
        for refused in got.iter().filter_map(|got| got.as_ref().err()) {
            assert!(matches!(refused, Error::LeaseTaken { token: 1, note, .. } if note == "a test"), "{refused}");
            assert_eq!(refused.kind(), ErrorKind::Conflict);
        }
    });
}

#[test]
fn k2_a_holder_that_stalled_past_its_life_writes_nothing() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let (lock_a, lock_b) = (a.lock(NAME), b.lock(NAME));
        let old = lock_a.try_acquire(a.within(30)).await.unwrap();
        assert!(matches!(lock_a.commit(&old, set(1), a.within(30)).await, Ok(Outcome::Committed(_))));
        // It checks, then stalls; what it was about to write goes out afterwards.
        old.check().unwrap();
        let late = set(100).with_fence(old.fence());
        a.stop(true);
        let new = lock_b.acquire(b.within(60)).await.unwrap();
        assert_eq!(new.token(), 2);
        assert!(matches!(lock_b.commit(&new, set(10), b.within(30)).await, Ok(Outcome::Committed(_))));
        a.stop(false);
        let outcome = a.log.submit(&late, a.within(30)).unwrap().outcome().await.unwrap();
        assert!(matches!(outcome, Outcome::Rejected(_)), "INV-24: {outcome:?}");
        let refused = lock_a.commit(&old, set(1_000), a.within(30)).await.unwrap_err();
        assert!(matches!(refused, Error::LeaseLost { token: 1, loss: Loss::Lapsed, .. }), "{refused}");
        assert!(refused.to_string().contains("nothing was sent"), "{refused}");
        assert_eq!(refused.kind(), ErrorKind::Fenced);
        assert_eq!((register(&a).await, register(&b).await), (11, 11));
        new.release(b.within(30)).await.unwrap();
    });
}

#[test]
fn k3_an_owner_whose_wall_clock_is_wrong_keeps_its_lease_and_a_waiter_s_gains_nothing() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        a.clock.set_wall_clock_wrong_by_ms(-60_000);
        let guard = a.lock(NAME).try_acquire(a.within(30)).await.unwrap();
        for wrong in [0, 3_600_000, -3_600_000] {
            b.clock.set_wall_clock_wrong_by_ms(wrong);
            world.sleep(TTL / 2).await;
            let refused = b.lock(NAME).try_acquire(b.within(30)).await.unwrap_err();
            assert!(matches!(refused, Error::LeaseTaken { token: 1, .. }), "{refused}");
            assert!(refused.to_string().ends_with("nothing is held here"), "{refused}");
        }
        assert!(guard.is_held());
        assert!(matches!(b.lock(NAME).acquire(b.within(60)).await, Err(Error::LeaseTaken { .. })), "it is renewed for a minute");
    });
}

#[test]
fn k4_a_release_never_frees_another_owners_lease() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let old = a.lock(NAME).try_acquire(a.within(30)).await.unwrap();
        a.stop(true);
        let new = b.lock(NAME).acquire(b.within(60)).await.unwrap();
        a.stop(false);
        let there = bytes(&world).await;
        old.release(a.within(30)).await.unwrap();
        assert_eq!(bytes(&world).await, there);
        assert!(new.is_held());
        assert!(matches!(a.lock(NAME).try_acquire(a.within(30)).await, Err(Error::LeaseTaken { token: 2, .. })));
    });
}

#[test]
fn k5_whoever_released_takes_it_again_at_once() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let lock = host.lock(NAME);
        for token in 1..=3 {
            let guard = lock.try_acquire(host.within(30)).await.unwrap();
            assert_eq!(guard.token(), token);
            guard.release(host.within(30)).await.unwrap();
        }
        assert_eq!(world.clock.now().since_origin(), Duration::ZERO, "without waiting for anything");
    });
}

#[test]
fn k6_a_dead_holders_lease_is_taken_after_its_life_and_bytes_that_nobody_can_read_are_never_free() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let guard = a.lock(NAME).try_acquire(a.within(30)).await.unwrap();
        a.kill();
        let lock = b.lock(NAME);
        let began = world.clock.now();
        let new = lock.acquire(b.within(60)).await.unwrap();
        let waited = world.clock.now().since(began);
        assert!(waited >= TTL + TTL / 100 && waited <= a_whole_life(), "{waited:?}");
        assert_eq!(guard.lost().await, Loss::Unattended, "and its guard holds nothing");
        new.release(b.within(30)).await.unwrap();
        overwrite(&world, "cut off".into()).await;
        world.sleep(10 * TTL).await;
        for _ in 0..2 {
            let refused = lock.try_acquire(b.within(30)).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
            assert!(refused.to_string().contains("lease/job"), "{refused}");
            world.sleep(10 * TTL).await;
        }
        assert_eq!(bytes(&world).await.unwrap(), "cut off");
    });
}

#[test]
fn k7_any_transaction_can_be_guarded_under_any_name_each_apart() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let locks = ["statistics", "index", "metadata"].map(|name| (a.lock(name), b.lock(name)));
        for (ours, theirs) in &locks {
            let guard = ours.try_acquire(a.within(30)).await.unwrap();
            assert!(matches!(ours.commit(&guard, set(1), a.within(30)).await.unwrap(), Outcome::Committed(_)));
            assert!(matches!(theirs.try_acquire(b.within(30)).await, Err(Error::LeaseTaken { .. })));
            guard.release(a.within(30)).await.unwrap();
            let next = theirs.try_acquire(b.within(30)).await.unwrap();
            assert_eq!(next.token(), 2, "{} has tokens of its own", theirs.name());
            next.release(b.within(30)).await.unwrap();
        }
        for wrong in ["", "a b", "A", "a/b", "..", "é", &"x".repeat(65)] {
            let options = LockOptions::default();
            let refused = Lock::open(&a.log, a.spawn(), wrong, options).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{wrong}");
        }
        for wrong in [
            LockOptions::default().with_ttl(Duration::ZERO),
            LockOptions::default().with_poll(Duration::ZERO),
            LockOptions::default().with_note("x".repeat(2_000)),
        ] {
            assert!(matches!(Lock::<Register>::open(&a.log, a.spawn(), NAME, wrong), Err(Error::Option { .. })));
        }
    });
}

#[test]
fn k8_a_guard_ends_without_touching_a_later_turn_of_the_same_process() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let lock = host.lock(NAME);
        let old = lock.try_acquire(host.within(30)).await.unwrap();
        // Its renewal stands still past its life; the process takes the lock anew.
        host.renewals.stop(true);
        world.sleep(a_whole_life()).await;
        host.renewals.stop(false);
        assert!(!old.is_held());
        let new = lock.acquire(host.within(60)).await.unwrap();
        drop(old);
        world.sleep(3 * TTL).await;
        assert!(new.is_held());
        let holder = lock.holder(host.within(30)).await.unwrap().unwrap();
        assert_eq!((holder.token, holder.id), (new.token(), lock.id()));
        // A dropped guard frees it, and no timer of it is left.
        drop(new);
        world.sleep(Duration::from_millis(1)).await;
        assert_eq!(lock.holder(host.within(30)).await.unwrap(), None);
        host.way.seen.lock().unwrap().clear();
        world.sleep(3 * TTL).await;
        assert!(host.way.seen.lock().unwrap().is_empty());
    });
}

#[test]
fn a_holder_counts_its_life_from_before_it_sent() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        // The reply to its first write takes most of its life, and no renewal gets through.
        host.way.puts.lock().unwrap().push(Some(Trouble::SlowReply(8_000)));
        *host.way.all.lock().unwrap() = Some(Trouble::Refuse);
        let sent = world.clock.now();
        let guard = host.lock(NAME).try_acquire(host.within(30)).await.unwrap();
        assert_eq!(world.clock.now().since(sent), Duration::from_secs(8));
        assert_eq!(guard.lost().await, Loss::Lapsed);
        assert_eq!(world.clock.now().since(sent), TTL - TTL / 100);
        assert!(matches!(guard.check(), Err(Error::LeaseLost { loss: Loss::Lapsed, .. })));
    });
}

#[test]
fn a_waiter_counts_from_its_own_first_sight() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let _dead = a.lock(NAME).try_acquire(a.within(30)).await.unwrap();
        a.kill();
        world.sleep(100 * TTL).await;
        let lock = b.lock(NAME);
        assert!(matches!(lock.try_acquire(b.within(30)).await, Err(Error::LeaseTaken { .. })), "however old the object is");
        world.sleep(TTL).await;
        let holder = lock.holder(b.within(30)).await.unwrap().unwrap();
        assert_eq!((holder.unchanged_for, holder.ttl, &*holder.note), (TTL, TTL, "a test"));
        assert!(matches!(lock.try_acquire(b.within(30)).await, Err(Error::LeaseTaken { .. })), "the other's clock may be a little slower");
        world.sleep(TTL / 100).await;
        assert_eq!(lock.try_acquire(b.within(30)).await.unwrap().token(), 2);
    });
}

#[test]
fn a_release_overwrites_and_the_token_goes_on() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        for token in 1..=4 {
            let host = if token % 2 == 0 { &a } else { &b };
            let guard = host.lock(NAME).try_acquire(host.within(30)).await.unwrap();
            assert_eq!(guard.token(), token);
            if token == 4 {
                drop(guard);
                world.sleep(Duration::from_millis(1)).await;
            } else {
                guard.release(host.within(30)).await.unwrap();
            }
            assert!(bytes(&world).await.is_some(), "it is never deleted");
        }
        assert!([&a, &b].iter().all(|host| host.way.seen.lock().unwrap().iter().all(|(_, what)| *what != "delete")));
    });
}

#[test]
fn a_release_that_lands_late_frees_nothing_that_was_renewed_since() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let lock = a.lock(NAME);
        let guard = lock.try_acquire(a.within(30)).await.unwrap();
        // The process gives up on its release, which is still on its way, and takes the lock again.
        a.way.puts.lock().unwrap().push(Some(Trouble::Late(4_000)));
        let unknown = guard.release(a.within(1)).await.unwrap_err();
        assert!(matches!(unknown, Error::LeaseUnknown { token: 1, .. }), "{unknown}");
        assert_eq!(unknown.kind(), ErrorKind::OutcomeUnknown);
        let again = lock.acquire(a.within(60)).await.unwrap();
        world.sleep(2 * TTL).await;
        assert!(again.is_held());
        assert!(matches!(b.lock(NAME).try_acquire(b.within(30)).await, Err(Error::LeaseTaken { .. })));
    });
}

#[test]
fn a_renewal_whose_reply_was_lost_keeps_the_lease() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let guard = a.lock(NAME).try_acquire(a.within(30)).await.unwrap();
        *a.way.all.lock().unwrap() = Some(Trouble::LostReply);
        world.sleep(10 * TTL).await;
        assert!(guard.is_held());
        assert!(matches!(b.lock(NAME).try_acquire(b.within(30)).await, Err(Error::LeaseTaken { token: 1, .. })));
        // One that lands after its successor was sent is no thief either.
        *a.way.all.lock().unwrap() = None;
        a.way.puts.lock().unwrap().push(Some(Trouble::Late(3_100)));
        world.sleep(3 * TTL).await;
        assert!(guard.is_held());
    });
}

#[test]
fn a_renewal_without_an_answer_extends_nothing() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let sent = world.clock.now();
        let guard = host.lock(NAME).try_acquire(host.within(30)).await.unwrap();
        *host.way.all.lock().unwrap() = Some(Trouble::Conflict);
        assert_eq!(guard.lost().await, Loss::Lapsed);
        assert_eq!(world.clock.now().since(sent), TTL - TTL / 100);
        assert!(host.way.seen.lock().unwrap().iter().filter(|(_, what)| *what == "put").count() >= 3, "it did try");
    });
}

#[test]
fn a_request_that_never_answers_does_not_cost_the_lease() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let guard = host.lock(NAME).try_acquire(host.within(30)).await.unwrap();
        host.way.puts.lock().unwrap().push(Some(Trouble::Hang));
        world.sleep(5 * TTL).await;
        assert!(guard.is_held());
    });
}

#[test]
fn a_suspended_holder_believes_on_and_its_writes_are_fenced() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let (lock_a, lock_b) = (a.lock(NAME), b.lock(NAME));
        let old = lock_a.try_acquire(a.within(30)).await.unwrap();
        a.clock.freeze();
        a.stop(true);
        let new = lock_b.acquire(b.within(60)).await.unwrap();
        a.clock.thaw();
        assert!(old.is_held(), "its clock stood still with it: this is why no effect may rest on it");
        a.work.stop(false);
        let refused = lock_a.commit(&old, set(100), a.within(30)).await.unwrap_err();
        assert!(matches!(refused, Error::Fenced { token: 1, .. }), "{refused}");
        assert_eq!(refused.kind(), ErrorKind::Fenced);
        assert_eq!(register(&b).await, 0);
        a.renewals.stop(false);
        assert_eq!(old.lost().await, Loss::Taken, "its next renewal tells it");
        assert!(new.is_held());
    });
}

#[test]
fn renewals_need_nothing_of_whoever_works() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let guard = host.lock(NAME).try_acquire(host.within(30)).await.unwrap();
        host.work.stop(true);
        world.sleep(10 * TTL).await;
        assert!(guard.is_held());
    });
}

#[test]
fn waiters_do_not_all_come_at_once() {
    let world = World::new();
    world.run(async {
        let dead = world.host().await;
        let _guard = dead.lock(NAME).try_acquire(dead.within(30)).await.unwrap();
        dead.kill();
        let hosts = join_all((0..16).map(|_| world.host())).await;
        let waiting = hosts.iter().map(|host| async move { host.lock(NAME).acquire(host.within(11)).await });
        let got: Vec<_> = join_all(waiting).await.into_iter().flatten().collect();
        assert_eq!(got.len(), 1);
        let end = TTL + TTL / 100;
        let puts = |what: &'static str| -> BTreeSet<Duration> {
            let seen = hosts.iter().flat_map(|host| host.way.seen.lock().unwrap().clone());
            seen.filter(|(at, kind)| *kind == what && (end..end + Duration::from_secs(1)).contains(at)).map(|(at, _)| at).collect()
        };
        assert!(puts("get").len() >= 12, "they come one by one: {:?}", puts("get"));
        assert!(puts("put").len() < 4, "and most find it taken: {:?}", puts("put"));
    });
}

#[test]
fn a_conflict_without_a_rival_is_no_holder() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        host.way.puts.lock().unwrap().extend([Some(Trouble::Conflict), Some(Trouble::Conflict)]);
        let guard = host.lock(NAME).try_acquire(host.within(30)).await.unwrap();
        host.way.puts.lock().unwrap().extend([Some(Trouble::Conflict), Some(Trouble::Conflict)]);
        world.sleep(2 * TTL).await;
        assert!(guard.is_held());
        host.way.puts.lock().unwrap().extend([Some(Trouble::Conflict), Some(Trouble::LostReply)]);
        guard.release(host.within(30)).await.unwrap();
        assert_eq!(host.lock(NAME).holder(host.within(30)).await.unwrap(), None);
    });
}

#[test]
fn a_lease_that_vanished_stops_everybody_until_it_is_made_anew() {
    let world = World::new();
    world.run(async {
        let (a, b, newcomer) = (world.host().await, world.host().await, world.host().await);
        let guard = a.lock(NAME).try_acquire(a.within(30)).await.unwrap();
        world.store.delete(&key()).await.unwrap();
        assert_eq!(guard.lost().await, Loss::Vanished);
        for host in [&a, &b, &newcomer] {
            let refused = host.lock(NAME).acquire(host.within(60)).await.unwrap_err();
            assert!(matches!(refused, Error::LeaseVanished { .. }), "INV-22: {refused}");
            assert_eq!(refused.kind(), ErrorKind::Corrupt);
        }
        assert_eq!(bytes(&world).await, None);
        b.lock(NAME).remake(b.within(30)).await.unwrap();
        assert!(matches!(b.lock(NAME).remake(b.within(30)).await, Err(Error::LeaseTaken { .. })));
        let next = newcomer.lock(NAME).try_acquire(newcomer.within(30)).await.unwrap();
        assert_eq!(next.token(), 2, "INV-21: the log remembers");
    });
}

#[test]
fn a_lease_of_another_store_is_refused() {
    let (world, other) = (World::new(), World::new());
    let copied = other.run(async {
        let host = other.host().await;
        // Its entropy must not make it the same store.
        drop(host.lock(NAME).try_acquire(host.within(30)).await.unwrap());
        let mut copied = bytes(&other).await.unwrap().to_vec();
        // The store's id is the first field behind the envelope; the checksum is made anew.
        copied[30] ^= 1;
        brainy_core::codec::seal(brainy_core::codec::ObjectKind::Lease, &copied[brainy_core::codec::ENVELOPE_BYTES..])
    });
    world.run(async {
        let host = world.host().await;
        overwrite(&world, copied.into()).await;
        let refused = host.lock(NAME).try_acquire(host.within(30)).await.unwrap_err();
        assert!(matches!(refused, Error::ForeignObject { .. }), "{refused}");
    });
}

#[test]
fn a_dead_holders_token_is_outdone() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let lock = a.lock(NAME);
        let guard = lock.try_acquire(a.within(30)).await.unwrap();
        let sent = set(1).with_fence(guard.fence());
        a.kill();
        let new = b.lock(NAME).acquire(b.within(60)).await.unwrap();
        assert!(new.token() > guard.token());
        let outcome = b.log.submit(&sent, b.within(30)).unwrap().outcome().await.unwrap();
        assert!(matches!(outcome, Outcome::Rejected(_)), "what a dead holder left on its way is fenced: {outcome:?}");
    });
}

#[test]
fn a_restored_lease_gets_a_token_above_every_claim() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let lock = host.lock(NAME);
        lock.try_acquire(host.within(30)).await.unwrap().release(host.within(30)).await.unwrap();
        let old = bytes(&world).await.unwrap();
        for token in 2..=9 {
            let guard = lock.try_acquire(host.within(30)).await.unwrap();
            assert_eq!(guard.token(), token);
            guard.release(host.within(30)).await.unwrap();
        }
        overwrite(&world, old).await;
        let other = world.host().await;
        let before = other.log.position().seq;
        assert_eq!(other.lock(NAME).try_acquire(other.within(30)).await.unwrap().token(), 10, "INV-21");
        assert_eq!(other.log.position().seq, before + 1, "at the first claim");
    });
}

#[test]
fn a_holder_stops_believing_before_its_release_is_sent() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        let guard = a.lock(NAME).try_acquire(a.within(30)).await.unwrap();
        let lost = guard.lost();
        a.way.puts.lock().unwrap().push(Some(Trouble::SlowReply(2_000)));
        let release = async {
            let began = world.clock.now();
            guard.release(a.within(30)).await.unwrap();
            world.clock.now().since(began)
        };
        let rival = async {
            assert_eq!(lost.await, Loss::Released);
            assert_eq!(world.clock.now().since_origin(), Duration::ZERO, "at once");
            world.sleep(Duration::from_secs(1)).await;
            b.lock(NAME).try_acquire(b.within(30)).await.unwrap().token()
        };
        let (took, token) = futures_util::future::join(release, rival).await;
        assert_eq!((took, token), (Duration::from_secs(2), 2));
    });
}

#[test]
fn nothing_is_held_before_the_claim_is_effective() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        // The claim cannot be sent: whoever drives the log stands still.
        a.work.stop(true);
        let refused = a.lock(NAME).try_acquire(a.within(5)).await.unwrap_err();
        assert!(matches!(refused, Error::Deadline { .. }), "INV-24: {refused}");
        world.sleep(Duration::from_millis(1)).await;
        assert_eq!(b.lock(NAME).holder(b.within(30)).await.unwrap(), None, "and the lease is free again");
        // A claim that a higher one overtook is no claim: the next token is.
        let claim = Transaction::protocol(ProtocolOperation::LeaseClaim { name: NAME.into(), token: 40 });
        assert!(matches!(b.log.submit(&claim, b.within(30)).unwrap().outcome().await.unwrap(), Outcome::Committed(_)));
        a.work.stop(false);
        let guard = a.lock(NAME).try_acquire(a.within(30)).await.unwrap();
        assert_eq!(guard.token(), 41);
        assert_eq!(b.log.refresh(b.within(30)).await.unwrap().seq, a.log.position().seq);
        assert_eq!(b.log.highest_claim(NAME, b.within(30)).await.unwrap(), 41);
    });
}

#[test]
fn an_acquisition_that_is_dropped_half_way_frees_what_it_took() {
    let world = World::new();
    world.run(async {
        let (a, b) = (world.host().await, world.host().await);
        a.work.stop(true);
        let (lock, later) = (a.lock(NAME), a.within(1));
        assert!(brainy_core::clock::before(&a.clock, later, lock.acquire(a.within(60))).await.is_none());
        world.sleep(Duration::from_millis(1)).await;
        assert_eq!(b.lock(NAME).try_acquire(b.within(30)).await.unwrap().token(), 2);
    });
}

#[test]
fn a_read_only_handle_takes_no_lock() {
    let world = World::new();
    world.run(async {
        let host = world.host().await;
        let options = brainy_coordination::LogOptions::default().with_read_only(true);
        let log = brainy_coordination::ChangeLog::open(
            host.environment.clone(),
            std::sync::Arc::new(Register::default()),
            options,
            host.within(30),
        );
        let refused = Lock::open(&log.await.unwrap(), host.spawn(), NAME, LockOptions::default()).unwrap_err();
        assert!(matches!(refused, Error::ReadOnly), "{refused}");
    });
}
