//! Writers that meet: who is carried, how long it takes, what it costs.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{ChangeLog, Figures, LogOptions, Outcome};
use brainy_core::{Clock, Entropy, SeededEntropy};
use brainy_storage::{InMemoryStore, Metered, Prefix, Store, Usage};
use brainy_testkit::{Latencies, LatencyStore, ManualClock};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::register::{Change, Register};
use crate::stores::{constants, environment, made, within};

/// What some writers did in a span of time.
struct Contest {
    /// Milliseconds from handing over to the answer, sorted.
    waits: Vec<u64>,
    /// Batches by writer.
    commits: Vec<u64>,
    usage: Usage,
    figures: Vec<Figures>,
    sum: i64,
    /// Intents that stayed.
    left: Vec<String>,
}

/// `writers` processes that commit one transaction after the other, with a pause of about `think` between, for `span`.
fn contest(writers: usize, think: Duration, span: Duration, seed: u64, latencies: Latencies, options: &LogOptions) -> Contest {
    let clock = ManualClock::new();
    let store = InMemoryStore::new();
    clock.run(made(&environment(Arc::new(store.clone()), &clock, seed), constants()));
    let meters = RefCell::new(Vec::new());
    let results = RefCell::new((Vec::new(), vec![0_u64; writers]));
    let logs = clock.run(async {
        let mut logs = Vec::new();
        for number in 0..writers {
            let own_seed = seed * 1_000 + number as u64;
            let slow = LatencyStore::new(Arc::new(store.clone()), Arc::new(clock.clone()), own_seed, latencies);
            let metered = Arc::new(Metered::new(Arc::new(slow) as Arc<dyn Store>));
            meters.borrow_mut().push(Arc::clone(&metered));
            let environment = environment(metered, &clock, own_seed);
            let deadline = within(&environment, 600);
            logs.push(ChangeLog::open(environment, Arc::new(Register::default()), options.clone(), deadline).await.unwrap());
        }
        logs
    });
    let before: Vec<Usage> = meters.borrow().iter().map(|metered| metered.snapshot()).collect();
    let end = clock.now().after(span);
    let member = |number: usize| {
        let (log, clock, results) = (&logs[number], &clock, &results);
        let entropy = SeededEntropy::new(seed * 7_777 + number as u64);
        let work = async move {
            clock.sleep(Duration::from_millis(200).mul_f64(entropy.fraction())).await;
            while clock.now() < end {
                let handed = clock.now();
                let change = Change::Add("sum".into(), 1).transaction(0);
                let outcome = log.submit(&change, handed.after(Duration::from_secs(600))).unwrap().outcome().await.unwrap();
                assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
                {
                    let mut results = results.borrow_mut();
                    results.0.push(u64::try_from(clock.now().since(handed).as_millis()).unwrap());
                    results.1[number] += 1;
                }
                if !think.is_zero() {
                    clock.sleep(think.mul_f64(-(1.0 - entropy.fraction()).ln())).await;
                }
            }
            log.close(clock.now().after(Duration::from_secs(60))).await;
        };
        futures_util::future::join(log.run(), work)
    };
    clock.run(async {
        let mut all: FuturesUnordered<_> = (0..writers).map(member).collect();
        while let Some((ended, ())) = all.next().await {
            ended.unwrap();
        }
    });
    let usage = meters.borrow().iter().zip(&before).fold(Usage::default(), |sum, (metered, before)| {
        let usage = metered.snapshot().since(before);
        let mut sum = sum;
        for (sum, more) in
            [(&mut sum.get, usage.get), (&mut sum.put, usage.put), (&mut sum.list, usage.list), (&mut sum.delete, usage.delete)]
        {
            sum.done += more.requests();
        }
        sum
    });
    let (mut waits, commits) = results.into_inner();
    waits.sort_unstable();
    let sum = clock.run(async {
        logs[0].refresh(clock.now().after(Duration::from_secs(60))).await.unwrap();
        logs[0].machine().get("sum")
    });
    let left = in_inbox(&store, &clock);
    Contest { waits, commits, usage, figures: logs.iter().map(ChangeLog::figures).collect(), sum, left }
}

fn in_inbox(store: &InMemoryStore, clock: &ManualClock) -> Vec<String> {
    let page = clock.run(store.list(&Prefix::new("inbox").unwrap(), None, NonZeroUsize::new(1_000).unwrap())).unwrap().value;
    page.entries.iter().map(|entry| entry.key.to_string()).collect()
}

#[test]
fn a_lone_writer_pays_one_put_a_batch_and_a_listing_every_k_slots() {
    let contest = contest(1, Duration::ZERO, Duration::from_secs(60), 1, Latencies::S3, &LogOptions::default());
    let batches = contest.waits.len() as u64;
    assert!(batches > 500, "{batches}");
    let Usage { get, put, list, delete, .. } = contest.usage;
    // One look at the tail gives the identity its base.
    assert_eq!((put.done, get.done, delete.done), (batches, 1, 0));
    assert!(list.done <= batches / constants().scan_slots + 1, "{} listings for {batches} batches", list.done);
}

#[test]
fn contending_writers_all_get_their_turn_and_every_batch_counts_once() {
    for (writers, seed) in [(2, 3), (5, 4), (16, 5)] {
        let contest = contest(writers, Duration::ZERO, Duration::from_secs(60), seed, Latencies::S3, &LogOptions::default());
        let total: u64 = contest.commits.iter().sum();
        assert_eq!(u64::try_from(contest.sum).unwrap(), total, "{writers} writers: each acknowledged addition counts once");
        let fair = total / writers as u64;
        assert!(contest.commits.iter().all(|commits| commits * 3 > fair), "{writers} writers: {:?}", contest.commits);
        assert!(contest.figures.iter().all(|figures| figures.breaches == 0), "INV-20");
        let carried: u64 = contest.figures.iter().map(|figures| figures.carried).sum();
        let posted: u64 = contest.figures.iter().map(|figures| figures.posted).sum();
        assert!(
            writers < 16 || (carried > total / 2 && posted >= carried),
            "{writers} writers: {carried} of {total} were carried, {posted} posted"
        );
        assert_eq!(contest.left, Vec::<String>::new(), "{writers} writers: what was decided is removed");
    }
}
