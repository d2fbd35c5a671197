//! A place to decode slots: in a process's life, as slowly as chance has it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use brainy_coordination::{Spawn, Task};
use brainy_core::Clock;
use brainy_core::clock::Sleep;

use crate::clock::ProcessClock;
use crate::random::Random;
use crate::scheduler::Life;

/// One task in so many is dropped instead of run, as where no thread is to be had.
const DROPPED: u64 = 20;
/// One pause in so many is long.
const LONG: u64 = 50;

/// Runs what decodes in a process's life.
#[derive(Debug)]
pub(crate) struct Decoder(pub(crate) Life);

impl Spawn for Decoder {
    fn spawn(&self, task: Task) {
        let Self(life) = self;
        let mut random = Random::new(life.random().bits(), u64::try_from(life.scheduler().now().as_nanos()).unwrap_or(u64::MAX));
        if random.below(DROPPED) > 0 {
            life.spawn(Slow { task, clock: life.clock(), random, pause: None });
        }
    }
}

/// A task that gets to run some time after it is woken.
struct Slow {
    task: Task,
    clock: ProcessClock,
    random: Random,
    pause: Option<Sleep>,
}

impl Future for Slow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let pause = this.pause.get_or_insert_with(|| {
            let longest = Duration::from_millis(if this.random.below(LONG) == 0 { 5_000 } else { 20 });
            this.clock.sleep(this.random.between(Duration::ZERO, longest))
        });
        ready!(pause.as_mut().poll(context));
        this.pause = None;
        this.task.as_mut().poll(context)
    }
}
