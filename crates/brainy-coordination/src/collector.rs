//! Finding and removing what nobody needs: old slots, superseded snapshots, and what failed commits and dead processes left (DESIGN §4.9).
//!
//! Anybody may run it, at any time, several at once included. Whether something is garbage is decided by the pure functions of `garbage.rs`; here are the requests, and their order.

mod report;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use brainy_core::codec::ObjectKind;
use brainy_core::{Moment, Nonce};
use brainy_storage::{Entry, Get, GetOptions, Key, Prefix, StoreTime, Swapped};

use crate::descriptor::Truncation;
use crate::error::Error;
use crate::garbage::{self, Bounds, ManifestName, Newest, Sighting};
use crate::head::{self, SeenHead};
use crate::hold;
use crate::keys;
use crate::lease::decide::watched_for;
use crate::log::ChangeLog;
use crate::machine::StateMachine;
use crate::manifest::Manifest;
use crate::mutants::broken;
use crate::state::LogState;

pub use report::{CollectReport, CollectRequests, Removed};

/// Keys of one page of a listing, and of one delete.
pub(crate) const PAGE: NonZeroUsize = NonZeroUsize::new(1_000).expect("not 0");
/// Boundaries that are remembered until their grace is over: later ones are seen again then.
const MOST_SIGHTINGS: usize = 1_024;
/// Leftovers that are watched at once; the rest is found in later rounds.
const MOST_SUSPECTS: usize = 65_536;
/// Batches of silent writers that one round gives up.
const MOST_GIVEN_UP: usize = 256;

/// What a collector does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CollectOptions {
    /// Writes and removes nothing: the report says what would be removed in the end, after all waiting. Default: no.
    pub dry_run: bool,
    /// Raises the boundary to the newest snapshot, so that the slots before it, and older snapshots that nobody holds, go once the grace is over. Without it no slot is touched. Default: no.
    pub truncate: bool,
    /// So many of the newest slots stay in any case. More means that outcomes of old operations can be told for longer, and more objects. Default: [`Self::RETAIN_SLOTS`].
    pub retain_slots: u64,
    /// What a builder or writer left undecided is taken for a dead one's once it has lain unchanged for so long. Shorter cleans up sooner, and may make a slow one do its work again. Default: [`Self::SILENCE`].
    pub silence: Duration,
}

impl CollectOptions {
    /// Default of [`Self::retain_slots`].
    pub const RETAIN_SLOTS: u64 = 1_024;
    /// Default of [`Self::silence`].
    pub const SILENCE: Duration = Duration::from_secs(120);

    /// Only looks.
    #[must_use]
    pub const fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Makes the log shorter.
    #[must_use]
    pub const fn with_truncate(mut self, truncate: bool) -> Self {
        self.truncate = truncate;
        self
    }

    /// Keeps so many slots.
    #[must_use]
    pub const fn with_retain_slots(mut self, slots: u64) -> Self {
        self.retain_slots = slots;
        self
    }

    /// Waits so long for the silent.
    #[must_use]
    pub const fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self { dry_run: false, truncate: false, retain_slots: Self::RETAIN_SLOTS, silence: Self::SILENCE }
    }
}

/// Removes garbage round by round.
///
/// What it must have seen for some time before it may act on it, it remembers itself: the boundary for a grace, pins for their ttl, leftovers for
/// [`silence`](CollectOptions::silence). A fresh collector begins to wait anew; nothing that another one saw counts.
#[derive(Debug)]
pub struct Collector<M: StateMachine> {
    log: ChangeLog<M>,
    options: CollectOptions,
    /// Boundaries that this collector read, ascending.
    sightings: Vec<Sighting>,
    /// Since when what may be a dead process' lies there.
    suspects: BTreeMap<Key, Moment>,
    /// Since when each pin has had these marks.
    pins: BTreeMap<Key, (Nonce, Moment)>,
    /// What manifests keep: they never change.
    kept: BTreeMap<ManifestName, Vec<String>>,
    /// What pins named some time ago: for a mutant.
    remembered: Option<(Moment, BTreeSet<ManifestName>)>,
    /// In a log whose slots are overwritten: up to here they are.
    overwritten: u64,
    /// The most that `ctl/head` ever said to it.
    highest: Bounds,
}

