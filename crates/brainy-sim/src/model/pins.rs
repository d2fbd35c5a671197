//! Group t, what holds a manifest: readers pin or tag what `ctl/head` names, collectors remove what nobody holds, both stall anywhere.
//!
//! A pin's life needs no clock here: a collector may take any pin for one that nobody renews, at any time. What must hold is that a pin whose mark is not
//! *ended* protects what its reader relies on. A tag is a pin that nobody ends; a fork's record in the log stands for a tag.

use std::collections::BTreeSet;

use brainy_coordination::Truncation;
use brainy_coordination::internals::{Bounds, ManifestName, Mutant, Sighting, deletable, is_held, is_reachable, next_bounds};
use brainy_storage::StoreTime;

use super::case::Case;
use super::truncation::manifest;

const TICK_MS: u64 = 1_000;
const NOW_MS: u64 = 1_000_000;
/// G, in ticks.
const GRACE: u64 = 4;

/// The bounds.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    pub(super) readers: usize,
    pub(super) collectors: usize,
    /// Manifests that are published.
    pub(super) manifests: u8,
    /// Holds are tags: nobody ends them.
    pub(super) tags: bool,
    /// Renewals that a reader makes at most.
    pub(super) renewals: u8,
    /// A rule that is broken outside of the shipped decisions.
    pub(super) mutant: Option<Mutant>,
}

