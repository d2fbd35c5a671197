//! What the library itself costs where the store answers at once: puts a second through encoding, group commit, log and apply of one handle on a memory store,
//! and puts a second that a fresh handle decodes and applies from that log.
//!
//! `cargo run --release -p brainy-benches --bin throughput -- [--puts 100000] [--nouns 20000] [--transaction 1] [--rounds 5] [--check]`
//!
//! A put has 384 components and 200 bytes of metadata; there is no vector index. One thread encodes and submits, one drives the committer; a fresh handle applies
//! on one thread and decodes on another. Rounds of both alternate, each write round on a new store. Every replica must end with equal digests and the nouns that were put.
//! `--check`: fails where the median misses a goal.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

use std::collections::VecDeque;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use brainy_benches::{DIMENSION, Random, Spread, measured_noun, put};
use brainy_coordination::{ChangeLog, Environment, LogOptions, NewStore, Outcome, Pending, Space, Spawn, Task, Transaction, create_store};
use brainy_core::{Clock, Metric, Moment, NounDraft, Operation, SystemClock, encode_operations};
use brainy_engine::{Engine, EngineOptions};
use brainy_storage::{InMemoryStore, Metered, Usage};
use futures_executor::block_on;

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "throughput [--puts 100000] [--nouns 20000] [--transaction 1] [--rounds 5] [--check]";
/// Puts a second that are to be written, and read, at least.
const GOALS: [f64; 2] = [100_000.0, 500_000.0];
/// Transactions in play at once: enough that the committer never waits for the next.
const IN_PLAY: usize = 4_096;
/// Different nouns' contents that are put in turn.
const CONTENTS: usize = 64;
/// Longer than any round.
const FAR: Duration = Duration::from_secs(1 << 20);

struct Plan {
    puts: usize,
    nouns: usize,
    /// Puts in each transaction.
    transaction: usize,
    rounds: usize,
    check: bool,
}

/// A store with a log that was written, and what its writer holds.
struct Written {
    store: Arc<Metered<InMemoryStore>>,
    log: ChangeLog<Engine>,
    puts_per_s: f64,
    usage: Usage,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match parse(&args) {
        Ok(plan) if run(&plan) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<Plan, Failure> {
    let mut plan = Plan { puts: 100_000, nouns: 20_000, transaction: 1, rounds: 5, check: false };
    let mut rest = args.iter();
    while let Some(name) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
        match name.as_str() {
            "--puts" => plan.puts = value()?.parse()?,
            "--nouns" => plan.nouns = value()?.parse()?,
            "--transaction" => plan.transaction = value()?.parse()?,
            "--rounds" => plan.rounds = value()?.parse()?,
            "--check" => plan.check = true,
            _ => return Err(format!("unknown argument {name}\n{USAGE}").into()),
        }
    }
    let whole = plan.transaction > 0 && plan.puts.is_multiple_of(plan.transaction) && plan.nouns.is_multiple_of(plan.transaction);
    if whole && plan.rounds > 0 && plan.nouns > 0 && plan.puts >= plan.nouns { Ok(plan) } else { Err(USAGE.into()) }
}

/// Whether the medians reach the goals, or nobody asked.
fn run(plan: &Plan) -> bool {
    let mut random = Random::new(1);
    let rows: Vec<Vec<f32>> = (0..CONTENTS).map(|_| random.row(DIMENSION)).collect();
    let contents: Vec<NounDraft> = rows.iter().map(|row| measured_noun("noun", row)).collect();
    let ids: Vec<_> = (0..plan.nouns).map(|at| measured_noun(&format!("noun-{at}"), &[0.0]).id).collect();
    let noun = |at: usize| {
        let mut noun = contents[at % CONTENTS].clone();
        noun.id = ids[at % plan.nouns].clone();
        noun
    };
    let (mut written, mut read) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        let wrote = write(plan, &noun);
        let puts_per_s = read_again(plan, &wrote);
        eprintln!("round {round}: {:.0} puts/s written, {puts_per_s:.0} puts/s read; {} slots", wrote.puts_per_s, wrote.log.position().seq);
        if round == plan.rounds {
            let Usage { put, get, .. } = &wrote.usage;
            println!("a round: {} PUT and {} GET requests, {} bytes up", put.requests(), get.requests(), put.bytes_up);
        }
        written.push(wrote.puts_per_s);
        read.push(puts_per_s);
    }
    let rows = [("written, group-committed and applied", written), ("decoded and applied from the log", read)];
    println!("| puts of {DIMENSION} components and 200 bytes of metadata, {} in a transaction | puts/s | goal |", plan.transaction);
    println!("| --- | --- | --- |");
    let mut reached = true;
    for ((what, rounds), goal) in rows.iter().zip(GOALS) {
        let spread = Spread::of(rounds);
        println!("| {what} | {spread:.0} | {goal:.0} |");
        reached &= spread.median >= goal;
    }
    reached || !plan.check
}

