//! Search by nearness.

use std::num::NonZeroUsize;

use brainy_core::{Filter, ServiceTag, TypeName};
use brainy_engine::{ItemFilter, Match, SearchQuery, VerbMatch};

use crate::error::Error;
use crate::handle::Brainy;

/// What to search for.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    vector: Vec<f32>,
    k: usize,
    ef_search: Option<usize>,
    filter: ItemFilter,
    exact: bool,
}

impl Search {
    /// The `k` items nearest to `vector`, which has as many finite components as the store's dimension.
    pub fn new(vector: impl Into<Vec<f32>>, k: usize) -> Self {
        Self { vector: vector.into(), k, ef_search: None, filter: ItemFilter::all(), exact: false }
    }

    /// Among items whose metadata pass.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = self.filter.with_metadata(filter);
        self
    }

    /// Among items of this type; several types may be given.
    #[must_use]
    pub fn with_kind(mut self, kind: TypeName) -> Self {
        self.filter = self.filter.with_kind(kind);
        self
    }

    /// Among items of this service; several services may be given.
    #[must_use]
    pub fn with_service(mut self, service: ServiceTag) -> Self {
        self.filter = self.filter.with_service(service);
        self
    }

    /// With so many candidates on the way: more finds more of the true nearest, slower.
    #[must_use]
    pub fn with_ef_search(mut self, ef_search: usize) -> Self {
        self.ef_search = Some(ef_search);
        self
    }

    /// By comparing every vector: exact, and as slow as the store is large.
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    fn query(&self) -> Result<SearchQuery, Error> {
        let k = NonZeroUsize::new(self.k).ok_or_else(|| Error::invalid("k", "it must be at least 1"))?;
        let query = SearchQuery::new(self.vector.clone(), k).with_filter(self.filter.clone());
        Ok(match self.ef_search {
            Some(0) => return Err(Error::invalid("ef_search", "it must be at least 1")),
            Some(ef_search) => query.with_ef_search(ef_search),
            None => query,
        })
    }
}

impl Brainy {
    /// The nouns nearest to a vector, nearest first, equal distances by id; fewer than asked for only if fewer exist. The filter acts inside the search.
    ///
    /// It computes on the calling thread: some tenths of a millisecond, an exact one some milliseconds for ten thousand nouns.
    ///
    /// # Errors
    /// Kind `Invalid`: the query's vector does not fit, or k is 0; `Unsupported`: the handle keeps no vector index; else the handle's freshness could not be reached.
    pub async fn search(&self, search: &Search) -> Result<Vec<Match>, Error> {
        let query = search.query()?;
        self.fresh().await?;
        Ok(if search.exact { self.engine().search_exact(&query)? } else { self.engine().search(&query)? })
    }

    /// The verbs nearest to a vector, otherwise as [`search`](Self::search).
    ///
    /// # Errors
    /// Kind `Unsupported`: the store keeps no vectors of verbs; else as [`search`](Self::search).
    pub async fn search_verbs(&self, search: &Search) -> Result<Vec<VerbMatch>, Error> {
        let query = search.query()?;
        self.fresh().await?;
        Ok(if search.exact { self.engine().search_verbs_exact(&query)? } else { self.engine().search_verbs(&query)? })
    }
}
