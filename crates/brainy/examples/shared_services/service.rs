//! One service: a process that does its part of the work and journals every attempt.

use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use brainy::{Brainy, Clock as _, Commit, Error, Freshness, Noun, OpId, Resolution};
use brainy_core::SystemClock;
use futures_executor::block_on;

use crate::Failure;
use crate::chance::Chance;
use crate::change::{COUNTER, Change, Mark, When, tag, verb_id};
use crate::data::Data;
use crate::journal::{Line, Order, Outcome, Spent, Stage, Task};
use crate::options::Role;
use crate::plan::{CHANGES, Plan, RAISES};
use crate::search::{self, look_around};

/// Threads that write, beside the one that raises the counter.
const WRITERS: usize = 3;
/// How often one piece of work is tried anew after conflicts.
const TRIES: usize = 2_000;
/// How often an outcome is asked for, each time for as long as a call may take.
const ASKS: usize = 10;
/// Attempts between two reports of what was spent.
const SPENT_EVERY: u64 = 8;
/// Pause between two searches while writing goes on.
const SEARCH_PAUSE: Duration = Duration::from_millis(20);
/// Pause after a lost race for the counter, and how often it may double.
const RETRY_PAUSE: Duration = Duration::from_millis(2);
const DOUBLINGS: u32 = 6;
/// How long the index may take to hold everything, and how often it is asked.
const INDEX_WAIT: Duration = Duration::from_secs(600);
const INDEX_PAUSE: Duration = Duration::from_millis(50);
/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(30);

/// What became of an attempt, for who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Committed,
    Conflict,
    Withdrawn,
}

struct Service<'a> {
    data: &'a Data,
    plan: Plan,
    role: Role,
    seed: u64,
    /// Reads what this process has applied: no request, and what a lost race was lost to is in it.
    db: Brainy,
    attempts: AtomicU64,
    searches: AtomicU64,
}

/// Runs the service until it is told to close.
pub(crate) fn run(data: &Data, url: &str, services: usize, seed: u64, role: Role) -> Result<(), Failure> {
    let db = block_on(Brainy::builder(url).service(tag(role.service)).freshness(Freshness::Local).open())?;
    let plan = Plan::new(data, services, role.service, seed);
    let attempts = AtomicU64::new(role.attempts);
    let service = Service { data, plan, role, seed, db, attempts, searches: AtomicU64::new(0) };
    for line in stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Order::Begin { resolve } => {
                for (attempt, op) in resolve {
                    let outcome = service.resolve(op.parse()?)?;
                    say(&Line::Resolved { attempt, outcome })?;
                }
                say(&Line::Ready)?;
            }
            Order::Stage { stage, raised, done } => {
                service.stage(stage, raised, done)?;
                service.say_spent()?;
                say(&Line::Finished(stage))?;
            }
            Order::View { token } => {
                service.wait_for_index()?;
                let view = search::view(&service.db, service.data, token.parse()?, service.seed)?;
                service.say_spent()?;
                say(&Line::View(view))?;
            }
            Order::Close => {
                let undecided = block_on(service.db.close(CLOSE));
                return if undecided.is_empty() { Ok(()) } else { Err(format!("closed with {undecided:?} undecided").into()) };
            }
        }
    }
    Err("the parent is gone".into())
}

/// Tells the parent, at once: what is said is in the pipe when this returns, whatever happens to the process.
pub(crate) fn say(line: &Line) -> Result<(), Failure> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let mut out = stdout().lock();
    out.write_all(&text)?;
    Ok(out.flush()?)
}

