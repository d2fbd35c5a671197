//! Following the log: when to look at its tail again.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use brainy_core::clock::before;
use brainy_core::{ErrorKind, Moment};

use crate::log::{ChangeLog, LogOptions};
use crate::machine::StateMachine;
use crate::wake::WakeSource;

/// A look takes at most this long, or the longest pause where that is longer.
const LOOK: Duration = Duration::from_secs(10);
/// So many looks in a row may follow wake-ups and find nothing, before only time decides when to look.
const FRUITLESS: u32 = 16;
/// One of them is given back after so many of the longest pauses, all of them once the log moves: in the long run wake-ups for nothing cost a twelfth of
/// the polling at most.
const REGAIN_PAUSES: u32 = 12;

/// When to look at the tail: soon after changes, seldom without, at once where somebody says so.
///
/// INV-32: looks are bounded, whatever wake-ups come. In a time T in which the log moved m times and f looks found that out, with S and L the shortest and the
/// longest pause, there are at most T/L + T/(12·L) + f·(log2(L/S) + 2) + 17·(m + 1) of them, and never two within S.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    shortest: Duration,
    longest: Duration,
    /// Before the next look, if nobody wakes.
    pause: Duration,
    /// The end of the last look.
    looked: Moment,
    /// Looks that may still follow wake-ups and find nothing.
    allowance: u32,
    /// Up to when allowance was given back.
    regained: Moment,
}

impl Rhythm {
    pub(crate) const fn new(shortest: Duration, longest: Duration, now: Moment) -> Self {
        Self { shortest, longest, pause: shortest, looked: now, allowance: FRUITLESS, regained: now }
    }

    /// When to look if nobody wakes.
    pub(crate) fn next(&self) -> Moment {
        self.looked.after(self.pause)
    }

    /// When to look for a wake-up at `now`; none if too many found nothing, so that only time decides.
    pub(crate) fn woken(&mut self, now: Moment) -> Option<Moment> {
        let period = self.longest.saturating_mul(REGAIN_PAUSES);
        while self.allowance < FRUITLESS && now.since(self.regained) >= period {
            self.allowance += 1;
            self.regained = self.regained.after(period);
        }
        (self.allowance > 0).then(|| self.looked.after(self.shortest).max(now))
    }

    /// A look ended. `woken`: it followed a wake-up; `found`: it applied slots; `moved`: the log has moved since the look before, by this handle's own commits
    /// too.
    pub(crate) fn looked(&mut self, now: Moment, woken: bool, found: bool, moved: bool) {
        self.looked = now;
        self.pause = if found { self.shortest } else { (self.pause * 2).min(self.longest) };
        if moved {
            self.allowance = FRUITLESS;
        } else if woken {
            if self.allowance == FRUITLESS {
                self.regained = now;
            }
            self.allowance = self.allowance.saturating_sub(1);
        }
    }
}

impl<M: StateMachine> ChangeLog<M> {
    /// Looks at the tail again and again until the handle is closed: soon after changes, seldom without, and at once where the
    /// [wake source](LogOptions::with_wake_source) says so. A failure is kept in [`last_failure`](Self::last_failure) and tried again.
    pub async fn follow(&self) {
        let clock = &self.environment().clock;
        let LogOptions { poll_shortest, poll_longest, wake, .. } = &self.shared().options;
        let mut rhythm = Rhythm::new(*poll_shortest, *poll_longest, clock.now());
        let mut known = self.position().seq;
        while self.closed().is_none() {
            let woken = self.until_due(&mut rhythm, wake.as_deref()).await;
            let before = self.position().seq;
            let result = self.refresh(clock.now().after(LOOK.max(*poll_longest))).await;
            let position = self.position().seq;
            if let Err(error) = &result
                && !matches!(error.kind(), ErrorKind::Closed)
            {
                self.shared().note_failure(error);
            }
            let figures = &self.shared().figures;
            figures.looks.fetch_add(1, Ordering::Relaxed);
            figures.woken.fetch_add(u64::from(woken), Ordering::Relaxed);
            rhythm.looked(clock.now(), woken, position > before, position > known);
            known = position;
        }
    }

