//! Commits per second and requests per commit of several processes on one store.
//!
//! `cargo run --release -p brainy-benches --bin commits -- --store memory=memory://bench --store directory=file:///tmp/bench`
//! `  [--store NAME=URL]… [--processes 1,4,16] [--seconds 10] [--rounds 3]`
//!
//! Every process commits one small transaction after the other, without a pause: a noun of its own, and at every 16th turn a raise of one counter that
//! all share. Each setting of a round gets a store of its own below the URL; the rounds are interleaved. At the end of each the store must
//! hold exactly what was acknowledged. On `memory://` the processes are threads of one process, each with a handle of its own. A process follows the log
//! only by its own commits, and keeps no vector index.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Barrier;
use std::time::Duration;

use brainy::{Brainy, Freshness, Mode};
use brainy_benches::{COUNTER, Share, Spread, counter, percentile, work};
use brainy_core::{Clock, SystemClock};
use futures_executor::block_on;

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "commits --store NAME=URL… [--processes 1,4,16] [--seconds 10] [--rounds 3]";
/// The first argument of a process that the runner starts.
const INSTANCE: &str = "instance";
/// How long a process has to open its store.
const START_LIMIT: Duration = Duration::from_secs(60);

struct Plan {
    stores: Vec<(String, String)>,
    processes: Vec<usize>,
    seconds: f64,
    rounds: usize,
}

/// One setting, and what each round of it gave.
struct Row {
    name: String,
    processes: usize,
    rounds: Vec<Round>,
}

struct Round {
    total: Share,
    /// Commits of the instance that got fewest, and of the one that got most.
    least: u64,
    most: u64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = if args.first().is_some_and(|first| first == INSTANCE) { instance(&args[1..]) } else { run(&args) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<Plan, Failure> {
    let mut plan = Plan { stores: Vec::new(), processes: vec![1, 4, 16], seconds: 10.0, rounds: 3 };
    let mut rest = args.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        match name.as_str() {
            "--store" => {
                let (name, url) = value.split_once('=').ok_or_else(|| format!("--store NAME=URL, not {value:?}"))?;
                plan.stores.push((name.to_owned(), url.to_owned()));
            }
            "--processes" => plan.processes = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--seconds" => plan.seconds = value.parse()?,
            "--rounds" => plan.rounds = value.parse()?,
            _ => return Err(format!("unknown argument {name}\n{USAGE}").into()),
        }
    }
    let sound = plan.seconds > 0.0 && plan.rounds > 0 && !plan.stores.is_empty() && plan.processes.iter().all(|count| *count > 0);
    if sound { Ok(plan) } else { Err(USAGE.into()) }
}

fn run(args: &[String]) -> Result<(), Failure> {
    let plan = parse(args)?;
    let mut rows = Vec::new();
    for (name, _) in &plan.stores {
        rows.extend(plan.processes.iter().map(|&processes| Row { name: name.clone(), processes, rounds: Vec::new() }));
    }
    let run = format!("{}-{}", SystemClock.wall_ms(), std::process::id());
    for round in 1..=plan.rounds {
        let mut row = rows.iter_mut();
        for (name, url) in &plan.stores {
            for &processes in &plan.processes {
                let url = below(url, &format!("commits-{run}/round-{round}-of-{processes}"));
                let done = measure(&url, processes, Duration::from_secs_f64(plan.seconds))
                    .map_err(|error| format!("{name}, {processes} processes, round {round}: {error}"))?;
                let rate = done.total.in_time as f64 / plan.seconds;
                println!(
                    "round {round}, {name}, {processes}: {rate:.0} commits/s, {} acknowledged and counted, {} conflicts, {} failures",
                    done.total.commits(),
                    done.total.conflicts,
                    done.total.failures
                );
                row.next().expect("a row was made for each setting").rounds.push(done);
            }
        }
        for (_, url) in &plan.stores {
            if let Some(folder) = below(url, &format!("commits-{run}")).strip_prefix("file://") {
                std::fs::remove_dir_all(folder)?;
            }
        }
    }
    print_table(&rows, plan.seconds);
    Ok(())
}

/// The URL of a folder below a store's, before what may stand behind a question mark.
fn below(url: &str, folder: &str) -> String {
    let (path, settings) = url.split_at(url.find('?').unwrap_or(url.len()));
    format!("{}/{folder}{settings}", path.trim_end_matches('/'))
}

fn measure(url: &str, processes: usize, span: Duration) -> Result<Round, Failure> {
    let maker = block_on(Brainy::builder(url).dimension(1).mode(Mode::WriteOnly).follow(false).create())?;
    block_on(maker.put(counter(0)))?;
    let shares = if url.starts_with("memory://") { threads(url, processes, span)? } else { children(url, processes, span)? };
    let (least, most) = shares.iter().map(Share::commits).fold((u64::MAX, 0), |(least, most), one| (least.min(one), most.max(one)));
    let total = shares.into_iter().fold(Share::default(), Share::and);

    // What was acknowledged is there, and nothing else.
    let maker = maker.with_freshness(Freshness::Latest);
    let nouns = block_on(maker.statistics())?.statistics.nouns;
    let counted = block_on(maker.get(COUNTER))?.ok_or("the counter is gone")?.metadata.to_value()["value"].as_u64();
    if (nouns, counted) != (total.nouns + 1, Some(total.raises)) {
        let (made, raised) = (total.nouns, total.raises);
        return Err(format!(
            "the store holds {nouns} nouns and counts {counted:?}; acknowledged were {made} and the counter, and {raised} raises"
        )
        .into());
    }
    block_on(maker.close(Duration::from_secs(5)));
    Ok(Round { total, least, most })
}

async fn open(url: &str) -> Result<Brainy, brainy::Error> {
    Brainy::builder(url).mode(Mode::WriteOnly).follow(false).probe(false).open().await
}

fn threads(url: &str, count: usize, span: Duration) -> Result<Vec<Share>, Failure> {
    let start = Barrier::new(count);
    let share = |instance| {
        let opened = block_on(open(url));
        // Also without a handle: the others wait.
        start.wait();
        block_on(async { work(&opened?, instance, span).await })
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..count).map(|instance| scope.spawn(move || share(instance))).collect();
        running.into_iter().map(|thread| Ok(thread.join().map_err(|_| "an instance panicked")??)).collect()
    })
}

