//! What any number of writers on one log get, wait and pay, with helping and with plain numbered slots, in virtual time.
//!
//! `cargo run --release -p brainy-benches --bin contention -- [--writers 1,2,4,8,16,32,64] [--think-ms 0,300,1000] [--protocols helping,plain]`
//! `  [--seeds 1,2,3,4,5] [--seconds N] [--threads N] [--json] [--check]`
//!
//! Each writer has one batch of ten puts in play (384 components, 200 bytes of metadata) and does not follow the log but by its own commits. Committers, codec and
//! log are those that ship; what is replicated is counted only. Requests take log-normal times like S3's; both protocols draw from the same streams. 120 virtual
//! seconds without think time, 300 with. `--json`: one line for each setting and protocol as soon as its seeds are done, else a table at the end. On standard
//! error: progress, then every goal that these settings can be held to and whether it is met. `--check`: fails where one is missed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brainy_benches::{Contest, Contested, Protocol, Spread, contest, percentile};
use brainy_coordination::Constants;
use brainy_storage::Usage;
use brainy_testkit::Latencies;
use serde_json::{Map, Value, json};

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "contention [--writers 1,2,4,8,16,32,64] [--think-ms 0,300,1000] [--protocols helping,plain] [--seeds 1,2,3,4,5] [--seconds N] [--threads N] [--json] [--check]";
/// Virtual seconds without think time, and with.
const SECONDS: [u64; 2] = [120, 300];

struct Plan {
    writers: Vec<usize>,
    think_ms: Vec<u64>,
    protocols: Vec<Protocol>,
    seeds: Vec<u64>,
    seconds: Option<u64>,
    threads: usize,
    json: bool,
    check: bool,
}

/// A number of writers, the mean think time in ms, and the protocol.
type Setting = (u64, usize, Protocol);

/// What the seeds of one setting gave.
struct Row {
    writers: usize,
    think_ms: u64,
    protocol: Protocol,
    batches_per_s: Spread,
    p50_ms: Spread,
    p99_ms: Spread,
    max_ms: Spread,
    put_per_batch: Spread,
    get_per_batch: Spread,
    list_per_batch: Spread,
    usd_per_million_batches: Spread,
    max_slots_waited: u64,
}

/// One condition on the rows, and whether they meet it.
struct Goal {
    what: String,
    got: f64,
    limit: f64,
    met: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match parse(&args).map(|plan| run(&plan)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<Plan, Failure> {
    let mut plan = Plan {
        writers: vec![1, 2, 4, 8, 16, 32, 64],
        think_ms: vec![0, 300, 1000],
        protocols: vec![Protocol::Plain, Protocol::Helping],
        seeds: (1..=5).collect(),
        seconds: None,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        json: false,
        check: false,
    };
    let mut rest = args.iter();
    while let Some(name) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
        match name.as_str() {
            "--writers" => plan.writers = numbers(value()?)?,
            "--think-ms" => plan.think_ms = numbers(value()?)?,
            "--seeds" => plan.seeds = numbers(value()?)?,
            "--seconds" => plan.seconds = Some(value()?.parse()?),
            "--threads" => plan.threads = value()?.parse()?,
            "--protocols" => plan.protocols = value()?.split(',').map(protocol).collect::<Result<_, _>>()?,
            "--json" => plan.json = true,
            "--check" => plan.check = true,
            _ => return Err(format!("unknown argument {name}\n{USAGE}").into()),
        }
    }
    let some = !plan.writers.is_empty() && !plan.think_ms.is_empty() && !plan.seeds.is_empty() && !plan.protocols.is_empty();
    let sound = some && plan.threads > 0 && plan.seconds != Some(0) && plan.writers.iter().all(|writers| *writers > 0);
    if sound { Ok(plan) } else { Err(USAGE.into()) }
}

fn numbers<T: std::str::FromStr<Err = std::num::ParseIntError>>(list: &str) -> Result<Vec<T>, Failure> {
    Ok(list.split(',').map(str::parse).collect::<Result<_, _>>()?)
}

fn protocol(name: &str) -> Result<Protocol, Failure> {
    let known = [Protocol::Helping, Protocol::Plain].into_iter().find(|known| known.name() == name);
    known.ok_or_else(|| format!("{name:?} is neither helping nor plain").into())
}

/// Whether every goal is met, or none was asked for.
fn run(plan: &Plan) -> bool {
    let mut settings: Vec<Setting> = Vec::new();
    for &think in &plan.think_ms {
        for &writers in &plan.writers {
            settings.extend(plan.protocols.iter().map(|&protocol| (think, writers, protocol)));
        }
    }
    let rows = measure(plan, &settings);
    if !plan.json {
        print_table(&rows);
    }
    let goals = goals(&rows);
    let missed = goals.iter().filter(|goal| !goal.met).count();
    for goal in &goals {
        let Goal { what, got, limit, met } = goal;
        eprintln!("{} {what}: {got:.3}, limit {limit:.3}", if *met { "met   " } else { "MISSED" });
    }
    eprintln!("{missed} of {} goals missed", goals.len());
    missed == 0 || !plan.check
}

/// Every setting with every seed, on as many threads as allowed; the largest contests first, so that no thread is left with one at the end. With `--json` a
/// setting's line is printed as soon as its seeds are done. The rows come in the order of the settings.
fn measure(plan: &Plan, settings: &[Setting]) -> Vec<Row> {
    let mut work: Vec<(Setting, u64)> = settings.iter().flat_map(|setting| plan.seeds.iter().map(|seed| (*setting, *seed))).collect();
    work.sort_by_key(|((_, writers, protocol), _)| (std::cmp::Reverse(*writers), protocol.name()));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Found::default()));
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.min(work.len()) {
            scope.spawn(|| {
                while let Some(&(setting, seed)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (think, writers, protocol) = setting;
                    let (think, span) = (Duration::from_millis(think), Duration::from_secs(seconds(plan, think)));
                    let contested = contest(&Contest { protocol, writers, think, span, seed, latencies: Latencies::S3 });
                    let mut found = found.lock().expect("no thread panics while it holds this lock");
                    found.take(plan, setting, contested);
                    eprintln!(
                        "{}/{} {} writers, think {} ms, {}, seed {seed}",
                        found.done,
                        work.len(),
                        writers,
                        setting.0,
                        protocol.name()
                    );
                }
            });
        }
    });
    let mut rows = found.into_inner().expect("every thread ended").rows;
    settings.iter().map(|setting| rows.remove(setting).expect("every setting ran")).collect()
}

