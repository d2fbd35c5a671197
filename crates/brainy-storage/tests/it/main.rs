//! What the crate promises from outside, one binary.

#[cfg(test)]
mod conditional;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod metered;
#[cfg(test)]
#[cfg(unix)]
mod model;
#[cfg(test)]
mod probe;
#[cfg(test)]
#[cfg(unix)]
mod processes;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod support;
