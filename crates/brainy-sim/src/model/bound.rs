//! Group o: how many slots an intent waits, for a log of any length.
//!
//! Everything is counted from the tail, so there are few states and no last slot. The inbox is the coarsest there can be: a listing that began at a tail shows
//! what was visible before that tail, and shows or misses anything else; it may have lost any number of its keys to slots made since. Who fills a slot, and
//! on what listing, is free; what the slot carries and vouches for is decided by the `plan` that ships.

use std::collections::BTreeSet;
use std::sync::Arc;

use brainy_coordination::internals::{IntentName, Listed, LogState, Plan, Scan, plan};
use brainy_coordination::{Constants, RULES, Truncation};
use brainy_core::{ContentHash, Epoch, StoreId, WriterId};

use super::case::Case;

/// The tail, in every state.
const TAIL: u64 = 1_000;
/// Most writers.
const MOST: usize = 6;
/// The age of a base that never advances.
const FROZEN: u8 = 60;

/// The bounds.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// W.
    pub(super) writers: u8,
    /// C.
    pub(super) room: u8,
    pub(super) k: u8,
    /// The bound that must hold, in slots after the tail at which the intent became visible.
    pub(super) slots: u8,
    /// A listing is cut after C + 1 intents, of which any number were decided since.
    pub(super) cut: bool,
    /// Writer 0 puts one old base on every batch (a rule of ours, broken).
    pub(super) frozen: bool,
    pub(super) template: Arc<LogState>,
}

impl Bound {
    /// So many writers, so many strangers in a slot, this K; held to N + K + ⌈(W − 1) / C⌉.
    pub(super) fn new(writers: u8, room: u8, k: u8) -> Self {
        let constants = Constants::new(Truncation::Tombstone);
        let state = LogState::new(StoreId::from_bytes([7; 16]), Epoch::FIRST, TAIL, ContentHash::of(b"before"), RULES, &constants);
        Self { writers, room, k, slots: k + (writers - 1).div_ceil(room), cut: true, frozen: false, template: Arc::new(state) }
    }
}

/// One writer: the batch that it has in play, in slots before the tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Writer {
    /// Age of its base.
    formed: Option<u8>,
    /// Slots made since its intent became visible; K at most.
    visible: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tail {
    writers: [Writer; MOST],
    /// Age of the tail up to which every intent was carried; K at most.
    carried_to: u8,
    /// The intent that is watched, and for how many slots it has waited.
    watched: Option<(u8, u8)>,
    late: bool,
}

/// A step; numbers of writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Form(u8),
    /// Its intent becomes visible; from here on it is watched, or not.
    Land(u8, bool),
    /// A slot is made by this writer, on a listing that began so many slots ago (none: on what a slot before vouches for), showed these (bits), and
    /// still holds so many of them.
    Slot {
        by: u8,
        began: Option<u8>,
        showed: u8,
        holds: u8,
    },
}

impl Bound {
    fn id(writer: u8) -> WriterId {
        WriterId::from_bytes([writer; 16])
    }

    fn name(&self, tail: &Tail, writer: u8) -> IntentName {
        let age = tail.writers[usize::from(writer)].formed.unwrap_or(0);
        IntentName { base: TAIL - u64::from(age), writer: Self::id(writer), wseq: 1 }
    }

    fn in_inbox(&self, tail: &Tail, by: u8) -> Vec<u8> {
        let mut there: Vec<_> = (0..self.writers).filter(|one| *one != by && tail.writers[usize::from(*one)].visible.is_some()).collect();
        there.sort_by_key(|one| self.name(tail, *one));
        there
    }

    /// What the slot holds beside its creator's batch.
    fn planned(&self, tail: &Tail, step: Step) -> Option<(Plan, Vec<u8>)> {
        let Step::Slot { by, began, showed, holds } = step else { return None };
        let mut state = (*self.template).clone();
        state.scan_base = TAIL - u64::from(tail.carried_to);
        let seen: Vec<_> = self.in_inbox(tail, by).into_iter().filter(|one| showed >> one & 1 == 1).collect();
        let listed = |one: &u8| Listed { name: self.name(tail, *one), bytes: 1, unreadable: false };
        let scan = began.map(|began| Scan {
            tail: TAIL - u64::from(began),
            pending: seen.iter().take(holds.into()).map(listed).collect(),
            cut_at: seen.get(usize::from(holds)).map(|one| self.name(tail, *one)),
        });
        let plan = plan(&state, Some(Self::id(by)), scan.as_ref(), self.room.into(), self.k.into())?;
        let carried = plan.carried.iter().map(|name| name.writer.as_bytes()[0]).collect();
        Some((plan, carried))
    }

