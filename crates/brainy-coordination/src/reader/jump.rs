//! Taking a whole state in, where the slots up to it were collected or are too many.

use brainy_core::{ContentHash, Moment, StoreId};
use brainy_storage::{Get, GetOptions};

use crate::descriptor::Constants;
use crate::environment::Environment;
use crate::error::Error;
use crate::garbage::ManifestName;
use crate::head::{self, SeenHead};
use crate::keys;
use crate::log::ChangeLog;
use crate::machine::StateMachine;
use crate::manifest::{self, Manifest};
use crate::reader::Reader;
use crate::segment;
use crate::tip::{LoadedState, Tip};
use crate::token::Token;

/// So many manifests at most are found collected under the reader's hands before it gives up: each took a grace to go.
const MOST_JUMPS: usize = 8;

impl<M: StateMachine> Reader<M> {
    /// Mends `error` if it came of slots that were collected, by loading the newest state.
    ///
    /// # Errors
    /// `error` itself if it came of something else; else the state could not be loaded.
    pub(crate) async fn recover(&self, tip: &mut Tip, error: Error, deadline: Moment) -> Result<(), Error> {
        let suspect = match &error {
            Error::Truncated { .. } => true,
            // A slot in a collected stretch may be a ghost that nothing follows, or one whose blob is gone already.
            Error::RolledBack { .. } | Error::Missing { .. } => false,
            _ => return Err(error),
        };
        let seen = head::read_head(&self.environment, tip.state.store, deadline).await?;
        if !suspect && seen.head.boundary <= tip.trusted {
            return Err(error);
        }
        if seen.head.manifest.is_none_or(|manifest| manifest.seq <= tip.trusted) {
            return Err(error);
        }
        self.jump(tip, seen, deadline).await
    }

    /// Brings a replica that holds nothing to the newest published state, if there is one. Where the log is still whole, a state that does not load is left out, unless the
    /// machine took it before it showed what it is.
    ///
    /// # Errors
    /// [`Error`]: the state does not load, and the log alone does not give it.
    pub(crate) async fn begin(&self, tip: &mut Tip, seen: SeenHead, deadline: Moment) -> Result<(), Error> {
        let (boundary, at) = (seen.head.boundary, seen.at);
        let whole = boundary <= tip.state.position;
        if whole && seen.head.manifest.is_none() {
            tip.confirmation.confirm(at);
            return Ok(());
        }
        match self.jump(tip, seen, deadline).await {
            Err(error @ (Error::Bytes { .. } | Error::Missing { .. })) if whole && tip.check_next().is_ok() => {
                tracing::warn!(%error, "the published state does not load; the log is read instead");
                tip.confirmation.confirm(at);
                Ok(())
            }
            jumped => jumped,
        }
    }

    /// Loads the newest state that `ctl/head`, just read, names. Whether the log behind it was collected shows by itself.
    ///
    /// # Errors
    /// [`Error`]: the tip stands where it stood, unless the handle ended.
    pub(crate) async fn jump(&self, tip: &mut Tip, mut seen: SeenHead, deadline: Moment) -> Result<(), Error> {
        let mut tried = None;
        for _ in 0..MOST_JUMPS {
            if seen.head.epoch != tip.state.epoch {
                let reason = format!("ctl/head is in epoch {}, this handle in {}", seen.head.epoch, tip.state.epoch);
                return Err(Error::RolledBack { reason });
            }
            let Some(name) = seen.head.manifest else {
                return Err(Error::Truncated { boundary: seen.head.boundary, position: tip.trusted });
            };
            if tried == Some(name) {
                break;
            }
            if let Some(loaded) = load_state(&self.environment, tip.state.store, &tip.constants, &name, deadline).await? {
                tip.restore(&*self.machine, loaded)?;
                // The head was read before the state, so what it says of the boundary is not younger than it says.
                tip.confirmation.confirm(seen.at);
                tracing::info!(seq = name.seq, "a published state was loaded");
                return Ok(());
            }
            // It was collected meanwhile: then a newer one is named by now.
            tried = Some(name);
            seen = head::read_head(&self.environment, tip.state.store, deadline).await?;
        }
        let key = tried.map_or_else(|| keys::head().to_string(), |name| keys::manifest(&name).to_string());
        Err(Error::Missing { key, reason: "ctl/head names it" })
    }
}

/// The state that a manifest describes; none if it, or what it names, is gone.
pub(crate) async fn load_state(
    environment: &Environment,
    store: StoreId,
    constants: &Constants,
    name: &ManifestName,
    deadline: Moment,
) -> Result<Option<LoadedState>, Error> {
    let key = keys::manifest(name);
    let Get::Found(object) = environment.read(&key, GetOptions::whole(), deadline).await?.value else { return Ok(None) };
    let manifest = Manifest::decode(name, store, &object.bytes).map_err(|error| Error::bytes(&key, error))?;
    let segment = manifest::whole_state_of(&manifest.payload).map_err(|error| Error::bytes(&key, error))?;
    let key = keys::segment(&segment);
    let Get::Found(object) = environment.read(&key, GetOptions::whole(), deadline).await?.value else { return Ok(None) };
    let corrupt = |reason: &str| Err(Error::bytes(&key, brainy_core::CodecError::corrupt("segment", reason)));
    if ContentHash::of(&object.bytes) != segment.hash {
        return corrupt("its content is not what its name says");
    }
    let (state, snapshot) = segment::read_state(store, constants, &object.bytes).map_err(|error| Error::bytes(&key, error))?;
    // INV-30: position, chain and digests are those that were published.
    let found = (state.epoch, state.position, state.slot_hash);
    let published = (manifest.epoch, manifest.seq, manifest.slot_hash);
    if found != published || state.digest() != manifest.bookkeeping {
        return corrupt("the bookkeeping in it is not the published one");
    }
    Ok(Some(LoadedState { state, snapshot, digest: manifest.machine, key }))
}

impl<M: StateMachine> ChangeLog<M> {
    /// Restores `machine` to a published state, as it was: that of a [`Pin`](crate::Pin) or a [`Tag`](crate::Tag), or any other while nobody collects it. Two GETs. Returns its position.
    ///
    /// # Errors
    /// [`Error::NotHeld`]: it was collected; [`Error::Bytes`]: it is damaged; [`Error::Machine`]: it is no state of such a machine. In the latter two `machine` may hold anything.
    pub async fn read_snapshot<N: StateMachine>(&self, manifest: &ManifestName, machine: &N, deadline: Moment) -> Result<Token, Error> {
        let descriptor = self.descriptor();
        let loaded = load_state(self.environment(), descriptor.store, &descriptor.constants, manifest, deadline).await?;
        let gone = || Error::NotHeld { key: manifest.to_string(), reason: "it was collected" };
        let LoadedState { state, snapshot, digest, key } = loaded.ok_or_else(gone)?;
        machine.restore(&snapshot)?;
        if machine.summary().digest != digest {
            return Err(Error::bytes(key, brainy_core::CodecError::corrupt("snapshot", "the state in it has another digest")));
        }
        Ok(Token { store: state.store, epoch: state.epoch, seq: state.position, hash: state.slot_hash })
    }
}
