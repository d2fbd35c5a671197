//! Following the log by hints and without: what hints may change, and what they may cost.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use brainy_coordination::{AnyWake, Bell, ChangeLog, Constants, InProcessWake, LogOptions, Truncation, WakeSource};
use brainy_core::clock::Sleep;
use brainy_core::{Clock, Entropy, Moment, SeededEntropy, StoreId};
use brainy_storage::{InMemoryStore, Metered, Store, Usage};
use brainy_testkit::ManualClock;
use futures_util::FutureExt;
use futures_util::future::{join, join_all, join3};

use crate::driving::{add, commit, commit_alone, driven};
use crate::register::Register;
use crate::stores::{Slow, environment, fresh, made, within};

/// A source between a follower and another source, which loses, doubles, delays, reorders and invents hints.
#[derive(Debug)]
struct Unreliable {
    inner: InProcessWake,
    clock: ManualClock,
    entropy: SeededEntropy,
    state: Mutex<Late>,
}

#[derive(Default)]
struct Late {
    /// Hints on their way, in no order.
    due: Vec<Moment>,
    timer: Option<Sleep>,
}

impl std::fmt::Debug for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.due)
    }
}

impl WakeSource for Unreliable {
    fn poll_wake(&self, context: &mut Context<'_>) -> Poll<()> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let after = |seconds: f64| now.after(Duration::from_secs_f64(seconds * self.entropy.fraction()));
        while self.inner.poll_wake(context).is_ready() {
            // Lost, doubled, overtaken by later ones.
            let copies = (self.entropy.fraction() * 3.0) as usize;
            state.due.extend((0..copies).map(|_| after(if self.entropy.fraction() < 0.5 { 0.0 } else { 60.0 })));
        }
        if state.due.is_empty() && self.entropy.fraction() < 0.1 {
            state.due.push(after(10.0));
        }
        let waiting = state.due.len();
        state.due.retain(|due| *due > now);
        if state.due.len() < waiting {
            return Poll::Ready(());
        }
        state.timer = state.due.iter().min().map(|next| self.clock.sleep_until(*next));
        match &mut state.timer {
            Some(timer) => timer.as_mut().poll(context),
            None => Poll::Pending,
        }
    }

    fn moved(&self, seq: u64) {
        self.inner.moved(seq);
    }
}

async fn opened_with(store: Arc<dyn Store>, clock: &ManualClock, seed: u64, wake: Option<Arc<dyn WakeSource>>) -> ChangeLog<Register> {
    let environment = environment(store, clock, seed);
    let deadline = within(&environment, 600);
    let options = wake.into_iter().fold(LogOptions::default(), LogOptions::with_wake_source);
    ChangeLog::open(environment, Arc::new(Register::default()), options, deadline).await.unwrap()
}

/// When each slot was first seen by a follower, looked at so often.
const SAMPLE: Duration = Duration::from_millis(20);

/// Notes when `log` first shows each slot, until it is stopped.
async fn note(log: &ChangeLog<Register>, clock: &ManualClock) -> Vec<Moment> {
    let mut seen = Vec::new();
    while log.closed().is_none() {
        let now = clock.now();
        seen.resize(usize::try_from(log.position().seq).unwrap(), now);
        clock.sleep(SAMPLE).await;
    }
    seen
}

