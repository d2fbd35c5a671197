//! Collectors, publishers and readers with pins beside the services, and what they must never do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brainy_coordination::internals::{bounds_of, held_by, kept_by, manifest_called};
use brainy_coordination::{ChangeLog, CollectOptions, Collector, Constants, Environment, Error, ManifestName, Pin, Truncation};
use brainy_core::{Clock, ErrorKind};
use brainy_storage::Key;

use crate::bucket::Bucket;
use crate::checker::Violation;
use crate::domain::Domain;
use crate::random::Random;
use crate::reference::Reference;
use crate::scheduler::{Life, ProcessId};
use crate::service::{self, MakeStore, Plan};
use crate::witness::{Gone, Witness};

/// How long what nobody finished lies there before a collector takes it for a dead one's.
const SILENCE: Duration = Duration::from_secs(5);
/// A pin's time to live.
const TTL: Duration = Duration::from_secs(6);
/// How long one step may take.
const STEP: Duration = Duration::from_secs(30);
/// Longer than any late request takes to land.
const SETTLED: Duration = Duration::from_secs(60);
/// Rounds that the last collection may need.
const MOST_LAST_ROUNDS: u32 = 60;
/// Longest wait for the services' farewells, in seconds.
const LONGEST_WAIT: u32 = 8_000;
/// The store's time has whole seconds.
const SECOND: Duration = Duration::from_secs(1);

/// What the collectors and readers of a run share.
#[derive(Debug, Default)]
pub(crate) struct Collecting {
    /// Services and readers that came to their end.
    pub(crate) ended: Mutex<BTreeSet<ProcessId>>,
    /// How many there are.
    pub(crate) awaited: u64,
    /// The last collection came to its end.
    pub(crate) done: Mutex<bool>,
}

impl Collecting {
    /// A process came to its end.
    pub(crate) fn end(&self, process: ProcessId) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(process);
    }

    fn all_ended(&self) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).len() as u64 >= self.awaited
    }
}

fn environment(make_store: &MakeStore, life: &Life) -> Environment {
    Environment { store: make_store(life.process()), clock: Arc::new(life.clock()), entropy: Arc::new(life.entropy()) }
}

fn complain<D>(plan: &Plan<D>, text: String) {
    plan.history.events().broken.push(("P8", text));
}

/// What went wrong, unless it is in the nature of things.
fn fail<D>(plan: &Plan<D>, life: &Life, error: &Error, doing: &str) {
    if !matches!(error.kind(), ErrorKind::Fenced) {
        service::fail(plan, life, error, doing);
    }
}

/// One life of a process that publishes snapshots and collects, and of the first one the last collection.
pub(crate) async fn collect<D: Domain>(plan: Arc<Plan<D>>, collecting: Arc<Collecting>, make_store: MakeStore, life: Life, last: bool) {
    let (clock, mut random) = (life.clock(), life.random());
    let Some(log) = service::open(&plan, &life, environment(&make_store, &life)).await else { return };
    let driven = log.clone();
    life.spawn(async move { drop(driven.run().await) });
    let options = CollectOptions::default().with_truncate(true).with_silence(SILENCE);
    let mut collector = match Collector::new(&log, options.clone().with_retain_slots(random.below(6))) {
        Ok(collector) => collector,
        Err(error) => return service::fail(&plan, &life, &error, "collecting"),
    };
    let mut publish_at = life.scheduler().now() + random.between(Duration::ZERO, Duration::from_secs(12));
    while life.scheduler().now() < plan.until && log.closed().is_none() {
        if life.scheduler().now() >= publish_at {
            if let Err(error) = log.publish_snapshot(clock.now().after(STEP)).await {
                fail(&plan, &life, &error, "publishing");
            }
            publish_at = life.scheduler().now() + random.between(Duration::from_secs(4), Duration::from_secs(14));
        }
        if let Err(error) = collector.round(clock.now().after(STEP)).await {
            fail(&plan, &life, &error, "collecting");
        }
        clock.sleep(random.between(Duration::from_millis(500), Duration::from_secs(4))).await;
    }
    if life.scheduler().now() < plan.until {
        life.scheduler().start_after(life.process(), Duration::from_secs(1));
    } else if last {
        collect_all(&plan, &collecting, &log, &life, options.with_retain_slots(0)).await;
    }
    drop(log.close(clock.now().after(STEP)).await);
}

