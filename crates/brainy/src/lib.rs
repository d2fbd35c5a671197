#![doc = include_str!("../README.md")]

mod background;
mod collection;
mod decode;
mod error;
mod freshness;
mod handle;
mod location;
mod lock;
mod log;
mod nouns;
mod opening;
mod options;
#[cfg(doctest)]
mod readme;
mod search;
mod statistics;
mod transaction;
mod verbs;

pub use brainy_coordination::{
    CollectOptions, CollectReport, CollectRequests, Constants, Figures, Holder, LockOptions, LogOptions, Loss, ManifestName, OpId,
    Published, Receipt, Removed, Tag, Token, Truncation,
};
pub use brainy_core::{
    Clock, ContentHash, Entropy, ErrorKind, Filter, Incident, Metadata, Metric, MissingEnds, Noun, NounDraft, NounId, Operation,
    Precondition, SequenceNumber, ServiceTag, Statistics, StoreId, TypeName, Vector, Verb, VerbDraft, VerbId, Version, WriterId,
};
pub use brainy_engine::{Direction, EngineOptions, ItemFilter, Match, Reached, Reason, Traversal, TraverseOptions, VerbMatch, VerbQuery};
pub use brainy_storage as storage;
pub use brainy_storage::Usage;

pub use collection::Collector;
pub use error::Error;
pub use freshness::Freshness;
pub use handle::Brainy;
pub use lock::{Guard, Lock};
pub use log::{LogSlot, LogTransaction};
pub use options::{Builder, Mode};
pub use search::Search;
pub use statistics::{Peek, Report};
pub use transaction::{Commit, Resolution, TransactionBuilder};
