//! The vectors of one kind of item, found by nearness: a graph that lags behind, and a flat scan of what it lacks.
//!
//! Commits never touch the graph: they give each new vector a key above all earlier ones ([`Vectors`]). [`VectorIndex::fold`] takes keys into the graph
//! in ascending order, so that all below `folded` are in it, and takes out those that died. A search holds the graph's lock, *then*
//! takes the newest state: so whatever has been taken out of the graph is dead in that state, whatever the graph does not yet have is a live
//! key from `folded` on, which the search compares one by one, and what is in the graph but not live in the state is refused inside
//! the walk. Locks are always taken in this order: graph, then state.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, RwLock};

use brainy_core::{Metric, VectorError};
use brainy_hnsw::{Distance, Index, Options};

use crate::Error;
use crate::contents::Vectors;
use crate::record::{Item, Record};

/// Most steps of [`VectorIndex::fold`] under one lock, which searches wait for: an insertion takes up to about a millisecond.
const STEPS_PER_LOCK: usize = 8;

/// How many more hits than asked for a search takes from the graph to order equally near ones by id. Where more than this are equally near, which of them
/// come back depends on the order they were indexed in.
const MAX_TIES: usize = 1_024;

const LOCK: &str = "no code panics while it holds the graph's lock";

pub(crate) struct VectorIndex {
    dimension: usize,
    metric: Metric,
    distance: Distance,
    graph: RwLock<Graph>,
}

struct Graph {
    index: Index,
    /// Every live key below is in the index.
    folded: u64,
    /// [`Vectors::floor`] of the newest state taken in.
    floor: u64,
}

/// An item at a distance.
pub(crate) type Near<T> = (f32, Arc<Record<T>>);

impl VectorIndex {
    pub(crate) fn new(dimension: usize, metric: Metric, options: Options) -> Result<Self, Error> {
        let index = Index::new(dimension, metric, options).map_err(|error| match error {
            brainy_hnsw::Error::Option { field, .. } => Error::Option { field, reason: error.to_string() },
            other => Error::Option { field: "vector index", reason: other.to_string() },
        })?;
        let graph = RwLock::new(Graph { index, folded: 0, floor: 0 });
        Ok(Self { dimension, metric, distance: Distance::new(metric), graph })
    }

