#![doc = include_str!("../README.md")]

mod apply;
mod command;
mod contents;
mod counters;
mod engine;
mod error;
mod filter;
mod ordered;
mod reader;
mod reason;
mod record;
mod search;
mod snapshot;
mod space;
mod touched;
mod traverse;
mod vector_index;
mod view;

pub use apply::RULES;
pub use command::Command;
pub use counters::decode_counters;
pub use engine::{Engine, EngineOptions};
pub use error::Error;
pub use filter::ItemFilter;
pub use reader::{Reader, VerbQuery};
pub use reason::Reason;
pub use search::{Match, SearchQuery, VerbMatch};
pub use space::Space;
pub use traverse::{Direction, MAX_FOLLOWED, MAX_REACHED, Reached, Traversal, TraverseOptions};
pub use view::View;
