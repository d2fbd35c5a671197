//! `sim`: runs seeds, or breaks rules, and says what came of it. `cargo xtask sim` builds and starts it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to people")]

use std::process::ExitCode;

use brainy_coordination::internals::Mutant;
use brainy_sim::{
    Connect, Crash, Failed, Fault, KeyKind, Settings, Sweep, WentBack, crash_at, crash_everywhere, fast, http, mutants, reachable,
    run_seed, sweep,
};
use serde_json::{Value, json};

const HELP: &str = "\
sim [--seeds N|A..B] [--store fast|http] [--least N] [--requests N] [--trace] [--json]
sim --mutants [--only NAME] [--json]
sim --crashes [--seeds N|A..B] [--only SIDE@REQUEST] [--store fast|http] [--json]

  --seeds N|A..B   seeds 0 to N, or A to B (without B); 200 if not said
  --store fast     over the fast store; the default
  --store http     over the simulated S3, with the real client above it: some three times slower
  --least N        fail if a fault met a kind of key that it can reach fewer than N times
  --requests N     fail if there were fewer requests than N
  --trace          print what happens; for one seed
  --mutants        break each rule in turn and show which promise notices
  --only NAME      only this rule
  --crashes        crash and restart at every request of each of the fixed runs; 2 of them if not said
  --json           one JSON object instead of text
";
/// So many violations are printed in full.
const SHOWN: usize = 20;

struct Wanted {
    from: u64,
    to: u64,
    least: u64,
    requests: u64,
    json: bool,
    trace: bool,
    mutants: bool,
    crashes: bool,
    seeds_said: bool,
    only: Option<String>,
    http: bool,
}

impl Wanted {
    fn connect(&self) -> Connect {
        if self.http { http() } else { fast() }
    }

    /// What was said of the store, for whoever repeats a run.
    fn store(&self) -> &'static str {
        if self.http { " --store http" } else { "" }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let wanted = match parse(&words) {
        Ok(wanted) => wanted,
        Err(wrong) => {
            eprintln!("sim: {wrong}\n\n{HELP}");
            return ExitCode::FAILURE;
        }
    };
    let good = if wanted.crashes {
        run_crashes(&wanted)
    } else if wanted.mutants {
        run_mutants(&wanted)
    } else if wanted.trace {
        run_traced(&wanted)
    } else {
        run_sweep(&wanted)
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(words: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        from: 0,
        to: 200,
        least: 0,
        requests: 0,
        json: false,
        trace: false,
        mutants: false,
        crashes: false,
        seeds_said: false,
        only: None,
        http: false,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text} is not a number"));
        match word.as_str() {
            "--crashes" => wanted.crashes = true,
            "--seeds" => {
                wanted.seeds_said = true;
                let text = value()?;
                (wanted.from, wanted.to) = match text.split_once("..") {
                    Some((from, to)) => (number(from)?, number(to)?),
                    None => (0, number(text)?),
                };
            }
            "--store" => match value()?.as_str() {
                "fast" => wanted.http = false,
                "http" => wanted.http = true,
                other => return Err(format!("{other} is no store of the simulator")),
            },
            "--least" => wanted.least = number(value()?)?,
            "--requests" => wanted.requests = number(value()?)?,
            "--json" => wanted.json = true,
            "--trace" => wanted.trace = true,
            "--mutants" => wanted.mutants = true,
            "--only" => wanted.only = Some(value()?.clone()),
            other => return Err(format!("{other} is not understood")),
        }
    }
    Ok(wanted)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get)
}

fn run_traced(wanted: &Wanted) -> bool {
    let mut good = true;
    for seed in wanted.from..wanted.to {
        let report = run_seed(seed, Settings { words: true }, &wanted.connect());
        report.words.iter().for_each(|line| println!("{line}"));
        for violation in &report.violations {
            println!("seed {seed}: {}: {}", violation.property, violation.text);
        }
        good &= report.violations.is_empty();
    }
    good
}

