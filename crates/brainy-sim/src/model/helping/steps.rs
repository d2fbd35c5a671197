//! What may happen next, and what comes of it.

use brainy_coordination::internals::{
    Answer, Decided, IntentName, Listed, Listing, Mutant, Plan, Scan, Told as Look, Watch, answer_of, is_dead, keeps_scan_rule, plan, tell,
};

use super::book::{Formed, SlotSent, What, writer_id};
use super::state::{Asks, Held, Paging, Process, Sent, Told, World, Writing};
use super::{After, Helping, judge};

/// A step; the numbers are those of processes and of places in lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// A request takes effect, and its reply is there.
    Land(u8),
    /// A client gives its request up.
    GiveUp(u8),
    Form(u8),
    Read(u8),
    List(u8),
    Page(u8),
    Post(u8),
    /// Creates the next slot; with what it listed, or on what a slot before vouches for.
    Create(u8, bool),
    /// Fills the next slot with nothing of its own, and takes that for a rejection.
    Poison(u8),
    /// A dead key is removed.
    Remove(u8),
    Crash(u8),
    /// Asks the log what became of an operation, after a crash.
    Resolve(u8),
}

impl Helping {
    pub(super) fn possible(&self, world: &World, steps: &mut Vec<Step>) {
        let len = world.log.len();
        if len >= self.longest {
            return;
        }
        steps.extend((0..).zip(&world.net).map(|(place, _)| Step::Land(place)));
        for (index, process) in (0_u8..).zip(&world.processes) {
            if process.dead {
                continue;
            }
            if world.crashes > 0 && (process.play.is_some() || process.waits) {
                steps.push(Step::Crash(index));
            }
            if process.paging.is_some() {
                steps.push(Step::Page(index));
            }
            if process.waits {
                if world.late > 0 {
                    steps.push(Step::GiveUp(index));
                }
                continue;
            }
            if process.at < len {
                steps.push(Step::Read(index));
            } else if process.resolves.is_some() && process.play.is_none() {
                steps.push(Step::Resolve(index));
            }
            if process.play.is_none() && process.resolves.is_none() && self.may_form(world, usize::from(index)) {
                steps.push(Step::Form(index));
            }
            if process.play.is_none() && !self.sequencing {
                continue;
            }
            if process.paging.is_none() && self.would_learn(world, process) {
                steps.push(Step::List(index));
            }
            if process.play.is_some() && (!process.posted || world.again > 0) {
                steps.push(Step::Post(index));
            }
            if process.at == len {
                let inherited = self.planned(world, process, false);
                let listed = self.planned(world, process, true);
                if inherited.is_some() && process.play.is_some() {
                    steps.push(Step::Create(index, false));
                }
                let useful = process.play.is_some() || listed.as_ref().is_some_and(|(plan, _)| !plan.carried.is_empty());
                if useful && listed.is_some() && listed != inherited {
                    steps.push(Step::Create(index, true));
                }
                if self.poison && process.doubts && inherited.or(listed).is_some() {
                    steps.push(Step::Poison(index));
                }
            }
        }
        if self.removal {
            let removable =
                |formed: &Formed| world.processes.iter().any(|one| !one.dead && is_dead(world.log.at(one.at).state(), &formed.name()));
            steps.extend((0..).zip(&world.inbox).filter(|(_, formed)| removable(formed)).map(|(place, _)| Step::Remove(place)));
        }
    }

    fn may_form(&self, world: &World, index: usize) -> bool {
        let process = &world.processes[index];
        let fresh = process.writing.is_none_or(|writing| writing.identity().is_aged(world.log.at(process.at).state()));
        // INV-6: a fresh identity forms its first batch at a confirmed tail.
        usize::from(process.turn) < self.scripts[index].len() && (!fresh || process.at == world.log.len())
    }

    /// Whether a listing would show something else than the last one.
    fn would_learn(&self, world: &World, process: &Process) -> bool {
        process.held.as_ref().is_none_or(|held| {
            let listing = self.listed(world, process);
            held.tail < process.at || *held != listing
        })
    }

