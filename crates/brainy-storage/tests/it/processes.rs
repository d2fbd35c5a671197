//! Several processes use one directory, and die in it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use brainy_core::{Clock, ContentHash, Entropy, Nonce, OsEntropy, SeededEntropy, SystemClock};
use brainy_storage::conditional::{Swapped, read, swap};
use brainy_storage::{Get, GetOptions, LocalOptions, LocalStore, Outcome, Precondition, Prefix, Store};
use bytes::Bytes;
use futures_executor::block_on;

use crate::support::{Counter, Scratch, key};

const ROLE: &str = "BRAINY_STORAGE_CHILD_ROLE";
const ROOT: &str = "BRAINY_STORAGE_CHILD_ROOT";
const SEED: &str = "BRAINY_STORAGE_CHILD_SEED";
/// What a child's lines begin with, so that the test harness' own are told apart.
const MARK: &str = "child:";

/// This test binary again, in the role of a child.
fn start(role: &str, root: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", "processes::child", "--nocapture", "--test-threads", "1"])
        .env(ROLE, role)
        .env(ROOT, root)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process can start itself")
}

/// What the child says, line by line, until its pipe closes.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let pipe = child.stdout.take().expect("its output is piped");
    BufReader::new(pipe).lines().map_while(Result::ok).filter_map(|line| line.split_once(MARK).map(|(_, said)| said.to_owned()))
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{text}").and_then(|()| out.flush()).expect("the parent reads until the child ends");
}

/// The children's side; in an ordinary run there is no role and nothing to do.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let root = std::env::var(ROOT).unwrap();
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    let store = LocalStore::open(root, LocalOptions::default()).unwrap();
    match role.as_str() {
        "count" => count(&store, seed),
        "create" => create_all(&store, seed),
        "write" => write_for_ever(&store, seed),
        role => panic!("no role {role}"),
    }
    say("end");
}

const INCREMENTS: u64 = 40;

