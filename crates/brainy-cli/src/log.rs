//! `brainy log`.

use std::time::Duration;

use brainy::{Brainy, Freshness, LogSlot, Mode, SequenceNumber};
use rustix::event::{PollFd, PollFlags, Timespec};
use serde_json::json;

use crate::args::LogArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::{safe, shorten};
use crate::{describe, place, when};

/// Slots shown where neither a first one nor a limit is given.
const SHOWN: u64 = 20;
/// Pause between two looks at the position that the background follower has reached; they cost no request.
const PAUSE: Duration = Duration::from_millis(100);
/// Looks between two that ask the store, so that its failure ends the command.
const LOOKS: u32 = 50;

/// Prints slots, and new ones as they come.
pub(crate) async fn run(args: LogArgs, output: &mut Output) -> Result<(), Failure> {
    let url = place::url(&args.store)?;
    let mode = if args.follow { Mode::ReadOnly } else { Mode::Frozen };
    let db = Brainy::builder(url).mode(mode).freshness(Freshness::Latest).open().await?;
    let tail = db.position().seq;
    let limit = args.limit.map(std::num::NonZeroU64::get);
    let first = match args.from {
        Some(from) => from.get(),
        // Slots start at 1.
        None => tail.saturating_sub(limit.unwrap_or(SHOWN)) + 1,
    };
    // With a start and no limit everything is shown; so it is while following.
    let end = limit.map_or(u64::MAX, |limit| first.saturating_add(limit));
    if !output.is_json() && (args.follow || first <= tail) {
        output.text(line(["slot", "time", "writer", "version", "effect"], "operations"))?;
    }
    let mut next = first;
    while next < end && next <= tail {
        show(&db, next, output).await?;
        next += 1;
    }
    if !args.follow {
        return if next == first && !output.is_json() { output.text(format_args!("no slots: the log ends at {tail}")) } else { Ok(()) };
    }
    let mut looks = 0;
    while next < end {
        if next <= db.position().seq {
            show(&db, next, output).await?;
            next += 1;
            continue;
        }
        output.flush()?;
        if reader_has_gone() {
            break;
        }
        looks += 1;
        if looks % LOOKS == 0 {
            db.refresh().await?;
        }
    }
    Ok(())
}

/// Waits for [`PAUSE`], or until nobody reads standard output any more.
fn reader_has_gone() -> bool {
    let stdout = std::io::stdout();
    // No event is asked for: what comes without asking is that the other end was closed.
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    let pause = Timespec { tv_sec: 0, tv_nsec: PAUSE.subsec_nanos().into() };
    matches!(rustix::event::poll(&mut watched, Some(&pause)), Ok(1..))
}

async fn show(db: &Brainy, seq: u64, output: &mut Output) -> Result<(), Failure> {
    let slot = match SequenceNumber::new(seq) {
        Some(seq) => db.log_slot(seq).await?,
        None => None,
    };
    let Some(slot) = slot else {
        return Err(Failure::Argument { what: format!("slot {seq}"), reason: "it is no longer in the log".into() });
    };
    if output.is_json() { output.value(&json(&slot)) } else { rows(&slot, output) }
}

fn json(slot: &LogSlot) -> serde_json::Value {
    let transactions = slot.transactions.iter().map(|transaction| {
        json!({
            "op": transaction.op.to_string(),
            "version": transaction.version.to_string(),
            "effective": transaction.effective,
            "operations": transaction.operations.iter().map(describe::operation).collect::<Vec<_>>(),
            "protocol": transaction.protocol,
        })
    });
    json!({
        "seq": slot.seq.get(),
        "at_ms": slot.at_ms,
        "creator": slot.creator.to_string(),
        "hash": slot.hash,
        "bytes": slot.bytes,
        "transactions": transactions.collect::<Vec<_>>(),
    })
}

fn rows(slot: &LogSlot, output: &mut Output) -> Result<(), Failure> {
    let (seq, time) = (slot.seq.to_string(), when::utc(slot.at_ms));
    if slot.transactions.is_empty() {
        return output.text(line([&seq, &time, &short(&slot.creator.to_string()), "-", "-"], "nothing"));
    }
    for transaction in &slot.transactions {
        let effect = match transaction.effective {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        let (writer, version) = (short(&transaction.op.writer.to_string()), transaction.version.to_string());
        let operations = describe::operations(&transaction.operations, &transaction.protocol);
        output.text(line([&seq, &time, &writer, &version, effect], &shorten(&safe(&operations), 160)))?;
    }
    Ok(())
}

/// Enough of an identity to tell writers apart by eye.
fn short(identity: &str) -> String {
    identity.chars().take(8).collect()
}

/// Columns of fixed width, since what is still to come cannot be measured.
fn line([slot, time, writer, version, effect]: [&str; 5], operations: &str) -> String {
    format!("{slot:>8}  {time:<20}  {writer:<8}  {version:<12}  {effect:<6}  {operations}")
}
