//! Writing: transactions, their outcomes, and what became of one.

use std::sync::Arc;

use brainy_coordination::{Fence, OpId, Outcome, Pending, Receipt, Transaction};
use brainy_core::{
    Incident, MAX_TRANSACTION_BYTES, MissingEnds, NounDraft, NounId, Operation, Precondition, ServiceTag, TypeName, VerbDraft, VerbId,
    Version, encode_operations,
};

use tracing::Instrument;

use crate::error::Error;
use crate::handle::Brainy;
use crate::options::Mode;

/// Operations that take effect together or not at all. Each id may be written once.
#[derive(Clone, Debug)]
#[must_use = "nothing is written before `commit` or `submit`"]
pub struct TransactionBuilder {
    pub(crate) handle: Brainy,
    operations: Vec<Operation>,
    pub(crate) fence: Option<Fence>,
}

impl TransactionBuilder {
    /// Writes a noun whole, whatever was there.
    pub fn put(self, noun: NounDraft) -> Self {
        self.put_with(noun, Precondition::None)
    }

    /// Writes a noun that does not exist yet.
    pub fn put_if_absent(self, noun: NounDraft) -> Self {
        self.put_with(noun, Precondition::Absent)
    }

    /// Writes a noun that is in this version.
    pub fn update_if_version(self, noun: NounDraft, version: Version) -> Self {
        self.put_with(noun, Precondition::Version(version))
    }

    /// Writes a noun under a precondition.
    pub fn put_with(self, mut noun: NounDraft, precondition: Precondition) -> Self {
        noun.service = noun.service.or_else(|| self.service());
        self.push(Operation::PutNoun { noun, precondition })
    }

    /// Deletes a noun; an absent one is no fault.
    pub fn delete(self, id: NounId, incident: Incident) -> Self {
        self.delete_with(id, incident, Precondition::None)
    }

    /// Deletes a noun under a precondition.
    pub fn delete_with(self, id: NounId, incident: Incident, precondition: Precondition) -> Self {
        self.push(Operation::DeleteNoun { id, incident, precondition })
    }

    /// Writes a verb between nouns that exist. With a derived id and equal content it changes nothing.
    pub fn relate(self, verb: VerbDraft) -> Self {
        self.relate_with(verb, Precondition::None)
    }

    /// Writes a verb under a precondition.
    pub fn relate_with(self, verb: VerbDraft, precondition: Precondition) -> Self {
        let verb = self.tagged(verb);
        self.push(Operation::PutVerb { verb, precondition, missing: MissingEnds::Refuse })
    }

    /// Writes a verb; ends that do not exist are made, as nouns of type `missing`.
    pub fn relate_creating(self, verb: VerbDraft, missing: TypeName) -> Self {
        let verb = self.tagged(verb);
        self.push(Operation::PutVerb { verb, precondition: Precondition::None, missing: MissingEnds::Create(missing) })
    }

    /// Deletes a verb; an absent one is no fault.
    pub fn delete_verb(self, id: VerbId) -> Self {
        self.push(Operation::DeleteVerb { id, precondition: Precondition::None })
    }

    /// Adds an operation as it is.
    pub fn push(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// How many operations.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    fn service(&self) -> Option<ServiceTag> {
        self.handle.defaults.service.clone()
    }

    fn tagged(&self, mut verb: VerbDraft) -> VerbDraft {
        verb.service = verb.service.or_else(|| self.service());
        verb
    }

    /// Sends it and waits for the outcome.
    ///
    /// # Errors
    /// Kind `Conflict` or `NotFound`: an operation did not fit the state, the transaction changed nothing; `OutcomeUnknown`: the deadline passed on the way,
    /// [`resolve`](Brainy::resolve) the operation the error names; `Withdrawn`: it had and will have no effect, send it anew; `Invalid`, `Overloaded`: nothing was sent.
    pub async fn commit(self) -> Result<Receipt, Error> {
        self.submit()?.wait().await
    }

    /// Hands it over without waiting for the outcome.
    ///
    /// # Errors
    /// Kind `Invalid`: an operation cannot be done in this store; `Overloaded`: too much is waiting; `Closed`. Nothing was sent, nor will be.
    pub fn submit(self) -> Result<Commit, Error> {
        let Self { handle, operations, fence } = self;
        handle.check()?;
        if operations.is_empty() {
            return Err(Error::invalid("transaction", "it has no operation"));
        }
        Operation::check_all(&operations).map_err(|error| Error::invalid("transaction", error))?;
        for operation in &operations {
            check(&handle, operation)?;
        }
        let payload = encode_operations(&operations);
        if payload.len() > MAX_TRANSACTION_BYTES {
            return Err(Error::invalid("transaction", format!("{} bytes, at most {MAX_TRANSACTION_BYTES} are allowed", payload.len())));
        }
        let items: Arc<[String]> = operations.iter().map(item_name).collect();
        let span = tracing::debug_span!(
            "brainy.commit",
            store = %handle.store_id(),
            operations = operations.len(),
            bytes = payload.len(),
            op = tracing::field::Empty,
            slot = tracing::field::Empty,
        );
        let mut transaction = Transaction::payload(payload);
        transaction.fence = fence;
        let pending = handle.log().submit(&transaction, handle.deadline())?;
        Ok(Commit { pending, items, handle, span })
    }
}