/// Everybody has come to his end: what nobody needs goes.
async fn collect_all<D: Domain>(
    plan: &Plan<D>,
    collecting: &Collecting,
    log: &ChangeLog<D::Machine>,
    life: &Life,
    options: CollectOptions,
) {
    let clock = life.clock();
    for _ in 0..LONGEST_WAIT {
        if collecting.all_ended() {
            break;
        }
        clock.sleep(SECOND).await;
    }
    clock.sleep(SETTLED).await;
    let Ok(mut collector) = Collector::new(log, options) else { return };
    // What the first pass gives up, it decides in slots that only the second one removes.
    for _ in 0..2 {
        if let Err(error) = log.publish_snapshot(clock.now().after(STEP)).await {
            return complain(plan, format!("the last snapshot could not be published: {error}"));
        }
        let mut quiet = 0;
        for _ in 0..MOST_LAST_ROUNDS {
            let report = match collector.round(clock.now().after(STEP)).await {
                Ok(report) => report,
                Err(error) => return complain(plan, format!("the last collection failed: {error}")),
            };
            quiet = if report.objects() == 0 && report.next.is_none() { quiet + 1 } else { 0 };
            if quiet == 2 {
                break;
            }
            clock.sleep(report.next.unwrap_or(SECOND).max(SECOND)).await;
        }
        if quiet < 2 {
            return;
        }
    }
    *collecting.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
}

/// One life of a reader that holds states for longer than the grace and reads them again and again; the first one names some, too.
pub(crate) async fn read<D: Domain>(plan: Arc<Plan<D>>, make_store: MakeStore, life: Life, tags: bool) {
    let (clock, mut random) = (life.clock(), life.random());
    let Some(log) = service::open(&plan, &life, environment(&make_store, &life)).await else { return };
    while life.scheduler().now() < plan.until {
        clock.sleep(random.between(Duration::ZERO, Duration::from_secs(4))).await;
        if tags && random.below(2) == 0 {
            name(&plan, &log, &life, &mut random).await;
        }
        match log.pin("a long scan", TTL, clock.now().after(STEP)).await {
            Ok(pin) => hold(&plan, &log, &life, &mut random, pin).await,
            Err(Error::NoSnapshot { .. }) => {}
            Err(error) => fail(&plan, &life, &error, "pinning"),
        }
    }
}

async fn hold<D: Domain>(plan: &Plan<D>, log: &ChangeLog<D::Machine>, life: &Life, random: &mut Random, mut pin: Pin) {
    let clock = life.clock();
    let end = life.scheduler().now() + random.between(Duration::from_secs(1), Duration::from_secs(70));
    // Every second one renews so late that a collector may be there before it.
    let (from, to) = if random.below(2) == 0 { (TTL * 4 / 5, TTL) } else { (Duration::from_millis(100), TTL / 6) };
    while life.scheduler().now() < end.min(plan.until) {
        let read = log.read_snapshot(&pin.manifest(), &*plan.domain.machine(), clock.now().after(STEP)).await;
        let renewed = pin.renew(clock.now().after(STEP)).await;
        match (read, renewed) {
            // It was held all the time: a renewal after the read says so.
            (Err(error @ (Error::NotHeld { .. } | Error::Bytes { .. })), Ok(())) => {
                complain(plan, format!("process {} holds {} by {}, and {error}", life.process().0, pin.manifest(), pin.key()));
                return;
            }
            (_, Err(Error::NotHeld { .. })) => return,
            (Err(error), _) | (_, Err(error)) => fail(plan, life, &error, "reading what is pinned"),
            (Ok(_), Ok(())) => {}
        }
        clock.sleep(random.between(from, to)).await;
    }
    if random.below(4) > 0
        && let Err(error) = pin.release(clock.now().after(STEP)).await
    {
        fail(plan, life, &error, "releasing a pin");
    }
}

