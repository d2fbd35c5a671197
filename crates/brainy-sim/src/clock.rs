//! One process's clock: its rate, its wall clock's jumps, a suspended machine's standstill.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use brainy_core::clock::Sleep;
use brainy_core::{Clock, Moment};

use crate::scheduler::{ProcessId, Scheduler};

/// Wall-clock milliseconds at time 0 of every run: 2026-01-01.
pub(crate) const WALL_MS: u64 = 1_767_225_600_000;
const MILLION: i128 = 1_000_000;

/// How a process's time follows from the world's, both in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Local {
    /// At this time of the world …
    anchor: u64,
    /// … the process's clock shows this; before it, too (it stands still).
    shown: u64,
    parts_per_million: i32,
    pub(crate) wall_offset_ms: i64,
}

impl Local {
    pub(crate) fn now(&self, world: u64) -> u64 {
        let passed = i128::from(world.saturating_sub(self.anchor));
        let run = passed * (MILLION + i128::from(self.parts_per_million)) / MILLION;
        self.shown.saturating_add(u64::try_from(run).unwrap_or(u64::MAX))
    }

    /// When the process's clock will show `moment`, in the world's time; not before `world`.
    pub(crate) fn when(&self, world: u64, moment: u64) -> u64 {
        let missing = i128::from(moment.saturating_sub(self.shown)) * MILLION;
        let rate = MILLION + i128::from(self.parts_per_million);
        let due = i128::from(self.anchor) + (missing + rate - 1) / rate;
        u64::try_from(due).unwrap_or(u64::MAX).max(world)
    }

    pub(crate) fn set_rate(&mut self, world: u64, parts_per_million: i32) {
        if world >= self.anchor {
            (self.shown, self.anchor) = (self.now(world), world);
        }
        self.parts_per_million = parts_per_million.max(-900_000);
    }

    /// Stands still from `world` until `until`.
    pub(crate) fn freeze(&mut self, world: u64, until: u64) {
        (self.shown, self.anchor) = (self.now(world), until.max(self.anchor));
    }

    /// Goes on at once.
    pub(crate) fn thaw(&mut self, world: u64) {
        self.anchor = self.anchor.min(world);
    }
}

/// The clock of one process. Its monotonic time starts where the world's does and survives the process's deaths.
#[derive(Clone)]
pub struct ProcessClock {
    scheduler: Scheduler,
    process: ProcessId,
}

impl ProcessClock {
    pub(crate) fn new(scheduler: Scheduler, process: ProcessId) -> Self {
        Self { scheduler, process }
    }
}

impl std::fmt::Debug for ProcessClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProcessClock({})", self.process.0)
    }
}

impl Clock for ProcessClock {
    fn now(&self) -> Moment {
        let (world, local) = self.scheduler.local(self.process);
        Moment::after_origin(Duration::from_nanos(local.now(world)))
    }

    fn wall_ms(&self) -> u64 {
        let (world, local) = self.scheduler.local(self.process);
        // A wall clock is set right by the network: it does not fall behind with the machine's standstills.
        (WALL_MS + world / 1_000_000).saturating_add_signed(local.wall_offset_ms)
    }

    fn sleep_until(&self, moment: Moment) -> Sleep {
        Box::pin(ProcessSleep { scheduler: self.scheduler.clone(), process: self.process, moment, event: None })
    }
}

struct ProcessSleep {
    scheduler: Scheduler,
    process: ProcessId,
    moment: Moment,
    /// The event that wakes its task. Every poll makes a new one: the clock may have been changed, and the task may be another.
    event: Option<(u64, u64)>,
}

impl Future for ProcessSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(event) = self.event.take() {
            self.scheduler.forget(event);
        }
        self.event = self.scheduler.wake_at(self.process, self.moment, context.waker());
        if self.event.is_none() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for ProcessSleep {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.scheduler.forget(event);
        }
    }
}