    /// A listing of the inbox at one moment.
    fn listed(&self, world: &World, process: &Process) -> Held {
        let mut listing = Listing::begin(process.at.into(), u64::from(self.room) + 1);
        let own = process.writing.map(|writing| writer_id(writing.id));
        let state = world.log.at(process.at).state();
        for formed in &world.inbox {
            listing.take(state, formed.name(), 1, own);
            if listing.cut_at.is_some() {
                break;
            }
        }
        of_listing(&listing, &world.inbox)
    }

    /// What the next slot would hold, by the decision that ships.
    fn planned(&self, world: &World, process: &Process, own_listing: bool) -> Option<(Plan, Vec<Formed>)> {
        let held = if own_listing { Some(process.held.as_ref()?) } else { None };
        let scan = held.map(|held| Scan {
            tail: held.tail.into(),
            pending: held.pending.iter().map(|formed| Listed { name: formed.name(), bytes: 1, unreadable: false }).collect(),
            cut_at: held.cut.map(|formed| formed.name()),
        });
        let own = process.play.map(|formed| writer_id(formed.writer));
        let plan = plan(world.log.state(), own, scan.as_ref(), self.room.into(), self.k.into())?;
        let known = held.map_or(&[][..], |held| &held.pending);
        let carried = plan.carried.iter().filter_map(|name| known.iter().find(|formed| formed.name() == *name).copied()).collect();
        Some((plan, carried))
    }

    fn slot(&self, world: &World, process: &Process, own_listing: bool) -> Option<SlotSent> {
        let (plan, mut batches) = self.planned(world, process, own_listing)?;
        batches.extend(process.play);
        let small = |position: u64| u8::try_from(position).expect("a model's log is short");
        Some(SlotSent { batches, scan_base: small(plan.scan_base), listed: plan.listed.map(small) })
    }

    pub(super) fn take(&self, world: &mut World, step: &Step) {
        match *step {
            Step::Land(place) => self.land(world, usize::from(place)),
            Step::GiveUp(index) => self.give_up(world, usize::from(index)),
            Step::Form(index) => self.form(world, usize::from(index)),
            Step::Read(index) => {
                world.processes[usize::from(index)].at += 1;
                self.look(world, usize::from(index));
            }
            Step::List(index) => {
                let listed = self.listed(world, &world.processes[usize::from(index)]);
                let len = world.log.len();
                let process = &mut world.processes[usize::from(index)];
                if self.paged {
                    let limit = u64::from(self.room) + 1;
                    process.paging = Some(Paging { listing: Listing::begin(process.at.into(), limit), pending: Vec::new(), after: None });
                    return;
                }
                process.held = Some(listed);
                let fresh = process.at == len;
                // Whoever has just listed the inbox at the tail may create a slot.
                if fresh && self.planned(world, &world.processes[usize::from(index)], true).is_none() {
                    world.broken = world.broken.or(Some("P10"));
                }
            }
            Step::Page(index) => self.page(world, usize::from(index)),
            Step::Post(index) => {
                let process = &mut world.processes[usize::from(index)];
                if std::mem::replace(&mut process.posted, true) {
                    world.again -= 1;
                }
                process.waits = true;
                let formed = process.play.expect("only a batch in play is posted");
                world.net.push(Sent { from: Some(index), what: Asks::Intent(formed) });
            }
            Step::Create(index, own_listing) => {
                let slot = self.slot(world, &world.processes[usize::from(index)], own_listing).expect("it was possible");
                world.processes[usize::from(index)].waits = true;
                world.net.push(Sent { from: Some(index), what: Asks::Slot { seq: world.log.len() + 1, slot } });
            }
            Step::Poison(index) => {
                let slot = SlotSent { batches: Vec::new(), scan_base: world.log.len(), listed: None };
                world.log = self.library.append(&world.log, &slot, &self.deeds());
                world.processes[usize::from(index)].at += 1;
                self.answer(world, usize::from(index), Told::Rejected);
            }
            Step::Remove(place) => drop(world.inbox.remove(usize::from(place))),
            Step::Crash(index) => self.crash(world, index),
            Step::Resolve(index) => self.resolve(world, usize::from(index)),
        }
    }

