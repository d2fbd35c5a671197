//! How soon another process sees a commit in a directory, with file-system events and by polling alone.
//!
//! `cargo run --release -p brainy-benches --bin wake-ups -- --directory /tmp/bench [--rounds 3] [--often 60] [--seldom 8]`
//!
//! One process commits, another follows and says whenever its position changes; from the acknowledgement to that line's arrival counts. `often`: so many commits,
//! 0 to 600 ms apart, so that the follower looks often anyway; `seldom`: so many, 6.5 to 11.5 s apart, longer than it takes the follower to come to its longest
//! pause. Settings are interleaved in each round, each on a store of its own. Requests are the follower's.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use brainy::{Brainy, Metric, Mode, NounDraft, NounId, TypeName};
use brainy_benches::{Spread, percentile};
use brainy_core::{Clock, Entropy, Moment, SeededEntropy, SystemClock};
use futures_executor::block_on;

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "wake-ups --directory PATH [--rounds 3] [--often 60] [--seldom 8]";
/// The first argument of the process that follows.
const FOLLOWER: &str = "follower";
/// How long a line of the follower may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the follower compares its position with the last it said.
const GLANCE: Duration = Duration::from_micros(200);

/// Commits so many times after pauses between these, in seconds.
#[derive(Clone, Copy)]
struct Habit {
    name: &'static str,
    commits: u64,
    pause: (f64, f64),
}

struct Row {
    habit: Habit,
    events: bool,
    rounds: Vec<Round>,
}

struct Round {
    /// In microseconds, ascending.
    delays: Vec<u64>,
    requests: f64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = if args.first().is_some_and(|first| first == FOLLOWER) { follow(&args[1..]) } else { run(&args) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Failure> {
    let (mut directory, mut rounds, mut often, mut seldom) = (None, 3_u64, 60, 8);
    let mut rest = args.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        match name.as_str() {
            "--directory" => directory = Some(value.clone()),
            "--rounds" => rounds = value.parse()?,
            "--often" => often = value.parse()?,
            "--seldom" => seldom = value.parse()?,
            _ => return Err(format!("unknown argument {name}\n{USAGE}").into()),
        }
    }
    let directory = directory.ok_or(USAGE)?;
    let habits =
        [Habit { name: "often", commits: often, pause: (0.0, 0.6) }, Habit { name: "seldom", commits: seldom, pause: (6.5, 11.5) }];
    let mut rows: Vec<Row> = Vec::new();
    for habit in habits {
        rows.extend([true, false].map(|events| Row { habit, events, rounds: Vec::new() }));
    }
    let folder = format!("{directory}/wake-ups-{}-{}", SystemClock.wall_ms(), std::process::id());
    for round in 1..=rounds {
        for (number, row) in rows.iter_mut().enumerate() {
            let url = format!("file://{folder}/{round}-{number}");
            let done = measure(&url, row.habit, row.events, round)?;
            let median = percentile(&done.delays, 0.5) as f64 / 1_000.0;
            println!("round {round}, {}, events {}: median {median:.1} ms", row.habit.name, row.events);
            row.rounds.push(done);
        }
    }
    std::fs::remove_dir_all(&folder)?;
    print_table(&rows);
    Ok(())
}

/// The follower's process, killed when the runner lets go of it.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

fn measure(url: &str, habit: Habit, events: bool, seed: u64) -> Result<Round, Failure> {
    let writer = block_on(Brainy::builder(url).dimension(1).metric(Metric::L2).mode(Mode::WriteOnly).follow(false).create())?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([FOLLOWER, url, &events.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut input = child.stdin.take().expect("it is piped");
    let _follower = Follower(child);
    let (sender, said) = channel::<(Moment, String)>();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if sender.send((SystemClock.now(), line)).is_err() {
                break;
            }
        }
    });
    await_line(&said, "ready")?;
    let entropy = SeededEntropy::new(seed);
    let mut delays = Vec::new();
    for number in 0..habit.commits {
        let (least, most) = habit.pause;
        block_on(SystemClock.sleep(Duration::from_secs_f64(least + (most - least) * entropy.fraction())));
        let item = NounDraft::new(NounId::new(format!("n{number}"))?, TypeName::new("commit")?);
        let receipt = block_on(writer.put(item))?;
        let acknowledged = SystemClock.now();
        let seen = await_line(&said, &receipt.token.seq.to_string())?;
        delays.push(u64::try_from(seen.since(acknowledged).as_micros())?);
    }
    input.write_all(b"end\n")?;
    let (_, line) = said.recv_timeout(PATIENCE)?;
    delays.sort_unstable();
    Ok(Round { delays, requests: line.trim().parse::<f64>()? / habit.commits as f64 })
}

/// When the follower said this.
fn await_line(said: &Receiver<(Moment, String)>, expected: &str) -> Result<Moment, Failure> {
    let (at, line) = said.recv_timeout(PATIENCE)?;
    if line == expected { Ok(at) } else { Err(format!("the follower said {line:?} instead of {expected:?}").into()) }
}

/// What the started process does.
fn follow(args: &[String]) -> Result<(), Failure> {
    let [url, events] = args else { return Err("a follower is started by the runner".into()) };
    let db = block_on(Brainy::builder(url).mode(Mode::ReadOnly).file_events(events.parse()?).open())?;
    let say = |text: String| {
        println!("{text}");
        std::io::stdout().flush()
    };
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        drop(std::io::stdin().read_line(&mut line));
        sender.send(()).ok();
    });
    let before = db.usage();
    say("ready".into())?;
    let mut known = db.position().seq;
    while ended.try_recv().is_err() {
        let seq = db.position().seq;
        if seq > known {
            say(seq.to_string())?;
            known = seq;
        }
        block_on(SystemClock.sleep(GLANCE));
    }
    Ok(say(db.usage().since(&before).requests().to_string())?)
}

fn print_table(rows: &[Row]) {
    println!();
    println!("| commits | file events | median ms | p90 ms | longest ms | requests a commit |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for Row { habit, events, rounds } in rows {
        let spread = |value: &dyn Fn(&Round) -> f64| Spread::of(&rounds.iter().map(value).collect::<Vec<_>>());
        let delay = |share: f64| spread(&|round| percentile(&round.delays, share) as f64 / 1_000.0);
        let requests = spread(&|round| round.requests);
        let events = if *events { "yes" } else { "no" };
        println!("| {} | {events} | {} | {} | {} | {requests} |", habit.name, delay(0.5), delay(0.9), delay(1.0));
    }
    println!();
    println!("medians of the rounds (least–most)");
}
