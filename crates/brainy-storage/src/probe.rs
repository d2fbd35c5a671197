//! Whether a store honours conditions, tried out before it is trusted.

use std::num::NonZeroUsize;
use std::time::Duration;

use brainy_core::clock::before;
use brainy_core::codec::{ObjectKind, seal};
use brainy_core::{Clock, Entropy, ErrorKind, Moment, Nonce};
use bytes::Bytes;

use crate::conditional::{delete, list, read};
use crate::race::{Verdict, judge, race};
use crate::{Get, GetOptions, Key, Object, Operation, Outcome, Precondition, Prefix, Revision, Store, StoreError, StoreTime};

/// How many writers race.
const RACERS: usize = 16;
/// Most requests of a probe to which no reply is lost.
pub const MAX_PROBE_REQUESTS: usize = 40;
/// How long a probe waits for a store that does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a store that passed was seen to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeReport {
    /// A listing showed what had just been written, and nothing else.
    pub lists_after_write: bool,
    /// The store's time on the last reply, where it has one.
    pub store_time: Option<StoreTime>,
    /// The objects of the probe were deleted again. A store without permission to delete keeps them below `probe/`.
    pub cleaned: bool,
}

/// Why a store must not be used by several writers. What the probe wrote has been deleted again, if the store could be asked to.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// It does not keep the contract.
    #[error("the store at {location} does not honour conditional writes: {check}: {seen}")]
    Broken {
        /// The store.
        location: String,
        /// What was tried.
        check: &'static str,
        /// What came of it.
        seen: String,
    },
    /// It did not answer as it should.
    #[error("the store at {location} could not be tried")]
    NoAnswer {
        /// The store.
        location: String,
        /// The last error.
        source: StoreError,
    },
}

impl ProbeError {
    /// What a caller should do: `Unsupported` for a store that does not keep the contract, the store's own kind of error for one that does not answer.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Broken { .. } => ErrorKind::Unsupported,
            Self::NoAnswer { source, .. } => source.kind(),
        }
    }
}

