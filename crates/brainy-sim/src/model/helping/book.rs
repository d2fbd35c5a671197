//! The log of a model: every prefix is applied once, by the function that ships, and shared.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use brainy_coordination::internals::{Batch, COMPACTOR, Contents, IntentName, LoadedBatch, LogState, Order, apply};
use brainy_coordination::{
    Constants, Context, MachineError, OpId, ProtocolOperation, RULES, Rejection, Retired, StateMachine, Summary, Transaction, Truncation,
    Verdict,
};
use brainy_core::{ContentHash, Epoch, SequenceNumber, StoreId, WriterId};
use bytes::Bytes;

/// The store of every model.
pub(in super::super) const STORE: StoreId = StoreId::from_bytes([7; 16]);

/// What one transaction does to the one item that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Deed {
    /// Counts up: always effective.
    Add,
    /// Puts the item, if it is absent.
    Put,
    /// Deletes it, if it is there.
    Delete,
}

/// What a batch holds. Ordered, as batches are, by their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) enum What {
    /// Transaction of this number.
    Work(u8),
    /// Gives the batch up that holds this transaction, was formed at this base, and has this writer and number.
    Cancel { work: u8, base: u8, writer: u8, wseq: u8 },
    /// Claims this token of the `compactor` lease.
    Claim(u8),
    /// Publishes a manifest of this position, made under this token.
    Publish { seq: u8, token: u8 },
}

/// A batch: its bytes follow from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct Formed {
    pub(in super::super) base: u8,
    pub(in super::super) writer: u8,
    pub(in super::super) wseq: u8,
    pub(in super::super) what: What,
}

pub(in super::super) const fn writer_id(writer: u8) -> WriterId {
    let mut bytes = [0; 16];
    bytes[0] = writer;
    WriterId::from_bytes(bytes)
}

impl Formed {
    pub(in super::super) fn name(&self) -> IntentName {
        IntentName { base: self.base.into(), writer: writer_id(self.writer), wseq: self.wseq.into() }
    }
}

/// A slot as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct SlotSent {
    pub(in super::super) batches: Vec<Formed>,
    pub(in super::super) scan_base: u8,
    pub(in super::super) listed: Option<u8>,
}

/// A transaction that took effect: which, and in which slot.
pub(in super::super) type Effect = (u8, u8);

/// What the machine of the model holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Board {
    there: bool,
    pub(in super::super) done: Vec<Effect>,
}

#[derive(Debug)]
struct Machine;

#[async_trait]
impl StateMachine for Machine {
    type Command = Vec<u8>;
    type View = Board;

    fn decode(payload: &[u8]) -> Vec<u8> {
        payload.to_vec()
    }

    async fn fetch(&self, _commands: &[&Vec<u8>]) -> Result<Board, MachineError> {
        Err(MachineError { reason: "a model keeps its views".into() })
    }

    fn apply(view: &mut Board, context: Context, payload: &Vec<u8>) -> Verdict {
        let [work, deed] = payload.as_slice() else { return Verdict::Rejected(Rejection { operation: 0, code: Rejection::MALFORMED }) };
        let done = match deed {
            1 => !std::mem::replace(&mut view.there, true),
            2 => std::mem::replace(&mut view.there, false),
            _ => true,
        };
        if !done {
            return Verdict::Rejected(Rejection { operation: 0, code: 1 });
        }
        view.done.push((*work, u8::try_from(context.version.seq.get()).expect("a model's log is short")));
        Verdict::Effective { changed: 1 }
    }

    fn summary_of(_view: &Board) -> Summary {
        Summary::default()
    }

    fn install(&self, _view: Board, _position: brainy_core::Version) -> Retired {
        Retired::default()
    }

    fn summary(&self) -> Summary {
        Summary::default()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&self, _snapshot: &[u8]) -> Result<(), MachineError> {
        Ok(())
    }
}

/// A prefix of the log.
#[derive(Debug)]
struct Prefix {
    key: u64,
    before: Option<Log>,
    state: LogState,
    board: Board,
}

/// A prefix of the log, shared; equal ones have equal keys.
#[derive(Clone, Debug)]
pub(in super::super) struct Log(Arc<Prefix>);

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Hash for Log {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.key.hash(hasher);
    }
}