    fn land(&self, world: &mut World, place: usize) {
        let Sent { from, what } = world.net.remove(place);
        let waiting = from.map(usize::from);
        if let Some(index) = waiting {
            world.processes[index].waits = false;
        }
        match what {
            Asks::Intent(formed) => {
                if !world.inbox.iter().any(|there| there.name() == formed.name()) {
                    world.inbox.push(formed);
                    if !world.waiting.iter().any(|(known, _)| *known == formed) {
                        world.waiting.push((formed, world.log.len()));
                    }
                }
            }
            Asks::Slot { seq, slot } if seq == world.log.len() + 1 => {
                if !keeps_scan_rule(seq.into(), slot.scan_base.into(), slot.listed.map(u64::from), self.k.into()) {
                    world.broken = Some("P9");
                }
                world.log = self.library.append(&world.log, &slot, &self.deeds());
                self.hold_to_the_promises(world);
                world.hold_to_the_bound(self.bound);
                if let Some(index) = waiting {
                    world.processes[index].at = seq;
                    self.look(world, index);
                }
            }
            Asks::Slot { .. } => {
                // The winner's bytes come with the refusal.
                if let Some(index) = waiting {
                    if self.is_broken(Mutant::AcknowledgeOnConflict) {
                        let at = world.processes[index].at + 1;
                        self.answer(world, index, Told::Committed(at));
                    }
                    if world.processes[index].at < world.log.len() {
                        world.processes[index].at += 1;
                        self.look(world, index);
                    }
                }
            }
        }
    }

    /// Nothing takes effect twice, nor after it was called rejected.
    fn hold_to_the_promises(&self, world: &mut World) {
        for work in 0..u8::try_from(self.works()).expect("few") {
            let times = world.log.board().done.iter().filter(|(done, _)| *done == work).count();
            let told = world.told[usize::from(work)];
            if times > 1 {
                world.broken = world.broken.or(Some("P1"));
            } else if times > 0 && told == Told::Rejected {
                world.broken = world.broken.or(Some("P2"));
            }
        }
    }

    fn give_up(&self, world: &mut World, index: usize) {
        world.late -= 1;
        let from = u8::try_from(index).expect("few");
        let slot = orphan(world, from);
        let process = &mut world.processes[index];
        process.waits = false;
        process.doubts = true;
        if slot && self.is_broken(Mutant::RejectOnLostReply) && process.play.is_some() {
            self.answer(world, index, Told::Rejected);
        } else if let (true, Some(play), Some(writing)) =
            (slot && self.is_broken(Mutant::NewNumberAfterDoubt), process.play, process.writing)
        {
            process.play = Some(Formed { wseq: play.wseq + 1, ..play });
            process.writing = Some(Writing { next: play.wseq + 1, ..writing });
        }
    }

    fn form(&self, world: &mut World, index: usize) {
        let process = &world.processes[index];
        let (at, turn) = (process.at, process.turn);
        let work = self.work(index, turn);
        let newest = world.told.iter().filter_map(|told| match told {
            Told::Committed(slot) => Some(*slot),
            _ => None,
        });
        world.floor[usize::from(work)] = newest.max().unwrap_or(0);
        world.told[usize::from(work)] = Told::Asked;
        self.play(world, index, at, What::Work(work));
    }

    /// Closes the bytes of a batch, under an identity that may be used.
    fn play(&self, world: &mut World, index: usize, at: u8, what: What) {
        let state = world.log.at(at).state();
        let process = &mut world.processes[index];
        let writing = process.writing.filter(|writing| !writing.identity().is_aged(state)).unwrap_or_else(|| {
            world.next_id += 1;
            Writing { id: world.next_id - 1, next: 1, last_slot: at }
        });
        process.writing = Some(writing);
        process.play = Some(Formed { base: at, writer: writing.id, wseq: writing.next, what });
        process.posted = false;
        process.doubts = false;
    }