/// A process of the runner's own, killed if the runner gives up.
struct Instance {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // One that has ended needs no end; whoever gives up has an error of its own to tell.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

impl Instance {
    fn start(url: &str, instance: usize, span: Duration) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([INSTANCE, url, &instance.to_string(), &span.as_secs_f64().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Self { child, output })
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("an instance ended early; its own message is above".into()),
            _ => Ok(line),
        }
    }
}

fn children(url: &str, count: usize, span: Duration) -> Result<Vec<Share>, Failure> {
    let mut running = (0..count).map(|instance| Instance::start(url, instance, span)).collect::<Result<Vec<_>, _>>()?;
    for instance in &mut running {
        if instance.line()?.trim() != "ready" {
            return Err("an instance said something else than that it is ready".into());
        }
    }
    for instance in &mut running {
        instance.child.stdin.take().expect("it is piped, and taken once").write_all(b"go\n")?;
    }
    // Each is read by a thread of its own: a pipe holds less than an instance may say.
    std::thread::scope(|scope| {
        let readers: Vec<_> = running.iter_mut().map(|instance| scope.spawn(|| instance.line())).collect();
        readers
            .into_iter()
            .map(|reader| {
                let line = reader.join().map_err(|_| "a reader panicked")??;
                Share::from_line(&line).ok_or_else(|| format!("an instance said {line:?}").into())
            })
            .collect()
    })
}

/// What a started process does.
fn instance(args: &[String]) -> Result<(), Failure> {
    let [url, instance, seconds] = args else { return Err("an instance is started by the runner".into()) };
    let db = block_on(open(url))?.with_deadline(START_LIMIT);
    println!("ready");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() != "go" {
        return Ok(());
    }
    let share = block_on(work(&db, instance.parse()?, Duration::from_secs_f64(seconds.parse()?)))?;
    block_on(db.close(Duration::from_secs(5)));
    println!("{}", share.to_line());
    Ok(())
}

fn print_table(rows: &[Row], seconds: f64) {
    println!();
    println!("| store | processes | commits/s | p50 ms | p99 ms | PUT | GET | LIST | lost races | bytes up | conflicts | least/most |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for Row { name, processes, rounds } in rows {
        let spread = |value: &dyn Fn(&Round) -> f64| Spread::of(&rounds.iter().map(value).collect::<Vec<_>>());
        let a_commit = |value: &dyn Fn(&Share) -> u64| spread(&|round| value(&round.total) as f64 / round.total.commits() as f64);
        let latency = |share: f64| {
            spread(&|round| {
                let mut sorted = round.total.latencies.clone();
                sorted.sort_unstable();
                percentile(&sorted, share) as f64 / 1_000.0
            })
        };
        println!(
            "| {name} | {processes} | {} | {} | {} | {} | {} | {} | {} | {:.0} | {} | {} |",
            spread(&|round| round.total.in_time as f64 / seconds),
            latency(0.5),
            latency(0.99),
            a_commit(&|share| share.puts),
            a_commit(&|share| share.gets),
            a_commit(&|share| share.lists),
            a_commit(&|share| share.lost_races),
            a_commit(&|share| share.bytes_up),
            a_commit(&|share| share.conflicts),
            spread(&|round| round.least as f64 / round.most as f64),
        );
    }
    println!();
    println!(
        "medians of the rounds (least–most); PUT to conflicts are for one acknowledged commit; least/most: commits of the instance that got fewest by those of the one that got most"
    );
}
