//! What may happen next, and what comes of it.

use std::sync::PoisonError;

use brainy_coordination::internals::{Batch, Belief, Contents, LoadedBatch, LogState, Order, Seen, Turn, apply, turn, watched_for};
use brainy_coordination::{Constants, Fence, NullMachine, ProtocolOperation, RULES, Transaction, Truncation};
use brainy_core::{ContentHash, Epoch, SequenceNumber, StoreId, WriterId};
use bytes::Bytes;

use super::{Body, Contender, Follows, Kind, Leases, NOW, OLD, Record, Reply, Request, TTL, World, ago, belief, left_of};

const NAME: &str = "work";
/// A state that is no more, whichever it was.
const GONE: Body = Body { token: 0, held: false, holder: 0 };
const STORE: StoreId = StoreId::from_bytes([7; 16]);

/// A step; the numbers are those of contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// A third of a ttl passes.
    Tick,
    /// A request takes effect, or is refused.
    Land(u8),
    /// One whose client gave it up.
    LandLate(u8),
    Reply(u8),
    GiveUp(u8),
    /// Applies the log and reads the object.
    Look(u8),
    Take(u8),
    Renew(u8),
    Release(u8),
    /// Claims its token in the log, and reads the claim back.
    Claim(u8),
    /// Appends a record under its token.
    Act(u8),
    Pause(u8),
    Resume(u8),
    Vanish,
    Restore,
}

/// Whether a record takes effect in a log whose highest claim is `highest`.
fn takes_effect(highest: u8, record: Record, unfenced: bool) -> bool {
    let transaction = |record| match record {
        Record::Claim(token) => Transaction::protocol(ProtocolOperation::LeaseClaim { name: NAME.into(), token: u64::from(token) }),
        Record::Work(_) if unfenced => Transaction::payload(&b"work"[..]),
        Record::Work(token) => Transaction::payload(&b"work"[..]).with_fence(Fence { name: NAME.into(), token: u64::from(token) }),
    };
    let load = |writer: u8, record| {
        let batch = Batch::new(STORE, WriterId::from_bytes([writer; 16]), 1, 0, 1, Contents::Inline(Bytes::new()));
        LoadedBatch::new(batch, Ok(vec![Ok(Order::read::<NullMachine>(transaction(record)))]))
    };
    let constants = Constants::new(Truncation::Tombstone);
    let state = LogState::new(STORE, Epoch::FIRST, 0, ContentHash::of(b"before"), RULES, &constants);
    let claimed = (highest > 0).then(|| load(1, Record::Claim(highest)));
    let batches: Vec<_> = claimed.into_iter().chain([load(2, record)]).collect();
    let staged =
        apply::<NullMachine>(&state, (), SequenceNumber::FIRST, 0, &batches).expect("everything in a model is known to this build");
    staged.bits.first().is_some_and(|bits| bits >> (batches.len() - 1) & 1 == 1)
}

impl Leases {
    /// Whether a record takes effect after the highest claim, by the apply that ships.
    fn judge(&self, highest: u8, record: Record) -> bool {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        *judged.entry((highest, record)).or_insert_with(|| takes_effect(highest, record, self.unfenced))
    }

