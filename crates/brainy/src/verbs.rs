//! Verbs, one at a time, and walks along them.

use brainy_coordination::Receipt;
use brainy_core::{NounId, TypeName, Verb, VerbDraft, VerbId};
use brainy_engine::{Traversal, TraverseOptions, VerbQuery};

use crate::error::Error;
use crate::handle::Brainy;

impl Brainy {
    /// Writes a verb between nouns that exist. With a derived id and equal content it changes nothing, so a repeated import is harmless.
    ///
    /// # Errors
    /// Kind `NotFound`: an end does not exist; else as [`TransactionBuilder::commit`](crate::TransactionBuilder::commit).
    pub async fn relate(&self, verb: VerbDraft) -> Result<Receipt, Error> {
        self.transaction().relate(verb).commit().await
    }

    /// Writes a verb; ends that do not exist are made in the same transaction, as nouns of type `missing`.
    ///
    /// # Errors
    /// As [`TransactionBuilder::commit`](crate::TransactionBuilder::commit).
    pub async fn relate_creating(&self, verb: VerbDraft, missing: TypeName) -> Result<Receipt, Error> {
        self.transaction().relate_creating(verb, missing).commit().await
    }

    /// Deletes a verb; an absent one is no fault.
    ///
    /// # Errors
    /// As [`TransactionBuilder::commit`](crate::TransactionBuilder::commit).
    pub async fn delete_verb(&self, id: impl AsRef<str>) -> Result<Receipt, Error> {
        self.transaction().delete_verb(VerbId::new(id)?).commit().await
    }

    /// The verb `id`, if it exists.
    ///
    /// # Errors
    /// Kind `Invalid`: `id` is none; else the handle's freshness could not be reached.
    pub async fn get_verb(&self, id: impl AsRef<str>) -> Result<Option<Verb>, Error> {
        let id = VerbId::new(id)?;
        Ok(self.fresh().await?.verb(&id))
    }

    /// Verbs by source, target, type and service, in the order of their ids. Only verbs of the given end or type are looked at.
    ///
    /// # Errors
    /// As [`get_verb`](Self::get_verb).
    pub async fn verbs(&self, query: &VerbQuery) -> Result<Vec<Verb>, Error> {
        Ok(self.fresh().await?.verbs(query))
    }

    /// The nouns that can be reached from `starts` along verbs, breadth first, each once, within the options' depth and limit.
    ///
    /// # Errors
    /// As [`get_verb`](Self::get_verb).
    pub async fn traverse(&self, starts: &[NounId], options: &TraverseOptions) -> Result<Traversal, Error> {
        Ok(self.fresh().await?.traverse(starts, options))
    }
}