/// What came out so far.
#[derive(Default)]
struct Found {
    done: usize,
    seeds: BTreeMap<Setting, Vec<Contested>>,
    rows: BTreeMap<Setting, Row>,
}

impl Found {
    fn take(&mut self, plan: &Plan, setting: Setting, contested: Contested) {
        self.done += 1;
        let seeds = self.seeds.entry(setting).or_default();
        seeds.push(contested);
        if seeds.len() < plan.seeds.len() {
            return;
        }
        let row = row(plan, setting, &self.seeds.remove(&setting).unwrap_or_default());
        if plan.json {
            println!("{}", row.to_json());
        }
        self.rows.insert(setting, row);
    }
}

fn seconds(plan: &Plan, think_ms: u64) -> u64 {
    plan.seconds.unwrap_or(SECONDS[usize::from(think_ms > 0)])
}

fn row(plan: &Plan, (think_ms, writers, protocol): Setting, seeds: &[Contested]) -> Row {
    let of = |value: &dyn Fn(&Contested) -> f64| Spread::of(&seeds.iter().map(value).collect::<Vec<_>>());
    let batches = |one: &Contested| one.waits.len() as f64;
    let each = |requests: fn(&Usage) -> u64| of(&move |one| one.requests(requests) as f64 / batches(one));
    let wait = |share| of(&move |one| percentile(&one.waits, share) as f64 / 1e3);
    Row {
        writers,
        think_ms,
        protocol,
        batches_per_s: of(&|one| batches(one) / seconds(plan, think_ms) as f64),
        p50_ms: wait(0.5),
        p99_ms: wait(0.99),
        max_ms: wait(1.0),
        put_per_batch: each(|usage| usage.put.requests()),
        get_per_batch: each(|usage| usage.get.requests()),
        list_per_batch: each(|usage| usage.list.requests()),
        usd_per_million_batches: of(&|one| one.dollars() * 1e6 / batches(one)),
        max_slots_waited: seeds.iter().map(|one| one.max_slots_waited).max().expect("a seed at least"),
    }
}

