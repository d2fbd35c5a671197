//! The log's own part of the replicated state: who committed what last, claims, rules, publications.

mod bytes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use brainy_core::codec;
use brainy_core::{ContentHash, Epoch, SetHash, StoreId, WriterId};
use serde::{Deserialize, Serialize};

use crate::apply::COMPACTOR;
use crate::descriptor::Constants;
use crate::machine::Verdict;
use crate::mutants::broken;

/// How a writer's newest number was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "simulation", derive(Hash))]
pub enum Decision {
    /// The batch was applied; one verdict a transaction.
    Applied(Vec<Verdict>),
    /// Another writer gave it up.
    Cancelled,
    /// A slot's creator could not decode it.
    Refused,
}

/// What the state keeps of one writer: its newest decided batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterRecord {
    pub wseq: u64,
    /// Of the batch's bytes; none for a cancelled or refused one.
    pub hash: Option<ContentHash>,
    /// The slot that decided it.
    pub slot: u64,
    /// Ordinal of the batch's first transaction in that slot.
    pub first_ordinal: u32,
    pub decision: Decision,
}

/// A published manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    pub seq: u64,
    pub token: u64,
    pub manifest: String,
}

/// Everything the log itself replicates. Bounded by the writers of the last 2H slots, the names of leases and the forks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    pub store: StoreId,
    pub epoch: Epoch,
    /// Number of the newest applied slot; 0 before the first.
    pub position: u64,
    /// Its hash; that of `brainy.json` before the first.
    pub slot_hash: ContentHash,
    /// The apply rules of the next slot.
    pub rules: u32,
    pub scan_base: u64,
    /// Stale beyond so many slots; a writer is forgotten beyond twice as many.
    horizon: u64,
    writers: BTreeMap<WriterId, WriterRecord>,
    by_slot: BTreeSet<(u64, WriterId)>,
    claims: BTreeMap<String, u64>,
    published: Option<Publication>,
    forks: BTreeMap<StoreId, String>,
    digest: SetHash,
    /// The newest slot whose verdict bits a header has stated.
    stated: u64,
    /// Verdict bits of the slots after it: of so many at most as a header's figures may lag, later ones nobody can state any more.
    unstated: VecDeque<Vec<u8>>,
    lag: u64,
    /// Most names of leases.
    leases: usize,
}

/// What one slot changes in a [`LogState`].
#[derive(Clone, Debug, Default)]
pub struct LogDelta {
    pub writers: BTreeMap<WriterId, WriterRecord>,
    pub claims: BTreeMap<String, u64>,
    pub rules: Option<u32>,
    pub published: Option<Publication>,
    /// None: the fork is gone.
    pub forks: BTreeMap<StoreId, Option<String>>,
}

impl LogState {
    /// The state before slot `before_first + 1`, under these rules and constants.
    pub fn new(store: StoreId, epoch: Epoch, before_first: u64, slot_hash: ContentHash, rules: u32, constants: &Constants) -> Self {
        let mut digest = SetHash::EMPTY;
        digest.insert(&element("rules", &[], &rules));
        Self {
            store,
            epoch,
            position: before_first,
            slot_hash,
            rules,
            scan_base: before_first,
            horizon: constants.horizon_slots,
            writers: BTreeMap::new(),
            by_slot: BTreeSet::new(),
            claims: BTreeMap::new(),
            published: None,
            forks: BTreeMap::new(),
            digest,
            stated: before_first,
            unstated: VecDeque::new(),
            lag: constants.summary_lag_slots.max(1),
            leases: constants.most_leases(),
        }
    }

    pub fn writer(&self, writer: WriterId) -> Option<&WriterRecord> {
        self.writers.get(&writer)
    }

    #[cfg(test)]
    pub fn writer_count(&self) -> usize {
        assert_eq!(self.writers.len(), self.by_slot.len(), "each writer is listed by its slot, once");
        self.writers.len()
    }

    /// The digest of what is there, from nothing.
    pub fn recomputed_digest(&self) -> SetHash {
        let mut digest = SetHash::EMPTY;
        digest.insert(&element("rules", &[], &self.rules));
        self.writers.iter().for_each(|(writer, record)| digest.insert(&writer_element(*writer, record)));
        self.claims.iter().for_each(|(name, token)| digest.insert(&element("claim", name.as_bytes(), token)));
        self.published.iter().for_each(|published| digest.insert(&element("published", &[], published)));
        self.forks.iter().for_each(|(child, manifest)| digest.insert(&element("fork", child.as_bytes(), manifest)));
        digest
    }

    pub fn horizon(&self) -> u64 {
        self.horizon
    }

    pub fn claim(&self, name: &str) -> u64 {
        self.claims.get(name).copied().unwrap_or(0)
    }

    /// Whether a claim under `name` has room after `more` others under fresh names (INV-33). The store's own always has.
    pub fn has_room_for(&self, name: &str, more: usize) -> bool {
        let others = self.claims.len() - usize::from(self.claims.contains_key(COMPACTOR));
        name == COMPACTOR || self.claims.contains_key(name) || others + more < self.leases
    }