/// What one round knows and did.
struct Round {
    deadline: Moment,
    head: Bounds,
    /// Slots up to here may be removed.
    collected: u64,
    /// What pins, tags and forks name.
    named: BTreeSet<ManifestName>,
    report: CollectReport,
}

/// The manifests and segments that are there.
struct Survey {
    garbage: Vec<Entry>,
    /// Garbage as soon as their token is superseded.
    unfinished: Vec<Key>,
    kinds: (Removed, Removed),
}

impl<M: StateMachine> Collector<M> {
    /// A collector of the log's store. Somebody must drive [`ChangeLog::run`], unless it only looks.
    ///
    /// # Errors
    /// [`Error::CannotCollect`]: the store's listings may leave out what is there, or it deletes slots and its replies carry no time; [`Error::ReadOnly`].
    pub fn new(log: &ChangeLog<M>, options: CollectOptions) -> Result<Self, Error> {
        let store = &log.environment().store;
        let cannot = |reason| Err(Error::CannotCollect { location: store.location(), reason });
        if !store.capabilities().linearizable_list {
            return cannot("its listings may leave out what is there, a pin for example");
        }
        if options.truncate && log.descriptor().constants.truncation == Truncation::Delete && !store.capabilities().has_time {
            return cannot("slots of this store are deleted, which needs the store's time, and its replies carry none");
        }
        if log.is_read_only() && !options.dry_run {
            return Err(Error::ReadOnly);
        }
        Ok(Self {
            log: log.clone(),
            options,
            sightings: Vec::new(),
            suspects: BTreeMap::new(),
            pins: BTreeMap::new(),
            kept: BTreeMap::new(),
            remembered: None,
            overwritten: 0,
            highest: Bounds { boundary: 0, manifest: None },
        })
    }

    /// Removes what can be removed now. [`CollectReport::next`] says when a further round could do more.
    ///
    /// # Errors
    /// [`Error::RolledBack`]: the bucket is not the one that this collector knows; it goes on only in a new handle. [`Error::Diverged`]: this replica may be wrong. Either is looked for
    /// before anything is removed. Any other: another round goes on. What was removed until the error was garbage, unless the bucket went back in the midst of the round.
    pub async fn round(&mut self, deadline: Moment) -> Result<CollectReport, Error> {
        // INV-10: whoever removes looks first whether this is still the log that it knows, however lately anything was confirmed: in a bucket that was restored
        // what it remembers would be the end of what was restored.
        self.log.look_whole(deadline).await?;
        let mut report = CollectReport { dry_run: self.options.dry_run, ..CollectReport::default() };
        let (head, now) = self.raise(&mut report, deadline).await?;
        let constants = &self.log.descriptor().constants;
        let (truncation, grace_ms) = (constants.truncation, constants.grace_ms);
        let mut collected = garbage::deletable(truncation, &self.sightings, now, grace_ms);
        if self.options.dry_run {
            // As if everything had been waited for.
            let target = if self.options.truncate { self.target(head).await? } else { 0 };
            collected = collected.max(head.boundary).max(target);
        } else {
            report.next = self.grace_left(head.boundary, collected, now);
        }
        (report.boundary, report.collected) = (head.boundary, collected);
        let mut round = Round { deadline, head, collected, named: BTreeSet::new(), report };
        // INV-27: holds are listed after the wait: whoever was not among them then found the boundary raised.
        self.holds(&mut round).await?;
        self.snapshots(&mut round).await?;
        self.leftovers(&mut round).await?;
        self.slots(&mut round).await?;
        Ok(round.report)
    }

