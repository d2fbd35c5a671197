//! The one place that finds out how a write ended, and the one place that asks again.
//!
//! A lost reply is neither a conflict nor a failure: the object is read back and compared with what was sent, then the same bytes are sent again
//! under the same condition, until the store has decided or the deadline passes.

use std::future::Future;
use std::num::NonZeroUsize;
use std::time::Duration;

use brainy_core::clock::before;
use brainy_core::{Clock, Entropy, ErrorKind, Moment};
use bytes::Bytes;

use crate::{
    Answer, Get, GetOptions, Key, Object, Operation, Outcome, Page, Precondition, Prefix, Revision, Store, StoreError, StoreResult,
};

/// Longest pause before the second attempt; it doubles with each further one.
pub const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between two attempts.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How [`create`] ended.
#[derive(Clone, Debug)]
#[must_use]
pub enum Created {
    /// Our object is there, in this revision.
    Committed(Revision),
    /// Somebody else's object is there: this one.
    Rejected(Object),
    /// Our object may be there, or may still come: the store did not decide before the deadline. The last error says why.
    Unknown(StoreError),
}

/// What a body found in place of ours says about ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is ours.
    Ours,
    /// Ours is among the earlier states that the body remembers: it took effect and was overwritten.
    Superseded,
    /// It says nothing about ours.
    Foreign,
}

/// How [`swap`] ended.
#[derive(Clone, Debug)]
#[must_use]
pub enum Swapped {
    /// It took effect; the object was in this revision when the store answered.
    Committed(Revision),
    /// It took effect and somebody has overwritten it since. No revision is given: a next swap must start from a fresh read, else it would undo
    /// what that somebody wrote.
    Superseded,
    /// The object was not in the expected revision, or not there at all; nothing was written, nor will be.
    Rejected,
    /// It may have taken effect, or may still: a reply was lost, and what is there now does not tell.
    Unknown(StoreError),
}

/// Writes `body` under a name that nobody has used, and finds out what became of it.
///
/// `body` must differ from every other writer's (a nonce, a writer id): equal bytes found under `key` are taken for our own. Under a name that is
/// deleted and used again while writers live, [`Created::Rejected`] says only who is there now.
///
/// One PUT where nothing goes wrong; a refusal costs one GET more, since the loser needs the winner. The answer's time is that of the reply that decided.
///
/// # Errors
/// [`StoreError`]: nothing was written, nor will be.
pub async fn create(
    store: &dyn Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    key: &Key,
    body: Bytes,
    deadline: Moment,
) -> StoreResult<Created> {
    create_and_look(store, clock, entropy, key, body, deadline, std::future::ready(())).await.0
}

/// As [`create`]; while a refused or doubtful create is read back, `look` runs beside it: what else the loser of a race wants to know costs it no time. None where
/// nothing was refused.
///
/// # Errors
/// As [`create`]; what `look` found comes beside it.
pub async fn create_and_look<T>(
    store: &dyn Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    key: &Key,
    body: Bytes,
    deadline: Moment,
    look: impl Future<Output = T>,
) -> (StoreResult<Created>, Option<T>) {
    let mut looked = None;
    let created = create_beside(Target { store, clock, entropy, key, body, deadline }, look, &mut looked).await;
    (created, looked)
}

/// A conditional write's parts.
struct Target<'a> {
    store: &'a dyn Store,
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
    key: &'a Key,
    body: Bytes,
    deadline: Moment,
}

async fn create_beside<T>(target: Target<'_>, look: impl Future<Output = T>, looked: &mut Option<T>) -> StoreResult<Created> {
    let Target { store, clock, entropy, key, body, deadline } = target;
    let mut look = Some(look);
    let mut attempts = Attempts::new(clock, entropy, deadline, Operation::Put, key)?;
    // Set once a request of ours may have taken effect, or may still: from then on an error is not ours to return.
    let mut in_doubt = false;
    loop {
        let doubt = match attempts.send(store.put(key, body.clone(), Precondition::IfAbsent)).await {
            Some(Ok(Answer { value: Outcome::Committed(revision), at })) => return Ok(Answer::new(Created::Committed(revision), at)),
            // What was refused may be a repetition, by us or on the way, of a request that took effect.
            Some(Ok(Answer { value: Outcome::Rejected, at })) => attempts.error("it was refused, and nothing is there").at(at),
            Some(Ok(Answer { value: Outcome::Unknown(error), .. })) => error,
            Some(Err(error)) if passes(&error) => match (attempts.pause().await, in_doubt) {
                (true, _) => continue,
                (false, true) => return Ok(unknown(Created::Unknown, error)),
                (false, false) => return Err(error),
            },
            Some(Err(error)) if in_doubt => return Ok(unknown(Created::Unknown, error)),
            Some(Err(error)) => return Err(error),
            None => return Ok(unknown(Created::Unknown, attempts.too_late("no reply before the deadline"))),
        };
        in_doubt = true;
        let read = attempts.repeat(|| store.get(key, GetOptions::whole()));
        let read = match look.take() {
            None => read.await,
            Some(look) => {
                let (read, found) = futures_util::future::join(read, look).await;
                *looked = Some(found);
                read
            }
        };
        match read {
            Ok(Answer { value: Get::Found(object), at }) => {
                let created = if object.bytes == body { Created::Committed(object.revision) } else { Created::Rejected(object) };
                return Ok(Answer::new(created, at));
            }
            // Not decided. After a refusal: it was deleted meanwhile, or the store only said that somebody was at it.
            Ok(Answer { value: Get::Absent | Get::NotModified, .. }) => {}
            Err(error) => return Ok(unknown(Created::Unknown, error)),
        }
        if !attempts.pause().await {
            return Ok(unknown(Created::Unknown, doubt));
        }
    }
}