    pub fn claims(&self) -> &BTreeMap<String, u64> {
        &self.claims
    }

    pub fn published_seq(&self) -> u64 {
        self.published.as_ref().map_or(0, |publication| publication.seq)
    }

    /// The newest published manifest.
    pub fn published(&self) -> Option<&Publication> {
        self.published.as_ref()
    }

    /// The forks and the manifests that they live on.
    pub fn forks(&self) -> &BTreeMap<StoreId, String> {
        &self.forks
    }

    pub fn has_fork(&self, child: &StoreId) -> bool {
        self.forks.contains_key(child)
    }

    pub fn stated(&self) -> u64 {
        self.stated
    }

    pub fn unstated(&self) -> &VecDeque<Vec<u8>> {
        &self.unstated
    }

    /// Order-free hash of all of it that later slots depend on.
    pub fn digest(&self) -> SetHash {
        self.digest
    }

    /// The digest after `delta` was installed at slot `position`.
    pub fn digest_with(&self, delta: &LogDelta, position: u64) -> SetHash {
        let mut digest = self.digest;
        for (writer, record) in &delta.writers {
            if let Some(old) = self.writers.get(writer) {
                digest.remove(&writer_element(*writer, old));
            }
            digest.insert(&writer_element(*writer, record));
        }
        for writer in self.forgotten(position) {
            if !delta.writers.contains_key(&writer) {
                digest.remove(&writer_element(writer, &self.writers[&writer]));
            }
        }
        for (name, token) in &delta.claims {
            if let Some(old) = self.claims.get(name) {
                digest.remove(&element("claim", name.as_bytes(), old));
            }
            digest.insert(&element("claim", name.as_bytes(), token));
        }
        if let Some(rules) = delta.rules {
            digest.remove(&element("rules", &[], &self.rules));
            digest.insert(&element("rules", &[], &rules));
        }
        if let Some(published) = &delta.published {
            if let Some(old) = &self.published {
                digest.remove(&element("published", &[], old));
            }
            digest.insert(&element("published", &[], published));
        }
        for (child, manifest) in &delta.forks {
            if let Some(old) = self.forks.get(child) {
                digest.remove(&element("fork", child.as_bytes(), old));
            }
            if let Some(manifest) = manifest {
                digest.insert(&element("fork", child.as_bytes(), manifest));
            }
        }
        digest
    }

    /// Writers whose newest slot lies more than 2H before `position`: every replica drops them at the same slot, and all their copies are stale by then.
    fn forgotten(&self, position: u64) -> Vec<WriterId> {
        let horizon = self.horizon.saturating_mul(if broken!(ForgetAtH) { 1 } else { 2 });
        self.by_slot.iter().take_while(|(slot, _)| position.saturating_sub(*slot) > horizon).map(|(_, writer)| *writer).collect()
    }

    /// Installs what the next slot changed.
    pub fn install(&mut self, delta: LogDelta, slot_hash: ContentHash, scan_base: u64, bits: Vec<u8>, stated: Option<u64>) {
        let position = self.position + 1;
        self.digest = self.digest_with(&delta, position);
        let forgotten = self.forgotten(position);
        for writer in forgotten {
            if let Some(record) = self.writers.remove(&writer) {
                self.by_slot.remove(&(record.slot, writer));
            }
        }
        for (writer, record) in delta.writers {
            self.by_slot.insert((record.slot, writer));
            if let Some(old) = self.writers.insert(writer, record) {
                self.by_slot.remove(&(old.slot, writer));
                // The same slot may have decided two numbers of one writer.
                self.by_slot.insert((self.writers[&writer].slot, writer));
            }
        }
        self.claims.extend(delta.claims);
        if let Some(rules) = delta.rules {
            self.rules = rules;
        }
        if delta.published.is_some() {
            self.published = delta.published;
        }
        for (child, manifest) in delta.forks {
            match manifest {
                Some(manifest) => self.forks.insert(child, manifest),
                None => self.forks.remove(&child),
            };
        }
        self.position = position;
        self.slot_hash = slot_hash;
        // What a header claims of listings cannot reach beyond the slot before it, nor take back what was vouched for.
        self.scan_base = self.scan_base.max(scan_base.min(position - 1));
        self.unstated.push_back(bits);
        if let Some(stated) = stated.filter(|stated| (self.stated..=position).contains(stated)) {
            let covered = usize::try_from(stated - self.stated).expect("at most as many as are kept").min(self.unstated.len());
            self.unstated.drain(..covered);
            self.stated = stated;
        }
        if self.unstated.len() as u64 > self.lag {
            self.unstated.pop_front();
            self.stated += 1;
        }
    }
}

fn element<T: Serialize>(section: &str, name: &[u8], value: &T) -> ContentHash {
    ContentHash::of_parts(&[section.as_bytes(), name, &codec::encode(value)])
}

fn writer_element(writer: WriterId, record: &WriterRecord) -> ContentHash {
    element("writer", writer.as_bytes(), record)
}