    /// Ages beyond K count by their order alone.
    fn settle(&self, tail: &mut Tail) {
        let old: BTreeSet<_> = tail.writers.iter().filter_map(|writer| writer.formed).filter(|age| *age > self.k).collect();
        for writer in &mut tail.writers {
            if let Some(age) = writer.formed.filter(|age| *age > self.k) {
                let rank = u8::try_from(old.range(..age).count()).expect("few writers");
                writer.formed = Some(self.k + 1 + rank);
            }
        }
    }
}

impl Case for Bound {
    type State = Tail;
    type Step = Step;

    fn properties(&self) -> &'static [&'static str] {
        &["P9"]
    }

    fn first(&self) -> Tail {
        Tail::default()
    }

    fn steps(&self, tail: &Tail, steps: &mut Vec<Step>) {
        for by in 0..self.writers {
            let writer = tail.writers[usize::from(by)];
            if writer.formed.is_none() {
                steps.push(Step::Form(by));
                continue;
            }
            if writer.visible.is_none() {
                steps.push(Step::Land(by, false));
                if tail.watched.is_none() {
                    steps.push(Step::Land(by, true));
                }
            }
            steps.push(Step::Slot { by, began: None, showed: 0, holds: 0 });
            let inbox = self.in_inbox(tail, by);
            for chosen in 0..1_u8 << inbox.len() {
                let shown: Vec<_> = inbox.iter().zip(0..).filter(|(_, bit)| chosen >> bit & 1 == 1).map(|(one, _)| *one).collect();
                let showed = shown.iter().fold(0, |bits, one| bits | 1 << one);
                for began in 0..self.k {
                    let due = |one: &u8| tail.writers[usize::from(*one)].visible.is_some_and(|since| since > began);
                    if inbox.iter().any(|one| due(one) && !shown.contains(one)) {
                        continue;
                    }
                    let all = u8::try_from(shown.len()).expect("few writers");
                    let fewest = if self.cut { 0 } else { all };
                    for holds in fewest..=all.min(self.room + 1).max(fewest) {
                        steps.push(Step::Slot { by, began: Some(began), showed, holds });
                    }
                }
            }
        }
    }

    fn after(&self, tail: &Tail, step: &Step) -> Option<Tail> {
        let mut after = *tail;
        match *step {
            Step::Form(by) => {
                let age = if self.frozen && by == 0 { FROZEN } else { 0 };
                after.writers[usize::from(by)] = Writer { formed: Some(age), visible: None };
            }
            Step::Land(by, watched) => {
                after.writers[usize::from(by)].visible = Some(0);
                if watched {
                    after.watched = Some((by, 0));
                }
            }
            Step::Slot { by, .. } => {
                let (plan, carried) = self.planned(tail, *step)?;
                let carried_to = plan.scan_base.min(TAIL).max(TAIL - u64::from(tail.carried_to));
                after.carried_to = u8::try_from(TAIL + 1 - carried_to).expect("at most K + 1").min(self.k);
                for one in carried.iter().chain([&by]) {
                    after.writers[usize::from(*one)] = Writer::default();
                }
                after.watched = after.watched.filter(|(one, _)| !carried.contains(one) && *one != by).map(|(one, slots)| (one, slots + 1));
                after.late = after.watched.is_some_and(|(_, slots)| slots >= self.slots);
                for writer in &mut after.writers {
                    writer.formed = writer.formed.map(|age| age + 1);
                    writer.visible = writer.visible.map(|since| (since + 1).min(self.k));
                }
            }
        }
        self.settle(&mut after);
        Some(after)
    }

    fn broken(&self, tail: &Tail) -> Option<&'static str> {
        tail.late.then_some("P9")
    }

    fn words(&self, tail: &Tail, step: &Step) -> String {
        match *step {
            Step::Form(by) => format!("w{by} forms a batch"),
            Step::Land(by, true) => format!("w{by}'s intent becomes visible: watched from here on"),
            Step::Land(by, false) => format!("w{by}'s intent becomes visible"),
            Step::Slot { by, began, .. } => {
                let on = began.map_or("what a slot before vouches for".to_owned(), |began| format!("a listing begun {began} slots ago"));
                let carried = self.planned(tail, *step).map_or_else(Vec::new, |(_, carried)| carried);
                format!("w{by} makes a slot on {on}, carrying {carried:?}")
            }
        }
    }
}