fn run_crashes(wanted: &Wanted) -> bool {
    let to = if wanted.seeds_said { wanted.to } else { wanted.from + 2 };
    if let Some(text) = &wanted.only {
        let Some(crash) = Crash::parse(wanted.from, text) else {
            eprintln!("sim: {text} is no crash: crash_before@N, crash_during@N or crash_after@N");
            return false;
        };
        let report = crash_at(crash, Settings { words: true }, &wanted.connect());
        report.words.iter().for_each(|line| println!("{line}"));
        report.violations.iter().for_each(|violation| println!("{}: {}", violation.property, violation.text));
        return report.violations.is_empty();
    }
    let all = crash_everywhere(wanted.from, to, threads(), &wanted.connect());
    let replay = |crash: &Crash| {
        let seed = crash.seed;
        format!("cargo xtask sim --crashes --seeds {seed}..{} --only {crash}{}", seed + 1, wanted.store())
    };
    if wanted.json {
        let violations: Vec<_> = all
            .violations
            .iter()
            .map(|(crash, violation)| json!({ "property": violation.property, "text": violation.text, "replay": replay(crash) }))
            .collect();
        println!("{}", json!({ "crashes": all.crashes, "requests": all.requests, "violations": violations }));
    } else {
        for (crash, violation) in all.violations.iter().take(SHOWN) {
            println!("{crash}: {}: {}", violation.property, violation.text);
            println!("  replay: {}", replay(crash));
        }
        println!("crashes     {}", all.crashes);
        println!("requests    {}", all.requests);
        println!("violations  {}", all.violations.len());
    }
    all.violations.is_empty()
}

fn run_sweep(wanted: &Wanted) -> bool {
    let sweep = sweep(wanted.from, wanted.to, threads(), &wanted.connect());
    let thin = thin(&sweep, wanted.least);
    if wanted.json {
        println!("{}", as_json(wanted, &sweep, &thin));
    } else {
        print_sweep(wanted, &sweep, &thin);
    }
    let enough = sweep.matrix.requests() >= wanted.requests;
    if !enough {
        eprintln!("sim: {} requests are fewer than {}", sweep.matrix.requests(), wanted.requests);
    }
    sweep.violations.is_empty() && thin.is_empty() && enough
}

/// Cells of the matrix that are reachable and below `least`.
fn thin(sweep: &Sweep, least: u64) -> Vec<(Fault, KeyKind, u64)> {
    let cells = reachable().into_iter().map(|(fault, key)| (fault, key, sweep.matrix.cell(fault, key)));
    cells.filter(|(_, _, count)| *count < least).collect()
}

/// The command that shows what `seed` did.
fn replay(wanted: &Wanted, seed: u64) -> String {
    format!("cargo xtask sim --seeds {seed}..{}{} --trace", seed + 1, wanted.store())
}

fn as_json(wanted: &Wanted, sweep: &Sweep, thin: &[(Fault, KeyKind, u64)]) -> Value {
    let faults: serde_json::Map<_, _> =
        Fault::ALL.iter().map(|fault| (fault.name().to_owned(), json!(sweep.matrix.of_fault(*fault)))).collect();
    let violations: Vec<_> = sweep
        .violations
        .iter()
        .map(|failed| {
            let Failed { seed, violation } = failed;
            json!({ "seed": seed, "property": violation.property, "text": violation.text, "replay": replay(wanted, *seed) })
        })
        .collect();
    let went_back = sweep.went_back;
    let thin: Vec<_> = thin.iter().map(|(fault, key, count)| json!([fault.name(), key.name(), count])).collect();
    json!({
        "seeds": sweep.seeds, "repeated": sweep.repeated, "requests": sweep.matrix.requests(), "slots": sweep.slots,
        "batches": sweep.batches, "calls": sweep.calls, "searched": sweep.searched, "went_back": { "buckets": went_back.buckets, "slots": went_back.slots, "lost": went_back.lost, "unnoticed": went_back.unnoticed, "noticed": went_back.noticed }, "faults": faults, "thin_cells": thin, "violations": violations,
    })
}

