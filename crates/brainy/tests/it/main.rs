//! The facade from outside.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test does")]

mod closing;
mod collection;
mod costs;
#[cfg(test)]
#[cfg(unix)]
mod crowd;
mod first_day;
mod freshness;
#[cfg(test)]
#[cfg(unix)]
mod holders;
mod hostile;
mod incumbent;
mod limits;
mod locks;
#[cfg(test)]
#[cfg(unix)]
mod members;
mod modes;
#[cfg(unix)]
mod processes;
mod resolution;
mod search;
mod secrets;
mod statistics;
mod support;
mod transactions;
mod verbs;
mod wake;
mod writes;
