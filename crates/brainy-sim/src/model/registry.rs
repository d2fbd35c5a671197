//! Every run of the model: what is looked at, how far, and what must come of it.

mod collection;
mod leases;

use brainy_coordination::internals::Mutant;

use super::bound::Bound;
use super::case::{Case, Effort, Found, explore};
use super::helping::{After, Deed, Helping};
use super::naming::Naming;

/// What must come of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing is broken.
    Holds,
    /// One of these promises is broken.
    Breaks(&'static [&'static str]),
}

/// One run.
pub struct Run {
    /// Its group: one letter.
    pub group: &'static str,
    /// Its name.
    pub name: String,
    /// The switch that is on.
    pub mutant: Option<Mutant>,
    /// How far it looks.
    pub effort: Effort,
    /// What must come of it.
    pub expected: Expected,
    /// It belongs to CI's slice.
    pub slice: bool,
    /// What it can break.
    pub properties: &'static [&'static str],
    go: Box<dyn Fn(usize) -> Found + Send + Sync>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("group", &self.group).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Run {
    fn new<C: Case>(group: &'static str, name: impl Into<String>, case: C, effort: Effort) -> Self {
        let properties = case.properties();
        Self {
            group,
            name: name.into(),
            mutant: None,
            effort,
            expected: Expected::Holds,
            slice: false,
            properties,
            go: Box::new(move |threads| explore(case.clone(), None, effort, threads)),
        }
    }

    /// The same case with a rule broken.
    fn broken<C: Case>(group: &'static str, mutant: Mutant, case: C, effort: Effort, breaks: &'static [&'static str]) -> Self {
        let run = Self::new(group, mutant.name(), case.clone(), effort);
        let go = Box::new(move |threads| explore(case.clone(), Some(mutant), effort, threads));
        Self { mutant: Some(mutant), expected: Expected::Breaks(breaks), go, ..run }
    }

    fn sliced(mut self, slice: bool) -> Self {
        self.slice = slice;
        self
    }

    fn breaking(mut self, properties: &'static [&'static str]) -> Self {
        self.expected = Expected::Breaks(properties);
        self
    }

    /// Runs it, by so many threads where it is to hold; what is to break is looked for by one, so that the way there is the shortest.
    pub fn go(&self, threads: usize) -> Found {
        (self.go)(if self.expected == Expected::Holds { threads } else { 1 })
    }
}

const ALL: Effort = Effort::All { states: 60_000_000 };
const WALKS: Effort = Effort::Walks { steps: 3_000_000, longest: 200, seed: 1 };

/// Every run.
pub fn runs() -> Vec<Run> {
    [helping(), helping_broken(), bound(), bound_broken(), naming(), naming_broken(), leases::runs(), collection::runs()]
        .into_iter()
        .flatten()
        .collect()
}