    pub(super) fn possible(&self, world: &World, steps: &mut Vec<Step>) {
        steps.push(Step::Tick);
        steps.extend((0..).zip(&world.late).map(|(place, _)| Step::LandLate(place)));
        if world.vanishes && world.object.is_some() {
            steps.push(Step::Vanish);
        }
        if world.restored && world.object.is_some() {
            steps.push(Step::Restore);
        }
        for (index, one) in (0_u8..).zip(&world.contenders) {
            if one.request.is_some_and(|request| request.reply == Reply::Pending) {
                steps.push(Step::Land(index));
            }
            if one.paused {
                steps.push(Step::Resume(index));
                continue;
            }
            // One that has nothing to lose may as well be slow.
            let acts = one.turn.is_some() && one.claimed && world.acts > 0;
            if world.pauses > 0 && (one.request.is_some() || one.believes.is_some() || acts) {
                steps.push(Step::Pause(index));
            }
            if let Some(request) = one.request {
                if request.reply != Reply::Pending {
                    steps.push(Step::Reply(index));
                } else if world.lateness > 0 {
                    steps.push(Step::GiveUp(index));
                }
                continue;
            }
            let holds = belief(one.believes).holds(NOW);
            if let Some((_, known)) = one.turn.filter(|_| holds) {
                match known {
                    Some(_) => steps.extend([Step::Renew(index), Step::Release(index)]),
                    None => steps.push(Step::Look(index)),
                }
                if !one.claimed {
                    steps.push(Step::Claim(index));
                }
            }
            // Whether it still believes or not: it looked, and then stood still before it wrote.
            if acts {
                steps.push(Step::Act(index));
            }
            if !holds && one.turns > 0 {
                steps.push(Step::Look(index));
                steps.push(Step::Take(index));
            }
        }
    }

    pub(super) fn take(&self, world: &mut World, step: Step) {
        match step {
            Step::Tick => self.tick(world),
            Step::Land(index) => {
                let Some(request) = world.contenders[usize::from(index)].request else { return };
                let done = self.land(world, &request);
                if let Some(request) = &mut world.contenders[usize::from(index)].request {
                    request.reply = if done { Reply::Done } else { Reply::Refused };
                }
                if !self.slow_replies {
                    self.reply(world, usize::from(index));
                }
            }
            Step::LandLate(place) => {
                let request = world.late.remove(usize::from(place));
                self.land(world, &request);
            }
            Step::Reply(index) => self.reply(world, usize::from(index)),
            Step::GiveUp(index) => give_up(world, usize::from(index)),
            Step::Look(index) => look(world, usize::from(index)),
            Step::Take(index) => contend(world, usize::from(index)),
            Step::Renew(index) => self.send(world, index, Kind::Renew),
            Step::Release(index) => self.send(world, index, Kind::Release),
            Step::Claim(index) => self.claim(world, index),
            Step::Act(index) => {
                world.acts -= 1;
                let Some((token, _)) = world.contenders[usize::from(index)].turn else { return };
                if self.judge(world.highest, Record::Work(token)) {
                    if token < world.effective || token < world.highest || world.owner != Some(index) {
                        world.broken = Some("P7");
                    }
                    world.effective = world.effective.max(token);
                }
            }
            Step::Pause(index) => {
                world.pauses -= 1;
                world.contenders[usize::from(index)].paused = true;
            }
            Step::Resume(index) => world.contenders[usize::from(index)].paused = false,
            Step::Vanish => {
                world.vanishes = false;
                overwrite(world, None, self.nonce());
            }
            Step::Restore => {
                world.restored = false;
                overwrite(world, Some(Body { token: 0, held: false, holder: u8::MAX }), self.nonce());
            }
        }
    }

    fn tick(&self, world: &mut World) {
        for (one, rate) in world.contenders.iter_mut().zip(&self.rates).filter(|(one, _)| !one.paused) {
            one.believes = one.believes.and_then(|left| left.checked_sub(*rate)).filter(|left| *left > 0);
            if let Some((_, seen)) = &mut one.sight {
                *seen = (*seen + rate).min(OLD);
            }
            if let Some(request) = &mut one.request {
                request.age = (request.age + rate).min(OLD);
            }
        }
    }

    /// Whether a write took effect: it follows what is there.
    fn land(&self, world: &mut World, request: &Request) -> bool {
        let anyway = self.unconditional && request.kind == Kind::Renew;
        if !request.follows.now && !anyway {
            return false;
        }
        let body = Body { token: request.token, held: request.kind != Kind::Release, holder: request.from };
        overwrite(world, Some(body), self.nonce());
        true
    }