fn count(store: &LocalStore, seed: u64) {
    let deadline = SystemClock.now().after(Duration::from_secs(120));
    let name = key("ctl/counter");
    let mut done = 0;
    while done < INCREMENTS {
        let found = block_on(read(store, &SystemClock, &OsEntropy, &name, GetOptions::whole(), deadline)).unwrap().value;
        let Get::Found(found) = found else { panic!("the counter is gone") };
        let mark = format!("{seed}-{}", Nonce::random(&OsEntropy));
        let body = Counter::decode(&found.bytes).raised(&mark).encode();
        let standing = |bytes: &[u8]| Counter::standing(bytes, &mark);
        match block_on(swap(store, &SystemClock, &OsEntropy, &name, body, found.revision, &standing, deadline)).unwrap().value {
            Swapped::Committed(_) | Swapped::Superseded => done += 1,
            Swapped::Rejected => {}
            Swapped::Unknown(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_counter_that_eight_processes_raise_is_exact() {
    let scratch = Scratch::new();
    let store = LocalStore::open(scratch.path(), LocalOptions::default()).unwrap();
    block_on(store.put(&key("ctl/counter"), Counter::default().encode(), Precondition::IfAbsent)).unwrap();
    let mut children = (0..8).map(|seed| start("count", scratch.path(), seed)).collect::<Vec<_>>();
    for child in &mut children {
        assert_eq!(lines(child).last().as_deref(), Some("end"));
        assert!(child.wait().unwrap().success());
    }
    let Get::Found(found) = block_on(store.get(&key("ctl/counter"), GetOptions::whole())).unwrap().value else { panic!() };
    assert_eq!(Counter::decode(&found.bytes).total, 8 * INCREMENTS);
}

const SLOTS: u64 = 60;

fn create_all(store: &LocalStore, seed: u64) {
    for slot in 0..SLOTS {
        let name = key(format!("log/{}/{slot:04}", slot % 7));
        match block_on(store.put(&name, Bytes::from(format!("{seed}")), Precondition::IfAbsent)).unwrap().value {
            Outcome::Committed(_) => say(&format!("{slot}")),
            Outcome::Rejected => {}
            Outcome::Unknown(error) => panic!("{error}"),
        }
    }
}

#[test]
fn of_eight_processes_that_create_one_name_exactly_one_wins() {
    let scratch = Scratch::new();
    let mut children = (0..8).map(|seed| start("create", scratch.path(), seed)).collect::<Vec<_>>();
    let mut winners = BTreeMap::new();
    for (seed, child) in children.iter_mut().enumerate() {
        let said = lines(child).collect::<Vec<_>>();
        assert_eq!(said.last().map(String::as_str), Some("end"), "{said:?}");
        for slot in &said[..said.len() - 1] {
            let before = winners.insert(slot.parse::<u64>().unwrap(), seed);
            assert_eq!(before, None, "slot {slot} was won twice");
        }
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(winners.len() as u64, SLOTS);
    let store = LocalStore::open(scratch.path(), LocalOptions::default()).unwrap();
    for (slot, seed) in winners {
        let name = key(format!("log/{}/{slot:04}", slot % 7));
        let Get::Found(found) = block_on(store.get(&name, GetOptions::whole())).unwrap().value else { panic!("slot {slot} is gone") };
        assert_eq!(found.bytes, seed.to_string());
    }
}

const PLACES: u64 = 3;

/// A body that shows whether it is whole: its hash, its number, and bytes of a length that differs each time.
fn stamped(number: u64) -> Bytes {
    let filler = (0..(number * 7_919) % 60_000).map(|at| (at % 251) as u8 as char).filter(char::is_ascii).collect::<String>();
    let text = format!("{number} {filler}");
    format!("{} {text}", ContentHash::of(text.as_bytes())).into()
}

/// The number of a whole body.
fn number(bytes: &[u8]) -> u64 {
    let (hash, text) = bytes.split_at_checked(65).expect("a body begins with its hash");
    assert_eq!(ContentHash::of(text).to_string().as_bytes(), &hash[..64], "the object is torn");
    std::str::from_utf8(text).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Creates, compare-and-swaps and overwrites, each said before it begins and after it was acknowledged.
fn write_for_ever(store: &LocalStore, seed: u64) {
    let entropy = SeededEntropy::new(seed);
    let fresh = Nonce::random(&OsEntropy);
    for at in 0..100_000_u64 {
        let draw = (entropy.fraction() * 3.0) as u64;
        let place = (entropy.fraction() * PLACES as f64) as u64;
        let name = if draw == 0 { format!("log/{fresh}/{at}") } else { format!("ctl/{place}") };
        let (next, precondition) = match (draw, block_on(store.get(&key(&name), GetOptions::whole())).unwrap().value) {
            (_, Get::Found(found)) if draw == 1 => (number(&found.bytes) + 1, Precondition::IfMatch(found.revision)),
            (_, Get::Found(found)) => (number(&found.bytes) + 1, Precondition::None),
            (0, _) => (at, Precondition::IfAbsent),
            _ => (1, Precondition::None),
        };
        say(&format!("begin {name} {next}"));
        let outcome = block_on(store.put(&key(&name), stamped(next), precondition)).unwrap().value;
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
        say(&format!("end {name} {next}"));
    }
}

#[test]
fn a_process_killed_at_any_moment_leaves_whole_objects_and_everything_it_acknowledged() {
    let scratch = Scratch::new();
    let chance = SeededEntropy::new(7);
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut in_flight = 0;
    for round in 0..25 {
        let mut child = start("write", scratch.path(), round);
        let stop = 1 + (chance.fraction() * 40.0) as usize;
        let pause = Duration::from_micros((chance.fraction() * 1_500.0) as u64);
        let mut said = lines(&mut child);
        let mut begun: Option<(String, u64)> = None;
        let mut hear = |line: String| {
            let mut words = line.split(' ').map(str::to_owned);
            let (what, name, number) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap().parse().unwrap());
            if what == "begin" {
                begun = Some((name, number));
            } else {
                assert_eq!(begun.take(), Some((name.clone(), number)));
                acknowledged.insert(name, number);
            }
        };
        said.by_ref().take(stop).for_each(&mut hear);
        // A moment of no particular relation to the child's steps.
        block_on(SystemClock.sleep(pause));
        child.kill().unwrap();
        said.for_each(&mut hear);
        child.wait().unwrap();
        in_flight += usize::from(begun.is_some());

        let store = LocalStore::open(scratch.path(), LocalOptions::default()).unwrap();
        assert_eq!(std::fs::read_dir(scratch.path().join("+temporary")).unwrap().count(), 0, "leftovers are swept at open");
        for (name, told) in &acknowledged {
            let found = match block_on(store.get(&key(name), GetOptions::whole())).unwrap().value {
                Get::Found(object) => number(&object.bytes),
                found => panic!("round {round}: {name} is lost: {found:?}"),
            };
            let begun_here = begun.as_ref().is_some_and(|(begun, next)| begun == name && *next == found);
            assert!(found == *told || begun_here, "round {round}: {name} is at {found}, acknowledged was {told}");
        }
        // What was under way is there whole or not at all; then it counts as if it had been acknowledged.
        let limit = NonZeroUsize::new(100_000).unwrap();
        for entry in block_on(store.list(&Prefix::root(), None, limit)).unwrap().value.entries {
            let Get::Found(found) = block_on(store.get(&entry.key, GetOptions::whole())).unwrap().value else { panic!("listed and gone") };
            acknowledged.insert(entry.key.to_string(), number(&found.bytes));
        }
    }
    assert!(in_flight > 5, "only {in_flight} of 25 were killed in the middle of a request");
    assert!(acknowledged.len() > 20);
}
