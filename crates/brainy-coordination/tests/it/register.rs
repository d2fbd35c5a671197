//! A small state machine with an oracle: named numbers that are put if absent, compared and set, or added to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use brainy_coordination::{Context, MachineError, Rejection, Retired, StateMachine, Summary, Transaction, Verdict};
use brainy_core::{ContentHash, SetHash, Version};

/// One change; each carries a label of its own, so that its effects can be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    PutIfAbsent(String, i64),
    CompareAndSet(String, i64, i64),
    Add(String, i64),
}

impl Change {
    pub(crate) fn transaction(&self, label: u64) -> Transaction {
        let text = match self {
            Self::PutIfAbsent(key, value) => format!("put {key} {value} {label}"),
            Self::CompareAndSet(key, from, to) => format!("cas {key} {from} {to} {label}"),
            Self::Add(key, by) => format!("add {key} {by} {label}"),
        };
        Transaction::payload(text)
    }

    fn parse(payload: &[u8]) -> Option<(Self, u64)> {
        let words: Vec<_> = std::str::from_utf8(payload).ok()?.trim_end().split(' ').collect();
        let number = |text: &str| text.parse::<i64>().ok();
        let change = match words.as_slice() {
            ["put", key, value, _] => Self::PutIfAbsent((*key).into(), number(value)?),
            ["cas", key, from, to, _] => Self::CompareAndSet((*key).into(), number(from)?, number(to)?),
            ["add", key, by, _] => Self::Add((*key).into(), number(by)?),
            _ => return None,
        };
        Some((change, words.last()?.parse().ok()?))
    }

    fn key(&self) -> &str {
        let (Self::PutIfAbsent(key, _) | Self::CompareAndSet(key, ..) | Self::Add(key, _)) = self;
        key
    }

    /// The key's new value; none: the precondition does not hold.
    pub(crate) fn result(&self, present: Option<i64>) -> Option<i64> {
        match (self, present) {
            (Self::PutIfAbsent(_, value), None) => Some(*value),
            (Self::CompareAndSet(_, from, to), present) if present.unwrap_or(0) == *from => Some(*to),
            (Self::Add(_, by), present) => Some(present.unwrap_or(0) + by),
            _ => None,
        }
    }
}

/// One change that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) at: Version,
    pub(crate) label: u64,
    pub(crate) change: Change,
}

#[derive(Debug, Default)]
struct Inner {
    values: BTreeMap<String, i64>,
    digest: SetHash,
    effects: Vec<Effect>,
    /// So many effects were confirmed.
    confirmed: usize,
    panic_at_install: bool,
}

/// The machine. It also keeps every effect in order, for the test.
#[derive(Debug, Default)]
pub(crate) struct Register(Mutex<Inner>);

/// The values that a slot's changes touch.
#[derive(Debug)]
pub(crate) struct View {
    values: BTreeMap<String, Option<i64>>,
    keys: u64,
    digest: SetHash,
    effects: Vec<Effect>,
}

fn element(key: &str, value: i64) -> ContentHash {
    ContentHash::of_parts(&[key.as_bytes(), &value.to_le_bytes()])
}

impl Register {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &str) -> i64 {
        self.lock().values.get(key).copied().unwrap_or(0)
    }

    pub(crate) fn values(&self) -> BTreeMap<String, i64> {
        self.lock().values.clone()
    }

    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.lock().effects.clone()
    }

    /// How many effects readers may see.
    pub(crate) fn confirmed(&self) -> usize {
        self.lock().confirmed
    }

    pub(crate) fn panic_at_next_install(&self) {
        self.lock().panic_at_install = true;
    }
}

#[async_trait]
impl StateMachine for Register {
    type Command = Option<(Change, u64)>;
    type View = View;

    fn decode(payload: &[u8]) -> Self::Command {
        Change::parse(payload)
    }

    async fn fetch(&self, commands: &[&Self::Command]) -> Result<View, MachineError> {
        let inner = self.lock();
        let keys = commands.iter().filter_map(|command| command.as_ref()).map(|(change, _)| change.key().to_owned());
        let values = keys.map(|key| (key.clone(), inner.values.get(&key).copied())).collect();
        Ok(View { values, keys: inner.values.len() as u64, digest: inner.digest, effects: Vec::new() })
    }

    fn apply(view: &mut View, context: Context, command: &Self::Command) -> Verdict {
        let Some((change, label)) = command.clone() else {
            return Verdict::Rejected(Rejection { operation: 0, code: 1 });
        };
        let present = view.values.get_mut(change.key()).expect("fetched");
        let Some(value) = change.result(*present) else { return Verdict::Rejected(Rejection { operation: 0, code: 2 }) };
        match *present {
            Some(old) => view.digest.remove(&element(change.key(), old)),
            None => view.keys += 1,
        }
        view.digest.insert(&element(change.key(), value));
        *present = Some(value);
        view.effects.push(Effect { at: context.version, label, change });
        Verdict::Effective { changed: 1 }
    }

    fn summary_of(view: &View) -> Summary {
        Summary { counters: view.keys.to_le_bytes().to_vec(), digest: view.digest }
    }

    fn install(&self, view: View, _position: Version) -> Retired {
        let mut inner = self.lock();
        assert!(!inner.panic_at_install, "as the test wished");
        inner.values.extend(view.values.into_iter().filter_map(|(key, value)| Some((key, value?))));
        inner.digest = view.digest;
        inner.effects.extend(view.effects);
        Retired::default()
    }

    fn confirm(&self) -> Retired {
        let mut inner = self.lock();
        inner.confirmed = inner.effects.len();
        Retired::default()
    }

    fn summary(&self) -> Summary {
        let inner = self.lock();
        Summary { counters: (inner.values.len() as u64).to_le_bytes().to_vec(), digest: inner.digest }
    }

    fn snapshot(&self) -> Vec<u8> {
        serde_json::to_vec(&self.values()).expect("a map of numbers")
    }

    fn restore(&self, snapshot: &[u8]) -> Result<(), MachineError> {
        let values: BTreeMap<String, i64> = serde_json::from_slice(snapshot).map_err(|error| MachineError { reason: error.to_string() })?;
        let mut digest = SetHash::EMPTY;
        values.iter().for_each(|(key, value)| digest.insert(&element(key, *value)));
        *self.lock() = Inner { values, digest, ..Inner::default() };
        Ok(())
    }
}
