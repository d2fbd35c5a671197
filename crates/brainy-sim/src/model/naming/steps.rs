//! What may happen next, and what comes of it.

use std::sync::Arc;

use async_trait::async_trait;
use brainy_coordination::internals::{
    Answer, Batch, Contents, Decided, Decision, LoadedBatch, LogState, Mutant, Order, Staged, Told, Watch, answer_of, apply, stands_next,
    tell,
};
use brainy_coordination::{Context, MachineError, ProtocolOperation, Rejection, Retired, StateMachine, Summary, Transaction, Verdict};
use brainy_core::{ContentHash, SequenceNumber, Version};
use bytes::Bytes;

use super::Naming;
use super::state::{Name, Process, Role, STORE, Sent, World, Writing, writer_id};

/// A step; the numbers are those of processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// A slot with these batches that were sent, and whether the preconditions of each hold.
    Slot(Vec<(u8, bool)>),
    /// Takes the next slot in.
    Read(u8),
    /// Loads the state at the tail, and takes nothing in that lies between.
    Load(u8),
    Form(u8),
    /// Makes an identity, and sends nothing yet.
    Mint(u8),
    /// Concludes from the state that it has applied.
    Resolve(u8),
    GiveUp(u8),
    Crash(u8),
    /// The name that one holds is handed to another.
    Hand(u8, u8),
    Copy(u8, u8),
    /// Somebody makes a name up, from one that is held, for another to resolve.
    Forge(u8, u8),
}

/// Transactions whose preconditions fail in this slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Failing(Vec<u8>);

#[derive(Debug)]
struct Machine;

#[async_trait]
impl StateMachine for Machine {
    type Command = Vec<u8>;
    type View = Failing;

    fn decode(payload: &[u8]) -> Vec<u8> {
        payload.to_vec()
    }

    async fn fetch(&self, _commands: &[&Vec<u8>]) -> Result<Failing, MachineError> {
        Err(MachineError { reason: "a model keeps its views".into() })
    }

    fn apply(view: &mut Failing, _context: Context, payload: &Vec<u8>) -> Verdict {
        if payload.iter().any(|work| view.0.contains(work)) {
            return Verdict::Rejected(Rejection { operation: 0, code: 1 });
        }
        Verdict::Effective { changed: 1 }
    }

    fn summary_of(_view: &Failing) -> Summary {
        Summary::default()
    }

    fn install(&self, _view: Failing, _position: Version) -> Retired {
        Retired::default()
    }

    fn summary(&self) -> Summary {
        Summary::default()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&self, _snapshot: &[u8]) -> Result<(), MachineError> {
        Ok(())
    }
}

fn load(sent: &Sent) -> LoadedBatch<Vec<u8>> {
    let op = sent.name.op();
    let transaction = match sent.target {
        Some(target) => Transaction::protocol(ProtocolOperation::Cancel { op: target.op() }),
        None => Transaction::payload(vec![sent.name.work]),
    };
    let batch = Batch {
        store: STORE,
        writer: op.writer,
        wseq: op.wseq,
        base: op.base,
        count: 1,
        contents: Contents::Inline(Bytes::new()),
        hash: op.hash,
        bytes: Bytes::new(),
    };
    LoadedBatch::new(batch, Ok(vec![Ok(Order::read::<Machine>(transaction))]))
}

impl Naming {
    fn staged(&self, world: &World, slot: &[(u8, bool)]) -> Staged<Failing> {
        let sent = |place: &u8| &world.sent[usize::from(*place)];
        let batches: Vec<_> = slot.iter().map(|(place, _)| load(sent(place))).collect();
        let failing = Failing(slot.iter().filter(|(_, holds)| !holds).map(|(place, _)| sent(place).name.work).collect());
        let seq = SequenceNumber::new(u64::from(world.tail()) + 1).expect("not 0");
        apply::<Machine>(&world.tails[0], failing, seq, 0, &batches).expect("everything in a model is known to this build")
    }