    fn reply(&self, world: &mut World, index: usize) {
        let object = world.object;
        let one = &mut world.contenders[index];
        let Some(request) = one.request.take() else { return };
        let sent = if self.from_reply { NOW } else { ago(request.age) };
        let mut believes = belief(one.believes);
        let written = Body { token: request.token, held: true, holder: request.from };
        // Its reply names the state that it made; whether that is still there it does not say.
        let firm = Some(Follows { body: Some(written), now: object == Some(written) });
        match (request.kind, request.reply) {
            (Kind::Take, Reply::Done) => {
                one.turn = Some((request.token, firm));
                one.known = true;
                one.believes = left_of(&Belief::begun(sent, TTL));
            }
            (Kind::Renew, Reply::Done) => {
                if believes.confirmed(sent, TTL, NOW) {
                    one.turn = Some((request.token, firm));
                }
                one.believes = left_of(&believes);
            }
            (Kind::Take, _) => one.turn = None,
            (Kind::Renew | Kind::Release, _) => {
                believes.end();
                one.believes = left_of(&believes);
            }
        }
    }

    fn send(&self, world: &mut World, from: u8, kind: Kind) {
        let one = &mut world.contenders[usize::from(from)];
        let Some((token, Some(follows))) = one.turn else { return };
        if kind == Kind::Release && !self.believes_on {
            let mut believes = belief(one.believes);
            // INV-23: before a release is sent, not when its reply comes.
            believes.end();
            one.believes = left_of(&believes);
        }
        one.request = Some(Request { kind, from, token, follows, age: 0, reply: Reply::Pending });
    }

    fn claim(&self, world: &mut World, index: u8) {
        let one = &mut world.contenders[usize::from(index)];
        let Some((token, _)) = one.turn else { return };
        if self.judge(world.highest, Record::Claim(token)) {
            one.claimed = true;
            world.highest = token;
            world.owner = Some(index);
            return;
        }
        // Its token was passed: by a claim that came since it looked; or the numbers went back, and its turn would never come.
        if world.highest == one.applied {
            world.broken = Some("P10");
        }
        one.believes = None;
        one.turn = None;
    }

    pub(super) fn say(world: &World, step: Step) -> String {
        match step {
            Step::Tick => "a third of a ttl passes".into(),
            Step::Land(p) => format!("p{p}'s request reaches the store"),
            Step::LandLate(place) => {
                let request = &world.late[usize::from(place)];
                format!("a {:?} that p{} gave up reaches the store", request.kind, request.from)
            }
            Step::Reply(p) => format!("p{p} gets its reply"),
            Step::GiveUp(p) => format!("p{p} gives its request up"),
            Step::Look(p) => format!("p{p} applies the log and reads the lease: {:?}", world.object),
            Step::Take(p) => format!("p{p} wants the lease, and may take it"),
            Step::Renew(p) => format!("p{p} sends a renewal"),
            Step::Release(p) => format!("p{p} sends its release"),
            Step::Claim(p) => format!("p{p} claims its token in the log"),
            Step::Act(p) => format!("p{p} appends a record under its token"),
            Step::Pause(p) => format!("p{p}'s machine stands still"),
            Step::Resume(p) => format!("p{p}'s machine goes on"),
            Step::Vanish => "the lease vanishes".into(),
            Step::Restore => "the lease is set back to one that nobody held".into(),
        }
    }
}

/// Whether the request happened is not known: its sender looks before it writes again.
fn give_up(world: &mut World, index: usize) {
    world.lateness -= 1;
    let one = &mut world.contenders[index];
    let Some(request) = one.request.take() else { return };
    if request.kind == Kind::Renew {
        let mut believes = belief(one.believes);
        believes.unconfirmed(ago(request.age), TTL);
        one.believes = left_of(&believes);
    }
    one.turn = one.turn.filter(|_| request.kind == Kind::Renew).map(|(token, _)| (token, None));
    world.late.push(Request { age: 0, ..request });
}

