//! Runs that are written down: what chance seldom brings about.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use brainy_coordination::{ChangeLog, Constants, Environment, LogOptions, NewStore, Truncation, create_store};
use brainy_core::clock::before;
use brainy_core::{Clock, Moment};
use brainy_storage::Precondition;

use crate::accounts::Accounts;
use crate::bucket::Request;
use crate::checker::Violation;
use crate::fault::{Fault, KeyKind};
use crate::run::Connect;
use crate::scheduler::{Life, ProcessId, Scheduler};
use crate::wire::{Latencies, Wire};

use super::{Locks, key, lease_in};

const TTL: Duration = Duration::from_secs(3);
/// When the second process begins.
const SECOND: Duration = Duration::from_secs(2);
/// Longer than any of them takes.
const END: Duration = Duration::from_secs(60);

/// A play for one or two processes; the first one's writes of the lease fail as `script` says, by their number from 1.
struct Play {
    name: &'static str,
    script: fn(u64) -> Option<Fault>,
    first: Part,
    second: Option<Part>,
}

#[derive(Clone, Copy)]
enum Part {
    /// Takes the lock and keeps it.
    Hold,
    /// Takes the lock and releases it at once.
    Release,
    /// Waits for the lock.
    Wait,
    /// Takes and releases often, then the object is put back to the first of its states: the next turn must come at the first try.
    Restore,
}

const PLAYS: [Play; 3] = [
    // No renewal of the holder arrives; the waiter takes over when its life is up.
    Play { name: "silent", script: |put| (put > 1).then_some(Fault::LostRequest), first: Part::Hold, second: Some(Part::Wait) },
    // The release takes effect, and its reply is lost.
    Play { name: "releasing", script: |put| (put == 2).then_some(Fault::LostReply), first: Part::Release, second: Some(Part::Wait) },
    Play { name: "restored", script: |_| None, first: Part::Restore, second: None },
];

/// Every promise that the plays broke.
pub(crate) fn staged(connect: &Connect) -> Vec<Violation> {
    PLAYS.iter().flat_map(|play| perform(play, connect)).collect()
}

fn perform(play: &Play, connect: &Connect) -> Vec<Violation> {
    let scheduler = Scheduler::new(0);
    let wire = Wire::new(&scheduler, Latencies::S3);
    let locks = Arc::new(Locks { ttl: TTL, poll: Duration::from_millis(200), harm: None, told: Mutex::default(), wire: OnceLock::new() });
    let ended = Arc::new(Mutex::new(0));
    let parts = [Some(play.first), play.second];
    for (number, part) in parts.into_iter().flatten().enumerate() {
        let (wire, connect, locks, ended) = (wire.clone(), Arc::clone(connect), Arc::clone(&locks), Arc::clone(&ended));
        let process = scheduler.process(format!("{} {number}", play.name), move |life| {
            let store = connect(&wire, life.process());
            let environment = Environment { store, clock: Arc::new(life.clock()), entropy: Arc::new(life.entropy()) };
            let (locks, ended) = (Arc::clone(&locks), Arc::clone(&ended));
            Box::pin(async move {
                if let Err(text) = act(&locks, &life, environment, part).await {
                    locks.complain(text);
                }
                *ended.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            })
        });
        scheduler.start_after(process, SECOND * u32::try_from(number).expect("two at most"));
    }
    let (script, mut puts) = (play.script, 0);
    wire.set_script(move |sent| {
        let counts = sent.key == KeyKind::Lease && sent.process == ProcessId(0) && matches!(sent.request, Request::Put { .. });
        puts += u64::from(counts);
        if counts { script(puts) } else { None }
    });
    scheduler.run_for(END * 2);
    scheduler.end();
    let mut found: Vec<_> = {
        let told = locks.told();
        told.complaints.iter().map(|text| Violation { property: "P7", text: format!("{}: {text}", play.name) }).collect()
    };
    let beliefs = locks.told().beliefs.clone();
    found.extend(locks.overlaps(&beliefs));
    if *ended.lock().unwrap_or_else(PoisonError::into_inner) < parts.iter().flatten().count() {
        found.push(Violation { property: "rest", text: format!("{}: not all came to an end", play.name) });
    }
    found
}

async fn act(locks: &Arc<Locks>, life: &Life, environment: Environment, part: Part) -> Result<(), String> {
    let clock = life.clock();
    let within = |span: Duration| -> Moment { clock.now().after(span) };
    let text = |error: brainy_coordination::Error| error.to_string();
    let new = NewStore::new(Vec::new()).with_constants(Constants::new(Truncation::Tombstone));
    // Who finds it made already is as well served.
    drop(create_store(&environment, &new, within(END)).await);
    let options = LogOptions::default();
    let log = ChangeLog::open(environment.clone(), Arc::new(Accounts::default()), options, within(END)).await.map_err(text)?;
    let driven = log.clone();
    life.spawn(async move { drop(driven.run().await) });
    let lock = locks.lock(&log, life);
    match part {
        Part::Hold => {
            let guard = lock.try_acquire(within(END)).await.map_err(text)?;
            locks.watch(&guard, life, (life.scheduler().now(), 0));
            before(&clock, within(TTL * 6), guard.lost()).await;
        }
        Part::Release => {
            let guard = lock.try_acquire(within(END)).await.map_err(text)?;
            locks.watch(&guard, life, (life.scheduler().now(), 0));
            // The other one waits for it by now.
            clock.sleep(SECOND.mul_f64(0.4)).await;
            guard.release(within(END)).await.map_err(text)?;
        }
        Part::Wait => {
            let guard = lock.acquire(within(TTL * 4)).await.map_err(text)?;
            locks.watch(&guard, life, (life.scheduler().now(), 0));
            clock.sleep(TTL).await;
            guard.release(within(END)).await.map_err(text)?;
        }
        Part::Restore => {
            let mut old = None;
            for _ in 0..12 {
                lock.acquire(within(END)).await.map_err(text)?.release(within(END)).await.map_err(text)?;
                if old.is_none() {
                    old = lease_in(&environment).await;
                }
            }
            let old = old.ok_or("the lease cannot be read")?;
            drop(environment.store.put(&key(), old, Precondition::None).await);
            let before = log.position().seq;
            lock.acquire(within(END)).await.map_err(text)?.release(within(END)).await.map_err(text)?;
            let claims = log.position().seq - before;
            if claims != 1 {
                return Err(format!("whoever wants a free lock alone needs {claims} claims to get it"));
            }
        }
    }
    drop(log.close(within(END)).await);
    Ok(())
}
