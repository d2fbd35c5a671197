//! What every [`Store`] promises, as checks that any store can be run through (feature `conformance`).
//!
//! Each check is named by its guarantee and can be called alone. Nothing is printed and no runtime is needed: checks are futures, and their concurrency
//! is that of many requests under way at once. Real parallelism comes from the store, or from several handles to it.

mod lists;
mod races;
mod reads;
mod writes;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use brainy_core::{Clock, Entropy, Moment, Nonce};
use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use self::lists::*;
pub use self::races::*;
pub use self::reads::*;
pub use self::writes::*;
use crate::{Get, GetOptions, Key, Object, Outcome, Precondition, Prefix, Revision, Store, StoreError, conditional};

/// How hard the checks try. Each number costs requests in proportion.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Writers in one race. Default: 64.
    pub racers: usize,
    /// Races of each kind. Default: 10.
    pub rounds: usize,
    /// Tasks that raise one counter. Default: 16.
    pub tasks: usize,
    /// How often each of them raises it. Default: 25.
    pub increments: usize,
    /// Objects in the long listing: more than a bucket lists at once. Default: 1,100.
    pub many: usize,
    /// Size of the large object in bytes. Default: 1 MiB and 17.
    pub large_bytes: usize,
    /// How long one check may take. Default: two minutes.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            racers: 64,
            rounds: 10,
            tasks: 16,
            increments: 25,
            many: 1_100,
            large_bytes: (1 << 20) + 17,
            patience: Duration::from_secs(120),
        }
    }
}

/// A guarantee that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub guarantee: &'static str,
    /// What was seen instead.
    pub seen: String,
}

/// What a whole run found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Report {
    /// The guarantees that held.
    pub held: Vec<&'static str>,
    /// Those that did not.
    pub broken: Vec<Broken>,
}

impl Report {
    /// Whether every guarantee held.
    pub fn is_ok(&self) -> bool {
        self.broken.is_empty()
    }
}

/// One line for each guarantee that did not hold, then the counts.
impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Broken { guarantee, seen } in &self.broken {
            writeln!(f, "broken: {guarantee}: {seen}")?;
        }
        write!(f, "{} guarantees held, {} did not", self.held.len(), self.broken.len())
    }
}

/// What a check returns: nothing, or what was seen in place of what is promised.
pub type Checked = Result<(), Seen>;

/// What was seen in place of what is promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(pub String);

impl From<StoreError> for Seen {
    fn from(error: StoreError) -> Self {
        Self(format!("an error: {error}"))
    }
}

/// One guarantee and the check of it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Check {
    /// The guarantee.
    pub guarantee: &'static str,
    /// Its check.
    pub run: for<'a> fn(&'a Ground) -> BoxFuture<'a, Checked>,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Check({})", self.guarantee)
    }
}

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        &[$(Check { guarantee: stringify!($name), run: |ground| Box::pin($name(ground)) }),*]
    };
}

/// Every check, in the order in which [`run`] makes them.
pub const CHECKS: &[Check] = checks![
    a_get_sees_every_write_that_ended,
    an_absent_object_is_absent_and_no_error,
    an_empty_object_is_an_object,
    a_large_object_comes_back_whole,
    a_range_is_cut_at_the_end_and_refused_beyond_it,
    a_get_of_what_has_not_changed_has_no_body,
    a_reader_never_sees_a_torn_object,
    every_allowed_key_names_its_own_object,
    an_unconditional_put_overwrites,
    a_create_over_an_object_is_refused_and_changes_nothing,
    an_update_of_a_stale_revision_is_refused_and_changes_nothing,
    an_update_of_an_absent_object_is_refused_and_makes_nothing,
    states_that_differ_have_different_revisions_and_equal_ones_may_share,
    a_deleted_object_can_be_created_again,
    deleting_what_is_absent_is_no_fault,
    many_objects_are_deleted_at_once,
    exactly_one_of_racing_creates_wins,
    exactly_one_of_racing_updates_wins,
    a_counter_raised_by_compare_and_swap_is_exact,
    a_listing_shows_every_write_that_ended,
    a_listing_shows_no_deletion_that_ended,
    a_listing_is_in_the_order_of_bytes,
    a_listing_starts_after_and_stops_at_its_limit,
    a_listing_keeps_to_its_folder,
    a_long_listing_is_complete_page_by_page,
];

/// Runs every check on one store and deletes what they left. `stores`: one or more handles to the same store; with several, concurrent requests are spread
/// over them, as those of several processes are.
///
/// # Panics
/// `stores` is empty.
pub async fn run(stores: &[Arc<dyn Store>], clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, options: Options) -> Report {
    let ground = Ground::new(stores, clock, entropy, options);
    let mut report = Report::default();
    for check in CHECKS {
        match (check.run)(&ground).await {
            Ok(()) => report.held.push(check.guarantee),
            Err(Seen(seen)) => report.broken.push(Broken { guarantee: check.guarantee, seen }),
        }
    }
    if let Err(Seen(seen)) = ground.clear().await {
        report.broken.push(Broken { guarantee: "what the checks wrote can be deleted", seen });
    }
    report
}

