//! What `brainy_hnsw` promises, through its public interface.
#![expect(clippy::print_stdout, reason = "measured recall and what was not run belong in the output")]

mod churn;
mod data;
mod equal;
mod filters;
mod incumbent;
mod inputs;
mod recall;
mod repeatable;
mod values;
