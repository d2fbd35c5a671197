//! Search by nearness.

use std::num::NonZeroUsize;

use brainy_core::{Noun, Verb};

use crate::engine::Engine;
use crate::vector_index::{Near, VectorIndex};
use crate::{Error, ItemFilter};

/// What to search for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SearchQuery {
    /// The vector to come near to: as many finite components as the store's dimension, under cosine not all zero.
    pub vector: Vec<f32>,
    /// How many items are wanted.
    pub k: NonZeroUsize,
    /// Candidates kept on the way: more finds more of the true nearest and takes longer in proportion. None:
    /// [`EngineOptions::ef_search`](crate::EngineOptions::ef_search).
    pub ef_search: Option<usize>,
    /// Only items that pass.
    pub filter: ItemFilter,
}

impl SearchQuery {
    /// The `k` items nearest to `vector`.
    pub fn new(vector: impl Into<Vec<f32>>, k: NonZeroUsize) -> Self {
        Self { vector: vector.into(), k, ef_search: None, filter: ItemFilter::all() }
    }

    /// With so many candidates.
    #[must_use]
    pub fn with_ef_search(mut self, ef_search: usize) -> Self {
        self.ef_search = Some(ef_search);
        self
    }

    /// Among the items that pass `filter`.
    #[must_use]
    pub fn with_filter(mut self, filter: ItemFilter) -> Self {
        self.filter = filter;
        self
    }
}

/// A noun that a search found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Match {
    /// The noun, of the state that was searched.
    pub noun: Noun,
    /// Its distance from the query under the store's metric: smaller is nearer.
    pub distance: f32,
}

/// A verb that a search found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VerbMatch {
    /// The verb, of the state that was searched.
    pub verb: Verb,
    /// Its distance from the query under the store's metric: smaller is nearer.
    pub distance: f32,
}

impl Engine {
    /// The `k` nearest nouns that pass the filter, nearest first, equal distances by id; fewer only if fewer exist.
    ///
    /// One state is searched, the newest confirmed one when the search began: each answer is an item of it under its vector of then, whether or not the
    /// index has caught up with it. What the index has is found by a walk (approximate: see [`SearchQuery::ef_search`]), the rest is compared one by one.
    ///
    /// # Errors
    /// [`Error::Query`], [`Error::NoVectorIndex`]; nothing was searched.
    pub fn search(&self, query: &SearchQuery) -> Result<Vec<Match>, Error> {
        let newest = || self.reader().contents.noun_vectors.clone();
        let found =
            self.noun_index()?.search(&query.vector, query.k, self.ef_search(query), newest, |noun| query.filter.allows_noun(noun))?;
        Ok(noun_matches(found))
    }

    /// As [`search`](Self::search), by comparing every vector: exact, and as slow as the store is large.
    ///
    /// # Errors
    /// Those of [`search`](Self::search).
    pub fn search_exact(&self, query: &SearchQuery) -> Result<Vec<Match>, Error> {
        let reader = self.reader();
        let vectors = &reader.contents.noun_vectors;
        Ok(noun_matches(self.noun_index()?.search_exact(&query.vector, query.k, vectors, |noun| query.filter.allows_noun(noun))?))
    }

    /// The `k` nearest verbs that pass the filter, otherwise as [`search`](Self::search).
    ///
    /// # Errors
    /// [`Error::NoVerbVectors`], else those of [`search`](Self::search).
    pub fn search_verbs(&self, query: &SearchQuery) -> Result<Vec<VerbMatch>, Error> {
        let newest = || self.reader().contents.verb_vectors.clone();
        let found =
            self.verb_index()?.search(&query.vector, query.k, self.ef_search(query), newest, |verb| query.filter.allows_verb(verb))?;
        Ok(verb_matches(found))
    }

    /// As [`search_verbs`](Self::search_verbs), by comparing every vector.
    ///
    /// # Errors
    /// Those of [`search_verbs`](Self::search_verbs).
    pub fn search_verbs_exact(&self, query: &SearchQuery) -> Result<Vec<VerbMatch>, Error> {
        let reader = self.reader();
        let vectors = &reader.contents.verb_vectors;
        Ok(verb_matches(self.verb_index()?.search_exact(&query.vector, query.k, vectors, |verb| query.filter.allows_verb(verb))?))
    }

    /// Takes up to `max` changed vectors into each vector index; how many are left, 0 if there is no index. Searches are right at any time, and faster the
    /// fewer are left. Commits do not wait for it; searches wait for a few insertions at most. One background thread calls it in small steps.
    pub fn index_pending(&self, max: usize) -> usize {
        let nouns = self.noun_index().map_or(0, |index| {
            index.fold(max, |dead| {
                self.newest_and_dead(|contents, queue| {
                    (contents.noun_vectors.clone(), take_some(&mut queue.nouns, dead), queue.nouns.len())
                })
            })
        });
        let verbs = self.verb_index().map_or(0, |index| {
            index.fold(max, |dead| {
                self.newest_and_dead(|contents, queue| {
                    (contents.verb_vectors.clone(), take_some(&mut queue.verbs, dead), queue.verbs.len())
                })
            })
        });
        nouns + verbs
    }

    /// Bytes held by the vector indexes: their graphs and their copy of the vectors.
    pub fn index_memory_bytes(&self) -> usize {
        [self.noun_index().ok(), self.verb_index().ok()].into_iter().flatten().map(VectorIndex::memory_bytes).sum()
    }
}

fn take_some(queue: &mut Vec<u64>, most: usize) -> Vec<u64> {
    // From the back, which is cheap: in which order dead keys go does not matter.
    queue.split_off(queue.len() - most.min(queue.len()))
}

fn noun_matches(found: Vec<Near<Noun>>) -> Vec<Match> {
    found.into_iter().map(|(distance, record)| Match { noun: record.item.clone(), distance }).collect()
}

fn verb_matches(found: Vec<Near<Verb>>) -> Vec<VerbMatch> {
    found.into_iter().map(|(distance, record)| VerbMatch { verb: record.item.clone(), distance }).collect()
}
