//! What may happen next, and what comes of it.

use brainy_coordination::internals::{Answer, Bounds, Mutant, Sighting, Watch, answer_of, is_pending, next_bounds, vouches};
use brainy_storage::StoreTime;

use super::super::helping::book::{Formed, Log, SlotSent, What};
use super::state::{Needs, Place, Process, Reply, World, manifest};
use super::{LONGEST_STALL, Role, Trunc, time};

/// The identity of everybody else.
const OTHERS: u8 = 60;

/// A step; the numbers are those of processes, collectors, slots and places in lists. `bool`: with the time of a front end whose clock is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    Tick,
    /// Everybody else appends.
    Append,
    /// A manifest of the tail is published.
    Publish,
    /// A collector decides to where it wants the boundary.
    Aim(u8),
    Raise(u8),
    /// A collector reads the boundary.
    See(u8, bool),
    Remove(u8, u8, bool),
    /// A create that was given up lands.
    Land(u8),
    Suspend(u8),
    Resume(u8),
    Read(u8, bool),
    /// The next slot is read by whoever lost the race for it: no 404 need follow.
    ReadWinner(u8, bool),
    /// The slot behind the next one is asked for beside.
    ReadAhead(u8),
    LookAtHead(u8, bool),
    FindState(u8, bool),
    LoadState(u8),
    Post(u8),
    List(u8),
    Create(u8, bool),
    /// A create whose client gives up.
    CreateLate(u8),
    /// A create whose reply is taken in later.
    CreateBeside(u8),
    TakeCreated(u8),
}