    /// Reads the head and raises what it says, as far as this collector is to; the store's time with it.
    async fn raise(&mut self, report: &mut CollectReport, deadline: Moment) -> Result<(Bounds, Option<StoreTime>), Error> {
        let (environment, store) = (self.log.environment().clone(), self.log.descriptor().store);
        report.requests.get += 1;
        let mut seen = head::read_head(&environment, store, deadline).await?;
        self.sight(&seen)?;
        if !self.options.dry_run {
            let published = self.log.name_published(deadline).await?;
            let present = seen.head.bounds();
            let named = garbage::next_bounds(present, Bounds { boundary: 0, manifest: published });
            let boundary = if self.options.truncate { self.target(named).await? } else { 0 };
            let wanted = Bounds { boundary, manifest: published };
            if garbage::next_bounds(present, wanted) != present {
                if let Some(manifest) = published.filter(|_| named.manifest != present.manifest) {
                    self.check_published(report, &manifest, deadline).await?;
                }
                let (raised, written) = head::raise(&environment, store, wanted, self.log.position().seq, deadline).await?;
                (report.requests.put, report.requests.get) = (report.requests.put + written, report.requests.get + written + 1);
                seen = raised;
                self.sight(&seen)?;
            }
        }
        Ok((seen.head.bounds(), seen.at))
    }

    /// Makes sure that the manifest that the head is to name is there, unless others have gone on to a later one meanwhile and removed it.
    async fn check_published(&self, report: &mut CollectReport, manifest: &ManifestName, deadline: Moment) -> Result<(), Error> {
        let (environment, store) = (self.log.environment(), self.log.descriptor().store);
        let key = keys::manifest(manifest);
        report.requests.get += 1;
        if matches!(environment.read(&key, GetOptions::whole(), deadline).await?.value, Get::Found(_)) {
            return Ok(());
        }
        report.requests.get += 1;
        let later = head::read_head(environment, store, deadline).await?.head.manifest >= Some(*manifest);
        let reason = "the log says that it was published, and nothing later is";
        if later { Ok(()) } else { Err(Error::Missing { key: key.to_string(), reason }) }
    }

    fn sight(&mut self, seen: &SeenHead) -> Result<(), Error> {
        let bounds = seen.head.bounds();
        // INV-25: it never does in one bucket.
        if bounds.boundary < self.highest.boundary || bounds.manifest < self.highest.manifest {
            let reason = format!("ctl/head says {bounds:?}, it said {:?} before", self.highest);
            return Err(Error::RolledBack { reason });
        }
        self.highest = bounds;
        let boundary = bounds.boundary;
        if boundary > self.sightings.last().map_or(0, |last| last.boundary) && self.sightings.len() < MOST_SIGHTINGS {
            self.sightings.push(Sighting { boundary, at: seen.at });
        }
        if let (true, Some(first)) = (broken!(DeleteToPresentBoundary), self.sightings.first_mut()) {
            // What was waited for is one boundary, what is deleted up to another.
            first.boundary = first.boundary.max(boundary);
        }
        Ok(())
    }

    /// Where the boundary may be raised to.
    async fn target(&self, head: Bounds) -> Result<u64, Error> {
        let position = self.judge(|state| state.position).await?;
        Ok(head.manifest_seq().min(position.saturating_sub(self.options.retain_slots)))
    }

    /// How long until the boundary's grace is over, and forgets boundaries whose is.
    fn grace_left(&mut self, boundary: u64, collected: u64, now: Option<StoreTime>) -> Option<Duration> {
        self.sightings.retain(|sighting| sighting.boundary >= collected);
        let waiting = self.sightings.iter().find(|sighting| sighting.boundary > collected).filter(|_| boundary > collected)?;
        let passed = now?.as_ms().saturating_sub(waiting.at?.as_ms());
        Some(Duration::from_millis(self.log.descriptor().constants.grace_ms.saturating_sub(passed)))
    }

    /// What `decide` makes of the state at a position that is confirmed.
    async fn judge<T>(&self, decide: impl FnOnce(&LogState) -> T) -> Result<T, Error> {
        self.log.at_confirmed(decide).await
    }

