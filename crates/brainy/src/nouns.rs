//! Nouns, one at a time.

use brainy_coordination::Receipt;
use brainy_core::{Incident, Noun, NounDraft, NounId, Operation, Precondition, StoreId, Version};
use brainy_engine::ItemFilter;

use crate::error::Error;
use crate::handle::Brainy;
use crate::search::check_filter;

impl Brainy {
    /// Writes a noun whole, whatever was there.
    ///
    /// # Errors
    /// As [`TransactionBuilder::commit`](crate::TransactionBuilder::commit).
    pub async fn put(&self, noun: NounDraft) -> Result<Receipt, Error> {
        self.transaction().put(noun).commit().await
    }

    /// Writes a noun that does not exist yet.
    ///
    /// # Errors
    /// Kind `Conflict`: it exists; else as [`put`](Self::put).
    pub async fn put_if_absent(&self, noun: NounDraft) -> Result<Receipt, Error> {
        self.transaction().put_if_absent(noun).commit().await
    }

    /// Writes a noun that is in this version.
    ///
    /// # Errors
    /// Kind `Conflict`: it does not exist, or in another version; else as [`put`](Self::put).
    pub async fn update_if_version(&self, noun: NounDraft, version: Version) -> Result<Receipt, Error> {
        self.transaction().update_if_version(noun, version).commit().await
    }

    /// Deletes a noun; an absent one is no fault.
    ///
    /// # Errors
    /// Kind `Conflict`: verbs touch it and `incident` is `Restrict`; else as [`put`](Self::put).
    pub async fn delete(&self, id: impl AsRef<str>, incident: Incident) -> Result<Receipt, Error> {
        self.transaction().delete(NounId::new(id)?, incident).commit().await
    }

    /// Deletes a noun that is in this version.
    ///
    /// # Errors
    /// As [`delete`](Self::delete); kind `Conflict` too where it does not exist, or in another version.
    pub async fn delete_if_version(&self, id: impl AsRef<str>, version: Version, incident: Incident) -> Result<Receipt, Error> {
        self.transaction().delete_with(NounId::new(id)?, incident, Precondition::Version(version)).commit().await
    }

    /// Deletes every noun and verb, in one step. `confirm` is this store's id, so that nobody clears the wrong one.
    ///
    /// # Errors
    /// [`Error::NotConfirmed`]: another store's id; nothing was sent. Else as [`put`](Self::put).
    pub async fn clear(&self, confirm: StoreId) -> Result<Receipt, Error> {
        if confirm != self.store_id() {
            return Err(Error::NotConfirmed { given: confirm, expected: self.store_id() });
        }
        self.transaction().push(Operation::Clear).commit().await
    }

    /// The noun `id`, if it exists.
    ///
    /// # Errors
    /// Kind `Invalid`: `id` is none; else the handle's freshness could not be reached.
    pub async fn get(&self, id: impl AsRef<str>) -> Result<Option<Noun>, Error> {
        let id = NounId::new(id)?;
        Ok(self.fresh().await?.noun(&id))
    }

    /// The nouns `ids`, all of one state, each in the place of its id.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_many(&self, ids: &[NounId]) -> Result<Vec<Option<Noun>>, Error> {
        Ok(self.fresh().await?.nouns(ids))
    }

    /// Up to `limit` nouns that pass `filter`, in the order of their ids' bytes, from the first after `after`: the last one's id asks for the next page.
    ///
    /// # Errors
    /// Kind `Invalid`: the filter is beyond its limits; else as [`get`](Self::get).
    pub async fn scan(&self, after: Option<&NounId>, limit: usize, filter: &ItemFilter) -> Result<Vec<Noun>, Error> {
        check_filter(filter)?;
        Ok(self.fresh().await?.scan_nouns(after, limit, filter))
    }
}