/// Names the newest state, and finds it under its name.
async fn name<D: Domain>(plan: &Plan<D>, log: &ChangeLog<D::Machine>, life: &Life, random: &mut Random) {
    let clock = life.clock();
    let called = *random.choose(&["daily", "weekly"]);
    let done = if random.below(5) == 0 {
        log.untag(called, clock.now().after(STEP)).await.map(|()| None)
    } else {
        log.tag(called, "", clock.now().after(STEP)).await.map(Some)
    };
    match done {
        Ok(Some(tag)) => {
            clock.sleep(random.between(Duration::ZERO, Duration::from_secs(40))).await;
            let read = log.read_snapshot(&tag.manifest, &*plan.domain.machine(), clock.now().after(STEP)).await;
            if let Err(error @ (Error::NotHeld { .. } | Error::Bytes { .. })) = read {
                complain(plan, format!("tag {called} names {}, and {error}", tag.manifest));
            }
        }
        Ok(None) | Err(Error::NoSnapshot { .. }) => {}
        Err(error) => fail(plan, life, &error, "tagging"),
    }
}

/// What the bucket went through, and what it holds in the end.
pub(crate) fn check<M>(
    witness: &Witness,
    reference: &Reference<M>,
    bucket: &Bucket,
    constants: &Constants,
    collecting: Option<&Collecting>,
) -> Vec<Violation> {
    let mut found = Found { witness, constants, texts: Vec::new() };
    found.heads();
    found.slots();
    found.blobs(reference);
    found.snapshots();
    if let Some(collecting) = collecting {
        if *collecting.done.lock().unwrap_or_else(PoisonError::into_inner) {
            found.leftovers(reference, bucket);
        } else {
            found.texts.push("the last collection did not come to its end".into());
        }
    }
    found.texts.into_iter().map(|text| Violation { property: "P8", text }).collect()
}

struct Found<'a> {
    witness: &'a Witness,
    constants: &'a Constants,
    texts: Vec<String>,
}

