//! Collections that meet somebody who stood still at the worst moment.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brainy_coordination::{
    ChangeLog, CollectOptions, Collector, Constants, Environment, Error, LogOptions, NewStore, Transaction, Truncation, create_store,
};
use brainy_core::{Clock, ErrorKind};
use brainy_storage::Key;

use crate::accounts::{Accounts, Command, Kind};
use crate::bucket::Request;
use crate::checker::Violation;
use crate::fault::{Fault, Faults, KeyKind};
use crate::run::Connect;
use crate::scheduler::{Life, Scheduler};
use crate::wire::{Latencies, Wire};

/// H of the store.
const HORIZON: u64 = 6;
/// G of the store, in seconds.
const GRACE: u64 = 20;
/// How long somebody stands still: longer than the grace.
const STANDSTILL: Duration = Duration::from_secs(100);
/// Longer than any request and any standstill.
const PATIENCE: Duration = Duration::from_secs(600);
/// When the second process begins.
const SECOND_BEGINS: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(1_200);

type Log = ChangeLog<Accounts>;
/// What one process does; what goes wrong is told as a promise and words.
type Part = fn(Life, Log, Wire) -> Pin<Box<dyn Future<Output = Result<(), Violation>> + Send>>;

/// All of them.
pub(super) fn runs(connect: &Connect) -> Vec<Violation> {
    [left_behind(connect), late_pin(connect), slow_builder(connect)].into_iter().flatten().collect()
}

fn broken(property: &'static str, text: impl std::fmt::Display) -> Violation {
    Violation { property, text: text.to_string() }
}

fn failed(error: Error) -> Violation {
    broken("P10", error)
}