/// Longest and mean delay between the acknowledgement of a slot and a follower's seeing it, with hints as they are, with none, and with unreliable ones.
fn delays(seed: u64) -> [(Duration, Duration); 3] {
    let (memory, clock, plain) = fresh(seed);
    let slow = |number| {
        let inner: Arc<dyn Store> = Arc::new(memory.clone());
        Arc::new(Slow { inner, clock: clock.clone(), entropy: SeededEntropy::new(seed * 100 + number) })
    };
    clock.run(async {
        let store = ChangeLog::open(plain.clone(), Arc::new(Register::default()), LogOptions::default(), within(&plain, 9)).await;
        let store = store.unwrap().descriptor().store;
        let hinted: Arc<dyn WakeSource> = Arc::new(InProcessWake::of(store));
        let unreliable = Unreliable {
            inner: InProcessWake::of(store),
            clock: clock.clone(),
            entropy: SeededEntropy::new(seed ^ 0xbad),
            state: Mutex::default(),
        };
        let sources = [Some(hinted), None, Some(Arc::new(unreliable) as Arc<dyn WakeSource>)];
        let followers =
            join_all((0..).zip(sources).map(|(number, wake)| opened_with(slow(number), &clock, seed * 10 + number, wake))).await;
        let writer = opened_with(slow(9), &clock, seed * 10 + 9, Some(Arc::new(InProcessWake::of(store)))).await;
        let pauses = SeededEntropy::new(seed ^ 0xabc);
        let write = async {
            let mut acknowledged = Vec::new();
            for by in 1..=40 {
                let pause = if pauses.fraction() < 0.5 { 0.3 } else { 20.0 };
                clock.sleep(Duration::from_secs_f64(pause * pauses.fraction())).await;
                commit(&writer, &add(by)).await;
                acknowledged.push(clock.now());
            }
            clock.sleep(LogOptions::POLL_LONGEST * 2).await;
            followers.iter().for_each(|log| log.stop("the test is over"));
            acknowledged
        };
        let follow = join_all(followers.iter().map(|log| join(log.follow(), note(log, &clock)).map(|((), seen)| seen)));
        let (acknowledged, seen) = join(driven(&writer, write), follow).await;
        let expected = writer.digests().await.unwrap();
        for log in &followers {
            assert_eq!(log.digests().await.unwrap(), expected, "INV-31, seed {seed}: hints changed what is seen");
        }
        [0, 1, 2].map(|number| {
            let delays: Vec<_> = acknowledged.iter().zip(&seen[number]).map(|(told, seen)| seen.since(*told)).collect();
            assert_eq!(delays.len(), 40, "seed {seed}: follower {number} missed slots");
            (*delays.iter().max().unwrap(), delays.iter().sum::<Duration>() / 40)
        })
    })
}

#[test]
fn inv_31_hints_that_are_lost_doubled_delayed_reordered_and_invented_change_only_when_a_change_is_seen() {
    // Two requests and two more for each slot that came meanwhile, 40 ms each at most, and the sampling.
    let look = Duration::from_millis(400);
    let mut sums = [Duration::ZERO; 3];
    for seed in 0..60 {
        let delays = delays(seed);
        for (number, (longest, mean)) in delays.into_iter().enumerate() {
            assert!(longest <= LogOptions::POLL_LONGEST + look, "seed {seed}: follower {number} saw a change after {longest:?}");
            sums[number] += mean / 60;
        }
        let (longest, _) = delays[0];
        assert!(longest <= LogOptions::POLL_SHORTEST + look, "seed {seed}: hinted, a change was seen after {longest:?}");
    }
    let [hinted, polled, unreliable] = sums;
    assert!(hinted < polled / 5 && unreliable < polled, "hinted {hinted:?}, polled {polled:?}, unreliable {unreliable:?}");
}

/// Always says that there is something new.
#[derive(Debug)]
struct Flood;

