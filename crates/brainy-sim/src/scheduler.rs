//! Virtual time; processes and their tasks, which are killed, paused and started again.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use brainy_core::{Moment, SeededEntropy};

use crate::clock::{Local, ProcessClock};
use crate::random::Random;
use crate::trace::Trace;

/// So many polls without time moving on are a run that will not end.
const MOST_POLLS_AT_ONE_TIME: u64 = 2_000_000;

/// A process of the simulated world; its name and clock survive its deaths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

/// Something that acts by itself at a time: a store, a network. It belongs to no process, so no crash takes it away.
pub trait Actor: Send + Sync {
    /// The time has come for what was scheduled as `token`.
    fn fire(&self, token: u64);
}

/// How a stretch of a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing is left to do, now or later.
    Idle,
    /// The time is up.
    Time,
    /// Tasks run for ever without time moving on.
    Stuck,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Boot = Arc<dyn Fn(Life) -> Task + Send + Sync>;

/// The one thread, the one queue of events and the one line of time of a run. Clones are one scheduler.
///
/// A task belongs to a process. A killed process loses its tasks where they stand (their futures are dropped), a paused one is not run for a span of
/// time. Of the tasks that are ready the seed chooses the next.
#[derive(Clone)]
pub struct Scheduler(Arc<Core>);

struct Core {
    state: Mutex<State>,
    ready: Arc<Mutex<Vec<Arc<TaskWaker>>>>,
    trace: Trace,
    seed: u64,
}

struct State {
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    random: Random,
    tasks: Vec<Option<Running>>,
    processes: Vec<Process>,
    /// Futures of the killed, dropped when no lock is held and none of them is being polled.
    graveyard: Vec<Task>,
}

struct Running {
    process: ProcessId,
    life: u32,
    future: Task,
    waker: Arc<TaskWaker>,
}

struct Process {
    name: String,
    boot: Boot,
    /// How often it was started.
    life: u32,
    alive: bool,
    paused_until: u64,
    parked: Vec<Arc<TaskWaker>>,
    local: Local,
    /// How often its machine was suspended.
    standstills: u32,
}

enum Event {
    Wake(Waker),
    Fire(Arc<dyn Actor>, u64),
    Resume(ProcessId),
    Start(ProcessId, u32),
}

struct TaskWaker {
    task: usize,
    queued: AtomicBool,
    ready: Arc<Mutex<Vec<Arc<TaskWaker>>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(Arc::clone(self));
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One life of a process, from its start to its death.
#[derive(Clone, Debug)]
pub struct Life {
    scheduler: Scheduler,
    process: ProcessId,
    number: u32,
}

impl Life {
    /// The scheduler.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Whose life it is.
    pub fn process(&self) -> ProcessId {
        self.process
    }

    /// Which of its lives, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The process's clock.
    pub fn clock(&self) -> ProcessClock {
        self.scheduler.clock(self.process)
    }

    /// Chance for production code: a sequence of this life alone.
    pub fn entropy(&self) -> SeededEntropy {
        self.entropy_of(self.process)
    }

    /// What [`Self::entropy`] is in the same life of another process, of which this one is a copy.
    pub fn entropy_of(&self, process: ProcessId) -> SeededEntropy {
        let stream = (u64::from(process.0) << 32) | u64::from(self.number);
        SeededEntropy::new(Random::new(self.scheduler.seed(), stream ^ 0xe27_4097).bits())
    }

    /// Chance for a workload: a sequence of this life alone, and another one than [`Self::entropy`].
    pub fn random(&self) -> Random {
        Random::new(self.scheduler.seed(), (u64::from(self.process.0) << 32) ^ u64::from(self.number) ^ 0x3041_10ad)
    }

    /// Runs `task` until it ends or the process dies; after this life's death it is not run at all.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.scheduler.spawn(self.process, self.number, Box::pin(task));
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scheduler(seed {}, at {:?})", self.seed(), self.now())
    }
}

