//! A transaction as it was read: what applying it needs of its bytes.

use brainy_core::{Incident, MissingEnds, NounDraft, NounId, Operation, Precondition, VerbDraft, VerbId, decode_and_fingerprint};

/// The operations of a transaction, read once, however often it is tried; made by [`decode`](brainy_coordination::StateMachine::decode) of an
/// [`Engine`](crate::Engine).
pub struct Command {
    /// None: bytes that this build cannot read, so that the transaction is rejected.
    pub(crate) steps: Option<Vec<Step>>,
}

/// One operation.
pub(crate) enum Step {
    /// With the fingerprint of the content that the noun will have.
    PutNoun(NounDraft, u128, Precondition),
    DeleteNoun(NounId, Incident, Precondition),
    /// With the verb's effective id, and the fingerprint of the content that it will have.
    PutVerb(VerbDraft, VerbId, u128, Precondition, MissingEnds),
    DeleteVerb(VerbId, Precondition),
    Clear,
    /// A kind that this build does not know.
    Unknown,
}

impl Command {
    pub(crate) fn decode(payload: &[u8]) -> Self {
        let operations = decode_and_fingerprint(payload).ok();
        Self { steps: operations.map(|operations| operations.into_iter().map(Step::new).collect()) }
    }
}

impl Step {
    fn new((operation, fingerprint): (Operation, u128)) -> Self {
        match operation {
            Operation::PutNoun { noun, precondition } => Self::PutNoun(noun, fingerprint, precondition),
            Operation::DeleteNoun { id, incident, precondition } => Self::DeleteNoun(id, incident, precondition),
            Operation::PutVerb { verb, precondition, missing } => {
                let id = verb.effective_id();
                Self::PutVerb(verb, id, fingerprint, precondition, missing)
            }
            Operation::DeleteVerb { id, precondition } => Self::DeleteVerb(id, precondition),
            Operation::Clear => Self::Clear,
            _ => Self::Unknown,
        }
    }
}

/// Shows how many operations it has: what users write must not reach logs.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command").field("operations", &self.steps.as_ref().map(Vec::len)).finish()
    }
}
