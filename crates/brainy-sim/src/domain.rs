//! What a simulated service does with a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brainy_coordination::{Space, StateMachine};
use brainy_core::Metric;

use crate::accounts::{Accounts, Command, Kind};
use crate::history::Events;
use crate::linear;
use crate::random::Random;

/// Who writes a command.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    /// The process's number.
    pub process: u32,
    /// The command's number among all of the run.
    pub unique: u64,
}

/// A state machine, and commands for it that mean something together.
pub trait Domain: std::fmt::Debug + Send + Sync + 'static {
    /// The machine.
    type Machine: StateMachine;

    /// The store's vector spaces.
    fn spaces(&self) -> Vec<Space>;

    /// An empty machine.
    fn machine(&self) -> Arc<Self::Machine>;

    /// A command, drawn with the present state at hand.
    fn command(&self, random: &mut Random, machine: &Self::Machine, author: Author) -> Vec<u8>;

    /// The number that [`Author::unique`] was when the command was drawn.
    fn unique_of(&self, payload: &[u8]) -> Option<u64>;

    /// What is wrong with a state by the domain's own laws, counters included.
    fn audit(&self, machine: &Self::Machine) -> Option<String>;

    /// What is wrong with a final state that the commands which took effect, in the order of the log, must have led to, told by the domain's own laws and not by
    /// the machine.
    fn recount(&self, effective: &[&[u8]], machine: &Self::Machine) -> Option<String> {
        let _ = (effective, machine);
        None
    }

    /// Whether some order explains what the callers were told, found without the log; none where that is not searched for.
    fn explains(&self, events: &Events) -> Option<bool> {
        let _ = events;
        None
    }
}

/// A bank whose sum never changes, accounts that many want to open at once, counters, and registers.
#[derive(Clone, Copy, Debug)]
pub struct Bank {
    /// One command in so many is padded to this many bytes, which makes a blob of its batch.
    pub padded: Option<(u64, usize)>,
}

const ACCOUNTS: u16 = 8;
const OPENING: i64 = 100;
const UNIQUE: u16 = 1_000;
const COUNTERS: u16 = 2_000;
const REGISTERS: u16 = 3_000;

impl Domain for Bank {
    type Machine = Accounts;

    fn spaces(&self) -> Vec<Space> {
        vec![Space::nouns(1, Metric::L2)]
    }

    fn machine(&self) -> Arc<Accounts> {
        Arc::default()
    }

    fn command(&self, random: &mut Random, _machine: &Accounts, author: Author) -> Vec<u8> {
        let account = |random: &mut Random, first: u16, count: u16| first + u16::try_from(random.below(u64::from(count))).expect("small");
        let unique = author.unique;
        let command = match random.below(12) {
            // Once they are open this is refused: the cheapest command that is rejected by everybody alike.
            10 | 11 => Command { unique, kind: Kind::Open, a: account(random, 0, ACCOUNTS), b: 0, amount: OPENING },
            0..5 => {
                let (a, b) = (account(random, 0, ACCOUNTS), account(random, 0, ACCOUNTS));
                Command { unique, kind: Kind::Transfer, a, b, amount: 1 + random.below(60).cast_signed() }
            }
            5 => Command { unique, kind: Kind::Open, a: account(random, UNIQUE, 6), b: 0, amount: 0 },
            6 => Command { unique, kind: Kind::Close, a: account(random, UNIQUE, 6), b: 0, amount: 0 },
            7 | 8 => Command { unique, kind: Kind::Count, a: account(random, COUNTERS, 3), b: 0, amount: 0 },
            _ => {
                let (a, b) = (account(random, REGISTERS, 2), account(random, 0, 3));
                Command { unique, kind: Kind::CompareAndSet, a, b, amount: random.below(3).cast_signed() }
            }
        };
        let padding = self.padded.filter(|(every, _)| random.below(*every) == 0).map_or(0, |(_, bytes)| bytes);
        command.encode(padding)
    }

    fn unique_of(&self, payload: &[u8]) -> Option<u64> {
        Command::decode(payload).map(|command| command.unique)
    }

    fn audit(&self, machine: &Accounts) -> Option<String> {
        let book = machine.book();
        let accounts = book.balances().range(..ACCOUNTS);
        let (count, sum) = accounts.fold((0, 0), |(count, sum), (_, balance)| (count + 1, sum + balance));
        // While the accounts are being opened there are fewer.
        (sum != OPENING * count).then(|| format!("{count} accounts hold {sum} instead of {}", OPENING * count))
    }

    /// Counters hold how often they were counted up, an id is taken by one at a time, and registers hold what the last one set who saw the one before.
    fn recount(&self, effective: &[&[u8]], machine: &Accounts) -> Option<String> {
        let (mut counted, mut taken, mut set) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        for command in effective.iter().filter_map(|payload| Command::decode(payload)) {
            let Command { unique, kind, a, b, amount } = command;
            match kind {
                Kind::Count => *counted.entry(a).or_insert(0) += 1,
                Kind::Open if !taken.insert(a) => return Some(format!("command {unique} took the id {a}, which was taken")),
                Kind::Close if !taken.remove(&a) => return Some(format!("command {unique} gave the id {a} back, which nobody had")),
                Kind::CompareAndSet if set.insert(a, amount).unwrap_or(0) != i64::from(b) => {
                    return Some(format!("command {unique} set register {a}, which did not hold {b}"));
                }
                // What a lock guards is judged with the lock.
                Kind::Open | Kind::Close | Kind::CompareAndSet | Kind::Transfer | Kind::Set => {}
            }
        }
        let book = machine.book();
        let held = |first: u16| {
            book.balances().range(first..first + 1_000).map(|(account, balance)| (*account, *balance)).collect::<BTreeMap<_, _>>()
        };
        let ids = |first: u16| book.balances().range(first..first + 1_000).map(|(account, _)| *account).collect::<BTreeSet<_>>();
        if held(COUNTERS) != counted {
            return Some(format!("the counters are {:?} and were counted to {counted:?}", held(COUNTERS)));
        }
        if held(REGISTERS) != set {
            return Some(format!("the registers hold {:?} and were set to {set:?}", held(REGISTERS)));
        }
        let there: BTreeSet<_> = ids(0).union(&ids(UNIQUE)).copied().collect();
        (there != taken).then(|| format!("the ids {there:?} are taken, and {taken:?} were"))
    }

    fn explains(&self, events: &Events) -> Option<bool> {
        linear::steps(events).and_then(|steps| linear::explains(&steps))
    }
}
