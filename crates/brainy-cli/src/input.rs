//! Files that people bring.

pub(crate) mod json_lines;
pub(crate) mod lines;
pub(crate) mod vectors;
pub(crate) mod verbs;
