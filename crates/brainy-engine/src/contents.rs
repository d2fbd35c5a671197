//! One state of a store, whole: what readers hold and what an install makes anew.

use std::sync::Arc;

use brainy_core::{Noun, NounId, SetHash, Statistics, TypeName, Verb, VerbId, Version};

use crate::ordered::{OrderedMap, Prefixed};
use crate::record::{Item, Record};

/// A record, and the key of its vector where it has one.
pub(crate) struct Held<T> {
    pub(crate) record: Arc<Record<T>>,
    pub(crate) key: Option<u64>,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self { record: Arc::clone(&self.record), key: self.key }
    }
}

/// The vectors that exist in one state, under keys of this instance's own.
///
/// A key belongs to one vector for ever: another vector of the same item gets another key, and no key returns. So an index that is behind, or
/// ahead, of a state can hold what that state does not know, or lack what it does, but can never hold a wrong vector.
pub(crate) struct Vectors<T> {
    pub(crate) live: OrderedMap<u64, Arc<Record<T>>>,
    /// Above every key given so far.
    pub(crate) next: u64,
    /// Every key below was dropped at once, by a clear or a restore.
    pub(crate) floor: u64,
    /// Whether this instance keeps vectors for search at all.
    kept: bool,
}

impl<T> Clone for Vectors<T> {
    fn clone(&self) -> Self {
        Self { live: self.live.clone(), next: self.next, floor: self.floor, kept: self.kept }
    }
}

impl<T: Item> Vectors<T> {
    pub(crate) fn new(kept: bool) -> Self {
        Self { live: OrderedMap::default(), next: 0, floor: 0, kept }
    }

    fn clear(&mut self) {
        self.live = OrderedMap::default();
        self.floor = self.next;
    }

    /// The key of `record`'s vector, which takes the place of `old`'s; a key that nobody has any more goes to `dead`.
    fn replace(&mut self, old: Option<&Held<T>>, record: Option<&Arc<Record<T>>>, dead: &mut Vec<u64>) -> Option<u64> {
        let new = record.filter(|record| self.kept && record.item.vector().is_some());
        let old_key = old.and_then(|old| old.key);
        if let (Some(old), Some(key), Some(new)) = (old, old_key, new)
            && same_components(&old.record.item, &new.item)
        {
            self.live.insert(key, Arc::clone(new));
            return Some(key);
        }
        if let Some(key) = old_key {
            self.live.remove(&key);
            dead.push(key);
        }
        let new = new?;
        let key = self.next;
        self.next += 1;
        self.live.insert(key, Arc::clone(new));
        Some(key)
    }
}

fn same_components<T: Item>(a: &T, b: &T) -> bool {
    match (a.vector(), b.vector()) {
        (Some(a), Some(b)) => a.as_slice().iter().map(|x| x.to_bits()).eq(b.as_slice().iter().map(|x| x.to_bits())),
        _ => false,
    }
}

/// Keys of vectors that a change made nobody's, for the indexes to drop.
#[derive(Default)]
pub(crate) struct DeadKeys {
    pub(crate) nouns: Vec<u64>,
    pub(crate) verbs: Vec<u64>,
}

/// One state. A copy is cheap and shares everything that does not change afterwards.
#[derive(Clone)]
pub(crate) struct Contents {
    pub(crate) nouns: OrderedMap<NounId, Held<Noun>>,
    pub(crate) verbs: OrderedMap<VerbId, Held<Verb>>,
    pub(crate) outgoing: OrderedMap<(NounId, VerbId), Arc<Record<Verb>>>,
    pub(crate) incoming: OrderedMap<(NounId, VerbId), Arc<Record<Verb>>>,
    pub(crate) by_type: OrderedMap<(TypeName, VerbId), Arc<Record<Verb>>>,
    pub(crate) noun_vectors: Vectors<Noun>,
    pub(crate) verb_vectors: Vectors<Verb>,
    pub(crate) statistics: Statistics,
    pub(crate) digest: SetHash,
    pub(crate) position: Option<Version>,
}

impl Contents {
    /// Nothing. `vectors`: whether vectors will be kept for search.
    pub(crate) fn empty(vectors: bool) -> Self {
        Self {
            nouns: OrderedMap::default(),
            verbs: OrderedMap::default(),
            outgoing: OrderedMap::default(),
            incoming: OrderedMap::default(),
            by_type: OrderedMap::default(),
            noun_vectors: Vectors::new(vectors),
            verb_vectors: Vectors::new(vectors),
            statistics: Statistics::default(),
            digest: SetHash::EMPTY,
            position: None,
        }
    }

    /// Drops every item. Statistics and digest are the caller's to set.
    pub(crate) fn clear(&mut self) {
        self.nouns = OrderedMap::default();
        self.verbs = OrderedMap::default();
        self.outgoing = OrderedMap::default();
        self.incoming = OrderedMap::default();
        self.by_type = OrderedMap::default();
        self.noun_vectors.clear();
        self.verb_vectors.clear();
    }

    /// Puts the noun `id` in place of what was there, or takes it out.
    pub(crate) fn set_noun(&mut self, id: NounId, record: Option<Arc<Record<Noun>>>, dead: &mut DeadKeys) {
        let vectors = &mut self.noun_vectors;
        match record {
            Some(record) => self.nouns.upsert(id, |old| {
                let key = vectors.replace(old, Some(&record), &mut dead.nouns);
                Held { record, key }
            }),
            None => {
                vectors.replace(self.nouns.get(&id), None, &mut dead.nouns);
                self.nouns.remove(&id)
            }
        };
    }

    /// Puts the verb `id` in place of what was there, or takes it out, in every order it can be found by.
    pub(crate) fn set_verb(&mut self, id: VerbId, record: Option<Arc<Record<Verb>>>, dead: &mut DeadKeys) {
        let old = self.verbs.get(&id).cloned();
        let key = self.verb_vectors.replace(old.as_ref(), record.as_ref(), &mut dead.verbs);
        if let Some(Held { record: old, .. }) = old {
            self.outgoing.remove(&(old.item.source.clone(), id.clone()));
            self.incoming.remove(&(old.item.target.clone(), id.clone()));
            self.by_type.remove(&(old.item.kind.clone(), id.clone()));
        }
        match record {
            Some(record) => {
                self.outgoing.insert((record.item.source.clone(), id.clone()), Arc::clone(&record));
                self.incoming.insert((record.item.target.clone(), id.clone()), Arc::clone(&record));
                self.by_type.insert((record.item.kind.clone(), id.clone()), Arc::clone(&record));
                self.verbs.insert(id, Held { record, key })
            }
            None => self.verbs.remove(&id),
        };
    }
}

/// The verbs filed under `first`, by their ids, from the first above `after`.
pub(crate) fn filed_under<'a, F: Ord>(
    index: &'a OrderedMap<(F, VerbId), Arc<Record<Verb>>>,
    first: &'a F,
    after: Option<&VerbId>,
) -> impl Iterator<Item = &'a Arc<Record<Verb>>> + use<'a, F>
where
    (F, VerbId): Prefixed,
{
    index
        .iter_from(|(known, id)| match known.cmp(first) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => after.is_some_and(|after| id <= after),
            std::cmp::Ordering::Greater => false,
        })
        .take_while(move |((known, _), _)| known == first)
        .map(|(_, record)| record)
}