impl WakeSource for Flood {
    fn poll_wake(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

const DAYS: u64 = 3;

/// What a handle asks of the store in some idle days, its committer and follower driven, after some work beside others.
fn idle(truncation: Truncation, wake: Option<Arc<dyn WakeSource>>, timed: bool) -> Usage {
    let clock = ManualClock::new();
    let memory = InMemoryStore::new();
    let memory = if timed { memory.with_store_clock(Arc::new(clock.clone())) } else { memory };
    clock.run(async {
        let plain = environment(Arc::new(memory.clone()), &clock, 1);
        made(&plain, Constants::new(truncation)).await;
        let metered = Arc::new(Metered::<dyn Store>::new(Arc::new(memory)));
        let counted: Arc<dyn Store> = Arc::<Metered>::clone(&metered);
        let log = opened_with(counted, &clock, 2, wake).await;
        let other = opened_with(Arc::clone(&plain.store), &clock, 3, None).await;
        let work = async {
            for by in 1..20 {
                commit_alone(&opened_with(Arc::clone(&other.environment().store), &clock, 100 + by, None).await, &[add(1)]).await;
                commit(&log, &add(1)).await;
            }
            // The first confirmation after it still lists the slots of that work.
            clock.sleep(Duration::from_millis(Constants::GRACE_MS / 4) + Duration::from_secs(60)).await;
            let before = metered.snapshot();
            clock.sleep(Duration::from_secs(DAYS * 24 * 3_600)).await;
            let asked = metered.snapshot().since(&before);
            log.stop("the test is over");
            asked
        };
        let (_, (), asked) = join3(log.run().boxed_local(), log.follow().boxed_local(), work.boxed_local()).await;
        assert_eq!(log.machine().get("sum"), 38);
        asked
    })
}

#[test]
fn inv_32_an_idle_handle_costs_less_than_a_quarter_dollar_a_month_whatever_wakes_it() {
    let month = |asked: &Usage| asked.dollars() * 31.0 / DAYS as f64;
    let looks = DAYS * 24 * 3_600 / LogOptions::POLL_LONGEST.as_secs();
    for truncation in [Truncation::Delete, Truncation::Tombstone] {
        let quiet: Arc<dyn WakeSource> = Arc::new(Bell::new());
        let both: Arc<dyn WakeSource> = Arc::new(AnyWake::new(vec![Arc::clone(&quiet), Arc::new(Flood)]));
        for (wake, most) in [(None, looks + 2), (Some(quiet), looks + 2), (Some(both), looks + looks / 12 + 20)] {
            let asked = idle(truncation, wake.clone(), true);
            let reads = asked.get.requests();
            // Each quarter of the grace the boundary and the own newest slot are looked at, if slots are ever deleted.
            let confirmations = if truncation == Truncation::Delete { DAYS * 24 * 3_600_000 / (Constants::GRACE_MS / 4) + 1 } else { 0 };
            let (most, read) = (most + 2 * confirmations, asked.get.done);
            assert!(asked.requests() == reads && read <= confirmations, "INV-32: reads alone, and hardly a body: {asked}");
            assert!(reads <= most && reads >= looks - 2, "INV-32: {reads} reads in {DAYS} days of {looks} looks, {truncation:?}, {wake:?}");
            assert!(month(&asked) <= 0.25, "INV-32: ${} a month, {truncation:?}, {wake:?}", month(&asked));
        }
    }
    // Where slots are deleted and replies carry no time, each look is confirmed: by `ctl/head`, and the own newest slot. No store with a price list is so.
    let asked = idle(Truncation::Delete, None, false);
    assert!(asked.get.requests() <= 3 * looks + 6 && asked.get.requests() == asked.requests(), "{asked}");
}

#[test]
fn a_commit_is_seen_at_once_by_the_handles_of_its_process_and_a_burst_of_hints_is_one_look() {
    let (memory, clock, _) = fresh(5);
    let store = StoreId::from_bytes([5; 16]);
    clock.run(async {
        let shared: Arc<dyn Store> = Arc::new(memory.clone());
        let [one, two] = [6, 7].map(|seed| {
            let wake: Arc<dyn WakeSource> = Arc::new(InProcessWake::of(store));
            opened_with(Arc::clone(&shared), &clock, seed, Some(wake))
        });
        let (one, two) = (one.await, two.await);
        let bell = InProcessWake::of(store);
        let write = async {
            clock.sleep(Duration::from_secs(3_600)).await;
            let before = two.figures();
            commit(&one, &add(3)).await;
            // Nothing but the turn of the follower, without any time.
            clock.sleep(Duration::from_nanos(1)).await;
            let seen = two.machine().get("sum");
            let after_one = two.figures();
            for seq in 1_000..2_000 {
                bell.moved(seq);
                clock.sleep(Duration::from_nanos(1)).await;
            }
            clock.sleep(LogOptions::POLL_SHORTEST + Duration::from_micros(2)).await;
            let after_burst = two.figures();
            two.stop("the test is over");
            (seen, after_one.looks - before.looks, after_one.woken - before.woken, after_burst.looks - after_one.looks)
        };
        let ((), told) = join(two.follow(), driven(&one, write)).await;
        assert_eq!(told, (3, 1, 1, 1));
    });
}