impl Log {
    pub(in super::super) fn len(&self) -> u8 {
        u8::try_from(self.0.state.position).expect("a model's log is short")
    }

    /// The prefix that ends with slot `position`.
    pub(in super::super) fn at(&self, position: u8) -> &Self {
        let mut log = self;
        while log.len() > position {
            log = log.0.before.as_ref().expect("only the empty log has none before it");
        }
        log
    }

    pub(in super::super) fn state(&self) -> &LogState {
        &self.0.state
    }

    pub(in super::super) fn board(&self) -> &Board {
        &self.0.board
    }
}

/// A batch as everybody reads it, and the name of its transaction.
type Named = (LoadedBatch<Vec<u8>>, OpId);

/// Prefixes that were applied and batches that were formed, of one run.
#[derive(Debug, Default)]
pub(in super::super) struct Library {
    prefixes: [Mutex<HashMap<u64, Log>>; 16],
    batches: Mutex<HashMap<Formed, Named>>,
}

/// A copy begins anew: what it holds is true under the rules of one run only.
impl Clone for Library {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Library {
    /// The empty log of a store with this H.
    pub(in super::super) fn empty(horizon: u64) -> Log {
        let constants = Constants::new(Truncation::Tombstone).with_horizon_slots(horizon);
        let state = LogState::new(STORE, Epoch::FIRST, 0, ContentHash::of(b"brainy.json"), RULES, &constants);
        Log(Arc::new(Prefix { key: 1, before: None, state, board: Board::default() }))
    }

    /// A batch as everybody reads it, and the name of its transaction. `deeds`: of each transaction.
    pub(in super::super) fn batch(&self, formed: Formed, deeds: &[Deed]) -> Named {
        if let Some(known) = self.batches.lock().unwrap_or_else(PoisonError::into_inner).get(&formed) {
            return known.clone();
        }
        let transaction = match formed.what {
            What::Work(work) => Transaction::payload(vec![work, deeds[usize::from(work)] as u8]),
            What::Cancel { work, base, writer, wseq } => {
                let (_, op) = self.batch(Formed { base, writer, wseq, what: What::Work(work) }, deeds);
                Transaction::protocol(ProtocolOperation::Cancel { op })
            }
            What::Claim(token) => Transaction::protocol(ProtocolOperation::LeaseClaim { name: COMPACTOR.into(), token: token.into() }),
            What::Publish { seq, token } => {
                let manifest = format!("manifest/{seq}-{token}");
                Transaction::protocol(ProtocolOperation::SnapshotPublished { seq: seq.into(), token: token.into(), manifest })
            }
        };
        let list = Bytes::from(format!("{:?}", formed.what));
        let batch = Batch::new(STORE, writer_id(formed.writer), formed.wseq.into(), formed.base.into(), 1, Contents::Inline(list));
        let op = OpId { writer: batch.writer, wseq: batch.wseq, index: 0, base: batch.base, hash: batch.hash };
        let loaded = LoadedBatch::new(batch, Ok(vec![Ok(Order::read::<Machine>(transaction))]));
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).insert(formed, (loaded.clone(), op));
        (loaded, op)
    }

    /// The log with one slot more.
    pub(in super::super) fn append(&self, log: &Log, slot: &SlotSent, deeds: &[Deed]) -> Log {
        let mut hasher = DefaultHasher::new();
        (log.0.key, slot).hash(&mut hasher);
        let key = hasher.finish();
        let shelf = &self.prefixes[usize::try_from(key % 16).expect("below 16")];
        if let Some(known) = shelf.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let seq = SequenceNumber::new(log.0.state.position + 1).expect("not 0");
        let batches: Vec<_> = slot.batches.iter().map(|formed| self.batch(*formed, deeds).0).collect();
        let staged =
            apply::<Machine>(&log.0.state, log.0.board.clone(), seq, 0, &batches).expect("everything in a model is known to this build");
        let mut state = log.0.state.clone();
        state.install(staged.delta, ContentHash::of(&key.to_le_bytes()), slot.scan_base.into(), staged.bits, Some(seq.get()));
        let longer = Log(Arc::new(Prefix { key, before: Some(log.clone()), state, board: staged.view }));
        shelf.lock().unwrap_or_else(PoisonError::into_inner).insert(key, longer.clone());
        longer
    }
}
