//! A request's way to the bucket and back: latency, and the faults on the way.
//!
//! This is the seam under every simulated client: [`FastStore`](crate::FastStore) makes store calls of it, a simulated S3 makes HTTP of it. What a request
//! does, what goes wrong with it and when its reply comes is decided here, once, from the seed.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brainy_storage::{Precondition, StoreTime};

use crate::bucket::{Bucket, Contents, Request, Response};
use crate::budget::Asked;
use crate::clock::WALL_MS;
use crate::fault::{Fault, Faults, KeyKind, Matrix};
use crate::random::Random;
use crate::scheduler::{Actor, ProcessId, Scheduler};
use crate::trace::short_hash;
use crate::witness::{SeenSlot, Witness};

/// How a client sees a request end.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The store's answer.
    Response(Response),
    /// The store's answer, cut off in the middle.
    Truncated(Response),
    /// 500: it may have taken effect or not.
    InternalError,
    /// 503: it did not take effect, which the client cannot know.
    SlowDown,
    /// 409: somebody else may have been at it.
    Conflict,
    /// The connection broke before the first byte of a reply.
    Reset,
    /// Nothing until the client's own time was up.
    NoReply,
}

/// A reply, and the store's time on it where a reply came.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// How it ended.
    pub reply: Reply,
    /// The `Date` of the reply, in whole seconds.
    pub date: Option<StoreTime>,
}

/// Medians and 99th percentiles of whole requests; latencies are log-normal, half of each before the effect.
#[derive(Clone, Copy, Debug)]
pub struct Latencies {
    /// Of writes and deletes.
    pub put: (Duration, Duration),
    /// Of reads.
    pub get: (Duration, Duration),
    /// Of listings.
    pub list: (Duration, Duration),
    /// After what time a client gives a request up.
    pub client_timeout: Duration,
}

impl Latencies {
    /// Those of S3 in one region: PUT 60/200, GET 25/80, LIST 40/120 ms; clients wait 5 s.
    pub const S3: Self = Self {
        put: (Duration::from_millis(60), Duration::from_millis(200)),
        get: (Duration::from_millis(25), Duration::from_millis(80)),
        list: (Duration::from_millis(40), Duration::from_millis(120)),
        client_timeout: Duration::from_secs(5),
    };

    fn draw(&self, random: &mut Random, request: &Request) -> Duration {
        let (median, p99) = match request {
            Request::Put { .. } | Request::Delete { .. } => self.put,
            Request::Get { .. } => self.get,
            Request::List { .. } => self.list,
        };
        random.log_normal(median, p99)
    }
}

/// A request as whoever scripts faults sees it.
#[derive(Debug)]
pub struct Sent<'a> {
    /// Who sends it.
    pub process: ProcessId,
    /// The how-manieth request of the run it is, from 1.
    pub number: u64,
    /// The how-manieth of its process, from 1.
    pub of_process: u64,
    /// What it is about.
    pub key: KeyKind,
    /// The request.
    pub request: &'a Request,
}