/// Proves that `store` honours conditions, races included: 16 creates of one object, as many updates of one state, a create over an object, a stale
/// update, an update of an absent object, a read of what has not changed.
///
/// At most [`MAX_PROBE_REQUESTS`] requests, and one more for each that is answered by an error or not at all. All objects lie below `probe/` under a fresh
/// name and are deleted at the end, whatever was seen. A race can prove a store guilty, never innocent.
///
/// # Errors
/// [`ProbeError::Broken`] names the check that failed and what was seen; [`ProbeError::NoAnswer`].
pub async fn probe(store: &dyn Store, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<ProbeReport, ProbeError> {
    let nonce = Nonce::random(entropy);
    let named = |name: &str| Key::new(format!("probe/{nonce}/{name}")).expect("hexadecimal digits and a plain word make a key");
    let folder = Prefix::new(format!("probe/{nonce}")).expect("hexadecimal digits make a key");
    let deadline = clock.now().after(PATIENCE);
    let trial = Trial { store, clock, entropy, deadline, folder, object: named("object"), absent: named("absent") };
    let result = trial.run().await;
    // The time for cleaning up is its own: a store that took all of the first must not keep the rubbish for that.
    let deadline = clock.now().after(PATIENCE);
    let cleaned = delete(store, clock, entropy, &[trial.object.clone(), trial.absent.clone()], deadline).await.is_ok();
    let location = store.location();
    match result {
        Ok((lists_after_write, store_time)) => Ok(ProbeReport { lists_after_write, store_time, cleaned }),
        Err(Refusal::Broken(check, seen)) => Err(ProbeError::Broken { location, check, seen }),
        Err(Refusal::NoAnswer(source)) => Err(ProbeError::NoAnswer { location, source }),
    }
}

enum Refusal {
    Broken(&'static str, String),
    NoAnswer(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::NoAnswer(error)
    }
}

struct Trial<'a> {
    store: &'a dyn Store,
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
    deadline: Moment,
    folder: Prefix,
    object: Key,
    absent: Key,
}

impl Trial<'_> {
    async fn run(&self) -> Result<(bool, Option<StoreTime>), Refusal> {
        let first = self.race("racing creates", &Precondition::IfAbsent).await?;
        self.must_refuse("a create over an object", &self.object, Precondition::IfAbsent).await?;
        let second = self.race("racing updates of one state", &Precondition::IfMatch(first.revision.clone())).await?;
        if second.revision == first.revision {
            return Err(Refusal::Broken("an update", "two states of different bytes have one revision".into()));
        }
        self.must_refuse("an update of a state that is gone", &self.object, Precondition::IfMatch(first.revision)).await?;
        self.must_refuse("an update of an absent object", &self.absent, Precondition::IfMatch(second.revision.clone())).await?;
        self.must_be_unchanged(second.revision).await?;
        let limit = NonZeroUsize::new(8).expect("eight is not zero");
        let listed = list(self.store, self.clock, self.entropy, &self.folder, None, limit, self.deadline).await?;
        let keys = listed.value.entries.iter().map(|entry| &entry.key).collect::<Vec<_>>();
        if keys.contains(&&self.absent) {
            return Err(Refusal::Broken("an update of an absent object", "it was refused, and the object was made all the same".into()));
        }
        Ok((keys == [&self.object], listed.at))
    }

    /// Bytes like no other.
    fn body(&self) -> Bytes {
        seal(ObjectKind::Probe, Nonce::random(self.entropy).as_bytes()).into()
    }

    async fn race(&self, what: &'static str, condition: &Precondition) -> Result<Object, Refusal> {
        let bodies = (0..RACERS).map(|_| self.body()).collect::<Vec<_>>();
        let answers = race(&[self.store], self.clock, self.deadline, &self.object, &bodies, condition).await;
        let found = match read(self.store, self.clock, self.entropy, &self.object, GetOptions::whole(), self.deadline).await?.value {
            Get::Found(object) => Some(object),
            Get::Absent | Get::NotModified => None,
        };
        match (judge(what, &self.object, answers, &bodies, found.as_ref()), found) {
            (Verdict::Exact, Some(found)) => Ok(found),
            (Verdict::Exact, None) => Err(Refusal::Broken(what, "what was written is not there".into())),
            (Verdict::Broken(seen), _) => Err(Refusal::Broken(what, seen)),
            (Verdict::Undecided(error), _) => Err(Refusal::NoAnswer(error)),
        }
    }

    /// A lost reply is asked for again. That is safe here, since no answer but a refusal lets the probe pass, and a first request that took effect
    /// in silence shows in the checks after it: the next update finds another revision, the listing another object.
    async fn must_refuse(&self, what: &'static str, key: &Key, condition: Precondition) -> Result<(), Refusal> {
        for _ in 0..RACERS {
            let request = self.store.put(key, self.body(), condition.clone());
            match before(self.clock, self.deadline, request).await {
                Some(Ok(answer)) => match answer.value {
                    Outcome::Rejected => return Ok(()),
                    Outcome::Committed(_) => return Err(Refusal::Broken(what, "it was accepted".into())),
                    Outcome::Unknown(_) => {}
                },
                Some(Err(error)) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Overloaded) => {}
                Some(Err(error)) => return Err(Refusal::NoAnswer(error)),
                None => break,
            }
        }
        Err(Refusal::NoAnswer(StoreError::new(ErrorKind::Unavailable, Operation::Put, key, format!("no answer to {what}"))))
    }

    async fn must_be_unchanged(&self, revision: Revision) -> Result<(), Refusal> {
        let options = GetOptions::if_changed_from(revision.clone());
        match read(self.store, self.clock, self.entropy, &self.object, options, self.deadline).await?.value {
            Get::NotModified => Ok(()),
            Get::Found(object) if object.revision == revision => {
                Err(Refusal::Broken("a read of what has not changed", "the store sent the object".into()))
            }
            Get::Found(_) => {
                Err(Refusal::Broken("an update of a state that is gone", "it was refused, and took effect all the same".into()))
            }
            Get::Absent => Err(Refusal::Broken("a read of what has not changed", "the object is gone".into())),
        }
    }
}