fn print_sweep(wanted: &Wanted, sweep: &Sweep, thin: &[(Fault, KeyKind, u64)]) {
    let keys: Vec<_> = KeyKind::ALL.into_iter().filter(|key| sweep.matrix.requests_to(*key) > 0).collect();
    let row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<_> = cells.map(|cell| format!("{cell:>10}")).collect();
        println!("{name:<16}{}", cells.join(" "));
    };
    row("", &mut keys.iter().map(|key| key.name().to_owned()));
    row("requests", &mut keys.iter().map(|key| sweep.matrix.requests_to(*key).to_string()));
    for fault in Fault::ALL {
        row(fault.name(), &mut keys.iter().map(|key| sweep.matrix.cell(fault, *key).to_string()));
    }
    for (fault, key, count) in thin {
        println!("thin: {} met {} only {count} times", fault.name(), key.name());
    }
    for failed in sweep.violations.iter().take(SHOWN) {
        println!("seed {}: {}: {}", failed.seed, failed.violation.property, failed.violation.text);
        println!("  replay: {}", replay(wanted, failed.seed));
    }
    println!("seeds       {} ({} of them twice, with equal traces)", sweep.seeds, sweep.repeated);
    println!("requests    {}", sweep.matrix.requests());
    println!("commits     {} calls, {} batches, {} slots", sweep.calls, sweep.batches, sweep.slots);
    println!("searched    {} small histories, each explained by an order found without the log", sweep.searched);
    let WentBack { buckets, slots, lost, unnoticed, noticed } = sweep.went_back;
    println!(
        "went back   {buckets} buckets, {slots} slots and {lost} answers lost with them, noticed by {noticed} handles; {unnoticed} answers after that behind a hole that was filled"
    );
    let kinds = Fault::ALL.iter().filter(|fault| sweep.matrix.of_fault(**fault) > 0).count();
    let faults: u64 = Fault::ALL.iter().map(|fault| sweep.matrix.of_fault(*fault)).sum();
    println!("faults      {faults} of {kinds} kinds");
    println!("violations  {}", sweep.violations.len());
}

fn run_mutants(wanted: &Wanted) -> bool {
    let ours = Mutant::ALL.iter().copied().filter(|mutant| !Mutant::OF_THE_MODEL.contains(mutant));
    let chosen: Vec<_> = ours.filter(|mutant| wanted.only.as_deref().is_none_or(|only| only == mutant.name())).collect();
    let verdicts = mutants(wanted.from, threads(), &wanted.connect(), &chosen);
    let most = verdicts.iter().map(|verdict| verdict.tried).max().unwrap_or(0);
    // The rules unbroken pass every seed that was used against them.
    let unbroken = sweep(wanted.from, wanted.from + most.min(wanted.to.max(200)), threads(), &wanted.connect());
    let survivors: Vec<_> = verdicts.iter().filter(|verdict| verdict.killed.is_none()).map(|verdict| verdict.mutant.name()).collect();
    if wanted.json {
        let killed: Vec<_> = verdicts
            .iter()
            .filter_map(|verdict| Some((verdict, verdict.killed.as_ref()?)))
            .map(|(verdict, by)| json!({ "mutant": verdict.mutant.name(), "seed": by.seed, "property": by.violation.property }))
            .collect();
        let line = json!({
            "mutants": verdicts.len(), "killed": killed, "survivors": survivors,
            "unbroken_seeds": unbroken.seeds, "unbroken_violations": unbroken.violations.len(),
        });
        println!("{line}");
    } else {
        for verdict in &verdicts {
            let fate = match &verdict.killed {
                Some(by) => format!("killed by {} with seed {}: {}", by.violation.property, by.seed, by.violation.text),
                None => format!("SURVIVED {} seeds", verdict.tried),
            };
            println!("{:<24} {}", verdict.mutant.name(), fate.chars().take(150).collect::<String>());
        }
        println!("mutants     {}", verdicts.len());
        println!("killed      {}", verdicts.len() - survivors.len());
        println!("survivors   {} {}", survivors.len(), survivors.join(" "));
        println!("unbroken    {} seeds, {} violations", unbroken.seeds, unbroken.violations.len());
    }
    survivors.is_empty() && unbroken.violations.is_empty()
}
