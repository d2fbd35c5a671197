//! A run that is written down, not drawn: what chance hardly ever brings about.

mod collecting;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brainy_coordination::{ChangeLog, Constants, Environment, LogOptions, NewStore, Outcome, Transaction, Truncation, create_store};
use brainy_core::Clock;

use crate::accounts::{Accounts, Command, Kind};
use crate::checker::Violation;
use crate::locks::staged;
use crate::run::Connect;
use crate::scheduler::{Life, Scheduler};
use crate::wire::{Latencies, Wire};

/// H of the store: few slots, so that a writer is soon forgotten.
const HORIZON: u64 = 6;
/// Slots that the third handle makes meanwhile: more than 2H.
const MEANWHILE: u64 = 4 * HORIZON;
/// When everybody wakes up: long after those slots.
const LATER: Duration = Duration::from_secs(60);
/// Longer than any request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every promise that the written-down runs broke.
pub fn scenarios(connect: &Connect) -> Vec<Violation> {
    sleepers(connect).into_iter().chain(frugal(connect)).chain(staged(connect)).chain(collecting::runs(connect)).collect()
}

/// A handle that wrote long ago and one that never wrote, while a third one moved the log on by more than 2H slots, without a fault: both commit at the first try,
/// the one under a fresh identity, the other from the tail of today. What is broken if not is P10.
fn sleepers(connect: &Connect) -> Vec<Violation> {
    let scheduler = Scheduler::new(0);
    let wire = Wire::new(&scheduler, Latencies::S3);
    let results = Arc::new(Mutex::new(Vec::new()));
    for (name, early, awaits) in [("wrote long ago", 1, LATER), ("never wrote", 0, LATER), ("goes on", MEANWHILE, Duration::ZERO)] {
        let (wire, connect, results) = (wire.clone(), Arc::clone(connect), Arc::clone(&results));
        let process = scheduler.process(name, move |life| {
            let (store, results) = (connect(&wire, life.process()), Arc::clone(&results));
            let environment = Environment { store, clock: Arc::new(life.clock()), entropy: Arc::new(life.entropy()) };
            Box::pin(async move {
                let result = sleeper(&life, environment, early, awaits).await;
                results.lock().unwrap_or_else(PoisonError::into_inner).push((name, result));
            })
        });
        scheduler.start_after(process, Duration::ZERO);
    }
    scheduler.run_for(LATER * 10);
    scheduler.end();
    let results = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
    let broken = |text| Violation { property: "P10", text };
    let mut wrong: Vec<_> = results
        .iter()
        .filter_map(|(name, result)| result.as_ref().err().map(|text| broken(format!("the handle that {name}: {text}"))))
        .collect();
    if results.len() < 3 {
        wrong.push(broken(format!("{} of 3 handles came to an end", results.len())));
    }
    wrong
}

/// Commits so many times at once, waits, looks at the tail, and commits once more.
async fn sleeper(life: &Life, environment: Environment, early: u64, awaits: Duration) -> Result<(), String> {
    let clock = life.clock();
    let deadline = || clock.now().after(PATIENCE);
    let mut constants = Constants::new(Truncation::Tombstone).with_horizon_slots(HORIZON);
    constants.scan_slots = 8;
    // Who finds it made already is as well served.
    drop(create_store(&environment, &NewStore::new(Vec::new()).with_constants(constants), deadline()).await);
    let machine = Arc::new(Accounts::default());
    let log = ChangeLog::open(environment, machine, LogOptions::default(), deadline()).await.map_err(|error| error.to_string())?;
    let driven = log.clone();
    life.spawn(async move { drop(driven.run().await) });
    let commit = async |unique: u64| {
        let command = Command { unique, kind: Kind::Count, a: 2_000, b: 0, amount: 0 };
        let pending = log.submit(&Transaction::payload(command.encode(0)), deadline()).map_err(|error| error.to_string())?;
        match pending.outcome().await {
            Ok(Outcome::Committed(_)) => Ok(()),
            Ok(other) => Err(format!("commit {unique} ended as {other:?}")),
            Err(error) => Err(error.to_string()),
        }
    };
    for number in 0..early {
        commit(u64::from(life.process().0) * 1_000 + number).await?;
    }
    if !awaits.is_zero() {
        clock.sleep(awaits).await;
        if early > 0 {
            // Who knows the tail knows how long it was silent.
            log.refresh(deadline()).await.map_err(|error| error.to_string())?;
        }
        commit(u64::from(life.process().0) * 1_000 + early).await?;
    }
    drop(log.close(deadline()).await);
    Ok(())
}

/// K of the store of [`frugal`].
const SCAN_SLOTS: u64 = 8;
/// Commits and looks of it.
const COMMITS: u64 = 40;
const LOOKS: u64 = 20;