fn helping() -> Vec<Run> {
    use Deed::{Add, Delete, Put};
    let mut runs = Vec::new();
    for (k, h) in [(1, 1), (1, 2), (1, 100), (2, 1), (2, 2), (2, 100)] {
        let name = |what: &str| format!("{what}, K={k} H={h}");
        let two = Helping { late: 2, ..Helping::new(&[&[Put, Delete], &[Put, Add]], k, h) };
        runs.push(Run::new("a", name("2 writers x 2, 2 late"), two.clone(), ALL));
        let three = Helping::new(&[&[Put], &[Put], &[Add]], k, h);
        let slice = (k, h) == (2, 100);
        runs.push(Run::new("a", name("3 writers x 1, 1 late"), Helping { late: 1, ..three.clone() }, ALL).sliced(slice));
        runs.push(Run::new("a", name("3 writers x 1, one dies"), Helping { crashes: 1, ..three.clone() }, ALL).sliced(slice));
        let resolves = Helping { crashes: 1, after_crash: After::Resolve, ..three.clone() };
        // What does not fit in memory is walked.
        let wide = if (k, h) == (2, 100) { WALKS } else { ALL };
        runs.push(Run::new("a", name("3 writers x 1, one dies and resolves"), resolves, wide));
        let paged = Helping { paged: true, removal: true, ..three.clone() };
        runs.push(Run::new("a", name("3 writers x 1, paged listings, dead keys removed"), paged, ALL));
        let again = Helping { late: 2, again: 1, removal: true, paged: true, ..Helping::new(&[&[Put], &[Put, Delete]], k, h) };
        let wide = if k == 2 && h > 1 { WALKS } else { ALL };
        runs.push(Run::new("a", name("2 writers x 1 and 2, 2 late, paged, removed, left again"), again, wide));
        runs.push(Run::new("a", name("2 writers x 2, 1 late, who won goes on"), Helping { late: 1, sequencing: true, ..two }, ALL));
        let full = Helping { room: 1, bound: k + 2, longest: 7, ..three };
        runs.push(Run::new("a", name("3 writers x 1, C=1"), full, ALL).sliced(slice));
    }
    let copied = Helping { copied: true, late: 1, ..Helping::new(&[&[Put], &[Put, Delete]], 1, 100) };
    runs.push(Run::new("a", "2 copies of one writer x 1 and 2, 1 late, K=1", copied, ALL).sliced(true));
    let tight = Helping { longest: 7, ..Helping::new(&[&[Add], &[Add, Add, Add]], 2, 100) };
    runs.push(Run::new("a", "1 and 3 batches, K=2, bound N+3", tight.clone(), ALL).sliced(true));
    runs.push(Run::new("a", "1 and 3 batches, K=2, one slot less", Helping { bound: 2, ..tight }, ALL).breaking(&["P9"]).sliced(true));
    let wide: &[&[Deed]] = &[&[Put, Delete, Add], &[Put, Delete], &[Delete, Put]];
    for (k, h) in [(1, 2), (2, 100), (4, 100)] {
        let both = Helping {
            late: 3,
            crashes: 2,
            after_crash: After::Resolve,
            paged: true,
            removal: true,
            longest: 14,
            ..Helping::new(wide, k, h)
        };
        runs.push(Run::new("a", format!("3 writers x 3, 2, 2, crashes and late, K={k} H={h}"), both, WALKS).sliced(k == 2));
    }
    for room in [1, 2] {
        let four = [&[Add; 4][..]; 4];
        let full = Helping { late: 3, room, bound: 2 + 3_u8.div_ceil(room), longest: 16, ..Helping::new(&four, 2, 100) };
        runs.push(Run::new("a", format!("4 writers x 4, 3 late, K=2 C={room}"), full, WALKS));
    }
    runs
}

/// Rules of group a, broken: each must be noticed.
fn helping_broken() -> Vec<Run> {
    use Deed::{Add, Delete, Put};
    let pair: &[&[Deed]] = &[&[Put], &[Put]];
    let busy = Helping { longest: 7, ..Helping::new(&[&[Add], &[Add, Add, Add]], 1, 100) };
    let late = Helping { late: 1, ..Helping::new(pair, 1, 100) };
    let resolves = Helping { crashes: 1, late: 1, after_crash: After::Resolve, ..Helping::new(pair, 1, 100) };
    let copied = Helping { copied: true, ..Helping::new(pair, 1, 100) };
    let deletes = Helping { late: 1, ..Helping::new(&[&[Put, Delete], &[Put]], 1, 100) };
    let cases = [
        (Mutant::DropScan, busy.clone(), &["P9"][..]),
        (Mutant::CarryNobody, busy.clone(), &["P9"]),
        (Mutant::CountDeadKeys, Helping { room: 1, bound: 3, ..Helping::new(&[&[Add, Add], &[Add], &[Add]], 1, 100) }, &["P10"]),
        (Mutant::AcknowledgeOnConflict, late.clone(), &["P1"]),
        (Mutant::AcknowledgeByPresence, late.clone(), &["P1"]),
        (Mutant::RejectOnLostReply, late.clone(), &["P2"]),
        (Mutant::NewNumberAfterDoubt, Helping { late: 1, ..Helping::new(&[&[Add], &[Add]], 1, 100) }, &["P1", "P9"]),
        (Mutant::ApplyOutOfTurn, Helping { late: 1, ..Helping::new(&[&[Add], &[Add]], 1, 100) }, &["P1", "P9"]),
        (Mutant::RejectedKeepsNumber, deletes, &["P2", "P9"]),
        (Mutant::ApplyStale, Helping { late: 1, ..Helping::new(&[&[Put], &[Add, Add]], 1, 1) }, &["P2"]),
        (Mutant::IgnoreCancellation, resolves.clone(), &["P2"]),
        (Mutant::CancelWhatIsDecided, resolves, &["P2"]),
        (Mutant::HashNotInOpId, copied, &["P1"]),
    ];
    let broken = cases
        .into_iter()
        .map(|(mutant, case, breaks)| Run::broken("a", mutant, Helping { mutant: Some(mutant), ..case }, ALL, breaks).sliced(true));
    let poison = Helping { poison: true, ..late };
    let poison = Run::new("a", "giving up by a slot without the batch", poison, ALL).breaking(&["P2"]).sliced(true);
    broken.chain([poison]).collect()
}