type Script = Box<dyn FnMut(&Sent<'_>) -> Option<Fault> + Send>;

/// All connections of a run to one bucket. Clones are one wire.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

struct Inner {
    scheduler: Scheduler,
    state: Mutex<State>,
    myself: Weak<Inner>,
}

struct State {
    bucket: Bucket,
    random: Random,
    latencies: Latencies,
    faults: Faults,
    script: Option<Script>,
    flights: BTreeMap<u64, Flight>,
    next: u64,
    asked: BTreeMap<ProcessId, Asked>,
    bursts: HashMap<KeyKind, Duration>,
    /// Flights that stand before the store until a rival's write took effect, or their time is up.
    waiting: Vec<u64>,
    matrix: Matrix,
    witness: Witness,
}

/// One request on its way. Its number times [`STAGES`] plus the stage is the token of its events.
struct Flight {
    process: ProcessId,
    /// Kept until it has taken effect for the last time.
    request: Option<Request>,
    /// Effects still to come.
    effects: u8,
    told: Told,
    /// What happens to it as soon as a rival's write took effect.
    awaited: Option<Fault>,
    /// How long the reply takes after the last effect.
    after: Duration,
    /// What the reply will say, once it is known.
    reply: Option<Reply>,
    /// What reached the client.
    arrived: Option<Delivered>,
    waker: Option<Waker>,
    /// Its client gave it up, was answered or died.
    abandoned: bool,
    crash_on_reply: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Answer,
    Truncated,
    Error,
    SlowDown,
    Conflict,
    Reset,
    Nothing,
}

/// Stages of a flight.
const EFFECT: u64 = 0;
const REPLY: u64 = 1;
const TIMEOUT: u64 = 2;
const STAGES: u64 = 3;

impl Wire {
    /// Connections to an empty bucket, without faults.
    pub fn new(scheduler: &Scheduler, latencies: Latencies) -> Self {
        let state = State {
            bucket: Bucket::new(),
            random: Random::new(scheduler.seed(), 0x3175),
            latencies,
            faults: Faults::none(),
            script: None,
            flights: BTreeMap::new(),
            next: 1,
            asked: BTreeMap::new(),
            bursts: HashMap::new(),
            waiting: Vec::new(),
            matrix: Matrix::default(),
            witness: Witness::default(),
        };
        let scheduler = scheduler.clone();
        Self(Arc::new_cyclic(|myself| Inner { scheduler, state: Mutex::new(state), myself: Weak::clone(myself) }))
    }

    /// From now on these faults happen.
    pub fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    /// From now on `script` says first what goes wrong with a request; where it says nothing, chance does.
    pub fn set_script(&self, script: impl FnMut(&Sent<'_>) -> Option<Fault> + Send + 'static) {
        self.0.lock().script = Some(Box::new(script));
    }

    /// What happened so far.
    pub fn matrix(&self) -> Matrix {
        self.0.lock().matrix.clone()
    }

    /// How many requests `process` sent so far.
    pub fn sent_by(&self, process: ProcessId) -> u64 {
        self.0.lock().asked.get(&process).map_or(0, |asked| asked.requests)
    }

    /// What each process asked for so far.
    pub(crate) fn asked(&self) -> BTreeMap<ProcessId, Asked> {
        self.0.lock().asked.clone()
    }

    /// Looks into the bucket from outside of the simulated world.
    pub fn look<T>(&self, look: impl FnOnce(&Bucket) -> T) -> T {
        look(&self.0.lock().bucket)
    }

    /// Changes the bucket from outside of the simulated world.
    pub fn tamper<T>(&self, change: impl FnOnce(&mut Bucket) -> T) -> T {
        change(&mut self.0.lock().bucket)
    }

    /// Lays an object into the bucket from outside of the simulated world, under the witness's eyes.
    pub fn plant(&self, key: brainy_storage::Key, body: bytes::Bytes) {
        let at = self.0.scheduler.now();
        let mut state = self.0.lock();
        let request = Request::Put { key, body, condition: Precondition::None };
        let response = state.bucket.execute(&request);
        state.witness.see(at, &request, &response);
    }

    /// What is in the bucket now, to come back to.
    pub fn snapshot(&self) -> Contents {
        self.look(Bucket::snapshot)
    }

    /// Puts the bucket back to what it was; what is on its way arrives after that. Returns the slots that are gone, as the witness saw them.
    pub fn go_back(&self, contents: &Contents) -> BTreeMap<u64, SeenSlot> {
        let tail = contents.tail();
        self.0.scheduler.trace().event(&[8, tail]);
        self.0.scheduler.note(|| format!("the bucket goes back to slot {tail}"));
        let mut state = self.0.lock();
        state.bucket.roll_back(contents);
        state.witness.forget_from(tail + 1)
    }

    /// What the bucket's witness saw so far.
    pub fn witness(&self) -> Witness {
        self.0.lock().witness.clone()
    }

    /// The store's time.
    pub fn store_time(&self) -> StoreTime {
        StoreTime::from_ms(WALL_MS + u64::try_from(self.0.scheduler.now().as_millis()).unwrap_or(u64::MAX))
    }

    /// Sends `request` for `process`: at the first poll, not before. Dropping the future abandons the reply, not the request.
    pub fn send(&self, process: ProcessId, request: Request) -> impl Future<Output = Delivered> + Send + 'static {
        self.send_within(process, request, self.client_timeout())
    }

    /// [`Self::send`] by a client that gives the request up after so long.
    pub fn send_within(
        &self,
        process: ProcessId,
        request: Request,
        patience: Duration,
    ) -> impl Future<Output = Delivered> + Send + 'static {
        Sending { wire: self.clone(), process, request: Some(request), patience, flight: None }
    }

    /// How long clients wait who do not say how long.
    pub fn client_timeout(&self) -> Duration {
        self.0.lock().latencies.client_timeout
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.0.scheduler
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wire({} requests)", self.0.lock().matrix.requests())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule(&self, after: Duration, flight: u64, stage: u64) {
        let myself = self.myself.upgrade().expect("whoever calls holds it");
        self.scheduler.fire_after(after, myself, flight * STAGES + stage);
    }

    /// Sends a request; none if its process died over it.
    fn launch(&self, process: ProcessId, request: Request, patience: Duration) -> Option<u64> {
        let (number, plan) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let number = state.next;
            state.next += 1;
            let key = KeyKind::of(request.subject());
            state.matrix.request(key);
            let asked = state.asked.entry(process).or_default();
            asked.count(key, &request);
            let sent = Sent { process, number, of_process: asked.requests, key, request: &request };
            let scripted = state.script.as_mut().and_then(|script| script(&sent));
            let fault = scripted.or_else(|| state.faults.draw(&mut state.random, &request));
            (number, self.plan(state, number, (key, request, patience), fault, process))
        };
        if let Some((span, suspended)) = plan.pause {
            self.scheduler.pause(process, span, suspended);
        }
        if let Some(ms) = plan.wall_jump {
            self.scheduler.jump_wall_clock(process, ms);
        }
        if let Some(ppm) = plan.rate {
            self.scheduler.set_rate(process, ppm);
        }
        for delay in plan.effects {
            self.schedule(delay, number, EFFECT);
        }
        if let Some(reply) = plan.reply {
            self.schedule(reply, number, REPLY);
        }
        if plan.times_out {
            self.schedule(plan.timeout, number, TIMEOUT);
        }
        if plan.crash {
            self.scheduler.kill(process);
            self.scheduler.start_after(process, plan.restart);
        }
        plan.sent.then_some(number)
    }

    /// Decides what becomes of a request and notes it as a flight.
    fn plan(&self, state: &mut State, number: u64, sent: (KeyKind, Request, Duration), fault: Option<Fault>, process: ProcessId) -> Plan {
        let (key, request, timeout) = sent;
        let now = self.scheduler.now();
        let random = &mut state.random;
        let latency = state.latencies.draw(random, &request);
        let mut before = latency / 2;
        let mut after = latency - before;
        let longest = state.faults.longest_delay;
        // Delays of every size: tenths of a second as often as tens of seconds.
        let extra = Random::log_normal(random, longest / 30, longest).min(longest * 2);
        let mut plan = Plan { timeout, sent: true, ..Plan::default() };
        plan.restart = random.between(Duration::ZERO, state.faults.restart_within);
        let (mut told, mut effects, mut crash_on_reply, mut request) = (Told::Answer, 1, false, request);
        let burst = state.bursts.get(&key).is_some_and(|until| *until > now);
        let mut fault = if burst { Some(Fault::SlowDown) } else { fault };
        let mut awaited = None;
        if matches!(fault, Some(Fault::ConflictRival | Fault::RefusedRival)) {
            let rival = state.flights.iter().find(|(_, flight)| flight.is_rival_of(process, &request)).map(|(number, _)| *number);
            match rival {
                Some(rival) => self.take_effect(state, rival),
                // Who writes them is seldom there at the same moment.
                None if matches!(key, KeyKind::Head | KeyKind::Pin) => {
                    before = state.random.between(Duration::ZERO, plan.timeout * 9 / 10);
                    awaited = fault.take();
                    state.waiting.push(number);
                }
                None => fault = None,
            }
        }
        match fault {
            None => {}
            Some(Fault::DelayBefore) => before += extra,
            Some(Fault::DelayAfter) => after += extra,
            Some(Fault::FailBefore) => (told, effects) = (Told::Error, 0),
            Some(Fault::LostRequest) => (told, effects) = (Told::Nothing, 0),
            Some(Fault::LostReply) => told = Told::Nothing,
            Some(Fault::ErrorAfter) => told = Told::Error,
            Some(Fault::ResetAfter) => told = Told::Reset,
            Some(Fault::Truncated) => told = Told::Truncated,
            Some(Fault::Late) => (told, before) = (Told::Nothing, plan.timeout + extra),
            Some(Fault::Duplicate) => effects = 2,
            Some(Fault::ConflictAlone | Fault::ConflictRival) => (told, effects) = (Told::Conflict, 0),
            Some(Fault::RefusedRival) => {}
            Some(Fault::SlowDown) => {
                if !burst {
                    let length = state.random.between(Duration::from_millis(50), state.faults.longest_burst);
                    state.bursts.insert(key, now + length);
                }
                (told, effects) = (Told::SlowDown, 0);
            }
            Some(Fault::ShortPage) => {
                if let Request::List { limit, .. } = &mut request {
                    *limit = (*limit).min(std::num::NonZeroUsize::MIN.saturating_add(usize::from(state.random.happens(500_000))));
                }
            }
            Some(Fault::CrashBefore) => (plan.crash, plan.sent) = (true, false),
            Some(Fault::CrashDuring) => plan.crash = true,
            Some(Fault::CrashAfter) => crash_on_reply = true,
            Some(Fault::Pause) => {
                let (from, to) = state.faults.pauses;
                plan.pause = Some((state.random.between(from, to), false));
            }
            Some(Fault::Suspend) => {
                let (from, to) = state.faults.suspends;
                plan.pause = Some((state.random.between(from, to), true));
            }
            Some(Fault::WallJump) => {
                let furthest = i64::try_from(state.faults.wall_jump.as_millis()).unwrap_or(i64::MAX / 2);
                plan.wall_jump = Some(state.random.below(furthest.unsigned_abs() * 2).cast_signed() - furthest);
            }
            Some(Fault::ClockRate) => {
                let furthest = state.faults.rate_ppm.cast_signed();
                let drawn = state.random.below(u64::from(furthest.unsigned_abs()) * 2 + 1);
                plan.rate = Some(i32::try_from(drawn).expect("two million at most") - furthest);
            }
        }
        if let Some(fault) = fault {
            state.matrix.count(fault, key);
            state.asked.entry(process).or_default().faults += 1;
        }
        self.trace_launch(number, process, &request, fault.or(awaited));
        if !plan.sent {
            return plan;
        }
        let mut last = before;
        if effects > 0 {
            plan.effects.push(before);
        } else if told != Told::Nothing {
            plan.reply = Some(before + after);
        }
        if effects == 2 {
            let longest = if state.random.happens(500_000) { extra } else { after * 2 };
            last = before + state.random.between(Duration::ZERO, longest);
            plan.effects.push(last);
        }
        plan.times_out = told == Told::Nothing || last + after >= plan.timeout;
        let flight = Flight {
            process,
            request: (effects > 0).then_some(request),
            effects,
            told,
            awaited,
            after,
            reply: None,
            arrived: None,
            waker: None,
            abandoned: plan.crash,
            crash_on_reply,
        };
        state.flights.insert(number, flight);
        plan
    }

    fn trace_launch(&self, number: u64, process: ProcessId, request: &Request, fault: Option<Fault>) {
        let fault_number = fault.map_or(0, |fault| fault as u64 + 1);
        let size = if let Request::Put { body, .. } = request { body.len() as u64 } else { 0 };
        let now = u64::try_from(self.scheduler.now().as_nanos()).unwrap_or(u64::MAX);
        let subject = short_hash(request.subject().as_bytes());
        self.scheduler.trace().event(&[5, now, number, u64::from(process.0), subject, size, fault_number]);
        self.scheduler.note(|| {
            let fault = fault.map_or("", Fault::name);
            format!("{} #{number} {} {} {fault}", self.scheduler.name(process), request.name(), request.subject())
        });
    }

    /// The request takes effect, if it has not yet as often as it will.
    fn take_effect(&self, state: &mut State, number: u64) {
        let Some(flight) = state.flights.get_mut(&number) else { return };
        if flight.effects == 0 {
            return;
        }
        flight.effects -= 1;
        let response = match &flight.request {
            Some(request) => {
                let response = state.bucket.execute(request);
                state.witness.see(self.scheduler.now(), request, &response);
                response
            }
            None => return,
        };
        let code = match &response {
            Response::Found(_) | Response::Written(_) | Response::Listed(_) | Response::Deleted => 200,
            Response::NotModified => 304,
            Response::Absent => 404,
            Response::OutOfRange => 416,
            Response::Refused => 412,
        };
        self.scheduler.trace().event(&[6, number, code]);
        self.scheduler.note(|| format!("the store does #{number}: {code}"));
        if flight.effects > 0 {
            return;
        }
        let process = flight.process;
        let done = flight.request.take();
        if flight.abandoned {
            state.flights.remove(&number);
        } else if flight.told != Told::Nothing {
            // Of two effects the client hears of the last.
            flight.reply = Some(flight.told.reply(Some(response)));
            self.schedule(flight.after, number, REPLY);
        }
        state.waiting.retain(|waiting| *waiting != number);
        if let Some(done) = done.filter(|done| code == 200 && !state.waiting.is_empty() && done.writes()) {
            self.let_in(state, process, &done);
        }
    }

    /// Who waited for a rival's write of this object comes to the store now, or hears that it was in its way.
    fn let_in(&self, state: &mut State, rival: ProcessId, done: &Request) {
        let key = KeyKind::of(done.subject());
        for number in state.waiting.clone() {
            let Some(flight) = state.flights.get_mut(&number) else { continue };
            let met = flight.process != rival && flight.request.as_ref().is_some_and(|ours| ours.subject() == done.subject());
            let Some(fault) = flight.awaited.take_if(|_| met) else { continue };
            // Whom nobody waits for hears of no rival.
            if !flight.abandoned {
                state.matrix.count(fault, key);
                state.asked.entry(flight.process).or_default().faults += 1;
            }
            if fault == Fault::ConflictRival {
                self.scheduler.note(|| format!("#{number} meets a rival"));
                (flight.told, flight.effects, flight.request) = (Told::Conflict, 0, None);
                self.schedule(flight.after, number, REPLY);
                state.waiting.retain(|waiting| *waiting != number);
            } else {
                self.take_effect(state, number);
            }
        }
    }

    /// The reply arrives, unless nobody waits for it any more.
    fn arrive(&self, number: u64) {
        let date = self.store_date();
        let (waker, crash) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let Some(flight) = state.flights.get_mut(&number) else { return };
            if flight.abandoned || flight.arrived.is_some() {
                return;
            }
            let reply = flight.reply.take().unwrap_or_else(|| flight.told.reply(None));
            let date = (!matches!(reply, Reply::Reset | Reply::NoReply)).then_some(date);
            flight.arrived = Some(Delivered { reply, date });
            let restart = || state.random.between(Duration::ZERO, state.faults.restart_within);
            (flight.waker.take(), flight.crash_on_reply.then(restart).map(|restart| (flight.process, restart)))
        };
        match (crash, waker) {
            (Some((process, restart)), _) => {
                self.scheduler.kill(process);
                self.scheduler.start_after(process, restart);
            }
            (None, Some(waker)) => waker.wake(),
            (None, None) => {}
        }
    }

    /// The client's own time is up.
    fn time_out(&self, number: u64) {
        let waker = {
            let mut guard = self.lock();
            let Some(flight) = guard.flights.get_mut(&number) else { return };
            if flight.abandoned || flight.arrived.is_some() {
                return;
            }
            flight.arrived = Some(Delivered { reply: Reply::NoReply, date: None });
            flight.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nobody waits for the reply any more; what is still to take effect does.
    fn abandon(&self, number: u64) {
        let mut guard = self.lock();
        let Some(flight) = guard.flights.get_mut(&number) else { return };
        flight.abandoned = true;
        if flight.effects == 0 {
            let gone = guard.flights.remove(&number);
            drop(guard);
            drop(gone);
        }
    }

    fn store_date(&self) -> StoreTime {
        let ms = WALL_MS + u64::try_from(self.scheduler.now().as_millis()).unwrap_or(u64::MAX);
        StoreTime::from_ms(ms / 1_000 * 1_000)
    }
}

/// When what happens to a request.
#[derive(Default)]
struct Plan {
    effects: Vec<Duration>,
    /// When the reply comes of a request that has no effect.
    reply: Option<Duration>,
    timeout: Duration,
    times_out: bool,
    sent: bool,
    crash: bool,
    restart: Duration,
    pause: Option<(Duration, bool)>,
    wall_jump: Option<i64>,
    rate: Option<i32>,
}

impl Flight {
    /// Whether this is somebody else's conditional write of the same object, still without effect.
    fn is_rival_of(&self, process: ProcessId, request: &Request) -> bool {
        let (Some(Request::Put { key, condition, .. }), Request::Put { key: ours, .. }) = (&self.request, request) else { return false };
        self.process != process && self.effects > 0 && key == ours && !matches!(condition, Precondition::None)
    }
}

impl Actor for Inner {
    fn fire(&self, token: u64) {
        let (number, stage) = (token / STAGES, token % STAGES);
        match stage {
            EFFECT => self.take_effect(&mut self.lock(), number),
            REPLY => self.arrive(number),
            TIMEOUT => self.time_out(number),
            _ => {}
        }
    }
}

impl Told {
    fn reply(self, response: Option<Response>) -> Reply {
        match (self, response) {
            (Self::Answer, Some(response)) => Reply::Response(response),
            (Self::Truncated, Some(response)) => Reply::Truncated(response),
            (Self::Error | Self::Answer | Self::Truncated, _) => Reply::InternalError,
            (Self::SlowDown, _) => Reply::SlowDown,
            (Self::Conflict, _) => Reply::Conflict,
            (Self::Reset, _) => Reply::Reset,
            (Self::Nothing, _) => Reply::NoReply,
        }
    }
}

/// A request before it is sent, and while its client waits.
struct Sending {
    wire: Wire,
    process: ProcessId,
    request: Option<Request>,
    patience: Duration,
    flight: Option<u64>,
}

impl Future for Sending {
    type Output = Delivered;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Delivered> {
        let this = &mut *self;
        if let Some(request) = this.request.take() {
            this.flight = this.wire.0.launch(this.process, request, this.patience);
        }
        // Whose process died over it is not polled again.
        let Some(number) = this.flight else { return Poll::Pending };
        let arrived = {
            let mut guard = this.wire.0.lock();
            let Some(flight) = guard.flights.get_mut(&number) else { return Poll::Pending };
            if flight.arrived.is_none() {
                flight.waker = Some(context.waker().clone());
            }
            flight.arrived.take()
        };
        let Some(delivered) = arrived else { return Poll::Pending };
        this.flight = None;
        this.wire.0.abandon(number);
        let kind = match &delivered.reply {
            Reply::Response(_) => 0,
            Reply::Truncated(_) => 1,
            Reply::InternalError => 2,
            Reply::SlowDown => 3,
            Reply::Conflict => 4,
            Reply::Reset => 5,
            Reply::NoReply => 6,
        };
        this.wire.0.scheduler.trace().event(&[7, number, kind]);
        Poll::Ready(delivered)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(number) = self.flight {
            self.wire.0.abandon(number);
        }
    }
}
