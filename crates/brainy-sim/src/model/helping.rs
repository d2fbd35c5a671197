//! Group a: the log with helping. Numbered slots, intents, the scan rule, what a reply means, who is told what.
//!
//! Each step of a committer is open at any time: what `next_step` chooses for speed is a part of it. A reply comes with its effect, or never: what a
//! process does between the two is its own business alone, so nothing is lost by that. A request whose client gave up stays on its way, and lands when it will.

pub(super) mod book;
mod state;
mod steps;

use brainy_coordination::internals::Mutant;

pub(super) use self::book::Deed;
use self::book::Library;
use self::state::{Told, World};
use super::case::Case;

/// How a crash goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The process never comes back.
    Nothing,
    /// It comes back with the name of what it had in play, and resolves it.
    Resolve,
}

/// The bounds.
#[derive(Clone, Debug)]
pub(super) struct Helping {
    /// What each process does, one batch a transaction.
    pub(super) scripts: Vec<Vec<Deed>>,
    pub(super) k: u8,
    pub(super) h: u64,
    /// C: strangers that fit into a slot.
    pub(super) room: u8,
    /// The bound on slots that P9 holds: after the tail at which an intent became visible.
    pub(super) bound: u8,
    /// The log is not looked at beyond so many slots.
    pub(super) longest: u8,
    /// Requests whose client gives up: they land later, or never.
    pub(super) late: u8,
    pub(super) crashes: u8,
    pub(super) after_crash: After,
    /// Intents that are left again.
    pub(super) again: u8,
    /// A listing reads one key at a time, while the inbox changes.
    pub(super) paged: bool,
    /// Anybody may remove dead keys.
    pub(super) removal: bool,
    /// A process that has nothing of its own to commit may carry others.
    pub(super) sequencing: bool,
    /// The second process is a copy of the first, identity included.
    pub(super) copied: bool,
    /// Who gives up fills a slot with nothing of its own, and takes that for a rejection (a rule of an earlier text).
    pub(super) poison: bool,
    /// A rule that is broken outside of the shipped decisions.
    pub(super) mutant: Option<Mutant>,
    pub(super) library: Library,
}

impl Helping {
    /// Processes with these scripts and nothing else.
    pub(super) fn new(scripts: &[&[Deed]], k: u8, h: u64) -> Self {
        Self {
            scripts: scripts.iter().map(|script| script.to_vec()).collect(),
            k,
            h,
            room: 9,
            bound: k + 1,
            longest: 6,
            late: 0,
            crashes: 0,
            after_crash: After::Nothing,
            again: 0,
            paged: false,
            removal: false,
            sequencing: false,
            copied: false,
            poison: false,
            mutant: None,
            library: Library::default(),
        }
    }

    fn works(&self) -> usize {
        self.scripts.iter().map(Vec::len).sum()
    }

    fn deeds(&self) -> Vec<Deed> {
        self.scripts.concat()
    }

    /// The number of the `turn`th transaction of a process.
    fn work(&self, process: usize, turn: u8) -> u8 {
        let before: usize = self.scripts[..process].iter().map(Vec::len).sum();
        u8::try_from(before).expect("few") + turn
    }

    fn is_broken(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

impl Case for Helping {
    type State = World;
    type Step = steps::Step;

    fn properties(&self) -> &'static [&'static str] {
        &["P1", "P2", "P3", "P9", "P10"]
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
        world.settle();
        Some(world)
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        world.broken
    }

    fn words(&self, world: &World, step: &steps::Step) -> String {
        self.say(world, step)
    }
}

/// Checks what a process is told against the log, which is the truth.
fn judge(world: &World, work: u8, told: Told) -> Option<&'static str> {
    let effects: Vec<_> = world.log.board().done.iter().filter(|(done, _)| *done == work).collect();
    match (told, effects.as_slice()) {
        (Told::Committed(slot), [(_, at)]) if *at == slot => (slot <= world.floor[usize::from(work)]).then_some("P3"),
        (Told::Committed(_), _) => Some("P1"),
        (Told::Rejected, []) | (Told::Unknown | Told::Asked | Told::Nothing, _) => None,
        (Told::Rejected, _) => Some("P2"),
    }
}
