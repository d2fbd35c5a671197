//! Search by nearness.

use std::num::NonZeroUsize;

use brainy_core::{Filter, ServiceTag, TypeName};
use brainy_engine::{Engine, ItemFilter, Match, SearchQuery, VerbMatch};
use tracing::Instrument;

use crate::error::Error;
use crate::handle::Brainy;

/// What to search for.
#[derive(Clone, PartialEq)]
pub struct Search {
    vector: Vec<f32>,
    k: usize,
    ef_search: Option<usize>,
    filter: ItemFilter,
    exact: bool,
}

/// Shows the vector's length, not its components.
impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { vector, k, ef_search, filter, exact } = self;
        f.debug_struct("Search")
            .field("components", &vector.len())
            .field("k", k)
            .field("ef_search", ef_search)
            .field("filter", filter)
            .field("exact", exact)
            .finish()
    }
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
        check_filter(&self.filter)?;
        let query = SearchQuery::new(self.vector.clone(), k).with_filter(self.filter.clone());
        Ok(match self.ef_search {
            Some(0) => return Err(Error::invalid("ef_search", "it must be at least 1")),
            Some(ef_search) => query.with_ef_search(ef_search),
            None => query,
        })
    }
}

/// A filter can be built beyond the limits that its JSON has.
pub(crate) fn check_filter(filter: &ItemFilter) -> Result<(), Error> {
    Ok(filter.metadata.as_ref().map_or(Ok(()), Filter::check)?)
}

impl Brainy {
    /// The nouns nearest to a vector, nearest first, equal distances by id; fewer than asked for only if fewer exist. The filter acts inside the search.
    ///
    /// It computes on the calling thread: some tenths of a millisecond, an exact one some milliseconds for ten thousand nouns.
    ///
    /// # Errors
    /// Kind `Invalid`: the query's vector or filter does not fit, or k is 0; `Unsupported`: the handle keeps no vector index; else the handle's freshness
    /// could not be reached.
    pub async fn search(&self, search: &Search) -> Result<Vec<Match>, Error> {
        let found = if search.exact { Engine::search_exact } else { Engine::search };
        self.search_with("nouns", search, found).await
    }

    /// The verbs nearest to a vector, otherwise as [`search`](Self::search).
    ///
    /// # Errors
    /// Kind `Unsupported`: the store keeps no vectors of verbs; else as [`search`](Self::search).
    pub async fn search_verbs(&self, search: &Search) -> Result<Vec<VerbMatch>, Error> {
        let found = if search.exact { Engine::search_verbs_exact } else { Engine::search_verbs };
        self.search_with("verbs", search, found).await
    }

    async fn search_with<T>(
        &self,
        of: &'static str,
        search: &Search,
        find: fn(&Engine, &SearchQuery) -> Result<Vec<T>, brainy_engine::Error>,
    ) -> Result<Vec<T>, Error> {
        let query = search.query()?;
        let Search { k, exact, filter, .. } = search;
        let span = tracing::debug_span!("brainy.search", of, k, exact, filtered = !filter.is_all(), found = tracing::field::Empty);
        self.fresh().instrument(span.clone()).await?;
        let found = span.in_scope(|| find(self.engine(), &query))?;
        span.record("found", found.len());
        Ok(found)
    }
}