    /// Until it is time to look; whether a wake-up said so.
    async fn until_due(&self, rhythm: &mut Rhythm, wake: Option<&dyn WakeSource>) -> bool {
        let clock = &*self.environment().clock;
        let next = rhythm.next();
        let Some(wake) = wake else {
            clock.sleep_until(next).await;
            return false;
        };
        let woken = before(clock, next, poll_fn(|context| wake.poll_wake(context))).await;
        let at = woken.and_then(|()| rhythm.woken(clock.now()));
        // INV-31: a hint only brings the look forward: without it, or with too many, it comes at its time.
        clock.sleep_until(at.unwrap_or(next).min(next)).await;
        // Whatever was said by now is answered by this look, which is sent after.
        poll_fn(|context| {
            let _taken = wake.poll_wake(context);
            Poll::Ready(())
        })
        .await;
        at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use brainy_core::{Entropy, SeededEntropy};

    use super::*;

    const SHORTEST: Duration = LogOptions::POLL_SHORTEST;
    const LONGEST: Duration = LogOptions::POLL_LONGEST;

    /// The bound of INV-32.
    fn bound(span: Duration, moves: u64, finds: u64) -> u64 {
        let longest = LONGEST.as_secs_f64();
        let span = span.as_secs_f64();
        let steps = (longest / SHORTEST.as_secs_f64()).log2();
        (span / longest + span / (f64::from(REGAIN_PAUSES) * longest) + finds as f64 * (steps + 2.0)).ceil() as u64
            + u64::from(FRUITLESS + 1) * (moves + 1)
    }

    #[test]
    fn inv_32_looks_are_bounded_whatever_wake_ups_come_and_a_lone_hint_is_followed_at_once() {
        for seed in 0..300 {
            let entropy = SeededEntropy::new(seed);
            let chance = |of: f64| entropy.fraction() < of;
            let (moving, waking) = (entropy.fraction() * 0.05, entropy.fraction());
            let mut rhythm = Rhythm::new(SHORTEST, LONGEST, Moment::default());
            let (mut now, mut looks, mut moves, mut finds) = (Moment::default(), 0, 0, 0);
            while now < Moment::after_origin(Duration::from_secs(40_000)) {
                let next = rhythm.next();
                // A wake-up at any time before the look that is due, by habit or in floods.
                let hint = now.after(next.since(now).mul_f64(entropy.fraction() * if chance(0.5) { 1.0 } else { 0.001 }));
                let at = if chance(waking) { rhythm.woken(hint) } else { None };
                let (due, woken) = (at.unwrap_or(next).min(next), at.is_some());
                assert!(due.since(now) >= SHORTEST, "seed {seed}: two looks within the shortest pause");
                if let Some(at) = at {
                    assert!(at == hint || at == now.after(SHORTEST), "seed {seed}: a hint waited longer than for the look before");
                }
                now = due;
                looks += 1;
                let (moved, found) = (chance(moving), chance(0.5));
                moves += u64::from(moved);
                finds += u64::from(moved && found);
                rhythm.looked(now, woken, moved && found, moved);
            }
            let most = bound(now.since(Moment::default()), moves, finds);
            assert!(looks <= most, "seed {seed}: {looks} looks, at most {most} ({moves} moves, {finds} found)");
        }
    }

    #[test]
    fn an_endless_flood_of_wake_ups_costs_a_twelfth_more_than_none() {
        let count = |flood: bool| {
            let mut rhythm = Rhythm::new(SHORTEST, LONGEST, Moment::default());
            let (mut now, mut looks) = (Moment::default(), 0_u64);
            let month = Moment::after_origin(Duration::from_secs(30 * 24 * 3_600));
            while now < month {
                let at = if flood { rhythm.woken(now) } else { None };
                now = at.unwrap_or_else(|| rhythm.next());
                looks += 1;
                rhythm.looked(now, at.is_some(), false, false);
            }
            looks
        };
        let (calm, flooded) = (count(false), count(true));
        assert!((518_400..518_410).contains(&calm), "{calm}");
        assert!(flooded <= calm + calm / 12 + 20, "{flooded} looks in a flood, {calm} without");
        assert!(flooded <= 625_000, "$0.25 at $0.40 per million reads");
    }
}
