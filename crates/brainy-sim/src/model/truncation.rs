//! Group t, the log: slots are removed behind a boundary while writers, readers and collectors stall anywhere, and requests land when they will.
//!
//! Every request is one step: what a process does with a reply concerns it alone, so that nothing is lost by that. Exceptions, where asked for: a create whose client gave up, and replies
//! that one task of a handle has and another overtakes. Times are the store's and are kept as ages, so that a run has no end.

mod state;
mod steps;

use brainy_coordination::internals::{Confirmation, Mutant, Sighting, deletable};
use brainy_coordination::{Constants, Truncation};
use brainy_storage::StoreTime;

pub(super) use self::state::manifest;
use self::state::{Needs, Process, World};
use super::case::Case;
use super::helping::Deed;
use super::helping::book::Library;

/// A quarter of the grace.
const TICK_MS: u64 = 1_000;
/// The store's present time: stored times move back instead.
const NOW_MS: u64 = 1_000_000;
/// G, in ticks.
const GRACE: u64 = 4;
/// So many ticks at most a reply waits for its turn.
const LONGEST_STALL: u64 = GRACE + 1;

/// What a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// Batches of its own.
    pub(super) works: u8,
    /// It commits by leaving its batch to others alone.
    pub(super) helped: bool,
    /// It carries what others left.
    pub(super) carries: bool,
    /// Each confirmed tail is an answer to somebody who asked for the latest state.
    pub(super) answers: bool,
    /// It has tasks that read while a reply waits.
    pub(super) tasks: bool,
    /// It sees no time on replies.
    pub(super) undated: bool,
}

/// The bounds.
#[derive(Clone, Debug)]
pub(super) struct Trunc {
    pub(super) mode: Truncation,
    pub(super) processes: Vec<Role>,
    pub(super) collectors: usize,
    /// The log is not looked at beyond so many slots.
    pub(super) longest: u8,
    /// Creates whose client gives up: they land later, or never.
    pub(super) late: u8,
    /// Front ends' clocks differ by up to a tick.
    pub(super) skewed: bool,
    /// Times are the processes' own, and so often one is suspended: its clock stands still (a rule of an earlier text).
    pub(super) own_clocks: Option<u8>,
    /// A collector may stall between what it wants and what it writes.
    pub(super) slow_collectors: bool,
    /// Old slots go in order.
    pub(super) ascending: bool,
    /// A rule that is broken outside of the shipped decisions.
    pub(super) mutant: Option<Mutant>,
    pub(super) library: Library,
}

impl Trunc {
    pub(super) fn new(processes: &[Role]) -> Self {
        Self {
            mode: Truncation::Delete,
            processes: processes.to_vec(),
            collectors: 1,
            longest: 4,
            late: 0,
            skewed: false,
            own_clocks: None,
            slow_collectors: false,
            ascending: false,
            mutant: None,
            library: Library::default(),
        }
    }

    fn constants(&self) -> Constants {
        let mut constants = Constants::new(self.mode);
        constants.grace_ms = GRACE * TICK_MS;
        constants
    }

    fn deeds() -> Vec<Deed> {
        vec![Deed::Add; 64]
    }

    /// The oldest confirmation that is told from older ones: where every reply is taken in at once, one before the present tick never counts again.
    fn floor(&self) -> StoreTime {
        time(if self.processes.iter().any(|role| role.tasks) { LONGEST_STALL + 1 } else { 1 })
    }

    fn collectable(&self, sightings: &[Sighting], ahead: bool) -> u64 {
        deletable(self.mode, sightings, Some(self.now(ahead)), GRACE * TICK_MS)
    }

    /// The time on a reply of a front end whose clock is right, or ahead.
    fn now(&self, ahead: bool) -> StoreTime {
        StoreTime::from_ms(NOW_MS + if ahead { TICK_MS } else { 0 })
    }

    /// A process that was just opened.
    fn fresh(&self) -> Process {
        let mut confirmation = Confirmation::new(&self.constants());
        confirmation.confirm(Some(self.now(false)));
        Process {
            at: Library::empty(100),
            trusted: 0,
            confirmation,
            needs: Needs::Nothing,
            tail: None,
            doubtful: false,
            play: None,
            watch: None,
            posted: false,
            held: None,
            turn: 0,
            ahead: None,
            created: None,
            asleep: false,
            gone: false,
        }
    }
}

/// So many ticks ago.
const fn time(ticks: u64) -> StoreTime {
    StoreTime::from_ms(NOW_MS - ticks * TICK_MS)
}

impl Case for Trunc {
    type State = World;
    type Step = steps::Step;

    fn properties(&self) -> &'static [&'static str] {
        &["P1", "P2", "P4", "P8", "P10"]
    }

    fn first(&self) -> World {
        World::first(self)
    }

    fn steps(&self, world: &World, steps: &mut Vec<steps::Step>) {
        self.possible(world, steps);
    }

    fn after(&self, world: &World, step: &steps::Step) -> Option<World> {
        let mut after = world.clone();
        self.take(&mut after, step);
        after.hold_to_the_promises();
        (after != *world).then_some(after)
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        world.broken
    }

    fn words(&self, world: &World, step: &steps::Step) -> String {
        self.say(world, step)
    }
}
