//! A lost reply is never called a conflict, nor the reverse.

use std::sync::Arc;
use std::time::Duration;

use brainy_core::{Clock, ErrorKind, Moment, SeededEntropy};
use brainy_storage::conditional::{self, Created, Swapped, create, swap};
use brainy_storage::{Get, GetOptions, Outcome, Precondition, Prefix, Revision, Store, StoreError};
use brainy_testkit::{Fault, FaultStore, Faults};
use bytes::Bytes;
use futures_executor::block_on;
use futures_util::future::join_all;

use crate::support::{Counter, LeapClock, Recorder, key};

struct World {
    recorder: Arc<Recorder>,
    store: FaultStore,
    clock: LeapClock,
    entropy: SeededEntropy,
}

impl World {
    fn scripted(script: &[Fault]) -> Self {
        let recorder = Arc::new(Recorder::default());
        let store = FaultStore::scripted(Arc::<Recorder>::clone(&recorder), script.iter().copied());
        Self { recorder, store, clock: LeapClock::default(), entropy: SeededEntropy::new(1) }
    }

    fn deadline(&self) -> Moment {
        self.clock.now().after(Duration::from_secs(10))
    }

    /// Puts an object there without any fault and without counting.
    fn place(&self, name: &str, body: impl Into<Bytes>) -> Revision {
        match block_on(self.recorder.store.put(&key(name), body.into(), Precondition::None)).unwrap().value {
            Outcome::Committed(revision) => revision,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn create(&self) -> Result<Created, StoreError> {
        let deadline = self.deadline();
        block_on(create(&self.store, &self.clock, &self.entropy, &key("slot"), Bytes::from("ours"), deadline)).map(|answer| answer.value)
    }

    /// A swap of `expected` by a body with mark `ours`.
    fn swap(&self, expected: Revision) -> Result<Swapped, StoreError> {
        let standing = |bytes: &[u8]| Counter::standing(bytes, "ours");
        let (body, deadline) = (Counter::default().raised("ours").encode(), self.deadline());
        block_on(swap(&self.store, &self.clock, &self.entropy, &key("head"), body, expected, &standing, deadline))
            .map(|answer| answer.value)
    }
}

const NEVER: &[Fault] = &[Fault::LostBefore; 200];

#[test]
fn a_create_ends_as_what_became_of_it() {
    let cases: &[(&[Fault], u64)] = &[
        (&[], 1),
        (&[Fault::LostAfter], 2),
        (&[Fault::LostBefore], 3),
        (&[Fault::Refused], 2),
        (&[Fault::Late(1)], 2),
        (&[Fault::Late(2)], 4),
        (&[Fault::Repeated], 2),
        (&[Fault::Refused, Fault::LostAfter, Fault::LostAfter], 4),
        (&[Fault::LostBefore, Fault::Refused, Fault::LostAfter, Fault::Refused, Fault::None], 6),
    ];
    for (script, requests) in cases {
        let world = World::scripted(script);
        let created = world.create().unwrap();
        assert!(matches!(created, Created::Committed(_)), "{script:?} {created:?}");
        block_on(world.store.land());
        assert_eq!(world.recorder.writes(), 1, "{script:?}");
        assert_eq!(world.store.requests(), *requests, "{script:?}");
    }
}

#[test]
fn a_create_that_lost_is_told_who_won_whatever_was_lost_on_the_way() {
    for script in
        [&[][..], &[Fault::LostAfter], &[Fault::LostBefore], &[Fault::Late(1)], &[Fault::Late(9)], &[Fault::Repeated], &[Fault::Refused]]
    {
        let world = World::scripted(script);
        world.place("slot", "theirs");
        let created = world.create().unwrap();
        assert!(matches!(&created, Created::Rejected(winner) if winner.bytes == "theirs"), "{script:?} {created:?}");
        block_on(world.store.land());
        assert!(!world.recorder.wrote(&key("slot"), b"ours"), "{script:?}");
    }
}

#[test]
fn a_create_without_reply_is_unknown_at_its_deadline_and_one_never_accepted_is_an_error() {
    let world = World::scripted(NEVER);
    let created = world.create().unwrap();
    assert!(matches!(created, Created::Unknown(_)), "{created:?}");
    assert!(world.clock.now() < world.deadline(), "no pause after the last attempt");

    let world = World::scripted(&[Fault::Refused; 200]);
    let started = world.clock.now();
    let error = world.create().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(world.clock.now() < started.after(Duration::from_secs(10)), "no pause after the last attempt");
    assert!(world.store.requests() > 4, "{}", world.store.requests());
    assert_eq!(world.recorder.writes(), 0);

    // Doubt does not go away because later requests are refused.
    let world = World::scripted(&[&[Fault::Late(1_000)][..], &[Fault::Refused; 200]].concat());
    let created = world.create().unwrap();
    assert!(matches!(created, Created::Unknown(_)), "{created:?}");
    block_on(world.store.land());
    assert_eq!(world.recorder.writes(), 1);

    // Nor because the reading back was answered before they were.
    let script = [&[Fault::Late(1_000), Fault::None][..], &[Fault::Refused; 200]].concat();
    let created = World::scripted(&script).create().unwrap();
    assert!(matches!(created, Created::Unknown(_)), "{created:?}");
    let world = World::scripted(&script);
    let expected = world.place("head", Counter::default().encode());
    let swapped = world.swap(expected).unwrap();
    assert!(matches!(swapped, Swapped::Unknown(_)), "{swapped:?}");
}

#[test]
fn nothing_is_sent_after_the_deadline() {
    let world = World::scripted(&[]);
    let late = world.clock.now();
    let error = block_on(create(&world.store, &world.clock, &world.entropy, &key("slot"), Bytes::new(), late)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        block_on(conditional::read(&world.store, &world.clock, &world.entropy, &key("slot"), GetOptions::whole(), late))
            .unwrap_err()
            .kind(),
        ErrorKind::Unavailable
    );
    assert_eq!(world.store.requests(), 0);
}

#[test]
fn a_swap_ends_as_what_became_of_it() {
    let cases: &[(&[Fault], u64)] = &[
        (&[], 1),
        (&[Fault::LostAfter], 2),
        (&[Fault::LostBefore], 3),
        (&[Fault::Refused], 2),
        (&[Fault::Late(1)], 2),
        (&[Fault::Late(2)], 4),
        (&[Fault::LostAfter, Fault::Refused, Fault::None], 3),
        (&[Fault::Repeated], 2),
    ];
    for (script, requests) in cases {
        let world = World::scripted(script);
        let expected = world.place("head", Counter::default().encode());
        let swapped = world.swap(expected).unwrap();
        assert!(matches!(swapped, Swapped::Committed(_)), "{script:?} {swapped:?}");
        block_on(world.store.land());
        assert_eq!(world.recorder.writes(), 1, "{script:?}");
        assert_eq!(world.store.requests(), *requests, "{script:?}");
    }
}

#[test]
fn a_swap_is_rejected_only_by_the_refusal_of_its_only_request() {
    let world = World::scripted(&[]);
    let stale = world.place("head", Counter::default().encode());
    world.place("head", Counter::default().raised("theirs").encode());
    let swapped = world.swap(stale.clone()).unwrap();
    assert!(matches!(swapped, Swapped::Rejected), "{swapped:?}");
    assert_eq!(world.store.requests(), 2);
    // Nothing there: somebody deleted it, and nobody makes it anew.
    block_on(world.recorder.store.delete(&key("head"))).unwrap();
    let swapped = world.swap(stale.clone()).unwrap();
    assert!(matches!(swapped, Swapped::Rejected), "{swapped:?}");

    for script in [&[Fault::LostBefore][..], &[Fault::LostAfter], &[Fault::Refused], &[Fault::Late(3)], &[Fault::Refused, Fault::Repeated]]
    {
        let world = World::scripted(script);
        let stale = world.place("head", Counter::default().encode());
        world.place("head", Counter::default().raised("theirs").encode());
        let swapped = world.swap(stale).unwrap();
        assert!(matches!(swapped, Swapped::Unknown(_)), "{script:?} {swapped:?}");
    }
}

#[test]
fn a_swap_that_was_overwritten_meanwhile_finds_itself_among_the_marks() {
    for (theirs, superseded) in
        [(Counter::default().raised("ours").raised("theirs"), true), (Counter::default().raised("others").raised("theirs"), false)]
    {
        // Their write is on its way and lands between our request, whose reply is lost, and our reading back.
        let world = World::scripted(&[Fault::Late(2), Fault::LostAfter]);
        let expected = world.place("head", Counter::default().encode());
        block_on(world.store.put(&key("head"), theirs.encode(), Precondition::None)).unwrap();
        let swapped = world.swap(expected).unwrap();
        assert!(world.recorder.wrote(&key("head"), &Counter::default().raised("ours").encode()));
        match swapped {
            Swapped::Superseded => assert!(superseded),
            Swapped::Unknown(_) => assert!(!superseded),
            other => panic!("{other:?}"),
        }
    }
}

/// Several writers, each request failing in any way: what they are told is compared with what ever took effect.
fn check_claims(seed: u64) {
    let recorder = Arc::new(Recorder::default());
    let store = FaultStore::seeded(Arc::<Recorder>::clone(&recorder), seed, Faults::all(400));
    let (clock, entropy) = (LeapClock::default(), SeededEntropy::new(seed));
    let head = key("head");
    block_on(recorder.store.put(&head, Counter::default().encode(), Precondition::None)).unwrap();
    let claims = block_on(join_all((0..4).map(|writer| {
        let (store, clock, entropy, head, recorder) = (&store, &clock, &entropy, &head, &recorder);
        async move {
            let mut claims = Vec::new();
            for round in 0..12 {
                let deadline = clock.now().after(Duration::from_millis(1_500));
                let mark = format!("w{writer}r{round}");
                // The read is without fault: what is under test is the write.
                let Get::Found(found) = recorder.store.get(head, GetOptions::whole()).await.unwrap().value else { panic!("never deleted") };
                clock.sleep(Duration::from_millis(1)).await;
                let body = Counter::decode(&found.bytes).raised(&mark).encode();
                let standing = |bytes: &[u8]| Counter::standing(bytes, &mark);
                let swapped = swap(store, clock, entropy, head, body.clone(), found.revision, &standing, deadline).await;
                let claim = match swapped.map(|answer| answer.value) {
                    Ok(Swapped::Committed(_) | Swapped::Superseded) => Some(true),
                    Ok(Swapped::Rejected) | Err(_) => Some(false),
                    Ok(Swapped::Unknown(_)) => None,
                };
                claims.push((head.clone(), body, claim));
                let slot = key(format!("slot/{round}"));
                let deadline = clock.now().after(Duration::from_millis(1_500));
                let body = Bytes::from(mark);
                let claim = match create(store, clock, entropy, &slot, body.clone(), deadline).await.map(|answer| answer.value) {
                    Ok(Created::Committed(_)) => Some(true),
                    Ok(Created::Rejected(_)) | Err(_) => Some(false),
                    Ok(Created::Unknown(_)) => None,
                };
                claims.push((slot, body, claim));
            }
            claims
        }
    })));
    store.set_faults(Faults::default());
    block_on(store.land());
    let claims = claims.concat();
    for (key, body, claim) in &claims {
        if let Some(claimed) = claim {
            assert_eq!(recorder.wrote(key, body), *claimed, "seed {seed}: {key} {body:?}");
        }
    }
    let sure = claims.iter().filter(|(_, _, claim)| claim.is_some()).count();
    assert!(sure * 2 > claims.len(), "seed {seed}: only {sure} of {} outcomes were found out", claims.len());
    assert!(store.injected() > 50, "seed {seed}: {store:?}");
}

#[test]
fn whatever_is_lost_what_a_writer_is_told_is_what_happened() {
    for seed in 0..300 {
        check_claims(seed);
    }
}

#[test]
fn reads_lists_and_deletions_are_asked_again_until_the_store_answers() {
    let world = World::scripted(&[]);
    let (clock, entropy, store) = (&world.clock, &world.entropy, &world.store);
    let again = [Fault::Refused, Fault::LostAfter, Fault::LostBefore];
    let name = key("blob/1");
    store.script(again);
    block_on(conditional::write(store, clock, entropy, &name, Bytes::from("body"), world.deadline())).unwrap();
    store.script(again);
    let found = block_on(conditional::read(store, clock, entropy, &name, GetOptions::whole(), world.deadline())).unwrap().value;
    assert!(matches!(found, Get::Found(object) if object.bytes == "body"));
    store.script(again);
    let limit = std::num::NonZeroUsize::new(5).unwrap();
    let listed = block_on(conditional::list(store, clock, entropy, &Prefix::root(), None, limit, world.deadline())).unwrap().value;
    assert_eq!(listed.entries.len(), 1);
    store.script(again);
    block_on(conditional::delete(store, clock, entropy, &[name.clone(), key("blob/2")], world.deadline())).unwrap();
    assert_eq!(block_on(world.recorder.store.get(&name, GetOptions::whole())).unwrap().value, Get::Absent);
    assert_eq!(store.requests(), 16);
    store.script([Fault::Refused; 200]);
    let error = block_on(conditional::read(store, clock, entropy, &name, GetOptions::whole(), world.deadline())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn a_request_that_is_wrong_is_not_sent_again() {
    let world = World::scripted(&[]);
    world.place("object", "12345");
    let name = key("object");
    let read = conditional::read(&world.store, &world.clock, &world.entropy, &name, GetOptions::range(9..10), world.deadline());
    assert_eq!(block_on(read).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(world.store.requests(), 1);
}

#[test]
fn an_answer_carries_the_time_of_the_reply_that_decided() {
    let clock = Arc::new(LeapClock::default());
    let store = brainy_storage::InMemoryStore::new().with_store_clock(Arc::<LeapClock>::clone(&clock));
    let entropy = SeededEntropy::new(1);
    let deadline = clock.now().after(Duration::from_secs(9));
    block_on(clock.sleep(Duration::from_secs(3)));
    let created = block_on(create(&store, &*clock, &entropy, &key("slot"), Bytes::from("ours"), deadline)).unwrap();
    assert_eq!(created.at.map(|at| at.as_ms()), Some(clock.wall_ms()));
}
