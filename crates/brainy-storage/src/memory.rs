//! Objects in this process's memory.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use brainy_core::{Clock, ContentHash};
use bytes::Bytes;

use crate::range::{cut, listed};
use crate::{
    Answer, Capabilities, Get, GetOptions, Key, Object, Outcome, Page, Precondition, Prefix, Revision, Store, StoreResult, StoreTime,
};

/// A store in this process's memory: clones share the content, and every operation is atomic.
///
/// Revisions are a hash of the content, so writing A, B, A gives the first revision back, as on S3.
#[derive(Clone)]
pub struct InMemoryStore {
    content: Arc<Content>,
    clock: Option<Arc<dyn Clock>>,
}

#[derive(Default)]
struct Content {
    name: String,
    objects: Mutex<BTreeMap<Key, (Bytes, Revision)>>,
}

impl InMemoryStore {
    /// An empty store of its own, gone with its last clone.
    pub fn new() -> Self {
        Self { content: Arc::default(), clock: None }
    }

    /// The one store called `name` in this process; it lives as long as the process does.
    pub fn named(name: &str) -> Self {
        static NAMED: LazyLock<Mutex<HashMap<String, Arc<Content>>>> = LazyLock::new(Mutex::default);
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        let content =
            named.entry(name.to_owned()).or_insert_with(|| Arc::new(Content { name: name.to_owned(), objects: Mutex::default() }));
        Self { content: Arc::clone(content), clock: None }
    }

    /// The same content through a handle whose replies carry the wall-clock time of `clock`.
    #[must_use]
    pub fn with_store_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, (Bytes, Revision)>> {
        // Every change below is a single insertion or removal, so a panic elsewhere cannot have left half of one.
        self.content.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self) -> Option<StoreTime> {
        self.clock.as_ref().map(|clock| StoreTime::from_ms(clock.wall_ms()))
    }
}

impl Default for InMemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the location and how many objects there are, never their content.
impl std::fmt::Debug for InMemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InMemoryStore({}, {} objects)", self.location(), self.objects().len())
    }
}

#[async_trait]
impl Store for InMemoryStore {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        let found = self.objects().get(key).cloned();
        let at = self.at();
        let Some((bytes, revision)) = found else { return Ok(Answer::new(Get::Absent, at)) };
        if options.if_changed_from.as_ref() == Some(&revision) {
            return Ok(Answer::new(Get::NotModified, at));
        }
        let size = bytes.len() as u64;
        let range = cut(key, options.range, size).map_err(|error| error.at(at))?;
        Ok(Answer::new(Get::Found(Object { bytes: bytes.slice(range.start as usize..range.end as usize), revision, size }), at))
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        // The body may be a slice of something large, which must not be kept alive by it.
        let body = Bytes::copy_from_slice(&body);
        let revision = Revision::new(ContentHash::of(&body).to_string());
        let mut objects = self.objects();
        let holds = match precondition {
            Precondition::None => true,
            Precondition::IfAbsent => !objects.contains_key(key),
            Precondition::IfMatch(expected) => objects.get(key).is_some_and(|(_, current)| *current == expected),
        };
        if holds {
            objects.insert(key.clone(), (body, revision.clone()));
        }
        drop(objects);
        Ok(Answer::new(if holds { Outcome::Committed(revision) } else { Outcome::Rejected }, self.at()))
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        let start = prefix.start();
        let from = match after {
            Some(after) if after.as_str() >= start.as_str() => Bound::Excluded(after.as_str()),
            _ => Bound::Included(start.as_str()),
        };
        let page = listed(
            self.objects()
                .range::<str, _>((from, Bound::Unbounded))
                .take_while(|(key, _)| key.as_str().starts_with(&start))
                .map(|(key, (bytes, _))| (key.clone(), bytes.len() as u64)),
            limit,
        );
        Ok(Answer::new(page, self.at()))
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.objects().remove(key);
        Ok(Answer::new((), self.at()))
    }

    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        let mut objects = self.objects();
        for key in keys {
            objects.remove(key);
        }
        drop(objects);
        Ok(Answer::new((), self.at()))
    }

    fn location(&self) -> String {
        format!("memory://{}", self.content.name)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { has_time: self.clock.is_some(), linearizable_list: true, shared: false }
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    #[test]
    fn a_name_is_one_store_in_this_process_and_no_name_is_none_of_them() {
        let key = Key::new("a").unwrap();
        let put = |store: &InMemoryStore| block_on(store.put(&key, Bytes::new(), Precondition::IfAbsent)).unwrap().value;
        assert!(matches!(put(&InMemoryStore::named("names/one")), Outcome::Committed(_)));
        assert!(matches!(put(&InMemoryStore::named("names/one")), Outcome::Rejected));
        assert!(matches!(put(&InMemoryStore::named("names/two")), Outcome::Committed(_)));
        assert!(matches!(put(&InMemoryStore::new()), Outcome::Committed(_)));
        assert_eq!(InMemoryStore::named("names/one").location(), "memory://names/one");
        assert_eq!(InMemoryStore::new().location(), "memory://");
    }

    #[test]
    fn replies_carry_the_time_of_the_clock_that_was_given_errors_included() {
        let plain = InMemoryStore::new();
        let timed = plain.clone().with_store_clock(Arc::new(brainy_core::SystemClock));
        let key = Key::new("a").unwrap();
        block_on(async {
            assert_eq!(plain.put(&key, Bytes::new(), Precondition::None).await.unwrap().at, None);
            assert!(timed.get(&key, GetOptions::whole()).await.unwrap().at.is_some());
            assert!(timed.get(&key, GetOptions::range(5..6)).await.unwrap_err().store_time().is_some());
            assert!(timed.capabilities().has_time && !plain.capabilities().has_time);
        });
    }
}