impl Trunc {
    pub(super) fn possible(&self, world: &World, steps: &mut Vec<Step>) {
        let clocks: &[bool] = if self.skewed { &[false, true] } else { &[false] };
        let overdue = |at: &Option<StoreTime>| at.is_some_and(|at| at <= time(LONGEST_STALL));
        let stalled = world.processes.iter().any(|process| {
            process.ahead.as_ref().is_some_and(|(.., at)| overdue(at)) || process.created.as_ref().is_some_and(|(_, at)| overdue(at))
        });
        if !stalled {
            steps.push(Step::Tick);
        }
        if world.truth.len() < self.longest {
            steps.push(Step::Append);
        }
        if world.manifest < world.truth.len() {
            steps.push(Step::Publish);
        }
        for (index, collector) in (0..).zip(&world.collectors) {
            match collector.wanted {
                Some(_) => steps.push(Step::Raise(index)),
                None if world.boundary >= world.manifest => {}
                None if self.slow_collectors => steps.push(Step::Aim(index)),
                None => steps.push(Step::Raise(index)),
            }
            let seen = collector.sightings.last().map_or(0, |seen| seen.boundary);
            for ahead in clocks {
                if u64::from(world.boundary) > seen {
                    steps.push(Step::See(index, *ahead));
                }
                let upto = self.collectable(&collector.sightings, *ahead);
                let there = (1..=self.longest).filter(|seq| u64::from(*seq) <= upto && matches!(world.place(*seq), Place::Slot(_)));
                steps.extend(there.take(if self.ascending { 1 } else { 255 }).map(|seq| Step::Remove(index, seq, *ahead)));
            }
        }
        steps.extend((0..).zip(&world.net).map(|(place, _)| Step::Land(place)));
        for (index, (process, role)) in (0..).zip(world.processes.iter().zip(&self.processes)) {
            if process.asleep {
                steps.push(Step::Resume(index));
                continue;
            }
            if world.suspends > 0 {
                steps.push(Step::Suspend(index));
            }
            if process.gone {
                continue;
            }
            let late = world.late > 0;
            self.possible_of(world, index, process, *role, clocks, late, steps);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one caller, which would only pack them")]
    fn possible_of(&self, world: &World, index: u8, process: &Process, role: Role, clocks: &[bool], late: bool, steps: &mut Vec<Step>) {
        if process.created.is_some() && process.needs == Needs::Nothing {
            steps.push(Step::TakeCreated(index));
        }
        match process.needs {
            Needs::Head => steps.extend(clocks.iter().map(|ahead| Step::LookAtHead(index, *ahead))),
            Needs::State => steps.extend(clocks.iter().map(|ahead| Step::FindState(index, *ahead))),
            Needs::Loading(..) => steps.push(Step::LoadState(index)),
            Needs::Nothing => {
                let next = process.at.len() + 1;
                if next <= self.longest {
                    steps.extend(clocks.iter().map(|ahead| Step::Read(index, *ahead)));
                    if role.works > 0 && matches!(world.place(next), Place::Slot(_)) {
                        steps.extend(clocks.iter().map(|ahead| Step::ReadWinner(index, *ahead)));
                    }
                }
                if role.tasks && process.ahead.is_none() && next < self.longest {
                    steps.push(Step::ReadAhead(index));
                }
                let firm = process.is_firm() && !process.doubtful;
                let has_work = process.play.is_some() || (process.turn < role.works && firm);
                if role.helped && has_work && !process.posted {
                    steps.push(Step::Post(index));
                }
                if role.carries && !world.inbox.is_empty() && process.held.is_none() {
                    steps.push(Step::List(index));
                }
                let may_create = (has_work && !role.helped) || process.held.is_some();
                if firm && may_create && next <= self.longest && process.created.is_none() {
                    steps.extend(clocks.iter().map(|ahead| Step::Create(index, *ahead)));
                    if late {
                        steps.push(Step::CreateLate(index));
                    }
                    if role.tasks {
                        steps.push(Step::CreateBeside(index));
                    }
                }
            }
        }
    }

    pub(super) fn take(&self, world: &mut World, step: &Step) {
        match *step {
            Step::Tick => self.tick(world),
            Step::Append => {
                let tail = world.truth.len();
                let formed = Formed { base: tail, writer: OTHERS, wseq: others_next(&world.truth), what: What::Work(40 + tail) };
                let slot = self.slot(&world.truth, vec![formed]);
                world.land(&slot);
            }
            Step::Publish => {
                let wanted = Bounds { boundary: 0, manifest: Some(manifest(world.truth.len())) };
                let bounds = Bounds { boundary: world.boundary.into(), ..next_bounds(world.bounds(), wanted) };
                world.set_bounds(bounds);
            }
            Step::Aim(c) => world.collectors[usize::from(c)].wanted = Some(world.manifest),
            Step::Raise(c) => {
                let wanted = world.collectors[usize::from(c)].wanted.take().unwrap_or(world.manifest);
                let wanted = Bounds { boundary: wanted.into(), manifest: None };
                world.set_bounds(next_bounds(world.bounds(), wanted));
                // It reads back what it wrote.
                self.see(world, usize::from(c), false);
            }
            Step::See(c, ahead) => self.see(world, usize::from(c), ahead),
            Step::Remove(_, seq, _) => {
                let tombstone = self.mode == brainy_coordination::Truncation::Tombstone;
                world.slots[usize::from(seq) - 1] = if tombstone { Place::Marker } else { Place::Free };
            }
            Step::Land(place) => {
                let slot = world.net.remove(usize::from(place));
                world.land(&slot);
            }
            Step::Suspend(p) => {
                world.suspends -= 1;
                world.processes[usize::from(p)].asleep = true;
            }
            Step::Resume(p) => world.processes[usize::from(p)].asleep = false,
            Step::Read(p, ahead) => self.read(world, usize::from(p), ahead, false),
            Step::ReadWinner(p, ahead) => self.read(world, usize::from(p), ahead, true),
            Step::ReadAhead(p) => {
                let seq = world.processes[usize::from(p)].at.len() + 2;
                let reply = self.look(world, seq);
                let at = self.stamp(usize::from(p), false);
                world.processes[usize::from(p)].ahead = Some((seq, reply, at));
            }
            Step::LookAtHead(p, ahead) => {
                let (index, at) = (usize::from(p), self.stamp(usize::from(p), ahead));
                let boundary = world.boundary;
                let process = &mut world.processes[index];
                if vouches(boundary.into(), process.trusted.into()) {
                    process.needs = Needs::Nothing;
                    process.confirmation.confirm(at);
                    self.trust(world, index);
                } else {
                    process.needs = Needs::State;
                    process.tail = None;
                }
            }
            Step::FindState(p, ahead) => {
                let at = self.stamp(usize::from(p), ahead);
                let process = &mut world.processes[usize::from(p)];
                if world.manifest <= process.trusted {
                    // What it wants is gone, and nothing takes its place.
                    world.broken = world.broken.or(Some("P10"));
                } else {
                    process.needs = Needs::Loading(world.manifest, at);
                }
            }
            Step::LoadState(p) => {
                let role = self.processes[usize::from(p)];
                let process = &mut world.processes[usize::from(p)];
                let Needs::Loading(seq, at) = process.needs else { return };
                process.at = world.truth.at(seq).clone();
                let trusted = std::mem::replace(&mut process.trusted, seq);
                if let Some(watch) = &mut process.watch {
                    watch.note_after_jump(process.at.state(), trusted.into());
                }
                process.needs = Needs::Nothing;
                process.confirmation.confirm(at);
                process.doubtful = role.works > 0;
                process.tail = None;
                process.ahead = None;
                self.trust(world, usize::from(p));
            }
            Step::Post(p) => {
                let formed = self.form(world, usize::from(p));
                world.processes[usize::from(p)].posted = true;
                world.inbox.extend(formed);
            }
            Step::List(p) => world.processes[usize::from(p)].held = world.inbox.first().copied(),
            Step::Create(p, ahead) => {
                let Some((slot, won)) = self.create(world, usize::from(p)) else { return };
                if won {
                    let at = self.stamp(usize::from(p), ahead);
                    self.created(world, usize::from(p), &slot, at);
                }
            }
            Step::CreateLate(p) => {
                let Some(slot) = self.to_send(world, usize::from(p)) else { return };
                world.late -= 1;
                world.net.push(slot);
                world.processes[usize::from(p)].doubtful = true;
            }
            Step::CreateBeside(p) => {
                let Some((slot, won)) = self.create(world, usize::from(p)) else { return };
                let at = self.stamp(usize::from(p), false);
                if won {
                    world.processes[usize::from(p)].created = Some((slot, at));
                }
            }
            Step::TakeCreated(p) => {
                let Some((slot, at)) = world.processes[usize::from(p)].created.take() else { return };
                self.created(world, usize::from(p), &slot, at);
            }
        }
    }

    fn see(&self, world: &mut World, collector: usize, ahead: bool) {
        let sighting = Sighting { boundary: world.boundary.into(), at: Some(self.now(ahead)) };
        let sightings = &mut world.collectors[collector].sightings;
        if sightings.last().is_none_or(|last| last.boundary < sighting.boundary) {
            sightings.push(sighting);
        }
        if let (true, Some(first)) = (self.mutant == Some(Mutant::DeleteToPresentBoundary), sightings.first_mut()) {
            first.boundary = sighting.boundary;
        }
        // Two are enough to tell one that was waited for from the present one.
        if sightings.len() > 2 {
            sightings.remove(0);
        }
    }

    fn tick(&self, world: &mut World) {
        let older = |floor: StoreTime| move |at: StoreTime| StoreTime::from_ms(at.as_ms() - super::TICK_MS).max(floor);
        for collector in &mut world.collectors {
            for sighting in &mut collector.sightings {
                sighting.at = sighting.at.map(older(time(super::GRACE)));
            }
            // What was waited for up to a higher number says no more.
            let waited = |sighting: &Sighting| sighting.at == Some(time(super::GRACE));
            while collector.sightings.get(1).is_some_and(waited) {
                collector.sightings.remove(0);
            }
        }
        let older = older(self.floor());
        // A suspended machine's clock stands still.
        for process in world.processes.iter_mut().filter(|process| !process.asleep) {
            process.confirmation = process.confirmation.with_times(older);
            process.ahead.iter_mut().for_each(|(.., at)| *at = at.map(older));
            process.created.iter_mut().for_each(|(_, at)| *at = at.map(older));
            if let Needs::Loading(_, at) = &mut process.needs {
                *at = at.map(older);
            }
        }
    }

    /// The time on a reply.
    fn stamp(&self, index: usize, ahead: bool) -> Option<StoreTime> {
        (!self.processes[index].undated).then(|| self.now(ahead))
    }

    fn slot(&self, before: &Log, batches: Vec<Formed>) -> Log {
        let scan_base = before.len();
        self.library.append(before, &SlotSent { batches, scan_base, listed: None }, &Self::deeds())
    }

    fn look(&self, world: &World, seq: u8) -> Reply {
        match world.place(seq) {
            Place::Free => Reply::Absent(world.truth.len()),
            Place::Slot(slot) => Reply::Found(slot.clone()),
            Place::Marker => Reply::Marker,
        }
    }

    fn read(&self, world: &mut World, index: usize, ahead: bool, winner: bool) {
        let role = self.processes[index];
        let next = world.processes[index].at.len() + 1;
        let kept = world.processes[index].ahead.take_if(|(seq, ..)| *seq <= next);
        let (reply, at) = match kept {
            Some((seq, reply, at)) if seq == next => (reply, at),
            _ => (self.look(world, next), self.stamp(index, ahead)),
        };
        let process = &mut world.processes[index];
        match reply {
            Reply::Found(slot) if *slot.at(next - 1) == process.at => {
                process.advance(slot);
                match winner {
                    false => process.confirmation.rest_on(at),
                    true if process.confirmation.take(at, false) => self.trust(world, index),
                    true => process.needs = Needs::Head,
                }
            }
            Reply::Found(_) | Reply::Marker => {
                process.needs = Needs::State;
                process.ahead = None;
            }
            Reply::Absent(tail) => {
                process.tail = Some(if role.answers { tail } else { 0 });
                process.ahead = None;
                if process.confirmation.take(at, true) {
                    self.trust(world, index);
                } else {
                    process.needs = Needs::Head;
                }
            }
        }
    }

    /// Forms the next batch, if none is in play.
    fn form(&self, world: &mut World, index: usize) -> Option<Formed> {
        let writer = u8::try_from(index).expect("few");
        let works = self.processes[index].works;
        let process = &mut world.processes[index];
        if process.play.is_none() && process.turn < works {
            process.turn += 1;
            let turn = process.turn;
            let formed = Formed { base: process.at.len(), writer, wseq: turn, what: What::Work(writer * 8 + turn) };
            let (_, op) = self.library.batch(formed, &Self::deeds());
            process.play = Some(formed);
            process.watch = Some(Box::new(Watch::new(process.at.state(), op)));
        }
        process.play
    }

    /// The slot that a process would create next.
    fn to_send(&self, world: &mut World, index: usize) -> Option<Log> {
        let own = if self.processes[index].helped { None } else { self.form(world, index) };
        let process = &world.processes[index];
        let state = process.at.state();
        let carried = process.held.filter(|formed| is_pending(state, &formed.name(), state.position + 1));
        let batches: Vec<_> = own.into_iter().chain(carried).collect();
        (!batches.is_empty()).then(|| self.slot(&process.at, batches))
    }

    fn create(&self, world: &mut World, index: usize) -> Option<(Log, bool)> {
        let slot = self.to_send(world, index)?;
        let won = world.land(&slot);
        if !won {
            // The winner is read back, like any slot.
            world.processes[index].doubtful = true;
        }
        Some((slot, won))
    }

    /// Takes in that a create succeeded.
    fn created(&self, world: &mut World, index: usize, slot: &Log, at: Option<StoreTime>) {
        let process = &mut world.processes[index];
        if process.at == *slot.at(slot.len() - 1) {
            process.advance(slot.clone());
        } else if process.is_firm() {
            return;
        }
        if process.confirmation.take(at, false) {
            self.trust(world, index);
        } else {
            process.needs = Needs::Head;
        }
    }

    /// Where a process stands is vouched for: it answers.
    fn trust(&self, world: &mut World, index: usize) {
        let truth = world.truth.clone();
        let role = self.processes[index];
        let process = &mut world.processes[index];
        process.trusted = process.at.len();
        let real = *truth.at(process.trusted) == process.at;
        if let Some(tail) = process.tail.take() {
            process.doubtful = false;
            if role.answers && (!real || process.trusted < tail) {
                world.broken = world.broken.or(Some("P4"));
            }
        }
        let Some(formed) = process.play else { return };
        let (_, op) = self.library.batch(formed, &Self::deeds());
        let Some(decided) = process.watch.as_ref().and_then(|watch| watch.decided().cloned()) else { return };
        (process.play, process.watch) = (None, None);
        process.posted = false;
        process.gone = process.turn == role.works && !role.answers && !role.carries;
        if process.gone {
            // What it knows helps nobody any more.
            *process = Process { gone: true, ..self.fresh() };
        }
        let What::Work(work) = formed.what else { return };
        let effect = truth.board().done.iter().find(|(done, _)| *done == work);
        let broken = match answer_of(op, &decided) {
            Answer::Committed { slot, .. } => (effect.map(|(_, at)| u64::from(*at)) != Some(slot)).then_some("P1"),
            Answer::Rejected(_) => effect.is_some().then_some("P2"),
            Answer::Unknown => None,
        };
        world.broken = world.broken.or(broken);
    }

    pub(super) fn say(&self, world: &World, step: &Step) -> String {
        let next = |p: &u8| world.processes[usize::from(*p)].at.len() + 1;
        let kind = |slot: &Log| if slot.len() == world.truth.len() + 1 { "the next" } else { "a number that was used before" };
        match step {
            Step::Tick => "a quarter of the grace passes".into(),
            Step::Append => format!("others append slot {}", world.truth.len() + 1),
            Step::Publish => format!("a manifest of slot {} is published", world.truth.len()),
            Step::Aim(c) => format!("collector {c} is about to raise the boundary to {}", world.manifest),
            Step::Raise(c) => format!("collector {c} raises the boundary"),
            Step::See(c, _) => format!("collector {c} reads boundary {}", world.boundary),
            Step::Remove(c, seq, _) => format!("collector {c} removes slot {seq}"),
            Step::Land(place) => {
                let slot = &world.net[usize::from(*place)];
                format!("a create of slot {} that was given up lands: {}", slot.len(), kind(slot))
            }
            Step::Suspend(p) => format!("p{p} is suspended"),
            Step::Resume(p) => format!("p{p} goes on"),
            Step::Read(p, _) => match (&world.processes[usize::from(*p)].ahead, world.place(next(p))) {
                (Some((seq, ..)), _) if *seq == next(p) => format!("p{p} takes in what it read of slot {seq} before"),
                (_, Place::Free) => format!("p{p} reads slot {}: 404", next(p)),
                (_, Place::Marker) => format!("p{p} reads slot {}: a marker", next(p)),
                (_, Place::Slot(_)) => format!("p{p} reads slot {}", next(p)),
            },
            Step::ReadWinner(p, _) => format!("p{p} reads slot {}, for which it lost the race", next(p)),
            Step::ReadAhead(p) => format!("p{p} asks for slot {} beside", next(p) + 1),
            Step::LookAtHead(p, _) => format!("p{p} reads boundary {}", world.boundary),
            Step::FindState(p, _) => format!("p{p} looks for the newest state: {}", world.manifest),
            Step::LoadState(p) => format!("p{p} loads the state"),
            Step::Post(p) => format!("p{p} leaves its batch in the inbox"),
            Step::List(p) => format!("p{p} lists the inbox"),
            Step::Create(p, _) => format!("p{p} creates slot {}", next(p)),
            Step::CreateLate(p) => format!("p{p} sends slot {} and gives up", next(p)),
            Step::CreateBeside(p) => format!("p{p} creates slot {}; the reply waits", next(p)),
            Step::TakeCreated(p) => format!("p{p} takes in the reply to its create"),
        }
    }
}

/// The next number of everybody else.
fn others_next(log: &Log) -> u8 {
    u8::try_from(log.board().done.iter().filter(|(work, _)| *work >= 40).count()).expect("few") + 1
}