impl Scheduler {
    /// A world without processes at time 0.
    pub fn new(seed: u64) -> Self {
        let state = State {
            now: 0,
            events: BTreeMap::new(),
            next_event: 0,
            random: Random::new(seed, 0x5c4e_d01e),
            tasks: Vec::new(),
            processes: Vec::new(),
            graveyard: Vec::new(),
        };
        Self(Arc::new(Core { state: Mutex::new(state), ready: Arc::default(), trace: Trace::default(), seed }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.0.trace
    }

    /// Adds words to the trace, with the time before them.
    pub fn note(&self, words: impl FnOnce() -> String) {
        self.0.trace.note(|| format!("{:>14.6} {}", self.now().as_secs_f64(), words()));
    }

    /// Time since the beginning of the run, which no process can see.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.lock().now)
    }

    /// A process that will run what `boot` makes whenever it is started.
    pub fn process(&self, name: impl Into<String>, boot: impl Fn(Life) -> Task + Send + Sync + 'static) -> ProcessId {
        let mut state = self.lock();
        let id = ProcessId(u32::try_from(state.processes.len()).expect("a run has few processes"));
        state.processes.push(Process {
            name: name.into(),
            boot: Arc::new(boot),
            life: 0,
            alive: false,
            paused_until: 0,
            parked: Vec::new(),
            local: Local::default(),
            standstills: 0,
        });
        id
    }

    /// A process's name.
    pub fn name(&self, process: ProcessId) -> String {
        self.lock().processes[process.0 as usize].name.clone()
    }

    /// A process's clock; it may be held by anybody.
    pub fn clock(&self, process: ProcessId) -> ProcessClock {
        ProcessClock::new(self.clone(), process)
    }

    /// Starts a process that is not running. Returns which of its lives this is.
    ///
    /// # Panics
    /// It runs.
    pub fn start(&self, process: ProcessId) -> u32 {
        let (boot, number) = {
            let mut state = self.lock();
            let entry = &mut state.processes[process.0 as usize];
            assert!(!entry.alive, "{} was started while it runs", entry.name);
            entry.alive = true;
            entry.life += 1;
            (Arc::clone(&entry.boot), entry.life)
        };
        self.0.trace.event(&[1, u64::from(process.0), u64::from(number)]);
        self.note(|| format!("{} starts its life {number}", self.name(process)));
        let life = Life { scheduler: self.clone(), process, number };
        let task = boot(life);
        self.spawn(process, number, task);
        number
    }

    /// Starts a process after `delay`, unless it was started before that.
    pub fn start_after(&self, process: ProcessId, delay: Duration) {
        let mut state = self.lock();
        let life = state.processes[process.0 as usize].life;
        state.schedule(delay, Event::Start(process, life));
    }

    /// Ends a process where it stands: its futures are dropped, nothing more is run of it. No fault if it is dead.
    pub fn kill(&self, process: ProcessId) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let entry = &mut state.processes[process.0 as usize];
        if !entry.alive {
            return;
        }
        entry.alive = false;
        entry.paused_until = 0;
        entry.parked.clear();
        entry.local.thaw(state.now);
        for task in &mut state.tasks {
            if task.as_ref().is_some_and(|task| task.process == process) {
                state.graveyard.extend(task.take().map(|task| task.future));
            }
        }
        drop(guard);
        self.0.trace.event(&[2, u64::from(process.0)]);
        self.note(|| format!("{} dies", self.name(process)));
    }

    /// Whether it runs, paused or not.
    pub fn is_alive(&self, process: ProcessId) -> bool {
        self.lock().processes[process.0 as usize].alive
    }

    /// Whether this life of it runs.
    pub fn lives(&self, process: ProcessId, number: u32) -> bool {
        let state = self.lock();
        let entry = &state.processes[process.0 as usize];
        entry.alive && entry.life == number
    }

