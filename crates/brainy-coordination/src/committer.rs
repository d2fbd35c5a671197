//! The one task of a handle that makes slots: group commit, lost races, carrying and being carried, unknown outcomes.

mod play;
mod slots;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::time::Duration;

use brainy_core::{ErrorKind, Moment, WriterId};
use brainy_storage::{Key, conditional};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use crate::batch::Transaction;
use crate::committer::play::Play;
use crate::decide::{Decided, Identity};
use crate::error::Error;
use crate::flow::Flow;
use crate::helping::{self, IntentName, Scan, Stance, Step};
use crate::inbox::{self, Found, Left};
use crate::keys;
use crate::ledger::outcome_of;
use crate::log::Shared;
use crate::machine::StateMachine;
use crate::mutants::broken;
use crate::pace::Pace;
use crate::protocol::ProtocolOperation;
use crate::queue::{Outcome, Pending, Withdrawal};

/// One try to create a slot, retries of its request included, takes at most this long before the log is read again.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(10);
/// Refusals of unreadable intents in play at once.
const MOST_REFUSALS: usize = 16;
/// Characters of a reason that a refusal names; at most four bytes each.
const MOST_REASON_CHARS: usize = 200;
/// So many times K slots, and as many more as some hundred writers with a batch in play need, are enough to be carried in.
const OVERDUE_SCANS: u64 = 4;
/// See [`OVERDUE_SCANS`].
const OVERDUE_SLOTS: u64 = 64;

/// Runs until the handle is closed and everything it sent is decided.
pub(crate) async fn run<M: StateMachine>(shared: &Shared<M>) -> Result<(), Error> {
    Committer::new(shared).run().await
}

/// How a play ended.
enum Ended {
    /// The log says so.
    Decided(Decided),
    /// No copy of the batch was ever written, nor will be: this is why.
    NotSent(Error),
}

/// What goes on beside the next step.
enum Chore {
    Listed(Result<Found, Error>),
    Done,
}

struct Committer<'a, M: StateMachine> {
    shared: &'a Shared<M>,
    /// Whom its slots name; for people.
    creator: WriterId,
    writer: Option<Identity>,
    play: Option<Play<M::Command>>,
    pace: Pace,
    /// The newest listing.
    held: Option<Scan>,
    /// A listing is under way beside.
    listing: bool,
    listing_failed: Option<Error>,
    /// It carried somebody: when it last found an intent.
    sequencing: Option<Moment>,
    /// The slot at which it lost its last race.
    lost_at: Option<u64>,
    /// A reply was lost: another slot, or our own, may be there.
    doubtful: bool,
    /// When it last knew the tail.
    looked_at: Moment,
    /// How fast others go on.
    flow: Flow,
    /// Slots that it made itself.
    own_slots: u64,
    /// The position, and when it was first seen.
    seen: (u64, Moment),
    /// Its share of the spread in which the waiting take over, and writers list ahead.
    patience: f64,
    chores: FuturesUnordered<BoxFuture<'a, Chore>>,
    /// Refusals on their way: of which intent, the promise, and until when it is waited for.
    refusals: Vec<(IntentName, Pending, Moment)>,
}

impl<'a, M: StateMachine> Committer<'a, M> {
    fn new(shared: &'a Shared<M>) -> Self {
        Self {
            shared,
            creator: WriterId::of(shared.descriptor.store, &*shared.reader.environment.entropy),
            writer: None,
            play: None,
            pace: Pace::new(),
            held: None,
            listing: false,
            listing_failed: None,
            sequencing: None,
            lost_at: None,
            doubtful: false,
            looked_at: shared.reader.environment.clock.now(),
            flow: Flow::default(),
            own_slots: 0,
            seen: (0, shared.reader.environment.clock.now()),
            patience: shared.reader.environment.entropy.fraction(),
            chores: FuturesUnordered::new(),
            refusals: Vec::new(),
        }
    }

    async fn run(&mut self) -> Result<(), Error> {
        loop {
            if self.play.is_none() && self.sequencing.is_none() {
                let shared = self.shared;
                if !self.beside(shared.queue.ready()).await {
                    break;
                }
            }
            if self.play.is_none() && self.shared.queue.has_waiting() {
                self.form().await?;
            }
            if let Some(ended) = self.step().await? {
                self.finish(ended).await;
            }
            if self.play.is_none() && self.shared.queue.closed().is_some() && !self.shared.queue.has_waiting() {
                // Strangers wait for nobody in particular: somebody else carries them.
                self.sequencing = None;
            }
        }
        // What is left is removing intents of our own that are decided.
        while self.shared.stopped().is_none() && self.chores.next().await.is_some() {}
        Ok(())
    }

    /// Does the next thing; some, if that decided the batch in play.
    async fn step(&mut self) -> Result<Option<Ended>, Error> {
        if let Some(cause) = self.shared.stopped() {
            let closed = Error::Closed { cause };
            if self.play.as_ref().is_some_and(|play| !play.in_doubt) {
                // Nothing of it was ever sent, nor will be.
                self.finish(Ended::NotSent(closed.clone())).await;
            }
            return Err(closed);
        }
        let tried = match helping::next_step(self.stance().await) {
            Step::Rest => return Ok(None),
            Step::Post => self.post().await.map(|()| None),
            Step::Watch => self.watch().await,
            Step::Create { listing } => self.create(listing).await,
        };
        match tried {
            Ok(decided) => Ok(decided.map(Ended::Decided)),
            Err(error) => self.failed(error).await,
        }
    }