/// What a lone handle may ask of the store for so many commits, one after the other, and looks at a log that stands still.
pub(crate) fn over_budget(asked: &Asked) -> Option<String> {
    let Asked { puts, listings, looks } = *asked;
    // The first commit does not know of a listing yet.
    let most = COMMITS / SCAN_SLOTS + 1;
    let fits = puts == COMMITS && listings <= most && looks == LOOKS;
    (!fits).then(|| {
        format!("{COMMITS} commits and {LOOKS} looks took {puts} PUTs and {listings} LISTs (at most {most}) and {looks} requests to look")
    })
}

/// Requests of a lone handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// PUTs while it committed.
    pub(crate) puts: u64,
    /// LISTs while it committed.
    pub(crate) listings: u64,
    /// Requests of any kind while it looked.
    pub(crate) looks: u64,
}

/// A lone handle without a fault: each commit costs one PUT, and one LIST for every K at most; to learn that nothing changed costs one request. What is broken if not is P11.
fn frugal(connect: &Connect) -> Vec<Violation> {
    let scheduler = Scheduler::new(0);
    let wire = Wire::new(&scheduler, Latencies::S3);
    let (asked, phase) = (Arc::new(Mutex::new(Asked::default())), Arc::new(Mutex::new(Phase::Elsewhere)));
    {
        let (asked, phase) = (Arc::clone(&asked), Arc::clone(&phase));
        wire.set_script(move |sent| {
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            match (*phase.lock().unwrap_or_else(PoisonError::into_inner), sent.request.name()) {
                (Phase::Committing, "PUT") => asked.puts += 1,
                (Phase::Committing, "LIST") => asked.listings += 1,
                (Phase::Looking, _) => asked.looks += 1,
                (Phase::Committing | Phase::Elsewhere, _) => {}
            }
            None
        });
    }
    let result = Arc::new(Mutex::new(Err("it did not come to an end".to_owned())));
    {
        let (connect, wire, result) = (Arc::clone(connect), wire.clone(), Arc::clone(&result));
        let process = scheduler.process("lone", move |life| {
            let environment =
                Environment { store: connect(&wire, life.process()), clock: Arc::new(life.clock()), entropy: Arc::new(life.entropy()) };
            let (phase, result) = (Arc::clone(&phase), Arc::clone(&result));
            Box::pin(async move {
                let told = lone(&life, environment, &phase).await;
                *result.lock().unwrap_or_else(PoisonError::into_inner) = told;
            })
        });
        scheduler.start_after(process, Duration::ZERO);
    }
    scheduler.run_for(LATER * 10);
    scheduler.end();
    let told = result.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let asked = *asked.lock().unwrap_or_else(PoisonError::into_inner);
    told.err().or_else(|| over_budget(&asked)).map(|text| Violation { property: "P11", text }).into_iter().collect()
}

/// What the lone handle is at.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Elsewhere,
    Committing,
    Looking,
}

async fn lone(life: &Life, environment: Environment, phase: &Mutex<Phase>) -> Result<(), String> {
    let clock = life.clock();
    let deadline = || clock.now().after(PATIENCE);
    let at = |now| *phase.lock().unwrap_or_else(PoisonError::into_inner) = now;
    let mut constants = Constants::new(Truncation::Delete);
    constants.scan_slots = SCAN_SLOTS;
    let made = create_store(&environment, &NewStore::new(Vec::new()).with_constants(constants), deadline()).await;
    made.map_err(|error| error.to_string())?;
    let log = ChangeLog::open(environment, Arc::new(Accounts::default()), LogOptions::default(), deadline()).await;
    let log = log.map_err(|error| error.to_string())?;
    let driven = log.clone();
    life.spawn(async move { drop(driven.run().await) });
    at(Phase::Committing);
    for unique in 0..COMMITS {
        let command = Command { unique, kind: Kind::Count, a: 2_000, b: 0, amount: 0 };
        let pending = log.submit(&Transaction::payload(command.encode(0)), deadline()).map_err(|error| error.to_string())?;
        match pending.outcome().await {
            Ok(Outcome::Committed(_)) => {}
            other => return Err(format!("commit {unique} ended as {other:?}")),
        }
    }
    at(Phase::Elsewhere);
    // Whatever it does beside is done.
    clock.sleep(PATIENCE).await;
    for _ in 0..LOOKS {
        at(Phase::Looking);
        log.refresh(deadline()).await.map_err(|error| error.to_string())?;
        at(Phase::Elsewhere);
        clock.sleep(Duration::from_secs(1)).await;
    }
    drop(log.close(deadline()).await);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lone_handle_asks_too_much_is_over_its_budget() {
        let fits = Asked { puts: COMMITS, listings: COMMITS / SCAN_SLOTS, looks: LOOKS };
        assert_eq!(over_budget(&fits), None);
        for asked in
            [Asked { puts: COMMITS + 1, ..fits }, Asked { listings: COMMITS / SCAN_SLOTS + 2, ..fits }, Asked { looks: LOOKS + 1, ..fits }]
        {
            assert!(over_budget(&asked).is_some(), "{asked:?}");
        }
        assert_eq!(frugal(&crate::fast()), []);
    }
}