/// A pin in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Pin {
    manifest: u8,
    /// Changes with each write.
    mark: u8,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Idle,
    /// It read that this is the newest.
    Looked(u8),
    /// It wrote its pin.
    Pinned(u8),
    /// It relies on it.
    Relies(u8),
    /// It was told that its pin ended.
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reader {
    stage: Stage,
    pin: Option<Pin>,
    renewals: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Collector {
    sightings: Vec<Sighting>,
    round: Option<Round>,
    /// What pins named before the boundary was raised: for a mutant.
    before: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Round {
    collected: u8,
    head: u8,
    /// Pins as they were listed; none: they were not yet.
    listed: Option<Vec<Option<Pin>>>,
    named: BTreeSet<u8>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    boundary: u8,
    manifest: u8,
    gone: BTreeSet<u8>,
    readers: Vec<Reader>,
    collectors: Vec<Collector>,
}

/// A step; the numbers are those of readers, collectors and manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Tick,
    Publish,
    Look(u8),
    Pin(u8),
    Verify(u8),
    Renew(u8),
    Raise(u8),
    See(u8),
    Begin(u8),
    List(u8),
    /// Lists before its round, to use that later.
    ListEarly(u8),
    End(u8, u8),
    Remove(u8, u8),
    Finish(u8),
}

fn small(number: u64) -> u8 {
    u8::try_from(number).expect("there are few")
}

impl Pins {
    fn is_broken(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn bounds(world: &World) -> Bounds {
        Bounds { boundary: world.boundary.into(), manifest: Some(manifest(world.manifest)) }
    }

    fn set(world: &mut World, bounds: Bounds) {
        (world.boundary, world.manifest) = (small(bounds.boundary), small(bounds.manifest_seq()));
    }

    fn see(world: &mut World, collector: usize) {
        let sighting = Sighting { boundary: world.boundary.into(), at: Some(StoreTime::from_ms(NOW_MS)) };
        let sightings = &mut world.collectors[collector].sightings;
        if sightings.last().is_none_or(|last| last.boundary < sighting.boundary) {
            sightings.push(sighting);
        }
        // Two are enough to tell one that was waited for from the present one.
        if sightings.len() > 2 {
            sightings.remove(0);
        }
    }

    fn removable(&self, world: &World, collector: &Collector) -> Vec<u8> {
        let Some(round) = collector.round.as_ref().filter(|round| round.listed.is_some()) else { return Vec::new() };
        let named: BTreeSet<ManifestName> = round.named.iter().map(|seq| manifest(*seq)).collect();
        let needed = |seq: &u8| is_reachable(&manifest(*seq), round.collected.into(), Some(&manifest(round.head)), &named);
        (1..=world.manifest).filter(|seq| !world.gone.contains(seq) && !needed(seq)).collect()
    }

    fn live(world: &World) -> Vec<u8> {
        let pins = world.readers.iter().filter_map(|reader| reader.pin.filter(|pin| !pin.ended));
        pins.map(|pin| pin.manifest).collect()
    }
}

impl Case for Pins {
    type State = World;
    type Step = Step;

    fn properties(&self) -> &'static [&'static str] {
        &["P8"]
    }

    fn first(&self) -> World {
        let reader = Reader { stage: Stage::Idle, pin: None, renewals: 0 };
        World {
            boundary: 0,
            manifest: 1,
            gone: BTreeSet::new(),
            readers: vec![reader; self.readers],
            collectors: vec![Collector::default(); self.collectors],
        }
    }

    fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        steps.push(Step::Tick);
        if world.manifest < self.manifests {
            steps.push(Step::Publish);
        }
        for (index, reader) in (0..).zip(&world.readers) {
            match reader.stage {
                Stage::Idle => steps.push(Step::Look(index)),
                Stage::Looked(_) => steps.push(Step::Pin(index)),
                Stage::Pinned(_) => steps.push(Step::Verify(index)),
                Stage::Relies(_) if !self.tags && reader.renewals < self.renewals => steps.push(Step::Renew(index)),
                Stage::Relies(_) | Stage::Told => {}
            }
        }
        for (index, collector) in (0..).zip(&world.collectors) {
            if world.boundary < world.manifest {
                steps.push(Step::Raise(index));
            }
            steps.push(Step::See(index));
            if self.is_broken(Mutant::PinsBeforeWait) && collector.round.is_none() {
                steps.push(Step::ListEarly(index));
            }
            let Some(round) = &collector.round else {
                steps.push(Step::Begin(index));
                continue;
            };
            steps.push(Step::Finish(index));
            match &round.listed {
                None => steps.push(Step::List(index)),
                Some(listed) => {
                    let live = listed.iter().map(|pin| pin.is_some_and(|pin| !pin.ended));
                    if !self.tags {
                        steps.extend((0..).zip(live).filter(|(_, live)| *live).map(|(reader, _)| Step::End(index, reader)));
                    }
                    steps.extend(self.removable(world, collector).into_iter().map(|seq| Step::Remove(index, seq)));
                }
            }
        }
    }

    fn after(&self, world: &World, step: &Step) -> Option<World> {
        let mut after = world.clone();
        match *step {
            Step::Tick => {
                let floor = NOW_MS - GRACE * TICK_MS;
                for collector in &mut after.collectors {
                    let older = |at: StoreTime| StoreTime::from_ms((at.as_ms() - TICK_MS).max(floor));
                    collector.sightings.iter_mut().for_each(|sighting| sighting.at = sighting.at.map(older));
                    // What was waited for up to a higher number says no more.
                    let waited = |sighting: &Sighting| sighting.at == Some(StoreTime::from_ms(floor));
                    while collector.sightings.get(1).is_some_and(waited) {
                        collector.sightings.remove(0);
                    }
                }
            }
            Step::Publish => {
                let wanted = Bounds { boundary: 0, manifest: Some(manifest(world.manifest + 1)) };
                Self::set(&mut after, next_bounds(Self::bounds(world), wanted));
            }
            Step::Look(r) => after.readers[usize::from(r)].stage = Stage::Looked(world.manifest),
            Step::Pin(r) => {
                let reader = &mut after.readers[usize::from(r)];
                let Stage::Looked(seq) = reader.stage else { return None };
                reader.pin = Some(Pin { manifest: seq, mark: 0, ended: false });
                reader.stage = if self.is_broken(Mutant::UnverifiedPin) { Stage::Relies(seq) } else { Stage::Pinned(seq) };
            }
            Step::Verify(r) => {
                let reader = &mut after.readers[usize::from(r)];
                let Stage::Pinned(seq) = reader.stage else { return None };
                if is_held(world.boundary.into(), &manifest(seq)) {
                    reader.stage = Stage::Relies(seq);
                } else {
                    (reader.stage, reader.pin) = (Stage::Idle, None);
                }
            }
            Step::Renew(r) => {
                let reader = &mut after.readers[usize::from(r)];
                reader.renewals += 1;
                match &mut reader.pin {
                    Some(pin) if !pin.ended => pin.mark += 1,
                    _ => reader.stage = Stage::Told,
                }
            }
            Step::Raise(c) => {
                let wanted = Bounds { boundary: world.manifest.into(), manifest: None };
                Self::set(&mut after, next_bounds(Self::bounds(world), wanted));
                Self::see(&mut after, usize::from(c));
            }
            Step::ListEarly(c) => after.collectors[usize::from(c)].before = Some(Self::live(world)),
            Step::See(c) => Self::see(&mut after, usize::from(c)),
            Step::Begin(c) => {
                let collector = &mut after.collectors[usize::from(c)];
                let now = Some(StoreTime::from_ms(NOW_MS));
                let collected = small(deletable(Truncation::Delete, &collector.sightings, now, GRACE * TICK_MS));
                collector.sightings.retain(|sighting| sighting.boundary >= u64::from(collected));
                collector.round = Some(Round { collected, head: world.manifest, listed: None, named: BTreeSet::new() });
            }
            Step::List(c) => {
                let live = Self::live(world);
                let pins = world.readers.iter().map(|reader| reader.pin).collect();
                let collector = &mut after.collectors[usize::from(c)];
                let before = collector.before.take();
                let round = collector.round.as_mut()?;
                round.listed = Some(pins);
                round.named = before.unwrap_or(live).into_iter().collect();
            }
            Step::End(c, r) => {
                let round = after.collectors[usize::from(c)].round.as_mut()?;
                let place = &mut round.listed.as_mut()?[usize::from(r)];
                let seen = (*place)?;
                let pin = after.readers[usize::from(r)].pin.as_mut()?;
                // Only the mark in its place ends it: one that was renewed since names its manifest as before.
                if *pin == seen {
                    pin.ended = true;
                    *place = None;
                    if !round.listed.iter().flatten().flatten().any(|other| other.manifest == seen.manifest && !other.ended) {
                        round.named.remove(&seen.manifest);
                    }
                }
            }
            Step::Remove(_, seq) => drop(after.gone.insert(seq)),
            Step::Finish(c) => after.collectors[usize::from(c)].round = None,
        }
        // Collectors differ in nothing but what they hold.
        after.collectors.sort_by_cached_key(|collector| {
            let sightings: Vec<_> = collector.sightings.iter().map(|sighting| (sighting.boundary, sighting.at)).collect();
            (sightings, collector.round.clone(), collector.before.clone())
        });
        (after != *world).then_some(after)
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        let relied_on = world.readers.iter().filter_map(|reader| match (reader.stage, reader.pin) {
            (Stage::Relies(seq), Some(pin)) if !pin.ended => Some(seq),
            _ => None,
        });
        let needed = relied_on.chain([world.manifest]);
        needed.into_iter().any(|seq| world.gone.contains(&seq)).then_some("P8")
    }

    fn words(&self, world: &World, step: &Step) -> String {
        let stage = |r: &u8| match world.readers[usize::from(*r)].stage {
            Stage::Looked(seq) | Stage::Pinned(seq) | Stage::Relies(seq) => seq,
            Stage::Idle | Stage::Told => 0,
        };
        match step {
            Step::Tick => "a quarter of the grace passes".into(),
            Step::Publish => format!("manifest {} is published", world.manifest + 1),
            Step::Look(r) => format!("reader {r} reads ctl/head: manifest {}", world.manifest),
            Step::Pin(r) => format!("reader {r} writes its hold on manifest {}", stage(r)),
            Step::Verify(r) => format!("reader {r} reads boundary {}", world.boundary),
            Step::Renew(r) => format!("reader {r} renews its pin of manifest {}", stage(r)),
            Step::Raise(c) => format!("collector {c} raises the boundary to {}", world.manifest),
            Step::See(c) => format!("collector {c} reads boundary {}", world.boundary),
            Step::Begin(c) => format!("collector {c} begins a round"),
            Step::ListEarly(c) => format!("collector {c} lists what is held, for later"),
            Step::List(c) => format!("collector {c} lists what is held"),
            Step::End(c, r) => format!("collector {c} ends the pin of reader {r}, if it is as it was"),
            Step::Remove(c, seq) => format!("collector {c} removes manifest {seq}"),
            Step::Finish(c) => format!("collector {c} ends its round"),
        }
    }
}
