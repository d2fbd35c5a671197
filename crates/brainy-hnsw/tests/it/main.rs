//! What `brainy_hnsw` promises, through its public interface.

mod churn;
mod data;
mod equal;
mod filters;
mod inputs;
mod recall;
mod repeatable;
mod values;