    /// Runs nothing of the process for `span`. Where its machine is suspended, its monotonic clock stands still meanwhile; else it goes on.
    pub fn pause(&self, process: ProcessId, span: Duration, suspended: bool) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let until = state.now.saturating_add(nanos(span));
        let entry = &mut state.processes[process.0 as usize];
        if !entry.alive || entry.paused_until >= until {
            return;
        }
        entry.paused_until = until;
        if suspended {
            entry.standstills += 1;
            entry.local.freeze(state.now, until);
        }
        state.schedule(span, Event::Resume(process));
        drop(guard);
        self.0.trace.event(&[3, u64::from(process.0), nanos(span), u64::from(suspended)]);
        self.note(|| format!("{} is {} for {span:?}", self.name(process), if suspended { "suspended" } else { "paused" }));
    }

    /// How often the process's machine was suspended.
    pub fn standstills(&self, process: ProcessId) -> u32 {
        self.lock().processes[process.0 as usize].standstills
    }

    /// From now on the process's monotonic clock runs by so many millionths too fast (or, negative, too slow).
    pub fn set_rate(&self, process: ProcessId, parts_per_million: i32) {
        let mut state = self.lock();
        let now = state.now;
        state.processes[process.0 as usize].local.set_rate(now, parts_per_million);
    }

    /// The process's wall clock jumps by so many milliseconds.
    pub fn jump_wall_clock(&self, process: ProcessId, ms: i64) {
        self.lock().processes[process.0 as usize].local.wall_offset_ms += ms;
        self.0.trace.event(&[4, u64::from(process.0), ms.cast_unsigned()]);
        self.note(|| format!("the wall clock of {} jumps by {ms} ms", self.name(process)));
    }

    /// Lets `actor` act after `delay`.
    pub fn fire_after(&self, delay: Duration, actor: Arc<dyn Actor>, token: u64) {
        self.lock().schedule(delay, Event::Fire(actor, token));
    }

    pub(crate) fn local(&self, process: ProcessId) -> (u64, Local) {
        let state = self.lock();
        (state.now, state.processes[process.0 as usize].local)
    }

    /// Wakes `waker` once the process's clock shows `moment`; returns what [`Self::forget`] takes, none if it shows it already.
    pub(crate) fn wake_at(&self, process: ProcessId, moment: Moment, waker: &Waker) -> Option<(u64, u64)> {
        let mut state = self.lock();
        let now = state.now;
        let local = state.processes[process.0 as usize].local;
        if local.now(now) >= nanos(moment.since_origin()) {
            return None;
        }
        let due = local.when(now, nanos(moment.since_origin()));
        Some(state.schedule(Duration::from_nanos(due - now), Event::Wake(waker.clone())))
    }

    pub(crate) fn forget(&self, event: (u64, u64)) {
        let forgotten = self.lock().events.remove(&event);
        drop(forgotten);
    }

    fn spawn(&self, process: ProcessId, life: u32, future: Task) {
        let waker = {
            let mut state = self.lock();
            let entry = &state.processes[process.0 as usize];
            if !entry.alive || entry.life != life {
                state.graveyard.push(future);
                return;
            }
            let waker = Arc::new(TaskWaker { task: state.tasks.len(), queued: AtomicBool::new(false), ready: Arc::clone(&self.0.ready) });
            state.tasks.push(Some(Running { process, life, future, waker: Arc::clone(&waker) }));
            waker
        };
        waker.wake_by_ref();
    }

    /// Runs for a span of time.
    pub fn run_for(&self, span: Duration) -> End {
        let limit = self.lock().now.saturating_add(nanos(span));
        let mut polls = 0;
        loop {
            while let Some(waker) = self.choose() {
                polls += 1;
                if polls > MOST_POLLS_AT_ONE_TIME {
                    return End::Stuck;
                }
                self.poll(&waker);
            }
            self.bury();
            let event = {
                let mut state = self.lock();
                match state.events.first_key_value() {
                    None => return End::Idle,
                    Some(((time, _), _)) if *time > limit => {
                        state.now = limit;
                        return End::Time;
                    }
                    Some(_) => {}
                }
                let ((time, _), event) = state.events.pop_first().expect("looked at above");
                if time > state.now {
                    state.now = time;
                    polls = 0;
                }
                event
            };
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Fire(actor, token) => actor.fire(token),
                Event::Resume(process) => self.resume(process),
                Event::Start(process, life) => {
                    let due = {
                        let state = self.lock();
                        let entry = &state.processes[process.0 as usize];
                        !entry.alive && entry.life == life
                    };
                    if due {
                        self.start(process);
                    }
                }
            }
        }
    }

    fn choose(&self) -> Option<Arc<TaskWaker>> {
        let mut ready = lock(&self.0.ready);
        let choices = ready.len();
        if choices == 0 {
            return None;
        }
        let chosen = if choices == 1 { 0 } else { self.lock().random.below(choices as u64) };
        Some(ready.swap_remove(usize::try_from(chosen).expect("an index into the list")))
    }

    fn poll(&self, waker: &Arc<TaskWaker>) {
        let Some((process, life, mut future)) = self.take(waker) else { return };
        waker.queued.store(false, Ordering::Relaxed);
        let own = Waker::from(Arc::clone(waker));
        let done = future.as_mut().poll(&mut Context::from_waker(&own)).is_ready();
        if done {
            drop(future);
            return;
        }
        let mut state = self.lock();
        let entry = &state.processes[process.0 as usize];
        if entry.alive && entry.life == life {
            state.tasks[waker.task] = Some(Running { process, life, future, waker: Arc::clone(waker) });
        } else {
            state.graveyard.push(future);
        }
    }

    fn take(&self, waker: &Arc<TaskWaker>) -> Option<(ProcessId, u32, Task)> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let slot = &mut state.tasks[waker.task];
        let process = slot.as_ref()?.process;
        let entry = &mut state.processes[process.0 as usize];
        if entry.paused_until > state.now {
            entry.parked.push(Arc::clone(waker));
            return None;
        }
        let running = slot.take()?;
        debug_assert!(Arc::ptr_eq(&running.waker, waker), "a task is woken by its own waker");
        Some((running.process, running.life, running.future))
    }

    fn resume(&self, process: ProcessId) {
        let parked = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let entry = &mut state.processes[process.0 as usize];
            if entry.paused_until > state.now {
                return;
            }
            std::mem::take(&mut entry.parked)
        };
        lock(&self.0.ready).extend(parked);
    }

    /// Drops the futures of the killed. Dropping is the program's own code: it may wake, spawn and kill.
    fn bury(&self) {
        loop {
            let dead = std::mem::take(&mut self.lock().graveyard);
            if dead.is_empty() {
                return;
            }
            drop(dead);
        }
    }

    /// Ends the run: drops every task, event and process's start. They hold the scheduler and it holds them.
    pub fn end(&self) {
        loop {
            let mut guard = self.lock();
            let state = &mut *guard;
            let (tasks, events) = (std::mem::take(&mut state.tasks), std::mem::take(&mut state.events));
            let boots: Vec<_> = state.processes.iter_mut().map(Process::end).collect();
            let dead = std::mem::take(&mut state.graveyard);
            drop(guard);
            if tasks.is_empty() && events.is_empty() && dead.is_empty() {
                break;
            }
            // Dropping is the program's own code, which may still ask for its process: outside of the lock.
            drop((tasks, events, boots, dead));
            lock(&self.0.ready).clear();
        }
    }
}

impl State {
    fn schedule(&mut self, delay: Duration, event: Event) -> (u64, u64) {
        self.next_event += 1;
        let key = (self.now.saturating_add(nanos(delay)), self.next_event);
        self.events.insert(key, event);
        key
    }
}

impl Process {
    fn end(&mut self) -> Boot {
        self.alive = false;
        self.parked.clear();
        std::mem::replace(&mut self.boot, Arc::new(|_| Box::pin(std::future::ready(()))))
    }
}
