//! The protocols as models that call the decisions that ship, looked through state by state.
//!
//! A group is one file with one [`Case`]: its bounds, its state, its steps, and which promise a state breaks. What a process decides comes from
//! `brainy_coordination::internals`; a group adds the store, the network and the faults around it. `registry` lists every run.

mod bound;
mod case;
mod helping;
mod lease;
mod naming;
mod orphans;
mod pins;
mod registry;
mod report;
mod truncation;

pub use case::{Case, Effort, Found, explore};
pub use registry::{Expected, Run, runs};
pub use report::{Record, as_json, as_table, promises};