    async fn stance(&mut self) -> Stance {
        let now = self.shared.reader.environment.clock.now();
        let tip = self.tip().await;
        if self.seen.0 != tip.state.position {
            self.seen = (tip.state.position, now);
        }
        self.flow.note(self.looked_at, self.slots_of_others(&tip), self.pace.memory());
        if !self.shared.options.helping {
            return Stance { batch: self.play.is_some(), ..Stance::default() };
        }
        let quiet = now.since(self.seen.1) >= self.pace.quiet(self.patience);
        let play = self.play.as_ref();
        let posted = play.and_then(|play| play.posted);
        let patience_slots = OVERDUE_SCANS * self.shared.descriptor.constants.scan_slots + OVERDUE_SLOTS;
        Stance {
            batch: play.is_some(),
            posted: posted.is_some(),
            overdue: posted.is_some_and(|posted| tip.state.position > posted + patience_slots),
            tries: play.map_or(0, |play| play.tries),
            crowded: tip.is_crowded_by_others(self.creator),
            sequencing: self.sequencing.is_some(),
            quiet,
        }
    }

    fn slots_of_others(&self, tip: &crate::tip::Tip) -> u64 {
        tip.state.position.saturating_sub(self.own_slots)
    }

    /// A try failed. Where the batch may be in the log, or may come there, the committer goes on until the log says so.
    async fn failed(&mut self, error: Error) -> Result<Option<Ended>, Error> {
        let shared = self.shared;
        shared.figures.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(error = %error, "a commit could not be completed yet");
        *shared.last_failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error.clone());
        self.doubtful = true;
        let hopeless = !may_pass(&error);
        if let Some(play) = &self.play {
            let now = shared.reader.environment.clock.now();
            if !play.in_doubt && (hopeless || !play.sent.iter().any(|sent| sent.is_awaited(now))) {
                return Ok(Some(Ended::NotSent(error)));
            }
        } else {
            self.sequencing = None;
        }
        if hopeless {
            // The batch in play has to wait, but nobody else has to learn it from a deadline.
            shared.queue.fail(&error);
        }
        let environment = &shared.reader.environment;
        let pause = self.pace.back_off(hopeless, environment.entropy.fraction());
        self.beside(environment.clock.sleep(pause)).await;
        Ok(None)
    }

    /// Tells everybody in the batch how it ended.
    async fn finish(&mut self, ended: Ended) {
        let Some(play) = self.play.take() else { return };
        let shared = self.shared;
        let outcomes: Vec<_> = match &ended {
            Ended::Decided(decided) => {
                shared.figures.batches.fetch_add(1, Ordering::Relaxed);
                let tip = self.tip().await;
                play.sent.iter().map(|sent| outcome_of(sent.op, decided, &tip)).collect()
            }
            Ended::NotSent(_) => vec![Outcome::Rejected(Withdrawal::NotSent); play.sent.len()],
        };
        if play.left {
            self.remove(vec![keys::intent(&play.batch.name())]);
        }
        match (&ended, &mut self.writer) {
            (Ended::Decided(Decided::Withdrawn(_)), writer) if broken!(ResubmitAfterCancel) => {
                *writer = None;
                let play = play.under(WriterId::of(shared.descriptor.store, &*shared.reader.environment.entropy), 1);
                self.tip().await.watch(play.op());
                self.play = Some(play);
                return;
            }
            (Ended::Decided(decided), writer) => *writer = writer.take().and_then(|writer| writer.after(play.batch.wseq, decided)),
            // INV-6: a number whose name is out and whose bytes never were ends the identity.
            (Ended::NotSent(_), writer) => *writer = None,
        }
        shared.ledger.finish(outcomes.clone());
        for (sent, outcome) in play.sent.into_iter().zip(outcomes) {
            match &ended {
                Ended::Decided(_) => sent.decide(outcome),
                Ended::NotSent(error) => sent.refuse(error.clone()),
            }
        }
    }

    /// Leaves the batch in the inbox.
    async fn post(&mut self) -> Result<(), Error> {
        let shared = self.shared;
        self.store_blob().await?;
        let position = self.tip().await.state.position;
        let Some(play) = &mut self.play else { return Ok(()) };
        let batch = play.batch.clone();
        let clock = &shared.reader.environment.clock;
        let sent_at = clock.now();
        let doubted = std::mem::replace(&mut play.in_doubt, true);
        let left = self.beside(inbox::leave(shared, &batch, sent_at.after(ATTEMPT))).await;
        let play = self.play.as_mut().expect("nobody took it meanwhile");
        match left {
            Ok(Left::There) => {
                play.posted = Some(position);
                play.left = true;
                shared.figures.posted.fetch_add(1, Ordering::Relaxed);
                self.pace.observe(clock.now().since(sent_at));
                self.patience = shared.reader.environment.entropy.fraction();
                Ok(())
            }
            // INV-12: it may lie there, so nobody is told that it was not sent. It is left again, and removed in the end.
            Ok(Left::InDoubt(error)) => {
                play.left = true;
                Err(error)
            }
            Err(error) => {
                play.in_doubt = doubted;
                Err(error)
            }
        }
    }

    /// Looks whether somebody carried the batch.
    async fn watch(&mut self) -> Result<Option<Decided>, Error> {
        let shared = self.shared;
        let clock = &shared.reader.environment.clock;
        let pause = self.pace.poll();
        self.beside(clock.sleep(pause)).await;
        let look = async {
            let mut tip = shared.tip.lock().await;
            let caught_up = shared.reader.catch_up(&mut tip, clock.now().after(ATTEMPT)).await;
            shared.publish(&tip);
            caught_up?;
            tip.check()?;
            Ok(tip.decision().cloned())
        };
        let looked = self.beside(look).await;
        if looked.is_ok() {
            self.looked_at = clock.now();
        }
        looked
    }

    /// Removes intents that are decided, beside whatever comes next.
    fn remove(&mut self, keys: Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        let environment = &self.shared.reader.environment;
        let removing = async move {
            let deadline = environment.clock.now().after(ATTEMPT);
            // What stays is a leftover: a later listing finds it.
            drop(conditional::delete(&*environment.store, &*environment.clock, &*environment.entropy, &keys, deadline).await);
            Chore::Done
        };
        self.chores.push(removing.boxed());
    }

    /// Begins a listing beside whatever comes next.
    fn list_ahead(&mut self) {
        if std::mem::replace(&mut self.listing, true) {
            return;
        }
        let (shared, own) = (self.shared, self.own());
        shared.figures.listings.fetch_add(1, Ordering::Relaxed);
        self.patience = shared.reader.environment.entropy.fraction();
        let deadline = shared.reader.environment.clock.now().after(ATTEMPT);
        self.chores.push(inbox::scan(shared, own, deadline).map(Chore::Listed).boxed());
    }

    /// Lists the inbox, or waits for the listing that is under way.
    async fn list(&mut self) -> Result<(), Error> {
        self.listing_failed = None;
        self.list_ahead();
        while self.listing {
            let chore = self.chores.next().await.expect("the listing is among them");
            self.note(chore);
        }
        self.listing_failed.take().map_or(Ok(()), Err)
    }

    /// The identity whose intents need no reading: its batch is at hand.
    fn own(&self) -> Option<WriterId> {
        self.play.as_ref().map(|play| play.batch.writer)
    }

    fn note(&mut self, chore: Chore) {
        match chore {
            Chore::Done => {}
            Chore::Listed(Err(error)) => {
                self.listing = false;
                self.listing_failed = Some(error);
            }
            Chore::Listed(Ok(found)) => {
                self.listing = false;
                self.refuse(&found.unreadable);
                self.remove(found.dead);
                if self.held.as_ref().is_none_or(|held| held.tail <= found.scan.tail) {
                    self.held = Some(found.scan);
                }
            }
        }
    }

    /// Asks the log to consume the numbers of intents that nobody can read; each once, until it is decided or was not heard of for a while.
    fn refuse(&mut self, unreadable: &[(IntentName, String)]) {
        let clock = &self.shared.reader.environment.clock;
        let now = clock.now();
        self.refusals.retain(|(refused, _, until)| now < *until && unreadable.iter().any(|(name, _)| name == refused));
        for (name, reason) in unreadable {
            if self.refusals.len() == MOST_REFUSALS {
                break;
            }
            if self.refusals.iter().any(|(refused, ..)| refused == name) {
                continue;
            }
            let reason = reason.chars().take(MOST_REASON_CHARS).collect();
            let refuse = ProtocolOperation::Refuse { writer: name.writer, wseq: name.wseq, reason };
            let transaction = Transaction::protocol(refuse);
            let (encoded, until) = (transaction.encode(), now.after(ATTEMPT));
            // A full queue refuses it: the next listing shows the intent again.
            let submitted = self.shared.queue.submit(&transaction, encoded, clock, until).ok();
            self.refusals.extend(submitted.map(|pending| (*name, pending, until)));
        }
    }

    /// The tip. What goes on beside goes on meanwhile: a listing may wait for the tip too, and would keep it from everybody if it were told that it is its turn
    /// and not run.
    async fn tip(&mut self) -> tokio::sync::MutexGuard<'a, crate::tip::Tip> {
        let shared = self.shared;
        self.beside(shared.tip.lock()).await
    }

    /// `work`, while chores go on.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            if self.chores.is_empty() {
                return work.await;
            }
            match select(&mut work, self.chores.next()).await {
                Either::Left((done, _)) => return done,
                Either::Right((Some(chore), _)) => self.note(chore),
                Either::Right((None, _)) => {}
            }
        }
    }
}

/// Whether time alone may mend it.
pub(crate) fn may_pass(error: &Error) -> bool {
    match error {
        Error::Truncated { .. } => false,
        error => matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::OutcomeUnknown),
    }
}
