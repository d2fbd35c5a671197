//! Intents in the store: listing, reading, leaving and removing them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use brainy_core::codec::CodecError;
use brainy_core::{Moment, WriterId};
use brainy_storage::{Created, Get, GetOptions, Key};
use futures_util::{StreamExt, TryStreamExt};

use crate::apply::LoadedBatch;
use crate::batch::{Batch, open_intent};
use crate::decide::is_leftover;
use crate::error::Error;
use crate::helping::{IntentName, Listed, Listing, Scan, is_dead};
use crate::keys;
use crate::log::Shared;
use crate::machine::StateMachine;
use crate::tip::Tip;

/// Keys of one page of a listing.
const PAGE: NonZeroUsize = NonZeroUsize::new(1_000).expect("not 0");
/// Intents read at once.
const PARALLEL_READS: usize = 64;
/// Leftovers that one listing removes at most.
const MOST_REMOVED: usize = 256;
/// Bytes of an intent beside the list of its transactions, generously.
const INTENT_FRAME_BYTES: u64 = 1_024;
/// Bytes of a slot's list beside each batch.
const LIST_ITEM_BYTES: u64 = 4;

/// What is known of an intent's body.
#[derive(Debug)]
enum Known<C> {
    Readable(LoadedBatch<C>, u64),
    Unreadable(String),
    /// Not what its key says, or another store's: it counts for nothing.
    Foreign,
}

/// Intents that were read and are not decided yet: a body is read once, however many races its reader loses.
#[derive(Debug)]
pub(crate) struct Inbox<C> {
    known: Mutex<BTreeMap<IntentName, Known<C>>>,
}

/// What a listing found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) scan: Scan,
    /// Intents that nobody can read, and why.
    pub(crate) unreadable: Vec<(IntentName, String)>,
    /// Leftovers that can never take effect.
    pub(crate) dead: Vec<Key>,
}

impl<C> Default for Inbox<C> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<C> Inbox<C> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IntentName, Known<C>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The batch of an intent that a scan called readable.
    pub(crate) fn batch(&self, name: &IntentName) -> Option<LoadedBatch<C>> {
        match self.lock().get(name) {
            Some(Known::Readable(batch, _)) => Some(batch.clone()),
            _ => None,
        }
    }
}

/// Lists the inbox and reads what is pending in it, oldest base first, until a slot is full of it or the listing ends. `own`: whose intents need no reading.
///
/// # Errors
/// [`Error`]: nothing is known but what was before.
pub(crate) async fn scan<M: StateMachine>(shared: &Shared<M>, own: Option<WriterId>, deadline: Moment) -> Result<Found, Error> {
    let environment = &shared.reader.environment;
    // INV-20: the tail is read before the listing begins.
    let tail = shared.tip.lock().await.state.position;
    let mut found = Found::default();
    let mut listing = Listing::begin(tail, shared.descriptor.constants.slot_bytes);
    let mut after = None;
    loop {
        let page = environment.list(&keys::inbox(), after.as_ref(), PAGE, deadline).await?.value;
        let tip = shared.tip.lock().await;
        for entry in &page.entries {
            let Some(name) = keys::intent_name(&entry.key) else { continue };
            if listing.take(&tip.state, name, entry.size, own) {
                if listing.cut_at.is_some() {
                    break;
                }
            } else if tip.is_firm()
                && is_leftover(&tip.state, &name, shared.descriptor.constants.scan_slots)
                && found.dead.len() < MOST_REMOVED
            {
                found.dead.push(entry.key.clone());
            }
        }
        prune(&mut shared.inbox.lock(), &tip);
        if !page.more || listing.cut_at.is_some() {
            break;
        }
        let Some(last) = page.entries.last() else { break };
        after = Some(last.key.clone());
    }
    let Listing { names, cut_at, .. } = listing;
    found.scan = Scan { tail, cut_at, ..Scan::default() };
    let unknown: Vec<_> = {
        let known = shared.inbox.lock();
        names.iter().filter(|name| !known.contains_key(name)).copied().collect()
    };
    let read: Vec<_> = futures_util::stream::iter(unknown)
        .map(|name| async move { Ok::<_, Error>((name, read(shared, &name, deadline).await?)) })
        .buffered(PARALLEL_READS)
        .try_collect()
        .await?;
    let mut known = shared.inbox.lock();
    known.extend(read.into_iter().filter_map(|(name, known)| Some((name, known?))));
    for name in names {
        match known.get(&name) {
            Some(Known::Readable(_, bytes)) => found.scan.pending.push(Listed { name, bytes: *bytes, unreadable: false }),
            Some(Known::Unreadable(reason)) => {
                found.unreadable.push((name, reason.clone()));
                found.scan.pending.push(Listed { name, bytes: 0, unreadable: true });
            }
            // One that is gone was decided: only then is it deleted.
            Some(Known::Foreign) | None => {}
        }
    }
    Ok(found)
}

