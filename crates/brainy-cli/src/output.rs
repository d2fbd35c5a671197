//! Standard output, for people or for programs.

use std::io::{BufWriter, Write};

use serde_json::Value;

use crate::failure::Failure;

/// Where answers go.
pub(crate) struct Output {
    json: bool,
    out: Box<dyn Write>,
}

impl Output {
    /// Standard output, buffered until [`flush`](Self::flush).
    pub(crate) fn to_stdout(json: bool) -> Self {
        Self { json, out: Box::new(BufWriter::new(std::io::stdout())) }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One JSON line.
    pub(crate) fn value(&mut self, value: &Value) -> Result<(), Failure> {
        writeln!(self.out, "{value}").map_err(Failure::Output)
    }

    /// Text for people, and a line's end.
    pub(crate) fn text(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(Failure::Output)
    }

    /// Hands on what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::Output)
    }
}
