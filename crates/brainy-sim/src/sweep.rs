//! Many seeds on several threads, and what they came to together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use brainy_coordination::internals::Mutant;

use crate::checker::Violation;
use crate::fault::Matrix;
use crate::rollback::WentBack;
use crate::run::{Connect, Settings, run_seed};
use crate::scenario::scenarios;

/// Seeds of past failures; they run first, for ever.
const REGRESSIONS: &str = include_str!("../seeds.txt");
/// One seed in so many is run twice, and the traces are compared.
const TWICE: u64 = 16;
/// Of one seed so many violations at most are kept: the first tell, the rest follow from them.
const KEPT: usize = 8;
/// So many seeds at most are tried to kill one mutant.
pub const SEEDS_PER_MUTANT: u64 = 3_000;

/// One seed and one promise it broke.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The seed.
    pub seed: u64,
    /// The promise.
    pub violation: Violation,
}

/// What a sweep came to.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// How many seeds were run, those of past failures included.
    pub seeds: u64,
    /// How many of them were run twice and had equal traces.
    pub repeated: u64,
    /// How often which fault met which kind of key.
    pub matrix: Matrix,
    /// Slots of all logs.
    pub slots: u64,
    /// Batches that took effect.
    pub batches: u64,
    /// Calls that were made.
    pub calls: u64,
    /// How many histories were explained without the log as well.
    pub searched: u64,
    /// What became of what was there when buckets went back.
    pub went_back: WentBack,
    /// By seed.
    pub violations: Vec<Failed>,
}

/// Seeds that once failed.
pub fn regressions() -> Vec<u64> {
    let words = REGRESSIONS.lines().filter_map(|line| line.split('#').next()?.trim().parse().ok());
    words.collect()
}

/// Runs the seeds of past failures, then `from..to`, on so many threads.
pub fn sweep(from: u64, to: u64, threads: usize, connect: &Connect) -> Sweep {
    let seeds: Vec<u64> = regressions().into_iter().chain(from..to).collect();
    let (next, total) = (AtomicU64::new(0), Mutex::new(Sweep::default()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = usize::try_from(at).ok().and_then(|at| seeds.get(at)) else { return };
                    let one = one(*seed, connect);
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(one);
                }
            });
        }
    });
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.violations.extend(scenarios(connect).into_iter().map(|violation| Failed { seed: from, violation }));
    total.violations.sort_by_key(|failed| failed.seed);
    total
}

fn one(seed: u64, connect: &Connect) -> Sweep {
    let failed = |property, text: String| Failed { seed, violation: Violation { property, text } };
    let run = || catch_unwind(AssertUnwindSafe(|| run_seed(seed, Settings::default(), connect)));
    let Ok(report) = run() else {
        return Sweep { seeds: 1, violations: vec![failed("panic", "the run panicked".into())], ..Sweep::default() };
    };
    let mut sweep = Sweep {
        seeds: 1,
        repeated: 0,
        matrix: report.matrix,
        slots: report.slots,
        batches: report.batches,
        calls: report.calls,
        searched: report.searched,
        went_back: report.went_back,
        violations: report.violations.into_iter().take(KEPT).map(|violation| Failed { seed, violation }).collect(),
    };
    if seed.is_multiple_of(TWICE) {
        match run() {
            Ok(again) if again.trace == report.trace => sweep.repeated = 1,
            _ => sweep.violations.push(failed("determinism", "a second run had another trace".into())),
        }
    }
    sweep
}

impl Sweep {
    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.repeated += other.repeated;
        self.matrix.add(&other.matrix);
        self.slots += other.slots;
        self.batches += other.batches;
        self.calls += other.calls;
        self.searched += other.searched;
        self.went_back.add(other.went_back);
        self.violations.extend(other.violations);
    }
}

/// How one broken rule fared.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Which rule.
    pub mutant: Mutant,
    /// The seed and the promise by which it was noticed; none: nothing noticed it.
    pub killed: Option<Failed>,
    /// How many seeds that took.
    pub tried: u64,
}

/// Breaks each rule in turn and runs [`scenarios`], then the seeds of past failures, then those from `from` on, until a checker names a promise. A panic or a run without end does not count.
pub fn mutants(from: u64, threads: usize, connect: &Connect, chosen: &[Mutant]) -> Vec<Verdict> {
    let (next, verdicts) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(mutant) = usize::try_from(at).ok().and_then(|at| chosen.get(at)) else { return };
                    let verdict = kill(*mutant, from, connect);
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    verdicts.sort_by_key(|verdict| chosen.iter().position(|mutant| *mutant == verdict.mutant));
    verdicts
}

fn kill(mutant: Mutant, from: u64, connect: &Connect) -> Verdict {
    Mutant::set(Some(mutant));
    let mut verdict = Verdict { mutant, killed: None, tried: 0 };
    let told = catch_unwind(AssertUnwindSafe(|| scenarios(connect))).ok();
    if let Some(violation) = told.into_iter().flatten().find(Violation::is_named) {
        verdict.killed = Some(Failed { seed: from, violation });
        Mutant::set(None);
        return verdict;
    }
    for seed in regressions().into_iter().chain(from..from + SEEDS_PER_MUTANT) {
        verdict.tried += 1;
        let report = catch_unwind(AssertUnwindSafe(|| run_seed(seed, Settings::default(), connect)));
        let named = report.ok().and_then(|report| report.violations.into_iter().filter(Violation::is_named).min_by_key(Violation::number));
        if let Some(violation) = named {
            verdict.killed = Some(Failed { seed, violation });
            break;
        }
    }
    Mutant::set(None);
    verdict
}
