//! Benchmarks of the brainy workspace.
