#![doc = include_str!("../README.md")]

#[allow(unreachable_pub, missing_docs, reason = "the model reaches it through `internals`, under a feature")]
mod apply;
#[allow(unreachable_pub, missing_docs, reason = "the model reaches it through `internals`, under a feature")]
mod batch;
mod beside;
#[allow(unreachable_pub, reason = "the model reaches it through `internals`, under a feature")]
mod cas;
mod collector;
mod committer;
#[allow(unreachable_pub, reason = "the model reaches it through `internals`, under a feature")]
mod confirmation;
#[allow(unreachable_pub, missing_docs, reason = "the model reaches it through `internals`, under a feature")]
mod decide;
#[allow(unreachable_pub, reason = "benches reach it through `internals`, under a feature")]
mod decoding;
mod descriptor;
mod environment;
mod error;
mod flow;
mod follow;
#[allow(unreachable_pub, reason = "the model reaches it through `internals`, under a feature")]
mod garbage;
#[cfg(test)]
mod golden;
mod head;
#[allow(unreachable_pub, reason = "the model reaches it through `internals`, under a feature")]
mod helping;
mod history;
mod hold;
mod inbox;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod internals;
mod keys;
#[allow(unreachable_pub, missing_docs, reason = "the model reaches it through `internals`, under a feature")]
mod lease;
mod ledger;
mod lock;
mod log;
mod machine;
mod make;
mod manifest;
mod mutants;
mod pace;
mod protocol;
mod publish;
mod queue;
mod reader;
mod resolve;
mod segment;
mod slot;
mod spawn;
#[allow(unreachable_pub, missing_docs, reason = "the model reaches it through `internals`, under a feature")]
mod state;
mod tip;
mod token;
mod wake;

pub use batch::{BlobReference, Fence, MAX_BATCH_TRANSACTIONS, Transaction};
pub use collector::{CollectOptions, CollectReport, CollectRequests, Collector, Removed};
pub use descriptor::{Constants, Descriptor, Element, Parent, RULES, Space, SpaceOf, Truncation};
pub use environment::Environment;
pub use error::Error;
pub use garbage::ManifestName;
pub use history::{BatchRecord, SlotRecord, TransactionRecord, find_tail, read_slot};
pub use hold::{Pin, PinRecord, Tag};
pub use lock::{Guard, Holder, Lock, LockOptions, Loss};
pub use log::{ChangeLog, Figures, LogOptions};
pub use machine::{Context, MachineError, NullMachine, Rejection, Retired, StateMachine, Summary, Verdict};
pub use make::{NewStore, compare_store, create_store, read_descriptor};
pub use protocol::{MAX_LEASE_NAMES, MAX_NAME_BYTES, MAX_REASON_BYTES, ProtocolOperation};
pub use publish::Published;
pub use queue::{Outcome, Pending, Withdrawal};
pub use slot::{Header, StatedSummary};
pub use spawn::{Spawn, Task};
pub use token::{OpId, ParseError, Receipt, Token};
#[cfg(feature = "file-events")]
pub use wake::FileWake;
pub use wake::{AnyWake, Bell, InProcessWake, WakeSource};
