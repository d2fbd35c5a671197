//! What a simulated service does with a store.

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

    fn explains(&self, events: &Events) -> Option<bool> {
        linear::steps(events).and_then(|steps| linear::explains(&steps))
    }
}