fn look(world: &mut World, index: usize) {
    let (object, highest) = (world.object, world.highest);
    let one = &mut world.contenders[index];
    let there = object.map(|body| Follows { body: Some(body), now: true });
    if let (Some((token, known @ None)), Some(_)) = (&mut one.turn, one.believes) {
        // After a renewal without an answer: the turn goes on if it is still its own.
        if object == Some(Body { token: *token, held: true, holder: u8::try_from(index).expect("few") }) {
            *known = there;
        } else {
            one.believes = None;
        }
        return;
    }
    one.applied = highest;
    one.known |= object.is_some();
    let since = one.sight.filter(|(seen, _)| seen.now).map_or(0, |(_, since)| since);
    one.sight = there.map(|there| (there, since));
}

/// Takes the lease, where the decision that ships allows it.
fn contend(world: &mut World, index: usize) {
    let one = world.contenders[index];
    let from = u8::try_from(index).expect("few");
    let seen = one.sight.and_then(|(follows, since)| {
        let body = follows.body?;
        Some(Seen { token: body.token.into(), held: body.held, ttl: TTL, since: ago(since), forsaken: body.holder == from })
    });
    let (token, follows) = match turn(seen, one.applied.into(), one.known, NOW) {
        Turn::Take { token } => (token, one.sight.map(|(follows, _)| follows)),
        Turn::Create { token } => (token, Some(Follows { body: None, now: world.object.is_none() })),
        Turn::Wait { .. } | Turn::Vanished | Turn::Exhausted => return,
    };
    let (Ok(token), Some(follows)) = (u8::try_from(token), follows) else { return };
    if follows.body.is_none() && (one.known || one.applied > 0) {
        // INV-22: a lease that was there is never silently made again.
        world.broken = Some("P7");
    }
    let one = &mut world.contenders[index];
    one.turns -= 1;
    one.turn = None;
    one.claimed = false;
    one.sight = None;
    one.request = Some(Request { kind: Kind::Take, from, token, follows, age: 0, reply: Reply::Pending });
}

/// What was there before is there no more.
fn overwrite(world: &mut World, body: Option<Body>, nonce: bool) {
    world.object = body;
    // Without a nonce, equal bodies cannot be told apart.
    let past = |follows: &mut Follows| follows.now = follows.body == body && (body.is_none() || !nonce);
    for one in &mut world.contenders {
        if let Some((_, Some(follows))) = &mut one.turn {
            past(follows);
        }
        if let Some((follows, _)) = &mut one.sight {
            past(follows);
        }
        if let Some(request) = &mut one.request {
            past(&mut request.follows);
        }
    }
    world.late.iter_mut().for_each(|request| past(&mut request.follows));
}

impl Leases {
    /// Gives up what would be refused.
    pub(super) fn settle(&self, world: &mut World) {
        let (nonce, vanishes) = (self.nonce(), world.vanishes);
        let past = |follows: &mut Follows| {
            // What was overwritten never comes back, but its absence may.
            if nonce && !follows.now && (follows.body.is_some() || !vanishes) {
                follows.body = Some(GONE);
            }
        };
        for one in &mut world.contenders {
            // Whoever acts on a state that is no more is refused: it reads again instead.
            one.sight = one.sight.filter(|(follows, _)| follows.now);
            if let Some((_, Some(follows))) = &mut one.turn {
                past(follows);
            }
            if let Some(request) = &mut one.request {
                past(&mut request.follows);
            }
            if one.believes.is_none() && !one.claimed && one.request.is_none() {
                one.turn = None;
            }
            let acts = one.claimed && one.turn.is_some() && world.acts > 0;
            if one.turns == 0 && one.believes.is_none() && one.request.is_none() && !acts {
                *one = Contender { turns: 0, ..self.contender() };
            } else if one.believes.is_some() {
                one.sight = None;
            }
        }
        world.late.iter_mut().for_each(|request| past(&mut request.follows));
        // A late request that follows a state that is no more is refused, whenever it comes.
        world.late.retain(|request| request.follows.body != Some(GONE) || (self.unconditional && request.kind == Kind::Renew));
        world.late.sort_unstable();
    }

