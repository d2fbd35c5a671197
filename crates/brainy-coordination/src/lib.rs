#![doc = include_str!("../README.md")]

mod machine;

pub use machine::{Context, MachineError, NullMachine, Rejection, StateMachine, Summary, Verdict};