    pub(super) fn possible(&self, world: &World, steps: &mut Vec<Step>) {
        let alive = |process: &&Process| !matches!(process.role, Role::Off | Role::Done);
        if !world.processes.iter().any(|process| alive(&process)) {
            return;
        }
        let waited = world.processes.iter().filter(alive).all(|process| process.lag.is_none_or(|lag| lag < self.lag) || self.snapshots);
        if waited {
            self.slots(world, &mut Vec::new(), steps);
        }
        for (index, process) in (0_u8..).zip(&world.processes) {
            match (process.role, process.lag) {
                (Role::Off | Role::Done, _) => continue,
                (_, None) => steps.push(Step::Load(index)),
                (role, Some(lag)) => {
                    if lag > 0 {
                        steps.push(Step::Read(index));
                    }
                    if lag > 1 && self.snapshots {
                        steps.push(Step::Load(index));
                    }
                    let aged = |writing: Writing| writing.identity().is_aged(world.at(lag));
                    if role == Role::Sends && self.mints_early && lag == 0 && process.writing.is_none_or(aged) {
                        steps.push(Step::Mint(index));
                    }
                    match role {
                        Role::Sends if self.may_form(world, process, lag) => steps.push(Step::Form(index)),
                        Role::GivesUp if self.may_form(world, process, lag) => steps.push(Step::GiveUp(index)),
                        Role::Resolves => steps.push(Step::Resolve(index)),
                        _ => {}
                    }
                }
            }
            // A copy has something to do of its own; who resolves has not.
            let off = |busy: bool| {
                let mut all = (0_u8..).zip(&world.processes).zip(&self.scripts);
                all.find(|((_, one), script)| one.role == Role::Off && (**script > 0) == busy).map(|((at, _), _)| at)
            };
            if process.op.is_some() && world.crashes > 0 {
                steps.push(Step::Crash(index));
            }
            if let (Some(_), true, Some(to)) = (process.op, world.handed > 0, off(false)) {
                steps.push(Step::Hand(index, to));
            }
            if let (Some(_), true, Some(to)) = (process.op, world.forged > 0, off(false)) {
                steps.push(Step::Forge(index, to));
            }
            if let (Some(_), true, Some(to), Role::Sends | Role::Waits) = (process.writing, world.copies > 0, off(true), process.role) {
                steps.push(Step::Copy(index, to));
            }
        }
    }

    /// A fresh identity forms its first batch at the tail.
    fn may_form(&self, world: &World, process: &Process, lag: u8) -> bool {
        lag == 0 || process.writing.is_some_and(|writing| self.restarts_numbers || !writing.identity().is_aged(world.at(lag)))
    }

    /// Every short list of batches each of which has an effect where it stands.
    fn slots(&self, world: &World, chosen: &mut Vec<(u8, bool)>, steps: &mut Vec<Step>) {
        steps.push(Step::Slot(chosen.clone()));
        if chosen.len() >= usize::from(self.batches) {
            return;
        }
        let state = &world.tails[0];
        let staged = (!chosen.is_empty()).then(|| self.staged(world, chosen));
        for (place, sent) in (0_u8..).zip(&world.sent) {
            let writer = writer_id(sent.name.writer);
            let record = staged.as_ref().and_then(|staged| staged.delta.writers.get(&writer)).or_else(|| state.writer(writer));
            let last = record.map(|record| (record.wseq, record.slot));
            let stale = self.is_broken(Mutant::StaleTakesNumber) && last.map_or(0, |(wseq, _)| wseq) + 1 == u64::from(sent.name.wseq);
            if !stale && !stands_next(last, &sent.name.intent(), u64::from(world.tail()) + 1, state.horizon()) {
                continue;
            }
            for holds in [true, false] {
                if holds || (self.preconditions && !sent.name.cancels) {
                    chosen.push((place, holds));
                    self.slots(world, chosen, steps);
                    chosen.pop();
                }
            }
        }
    }

    pub(super) fn take(&self, world: &mut World, step: &Step) {
        match step {
            Step::Slot(slot) => self.append(world, slot),
            Step::Read(index) => {
                let process = &mut world.processes[usize::from(*index)];
                process.lag = process.lag.map(|lag| lag - 1);
                self.look(world, usize::from(*index), true);
            }
            Step::Load(index) => {
                world.processes[usize::from(*index)].lag = Some(0);
                self.look(world, usize::from(*index), false);
            }
            Step::Form(index) => {
                let process = &mut world.processes[usize::from(*index)];
                let work = self.work(usize::from(*index), process.turn);
                process.turn += 1;
                let name = self.send(world, usize::from(*index), work, None);
                let process = &mut world.processes[usize::from(*index)];
                process.role = Role::Waits;
                // Its first name is its name for life.
                process.op = process.op.or(Some(name));
            }
            Step::Mint(index) => {
                let writing = Writing { id: world.next_id, next: 1, last_slot: world.tail() };
                world.next_id += 1;
                world.processes[usize::from(*index)].writing = Some(writing);
            }
            Step::Resolve(index) => self.resolve(world, usize::from(*index)),
            Step::GiveUp(index) => {
                let Some(op) = world.processes[usize::from(*index)].op else { return };
                self.send(world, usize::from(*index), op.work, Some(op));
                world.processes[usize::from(*index)].role = Role::Cancels;
            }
            Step::Crash(index) => {
                world.crashes -= 1;
                let process = &mut world.processes[usize::from(*index)];
                *process = Process {
                    role: Role::Resolves,
                    lag: Some(0),
                    writing: None,
                    play: None,
                    refused: false,
                    turn: process.turn,
                    op: process.op,
                };
            }
            Step::Hand(from, to) => {
                world.handed -= 1;
                let op = world.processes[usize::from(*from)].op;
                let taker = &mut world.processes[usize::from(*to)];
                *taker = Process { role: Role::Resolves, lag: Some(0), op, ..*taker };
            }
            Step::Forge(from, to) => {
                world.forged -= 1;
                let held = world.processes[usize::from(*from)].op;
                let work = u8::try_from(self.works()).expect("few") - 1;
                let op = held.map(|name| Name { wseq: name.wseq + 1, work, ..name });
                let taker = &mut world.processes[usize::from(*to)];
                *taker = Process { role: Role::Resolves, lag: Some(0), op, ..*taker };
            }
            Step::Copy(from, to) => {
                world.copies -= 1;
                let copied = world.processes[usize::from(*from)];
                world.processes[usize::from(*to)] = Process { turn: 0, ..copied };
            }
        }
    }