/// Runs these processes, each with a handle of its own, and returns what went wrong.
fn run(
    connect: &Connect,
    truncation: Truncation,
    script: Option<(KeyKind, Fault)>,
    parts: &[(&'static str, Part)],
) -> (Wire, Vec<Violation>) {
    let scheduler = Scheduler::new(1);
    let wire = Wire::new(&scheduler, Latencies::S3);
    let mut faults = Faults::none();
    (faults.suspends, faults.pauses) = ((STANDSTILL, STANDSTILL), (STANDSTILL, STANDSTILL));
    wire.set_faults(faults);
    let results = Arc::new(Mutex::new(Vec::new()));
    for (number, (name, part)) in parts.iter().enumerate() {
        let (own, connect, results, part) = (wire.clone(), Arc::clone(connect), Arc::clone(&results), *part);
        let process = scheduler.process(*name, move |life| {
            let wire = own.clone();
            let (store, results) = (connect(&wire, life.process()), Arc::clone(&results));
            let environment = Environment { store, clock: Arc::new(life.clock()), entropy: Arc::new(life.entropy()) };
            Box::pin(async move {
                let told = match open(&life, environment, truncation).await {
                    Ok(log) => part(life, log, wire).await,
                    Err(error) => Err(failed(error)),
                };
                results.lock().unwrap_or_else(PoisonError::into_inner).push(told);
            })
        });
        // The last one is who stands still, once.
        if number + 1 == parts.len()
            && let Some((key, fault)) = script
        {
            let mut left = 1;
            wire.set_script(move |sent| {
                let writes = matches!(sent.request, Request::Put { .. }) == (key == KeyKind::Segment);
                let meant = sent.process == process && sent.key == key && writes && sent.of_process > 12;
                let hit = meant && left > 0;
                left -= u32::from(hit);
                hit.then_some(fault)
            });
        }
        scheduler.start_after(process, if number == 0 { Duration::ZERO } else { SECOND_BEGINS });
    }
    scheduler.run_for(LONGEST);
    scheduler.end();
    let results = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
    let ended = results.len();
    let mut wrong: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    if ended < parts.len() {
        wrong.push(broken("P10", format!("{ended} of {} processes came to an end", parts.len())));
    }
    (wire, wrong)
}

async fn open(life: &Life, environment: Environment, truncation: Truncation) -> Result<Log, Error> {
    let deadline = life.clock().now().after(PATIENCE);
    let mut constants = Constants::new(truncation).with_horizon_slots(HORIZON);
    constants.grace_ms = GRACE * 1_000;
    // Who finds it made already is as well served.
    drop(create_store(&environment, &NewStore::new(Vec::new()).with_constants(constants), deadline).await);
    let log = ChangeLog::open(environment, Arc::new(Accounts::default()), LogOptions::default(), deadline).await?;
    let driven = log.clone();
    life.spawn(async move { drop(driven.run().await) });
    Ok(log)
}

async fn commit(life: &Life, log: &Log, first: u64, count: u64) -> Result<(), Violation> {
    for unique in first..first + count {
        let command = Command { unique, kind: Kind::Count, a: 2_000, b: 0, amount: 0 };
        let pending = log.submit(&Transaction::payload(command.encode(0)), life.clock().now().after(PATIENCE)).map_err(failed)?;
        drop(pending.outcome().await);
    }
    Ok(())
}

fn options() -> CollectOptions {
    CollectOptions::default().with_truncate(true).with_retain_slots(0).with_silence(Duration::from_secs(5))
}

/// A dead writer's intent lands in the inbox when it is stale and its writer long forgotten: a collection removes it. If it stays, that is P8.
fn left_behind(connect: &Connect) -> Vec<Violation> {
    let (wire, mut wrong) =
        run(connect, Truncation::Tombstone, None, &[("collector", |life, log, wire| Box::pin(collect_stale(life, log, wire)))]);
    let left = wire.look(|bucket| bucket.keys().find(|key| key.as_str().starts_with("inbox/")).cloned());
    wrong.extend(left.map(|key| broken("P8", format!("{key} is stale and was left by a collection"))));
    wrong
}

async fn collect_stale(life: Life, log: Log, wire: Wire) -> Result<(), Violation> {
    commit(&life, &log, 0, 3 * HORIZON).await?;
    let key = format!("inbox/{:020}/{}/{:020}", 0, "5a".repeat(16), 1);
    wire.plant(Key::new(key).expect("digits make a key"), "late".into());
    let deadline = life.clock().now().after(PATIENCE);
    Collector::new(&log, CollectOptions::default()).map_err(failed)?.round(deadline).await.map_err(failed)?;
    drop(log.close(deadline).await);
    Ok(())
}

/// A reader's machine is suspended between its look at the head and its pin, while the state that it means to hold is superseded and collected: what it holds in the end is there. If not, that
/// is P8.
fn late_pin(connect: &Connect) -> Vec<Violation> {
    let parts: [(&str, Part); 2] =
        [("collector", |life, log, _| Box::pin(publish_and_collect(life, log))), ("reader", |life, log, _| Box::pin(pin_late(life, log)))];
    run(connect, Truncation::Delete, Some((KeyKind::Head, Fault::Suspend)), &parts).1
}

async fn publish_and_collect(life: Life, log: Log) -> Result<(), Violation> {
    let clock = life.clock();
    let deadline = clock.now().after(PATIENCE * 2);
    commit(&life, &log, 0, 3).await?;
    log.publish_snapshot(deadline).await.map_err(failed)?;
    clock.sleep(SECOND_BEGINS * 4).await;
    commit(&life, &log, 10, 3).await?;
    log.publish_snapshot(deadline).await.map_err(failed)?;
    let mut collector = Collector::new(&log, options()).map_err(failed)?;
    for _ in 0..2 * GRACE {
        collector.round(deadline).await.map_err(failed)?;
        clock.sleep(Duration::from_secs(4)).await;
    }
    drop(log.close(deadline).await);
    Ok(())
}

async fn pin_late(life: Life, log: Log) -> Result<(), Violation> {
    let clock = life.clock();
    let deadline = clock.now().after(PATIENCE);
    // So many requests that the next look at the head is that of the pin.
    for _ in 0..12 {
        log.refresh(deadline).await.map_err(failed)?;
    }
    let mut pin = log.pin("late", Duration::from_secs(60), deadline).await.map_err(failed)?;
    let read = log.read_snapshot(&pin.manifest(), &Accounts::default(), deadline).await;
    pin.renew(deadline).await.map_err(failed)?;
    drop(log.close(deadline).await);
    read.map(drop).map_err(|error| broken("P8", format!("a reader holds {} by a pin, and {error}", pin.manifest())))
}

/// A builder stands still after it uploaded its segment, while others collect: either it is told that it was superseded, or what it published is there. If not, that is P8.
fn slow_builder(connect: &Connect) -> Vec<Violation> {
    let parts: [(&str, Part); 2] =
        [("collector", |life, log, _| Box::pin(collect_only(life, log))), ("builder", |life, log, _| Box::pin(build_slowly(life, log)))];
    run(connect, Truncation::Delete, Some((KeyKind::Segment, Fault::Pause)), &parts).1
}

async fn collect_only(life: Life, log: Log) -> Result<(), Violation> {
    let clock = life.clock();
    let deadline = clock.now().after(PATIENCE);
    commit(&life, &log, 0, 3).await?;
    let mut collector = Collector::new(&log, options()).map_err(failed)?;
    for _ in 0..GRACE {
        collector.round(deadline).await.map_err(failed)?;
        clock.sleep(Duration::from_secs(4)).await;
    }
    drop(log.close(deadline).await);
    Ok(())
}

async fn build_slowly(life: Life, log: Log) -> Result<(), Violation> {
    let clock = life.clock();
    let deadline = clock.now().after(PATIENCE);
    for _ in 0..12 {
        log.refresh(deadline).await.map_err(failed)?;
    }
    let published = match log.publish_snapshot(deadline).await {
        Ok(published) => published,
        Err(error) if error.kind() == ErrorKind::Fenced => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let read = log.read_snapshot(&published.manifest, &Accounts::default(), deadline).await;
    drop(log.close(deadline).await);
    read.map(drop).map_err(|error| broken("P8", format!("{} was published, and {error}", published.manifest)))
}
