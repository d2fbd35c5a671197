//! The seam to whatever is replicated: the log orders bytes, a [`StateMachine`] says what they mean.

use async_trait::async_trait;
use brainy_core::{SetHash, Version};
use serde::{Deserialize, Serialize};

/// What became of one transaction. It is a function of the log alone, equal on every instance, and part of the replicated state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "simulation", derive(Hash))]
pub enum Verdict {
    /// It took effect; so many items changed (0: it found everything as it wanted it).
    Effective {
        /// Items written or deleted.
        changed: u32,
    },
    /// It changed nothing, nor will it ever.
    Rejected(Rejection),
}

impl Verdict {
    /// Whether it took effect.
    pub const fn is_effective(self) -> bool {
        matches!(self, Self::Effective { .. })
    }
}

/// Why a transaction changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "simulation", derive(Hash))]
pub struct Rejection {
    /// Which of its operations could not be done, from 0 in the transaction's own order.
    pub operation: u32,
    /// Why: the state machine's own code below [`Rejection::FIRST_LOG_CODE`], the log's from there on.
    pub code: u16,
}

impl Rejection {
    /// Codes from here on belong to the log.
    pub const FIRST_LOG_CODE: u16 = 0xff00;
    /// A record under a lease token older than the highest claimed.
    pub const FENCED: u16 = 0xff00;
    /// A lease claim whose token is not above every earlier one.
    pub const CLAIM_STALE: u16 = 0xff01;
    /// A protocol operation that does not fit the state (an upgrade backwards, an override of what did not diverge …).
    pub const NOT_APPLICABLE: u16 = 0xff02;
    /// Bytes that are no transaction.
    pub const MALFORMED: u16 = 0xff03;
    /// A claim under a name beyond the [`MAX_LEASE_NAMES`](crate::MAX_LEASE_NAMES) that a store has room for.
    pub const TOO_MANY_LEASES: u16 = 0xff04;
}

/// Where and under which rules a transaction is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// Version of the apply rules in force.
    pub rules: u32,
    /// The transaction's position: the version of every item it writes.
    pub version: Version,
    /// Wall-clock milliseconds of the slot's creator; for people, decides nothing.
    pub at_ms: u64,
}

impl Context {
    /// These parts.
    pub const fn new(rules: u32, version: Version, at_ms: u64) -> Self {
        Self { rules, version, at_ms }
    }
}

/// What a state amounts to: written into slot headers and compared by every replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The machine's exact counters, in its own encoding; equal states have equal bytes.
    pub counters: Vec<u8>,
    /// Order-free hash over everything the machine holds.
    pub digest: SetHash,
}

/// A local reason why the machine cannot go on (memory, disk, a segment that does not load). The replica stops where it is; the log is untouched.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the state machine cannot go on: {reason}")]
pub struct MachineError {
    /// What is missing.
    pub reason: String,
}

/// What an install put out of use. To free it may take as long as the install itself, so whoever has a thread to spare drops it there; dropping it is all it is for.
#[derive(Default)]
pub struct Retired(Option<Box<dyn Send>>);

impl Retired {
    /// This.
    pub fn new(retired: impl Send + 'static) -> Self {
        Self(Some(Box::new(retired)))
    }
}

impl std::fmt::Debug for Retired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Retired").field(&self.0.is_some()).finish()
    }
}

/// A deterministic state machine driven by a log.
///
/// The log reads each payload once ([`decode`](Self::decode), a function of the bytes alone), asks for a [`View`](Self::View) of just what some of them touch
/// ([`fetch`](Self::fetch), asynchronous: state may lie in memory, in mapped files or behind ranged reads), then applies them one after the other on that view,
/// synchronously and without the machine at hand, and installs the view if their slot was committed. So apply cannot depend on anything but the view and the
/// transaction, and a slot that lost its race leaves no trace.
#[async_trait]
pub trait StateMachine: std::fmt::Debug + Send + Sync + 'static {
    /// A payload that was read.
    type Command: std::fmt::Debug + Send + Sync + 'static;
    /// What some transactions touch, with the changes applied to it so far on top, and the counters and digest that follow from them.
    type View: std::fmt::Debug + Send + Sync + 'static;

    /// Reads a payload, on any thread and ahead of the log; it may be applied in several tries. Never panics on any bytes: what cannot be read makes a command that
    /// touches nothing and is rejected when it is applied.
    fn decode(payload: &[u8]) -> Self::Command;

    /// A view of what `commands` touch, in their order: each command of the slot, also those that will not take effect.
    ///
    /// # Errors
    /// [`MachineError`]: for local reasons only.
    async fn fetch(&self, commands: &[&Self::Command]) -> Result<Self::View, MachineError>;

    /// Applies one of the fetched commands: all of it or, where the verdict is a rejection, nothing. Never fails for local reasons, never panics.
    fn apply(view: &mut Self::View, context: Context, command: &Self::Command) -> Verdict;

    /// Counters and digest of the state with the view's changes in it.
    fn summary_of(view: &Self::View) -> Summary;

    /// Makes the view's changes those of the machine. The machine has not changed since the view was fetched.
    fn install(&self, view: Self::View, position: Version) -> Retired;

    /// What was installed so far belongs to the log for good. Until it is told so, a machine shows those who read beside the log the state as of the last time: what was
    /// read at the tail may turn out to lie in a collected stretch, or not to survive a power cut.
    fn confirm(&self) -> Retired {
        Retired::default()
    }

    /// Counters and digest of the present state, confirmed or not.
    fn summary(&self) -> Summary;

    /// The whole state as bytes.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces the whole state by a [`snapshot`](Self::snapshot), which is confirmed.
    ///
    /// # Errors
    /// [`MachineError`]: the bytes are no snapshot; the state is as it was.
    fn restore(&self, snapshot: &[u8]) -> Result<(), MachineError>;
}

/// A machine that accepts every payload and keeps nothing: for a log or a lock that stands alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullMachine;

#[async_trait]
impl StateMachine for NullMachine {
    type Command = ();
    type View = ();

    fn decode(_payload: &[u8]) {}

    async fn fetch(&self, _commands: &[&()]) -> Result<(), MachineError> {
        Ok(())
    }

    fn apply(_view: &mut (), _context: Context, _command: &()) -> Verdict {
        Verdict::Effective { changed: 0 }
    }

    fn summary_of(_view: &()) -> Summary {
        Summary::default()
    }

    fn install(&self, _view: (), _position: Version) -> Retired {
        Retired::default()
    }

    fn summary(&self) -> Summary {
        Summary::default()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&self, snapshot: &[u8]) -> Result<(), MachineError> {
        if snapshot.is_empty() { Ok(()) } else { Err(MachineError { reason: "a machine without state has an empty snapshot".into() }) }
    }
}