fn bound() -> Vec<Run> {
    let mut runs = Vec::new();
    for (writers, k, room) in [
        (3, 1, 1),
        (3, 1, 2),
        (3, 2, 1),
        (3, 2, 2),
        (3, 3, 1),
        (3, 3, 2),
        (4, 1, 1),
        (4, 1, 2),
        (4, 2, 1),
        (4, 2, 2),
        (4, 3, 1),
        (4, 3, 2),
        (5, 1, 1),
        (5, 1, 2),
        (5, 1, 3),
    ] {
        let slice = writers == 3 || (writers == 4 && k == 1);
        let case = Bound::new(writers, room, k);
        let name = |slots: u8| format!("W={writers} K={k} C={room}, bound N+{slots}");
        runs.push(Run::new("o", name(case.slots), case.clone(), ALL).sliced(slice));
        let less = case.slots - 1;
        runs.push(Run::new("o", format!("{}, one less", name(less)), Bound { slots: less, ..case }, ALL).breaking(&["P9"]).sliced(slice));
    }
    runs
}

fn bound_broken() -> Vec<Run> {
    let mut runs = Vec::new();
    // The mutants are held to a bound far beyond: they starve, or come late.
    let far = |case: Bound| Bound { slots: case.k + 12, ..case };
    for (mutant, case) in [
        (Mutant::NewestFirst, far(Bound::new(3, 1, 1))),
        (Mutant::WriterOrder, far(Bound::new(4, 1, 1))),
        (Mutant::InheritCutListing, Bound::new(4, 1, 2)),
        (Mutant::CarryNobody, far(Bound::new(3, 1, 1))),
        (Mutant::DropScan, far(Bound::new(3, 1, 1))),
    ] {
        runs.push(Run::broken("o", mutant, case, ALL, &["P9"]).sliced(true));
    }
    let frozen = Bound { frozen: true, ..far(Bound::new(3, 1, 1)) };
    runs.push(Run::new("o", "a writer whose base never advances, C=1", frozen, ALL).breaking(&["P9"]).sliced(true));
    runs
}

fn naming() -> Vec<Run> {
    let mut runs = Vec::new();
    for h in [1, 2] {
        let name = |what: &str| format!("{what}, H={h}");
        let snapshots = |scripts: &[u8]| Naming { snapshots: true, ..Naming::new(scripts, h) };
        let slice = h == 1;
        runs.push(
            Run::new("r", name("2 writers x 2, preconditions"), Naming { preconditions: true, ..snapshots(&[2, 2]) }, ALL).sliced(slice),
        );
        runs.push(Run::new("r", name("3 writers x 1"), snapshots(&[1, 1, 1]), ALL).sliced(slice));
        runs.push(Run::new("r", name("2 writers x 1, 2 crashes"), Naming { crashes: 2, ..snapshots(&[1, 1]) }, ALL).sliced(slice));
        runs.push(Run::new("r", name("owner alive and 2 resolvers"), Naming { handed: 2, ..snapshots(&[1, 0, 0]) }, ALL).sliced(slice));
        runs.push(
            Run::new("r", name("2 writers x 1 and a resolver"), Naming { handed: 1, batches: 2, ..snapshots(&[1, 1, 0]) }, ALL)
                .sliced(slice),
        );
        let copy = Naming { active: 1, copies: 1, crashes: 1, mints_early: true, ..snapshots(&[1, 1]) };
        runs.push(Run::new("r", name("a copy, and a crash"), copy, ALL).sliced(slice));
        let slow = Naming { handed: 1, crashes: 1, lag: 2 * h + 2, ..Naming::new(&[1, 0], h) };
        runs.push(Run::new("r", name("resolver, crash, 2H + 2 slots behind"), slow, ALL).sliced(slice));
        let wide = Naming { handed: 1, crashes: 1, ..snapshots(&[2, 0]) };
        runs.push(Run::new("r", name("owner x 2 alive, resolver, crash"), wide, ALL));
        let copy = Naming { active: 1, copies: 1, crashes: 1, ..snapshots(&[2, 1]) };
        runs.push(Run::new("r", name("a copy x 2 and 1, and a crash"), copy, ALL));
    }
    runs
}