/// Overwrites the object in revision `expected` by `body`, and finds out what became of it.
///
/// `body` must hold a fresh nonce, so that no two states have equal bytes, and should hold the marks of some states before it: after a lost reply
/// `standing` is shown the bytes that are there and tells from the marks whether ours was among them. A foreign body after any lost or repeated
/// request is [`Swapped::Unknown`], never [`Swapped::Rejected`]: ours may have been there and been forgotten.
///
/// One PUT where nothing goes wrong; a refusal costs one GET more, since a proxy on the way may have sent the request twice. The answer's time is that of the reply
/// that decided.
///
/// # Errors
/// [`StoreError`]: nothing was written, nor will be.
#[expect(clippy::too_many_arguments, reason = "a conditional write has these parts, and a struct for one call would only rename them")]
pub async fn swap(
    store: &dyn Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    key: &Key,
    body: Bytes,
    expected: Revision,
    standing: &(dyn Fn(&[u8]) -> Standing + Send + Sync),
    deadline: Moment,
) -> StoreResult<Swapped> {
    let mut attempts = Attempts::new(clock, entropy, deadline, Operation::Put, key)?;
    let mut in_doubt = false;
    let mut repeated = false;
    loop {
        let (refused, doubt) = match attempts.send(store.put(key, body.clone(), Precondition::IfMatch(expected.clone()))).await {
            Some(Ok(Answer { value: Outcome::Committed(revision), at })) => return Ok(Answer::new(Swapped::Committed(revision), at)),
            Some(Ok(Answer { value: Outcome::Rejected, at })) => (!repeated, attempts.error("a repeated request was refused").at(at)),
            Some(Ok(Answer { value: Outcome::Unknown(error), .. })) => (false, error),
            Some(Err(error)) if passes(&error) => match (attempts.pause().await, in_doubt) {
                (true, _) => {
                    repeated = true;
                    continue;
                }
                (false, true) => return Ok(unknown(Swapped::Unknown, error)),
                (false, false) => return Err(error),
            },
            Some(Err(error)) if in_doubt => return Ok(unknown(Swapped::Unknown, error)),
            Some(Err(error)) => return Err(error),
            None => return Ok(unknown(Swapped::Unknown, attempts.too_late("no reply before the deadline"))),
        };
        in_doubt = true;
        repeated = true;
        match attempts.repeat(|| store.get(key, GetOptions::whole())).await {
            Ok(Answer { value: Get::Found(object), at }) => match standing(&object.bytes) {
                Standing::Ours => return Ok(Answer::new(Swapped::Committed(object.revision), at)),
                Standing::Superseded => return Ok(Answer::new(Swapped::Superseded, at)),
                // Our only request was refused, and nothing on the way had made two of it: else our mark would be there.
                Standing::Foreign if refused => return Ok(Answer::new(Swapped::Rejected, at)),
                // Not decided: no write of anybody's took effect. The nonce in each body makes an equal revision mean an equal state.
                Standing::Foreign if object.revision == expected => {}
                Standing::Foreign => {
                    let error = attempts.error(format!("{}; a foreign state is there now", doubt.reason)).at(at);
                    return Ok(unknown(Swapped::Unknown, error));
                }
            },
            Ok(Answer { value: Get::Absent | Get::NotModified, at }) if refused => return Ok(Answer::new(Swapped::Rejected, at)),
            // What changes by compare-and-swap is never deleted; it is not for us to make it anew.
            Ok(Answer { value: Get::Absent | Get::NotModified, at }) => {
                let error = attempts.error(format!("{}; nothing is there now", doubt.reason)).at(at);
                return Ok(unknown(Swapped::Unknown, error));
            }
            Err(error) => return Ok(unknown(Swapped::Unknown, error)),
        }
        if !attempts.pause().await {
            return Ok(unknown(Swapped::Unknown, doubt));
        }
    }
}

/// Reads an object, asking again with growing pauses while the store is unavailable and the deadline has not passed.
///
/// # Errors
/// The last [`StoreError`].
pub async fn read(
    store: &dyn Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    key: &Key,
    options: GetOptions,
    deadline: Moment,
) -> StoreResult<Get> {
    let mut attempts = Attempts::new(clock, entropy, deadline, Operation::Get, key)?;
    attempts.repeat(|| store.get(key, options.clone())).await
}