impl Service<'_> {
    fn stage(&self, stage: Stage, raised: usize, done: usize) -> Result<(), Failure> {
        let (next, changed, over) = (AtomicUsize::new(0), AtomicUsize::new(done), AtomicBool::new(false));
        thread::scope(|scope| {
            let mut writers = vec![scope.spawn(|| self.raise_all(stage, raised))];
            for writer in 0..WRITERS {
                let (next, changed) = (&next, &changed);
                writers.push(scope.spawn(move || match stage {
                    Stage::Import => self.each(&self.plan.packages, next, |rows| self.import(rows)),
                    Stage::Relate => self.each(&self.plan.relations, next, |relations| self.relate(relations)),
                    Stage::Change => self.change_all(writer, changed),
                }));
            }
            let searcher = scope.spawn(|| self.search_until(stage, &over));
            let written = writers.into_iter().map(join).collect::<Result<Vec<()>, _>>();
            over.store(true, Ordering::Relaxed);
            join(searcher)?;
            written.map(drop)
        })
    }

    /// Does every piece of the work; threads that call it at the same time share them.
    fn each(&self, pieces: &[Vec<usize>], next: &AtomicUsize, work: impl Fn(&[usize]) -> Result<(), Failure>) -> Result<(), Failure> {
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(piece)?;
        }
        Ok(())
    }

    /// Writes those packages that are not there yet, all or none of them; if somebody was faster with one, those that are still missing.
    fn import(&self, rows: &[usize]) -> Result<(), Failure> {
        let ids: Vec<_> = rows.iter().map(|row| self.data.packages[*row].id.clone()).collect();
        for _ in 0..TRIES {
            let there = block_on(self.db.get_many(&ids))?;
            let missing = rows.iter().zip(there).filter(|(_, there)| there.is_none());
            let missing: Vec<Change> =
                missing.map(|(row, _)| Change::Package { row: *row, vector: *row, touched: 0, when: When::Absent }).collect();
            if missing.is_empty() || self.attempt(Stage::Import, Task::Stage, missing)? == Ended::Committed {
                return Ok(());
            }
        }
        Err(format!("packages were not written in {TRIES} tries").into())
    }

    /// The same with relations.
    fn relate(&self, relations: &[usize]) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let mut missing = Vec::new();
            for relation in relations {
                if block_on(self.db.get_verb(verb_id(self.data, *relation)))?.is_none() {
                    missing.push(Change::Relate { relation: *relation, when: When::Absent });
                }
            }
            if missing.is_empty() || self.attempt(Stage::Relate, Task::Stage, missing)? == Ended::Committed {
                return Ok(());
            }
        }
        Err(format!("relations were not written in {TRIES} tries").into())
    }

    /// Raises the counter by compare-and-swap, as often as is still to be done.
    fn raise_all(&self, stage: Stage, mut raised: usize) -> Result<(), Failure> {
        let mut chance = Chance::new(self.seed, &[self.role.service as u64, self.role.attempts, stage as u64]);
        let mut lost = 0;
        for _ in 0..TRIES {
            if raised >= RAISES {
                return Ok(());
            }
            let (task, change) = match block_on(self.db.get(COUNTER))? {
                None => (Task::MakeCounter, Change::Counter { count: 0, when: When::Absent }),
                Some(noun) => {
                    let count = noun.metadata.to_value()["count"].as_u64().ok_or("the counter has no count")?;
                    (Task::Raise, Change::Counter { count: count + 1, when: When::in_version(noun.version) })
                }
            };
            if self.attempt(stage, task, vec![change])? == Ended::Committed {
                raised += usize::from(task == Task::Raise);
                lost = 0;
            } else {
                // Who is in step with others would go on losing to them.
                let pause = RETRY_PAUSE * 2_u32.pow(lost);
                block_on(SystemClock.sleep(pause.mul_f64(chance.below(1_000) as f64 / 1_000.0)));
                lost = (lost + 1).min(DOUBLINGS);
            }
        }
        Err(format!("the counter was not raised {RAISES} times in {TRIES} tries").into())
    }

    /// Changes packages that everybody changes until enough of it took effect.
    fn change_all(&self, writer: usize, changed: &AtomicUsize) -> Result<(), Failure> {
        let mut chance = Chance::new(self.seed, &[self.role.service as u64, self.role.attempts, 100 + writer as u64]);
        for _ in 0..TRIES {
            // Reserved before it is tried, so that threads together make no more than are wanted.
            let one_more = |changed| (changed < CHANGES).then_some(changed + 1);
            if changed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
                return Ok(());
            }
            let changes = self.choose(&mut chance)?;
            if self.attempt(Stage::Change, Task::Stage, changes)? != Ended::Committed {
                changed.fetch_sub(1, Ordering::Relaxed);
            }
        }
        Err(format!("{CHANGES} changes were not made in {TRIES} tries").into())
    }

    fn choose(&self, chance: &mut Chance) -> Result<Vec<Change>, Failure> {
        let get = |row: usize| block_on(self.db.get(&self.data.packages[row].id));
        let row = *chance.of(&self.plan.contested);
        let Some(noun) = get(row)? else {
            return Ok(vec![Change::Package { row, vector: row, touched: 0, when: When::Absent }]);
        };
        let when = When::in_version(noun.version);
        let note = || Change::Note { deleted: noun.id.to_string() };
        Ok(match chance.below(10) {
            0 => vec![Change::Delete { row, detach: true, when }, note()],
            1 => vec![Change::Delete { row, detach: false, when }, note()],
            2 | 3 if !self.data.touching[row].is_empty() => {
                let relation = *chance.of(&self.data.touching[row]);
                match block_on(self.db.get_verb(verb_id(self.data, relation)))? {
                    Some(verb) => vec![Change::Unrelate { relation, when: When::in_version(verb.version) }, note()],
                    None => vec![Change::Relate { relation, when: When::Absent }],
                }
            }
            4 | 5 => {
                let other = *chance.of(&self.plan.contested);
                let mut changes = vec![self.touch(chance, row, &noun)?];
                if let Some(noun) = get(other)?
                    && other != row
                {
                    changes.push(self.touch(chance, other, &noun)?);
                }
                changes
            }
            _ => vec![self.touch(chance, row, &noun)?],
        })
    }

    /// One change more, now and then with another package's vector.
    fn touch(&self, chance: &mut Chance, row: usize, noun: &Noun) -> Result<Change, Failure> {
        let touched = noun.metadata.to_value()["touched"].as_u64().ok_or("a package does not say how often it was changed")? + 1;
        let vector = if chance.below(3) == 0 { chance.below(self.data.packages.len()) } else { row };
        Ok(Change::Package { row, vector, touched, when: When::in_version(noun.version) })
    }

    /// Journals the attempt, sends it, journals its name, waits for its outcome, journals that.
    fn attempt(&self, stage: Stage, task: Task, changes: Vec<Change>) -> Result<Ended, Failure> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let mark = Mark { service: self.role.service, attempt };
        let operations = changes.iter().map(|change| change.operation(self.data, mark));
        let transaction = operations.fold(self.db.transaction(), |transaction, operation| transaction.push(operation));
        say(&Line::Attempt { attempt, stage, task, changes })?;
        let mut commit: Commit = transaction.submit()?;
        if let Some(op) = block_on(commit.op_id()) {
            say(&Line::Sent { attempt, op: op.to_string() })?;
        }
        let (outcome, resolved) = match outcome_of(block_on(commit.wait()).map(|receipt| (receipt.version, receipt.changed)))? {
            Found::Outcome(outcome) => (outcome, false),
            Found::Unknown(op) => {
                say(&Line::Unknown { attempt })?;
                (self.resolve(op)?, true)
            }
        };
        let ended = match outcome {
            Outcome::Committed(..) => Ended::Committed,
            Outcome::Conflict(..) => Ended::Conflict,
            Outcome::Withdrawn(_) => Ended::Withdrawn,
        };
        say(&if resolved { Line::Resolved { attempt, outcome } } else { Line::Ended { attempt, outcome } })?;
        if attempt.is_multiple_of(SPENT_EVERY) {
            self.say_spent()?;
        }
        Ok(ended)
    }

    /// What became of a write whose outcome nobody was told.
    fn resolve(&self, op: OpId) -> Result<Outcome, Failure> {
        for _ in 0..ASKS {
            let found = match block_on(self.db.resolve(op))? {
                Resolution::Committed(receipt) => outcome_of(Ok((receipt.version, receipt.changed)))?,
                Resolution::Rejected(error) => outcome_of(Err(error))?,
                _ => continue,
            };
            if let Found::Outcome(outcome) = found {
                return Ok(outcome);
            }
        }
        Err(format!("what became of {op} could not be found out").into())
    }

    fn search_until(&self, stage: Stage, over: &AtomicBool) -> Result<(), Failure> {
        let mut chance = Chance::new(self.seed, &[self.role.service as u64, self.role.attempts, 200 + stage as u64]);
        while !over.load(Ordering::Relaxed) {
            look_around(&self.db, self.data, &mut chance)?;
            self.searches.fetch_add(1, Ordering::Relaxed);
            block_on(SystemClock.sleep(SEARCH_PAUSE));
        }
        Ok(())
    }

    fn wait_for_index(&self) -> Result<(), Failure> {
        let begun = SystemClock.now();
        while self.db.index_pending() > 0 {
            if SystemClock.now().since(begun) > INDEX_WAIT {
                return Err(format!("{} vectors are still not in the index", self.db.index_pending()).into());
            }
            block_on(SystemClock.sleep(INDEX_PAUSE));
        }
        Ok(())
    }

    fn say_spent(&self) -> Result<(), Failure> {
        let usage = self.db.usage();
        let counts = [usage.get, usage.put, usage.list, usage.delete];
        say(&Line::Spent(Spent {
            requests: usage.requests(),
            reads: usage.get.requests() + usage.list.requests(),
            looks: usage.get.absent,
            up: counts.iter().map(|count| count.bytes_up).sum(),
            down: counts.iter().map(|count| count.bytes_down).sum(),
            lost_races: self.db.figures().lost_races,
            searches: self.searches.load(Ordering::Relaxed),
        }))
    }
}

enum Found {
    Outcome(Outcome),
    Unknown(OpId),
}

/// An answer of the store in the journal's words; an error that is no answer stays one.
fn outcome_of(result: Result<(brainy::Version, Option<u32>), Error>) -> Result<Found, Failure> {
    Ok(Found::Outcome(match result {
        Ok((version, changed)) => Outcome::Committed((version.seq.get(), version.ordinal), changed),
        Err(Error::Conflict { operation, reason, .. }) => Outcome::Conflict(operation as usize, format!("{reason:?}")),
        Err(Error::OutcomeUnknown { op }) => return Ok(Found::Unknown(op)),
        Err(Error::Withdrawn { reason, .. }) => Outcome::Withdrawn(reason.to_owned()),
        Err(error) => return Err(error.into()),
    }))
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().unwrap_or_else(|_| Err("a thread of the service panicked".into()))
}