    /// Lists what pins, tags and forks name, and ends pins that nobody renews.
    async fn holds(&mut self, round: &mut Round) -> Result<(), Error> {
        let (environment, store) = (self.log.environment().clone(), self.log.descriptor().store);
        let tags = hold::list(&environment, store, ObjectKind::Tag, round.deadline).await?;
        let pins = hold::list(&environment, store, ObjectKind::Pin, round.deadline).await?;
        round.report.requests.list += 2;
        round.report.requests.get += (tags.len() + pins.len()) as u64;
        round.named.extend(tags.iter().filter_map(|(_, hold, _)| hold.manifest));
        round
            .named
            .extend(self.judge(|state| state.forks().values().filter_map(|name| keys::manifest_name(name)).collect::<Vec<_>>()).await?);
        let now = environment.clock.now();
        self.pins.retain(|key, _| pins.iter().any(|(there, ..)| there == key));
        let mut over = Vec::new();
        for (key, pin, revision) in pins {
            let Some(manifest) = pin.manifest else {
                over.push(key);
                continue;
            };
            let (nonce, since) = *self.pins.entry(key.clone()).or_insert((pin.marks.nonce, now));
            if nonce != pin.marks.nonce {
                self.pins.insert(key.clone(), (pin.marks.nonce, now));
            } else if !self.options.dry_run && pin.ttl.is_some_and(|ttl| now.since(since) >= watched_for(ttl)) {
                round.report.requests.put += 1;
                // Only the mark in its place ends it: a renewal that comes first keeps it, one that comes later is refused.
                let ended = pin.next(None, &*environment.entropy);
                let swapped = hold::swap(&environment, ObjectKind::Pin, &key, &ended, revision, round.deadline).await?;
                if matches!(swapped, Swapped::Committed(_)) {
                    over.push(key);
                    continue;
                }
            }
            if let Some(ttl) = pin.ttl {
                // Unless it is renewed meanwhile.
                round.report.wait(watched_for(ttl).saturating_sub(now.since(since)));
            }
            round.named.insert(manifest);
        }
        let removed = Removed { objects: over.len() as u64, bytes: 0 };
        if !self.options.dry_run {
            self.delete(round, over).await?;
        }
        round.report.pins = removed;
        if broken!(PinsBeforeWait) {
            // Those of a whole grace ago, when the boundary was not yet raised.
            let grace = Duration::from_millis(self.log.descriptor().constants.grace_ms);
            let fresh = (now, round.named.clone());
            let (since, before) = self.remembered.take().unwrap_or_else(|| fresh.clone());
            round.named.clone_from(&before);
            self.remembered = Some(if now.since(since) > grace { fresh } else { (since, before) });
        }
        Ok(())
    }

    /// Removes manifests that nobody needs, and segments that no manifest names.
    async fn snapshots(&mut self, round: &mut Round) -> Result<(), Error> {
        let mut survey = self.survey(round).await?;
        let silent = self.watch(&survey.unfinished, "segment/", "manifest/");
        let unfinished = !silent.is_empty();
        if unfinished && !self.options.dry_run {
            // INV-28: from here on whatever these builders still send has no effect.
            round.report.claimed = Some(self.log.claim_compactor(round.deadline).await?);
            survey = self.survey(round).await?;
        } else if !survey.unfinished.is_empty() {
            round.report.wait(self.options.silence);
        }
        (round.report.manifests, round.report.segments) = survey.kinds;
        if !self.options.dry_run {
            let keys = survey.garbage.into_iter().map(|entry| entry.key).collect();
            self.delete(round, keys).await?;
        }
        Ok(())
    }

