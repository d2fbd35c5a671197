//! The test kit's own S3 endpoint, as a program with a port of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::endpoint::{self, Endpoint, Keys, Programs};
use crate::summary::Summary;
use crate::{Result, cargo};

/// What the endpoint prints before the address it listens on.
const GREETING: &str = "listening on ";

/// Ends the endpoint when the tests end, whichever way.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Errors say that it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts the endpoint, runs the S3 tests against it, ends it.
pub(crate) fn run(programs: &Programs) -> Result<Summary> {
    let mut command = Command::new(&programs.builtin.path);
    command.args(["--port", "0"]);
    cargo::echo(&command, &[]);
    // It lives as long as its standard input is open, so it ends with us even if we are killed.
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut running = Running(child);
    let mut output = BufReader::new(running.0.stdout.take().expect("it was piped just now"));
    let mut line = String::new();
    output.read_line(&mut line)?;
    let url = line.trim().strip_prefix(GREETING).ok_or_else(|| format!("s3-endpoint said {line:?}, not where it listens"))?;
    endpoint::check(&Endpoint { label: "builtin", url, keys: Keys::Own }, programs)
}