    /// Forgets what no decision will ask for again: worlds that differ in nothing else go on alike.
    pub(super) fn forget(&self, world: &mut World) {
        // A broken rule may look at what the shipped ones do not.
        if self.mutant.is_some() {
            return;
        }
        for (index, one) in (0..).zip(&mut world.contenders) {
            self.forget_of(one, index, world.acts > 0);
        }
        if world.acts == 0 {
            world.owner = None;
            world.effective = 0;
        }
    }

    fn forget_of(&self, one: &mut Contender, index: u8, acts: bool) {
        if let Some(request) = &mut one.request {
            let refused = request.reply == Reply::Refused
                || (request.reply == Reply::Pending
                    && request.follows.body == Some(GONE)
                    && !(self.unconditional && request.kind == Kind::Renew));
            let begun = Belief::begun(ago(request.age), TTL).holds(NOW);
            if refused || request.kind == Kind::Release {
                request.age = 0;
            } else if !begun {
                request.age = OLD;
            }
        } else if one.believes.is_none() && !acts {
            one.turn = None;
        }
        if one.believes.is_none() {
            one.turn = one.turn.map(|(token, _)| (token, None));
        }
        one.claimed &= one.turn.is_some();
        if one.turns == 0 {
            one.sight = None;
            one.known = true;
        }
        if let Some((Follows { body: Some(body), .. }, since)) = &mut one.sight {
            if !body.held || body.holder == index {
                *since = 0;
            } else if ago(*since).after(watched_for(TTL)) <= NOW {
                *since = OLD;
            }
        }
        let claims = one.turn.is_some() && !one.claimed || one.request.is_some_and(|request| request.kind == Kind::Take);
        if one.known && one.sight.is_none() && !claims {
            one.applied = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Each world on the way of random walks, with what is forgotten and without: the same may happen in both, and comes to the same.
    #[test]
    fn worlds_that_differ_only_in_what_is_forgotten_go_on_alike() {
        let plain = Leases { late: 1, ..Leases::new(&[101, 100, 99], 2) };
        let outside = Leases { exclusive: false, ..plain.clone() };
        let cases = [
            plain.clone(),
            Leases { pauses: 1, ..outside.clone() },
            Leases { vanishes: true, ..outside.clone() },
            Leases { restored: true, acts: 3, ..outside.clone() },
            Leases { slow_replies: true, ..plain.clone() },
            Leases { unconditional: true, ..outside },
            Leases { from_reply: true, slow_replies: true, ..plain },
        ];
        let (mut compared, mut forgot) = (0, 0);
        for (number, case) in cases.iter().enumerate() {
            for walk in 0..400 {
                let mut random = Random::new(number as u64, walk);
                let mut world = crate::model::case::Case::first(case);
                for _ in 0..80 {
                    let mut less = world.clone();
                    case.forget(&mut less);
                    forgot += u32::from(less != world);
                    let (mut steps, mut fewer) = (Vec::new(), Vec::new());
                    case.possible(&world, &mut steps);
                    case.possible(&less, &mut fewer);
                    assert!(fewer.iter().all(|step| steps.contains(step)), "{world:?}");
                    for step in &steps {
                        let [long, short] = [&world, &less].map(|before| {
                            let mut after = before.clone();
                            if std::ptr::eq(before, &world) || fewer.contains(step) {
                                case.take(&mut after, *step);
                            }
                            case.settle(&mut after);
                            case.forget(&mut after);
                            after
                        });
                        assert_eq!(long, short, "after {step:?} in {world:?}");
                        compared += 1;
                    }
                    let chosen = usize::try_from(random.below(steps.len() as u64)).expect("few");
                    case.take(&mut world, steps[chosen]);
                    case.settle(&mut world);
                    if world.broken.is_some() {
                        break;
                    }
                }
            }
        }
        assert!(compared > 500_000 && forgot > 50_000, "{compared} steps, {forgot} worlds");
    }
}
