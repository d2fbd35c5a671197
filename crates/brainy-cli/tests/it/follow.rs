//! Output that goes on, and readers that stop.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::world::{World, id};

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// A following command, read line by line; killed if it is still there at the end of the test.
pub(crate) struct Follower {
    child: Child,
    lines: Receiver<String>,
    reader: Option<JoinHandle<ChildStdout>>,
}

impl Follower {
    /// Reads `most` lines, then holds the pipe open without reading.
    pub(crate) fn start(world: &World, args: &[&str], most: usize) -> Self {
        let mut child = world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command can be run");
        let stdout = child.stdout.take().expect("the command can be run");
        let (send, lines) = channel();
        let reader = std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            for _ in 0..most {
                let mut line = String::new();
                if stdout.read_line(&mut line).expect("the command prints UTF-8") == 0 || send.send(line).is_err() {
                    break;
                }
            }
            stdout.into_inner()
        });
        Self { child, lines, reader: Some(reader) }
    }

    /// The next line.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("the command prints the next line in time")
    }

    /// Closes the pipe and waits for the end; what was said on standard error.
    pub(crate) fn leave(mut self) -> (ExitStatus, String) {
        drop(self.reader.take().expect("the command can be run").join().expect("the command can be run"));
        let mut stderr = self.child.stderr.take().expect("the command can be run");
        let (send, ended) = channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("the command prints UTF-8");
            drop(send.send(text));
        });
        // Standard error ends with the process.
        let text = ended.recv_timeout(DEADLINE).expect("the command ends when nobody reads any more");
        (self.child.wait().expect("the command can be run"), text)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn seq(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).expect("the command prints the JSON that is promised")["seq"]
        .as_u64()
        .expect("the command prints the JSON that is promised")
}

#[test]
fn following_shows_what_others_write_and_ends_when_nobody_reads() {
    let world = World::with_sample();
    let tail = world.json(&["log", "store"]).last().unwrap()["seq"].as_u64().unwrap();
    let follower = Follower::start(&world, &["log", "store", "--follow", "--json", "--from", &tail.to_string()], 3);
    assert_eq!(seq(&follower.line()), tail);
    for (number, next) in [(20, tail + 1), (30, tail + 2)] {
        world.ok(&["delete", "store", &id(number), "--detach"]);
        let line = follower.line();
        assert_eq!(seq(&line), next);
        assert!(line.contains(&format!("\"id\":\"{}\"", id(number))), "{line}");
    }
    // Nothing more is written, so only the closed pipe can end it.
    let (status, text) = follower.leave();
    assert_eq!((status.code(), text.as_str()), (Some(0), ""));
}

#[test]
fn following_ends_at_its_limit() {
    let world = World::with_store();
    let follower = Follower::start(&world, &["log", "store", "--follow", "--limit", "1"], 3);
    assert!(follower.line().starts_with("    slot  time"));
    world.ok(&["delete", "store", "nothing"]);
    assert!(follower.line().contains("delete nothing"));
    let (status, text) = follower.leave();
    assert_eq!((status.code(), text.as_str()), (Some(0), ""));
}

#[test]
fn a_reader_that_leaves_early_is_no_fault() {
    let world = World::with_sample();
    for args in
        [&["log", "store", "--from", "1"][..], &["search", "store", "--like", "item-9", "-k", "50"], &["stats", "store"], &["--help"]]
    {
        let (read, write) = std::io::pipe().unwrap();
        // The reading end is closed before the command begins.
        drop(read);
        let output = world.command(args).stdout(write).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert!(output.status.success(), "{args:?}: {}", output.status);
    }
}
