//! Writers lay a blob out and then commit the batch that names it, by a slot of their own or by an intent that others carry; collectors give up what is silent, and remove what is
//! decided. A live owner that was given up is told so, and a batch that was called withdrawn never takes effect.

use std::collections::BTreeSet;

use brainy_coordination::internals::{
    Answer, BlobName, Decided, Decision, Identity, IntentName, Mutant, Watch, answer_of, can_be_given_up, is_blob_garbage, is_dead,
    is_pending,
};
use brainy_core::ContentHash;

use super::super::case::Case;
use super::super::helping::Deed;
use super::super::helping::book::{Formed, Library, Log, SlotSent, What, writer_id};

/// Everybody else.
const OTHERS: u8 = 60;

/// The bounds.
#[derive(Clone, Debug)]
pub(in super::super) struct Leftovers {
    pub(in super::super) writers: usize,
    /// Batches of each.
    pub(in super::super) works: u8,
    pub(in super::super) collectors: usize,
    pub(in super::super) h: u64,
    pub(in super::super) longest: u8,
    /// Objects that arrive once more, late.
    pub(in super::super) late: u8,
    /// Batches that collectors give up.
    pub(in super::super) cancels: u8,
    /// A rule that is broken outside of the shipped decisions.
    pub(in super::super) mutant: Option<Mutant>,
    pub(in super::super) library: Library,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Writer {
    identity: Option<Identity>,
    play: Option<Formed>,
    /// Its blob was written.
    laid: bool,
    posted: bool,
    turn: u8,
}

/// What a collector decided to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Doomed {
    blobs: BTreeSet<Formed>,
    intents: BTreeSet<Formed>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(in super::super) struct World {
    log: Log,
    writers: Vec<Writer>,
    /// Blobs that are there; and all that were ever laid out.
    blobs: BTreeSet<Formed>,
    intents: BTreeSet<Formed>,
    /// A carrier's old listing: batches with their blobs.
    held: Option<Formed>,
    /// What was sent, and may arrive once more.
    sent: BTreeSet<(bool, Formed)>,
    withdrawn: BTreeSet<u8>,
    boundary: u8,
    rounds: Vec<Option<Doomed>>,
    next_id: u8,
    late: u8,
    cancels: u8,
    broken: Option<&'static str>,
}

/// A step; the numbers are those of writers and collectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    Append,
    Form(u8),
    LayOut(u8),
    Create(u8),
    Post(u8),
    /// It reads the log, and learns what became of its batch.
    Learn(u8),
    Arrive(bool, Formed),
    Hold(Formed),
    Carry,
    Raise,
    GiveUp(Formed),
    /// A collector at the tail decides what is garbage.
    Judge(u8),
    RemoveBlob(u8, Formed),
    RemoveIntent(u8, Formed),
    Finish(u8),
}

impl Leftovers {
    pub(in super::super) fn new(writers: usize, works: u8, h: u64) -> Self {
        Self {
            writers,
            works,
            collectors: 1,
            h,
            longest: 2 * u8::try_from(h).expect("small") + 4,
            late: 0,
            cancels: 1,
            mutant: None,
            library: Library::default(),
        }
    }

    fn deeds() -> Vec<Deed> {
        vec![Deed::Add; 64]
    }

    fn append(&self, world: &mut World, formed: Formed) {
        let (len, before) = (world.log.len(), world.log.clone());
        world.log = self.library.append(&before, &SlotSent { batches: vec![formed], scan_base: len, listed: None }, &Self::deeds());
        let What::Work(work) = formed.what else { return };
        let times = |log: &Log| log.board().done.iter().filter(|(done, _)| *done == work).count();
        if times(&world.log) > times(&before) && world.withdrawn.contains(&work) {
            world.broken = Some("P2");
        }
        if times(&world.log) > 1 {
            world.broken = Some("P1");
        }
    }

    fn blob_of(formed: &Formed) -> BlobName {
        BlobName { batch: formed.name(), hash: ContentHash::of(b"list") }
    }

    fn judge(&self, world: &mut World, collector: usize) {
        let state = world.log.state();
        let mut doomed = Doomed::default();
        let all: Vec<Formed> = world.blobs.iter().copied().collect();
        for blob in &all {
            let later = all.iter().chain(&world.intents).filter(|other| other.writer == blob.writer && other.wseq > blob.wseq);
            let successor = later.map(|other| u64::from(other.base)).min();
            let by_number = self.mutant == Some(Mutant::BlobByNumberAlone)
                && state.writer(writer_id(blob.writer)).is_some_and(|last| last.wseq >= u64::from(blob.wseq));
            if is_blob_garbage(state, &Self::blob_of(blob), world.boundary.into(), false, successor) || by_number {
                doomed.blobs.insert(*blob);
            } else if u64::from(blob.base) + self.h <= u64::from(world.boundary) {
                world.broken = Some("P10");
            }
        }
        for intent in &world.intents {
            let name: IntentName = intent.name();
            let dead = match self.mutant {
                Some(Mutant::InboxByNumberAlone) => state.writer(name.writer).is_some_and(|last| last.wseq >= name.wseq),
                _ => is_dead(state, &name),
            };
            if dead {
                doomed.intents.insert(*intent);
            } else if u64::from(intent.base) + 3 * self.h < state.position {
                // Nobody will ever carry it, and nobody removes it.
                world.broken = Some("P10");
            }
        }
        world.rounds[collector] = Some(doomed);
    }

