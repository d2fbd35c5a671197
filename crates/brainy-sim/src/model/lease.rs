//! Group c: the lease. An object changed by compare-and-swap, observers with clocks of their own, requests that land late, machines that stand still, and the
//! log's fence behind it.
//!
//! Time passes in ticks of a third of the ttl; each process's clock goes as fast as it goes, within ρ. Whether a write follows the state that it names is kept
//! as one bit, since a state that was overwritten never comes back.

mod steps;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use brainy_coordination::internals::{Belief, Mutant, believed_for};
use brainy_core::Moment;

use super::case::Case;

/// The time to live of every lease.
const TTL: Duration = Duration::from_millis(300);
/// Now, on every clock: what counts is how long ago something was.
const NOW: Moment = Moment::after_origin(Duration::from_secs(100));
/// This old is old enough for everything.
const OLD: u16 = 400;

/// The bounds.
#[derive(Debug)]
pub(super) struct Leases {
    /// How far each contender's clock goes in a tick, in milliseconds: 100, give or take ρ.
    pub(super) rates: Vec<u16>,
    /// Turns that each may begin.
    pub(super) turns: u8,
    /// Requests whose client gives up: they land later, or never.
    pub(super) late: u8,
    /// Machines that stand still, with their clocks, for any time.
    pub(super) pauses: u8,
    /// The object vanishes.
    pub(super) vanishes: bool,
    /// The object is set back to one that nobody ever held.
    pub(super) restored: bool,
    /// Two never believe at once; holds as long as no machine stands still.
    pub(super) exclusive: bool,
    /// Records that a holder writes.
    pub(super) acts: u8,
    /// A reply may come later than its effect. What its sender believes is then shorter, unless it counts from the reply.
    pub(super) slow_replies: bool,
    /// A rule that is broken outside of the shipped decisions.
    pub(super) mutant: Option<Mutant>,
    /// The holder believes until its release is confirmed.
    pub(super) believes_on: bool,
    /// Belief is counted from a reply, not from its request.
    pub(super) from_reply: bool,
    /// A renewal overwrites whatever is there.
    pub(super) unconditional: bool,
    /// Records bear no token.
    pub(super) unfenced: bool,
    pub(super) judged: Mutex<HashMap<(u8, Record), bool>>,
}

/// A copy begins anew: what it holds is true under the rules of one run only.
impl Clone for Leases {
    fn clone(&self) -> Self {
        Self { rates: self.rates.clone(), judged: Mutex::default(), ..*self }
    }
}

/// What is appended to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Record {
    Claim(u8),
    Work(u8),
}

impl Leases {
    /// Contenders with these clocks and nothing else.
    pub(super) fn new(rates: &[u16], turns: u8) -> Self {
        Self {
            rates: rates.to_vec(),
            turns,
            late: 0,
            pauses: 0,
            vanishes: false,
            restored: false,
            exclusive: true,
            acts: 1,
            slow_replies: false,
            mutant: None,
            believes_on: false,
            from_reply: false,
            unconditional: false,
            unfenced: false,
            judged: Mutex::default(),
        }
    }

    const fn contender(&self) -> Contender {
        Contender {
            believes: None,
            turn: None,
            claimed: false,
            sight: None,
            known: false,
            request: None,
            applied: 0,
            paused: false,
            turns: self.turns,
        }
    }

    /// Whether bodies bear one.
    fn nonce(&self) -> bool {
        self.mutant != Some(Mutant::DropNonce)
    }
}

/// The object's body, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Body {
    token: u8,
    held: bool,
    holder: u8,
}

/// The state of the object that a write is to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Follows {
    body: Option<Body>,
    /// It is still what is there.
    now: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Take,
    Renew,
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Reply {
    Pending,
    Done,
    Refused,
}

/// A request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Request {
    kind: Kind,
    from: u8,
    token: u8,
    follows: Follows,
    /// Milliseconds since it was sent, on its sender's clock.
    age: u16,
    reply: Reply,
}

/// One contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Contender {
    /// Milliseconds of belief left, on its clock.
    believes: Option<u16>,
    /// Its turn's token, and what it knows to be there under it.
    turn: Option<(u8, Option<Follows>)>,
    /// Its claim was read back as effective.
    claimed: bool,
    /// What it saw last, and for how long it has seen it.
    sight: Option<(Follows, u16)>,
    /// It has seen the object once.
    known: bool,
    request: Option<Request>,
    /// The highest claim that it had applied when it last decided.
    applied: u8,
    paused: bool,
    turns: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    object: Option<Body>,
    contenders: Vec<Contender>,
    late: Vec<Request>,
    /// The highest claim in the log, and whose.
    highest: u8,
    owner: Option<u8>,
    /// The highest token under which a record took effect.
    effective: u8,
    lateness: u8,
    pauses: u8,
    vanishes: bool,
    restored: bool,
    acts: u8,
    broken: Option<&'static str>,
}

/// A belief with so many milliseconds left.
fn belief(left: Option<u16>) -> Belief {
    let mut belief = Belief::default();
    if let Some(left) = left {
        let full = believed_for(TTL);
        let sent = NOW.since_origin() + Duration::from_millis(left.into()) - full;
        belief = Belief::begun(Moment::after_origin(sent), TTL);
    }
    belief
}

/// Milliseconds that are left of it.
fn left_of(belief: &Belief) -> Option<u16> {
    let until = belief.until().filter(|_| belief.holds(NOW))?;
    u16::try_from(until.since(NOW).as_millis()).ok()
}

fn ago(age: u16) -> Moment {
    Moment::after_origin(NOW.since_origin() - Duration::from_millis(age.into()))
}

impl Case for Leases {
    type State = World;
    type Step = steps::Step;

    fn properties(&self) -> &'static [&'static str] {
        &["P7", "P10"]
    }

    fn first(&self) -> World {
        World {
            object: None,
            contenders: vec![self.contender(); self.rates.len()],
            late: Vec::new(),
            highest: 0,
            owner: None,
            effective: 0,
            lateness: self.late,
            pauses: self.pauses,
            vanishes: self.vanishes,
            restored: self.restored,
            acts: self.acts,
            broken: None,
        }
    }

    fn steps(&self, world: &World, steps: &mut Vec<steps::Step>) {
        self.possible(world, steps);
    }

    fn after(&self, world: &World, step: &steps::Step) -> Option<World> {
        let mut after = world.clone();
        self.take(&mut after, *step);
        self.settle(&mut after);
        self.forget(&mut after);
        if self.exclusive && after.contenders.iter().filter(|one| belief(one.believes).holds(NOW)).count() > 1 {
            after.broken = after.broken.or(Some("P7"));
        }
        (after != *world).then_some(after)
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        world.broken
    }

    fn words(&self, world: &World, step: &steps::Step) -> String {
        Self::say(world, *step)
    }
}
