//! `brainy stats`.

use std::collections::BTreeMap;
use std::fmt::Display;

use brainy::{Brainy, Freshness, ItemFilter, Mode, Statistics, VerbQuery};
use serde_json::{Map, Value, json};

use crate::args::StatsArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::place;
use crate::table::{Table, grouped};

/// Items looked at by one call of a scan.
const PAGE: usize = 10_000;

/// Prints what the newest slot states, or what a scan finds.
pub(crate) async fn run(args: StatsArgs, output: &mut Output) -> Result<(), Failure> {
    let url = place::url(&args.store)?;
    let peek = Brainy::peek(&url).await?;
    let scanned = if args.scan { Some(Box::pin(scan(url)).await?) } else { None };
    let (statistics, position) = match &scanned {
        Some(scanned) => (&scanned.statistics, Some(scanned.position.clone())),
        None => (&peek.statistics, peek.token.map(|token| token.to_string())),
    };
    let head = [
        ("store", json!(peek.store.to_string())),
        ("dimension", json!(peek.dimension)),
        ("metric", json!(peek.metric.name())),
        ("slots", json!(scanned.as_ref().map_or(peek.slots, |scanned| scanned.slots))),
        ("position", json!(position)),
    ];
    if output.is_json() {
        let mut value: Map<String, Value> = head.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        value.extend(counts(statistics).into_iter().map(|(name, count)| (name.to_owned(), json!(count))));
        for (name, counts) in groups(statistics) {
            value.insert(name.replace(' ', "_"), json!(counts));
        }
        if let Some(scanned) = &scanned {
            value.insert("scanned".into(), json!({"requests": scanned.requests, "bytes": scanned.bytes}));
        }
        return output.value(&Value::Object(value));
    }
    let mut table = Table::new(&["", ""]);
    for (name, value) in head {
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
            other => other.to_string(),
        };
        table.row([name, &text]);
    }
    for (name, count) in counts(statistics) {
        table.row([&name.replace('_', " "), &grouped(count)]);
    }
    output.text(table)?;
    for (name, counts) in groups(statistics).into_iter().filter(|(_, counts)| !counts.is_empty()) {
        let mut table = Table::new(&[name, ">"]);
        for (label, count) in counts {
            table.row([label, grouped(count)]);
        }
        output.text(format_args!("\n{table}"))?;
    }
    if let Some(scanned) = &scanned {
        output.text(format_args!(
            "\nthe scan found the same counts; it took {} requests and {} bytes",
            grouped(scanned.requests),
            grouped(scanned.bytes)
        ))?;
    }
    Ok(())
}

fn counts(statistics: &Statistics) -> [(&'static str, u64); 8] {
    [
        ("nouns", statistics.nouns),
        ("verbs", statistics.verbs),
        ("noun_vectors", statistics.noun_vectors),
        ("verb_vectors", statistics.verb_vectors),
        ("deleted_nouns", statistics.deleted_nouns),
        ("deleted_verbs", statistics.deleted_verbs),
        ("vector_bytes", statistics.vector_bytes),
        ("metadata_bytes", statistics.metadata_bytes),
    ]
}

fn groups(statistics: &Statistics) -> [(&'static str, BTreeMap<String, u64>); 4] {
    fn texts<K: Display>(counts: &BTreeMap<K, u64>) -> BTreeMap<String, u64> {
        counts.iter().map(|(label, count)| (label.to_string(), *count)).collect()
    }
    [
        ("nouns by type", texts(&statistics.nouns_by_type)),
        ("verbs by type", texts(&statistics.verbs_by_type)),
        ("nouns by service", texts(&statistics.nouns_by_service)),
        ("verbs by service", texts(&statistics.verbs_by_service)),
    ]
}

struct Scanned {
    statistics: Statistics,
    position: String,
    slots: u64,
    requests: u64,
    bytes: u64,
}

/// Loads the store, counts everything in it, and compares with what the log states at the same position.
async fn scan(url: String) -> Result<Scanned, Failure> {
    // A frozen handle answers all pages from one position.
    let db = Brainy::builder(url).mode(Mode::Frozen).freshness(Freshness::Local).open().await?;
    let report = db.statistics().await?;
    let mut found = Statistics::default();
    let mut after = None;
    loop {
        let page = db.scan(after.as_ref(), PAGE, &ItemFilter::all()).await?;
        for noun in &page {
            found.nouns += 1;
            found.noun_vectors += u64::from(noun.vector.is_some());
            found.vector_bytes += noun.vector.as_ref().map_or(0, |vector| 4 * vector.dimension() as u64);
            found.metadata_bytes += noun.metadata.as_bytes().len() as u64;
            *found.nouns_by_type.entry(noun.kind.clone()).or_default() += 1;
            if let Some(service) = &noun.service {
                *found.nouns_by_service.entry(service.clone()).or_default() += 1;
            }
        }
        match page.last() {
            Some(last) => after = Some(last.id.clone()),
            None => break,
        }
    }
    let mut query = VerbQuery::all().with_limit(PAGE);
    loop {
        let page = db.verbs(&query).await?;
        for verb in &page {
            found.verbs += 1;
            found.verb_vectors += u64::from(verb.vector.is_some());
            found.vector_bytes += verb.vector.as_ref().map_or(0, |vector| 4 * vector.dimension() as u64);
            found.metadata_bytes += verb.metadata.as_bytes().len() as u64;
            *found.verbs_by_type.entry(verb.kind.clone()).or_default() += 1;
            if let Some(service) = &verb.service {
                *found.verbs_by_service.entry(service.clone()).or_default() += 1;
            }
        }
        match page.last() {
            Some(last) => query = query.with_after(last.id.clone()),
            None => break,
        }
    }
    // What is gone cannot be counted by looking at what is there.
    found.deleted_nouns = report.statistics.deleted_nouns;
    found.deleted_verbs = report.statistics.deleted_verbs;
    if found != report.statistics {
        return Err(Failure::Counts { differences: differences(&report.statistics, &found) });
    }
    let usage = db.usage();
    let bytes = usage.get.bytes_down + usage.list.bytes_down;
    Ok(Scanned { statistics: found, position: report.token.to_string(), slots: report.token.seq, requests: usage.requests(), bytes })
}

fn differences(stated: &Statistics, found: &Statistics) -> String {
    let single = counts(stated).into_iter().zip(counts(found)).filter(|(stated, found)| stated != found);
    let mut texts: Vec<_> = single.map(|((name, stated), (_, found))| format!("{name} {stated}, found {found}")).collect();
    let grouped = groups(stated).into_iter().zip(groups(found)).filter(|(stated, found)| stated != found);
    texts.extend(grouped.map(|((name, _), _)| format!("{name} differ")));
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named_with_both_counts() {
        let stated = Statistics::default();
        let mut found = Statistics::default();
        found.nouns = 3;
        found.nouns_by_type.insert(brainy::TypeName::new("t").unwrap(), 3);
        assert_eq!(differences(&stated, &found), "nouns 0, found 3; nouns by type differ");
        assert_eq!(differences(&stated, &stated), "");
    }
}
