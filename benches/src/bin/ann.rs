//! Builds the index and sweeps `ef`, in the files and the JSON lines of the runners of other libraries, so that rounds of both can be interleaved.
//!
//! `cargo run --release -p brainy-benches --bin ann -- DATASET [--data target/ann/data] [--ef 10,20,40]`
//!
//! `DATA/DATASET.base.fbin`, `.query.fbin` and `.gtd.fbin` begin with two little-endian `u32`, rows and columns, then hold the rows' little-endian `f32`;
//! `gtd` has the exact squared L2 distances of each query's nearest rows, ascending. One thread, k = 10, squared L2. Before each round a line
//! with a number must come from standard input: it names the round, and lets another runner have the machine in between.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use brainy_core::{Clock, Metric, SystemClock};
use brainy_hnsw::{Hit, Index, Options};
use serde_json::json;

type Failure = Box<dyn Error + Send + Sync>;

const K: NonZeroUsize = NonZeroUsize::new(10).expect("not zero");
/// As many queries are timed as the other runners time.
const QUERIES: usize = 2_000;
/// One pass over the queries is repeated until so much time is spent, at most so often; the best pass counts.
const LEAST_TIME: Duration = Duration::from_millis(120);
const MOST_PASSES: usize = 20;
const EFS: [usize; 14] = [10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640, 800];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Table {
    columns: usize,
    values: Vec<f32>,
}

impl Table {
    fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let short = || format!("{} is cut off", path.display());
        let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes).ok_or_else(short);
        let (rows, columns) = (word(0)? as usize, word(4)? as usize);
        let values: Vec<f32> = bytes[8..].as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        if columns == 0 || values.len() != rows * columns { Err(short().into()) } else { Ok(Self { columns, values }) }
    }

    fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.columns)
    }
}

fn run() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let set = args.next().ok_or("ann DATASET [--data DIRECTORY] [--ef 10,20,40]")?;
    let (mut data, mut efs) = (PathBuf::from("target/ann/data"), EFS.to_vec());
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--data" => data = value.into(),
            "--ef" => efs = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    let read = |part: &str| Table::read(&data.join(format!("{set}.{part}.fbin")));
    let (base, queries, truth) = (read("base")?, read("query")?, read("gtd")?);

    let mut index = Index::new(base.columns, Metric::L2, Options::default())?;
    let (start, cpu) = (SystemClock.now(), cpu_time()?);
    for (key, row) in (0..).zip(base.rows()) {
        index.insert(key, row)?;
    }
    let common = |phase: &str, round: u64| {
        let options = index.options();
        json!({"lib": "brainy-hnsw", "dataset": set, "phase": phase, "M": options.m, "efc": options.ef_construction, "threads": 1,
               "round": round, "n": index.len(), "d": base.columns})
    };
    emit(
        common("build", 0),
        json!({"seconds": SystemClock.now().since(start).as_secs_f64(), "cpu_seconds": (cpu_time()? - cpu).as_secs_f64(),
        "bytes_per_vector": index.memory_bytes() / index.len()}),
    );

    let mut line = String::new();
    while std::io::stdin().read_line(&mut line)? > 0 {
        let round = line.trim().parse()?;
        line.clear();
        for &ef in &efs {
            let pass = || queries.rows().take(QUERIES).map(|query| index.search(query, K, ef)).collect::<Result<Vec<_>, _>>();
            let (mut best, mut best_cpu, mut spent, mut passes) = (Duration::MAX, Duration::MAX, Duration::ZERO, 0);
            let mut answers = Vec::new();
            while spent < LEAST_TIME && passes < MOST_PASSES {
                let (start, cpu) = (SystemClock.now(), cpu_time()?);
                answers = pass()?;
                let (took, took_cpu) = (SystemClock.now().since(start), cpu_time()? - cpu);
                (best, best_cpu) = (best.min(took), best_cpu.min(took_cpu));
                spent += took;
                passes += 1;
            }
            let asked = answers.len() as f64;
            emit(
                common("search", round),
                json!({"ef": ef, "k": K, "seconds": best.as_secs_f64(), "cpu_seconds": best_cpu.as_secs_f64(),
                "nq": answers.len(), "reps": passes, "qps": asked / best.as_secs_f64(), "qps_cpu": asked / best_cpu.as_secs_f64(),
                "recall": recall(&answers, &truth)}),
            );
        }
        emit(common("end", round), json!({}));
    }
    Ok(())
}

fn emit(common: serde_json::Value, more: serde_json::Value) {
    let (Some(mut fields), Some(more)) = (common.as_object().cloned(), more.as_object()) else { return };
    fields.extend(more.clone());
    println!("{}", serde_json::Value::Object(fields));
}

/// The share of answers as near as the exact tenth, within the tolerance that the other runners have.
fn recall(answers: &[Vec<Hit>], truth: &Table) -> f64 {
    let good: usize = answers
        .iter()
        .zip(truth.rows())
        .map(|(hits, exact)| hits.iter().filter(|hit| hit.distance <= exact[K.get() - 1] * (1.0 + 1e-5) + 1e-6).count())
        .sum();
    good as f64 / (answers.len() * K.get()) as f64
}

/// Processor time of this thread so far, from Linux's own account of it.
fn cpu_time() -> Result<Duration, Failure> {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = account.split(' ').next().ok_or("an empty account")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