impl Found<'_> {
    /// The head at a time.
    fn head_at(&self, at: Duration) -> (u64, Option<ManifestName>) {
        let heads = &self.witness.heads;
        let before = heads.partition_point(|(seen, _)| *seen <= at);
        let bounds = before.checked_sub(1).and_then(|last| bounds_of(&heads[last].1));
        bounds.map_or((0, None), |bounds| (bounds.boundary, bounds.manifest))
    }

    /// INV-25, as somebody beside the bucket sees it.
    fn heads(&mut self) {
        let mut before = (0, None);
        for (at, bytes) in &self.witness.heads {
            let Some(bounds) = bounds_of(bytes) else {
                self.texts.push(format!("ctl/head at {at:?} is none"));
                continue;
            };
            let now = (bounds.boundary, bounds.manifest);
            if now.0 < before.0 || now.1 < before.1 || now.0 > bounds.manifest_seq() {
                self.texts.push(format!("ctl/head went from {before:?} to {now:?} at {at:?}"));
            }
            before = now;
        }
    }

    /// No slot goes before its grace is over, and no number is used again but in a collected stretch.
    fn slots(&mut self) {
        let grace = Duration::from_millis(self.constants.grace_ms);
        let deletes = self.constants.truncation == Truncation::Delete;
        for Gone { at, key, overwritten } in &self.witness.gone {
            let Some(number) = key.as_str().strip_prefix("log/").and_then(|digits| digits.parse::<u64>().ok()) else { continue };
            let (boundary, _) = self.head_at(if *overwritten { *at } else { (*at + SECOND).saturating_sub(grace) });
            if number > boundary || *overwritten == deletes {
                let how = if *overwritten { "overwritten" } else { "deleted" };
                self.texts.push(format!("slot {number} was {how} at {at:?}, when collection might go to {boundary}"));
            }
        }
        for (number, at) in &self.witness.created_again {
            let (boundary, _) = self.head_at(*at);
            if *number > boundary {
                self.texts
                    .push(format!("slot {number} was created a second time with other bytes at {at:?}, above the boundary {boundary}"));
            }
        }
    }

    /// No blob goes before the slot that applied it may.
    fn blobs<M>(&mut self, reference: &Reference<M>) {
        let mut applied = BTreeMap::new();
        for copy in reference.copies.iter().filter(|copy| copy.applied) {
            applied.insert((copy.op.writer.to_string(), copy.op.wseq), copy.seq);
        }
        for Gone { at, key, .. } in &self.witness.gone {
            let Some(slot) = applied_in(key, &applied) else { continue };
            let (boundary, _) = self.head_at(*at);
            if slot > boundary {
                self.texts.push(format!("{key} was deleted at {at:?}, and slot {slot} applies it; the boundary was {boundary}"));
            }
        }
    }

    /// No manifest goes while the head names it or a reader may come to rely on it, and no segment that the head's manifest keeps, then or later.
    fn snapshots(&mut self) {
        let named: Vec<_> = self.witness.heads.iter().filter_map(|(at, bytes)| Some((*at, bounds_of(bytes)?.manifest?))).collect();
        let mut kept: BTreeMap<String, Duration> = BTreeMap::new();
        for (index, (_, name)) in named.iter().enumerate() {
            // Until the head names another one.
            let until = named.get(index + 1).map_or(Duration::MAX, |(at, _)| *at);
            let (Some(object), Some(store)) = (self.witness.manifests.get(&name.to_string()), self.witness.store()) else { continue };
            for key in kept_by(name, store, object) {
                let last = kept.entry(key).or_default();
                *last = (*last).max(until);
            }
        }
        for Gone { at, key, .. } in &self.witness.gone {
            if kept.get(key.as_str()).is_some_and(|until| at < until) {
                self.texts.push(format!("{key} was deleted at {at:?}, and ctl/head names its manifest then or later"));
            }
            let Some(name) = manifest_called(key.as_str()) else { continue };
            let (boundary, head) = self.head_at(*at);
            let published = named.iter().any(|(_, named)| *named == name);
            if head == Some(name) || (published && name.seq >= boundary) {
                self.texts.push(format!("{key} was deleted at {at:?}; the boundary was {boundary}"));
            }
        }
    }

    /// The manifests that `ctl/head` ever named.
    fn published(&self) -> Vec<ManifestName> {
        self.witness.heads.iter().filter_map(|(_, bytes)| bounds_of(bytes)?.manifest).collect()
    }

    /// What is there after the last collection is what is needed.
    fn leftovers<M>(&mut self, reference: &Reference<M>, bucket: &Bucket) {
        let (boundary, head) = self.head_at(Duration::MAX);
        let mut applied = BTreeMap::new();
        for copy in reference.copies.iter().filter(|copy| copy.applied) {
            applied.insert((copy.op.writer.to_string(), copy.op.wseq), copy.seq);
        }
        let named: BTreeSet<_> = bucket
            .keys()
            .filter(|key| key.as_str().starts_with("tag/") || key.as_str().starts_with("pin/"))
            .filter_map(|key| held_by(&bucket.peek(key)?))
            .chain(head)
            // Whoever finds the boundary not above a manifest may come to rely on it.
            .chain(
                self.published()
                    .into_iter()
                    .filter(|name| name.seq >= boundary && bucket.keys().any(|key| key.as_str() == name.to_string())),
            )
            .collect();
        let store = self.witness.store();
        let keeps: BTreeSet<String> =
            named.iter().filter_map(|name| Some(kept_by(name, store?, self.witness.manifests.get(&name.to_string())?))).flatten().collect();
        for key in bucket.keys() {
            let folder = key.as_str().split('/').next().unwrap_or_default();
            let needed = match folder {
                "log" => {
                    let number = key.as_str().strip_prefix("log/").and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0);
                    number > boundary
                        || self.constants.truncation == Truncation::Tombstone && bucket.peek(key).is_some_and(|bytes| bytes.len() < 64)
                }
                "manifest" => manifest_called(key.as_str()).is_some_and(|name| named.contains(&name) || name.seq >= boundary),
                "segment" => keeps.contains(key.as_str()),
                "blob" => applied_in(key, &applied).is_some_and(|slot| slot > boundary),
                "inbox" | "pin" => false,
                _ => true,
            };
            if !needed {
                self.texts.push(format!("{key} is left after the last collection; the boundary is {boundary}"));
            }
        }
    }
}

/// The slot that applied the batch of a blob.
fn applied_in(key: &Key, applied: &BTreeMap<(String, u64), u64>) -> Option<u64> {
    let mut parts = key.as_str().strip_prefix("blob/")?.split('/');
    let (_, writer, wseq) = (parts.next()?, parts.next()?, parts.next()?);
    applied.get(&(writer.to_owned(), wseq.parse().ok()?)).copied()
}