fn engine() -> Arc<Engine> {
    let options = EngineOptions::default().with_vector_index(false);
    Arc::new(Engine::new(brainy_engine::Space::new(DIMENSION, Metric::L2), options).expect("valid options"))
}

fn far() -> Moment {
    SystemClock.now().after(FAR)
}

fn write(plan: &Plan, noun: &dyn Fn(usize) -> NounDraft) -> Written {
    let store = Arc::new(Metered::new(Arc::new(InMemoryStore::new())));
    let environment = Environment::new(Arc::clone(&store) as _);
    block_on(create_store(&environment, &NewStore::new(vec![Space::nouns(DIMENSION as u32, Metric::L2)]), far())).expect("a new store");
    let log = block_on(ChangeLog::open(environment, engine(), LogOptions::default(), far())).expect("it was made above");
    let before = store.snapshot();
    let puts_per_s = std::thread::scope(|scope| {
        let committer = scope.spawn(|| block_on(log.run()));
        let begun = SystemClock.now();
        let mut in_play: VecDeque<Pending> = VecDeque::new();
        for first in (0..plan.puts).step_by(plan.transaction) {
            if in_play.len() == IN_PLAY {
                in_play.pop_front().into_iter().for_each(decided);
            }
            let operations: Vec<Operation> = (first..first + plan.transaction).map(|at| put(noun(at))).collect();
            let transaction = Transaction::payload(encode_operations(&operations));
            in_play.push_back(log.submit(&transaction, far()).expect("the queue has room"));
        }
        in_play.into_iter().for_each(decided);
        let took = SystemClock.now().since(begun);
        assert!(block_on(log.close(far())).is_empty(), "everything was decided");
        committer.join().expect("it does not panic").expect("nothing fails");
        plan.puts as f64 / took.as_secs_f64()
    });
    Written { usage: store.snapshot().since(&before), store, log, puts_per_s }
}

fn decided(pending: Pending) {
    let outcome = block_on(pending.outcome()).expect("nothing fails");
    assert!(matches!(outcome, Outcome::Committed(_)), "nothing refuses a put without conditions: {outcome:?}");
}

/// Each task on a thread of its own.
#[derive(Debug)]
struct Threads;

impl Spawn for Threads {
    fn spawn(&self, task: Task) {
        std::thread::spawn(move || block_on(task));
    }
}

/// Opens the log anew, which decodes and applies all of it.
fn read_again(plan: &Plan, written: &Written) -> f64 {
    let begun = SystemClock.now();
    let environment = Environment::new(Arc::clone(&written.store) as _);
    let log =
        block_on(ChangeLog::open(environment, engine(), LogOptions::default().with_read_only(true).with_decoder(Arc::new(Threads)), far()))
            .expect("it is there");
    let took = SystemClock.now().since(begun);
    let digests = |log: &ChangeLog<Engine>| block_on(log.digests()).expect("replicas agree");
    assert_eq!(digests(&log), digests(&written.log), "a replica holds what its writer holds");
    assert_eq!(log.machine().statistics().nouns, plan.nouns as u64);
    plan.puts as f64 / took.as_secs_f64()
}
