//! Writers that meet: who is carried, how long it takes, what it costs.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{ChangeLog, Figures, LogOptions, Outcome};
use brainy_core::{Clock, Entropy, SeededEntropy};
use brainy_storage::{InMemoryStore, Metered, Store, Usage};
use brainy_testkit::{Latencies, LatencyStore, ManualClock};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::register::{Change, Register};
use crate::stores::{constants, environment, made, within};

/// What some writers did in a span of time.
pub(crate) struct Contest {
    /// Milliseconds from handing over to the answer, sorted.
    pub(crate) waits: Vec<u64>,
    /// Batches by writer.
    pub(crate) commits: Vec<u64>,
    pub(crate) usage: Usage,
    pub(crate) figures: Vec<Figures>,
    pub(crate) sum: i64,
}

/// `writers` processes that commit one transaction after the other, with a pause of about `think` between, for `span`.
pub(crate) fn contest(writers: usize, think: Duration, span: Duration, seed: u64, latencies: Latencies, options: &LogOptions) -> Contest {
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
                let mut results = results.borrow_mut();
                results.0.push(u64::try_from(clock.now().since(handed).as_millis()).unwrap());
                results.1[number] += 1;
                drop(results);
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
        for (sum, more) in [(&mut sum.get, usage.get), (&mut sum.put, usage.put), (&mut sum.list, usage.list), (&mut sum.delete, usage.delete)] {
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
    Contest { waits, commits, usage, figures: logs.iter().map(ChangeLog::figures).collect(), sum }
}

#[test]
#[ignore]
fn scratch() {
    for think in [0, 300, 1000] {
    for writers in [1, 2, 4, 8, 16, 32, 64] {
        let mut line = String::new();
        let mut rows = Vec::new();
        for helping in [false, true] {
            let options = LogOptions::default().with_helping(helping);
            let secs = if think == 0 { 60 } else { 120 };
            let c = contest(writers, Duration::from_millis(think), Duration::from_secs(secs), 1, Latencies::S3, &options);
            let n = c.waits.len() as f64;
            let per = |x: u64| x as f64 / n;
            let row = [n / secs as f64, c.waits[c.waits.len() / 2] as f64, c.waits[c.waits.len() * 99 / 100] as f64, per(c.usage.put.done), per(c.usage.get.done), per(c.usage.list.done), c.usage.dollars() / n * 1e6];
            line += &format!("{} {:6.1}/s p50 {:5.0} p99 {:6.0} max {:6} PUT {:5.2} GET {:5.2} LIST {:5.2} ${:5.1} | ", if helping {"help"} else {"plain"}, row[0], row[1], row[2], c.waits.last().unwrap(), row[3], row[4], row[5], row[6]);
            rows.push(row);
            assert_eq!(c.sum, c.commits.iter().sum::<u64>() as i64);
            assert_eq!(c.figures.iter().map(|f| f.breaches).sum::<u64>(), 0);
        }
        println!("W={writers:3} think={think:4} {line} rate {:.2} usd {:.2} p99 {:.2}", rows[1][0]/rows[0][0], rows[1][6]/rows[0][6], rows[1][2]/rows[0][2]);
    }
    }
}
