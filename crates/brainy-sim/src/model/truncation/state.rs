//! What there is: slots, the head, processes, collectors.

use brainy_coordination::internals::{Bounds, Confirmation, ManifestName, Sighting, Watch};
use brainy_core::ContentHash;
use brainy_storage::StoreTime;

use super::super::helping::book::{Formed, Library, Log};
use super::Trunc;

/// What lies under a slot's name.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) enum Place {
    Free,
    /// The log that ends with it.
    Slot(Log),
    /// A tombstone.
    Marker,
}

/// What a process has to do before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Needs {
    Nothing,
    /// A look at `ctl/head`.
    Head,
    /// The newest state: what it stands on was removed.
    State,
    /// The state of this position, which `ctl/head` named at this time.
    Loading(u8, Option<StoreTime>),
}

/// A slot that was asked for, as it was then.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) enum Reply {
    Found(Log),
    /// Nothing; the tail was here.
    Absent(u8),
    Marker,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Process {
    /// What it has applied.
    pub(super) at: Log,
    pub(super) trusted: u8,
    pub(super) confirmation: Confirmation,
    pub(super) needs: Needs,
    /// Where the tail was at the 404 that is being confirmed.
    pub(super) tail: Option<u8>,
    pub(super) doubtful: bool,
    pub(super) play: Option<Formed>,
    /// What it noted of that batch, slot by slot.
    pub(super) watch: Option<Box<Watch>>,
    pub(super) posted: bool,
    /// Another's batch that it found in the inbox.
    pub(super) held: Option<Formed>,
    pub(super) turn: u8,
    /// A later slot that it asked for beside.
    pub(super) ahead: Option<(u8, Reply, Option<StoreTime>)>,
    /// The reply to a create that waits for its turn: of which slot.
    pub(super) created: Option<(Log, Option<StoreTime>)>,
    pub(super) asleep: bool,
    /// It has nothing more to do.
    pub(super) gone: bool,
}

impl Process {
    /// It applied slots up to there.
    pub(super) fn advance(&mut self, to: Log) {
        self.at = to;
        if let Some(watch) = &mut self.watch {
            watch.note(self.at.state());
        }
    }

    pub(super) fn is_firm(&self) -> bool {
        self.trusted == self.at.len() && self.needs == Needs::Nothing
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Collector {
    /// To where it is about to raise the boundary.
    pub(super) wanted: Option<u8>,
    pub(super) sightings: Vec<Sighting>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(in super::super) struct World {
    /// Slot n at n − 1.
    pub(super) slots: Vec<Place>,
    /// What was committed.
    pub(super) truth: Log,
    pub(super) boundary: u8,
    pub(super) manifest: u8,
    pub(super) collectors: Vec<Collector>,
    pub(super) processes: Vec<Process>,
    /// Creates that nobody waits for any more.
    pub(super) net: Vec<Log>,
    pub(super) inbox: Vec<Formed>,
    pub(super) late: u8,
    pub(super) suspends: u8,
    pub(super) broken: Option<&'static str>,
}

impl World {
    pub(super) fn first(case: &Trunc) -> Self {
        Self {
            slots: vec![Place::Free; case.longest.into()],
            truth: Library::empty(100),
            boundary: 0,
            manifest: 0,
            collectors: vec![Collector::default(); case.collectors],
            processes: vec![case.fresh(); case.processes.len()],
            net: Vec::new(),
            inbox: Vec::new(),
            late: case.late,
            suspends: case.own_clocks.unwrap_or(0),
            broken: None,
        }
    }

    pub(super) fn place(&self, seq: u8) -> &Place {
        &self.slots[usize::from(seq) - 1]
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { boundary: self.boundary.into(), manifest: (self.manifest > 0).then(|| manifest(self.manifest)) }
    }

    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        let small = |number: u64| u8::try_from(number).expect("a model's log is short");
        (self.boundary, self.manifest) = (small(bounds.boundary), small(bounds.manifest_seq()));
    }

    /// A create takes effect. Whether it did.
    pub(super) fn land(&mut self, slot: &Log) -> bool {
        let seq = slot.len();
        if *self.place(seq) != Place::Free {
            return *self.place(seq) == Place::Slot(slot.clone());
        }
        if seq == self.truth.len() + 1 {
            if *slot.at(seq - 1) != self.truth {
                // Somebody rested on a slot that nobody else will ever read.
                self.broken = self.broken.or(Some("P8"));
                return true;
            }
            self.truth = slot.clone();
        }
        self.slots[usize::from(seq) - 1] = Place::Slot(slot.clone());
        true
    }

    /// Nothing of what was committed goes that somebody still needs.
    pub(super) fn hold_to_the_promises(&mut self) {
        let kept = self.boundary.min(self.manifest);
        let whole = (kept + 1..=self.truth.len()).all(|seq| *self.place(seq) == Place::Slot(self.truth.at(seq).clone()));
        if !whole {
            self.broken = self.broken.or(Some("P8"));
        }
        self.net.sort_by_key(Log::len);
        let key = |collector: &Collector| {
            let sightings = collector.sightings.iter().map(|sighting| (sighting.boundary, sighting.at));
            (collector.wanted, sightings.collect::<Vec<_>>())
        };
        self.collectors.sort_by_cached_key(key);
    }
}

pub(in super::super) fn manifest(seq: u8) -> ManifestName {
    ManifestName { seq: seq.into(), token: 1, hash: ContentHash::of(&[seq]) }
}
