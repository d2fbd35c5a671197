//! Group r: names and their age. Who is told what about which batch, when a writer is forgotten, what a cancellation may do.
//!
//! States are compared by their distance from the tail, and writers by who can name them, so the log has any length. The network is the coarsest there can be: a
//! batch that was sent once may be in any later slot, any number of times, or in none; a batch without effect changes nothing, so a slot is a short
//! list of batches that have one. What a process concludes from the state it has applied is decided by the functions that ship.

mod state;
mod steps;

use brainy_coordination::internals::Mutant;

use self::state::World;
use super::case::Case;

/// The bounds.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    /// Transactions of each process; processes from `active` on are off until they are handed a name, or are made a copy.
    pub(super) scripts: Vec<u8>,
    pub(super) active: usize,
    pub(super) h: u8,
    /// How many slots behind the tail a process may be that reads them one after the other.
    pub(super) lag: u8,
    /// Beyond it, a process may load a snapshot, and skip what lies between.
    pub(super) snapshots: bool,
    /// Most batches with an effect in one slot.
    pub(super) batches: u8,
    /// A transaction's precondition may fail.
    pub(super) preconditions: bool,
    pub(super) crashes: u8,
    /// Names that are handed to a process that is off, which resolves them.
    pub(super) handed: u8,
    /// Names that nobody ever gave out, one number beyond one that was, which a process that is off resolves.
    pub(super) forged: u8,
    /// Processes that are copied, with what they have in play.
    pub(super) copies: u8,
    /// An identity may be made before there is anything to send under it.
    pub(super) mints_early: bool,
    /// A rule that is broken outside of the shipped decisions.
    pub(super) mutant: Option<Mutant>,
    /// Who resolves sends again, under another name, what nobody can tell any more.
    pub(super) sends_again_outside: bool,
    /// An identity that was silent for more than H slots goes on with the number after its last in the state.
    pub(super) restarts_numbers: bool,
}

impl Naming {
    /// Processes with so many transactions each, and nothing else.
    pub(super) fn new(scripts: &[u8], h: u8) -> Self {
        Self {
            scripts: scripts.to_vec(),
            active: scripts.iter().filter(|count| **count > 0).count(),
            h,
            lag: h + 1,
            snapshots: false,
            batches: 3,
            preconditions: false,
            crashes: 0,
            handed: 0,
            forged: 0,
            copies: 0,
            mints_early: false,
            mutant: None,
            sends_again_outside: false,
            restarts_numbers: false,
        }
    }

    fn is_broken(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The number of the `turn`th transaction of a process.
    fn work(&self, process: usize, turn: u8) -> u8 {
        self.scripts[..process].iter().sum::<u8>() + turn
    }

    /// Transactions, and one more that nobody ever sends: that of a forged name.
    fn works(&self) -> usize {
        self.scripts.iter().map(|count| usize::from(*count)).sum::<usize>() + 1
    }

    /// Whether old batches still matter, because a rule is broken.
    fn keeps_stale(&self) -> bool {
        [Mutant::ApplyStale, Mutant::StaleTakesNumber, Mutant::KeepStaleKeys].iter().any(|mutant| self.is_broken(*mutant))
    }
}

impl Case for Naming {
    type State = World;
    type Step = steps::Step;

    fn properties(&self) -> &'static [&'static str] {
        &["P1", "P2", "P10"]
    }

    fn first(&self) -> World {
        World::first(self)
    }

    fn steps(&self, world: &World, steps: &mut Vec<steps::Step>) {
        self.possible(world, steps);
    }

    fn after(&self, world: &World, step: &steps::Step) -> Option<World> {
        let mut world = world.clone();
        self.take(&mut world, step);
        self.settle(&mut world);
        Some(world)
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        world.broken
    }

    fn words(&self, world: &World, step: &steps::Step) -> String {
        Self::say(world, step)
    }
}