/// Where checks are made: a store and a folder of their own in it.
#[derive(Debug)]
pub struct Ground {
    stores: Vec<Arc<dyn Store>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    options: Options,
    root: String,
}

impl Ground {
    /// A fresh folder of the store.
    ///
    /// # Panics
    /// `stores` is empty.
    pub fn new(stores: &[Arc<dyn Store>], clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, options: Options) -> Self {
        assert!(!stores.is_empty(), "a conformance run needs a store");
        let root = format!("conformance/{}", Nonce::random(&*entropy));
        Self { stores: stores.to_vec(), clock, entropy, options, root }
    }

    /// Deletes whatever checks left in the folder.
    ///
    /// # Errors
    /// What the store said.
    pub async fn clear(&self) -> Checked {
        let root = Prefix::new(&self.root).expect("the folder's name is a key");
        let limit = NonZeroUsize::new(1_000).expect("a thousand is not zero");
        loop {
            let page = conditional::list(self.store(0), &*self.clock, &*self.entropy, &root, None, limit, self.deadline()).await?.value;
            if page.entries.is_empty() {
                return Ok(());
            }
            let keys = page.entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>();
            conditional::delete(self.store(0), &*self.clock, &*self.entropy, &keys, self.deadline()).await?;
        }
    }

    fn store(&self, at: usize) -> &dyn Store {
        &*self.stores[at % self.stores.len()]
    }

    fn handles(&self) -> Vec<&dyn Store> {
        self.stores.iter().map(|store| &**store).collect()
    }

    fn deadline(&self) -> Moment {
        self.clock.now().after(self.options.patience)
    }

    fn key(&self, name: impl std::fmt::Display) -> Key {
        Key::new(format!("{}/{name}", self.root)).expect("the checks use allowed names")
    }

    fn prefix(&self, name: &str) -> Prefix {
        Prefix::new(format!("{}/{name}", self.root)).expect("the checks use allowed names")
    }

    /// Bytes like no other.
    fn unique(&self) -> Bytes {
        Bytes::from(Nonce::random(&*self.entropy).to_string())
    }

    /// A put whose answer must be plain: a lost reply is resolved only where a race is checked.
    async fn put(&self, at: usize, key: &Key, body: &Bytes, precondition: Precondition) -> Result<Option<Revision>, Seen> {
        match self.store(at).put(key, body.clone(), precondition).await?.value {
            Outcome::Committed(revision) => Ok(Some(revision)),
            Outcome::Rejected => Ok(None),
            Outcome::Unknown(error) => Err(Seen(format!("a lost reply: {error}"))),
        }
    }

    /// Writes unconditionally.
    async fn write(&self, key: &Key, body: &Bytes) -> Result<Revision, Seen> {
        self.put(0, key, body, Precondition::None).await?.ok_or_else(|| Seen("a put without condition was refused".into()))
    }

    /// The object, through handle `at`; an error if there is none.
    async fn object(&self, at: usize, key: &Key) -> Result<Object, Seen> {
        match self.store(at).get(key, GetOptions::whole()).await?.value {
            Get::Found(object) => Ok(object),
            Get::Absent => Err(Seen(format!("{} is absent", self.short(key)))),
            Get::NotModified => Err(Seen("a plain get was answered by not-modified".into())),
        }
    }

    /// That the object has these bytes and this revision, through every handle.
    async fn expect(&self, key: &Key, body: &Bytes, revision: &Revision) -> Checked {
        for at in 0..self.stores.len() {
            let object = self.object(at, key).await?;
            if object.bytes != *body {
                return Err(Seen(format!(
                    "{} has other bytes than were written: {} in place of {}",
                    self.short(key),
                    object.bytes.len(),
                    body.len()
                )));
            }
            if object.size != body.len() as u64 {
                return Err(Seen(format!("{} has size {} in place of {}", self.short(key), object.size, body.len())));
            }
            if object.revision != *revision {
                return Err(Seen(format!("{} has another revision than its write was told", self.short(key))));
            }
        }
        Ok(())
    }

    async fn expect_absent(&self, key: &Key) -> Checked {
        for at in 0..self.stores.len() {
            match self.store(at).get(key, GetOptions::whole()).await?.value {
                Get::Absent => {}
                found => return Err(Seen(format!("{} is there: {found:?}", self.short(key)))),
            }
        }
        Ok(())
    }

    /// The key without the folder of the checks.
    fn short<'a>(&self, key: &'a Key) -> &'a str {
        key.as_str().strip_prefix(&self.root).map_or(key.as_str(), |rest| rest.trim_start_matches('/'))
    }
}

fn ensure(holds: bool, seen: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Seen(seen())) }
}
