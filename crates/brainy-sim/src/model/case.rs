//! What a group has to be, and how it is looked through.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brainy_coordination::internals::Mutant;
use brainy_core::{Clock, SystemClock};
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::random::Random;

/// A protocol at some bounds, with the faults that may happen in it.
pub trait Case: Clone + Send + Sync + 'static {
    /// Everything: the store, what is on its way, the processes, and what was promised to whom.
    type State: Clone + Hash + PartialEq + Send + Sync + 'static;
    /// Something that may happen next.
    type Step: Clone + PartialEq + Send + Sync + 'static;

    /// The promises that [`broken`](Self::broken) may name, as in `docs/testing.md`.
    fn properties(&self) -> &'static [&'static str];

    /// Where it begins.
    fn first(&self) -> Self::State;

    /// What may happen next.
    fn steps(&self, state: &Self::State, steps: &mut Vec<Self::Step>);

    /// What is after it; none: nothing changes.
    fn after(&self, state: &Self::State, step: &Self::Step) -> Option<Self::State>;

    /// The promise that is broken in this state.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;

    /// A step in words.
    fn words(&self, state: &Self::State, step: &Self::Step) -> String;
}

/// How far to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Every state, breadth first; given up at so many.
    All {
        /// Most states.
        states: usize,
    },
    /// So many steps in walks of at most so many each, drawn from the seed.
    Walks {
        /// Steps in all.
        steps: u64,
        /// Longest walk.
        longest: usize,
        /// The seed.
        seed: u64,
    },
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Distinct states; steps, of walks.
    pub states: u64,
    /// The longest way from the beginning.
    pub depth: usize,
    /// Every reachable state was seen.
    pub exhaustive: bool,
    /// The broken promise, and a way there: the shortest, of a breadth-first search by one thread.
    pub broken: Option<(&'static str, Vec<String>)>,
    /// How long it took.
    pub took: Duration,
}

/// A case with a rule broken, or none. Rules are broken by thread: each call says so anew.
struct Under<C> {
    case: C,
    mutant: Option<Mutant>,
    /// States whose steps were asked for, and how many may be.
    expanded: AtomicUsize,
    limit: usize,
}

macro_rules! always {
    ($($name:literal)*) => {
        [$(Property::always($name, |model: &Under<C>, state: &C::State| {
            Mutant::set(model.mutant);
            model.case.broken(state) != Some($name)
        }),)*]
    };
}

impl<C: Case> Model for Under<C> {
    type State = C::State;
    type Action = C::Step;

    fn init_states(&self) -> Vec<C::State> {
        Mutant::set(self.mutant);
        vec![self.case.first()]
    }

    fn actions(&self, state: &C::State, actions: &mut Vec<C::Step>) {
        Mutant::set(self.mutant);
        let within = self.expanded.fetch_add(1, Ordering::Relaxed) < self.limit;
        if within && self.case.broken(state).is_none() {
            self.case.steps(state, actions);
        }
    }

    fn next_state(&self, state: &C::State, step: C::Step) -> Option<C::State> {
        Mutant::set(self.mutant);
        self.case.after(state, &step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let all = always!["P1" "P2" "P3" "P4" "P5" "P6" "P7" "P8" "P9" "P10" "P11"];
        all.into_iter().filter(|property| self.case.properties().contains(&property.name)).collect()
    }
}

/// Looks through `case` with `mutant` broken, by so many threads.
pub fn explore<C: Case>(case: C, mutant: Option<Mutant>, effort: Effort, threads: usize) -> Found {
    let clock = SystemClock;
    let began = clock.now();
    let limit = match effort {
        Effort::All { states } => states,
        Effort::Walks { .. } => 0,
    };
    let under = Under { case, mutant, expanded: AtomicUsize::new(0), limit };
    let mut found = match effort {
        Effort::All { .. } => search(under, threads),
        Effort::Walks { steps, longest, seed } => walk(&under, steps, longest, seed),
    };
    Mutant::set(None);
    found.took = clock.now().since(began);
    found
}

fn search<C: Case>(under: Under<C>, threads: usize) -> Found {
    let checker = under.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let under = checker.model();
    let broken = checker.discoveries().into_iter().map(|(property, path)| {
        Mutant::set(under.mutant);
        let steps = path.into_vec();
        let words: Vec<_> = steps.iter().filter_map(|(state, step)| Some(under.case.words(state, step.as_ref()?))).collect();
        (property, words)
    });
    let broken = broken.min_by_key(|(_, words)| words.len());
    Found {
        states: checker.unique_state_count() as u64,
        depth: checker.max_depth(),
        exhaustive: broken.is_none() && under.expanded.load(Ordering::Relaxed) <= under.limit,
        broken,
        took: Duration::ZERO,
    }
}

fn walk<C: Case>(under: &Under<C>, steps: u64, longest: usize, seed: u64) -> Found {
    Mutant::set(under.mutant);
    let mut found = Found { states: 0, depth: 0, exhaustive: false, broken: None, took: Duration::ZERO };
    let mut choices = Vec::new();
    for walk in 0.. {
        if found.states >= steps || found.broken.is_some() || walk > steps {
            break;
        }
        let mut random = Random::new(seed, walk);
        let mut state = under.case.first();
        let mut way: Vec<(C::State, C::Step)> = Vec::new();
        for depth in 0..=longest {
            if let Some(property) = under.case.broken(&state) {
                found.broken = Some((property, way.iter().map(|(state, step)| under.case.words(state, step)).collect()));
                break;
            }
            choices.clear();
            under.case.steps(&state, &mut choices);
            let mut next = None;
            while next.is_none() && !choices.is_empty() {
                let chosen = usize::try_from(random.below(choices.len() as u64)).expect("an index into a list");
                let step = choices.swap_remove(chosen);
                next = under.case.after(&state, &step).map(|after| (step, after));
            }
            let Some((step, after)) = next else { break };
            way.push((std::mem::replace(&mut state, after), step));
            found.states += 1;
            found.depth = found.depth.max(depth + 1);
        }
    }
    found
}
