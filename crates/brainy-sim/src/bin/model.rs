//! `model`: looks through the protocols' models, and says what it found. `cargo xtask model` builds and starts it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to people")]

use std::process::ExitCode;

use brainy_sim::model::{Record, as_json, as_table, promises, runs};

const HELP: &str = "\
model [--slice] [--group G] [--only TEXT] [--threads N] [--trace] [--json]

  --slice       the runs that CI has time for
  --group G     only this group
  --only TEXT   only runs whose name contains it
  --threads N   so many threads where every state is looked at; 2 if not said
  --trace       the way to each broken promise, also where it was to be broken
  --json        one JSON object instead of text
";

struct Wanted {
    slice: bool,
    group: Option<String>,
    only: Option<String>,
    threads: usize,
    trace: bool,
    json: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match parse(&words) {
        Ok(wanted) if run(&wanted) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(wrong) => {
            eprintln!("model: {wrong}\n\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

fn parse(words: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted { slice: false, group: None, only: None, threads: 2, trace: false, json: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--slice" => wanted.slice = true,
            "--group" => wanted.group = Some(value()?),
            "--only" => wanted.only = Some(value()?),
            "--threads" => wanted.threads = value()?.parse().map_err(|_| "--threads wants a number".to_owned())?,
            "--trace" => wanted.trace = true,
            "--json" => wanted.json = true,
            other => return Err(format!("{other} is not understood")),
        }
    }
    Ok(wanted)
}

fn run(wanted: &Wanted) -> bool {
    let chosen: Vec<_> = runs()
        .into_iter()
        .filter(|run| run.slice || !wanted.slice)
        .filter(|run| wanted.group.as_deref().is_none_or(|group| group == run.group))
        .filter(|run| wanted.only.as_deref().is_none_or(|only| run.name.contains(only)))
        .collect();
    if chosen.is_empty() {
        eprintln!("model: no run is called that");
        return false;
    }
    let mut records = Vec::new();
    for run in chosen {
        let record = Record { found: run.go(wanted.threads), run };
        if !wanted.json {
            println!("{}", as_table(&record));
            if let Some((_, way)) = record.found.broken.as_ref().filter(|_| wanted.trace || !record.is_expected()) {
                way.iter().zip(1..).for_each(|(words, step)| println!("     {step:>3}. {words}"));
            }
        }
        records.push(record);
    }
    let unexpected = records.iter().filter(|record| !record.is_expected()).count();
    if wanted.json {
        println!("{}", as_json(&records));
    } else {
        let states: u64 = records.iter().map(|record| record.found.states).sum();
        let broken = records.iter().filter(|record| record.found.broken.is_some()).count();
        println!("runs        {}, {broken} of them break a promise", records.len());
        println!("promises    {}", promises(&records));
        println!("states      {states}");
        println!("unexpected  {unexpected}");
    }
    unexpected == 0
}
