//! `test`: everything that needs no server.

use crate::clock::Stopwatch;
use crate::summary::Summary;
use crate::{Result, cargo};

/// Unit, integration, process and doc tests of all crates, in one build; then xtask's own.
///
/// xtask is built apart: a running program should not be rebuilt under itself, and its few
/// dependencies must not add features to those of the crates.
pub(crate) fn run() -> Result<Summary> {
    let watch = Stopwatch::start();
    let mut summary = cargo::test(&["--workspace", "--exclude", "xtask"])?;
    summary.add(cargo::test(&["--package", "xtask"])?);
    println!("\nbuilt and tested in {:.0} s", watch.elapsed().as_secs_f64());
    Ok(summary)
}