/// Lists up to `limit` objects below `prefix` whose keys come after `after`, asking again like [`read`].
///
/// # Errors
/// The last [`StoreError`].
pub async fn list(
    store: &dyn Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    prefix: &Prefix,
    after: Option<&Key>,
    limit: NonZeroUsize,
    deadline: Moment,
) -> StoreResult<Page> {
    let mut attempts = Attempts::new(clock, entropy, deadline, Operation::List, prefix)?;
    attempts.repeat(|| store.list(prefix, after, limit)).await
}

/// Writes `body` under a name that only its writer uses, unconditionally, sending it again until the store has confirmed it.
///
/// A copy whose reply was lost may land later: the name must never be used for other bytes, and is not gone for good when it is deleted soon after.
///
/// # Errors
/// The last [`StoreError`]: the object may be there, whole.
pub async fn write(
    store: &dyn Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    key: &Key,
    body: Bytes,
    deadline: Moment,
) -> StoreResult<Revision> {
    let mut attempts = Attempts::new(clock, entropy, deadline, Operation::Put, key)?;
    loop {
        let error = match attempts.send(store.put(key, body.clone(), Precondition::None)).await {
            Some(Ok(Answer { value: Outcome::Committed(revision), at })) => return Ok(Answer::new(revision, at)),
            Some(Ok(Answer { value: Outcome::Unknown(error), .. })) => error,
            Some(Ok(Answer { value: Outcome::Rejected, at })) => attempts.error("the store refused a write that has no condition").at(at),
            Some(Err(error)) if passes(&error) => error,
            Some(Err(error)) => return Err(error),
            None => return Err(attempts.too_late("no reply before the deadline")),
        };
        if !attempts.pause().await {
            return Err(error);
        }
    }
}

/// Deletes `keys`, absent ones too, asking again like [`read`]. No key, no request.
///
/// # Errors
/// The last [`StoreError`]: any of them may or may not be gone.
pub async fn delete(store: &dyn Store, clock: &dyn Clock, entropy: &dyn Entropy, keys: &[Key], deadline: Moment) -> StoreResult<()> {
    let Some(first) = keys.first() else { return Ok(Answer::new((), None)) };
    let mut attempts = Attempts::new(clock, entropy, deadline, Operation::Delete, first)?;
    match keys {
        [key] => attempts.repeat(|| store.delete(key)).await,
        keys => attempts.repeat(|| store.delete_many(keys)).await,
    }
}

/// Whether asking again may help.
fn passes(error: &StoreError) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Overloaded)
}

fn unknown<T>(say: impl FnOnce(StoreError) -> T, error: StoreError) -> Answer<T> {
    let at = error.store_time();
    Answer::new(say(error), at)
}

/// Requests for one thing, with growing pauses between them, up to a deadline.
struct Attempts<'a> {
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
    deadline: Moment,
    longest_pause: Duration,
    operation: Operation,
    subject: &'a (dyn std::fmt::Display + Sync),
}

impl<'a> Attempts<'a> {
    /// # Errors
    /// The deadline has passed, so nothing is sent.
    fn new(
        clock: &'a dyn Clock,
        entropy: &'a dyn Entropy,
        deadline: Moment,
        operation: Operation,
        subject: &'a (dyn std::fmt::Display + Sync),
    ) -> Result<Self, StoreError> {
        let attempts = Self { clock, entropy, deadline, longest_pause: FIRST_PAUSE, operation, subject };
        if clock.now() >= deadline { Err(attempts.too_late("its deadline passed before anything was sent")) } else { Ok(attempts) }
    }

    fn error(&self, reason: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::Unavailable, self.operation, self.subject, reason)
    }

    fn too_late(&self, reason: &str) -> StoreError {
        self.error(reason).past_deadline()
    }

    /// The reply, or none if there was none before the deadline.
    async fn send<F: Future>(&self, request: F) -> Option<F::Output> {
        before(self.clock, self.deadline, request).await
    }

    /// Waits before the next attempt; false, at once, if there is no time for one.
    async fn pause(&mut self) -> bool {
        let pause = self.longest_pause.mul_f64(0.5 + 0.5 * self.entropy.fraction());
        self.longest_pause = LONGEST_PAUSE.min(self.longest_pause * 2);
        let next = self.clock.now().after(pause);
        if next >= self.deadline {
            return false;
        }
        self.clock.sleep_until(next).await;
        true
    }

    /// Sends what may be sent any number of times, until there is an answer or no time.
    async fn repeat<T, F: Future<Output = StoreResult<T>>>(&mut self, mut request: impl FnMut() -> F) -> StoreResult<T> {
        loop {
            let error = match self.send(request()).await {
                Some(Err(error)) if passes(&error) => error,
                Some(result) => return result,
                None => return Err(self.too_late("no reply before the deadline")),
            };
            if !self.pause().await {
                return Err(error);
            }
        }
    }
}