    fn append(&self, world: &mut World, slot: &[(u8, bool)]) {
        let staged = self.staged(world, slot);
        let seq = world.tail() + 1;
        let bits = staged.bits.clone();
        for (at, (place, _)) in slot.iter().enumerate() {
            let Sent { name, target } = world.sent[usize::from(*place)];
            let effective = bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
            if effective && target.is_none() {
                world.effects.push((name, seq));
                let times = &mut world.times[usize::from(name.work)];
                *times = (*times + 1).min(2);
                if *times > 1 {
                    world.broken = world.broken.or(Some("P1"));
                } else if world.denied[usize::from(name.work)] {
                    world.broken = world.broken.or(Some("P2"));
                }
            }
        }
        let mut state: LogState = (*world.tails[0]).clone();
        state.install(staged.delta, ContentHash::of(b"a slot"), 0, bits, Some(seq.into()));
        world.tails.insert(0, Arc::new(state));
        for process in world.processes.iter_mut().filter(|process| !matches!(process.role, Role::Off | Role::Done)) {
            process.lag = process.lag.map(|lag| lag + 1).filter(|lag| *lag <= self.lag);
        }
    }

    /// Closes the bytes of a batch, under an identity that may be used.
    fn send(&self, world: &mut World, index: usize, work: u8, target: Option<Name>) -> Name {
        let lag = world.processes[index].lag.expect("only who holds a state forms a batch");
        let state = world.at(lag);
        let base = u16::try_from(state.position).expect("a model's log is short");
        let process = &world.processes[index];
        let aged = |writing: &Writing| writing.identity().is_aged(state);
        let writing = match process.writing {
            Some(writing) if !aged(&writing) => writing,
            Some(writing) if self.restarts_numbers => {
                let last = state.writer(writer_id(writing.id)).map_or(0, |record| record.wseq);
                Writing { next: u8::try_from(last).expect("few") + 1, ..writing }
            }
            _ => Writing { id: world.next_id, next: 1, last_slot: base },
        };
        world.next_id = world.next_id.max(writing.id + 1);
        let name = Name { base, writer: writing.id, wseq: writing.next, work, cancels: target.is_some() };
        world.sent.push(Sent { name, target });
        let process = &mut world.processes[index];
        process.writing = Some(writing);
        process.play = Some(name);
        name
    }

    /// What a process with a batch in play makes of the state it has come to; `each`: it looks after every slot.
    fn look(&self, world: &mut World, index: usize, each: bool) {
        let process = world.processes[index];
        let (Some(play), Some(lag)) = (process.play, process.lag) else { return };
        let state = world.at(lag);
        let mut watch = Watch::new(state, play.op());
        if !each {
            // Where it stood before, nothing was decided.
            watch.note_after_jump(state, state.position.saturating_sub(1));
        }
        let Some(decided) = watch.decided().cloned() else { return };
        let process = &mut world.processes[index];
        process.writing = process.writing.and_then(|writing| {
            let after = writing.identity().after(play.wseq.into(), &decided)?;
            let next = u8::try_from(after.next).expect("few");
            Some(Writing { next, last_slot: u16::try_from(after.last_slot).expect("a model's log is short"), ..writing })
        });
        if process.role == Role::Cancels {
            // Whatever became of the cancellation, the state tells what became of the operation; one that was refused is not sent again.
            process.refused = match &decided {
                Decided::Applied { decision: Decision::Applied(verdicts), .. } => !verdicts[0].is_effective(),
                _ => false,
            };
            process.play = None;
            process.role = Role::Resolves;
            if self.is_broken(Mutant::IgnoreCancellation) && !process.refused {
                self.reject(world, index);
            }
            return;
        }
        if matches!(decided, Decided::Withdrawn(_)) && self.is_broken(Mutant::ResubmitAfterCancel) {
            let process = &mut world.processes[index];
            process.lag = Some(0);
            self.send(world, index, play.work, None);
            return;
        }
        self.conclude(world, index, play, &Told::Decided(decided));
    }