    fn page(&self, world: &mut World, index: usize) {
        let process = &mut world.processes[index];
        let mut paging = process.paging.take().expect("it was possible");
        let next = world.inbox.iter().find(|formed| paging.after.is_none_or(|after| formed.name() > after.name())).copied();
        let own = process.writing.map(|writing| writer_id(writing.id));
        if let Some(formed) = next {
            let before = paging.listing.names.len();
            paging.listing.take(world.log.at(process.at).state(), formed.name(), 1, own);
            if paging.listing.names.len() > before {
                paging.pending.push(formed);
            }
            paging.after = Some(formed);
        }
        let cut = paging.listing.cut_at.is_some();
        if next.is_none() || cut {
            let tail = u8::try_from(paging.listing.tail).expect("a model's log is short");
            process.held = Some(Held { tail, pending: paging.pending, cut: next.filter(|_| cut) });
        } else {
            process.paging = Some(paging);
        }
    }

    /// After it took a slot in, a process looks what became of its batch.
    fn look(&self, world: &mut World, index: usize) {
        let process = &world.processes[index];
        let Some(formed) = process.play else { return };
        let state = world.log.at(process.at).state();
        let (_, op) = self.library.batch(formed, &self.deeds());
        let watch = Watch::new(state, op);
        let Some(decided) = watch.decided().cloned() else { return };
        let answer = answer_of(op, &decided);
        let process = &mut world.processes[index];
        process.writing = process.writing.and_then(|writing| {
            let after = writing.identity().after(formed.wseq.into(), &decided)?;
            let small = |number: u64| u8::try_from(number).expect("a model's log is short");
            Some(Writing { id: writing.id, next: small(after.next), last_slot: small(after.last_slot) })
        });
        if matches!(formed.what, What::Cancel { .. }) {
            // Whatever became of the cancellation, the state tells what became of the operation.
            process.play = None;
            if self.is_broken(Mutant::IgnoreCancellation) {
                self.answer(world, index, Told::Rejected);
            }
            return;
        }
        if matches!(decided, Decided::Withdrawn(_)) && self.is_broken(Mutant::ResubmitAfterCancel) {
            let at = process.at;
            self.play(world, index, at, formed.what);
            return;
        }
        self.answer(world, index, told_of(&answer));
    }

    fn answer(&self, world: &mut World, index: usize, told: Told) {
        let process = &mut world.processes[index];
        let formed = process.resolves.take().or(process.play);
        process.play = None;
        process.posted = false;
        process.doubts = false;
        process.turn += 1;
        if process.turn == u8::try_from(self.scripts[index].len()).expect("few") && !self.sequencing {
            // It has nothing to do any more, and what it knew helps nobody.
            process.held = None;
            process.paging = None;
        }
        if let Some(Formed { what: What::Work(work), .. }) = formed {
            world.told[usize::from(work)] = told;
            world.broken = world.broken.or_else(|| judge(world, work, told));
        }
    }

    fn crash(&self, world: &mut World, index: u8) {
        world.crashes -= 1;
        orphan(world, index);
        let at = world.log.len();
        let resolve = self.after_crash == After::Resolve;
        let process = &mut world.processes[usize::from(index)];
        let resolves = process.resolves.or(process.play);
        let gone = Process {
            at,
            turn: process.turn,
            writing: None,
            play: None,
            posted: false,
            waits: false,
            doubts: false,
            held: None,
            paging: None,
            resolves: resolves.filter(|_| resolve),
            cancelled: false,
            dead: !resolve,
        };
        *process = gone;
        if !resolve && let Some(Formed { what: What::Work(work), .. }) = resolves {
            world.told[usize::from(work)] = Told::Unknown;
        }
    }

    fn resolve(&self, world: &mut World, index: usize) {
        let process = &world.processes[index];
        let Some(formed) = process.resolves else { return };
        let (_, op) = self.library.batch(formed, &self.deeds());
        let (at, cancelled) = (process.at, process.cancelled);
        let told = match tell(world.log.at(at).state(), op) {
            Look::Decided(decided) => told_of(&answer_of(op, &decided)),
            Look::InSlots => self.found_in_slots(world, formed, at),
            Look::Stale => Told::Rejected,
            Look::Outside => Told::Unknown,
            Look::Open if cancelled => Told::Unknown,
            Look::Open => {
                let What::Work(work) = formed.what else { return };
                world.processes[index].cancelled = true;
                let what = What::Cancel { work, base: formed.base, writer: formed.writer, wseq: formed.wseq };
                self.play(world, index, at, what);
                return;
            }
        };
        self.answer(world, index, told);
    }