    async fn survey(&mut self, round: &mut Round) -> Result<Survey, Error> {
        // INV-28: the log is asked first, then segments are listed, then manifests: a superseded builder's segment that no manifest names by then is named by none that was
        // published, nor will be.
        let newest = self.judge(Newest::of).await?;
        let segments = self.list(round, &keys::segments()).await?;
        let manifests = self.list(round, &keys::manifests()).await?;
        let mut survey = Survey { garbage: Vec::new(), unfinished: Vec::new(), kinds: Default::default() };
        let mut kept = BTreeSet::new();
        let head = round.head.manifest;
        let mut needed = BTreeSet::new();
        for entry in manifests {
            // What is no name of ours is not ours to remove.
            let Some(name) = keys::manifest_name(entry.key.as_str()) else { continue };
            let reachable = garbage::is_reachable(&name, round.collected, head.as_ref(), &round.named);
            let named = head == Some(name) || round.named.contains(&name);
            if !reachable || (garbage::is_unpublishable(newest, &name) && !named) {
                survey.kinds.0.add(&entry);
                survey.garbage.push(entry);
                continue;
            }
            if name.seq > newest.published && !named {
                survey.unfinished.push(entry.key.clone());
            }
            needed.insert(name);
            kept.extend(self.keep_list(round, &name).await?);
        }
        self.kept.retain(|name, _| needed.contains(name));
        for entry in segments {
            let Some(name) = keys::segment_name(entry.key.as_str()) else { continue };
            let named = kept.contains(entry.key.as_str());
            let aged = broken!(SegmentsByAge) && !named && self.is_silent(&entry.key);
            if garbage::is_segment_garbage(newest, &name, named) || aged {
                survey.kinds.1.add(&entry);
                survey.garbage.push(entry);
            } else if !named && name.token >= newest.claim {
                survey.unfinished.push(entry.key);
            }
        }
        Ok(survey)
    }

    /// What a manifest keeps; nothing if it is gone.
    async fn keep_list(&mut self, round: &mut Round, name: &ManifestName) -> Result<Vec<String>, Error> {
        if let Some(kept) = self.kept.get(name) {
            return Ok(kept.clone());
        }
        round.report.requests.get += 1;
        let key = keys::manifest(name);
        let found = self.log.environment().read(&key, GetOptions::whole(), round.deadline).await?.value;
        let Get::Found(object) = found else { return Ok(Vec::new()) };
        // One that cannot be read may keep anything: nothing is removed until somebody has looked at it.
        let manifest = Manifest::decode(name, self.log.descriptor().store, &object.bytes).map_err(|error| Error::bytes(&key, error))?;
        self.kept.insert(*name, manifest.keep.clone());
        Ok(manifest.keep)
    }

    /// Notes since when these lie there, forgets others of the same folders, and returns those that have for long enough.
    fn watch(&mut self, there: &[Key], folder: &str, other: &str) -> Vec<Key> {
        let now = self.log.environment().clock.now();
        let of_folders = |key: &Key| key.as_str().starts_with(folder) || key.as_str().starts_with(other);
        let known: BTreeSet<&Key> = there.iter().collect();
        self.suspects.retain(|key, _| !of_folders(key) || known.contains(key));
        for key in there {
            if self.suspects.len() < MOST_SUSPECTS {
                self.suspects.entry(key.clone()).or_insert(now);
            }
        }
        there.iter().filter(|key| self.is_silent(key)).cloned().collect()
    }

    fn is_silent(&self, key: &Key) -> bool {
        let now = self.log.environment().clock.now();
        self.suspects.get(key).is_some_and(|since| now.since(*since) >= self.options.silence)
    }

    /// All of a folder that is small: as many objects as there are snapshots.
    async fn list(&self, round: &mut Round, folder: &Prefix) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        loop {
            let after = entries.last().map(|entry: &Entry| entry.key.clone());
            round.report.requests.list += 1;
            let page = self.log.environment().list(folder, after.as_ref(), PAGE, round.deadline).await?.value;
            let more = page.more && !page.entries.is_empty();
            entries.extend(page.entries);
            if !more {
                return Ok(entries);
            }
        }
    }

    async fn delete(&self, round: &mut Round, keys: Vec<Key>) -> Result<(), Error> {
        for keys in keys.chunks(PAGE.get()) {
            round.report.requests.delete += 1;
            self.log.environment().delete(keys, round.deadline).await?;
        }
        Ok(())
    }
}