    /// Bytes of the graph and the vectors in it.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.graph.read().expect(LOCK).index.memory_bytes()
    }

    fn check_query(&self, query: &[f32]) -> Result<(), VectorError> {
        if query.len() != self.dimension {
            return Err(VectorError::Dimension { given: query.len(), expected: self.dimension });
        }
        if let Some((at, &value)) = query.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(VectorError::NotFinite { at, value });
        }
        if self.metric == Metric::Cosine && query.iter().all(|value| *value == 0.0) {
            return Err(VectorError::Zero);
        }
        Ok(())
    }

    /// The `k` nearest items that `allow` accepts, of the state that `newest` gives; equal distances by id.
    pub(crate) fn search<T: Item>(
        &self,
        query: &[f32],
        k: NonZeroUsize,
        ef_search: usize,
        newest: impl FnOnce() -> Vectors<T>,
        allow: impl Fn(&T) -> bool,
    ) -> Result<Vec<Near<T>>, Error> {
        self.check_query(query)?;
        let graph = self.graph.read().expect(LOCK);
        let vectors = newest();
        let pending = vectors.live.count_from(|key| *key < graph.folded);
        let indexed = vectors.live.len() - pending;
        let answers: RefCell<HashMap<u64, bool>> = RefCell::default();
        let allow_key = |key: u64| match vectors.live.get(&key) {
            // The graph may ask again, and decoding metadata costs more than remembering.
            Some(record) => *answers.borrow_mut().entry(key).or_insert_with(|| allow(&record.item)),
            None => false,
        };
        let mut found: Vec<Near<T>> = Vec::new();
        if let Some(k) = NonZeroUsize::new(k.get().min(indexed)) {
            let hits = graph.walk(query, k, ef_search, &allow_key);
            let record = |key| Arc::clone(vectors.live.get(&key).expect("the walk refused dead keys"));
            found.extend(hits.into_iter().map(|hit| (hit.distance, record(hit.key))));
        }
        let folded = graph.folded;
        // What is left to do needs no graph: who waits for it may go on.
        drop(graph);
        let pending = vectors.live.iter_from(|key| *key < folded).map(|(_, record)| record);
        self.scan(query, pending, allow, &mut found);
        Ok(nearest(found, k))
    }

    /// The same by comparing every vector of `vectors`: what searches are measured against.
    pub(crate) fn search_exact<T: Item>(
        &self,
        query: &[f32],
        k: NonZeroUsize,
        vectors: &Vectors<T>,
        allow: impl Fn(&T) -> bool,
    ) -> Result<Vec<Near<T>>, Error> {
        self.check_query(query)?;
        let mut found = Vec::new();
        self.scan(query, vectors.live.iter().map(|(_, record)| record), allow, &mut found);
        Ok(nearest(found, k))
    }

    fn scan<'a, T: Item + 'a>(
        &self,
        query: &[f32],
        records: impl Iterator<Item = &'a Arc<Record<T>>>,
        allow: impl Fn(&T) -> bool,
        found: &mut Vec<Near<T>>,
    ) {
        let query = self.distance.prepare(query);
        for record in records.filter(|record| allow(&record.item)) {
            let vector = record.item.vector().expect("only items with a vector have a key");
            found.push((self.distance.between(&query, &self.distance.prepare(vector.as_slice())), Arc::clone(record)));
        }
    }

    /// Takes up to `steps` changes into the graph; how many are left. `newest`: the newest state and, removed from the queue at the same moment, up to so
    /// many keys that are dead in it, and how many dead keys stay queued.
    pub(crate) fn fold<T: Item>(&self, steps: usize, newest: impl Fn(usize) -> (Vectors<T>, Vec<u64>, usize)) -> usize {
        let mut left = steps;
        loop {
            let now = left.min(STEPS_PER_LOCK);
            let remaining = self.fold_under_lock(now, &newest);
            left -= now;
            if left == 0 || remaining == 0 {
                return remaining;
            }
        }
    }

    fn fold_under_lock<T: Item>(&self, steps: usize, newest: impl Fn(usize) -> (Vectors<T>, Vec<u64>, usize)) -> usize {
        let mut graph = self.graph.write().expect(LOCK);
        let (vectors, dead, queued) = newest(steps);
        if graph.floor < vectors.floor {
            graph.index.clear();
            graph.floor = vectors.floor;
            graph.folded = graph.folded.max(vectors.floor);
        }
        for key in &dead {
            graph.index.remove(*key);
        }
        let folded = graph.folded;
        for (key, record) in vectors.live.iter_from(|key| *key < folded).take(steps - dead.len()) {
            let vector = record.item.vector().expect("only items with a vector have a key");
            if graph.index.insert(*key, vector.as_slice()).is_err() {
                // The graph is full, since the vector was checked when it was written. Searches compare the rest one by one; trying again would not help.
                return 0;
            }
            graph.folded = key + 1;
        }
        queued + vectors.live.count_from(|key| *key < graph.folded)
    }
}

impl Graph {
    /// The `k` nearest allowed keys, and those as near as the last of them, up to [`MAX_TIES`].
    fn walk(&self, query: &[f32], k: NonZeroUsize, ef_search: usize, allow: &dyn Fn(u64) -> bool) -> Vec<brainy_hnsw::Hit> {
        let most = k.saturating_add(MAX_TIES);
        let mut wanted = k.saturating_add(1);
        loop {
            let hits = self.index.search_filtered(query, wanted, ef_search, allow).expect("the query was checked");
            let tied = hits.len() == wanted.get() && hits.last().is_some_and(|last| last.distance == hits[k.get() - 1].distance);
            if !tied || wanted == most {
                return hits;
            }
            wanted = wanted.saturating_add(wanted.get()).min(most);
        }
    }
}

fn nearest<T: Item>(mut found: Vec<Near<T>>, k: NonZeroUsize) -> Vec<Near<T>> {
    let by_rank = |a: &Near<T>, b: &Near<T>| a.0.total_cmp(&b.0).then_with(|| a.1.item.id().cmp(b.1.item.id()));
    if found.len() > k.get() {
        found.select_nth_unstable_by(k.get() - 1, by_rank);
        found.truncate(k.get());
    }
    found.sort_unstable_by(by_rank);
    found
}

#[cfg(test)]
mod tests {
    use brainy_core::Noun;

    use super::*;

    #[test]
    fn the_state_is_taken_while_the_graph_cannot_change() {
        let index = VectorIndex::new(2, Metric::L2, Options::default()).unwrap();
        let k = NonZeroUsize::MIN;
        let found = index.search(
            &[0.0, 1.0],
            k,
            10,
            || {
                assert!(index.graph.try_write().is_err(), "a fold between state and search could drop what the state still has");
                Vectors::<Noun>::new(true)
            },
            |_| true,
        );
        assert!(found.unwrap().is_empty());
        let left = index.fold(10, |_| {
            assert!(index.graph.try_read().is_err(), "a search between state and fold could miss what died meanwhile");
            (Vectors::<Noun>::new(true), Vec::new(), 0)
        });
        assert_eq!(left, 0);
    }
}
