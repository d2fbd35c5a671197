//! The wire as a store: no HTTP between the protocols and the bucket, for large sweeps.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use brainy_core::ErrorKind;
use brainy_storage::{
    Answer, Capabilities, Get, GetOptions, Key, Operation, Outcome, Page, Precondition, Prefix, Store, StoreError, StoreResult,
};
use bytes::Bytes;

use crate::bucket::{Request, Response};
use crate::scheduler::ProcessId;
use crate::wire::{Delivered, Reply, Wire};

/// One process's store over a [`Wire`]. Replies mean what they mean in `brainy-storage-s3`: a refusal is a refusal, and after anything else than a success a
/// write is in doubt.
#[derive(Clone, Debug)]
pub struct FastStore {
    wire: Wire,
    process: ProcessId,
}

impl FastStore {
    /// The store as `process` sees it.
    pub const fn new(wire: Wire, process: ProcessId) -> Self {
        Self { wire, process }
    }

    async fn send(&self, request: Request) -> Delivered {
        self.wire.send(self.process, request).await
    }
}

fn failed(operation: Operation, subject: impl std::fmt::Display, delivered: &Delivered) -> StoreError {
    let (kind, reason) = match &delivered.reply {
        Reply::SlowDown => (ErrorKind::Overloaded, "503 SlowDown"),
        Reply::InternalError => (ErrorKind::Unavailable, "500 InternalError"),
        Reply::Conflict => (ErrorKind::Unavailable, "409 ConditionalRequestConflict"),
        Reply::Reset => (ErrorKind::Unavailable, "the connection was reset"),
        Reply::NoReply => (ErrorKind::Unavailable, "no reply in time"),
        Reply::Truncated(_) => (ErrorKind::Unavailable, "the reply was cut off"),
        Reply::Response(Response::OutOfRange) => (ErrorKind::Invalid, "416: the range begins at the object's end or beyond"),
        Reply::Response(_) => (ErrorKind::Unavailable, "a reply that does not fit the request"),
    };
    StoreError::new(kind, operation, subject, reason).at(delivered.date)
}

#[async_trait]
impl Store for FastStore {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        let GetOptions { range, if_changed_from, .. } = options;
        let delivered = self.send(Request::Get { key: key.clone(), range, if_changed_from }).await;
        match delivered.reply {
            Reply::Response(Response::Found(object)) => Ok(Answer::new(Get::Found(object), delivered.date)),
            Reply::Response(Response::NotModified) => Ok(Answer::new(Get::NotModified, delivered.date)),
            Reply::Response(Response::Absent) => Ok(Answer::new(Get::Absent, delivered.date)),
            _ => Err(failed(Operation::Get, key, &delivered)),
        }
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        let request = Request::Put { key: key.clone(), body: Bytes::copy_from_slice(&body), condition: precondition };
        let delivered = self.send(request).await;
        let outcome = match &delivered.reply {
            Reply::Response(Response::Written(revision)) => Outcome::Committed(revision.clone()),
            Reply::Response(Response::Refused | Response::Absent) => Outcome::Rejected,
            _ => Outcome::Unknown(failed(Operation::Put, key, &delivered)),
        };
        Ok(Answer::new(outcome, delivered.date))
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        let delivered = self.send(Request::List { prefix: prefix.clone(), after: after.cloned(), limit }).await;
        match delivered.reply {
            Reply::Response(Response::Listed(page)) => Ok(Answer::new(page, delivered.date)),
            _ => Err(failed(Operation::List, prefix, &delivered)),
        }
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.delete_many(std::slice::from_ref(key)).await
    }

    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        let Some(first) = keys.first() else { return Ok(Answer::new((), None)) };
        let delivered = self.send(Request::Delete { keys: keys.to_vec() }).await;
        match delivered.reply {
            Reply::Response(Response::Deleted) => Ok(Answer::new((), delivered.date)),
            _ => Err(failed(Operation::Delete, first, &delivered)),
        }
    }

    fn location(&self) -> String {
        "sim://bucket".into()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        (capabilities.has_time, capabilities.linearizable_list, capabilities.shared) = (true, true, true);
        capabilities
    }
}
