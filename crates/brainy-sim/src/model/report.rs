//! Runs as a table for people and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::case::{Effort, Found};
use super::registry::{Expected, Run};

/// A run and what came of it.
#[derive(Debug)]
pub struct Record {
    /// The run.
    pub run: Run,
    /// What came of it.
    pub found: Found,
}

impl Record {
    /// Whether it is what must come of it: where all states were to be seen, all were.
    pub fn is_expected(&self) -> bool {
        match (&self.run.expected, &self.found.broken) {
            (Expected::Holds, None) => self.found.exhaustive || matches!(self.run.effort, Effort::Walks { .. }),
            (Expected::Breaks(properties), Some((property, _))) => properties.contains(property),
            (Expected::Holds, Some(_)) | (Expected::Breaks(_), None) => false,
        }
    }

    fn verdict(&self) -> String {
        match &self.found.broken {
            Some((property, way)) => format!("{property} broken in {} steps", way.len()),
            None if self.found.exhaustive => "holds, every state".into(),
            None if matches!(self.run.effort, Effort::Walks { .. }) => "holds, random walks".into(),
            None => "no violation, CUT OFF".into(),
        }
    }
}

/// One line of the table.
pub fn as_table(record: &Record) -> String {
    let Record { run, found } = record;
    let surprise = if record.is_expected() { "" } else { "   <<< NOT AS EXPECTED" };
    let seconds = found.took.as_secs_f64();
    format!("{}  {:<66} {:>11} {:>4} {seconds:>7.1} s  {}{surprise}", run.group, run.name, found.states, found.depth, record.verdict())
}

/// The promises that were looked after in each group.
pub fn promises(records: &[Record]) -> String {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Record { run, .. } in records {
        groups.entry(run.group).or_default().extend(run.properties);
    }
    let lines: Vec<_> =
        groups.iter().map(|(group, promises)| format!("{group} {}", Vec::from_iter(promises.iter().copied()).join(" "))).collect();
    lines.join("; ")
}

/// All of them as one object.
pub fn as_json(records: &[Record]) -> Value {
    let runs: Vec<_> = records
        .iter()
        .map(|record| {
            let Record { run, found } = record;
            json!({
                "group": run.group, "name": run.name, "mutant": run.mutant.map(|mutant| mutant.name()), "properties": run.properties,
                "states": found.states, "depth": found.depth, "exhaustive": found.exhaustive,
                "broken": found.broken.as_ref().map(|(property, _)| *property),
                "steps": found.broken.as_ref().map(|(_, way)| way.len()),
                "trace": found.broken.as_ref().map(|(_, way)| way.clone()),
                "seconds": found.took.as_secs_f64(), "expected": record.is_expected(),
            })
        })
        .collect();
    let unexpected = records.iter().filter(|record| !record.is_expected()).count();
    let states: u64 = records.iter().map(|record| record.found.states).sum();
    json!({ "runs": runs, "states": states, "unexpected": unexpected })
}
