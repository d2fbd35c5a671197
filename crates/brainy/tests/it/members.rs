//! This test binary, started again in the role of a member of some company: how members are started, what they say, and how they end.

use std::io::{BufReader, Write as _, stderr};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use brainy::Entropy as _;
use brainy_core::OsEntropy;

/// Longest silence of all members together.
pub(crate) const SILENCE: Duration = Duration::from_secs(120);

/// What a member said: its number, which life of it, and the words; none when the life is over.
pub(crate) type Heard<S> = (usize, usize, Option<S>);

/// Standard error is not captured by the harness of a single test run with `--nocapture`, and nothing else writes there.
pub(crate) fn say(line: &str) {
    // In one piece: a process that is killed may leave half a line, not a mixed one.
    stderr().lock().write_all(format!("{line}\n").as_bytes()).expect("the parent listens");
}

/// Starts this binary with the variable `role` set, as the test called `test`; with what it says.
pub(crate) fn start_in_role(test: &str, role: (&str, &str)) -> (Child, BufReader<ChildStderr>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(role.0, role.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    (child, lines)
}

/// The seed of this run: `BRAINY_TEST_SEED`, else a fresh one.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 8];
    OsEntropy.fill(&mut bytes);
    std::env::var("BRAINY_TEST_SEED").map_or(u64::from_le_bytes(bytes) >> 16, |seed| seed.parse().unwrap())
}

/// SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// One life of a member.
pub(crate) struct Life {
    pub(crate) child: Child,
    pub(crate) number: usize,
    /// It has said everything.
    pub(crate) ended: bool,
}

impl Life {
    /// Starts this binary with the variable `role` set, as the test called `test`; what it says is sent on, as far as `read` understands it.
    pub(crate) fn start<S: Send + 'static>(
        role: (&str, &str),
        test: &str,
        member: usize,
        number: usize,
        read: fn(&str) -> Option<S>,
        sender: &Sender<Heard<S>>,
    ) -> Self {
        let (child, lines) = start_in_role(test, role);
        let sender = sender.clone();
        thread::spawn(move || listen_to(member, number, lines, read, &sender));
        Self { child, number, ended: false }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // A test that fails must leave no process behind; one that is gone already is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn listen_to<S>(member: usize, life: usize, mut lines: impl std::io::BufRead, read: fn(&str) -> Option<S>, sender: &Sender<Heard<S>>) {
    let mut text = Vec::new();
    // Half a line was not said.
    while lines.read_until(b'\n', &mut text).is_ok() && text.last() == Some(&b'\n') {
        let line = String::from_utf8_lossy(&text);
        match read(line.trim_end()) {
            Some(said) => drop(sender.send((member, life, Some(said)))),
            None => println!("member {member}: {}", line.trim_end()),
        }
        text.clear();
    }
    // The parent may be gone already, by a failed check.
    drop(sender.send((member, life, None)));
}
