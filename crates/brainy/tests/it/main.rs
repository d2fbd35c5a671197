//! The facade from outside.

mod closing;
mod costs;
mod first_day;
mod freshness;
mod hostile;
mod limits;
mod modes;
mod resolution;
mod search;
mod secrets;
mod statistics;
mod support;
mod transactions;
mod verbs;
mod writes;