    /// What becomes of the operation that a process answers for, given what the state told of `name`.
    fn conclude(&self, world: &mut World, index: usize, name: Name, told: &Told) {
        let at = u16::try_from(world.at(world.processes[index].lag.unwrap_or(0)).position).expect("a model's log is short");
        match told {
            Told::Decided(decided) => match answer_of(name.op(), decided) {
                Answer::Committed { slot, .. } => self.commit(world, index, name, Some(slot)),
                Answer::Rejected(_) => self.reject(world, index),
                Answer::Unknown => self.finish(world, index),
            },
            Told::InSlots => {
                let horizon = name.base + u16::from(self.h);
                let embedded = world.effects.iter().any(|(effect, slot)| *effect == name && *slot <= horizon.min(at));
                if embedded { self.commit(world, index, name, None) } else { self.reject(world, index) }
            }
            Told::Stale => self.reject(world, index),
            Told::Outside if self.sends_again_outside => {
                let process = &mut world.processes[index];
                process.writing = None;
                process.lag = Some(0);
                process.role = Role::Waits;
                self.send(world, index, name.work, None);
            }
            Told::Outside => self.finish(world, index),
            Told::Open => {}
        }
    }

    fn commit(&self, world: &mut World, index: usize, name: Name, slot: Option<u64>) {
        let there = world.effects.iter().any(|(effect, at)| *effect == name && slot.is_none_or(|slot| slot == u64::from(*at)));
        if !there {
            world.broken = world.broken.or(Some("P1"));
        }
        self.finish(world, index);
    }

    fn reject(&self, world: &mut World, index: usize) {
        let process = world.processes[index];
        let name = process.play.filter(|play| !play.cancels).or(process.op);
        if let Some(name) = name {
            if world.times[usize::from(name.work)] > 0 {
                world.broken = world.broken.or(Some("P2"));
            }
            world.denied[usize::from(name.work)] = true;
        }
        self.finish(world, index);
    }

    /// The caller was answered.
    fn finish(&self, world: &mut World, index: usize) {
        let process = &mut world.processes[index];
        process.play = None;
        process.op = None;
        process.refused = false;
        process.role = if process.turn < self.scripts[index] { Role::Sends } else { Role::Done };
        if process.role == Role::Done {
            *process = Process { role: Role::Done, lag: Some(0), writing: None, turn: 0, play: None, op: None, refused: false };
        }
    }

    fn resolve(&self, world: &mut World, index: usize) {
        let process = world.processes[index];
        let (Some(op), Some(lag)) = (process.op, process.lag) else { return };
        let told = tell(world.at(lag), op.op());
        match told {
            Told::Open if process.refused => self.finish(world, index),
            Told::Open => world.processes[index].role = Role::GivesUp,
            told => self.conclude(world, index, op, &told),
        }
    }

    pub(super) fn say(world: &World, step: &Step) -> String {
        let tail = world.tail();
        let name = |name: &Name| format!("w{}.{}@{}", name.writer, name.wseq, name.base);
        match step {
            Step::Slot(slot) => {
                let batches = slot.iter().map(|(place, holds)| {
                    let sent = &world.sent[usize::from(*place)];
                    let fails = if *holds { "" } else { " fails" };
                    match &sent.target {
                        Some(target) => format!("{}:cancel {}", name(&sent.name), name(target)),
                        None => format!("{}:t{}{fails}", name(&sent.name), sent.name.work),
                    }
                });
                format!("slot {} [{}]", tail + 1, batches.collect::<Vec<_>>().join(" "))
            }
            Step::Read(p) => format!("p{p} takes a slot in"),
            Step::Load(p) => format!("p{p} loads the state at {tail}"),
            Step::Form(p) => format!("p{p} sends a batch at {}", position(world, *p)),
            Step::Mint(p) => format!("p{p} makes an identity at {tail}"),
            Step::Resolve(p) => format!("p{p} concludes from the state at {}", position(world, *p)),
            Step::GiveUp(p) => format!("p{p} sends a cancellation at {}", position(world, *p)),
            Step::Crash(p) => format!("p{p} crashes and comes back with the name it held"),
            Step::Hand(from, to) => format!("p{from} hands the name to p{to}"),
            Step::Forge(from, to) => format!("p{to} is shown a forged name, made from p{from}'s"),
            Step::Copy(from, to) => format!("p{from} is copied to p{to}"),
        }
    }
}

fn position(world: &World, process: u8) -> u64 {
    world.processes[usize::from(process)].lag.map_or(0, |lag| world.at(lag).position)
}
