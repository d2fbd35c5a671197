//! A batch in play: its bytes are closed, the log has not decided it.

use brainy_core::codec;
use brainy_core::{ContentHash, WriterId};
use bytes::Bytes;

use crate::apply::LoadedBatch;
use crate::batch::{Batch, BlobReference, Contents};
use crate::committer::{ATTEMPT, Committer, may_pass};
use crate::decide::Identity;
use crate::decoding;
use crate::error::Error;
use crate::machine::StateMachine;
use crate::mutants::broken;
use crate::queue::Sent;
use crate::token::OpId;

/// A batch is closed at about so many bytes; a single larger transaction makes one of its own.
const BATCH_BYTES: usize = 4 << 20;

/// A batch that was closed and is not decided yet.
pub(super) struct Play<C> {
    pub(super) batch: Batch,
    /// The blob's body, where the transactions do not lie in the batch itself and it was not written yet.
    pub(super) blob: Option<Bytes>,
    /// Its transactions as every replica will read them.
    pub(super) loaded: LoadedBatch<C>,
    pub(super) sent: Vec<Sent>,
    /// It lies in the inbox since the log had this tail.
    pub(super) posted: Option<u64>,
    /// It may lie there, or may come there still: it is to be removed once it is decided.
    pub(super) left: bool,
    /// How often it lost a race.
    pub(super) tries: u32,
    /// A copy may lie in the log, or may come there still.
    pub(super) in_doubt: bool,
    /// It holds an operator's override, which is sent even by a replica that diverged.
    pub(super) overrides_digest: bool,
}

impl<C> Play<C> {
    /// The name of its first transaction.
    pub(super) const fn op(&self) -> OpId {
        let Batch { writer, wseq, base, hash, .. } = self.batch;
        OpId { writer, wseq, index: 0, base, hash }
    }

    /// The same transactions under another name: what must never be done, for a mutant.
    pub(super) fn under(self, writer: WriterId, wseq: u64) -> Self {
        let batch = Batch::new(self.batch.store, writer, wseq, self.batch.base, self.batch.count, self.batch.contents.clone());
        let loaded = match self.loaded {
            LoadedBatch::Known { orders, .. } => LoadedBatch::Known { batch: batch.clone(), orders },
            LoadedBatch::Undecodable => LoadedBatch::Undecodable,
        };
        Self { batch, loaded, posted: None, left: false, tries: 0, ..self }
    }
}

impl<M: StateMachine> Committer<'_, M> {
    /// Closes the bytes of the next batch, if somebody waits for one. What time may mend leaves everybody waiting until his deadline; any other failure refuses
    /// everything that waits. Nothing of it was sent.
    pub(super) async fn form(&mut self) -> Result<(), Error> {
        let shared = self.shared;
        match self.ready_to_write().await {
            Ok(()) => {}
            Err(error) if may_pass(&error) => {
                let environment = &shared.reader.environment;
                shared.queue.drop_abandoned(environment.clock.now());
                let pause = self.pace.back_off(false, environment.entropy.fraction());
                *shared.last_failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                self.beside(environment.clock.sleep(pause)).await;
                return shared.stopped().map_or(Ok(()), |cause| Err(Error::Closed { cause }));
            }
            Err(error) => {
                shared.queue.fail(&error);
                return Ok(());
            }
        }
        let mut tip = self.tip().await;
        // Others may have moved the tip meanwhile: the next round makes a fresh identity.
        let Some(writer) = self.writer.as_ref().filter(|writer| !writer.is_aged(&tip.state)) else { return Ok(()) };
        let base = tip.state.position;
        let picked = shared.queue.pick(shared.reader.environment.clock.now(), BATCH_BYTES);
        let overrides_digest = picked.overrides_digest();
        let transactions = picked.transactions();
        if transactions.is_empty() {
            picked.release();
            return Ok(());
        }
        let count = u32::try_from(transactions.len()).expect("a batch holds a bounded number of transactions");
        let list = Bytes::from(codec::encode_list(&transactions));
        let orders = decoding::orders::<M>(&list, count);
        let (contents, blob) = if list.len() as u64 > shared.descriptor.constants.inline_bytes {
            (Contents::Blob(BlobReference { hash: ContentHash::of(&list), bytes: list.len() as u64 }), Some(list))
        } else {
            (Contents::Inline(list), None)
        };
        let batch = Batch::new(shared.descriptor.store, writer.id, writer.next, base, count, contents);
        let name = |index| OpId { writer: batch.writer, wseq: batch.wseq, index, base, hash: batch.hash };
        // INV-6: the state may forget a writer before a slow owner looks: its decision is noted in the slot that makes it.
        tip.watch(name(0));
        // Before anybody learns a name: who resolves it here must find it in play.
        shared.ledger.start(batch.writer, batch.wseq, (0..count).map(name).collect());
        let sent = picked.close(name);
        let loaded = LoadedBatch::new(batch.clone(), orders);
        self.play = Some(Play { batch, blob, loaded, sent, posted: None, left: false, tries: 0, in_doubt: false, overrides_digest });
        Ok(())
    }

    /// Makes sure that there is an identity to write under, and a replica to write from.
    async fn ready_to_write(&mut self) -> Result<(), Error> {
        let shared = self.shared;
        let environment = &shared.reader.environment;
        let mut tip = self.tip().await;
        tip.check_next()?;
        if !shared.queue.overrides_digest() {
            tip.check()?;
        }
        if self.writer.as_ref().is_some_and(|writer| writer.is_aged(&tip.state)) {
            self.writer = None;
        }
        if self.writer.is_none() {
            // INV-6: a fresh id forms its first batch at a confirmed tail, so that its base is not older than the id itself.
            if !broken!(FreshIdAtOldTail) {
                let deadline = environment.clock.now().after(ATTEMPT);
                let caught_up = shared.reader.catch_up(&mut tip, deadline).await;
                shared.publish(&tip);
                caught_up?;
            }
            tip.check_next()?;
            let id = WriterId::of(shared.descriptor.store, &*environment.entropy);
            self.writer = Some(Identity::new(id, tip.state.position));
        }
        Ok(())
    }
}
