//! What holds for the workspace as a whole, and no single crate can check.
#![expect(clippy::print_stdout, reason = "the counts of dependencies are told beside their budgets")]

mod dependencies;
mod incumbent;
mod layers;
mod tidy;
mod workspace;