fn naming_broken() -> Vec<Run> {
    let mut runs = Vec::new();
    let base = |h| Naming { crashes: 1, handed: 1, snapshots: true, ..Naming::new(&[2, 0], h) };
    let copy = |h| Naming { active: 1, copies: 1, snapshots: true, ..Naming::new(&[2, 1], h) };
    let lone = |h| Naming { crashes: 1, ..Naming::new(&[1], h) };
    let slow = |h| Naming { crashes: 1, lag: 2 * h + 2, ..Naming::new(&[1, 1], h) };
    for (mutant, case, breaks) in [
        (Mutant::ForgetAtH, base(2), &["P1", "P2"][..]),
        (Mutant::StaleTakesNumber, lone(1), &["P2"]),
        (Mutant::IgnoreCancellation, base(1), &["P2"]),
        (Mutant::CancelWhatIsDecided, base(1), &["P2"]),
        (Mutant::StaleAtHalf, lone(3), &["P2"]),
        (Mutant::KeepStaleKeys, base(1), &["P10"]),
        (Mutant::HashNotInOpId, copy(1), &["P1"]),
        (Mutant::ReuseIdAfterH, Naming { mints_early: true, crashes: 1, ..copy(1) }, &["P1", "P2"]),
        (Mutant::CancelAtAnyAge, slow(1), &["P1", "P2"]),
        (Mutant::ResubmitAfterCancel, base(1), &["P1", "P2"]),
        (Mutant::ApplyStale, base(1), &["P1", "P2"]),
    ] {
        let run = Run::broken("r", mutant, Naming { mutant: Some(mutant), ..case }, ALL, breaks);
        runs.push(run.sliced(true));
    }
    let outside = Naming { sends_again_outside: true, ..base(1) };
    runs.push(
        Run::new("r", "sent again under another name when nobody can tell any more", outside, ALL).breaking(&["P1", "P2"]).sliced(true),
    );
    let restart = Naming { restarts_numbers: true, ..base(1) };
    runs.push(Run::new("r", "a silent identity goes on after its last number", restart, ALL).breaking(&["P1", "P2"]).sliced(true));
    // Decision 0003: refused although it breaks nothing. Only a forged name is ever out of turn.
    let forged = |h| Naming { handed: 0, forged: 1, preconditions: true, ..base(h) };
    runs.push(Run::new("r", "a forged name, one number too far", forged(1), ALL).sliced(true));
    runs.push(Run::broken("r", Mutant::TwoNumbersInASlot, forged(1), ALL, &["P2"]).sliced(true));
    for (name, case) in [
        ("a cancellation out of turn takes its number", forged(1)),
        ("the same, with a copy", Naming { forged: 1, scripts: vec![2, 1, 0], ..copy(1) }),
    ] {
        let run = Run::broken("r", Mutant::CancelOutOfTurn, case, ALL, &[]);
        runs.push(Run { name: name.into(), expected: Expected::Holds, ..run }.sliced(true));
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_that_the_model_is_to_show_has_a_run_in_the_slice_and_names_are_unique() {
        let runs = runs();
        for mutant in Mutant::OF_THE_MODEL {
            assert!(runs.iter().any(|run| run.slice && run.mutant == Some(*mutant)), "{mutant:?}");
        }
        let mut names = BTreeSet::new();
        for run in &runs {
            assert!(names.insert((run.group, run.name.as_str())), "{} {} stands twice", run.group, run.name);
        }
    }

    #[test]
    fn a_broken_rule_is_found_by_the_shortest_way_and_the_unbroken_one_holds() {
        let find = |name: &str| runs().into_iter().find(|run| run.group == "o" && run.name == name).expect("it is listed");
        let holds = find("W=3 K=1 C=1, bound N+3").go(1);
        assert!(holds.exhaustive && holds.broken.is_none() && holds.states > 1_000, "{holds:?}");
        let breaks = find("W=3 K=1 C=1, bound N+2, one less").go(1);
        let (property, way) = breaks.broken.expect("INV-20: the bound is tight");
        assert_eq!((property, way.len()), ("P9", 8), "{way:#?}");
    }
}
