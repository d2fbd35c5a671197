//! Who is woken by whose commits. How soon is a matter of benches, and of virtual time where `brainy-coordination` tests it.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use brainy::storage::{InMemoryStore, Store};
use brainy::{Brainy, Clock as _, Metric, Mode};
use brainy_core::SystemClock;
use futures_executor::block_on;

use crate::members::start_in_role;
use crate::support::{Directory, quiet, thing};

/// The variable that makes a process a follower of the store at this URL.
const ROLE: &str = "BRAINY_TEST_FOLLOWER";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `db` stands at slot `seq` and was woken since it was woken `before` times; how often by now.
fn await_wake(db: &Brainy, seq: u64, before: u64) -> u64 {
    let until = SystemClock.now().after(PATIENCE);
    while db.position().seq < seq || db.figures().woken == before {
        assert!(SystemClock.now() < until, "slot {seq} woke nobody: {:?}", db.figures());
        block_on(SystemClock.sleep(Duration::from_millis(1)));
    }
    db.figures().woken
}

#[test]
fn handles_of_one_process_wake_each_other() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let writer = block_on(quiet(&store).create()).unwrap();
    let reader = block_on(quiet(&store).follow(true).mode(Mode::ReadOnly).open()).unwrap();
    let mut woken = 0;
    for name in ["a", "b"] {
        let receipt = block_on(writer.put(thing(name))).unwrap();
        woken = await_wake(&reader, receipt.token.seq, woken);
    }
}

/// What a follower process does: it says where it stands whenever it was woken, until it is told to end.
#[test]
fn a_follower_lives_here() {
    let Ok(url) = std::env::var(ROLE) else { return };
    let db = block_on(Brainy::builder(url).mode(Mode::ReadOnly).open()).unwrap();
    let say = |text: &str| std::io::stderr().write_all(format!("{text}\n").as_bytes()).expect("the parent listens");
    say("@ ready");
    let mut woken = 0;
    for slot in 1..=2 {
        woken = await_wake(&db, slot, woken);
        say(&format!("@ {slot}"));
    }
}

#[cfg(feature = "file-events")]
#[test]
fn a_commit_in_a_directory_wakes_another_process() {
    let folder = Directory::new();
    let writer = block_on(Brainy::builder(folder.url()).dimension(2).metric(Metric::L2).follow(false).create()).unwrap();
    let (mut child, lines) = start_in_role("wake::a_follower_lives_here", (ROLE, &folder.url()));
    let lines = lines.lines();
    let (sender, said) = channel();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok).filter(|line| line.starts_with("@ ")) {
            sender.send(line).ok();
        }
    });
    let mut heard = Vec::new();
    // The folder of slots comes into being with the first one.
    for name in ["a", "b", "c"] {
        let Ok(line) = said.recv_timeout(PATIENCE) else { break };
        heard.push(line);
        block_on(writer.put(thing(name))).unwrap();
    }
    child.kill().ok();
    child.wait().unwrap();
    reader.join().unwrap();
    assert_eq!(heard, ["@ ready", "@ 1", "@ 2"], "no event woke the other process");
}
