//! The items that a slot touches, found by id and kept in the order in which they were first named.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::record::Record;

/// An item as the slot has it so far; absent if `now` is none.
#[derive(Debug)]
pub(crate) struct Touched<T> {
    pub(crate) now: Option<Arc<Record<T>>>,
    pub(crate) changed: bool,
}

/// Items under ids, each once. Hashed, since each is looked up some times a slot; in order, since what comes of them must not depend on hashes.
#[derive(Debug)]
pub(crate) struct TouchedItems<I, T> {
    places: HashMap<I, usize>,
    items: Vec<(I, Touched<T>)>,
}

impl<I, T> Default for TouchedItems<I, T> {
    fn default() -> Self {
        Self { places: HashMap::new(), items: Vec::new() }
    }
}

impl<I: Clone + Eq + Hash, T> TouchedItems<I, T> {
    /// Room for so many items.
    pub(crate) fn with_capacity(items: usize) -> Self {
        Self { places: HashMap::with_capacity(items), items: Vec::with_capacity(items) }
    }

    /// The item `id`, as `find` finds it if it was not touched yet.
    pub(crate) fn touch(&mut self, id: &I, find: impl FnOnce() -> Option<Arc<Record<T>>>) -> &mut Touched<T> {
        let at = match self.places.get(id) {
            Some(at) => *at,
            None => {
                let at = self.items.len();
                self.places.insert(id.clone(), at);
                self.items.push((id.clone(), Touched { now: find(), changed: false }));
                at
            }
        };
        &mut self.items[at].1
    }

    pub(crate) fn get(&self, id: &I) -> Option<&Touched<T>> {
        self.places.get(id).map(|at| &self.items[*at].1)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.items.clear();
    }

    /// What changed, in the order in which it was first named.
    pub(crate) fn into_changed(self) -> impl Iterator<Item = (I, Option<Arc<Record<T>>>)> {
        self.items.into_iter().filter(|(_, touched)| touched.changed).map(|(id, touched)| (id, touched.now))
    }
}
