//! Compiles what the repository's README shows.

#[doc = include_str!("../../../README.md")]
#[derive(Debug)]
struct Readme;