/// What an operation is about, for errors.
fn item_name(operation: &Operation) -> String {
    match operation {
        Operation::PutNoun { noun, .. } => format!("noun {:?}", noun.id),
        Operation::DeleteNoun { id, .. } => format!("noun {id:?}"),
        Operation::PutVerb { verb, .. } => match &verb.id {
            Some(id) => format!("verb {id:?}"),
            None => format!("verb {:?} {:?} {:?}", verb.source, verb.kind, verb.target),
        },
        Operation::DeleteVerb { id, .. } => format!("verb {id:?}"),
        _ => "the store".into(),
    }
}

/// What can be told before anything is sent.
fn check(handle: &Brainy, operation: &Operation) -> Result<(), Error> {
    let invalid = |error: &dyn std::fmt::Display| Err(Error::invalid(item_name(operation), error));
    let space = handle.engine().space();
    let (vector, dimension) = match operation {
        Operation::PutNoun { noun, .. } => (&noun.vector, Some(space.dimension)),
        Operation::PutVerb { verb, .. } => (&verb.vector, space.verb_dimension),
        _ => return Ok(()),
    };
    match (vector, dimension) {
        (None, _) => Ok(()),
        (Some(_), None) => invalid(&"this store keeps no vectors of verbs"),
        (Some(vector), Some(dimension)) => match vector.check(dimension, space.metric) {
            Ok(()) => Ok(()),
            Err(error) => invalid(&error),
        },
    }
}

/// A transaction on its way. Dropping it abandons the answer: if it was sent by then it takes effect all the same, else it never will.
#[must_use = "dropped before it is sent, it is never sent"]
pub struct Commit {
    pending: Pending,
    items: Arc<[String]>,
    handle: Brainy,
    span: tracing::Span,
}

/// Shows what it is about, never what it writes.
impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Commit({} operations on {:?})", self.items.len(), self.handle)
    }
}

impl Commit {
    /// Its name, as soon as its bytes are closed and before they are sent: note it down, and any process can find out what became of it. None if it was never sent.
    pub async fn op_id(&mut self) -> Option<OpId> {
        self.pending.op_id().await
    }

    /// Its outcome.
    ///
    /// # Errors
    /// As [`TransactionBuilder::commit`].
    pub async fn wait(self) -> Result<Receipt, Error> {
        let Self { pending, items, handle, span } = self;
        let outcome = pending.outcome().instrument(span.clone()).await;
        let outcome = outcome.map_err(|error| handle.check().err().unwrap_or_else(|| error.into()))?;
        let name = |at: u32| items.get(at as usize).cloned().unwrap_or_else(|| format!("operation {at}"));
        let _in_span = span.enter();
        match outcome {
            Outcome::Committed(receipt) => {
                span.record("op", tracing::field::display(receipt.op));
                span.record("slot", receipt.version.seq.get());
                tracing::debug!(version = %receipt.version, changed = receipt.changed, "committed");
                Ok(receipt)
            }
            Outcome::Rejected(withdrawal) => {
                let error = Error::withdrawn(withdrawal, name);
                tracing::debug!(%error, "not committed");
                Err(error)
            }
            Outcome::Unknown(op) => {
                span.record("op", tracing::field::display(op));
                tracing::warn!(%op, "the outcome of a transaction is not known at its deadline");
                Err(Error::OutcomeUnknown { op })
            }
        }
    }
}

/// What became of a transaction.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Resolution {
    /// It took effect, once.
    Committed(Receipt),
    /// It had and will have no effect; the error is the one that a waiting caller would have got.
    Rejected(Error),
    /// Nobody can tell yet: the handle only reads, or the deadline passed. Ask again.
    Undecided,
}

impl Brainy {
    /// A transaction to be filled.
    pub fn transaction(&self) -> TransactionBuilder {
        TransactionBuilder { handle: self.clone(), operations: Vec::new(), fence: None }
    }

    /// What became of the transaction `op`, whichever process sent it, this one in an earlier life included. One that is not decided yet is given up, so that
    /// the answer is final.
    ///
    /// # Errors
    /// Kind `NotFound`: it lies so far back that nobody can tell; `Invalid`: it is another store's, or a frozen handle does not see what became of anything;
    /// `RolledBack`: the log does not reach to where it was formed; else the log cannot be read. Asking again is safe.
    pub async fn resolve(&self, op: OpId) -> Result<Resolution, Error> {
        self.check()?;
        if self.mode() == Mode::Frozen {
            // To look it up is to apply what the log holds by now.
            return Err(Error::invalid("resolve", "a frozen handle stays where it is: ask another handle"));
        }
        let (log, deadline) = (self.log().clone(), self.deadline());
        let outcome = self.run(async move { Ok(log.resolve(op, deadline).await?) }).await?;
        Ok(match outcome {
            Outcome::Committed(receipt) => Resolution::Committed(receipt),
            Outcome::Rejected(withdrawal) => Resolution::Rejected(Error::withdrawn(withdrawal, |at| format!("operation {at} of {op}"))),
            Outcome::Unknown(_) => Resolution::Undecided,
        })
    }
}