    /// How the log decided a batch, by its owner, who looks after every slot.
    fn decided(&self, log: &Log, formed: Formed) -> Option<Decided> {
        let (_, op) = self.library.batch(formed, &Self::deeds());
        let mut watch = Watch::new(log.at(formed.base).state(), op);
        (formed.base + 1..=log.len()).for_each(|position| watch.note(log.at(position).state()));
        watch.decided().cloned()
    }

    fn learn(&self, world: &mut World, index: usize) -> Option<()> {
        let formed = world.writers[index].play?;
        let decided = self.decided(&world.log, formed)?;
        let (_, op) = self.library.batch(formed, &Self::deeds());
        let writer = &mut world.writers[index];
        writer.identity = writer.identity.take().and_then(|identity| identity.after(formed.wseq.into(), &decided));
        (writer.play, writer.laid, writer.posted) = (None, false, false);
        let What::Work(work) = formed.what else { return None };
        let effect = world.log.board().done.iter().find(|(done, _)| *done == work);
        match answer_of(op, &decided) {
            Answer::Committed { slot, .. } if effect.map(|(_, at)| u64::from(*at)) != Some(slot) => world.broken = Some("P1"),
            Answer::Committed { .. } | Answer::Unknown => {}
            Answer::Rejected(_) if effect.is_some() => world.broken = Some("P2"),
            Answer::Rejected(_) => drop(world.withdrawn.insert(work)),
        }
        Some(())
    }

    /// Effective batches in slots that somebody still reads, whose blob is gone.
    fn lost(&self, world: &World) -> bool {
        world
            .log
            .board()
            .done
            .iter()
            .any(|(work, slot)| *slot > world.boundary && *work < 40 && !world.blobs.iter().any(|blob| blob.what == What::Work(*work)))
    }
}

impl Case for Leftovers {
    type State = World;
    type Step = Step;