    /// What the slots say of a number that its writer has passed.
    fn found_in_slots(&self, world: &World, formed: Formed, at: u8) -> Told {
        let What::Work(work) = formed.what else { return Told::Unknown };
        let horizon = u64::from(formed.base) + self.h;
        let effect = world.log.at(at).board().done.iter().find(|(done, slot)| *done == work && u64::from(*slot) <= horizon);
        effect.map_or(Told::Rejected, |(_, slot)| Told::Committed(*slot))
    }

    pub(super) fn say(&self, world: &World, step: &Step) -> String {
        let sent = |place: &u8| match &world.net[usize::from(*place)] {
            Sent { from, what: Asks::Intent(formed) } => format!("{}intent {} lands", late(*from), say_batch(formed)),
            Sent { from, what: Asks::Slot { seq, slot } } => {
                let batches: Vec<_> = slot.batches.iter().map(say_batch).collect();
                let fate = if *seq == world.log.len() + 1 { "lands" } else { "is refused" };
                format!("{}slot {seq} [{}] scan base {} {fate}", late(*from), batches.join(" "), slot.scan_base)
            }
        };
        match step {
            Step::Land(place) => sent(place),
            Step::GiveUp(p) => format!("p{p} gives its request up"),
            Step::Form(p) => format!("p{p} forms a batch at tail {}", world.processes[usize::from(*p)].at),
            Step::Read(p) => format!("p{p} reads slot {}", world.processes[usize::from(*p)].at + 1),
            Step::List(p) => format!("p{p} lists the inbox at tail {}", world.processes[usize::from(*p)].at),
            Step::Page(p) => format!("p{p} reads the listing on"),
            Step::Post(p) => format!("p{p} leaves its batch in the inbox"),
            Step::Create(p, true) => format!("p{p} sends slot {} on its own listing", world.log.len() + 1),
            Step::Create(p, false) => format!("p{p} sends slot {}", world.log.len() + 1),
            Step::Poison(p) => format!("p{p} fills slot {} and calls its batch rejected", world.log.len() + 1),
            Step::Remove(place) => format!("somebody removes the intent {}", say_batch(&world.inbox[usize::from(*place)])),
            Step::Crash(p) => format!("p{p} crashes"),
            Step::Resolve(p) => format!("p{p} asks the log at {}", world.log.len()),
        }
    }
}

fn late(from: Option<u8>) -> &'static str {
    if from.is_none() { "late, " } else { "" }
}

fn say_batch(formed: &Formed) -> String {
    let Formed { base, writer, wseq, what } = formed;
    match what {
        What::Work(work) => format!("w{writer}.{wseq}@{base}:t{work}"),
        What::Cancel { writer: of, wseq: number, .. } => format!("w{writer}.{wseq}@{base}:cancel w{of}.{number}"),
        What::Claim(token) => format!("w{writer}.{wseq}@{base}:claim {token}"),
        What::Publish { seq, token } => format!("w{writer}.{wseq}@{base}:publish {seq} under {token}"),
    }
}

fn told_of(answer: &Answer) -> Told {
    match answer {
        Answer::Committed { slot, .. } => Told::Committed(u8::try_from(*slot).expect("a model's log is short")),
        Answer::Rejected(_) => Told::Rejected,
        Answer::Unknown => Told::Unknown,
    }
}

/// Nobody waits for this process's request any more. Whether it was for a slot.
fn orphan(world: &mut World, index: u8) -> bool {
    let Some(sent) = world.net.iter_mut().find(|sent| sent.from == Some(index)) else { return false };
    sent.from = None;
    matches!(sent.what, Asks::Slot { .. })
}

fn of_listing(listing: &Listing, inbox: &[Formed]) -> Held {
    let find = |name: &IntentName| inbox.iter().find(|formed| formed.name() == *name).copied();
    Held {
        tail: u8::try_from(listing.tail).expect("a model's log is short"),
        pending: listing.names.iter().filter_map(find).collect(),
        cut: listing.cut_at.as_ref().and_then(find),
    }
}