impl Row {
    fn spreads(&self) -> [(&'static str, Spread); 8] {
        [
            ("batches_per_s", self.batches_per_s),
            ("p50_ms", self.p50_ms),
            ("p99_ms", self.p99_ms),
            ("max_ms", self.max_ms),
            ("put_per_batch", self.put_per_batch),
            ("get_per_batch", self.get_per_batch),
            ("list_per_batch", self.list_per_batch),
            ("usd_per_million_batches", self.usd_per_million_batches),
        ]
    }

    /// Medians under their names, and the least and greatest of the seeds under `spread`; the slots waited are the most of all seeds.
    fn to_json(&self) -> Value {
        let mut line = Map::new();
        line.insert("protocol".into(), json!(self.protocol.name()));
        line.insert("writers".into(), json!(self.writers));
        line.insert("think_ms".into(), json!(self.think_ms));
        let mut spreads = Map::new();
        for (name, spread) in self.spreads() {
            line.insert(name.into(), json!(rounded(spread.median)));
            spreads.insert(name.into(), json!([rounded(spread.least), rounded(spread.most)]));
        }
        line.insert("max_slots_waited".into(), json!(self.max_slots_waited));
        line.insert("spread".into(), Value::Object(spreads));
        Value::Object(line)
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn print_table(rows: &[Row]) {
    println!("| writers | think ms | protocol | batches/s | p50 ms | p99 ms | max ms | PUT | GET | LIST | $ per million | slots waited |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let [rate, p50, p99, max, put, get, list, usd] = row.spreads().map(|(_, spread)| spread);
        println!(
            "| {} | {} | {} | {rate:.1} | {p50:.0} | {p99:.0} | {max:.0} | {put:.2} | {get:.2} | {list:.2} | {usd:.1} | {} |",
            row.writers,
            row.think_ms,
            row.protocol.name(),
            row.max_slots_waited
        );
    }
    println!();
    println!("| writers | think ms | helping by plain: batches/s | $ | p99 | p50 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (plain, helping) in pairs(rows) {
        let by = |value: fn(&Row) -> Spread| value(helping).median / value(plain).median;
        println!(
            "| {} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
            plain.writers,
            plain.think_ms,
            by(|row| row.batches_per_s),
            by(|row| row.usd_per_million_batches),
            by(|row| row.p99_ms),
            by(|row| row.p50_ms)
        );
    }
}

/// The plain and the helping row of each setting that has both.
fn pairs(rows: &[Row]) -> impl Iterator<Item = (&Row, &Row)> {
    rows.iter().filter(|row| row.protocol == Protocol::Plain).filter_map(|plain| {
        let same = |row: &&Row| (row.protocol, row.writers, row.think_ms) == (Protocol::Helping, plain.writers, plain.think_ms);
        Some((plain, rows.iter().find(same)?))
    })
}

/// The goals that these rows can be held to; all compare medians.
fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let at_least = |what: String, got: f64, limit: f64| Goal { what, got, limit, met: got >= limit };
    let at_most = |what: String, got: f64, limit: f64| Goal { what, got, limit, met: got <= limit };
    for row in rows.iter().filter(|row| (row.protocol, row.writers, row.think_ms) == (Protocol::Helping, 64, 0)) {
        goals.push(at_least("64 writers, batches/s".into(), row.batches_per_s.median, 150.0));
        goals.push(at_most("64 writers, p99 ms".into(), row.p99_ms.median, 800.0));
        goals.push(at_most("64 writers, PUT a batch".into(), row.put_per_batch.median, 1.3));
        goals.push(at_most("64 writers, LIST a batch".into(), row.list_per_batch.median, 0.5));
    }
    for row in rows.iter().filter(|row| row.protocol == Protocol::Helping) {
        let bound = Constants::SCAN_SLOTS + (row.writers as u64 - 1).div_ceil(15);
        goals.push(at_most(
            format!("{} writers, think {}, slots waited", row.writers, row.think_ms),
            row.max_slots_waited as f64,
            bound as f64,
        ));
    }
    for (plain, helping) in pairs(rows) {
        let name = |what: &str| format!("{} writers, think {}, {what}", plain.writers, plain.think_ms);
        let by = |value: fn(&Row) -> Spread| value(helping).median / value(plain).median;
        let (rate, usd, p99) = (by(|row| row.batches_per_s), by(|row| row.usd_per_million_batches), by(|row| row.p99_ms));
        if plain.writers == 1 {
            goals.push(at_most(name("PUT a batch"), helping.put_per_batch.median, 1.001));
            goals.push(at_most(name("LIST a batch"), helping.list_per_batch.median, 1.0 / Constants::SCAN_SLOTS as f64 + 0.001));
            goals.push(at_least(name("rate by plain"), rate, 0.92));
            let put_ms = Latencies::S3.put.median.as_secs_f64() * 1e3;
            goals.push(at_most(name("p50 by the median PUT"), helping.p50_ms.median / put_ms, 1.3));
        } else {
            let [least, most_usd, most_p99] = if plain.writers < 32 { [0.95, 1.25, 1.3] } else { [1.0; 3] };
            goals.push(at_least(name("rate by plain"), rate, least));
            goals.push(at_most(name("dollars by plain"), usd, most_usd));
            goals.push(at_most(name("p99 by plain"), p99, most_p99));
        }
    }
    goals
}
