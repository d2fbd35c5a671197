#![doc = include_str!("../README.md")]

mod accounts;
mod bucket;
mod checker;
mod clock;
mod domain;
mod fast_store;
mod fault;
mod graph;
mod history;
mod linear;
mod random;
mod reference;
mod run;
mod scheduler;
mod service;
mod sweep;
mod trace;
mod wire;
mod witness;

pub use accounts::{Accounts, Book, Command, Kind};
pub use bucket::{Bucket, Contents, Request, Response};
pub use checker::Violation;
pub use clock::ProcessClock;
pub use domain::{Author, Bank, Domain};
pub use fast_store::FastStore;
pub use fault::{Fault, Faults, KeyKind, Matrix, RARE, reachable};
pub use graph::Graph;
pub use history::{Call, Ending, Events, Failure, History, Look, Resolved};
pub use random::Random;
pub use run::{Connect, Report, Settings, fast, run_seed};
pub use scheduler::{Actor, End, Life, ProcessId, Scheduler};
pub use sweep::{Failed, SEEDS_PER_MUTANT, Sweep, Verdict, mutants, regressions, sweep};
pub use trace::Trace;
pub use wire::{Delivered, Latencies, Reply, Sent, Wire};
pub use witness::{SeenIntent, SeenSlot, Witness};