    fn properties(&self) -> &'static [&'static str] {
        &["P1", "P2", "P8", "P10"]
    }

    fn first(&self) -> World {
        let writer = |id| Writer { identity: Some(Identity::new(writer_id(id), 0)), play: None, laid: false, posted: false, turn: 0 };
        let count = u8::try_from(self.writers).expect("few");
        World {
            log: Library::empty(self.h),
            writers: (0..count).map(writer).collect(),
            blobs: BTreeSet::new(),
            intents: BTreeSet::new(),
            held: None,
            sent: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
            boundary: 0,
            rounds: vec![None; self.collectors],
            next_id: count,
            late: self.late,
            cancels: self.cancels,
            broken: None,
        }
    }

    fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        let (state, open) = (world.log.state(), world.log.len() < self.longest);
        if open {
            steps.push(Step::Append);
        }
        for (index, writer) in (0..).zip(&world.writers) {
            match writer.play {
                None if writer.turn < self.works => steps.push(Step::Form(index)),
                None => {}
                Some(formed) if self.decided(&world.log, formed).is_some() => steps.push(Step::Learn(index)),
                Some(_) => {
                    if !writer.laid {
                        steps.push(Step::LayOut(index));
                        continue;
                    }
                    if open {
                        steps.push(Step::Create(index));
                    }
                    if !writer.posted {
                        steps.push(Step::Post(index));
                    }
                }
            }
        }
        if world.late > 0 {
            steps.extend(world.sent.iter().map(|(blob, formed)| Step::Arrive(*blob, *formed)));
        }
        if world.held.is_none() {
            let readable =
                world.intents.iter().filter(|intent| world.blobs.contains(intent) && is_pending(state, &intent.name(), state.position + 1));
            steps.extend(readable.map(|intent| Step::Hold(*intent)));
        } else if open {
            steps.push(Step::Carry);
        }
        if world.boundary < world.log.len() {
            steps.push(Step::Raise);
        }
        if world.cancels > 0 && open {
            let left: BTreeSet<_> = world.blobs.iter().chain(&world.intents).collect();
            steps.extend(left.into_iter().filter(|formed| can_be_given_up(state, &formed.name())).map(|formed| Step::GiveUp(*formed)));
        }
        for (index, round) in (0..).zip(&world.rounds) {
            match round {
                None => steps.push(Step::Judge(index)),
                Some(doomed) => {
                    steps.extend(doomed.blobs.iter().map(|blob| Step::RemoveBlob(index, *blob)));
                    steps.extend(doomed.intents.iter().map(|intent| Step::RemoveIntent(index, *intent)));
                    steps.push(Step::Finish(index));
                }
            }
        }
    }

    fn after(&self, world: &World, step: &Step) -> Option<World> {
        let mut after = world.clone();
        match *step {
            Step::Append => {
                let tail = world.log.len();
                let wseq = u8::try_from(world.log.board().done.iter().filter(|(work, _)| *work >= 40).count()).expect("few") + 1;
                // An identity that is forgotten begins anew, so everybody else is always somebody else.
                let formed = Formed { base: tail, writer: OTHERS + tail, wseq: 1, what: What::Work(40 + wseq) };
                self.append(&mut after, formed);
            }
            Step::Form(w) => {
                let at = world.log.len();
                let writer = &mut after.writers[usize::from(w)];
                let usable = writer.identity.take().filter(|identity| !identity.is_aged(world.log.state()));
                let identity = usable.unwrap_or_else(|| {
                    after.next_id += 1;
                    Identity::new(writer_id(after.next_id - 1), at.into())
                });
                writer.turn += 1;
                let (id, wseq) = (identity.id.as_bytes()[0], u8::try_from(identity.next).expect("few"));
                writer.play = Some(Formed { base: at, writer: id, wseq, what: What::Work(w * 8 + writer.turn) });
                writer.identity = Some(identity);
            }
            Step::LayOut(w) => {
                let writer = &mut after.writers[usize::from(w)];
                let formed = writer.play?;
                writer.laid = true;
                after.blobs.insert(formed);
                if self.late > 0 {
                    after.sent.insert((true, formed));
                }
            }
            Step::Create(w) => {
                let formed = world.writers[usize::from(w)].play?;
                self.append(&mut after, formed);
            }
            Step::Post(w) => {
                let writer = &mut after.writers[usize::from(w)];
                let formed = writer.play?;
                writer.posted = true;
                after.intents.insert(formed);
                if self.late > 0 {
                    after.sent.insert((false, formed));
                }
            }
            Step::Learn(w) => self.learn(&mut after, usize::from(w))?,
            Step::Arrive(blob, formed) => {
                after.late -= 1;
                if blob {
                    after.blobs.insert(formed)
                } else {
                    after.intents.insert(formed)
                };
            }
            Step::Hold(formed) => after.held = Some(formed),
            Step::Carry => {
                let formed = after.held.take()?;
                let state = world.log.state();
                if is_pending(state, &formed.name(), state.position + 1) {
                    self.append(&mut after, formed);
                }
            }
            Step::Raise => after.boundary = world.log.len(),
            Step::GiveUp(formed) => {
                let What::Work(work) = formed.what else { return None };
                let tail = world.log.len();
                let what = What::Cancel { work, base: formed.base, writer: formed.writer, wseq: formed.wseq };
                after.cancels -= 1;
                self.append(&mut after, Formed { base: tail, writer: 50 + world.cancels, wseq: 1, what });
                let record = after.log.state().writer(writer_id(formed.writer));
                if record.is_some_and(|record| record.decision == Decision::Cancelled) {
                    // Whoever asks is told that it never takes effect.
                    after.withdrawn.insert(work);
                }
            }
            Step::Judge(c) => self.judge(&mut after, usize::from(c)),
            Step::RemoveBlob(c, formed) => {
                after.rounds[usize::from(c)].as_mut()?.blobs.remove(&formed);
                after.blobs.remove(&formed);
            }
            Step::RemoveIntent(c, formed) => {
                after.rounds[usize::from(c)].as_mut()?.intents.remove(&formed);
                after.intents.remove(&formed);
            }
            Step::Finish(c) => after.rounds[usize::from(c)] = None,
        }
        // Collectors differ in nothing but what they decided.
        after.rounds.sort();
        if self.lost(&after) {
            after.broken = after.broken.or(Some("P8"));
        }
        (after != *world).then_some(after)
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        world.broken
    }

    fn words(&self, world: &World, step: &Step) -> String {
        let batch = |formed: &Formed| format!("batch {} of writer {} at base {}", formed.wseq, formed.writer, formed.base);
        match step {
            Step::Append => format!("others append slot {}", world.log.len() + 1),
            Step::Form(w) => format!("w{w} forms a batch at tail {}", world.log.len()),
            Step::LayOut(w) => format!("w{w} writes its blob"),
            Step::Create(w) => format!("w{w} creates slot {}", world.log.len() + 1),
            Step::Post(w) => format!("w{w} leaves an intent"),
            Step::Learn(w) => format!("w{w} learns what became of its batch"),
            Step::Arrive(true, formed) => format!("the blob of {} arrives once more", batch(formed)),
            Step::Arrive(false, formed) => format!("the intent of {} arrives once more", batch(formed)),
            Step::Hold(formed) => format!("a carrier reads {}", batch(formed)),
            Step::Carry => format!("the carrier creates slot {}", world.log.len() + 1),
            Step::Raise => format!("the boundary is raised to {}, and waited for", world.log.len()),
            Step::GiveUp(formed) => format!("a collector gives {} up", batch(formed)),
            Step::Judge(c) => format!("collector {c} decides at {} what is garbage", world.log.len()),
            Step::RemoveBlob(c, formed) => format!("collector {c} removes the blob of {}", batch(formed)),
            Step::RemoveIntent(c, formed) => format!("collector {c} removes the intent of {}", batch(formed)),
            Step::Finish(c) => format!("collector {c} ends its round"),
        }
    }
}
