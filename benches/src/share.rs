//! One instance's share of a commit load: small transactions, one after the other, without a pause.

use std::time::Duration;

use brainy::{Brainy, Error, ErrorKind, Freshness, Metadata, NounDraft, NounId, Resolution, ServiceTag, TypeName, Usage};
use brainy_core::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::small_noun;

/// The noun that every instance raises.
pub const COUNTER: &str = "counter";
/// Of so many turns of an instance one raises the counter by compare-and-swap; the others write a noun of their own.
pub const RAISE_EVERY: u64 = 16;

/// What one instance did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Acknowledged commits within the time given.
    pub in_time: u64,
    /// Nouns of its own that were acknowledged.
    pub nouns: u64,
    /// Raises of the counter that were acknowledged.
    pub raises: u64,
    /// Raises that another instance's raise made void; each was tried again in a later turn.
    pub conflicts: u64,
    /// Turns that ended in another error without effect.
    pub failures: u64,
    /// Slots that another instance created first.
    pub lost_races: u64,
    /// PUT requests.
    pub puts: u64,
    /// GET requests.
    pub gets: u64,
    /// LIST requests.
    pub lists: u64,
    /// Bytes of bodies sent.
    pub bytes_up: u64,
    /// Bytes of bodies received.
    pub bytes_down: u64,
    /// Microseconds from the call to the acknowledgement, of each acknowledged commit.
    pub latencies: Vec<u64>,
}

impl Share {
    /// Acknowledged commits.
    pub const fn commits(&self) -> u64 {
        self.nouns + self.raises
    }

    /// As one line of text, for a pipe.
    pub fn to_line(&self) -> String {
        let counts = [
            self.in_time,
            self.nouns,
            self.raises,
            self.conflicts,
            self.failures,
            self.lost_races,
            self.puts,
            self.gets,
            self.lists,
            self.bytes_up,
            self.bytes_down,
        ];
        json!({"counts": counts, "latencies": self.latencies}).to_string()
    }

    /// Of the line that [`to_line`](Self::to_line) made; none if it is another one.
    pub fn from_line(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let numbers = |name: &str| value.get(name)?.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>();
        let latencies = numbers("latencies")?;
        let counts = <[u64; 11]>::try_from(numbers("counts")?).ok()?;
        let [in_time, nouns, raises, conflicts, failures, lost_races, puts, gets, lists, bytes_up, bytes_down] = counts;
        Some(Self { in_time, nouns, raises, conflicts, failures, lost_races, puts, gets, lists, bytes_up, bytes_down, latencies })
    }

    /// Both shares as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.in_time += other.in_time;
        self.nouns += other.nouns;
        self.raises += other.raises;
        self.conflicts += other.conflicts;
        self.failures += other.failures;
        self.lost_races += other.lost_races;
        self.puts += other.puts;
        self.gets += other.gets;
        self.lists += other.lists;
        self.bytes_up += other.bytes_up;
        self.bytes_down += other.bytes_down;
        self.latencies.extend(other.latencies);
        self
    }
}

/// The counter at `value`.
///
/// # Panics
/// Never: the parts are valid.
pub fn counter(value: u64) -> NounDraft {
    let kind = TypeName::new("counter").expect("a valid type");
    let metadata = Metadata::from_value(&json!({ "value": value })).expect("a small object");
    NounDraft::new(NounId::new(COUNTER).expect("a valid id"), kind).with_metadata(metadata)
}

/// Commits for `span`: nouns of its own, and every [`RAISE_EVERY`]th turn a raise of the counter that all instances share. Before the first turn
/// nothing is counted.
///
/// # Errors
/// The store can no longer be used: a read failed, or an outcome could not be found out.
pub async fn work(db: &Brainy, instance: usize, span: Duration) -> Result<Share, Error> {
    let service = ServiceTag::new(format!("instance-{instance}"))?;
    let db = db.with_service(service).with_freshness(Freshness::Local);
    let (usage, figures, start) = (db.usage(), db.figures(), SystemClock.now());
    let mut share = Share::default();
    let mut turn = 0_u64;
    loop {
        let asked = SystemClock.now();
        if asked.since(start) >= span {
            break;
        }
        turn += 1;
        let raises = turn.is_multiple_of(RAISE_EVERY);
        let done = if raises { raise(&db).await } else { db.put(small_noun(&format!("noun-{instance}-{turn}"))).await.map(drop) };
        match done {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {
                share.conflicts += 1;
                continue;
            }
            Err(error) => {
                if !took_effect(&db, error).await? {
                    share.failures += 1;
                    continue;
                }
            }
        }
        let acknowledged = SystemClock.now();
        share.in_time += u64::from(acknowledged.since(start) <= span);
        *(if raises { &mut share.raises } else { &mut share.nouns }) += 1;
        share.latencies.push(u64::try_from(acknowledged.since(asked).as_micros()).unwrap_or(u64::MAX));
    }
    let Usage { get, put, list, .. } = db.usage().since(&usage);
    share.lost_races = db.figures().lost_races - figures.lost_races;
    (share.puts, share.gets, share.lists) = (put.requests(), get.requests(), list.requests());
    share.bytes_up = put.bytes_up;
    share.bytes_down = get.bytes_down + list.bytes_down;
    Ok(share)
}

/// One try to raise the counter by one from what this instance has applied.
async fn raise(db: &Brainy) -> Result<(), Error> {
    let now = db.get(COUNTER).await?.expect("the counter was made with the store");
    let value = now.metadata.to_value()["value"].as_u64().expect("the counter is a number");
    db.update_if_version(counter(value + 1), now.version).await.map(drop)
}

/// Whether a commit that ended in `error` took effect after all.
async fn took_effect(db: &Brainy, error: Error) -> Result<bool, Error> {
    match (error.kind(), error.op_id()) {
        (ErrorKind::OutcomeUnknown, Some(op)) => match db.resolve(op).await? {
            Resolution::Committed(_) => Ok(true),
            Resolution::Rejected(_) => Ok(false),
            _ => Err(error),
        },
        (ErrorKind::Withdrawn | ErrorKind::Unavailable | ErrorKind::Overloaded, _) => Ok(false),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    #[test]
    fn a_share_survives_the_pipe() {
        let share = Share { in_time: 1, bytes_down: 11, latencies: vec![5, 7], ..Share::default() };
        assert_eq!(Share::from_line(&share.to_line()), Some(share));
        assert_eq!(Share::from_line("ready"), None);
    }

    #[test]
    fn a_share_counts_what_the_store_then_holds() {
        block_on(async {
            let db = Brainy::builder("memory://").dimension(1).create().await.unwrap();
            db.put(counter(0)).await.unwrap();
            let share = work(&db, 0, Duration::from_millis(200)).await.unwrap();
            assert!(share.nouns > 0, "{share:?}");
            assert_eq!(db.statistics().await.unwrap().statistics.nouns, share.nouns + 1);
            let value = db.get(COUNTER).await.unwrap().unwrap().metadata.to_value()["value"].as_u64();
            assert_eq!((value, share.failures), (Some(share.raises), 0));
            assert!(share.puts >= share.commits(), "each commit of a lone instance is a slot of its own: {share:?}");
        });
    }
}
