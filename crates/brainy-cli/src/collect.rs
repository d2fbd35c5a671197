//! `brainy collect`.

use std::time::Duration;

use brainy::{Brainy, CollectOptions, CollectReport, Mode, Removed};
use serde_json::{Map, json};

use crate::args::CollectArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::place;
use crate::table::{Table, grouped};

/// How long the handle is given to finish what it was asked.
const CLOSING: Duration = Duration::from_secs(5);
/// One step of a collection may read and write for so long.
const STEP: Duration = Duration::from_secs(600);
/// So often at most `--wait` looks again: what others go on leaving is theirs to collect.
const MOST_ROUNDS: u32 = 16;

/// Removes what nobody needs and prints what that was.
pub(crate) async fn run(args: CollectArgs, output: &mut Output) -> Result<(), Failure> {
    let mode = if args.dry_run { Mode::ReadOnly } else { Mode::ReadWrite };
    let db = Brainy::builder(place::url(&args.store)?).mode(mode).open().await?.with_deadline(STEP);
    let mut options = CollectOptions::default().with_dry_run(args.dry_run).with_truncate(args.truncate);
    if let Some(retain) = args.retain {
        options = options.with_retain_slots(retain);
    }
    let mut collector = db.collector(options)?;
    if args.truncate && !args.dry_run {
        db.publish_snapshot().await?;
    }
    for round in 1..=MOST_ROUNDS {
        let report = collector.round().await?;
        print(&report, output)?;
        let Some(next) = report.next.filter(|_| args.wait && round < MOST_ROUNDS) else { break };
        #[expect(clippy::disallowed_methods, reason = "the command waits for real time to pass, and nothing else goes on in its process")]
        std::thread::sleep(next);
    }
    db.close(CLOSING).await;
    Ok(())
}

fn kinds(report: &CollectReport) -> [(&'static str, Removed); 6] {
    [
        ("slots", report.slots),
        ("manifests", report.manifests),
        ("segments", report.segments),
        ("blobs", report.blobs),
        ("intents", report.intents),
        ("pins", report.pins),
    ]
}

fn print(report: &CollectReport, output: &mut Output) -> Result<(), Failure> {
    let requests = report.requests;
    if output.is_json() {
        let removed: Map<_, _> = kinds(report)
            .into_iter()
            .map(|(name, removed)| (name.to_owned(), json!({"objects": removed.objects, "bytes": removed.bytes})))
            .collect();
        return output.value(&json!({
            "dry_run": report.dry_run,
            "boundary": report.boundary,
            "collected": report.collected,
            "removed": removed,
            "given_up": report.given_up,
            "next_s": report.next.map(|next| next.as_secs()),
            "requests": {"get": requests.get, "put": requests.put, "list": requests.list, "delete": requests.delete},
        }));
    }
    let mut table = Table::new(&[if report.dry_run { "would go" } else { "removed" }, ">objects", ">bytes"]);
    for (name, removed) in kinds(report) {
        table.row([name, &grouped(removed.objects), &grouped(removed.bytes)]);
    }
    output.text(table)?;
    output.text(format_args!(
        "slots up to {} are removed; {} reads, {} writes, {} listings, {} deletes",
        report.collected, requests.get, requests.put, requests.list, requests.delete
    ))?;
    match report.next {
        Some(next) if !report.dry_run => output.text(format_args!("more can go in {} s", next.as_secs())),
        _ => Ok(()),
    }
}