/// Leaves a batch in the inbox, to be carried by whoever creates the next slots. It may be there already.
///
/// # Errors
/// [`Error`]: it is not there, nor will it be. A doubt is no error: see [`Left`].
pub(crate) async fn leave<M: StateMachine>(shared: &Shared<M>, batch: &Batch, deadline: Moment) -> Result<Left, Error> {
    let key = keys::intent(&batch.name());
    let object = crate::batch::seal_intent(batch);
    Ok(match shared.reader.environment.create(&key, object, deadline).await?.value {
        // Refused: a copy of this process left other bytes under our name. The log decides between us.
        Created::Committed(_) | Created::Rejected(_) => Left::There,
        Created::Unknown(error) => Left::InDoubt(error.into()),
    })
}

/// How leaving an intent ended.
pub(crate) enum Left {
    /// It lies in the inbox.
    There,
    /// It may lie there, or may come there still: the store did not say.
    InDoubt(Error),
}

fn prune<C>(known: &mut BTreeMap<IntentName, Known<C>>, tip: &Tip) {
    known.retain(|name, _| !is_dead(&tip.state, name));
}

/// An intent's body; none if it is gone.
async fn read<M: StateMachine>(shared: &Shared<M>, name: &IntentName, deadline: Moment) -> Result<Option<Known<M::Command>>, Error> {
    let key = keys::intent(name);
    let Get::Found(object) = shared.reader.environment.read(&key, GetOptions::whole(), deadline).await?.value else { return Ok(None) };
    // Nobody could ever carry it: it must not stand before those that can be.
    let largest = shared.descriptor.constants.inline_bytes + INTENT_FRAME_BYTES;
    if object.bytes.len() as u64 > largest {
        return Ok(Some(Known::Unreadable(format!("{} bytes, at most {largest} are carried", object.bytes.len()))));
    }
    let batch = match open_intent(&object.bytes) {
        Ok(batch) if batch.name() == *name && batch.store == shared.descriptor.store => batch,
        Ok(_) => return Ok(Some(Known::Foreign)),
        Err(error) => return Ok(Some(Known::Unreadable(error.to_string()))),
    };
    let orders = match shared.reader.orders(&batch, None, deadline).await {
        Ok(Some(orders)) => orders,
        Ok(None) => return Ok(Some(Known::Unreadable("its blob is missing".into()))),
        Err(Error::Bytes { error, .. }) => return Ok(Some(Known::Unreadable(error.to_string()))),
        Err(error) => return Err(error),
    };
    // A slot with what this build does not know would stop its own creator.
    let unsupported = |error: &CodecError| matches!(error, CodecError::Unsupported { .. });
    let newer = match &orders {
        Err(error) => unsupported(error),
        Ok(orders) => orders.iter().any(|one| one.as_ref().is_err_and(unsupported)),
    };
    if newer {
        return Ok(Some(Known::Unreadable("it is of a newer build".into())));
    }
    let bytes = batch.bytes.len() as u64 + LIST_ITEM_BYTES;
    Ok(Some(Known::Readable(LoadedBatch::new(batch, orders), bytes)))
}
