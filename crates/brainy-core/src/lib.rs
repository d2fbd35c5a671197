#![doc = include_str!("../README.md")]

mod change;
pub mod clock;
pub mod codec;
mod digest;
mod error;
mod filter;
mod identity;
mod item;
mod metadata;
mod metric;
mod position;
mod statistics;
mod text;
mod vector;

pub use change::{
    ChangeError, Incident, MAX_DETACHED_VERBS, MAX_OPERATIONS, MAX_TRANSACTION_BYTES, MissingEnds, Operation, Precondition,
    decode_and_fingerprint, decode_operations, encode_operations,
};
pub use clock::{Clock, Moment, SystemClock};
pub use codec::CodecError;
pub use digest::SetHash;
pub use error::ErrorKind;
pub use filter::{Condition, Filter, FilterError, MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_FILTER_PATH_BYTES};
pub use identity::{ContentHash, Entropy, HolderId, Nonce, OsEntropy, SeededEntropy, StoreId, WriterId};
pub use item::{Noun, NounDraft, Verb, VerbDraft};
pub use metadata::{MAX_METADATA_BYTES, MAX_METADATA_DEPTH, Metadata, MetadataError};
pub use metric::Metric;
pub use position::{Epoch, SequenceNumber, Version, VersionError};
pub use statistics::{MAX_LABELS, Statistics};
pub use text::{MAX_ID_BYTES, MAX_LABEL_BYTES, NounId, ServiceTag, TextError, TypeName, VerbId};
pub use vector::{MAX_DIMENSION, Vector, VectorError};
