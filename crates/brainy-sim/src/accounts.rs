//! A small machine: accounts with balances. Cheap to copy, so that most of a sweep's time goes to the protocols.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use brainy_coordination::{Context, MachineError, Rejection, Retired, StateMachine, Summary, Verdict};
use brainy_core::{ContentHash, SetHash, Version};

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Moves `amount` from `a` to `b`, if `a` has as much.
    Transfer,
    /// Opens account `a` with `amount`, if there is none.
    Open,
    /// Closes account `a`, if it is empty.
    Close,
    /// Adds 1 to the counter `a`.
    Count,
    /// Sets register `a` to `amount`, if it holds `b`.
    CompareAndSet,
    /// Sets register `a` to `amount`, whatever it holds; its author had read `b`.
    Set,
}

const KINDS: [Kind; 6] = [Kind::Transfer, Kind::Open, Kind::Close, Kind::Count, Kind::CompareAndSet, Kind::Set];

/// One transaction of the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its number among all commands of a run.
    pub unique: u64,
    /// What it does.
    pub kind: Kind,
    /// The first account.
    pub a: u16,
    /// The second, or what a register must hold.
    pub b: u16,
    /// How much.
    pub amount: i64,
}

impl Command {
    /// Its bytes, with `padding` more that mean nothing.
    pub fn encode(&self, padding: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(21 + padding);
        bytes.extend(self.unique.to_le_bytes());
        bytes.push(self.kind as u8);
        bytes.extend(self.a.to_le_bytes());
        bytes.extend(self.b.to_le_bytes());
        bytes.extend(self.amount.to_le_bytes());
        bytes.resize(21 + padding, 0);
        bytes
    }

    /// The command in `bytes`; none if it is not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (unique, rest) = bytes.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let (a, rest) = rest.split_first_chunk::<2>()?;
        let (b, rest) = rest.split_first_chunk::<2>()?;
        let amount = rest.first_chunk::<8>()?;
        Some(Self {
            unique: u64::from_le_bytes(*unique),
            kind: *KINDS.get(usize::from(*kind))?,
            a: u16::from_le_bytes(*a),
            b: u16::from_le_bytes(*b),
            amount: i64::from_le_bytes(*amount),
        })
    }
}

/// The accounts as of one position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    balances: BTreeMap<u16, i64>,
    digest: SetHash,
}

impl Book {
    /// The balances.
    pub fn balances(&self) -> &BTreeMap<u16, i64> {
        &self.balances
    }

    /// Set hash over the accounts.
    pub fn digest(&self) -> SetHash {
        self.digest
    }

    fn set(&mut self, account: u16, balance: Option<i64>) {
        let element = |balance: i64| ContentHash::of_parts(&[&account.to_le_bytes(), &balance.to_le_bytes()]);
        let before = match balance {
            Some(balance) => self.balances.insert(account, balance),
            None => self.balances.remove(&account),
        };
        if let Some(before) = before {
            self.digest.remove(&element(before));
        }
        if let Some(balance) = balance {
            self.digest.insert(&element(balance));
        }
    }

    /// Does what the command says; how many accounts that changed, none if it cannot be done.
    pub fn apply(&mut self, command: &Command) -> Option<u32> {
        let Command { kind, a, b, amount, .. } = *command;
        let held = |account| self.balances.get(&account).copied();
        match kind {
            Kind::Transfer => {
                let (from, to) = (held(a).filter(|held| *held >= amount && a != b)?, held(b)?);
                self.set(a, Some(from - amount));
                self.set(b, Some(to + amount));
                Some(2)
            }
            Kind::Open => {
                if held(a).is_some() {
                    return None;
                }
                self.set(a, Some(amount));
                Some(1)
            }
            Kind::Close => {
                held(a).filter(|held| *held == 0)?;
                self.set(a, None);
                Some(1)
            }
            Kind::Count => {
                self.set(a, Some(held(a).unwrap_or(0) + 1));
                Some(1)
            }
            Kind::CompareAndSet => {
                if held(a).unwrap_or(0) != i64::from(b) {
                    return None;
                }
                self.set(a, Some(amount));
                Some(1)
            }
            Kind::Set => {
                self.set(a, Some(amount));
                Some(1)
            }
        }
    }

    fn summary(&self) -> Summary {
        let sum: i64 = self.balances.values().sum();
        let mut counters = (self.balances.len() as u64).to_le_bytes().to_vec();
        counters.extend(sum.to_le_bytes());
        Summary { counters, digest: self.digest }
    }
}

/// The machine.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<Book>);

impl Accounts {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present state.
    pub fn book(&self) -> Book {
        self.lock().clone()
    }
}

#[async_trait]
impl StateMachine for Accounts {
    type Command = Option<Command>;
    type View = Book;

    fn decode(payload: &[u8]) -> Option<Command> {
        Command::decode(payload)
    }

    async fn fetch(&self, _commands: &[&Option<Command>]) -> Result<Book, MachineError> {
        Ok(self.book())
    }

    fn apply(view: &mut Book, _context: Context, command: &Option<Command>) -> Verdict {
        match command.as_ref().and_then(|command| view.apply(command)) {
            Some(changed) => Verdict::Effective { changed },
            None => Verdict::Rejected(Rejection { operation: 0, code: 1 }),
        }
    }

    fn summary_of(view: &Book) -> Summary {
        view.summary()
    }

    fn install(&self, view: Book, _position: Version) -> Retired {
        *self.lock() = view;
        Retired::default()
    }

    fn summary(&self) -> Summary {
        self.lock().summary()
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (account, balance) in &self.lock().balances {
            bytes.extend(account.to_le_bytes());
            bytes.extend(balance.to_le_bytes());
        }
        bytes
    }

    fn restore(&self, snapshot: &[u8]) -> Result<(), MachineError> {
        let (entries, rest) = snapshot.as_chunks::<10>();
        if !rest.is_empty() {
            return Err(MachineError { reason: "no whole number of accounts".into() });
        }
        let mut book = Book::default();
        for [low, high, balance @ ..] in entries {
            book.set(u16::from_le_bytes([*low, *high]), Some(i64::from_le_bytes(*balance)));
        }
        *self.lock() = book;
        Ok(())
    }
}
