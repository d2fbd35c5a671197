//! What some transactions touch, and the changes applied to it so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brainy_core::{Incident, Noun, NounId, SetHash, Statistics, Verb, VerbId};

use crate::command::{Command, Step};
use crate::contents::{Contents, DeadKeys, filed_under};
use crate::record::Record;
use crate::{Space, counters};

/// An item as the view has it now; absent if `now` is none.
#[derive(Debug)]
struct Touched<T> {
    now: Option<Arc<Record<T>>>,
    changed: bool,
}

/// The items that the transactions of a slot touch, shared with the state until a transaction changes them, and the counters and digest of the whole state
/// with those changes. Made by [`fetch`](brainy_coordination::StateMachine::fetch) of an [`Engine`](crate::Engine).
pub struct View {
    pub(crate) space: Space,
    /// Everything that is not in the view is gone.
    cleared: bool,
    nouns: BTreeMap<NounId, Touched<Noun>>,
    verbs: BTreeMap<VerbId, Touched<Verb>>,
    /// The verbs that touch each noun which some transaction of the slot deletes.
    incident: BTreeMap<NounId, BTreeSet<VerbId>>,
    statistics: Statistics,
    digest: SetHash,
}

/// Which items some transactions name.
#[derive(Debug, Default)]
struct Names {
    nouns: BTreeSet<NounId>,
    verbs: BTreeSet<VerbId>,
    /// Nouns to be deleted.
    deleted: BTreeSet<NounId>,
    /// Those of them whose verbs go with them.
    detached: BTreeSet<NounId>,
}

impl Names {
    fn add(&mut self, step: &Step) {
        match step {
            Step::PutNoun(noun, ..) => {
                self.nouns.insert(noun.id.clone());
            }
            Step::DeleteNoun(id, incident, _) => {
                if *incident == Incident::Detach {
                    self.detached.insert(id.clone());
                }
                self.deleted.insert(id.clone());
                self.nouns.insert(id.clone());
            }
            Step::PutVerb(verb, id, ..) => {
                self.verbs.insert(id.clone());
                self.nouns.insert(verb.source.clone());
                self.nouns.insert(verb.target.clone());
            }
            Step::DeleteVerb(id, _) => {
                self.verbs.insert(id.clone());
            }
            // A clear touches everything and needs nothing; what this build does not know is refused when it is applied.
            Step::Clear | Step::Unknown => {}
        }
    }
}

impl View {
    /// What `commands` touch of `contents`.
    pub(crate) fn fetch(space: Space, contents: &Contents, commands: &[&Command]) -> Self {
        // Round 1: what the operations name. Round 2: which verbs touch the nouns to be deleted. Round 3: those of them that go too.
        let mut names = Names::default();
        commands.iter().filter_map(|command| command.steps.as_ref()).flatten().for_each(|step| names.add(step));
        let incident: BTreeMap<NounId, BTreeSet<VerbId>> =
            names.deleted.into_iter().map(|noun| (noun.clone(), incident_ids(contents, &noun))).collect();
        names.verbs.extend(names.detached.iter().filter_map(|noun| incident.get(noun)).flatten().cloned());
        let noun = |id: NounId| {
            let now = contents.nouns.get(&id).map(|held| Arc::clone(&held.record));
            (id, Touched { now, changed: false })
        };
        let verb = |id: VerbId| {
            let now = contents.verbs.get(&id).map(|held| Arc::clone(&held.record));
            (id, Touched { now, changed: false })
        };
        Self {
            space,
            cleared: false,
            nouns: names.nouns.into_iter().map(noun).collect(),
            verbs: names.verbs.into_iter().map(verb).collect(),
            incident,
            statistics: contents.statistics.clone(),
            digest: contents.digest,
        }
    }

    pub(crate) fn noun(&self, id: &NounId) -> Option<&Arc<Record<Noun>>> {
        debug_assert!(self.cleared || self.nouns.contains_key(id), "noun {id} was not fetched");
        self.nouns.get(id).and_then(|touched| touched.now.as_ref())
    }

    pub(crate) fn verb(&self, id: &VerbId) -> Option<&Arc<Record<Verb>>> {
        debug_assert!(self.cleared || self.verbs.contains_key(id), "verb {id} was not fetched");
        self.verbs.get(id).and_then(|touched| touched.now.as_ref())
    }

    /// The verbs that touch the noun `id`, which some transaction of the slot deletes.
    pub(crate) fn incident(&self, id: &NounId) -> impl Iterator<Item = &VerbId> {
        debug_assert!(self.cleared || self.incident.contains_key(id), "the verbs of noun {id} were not fetched");
        self.incident.get(id).into_iter().flatten()
    }

    pub(crate) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    pub(crate) fn digest(&self) -> SetHash {
        self.digest
    }

    /// Puts the noun `id` in place of what was there, or takes it out.
    pub(crate) fn set_noun(&mut self, id: NounId, record: Option<Arc<Record<Noun>>>) {
        let touched = self.nouns.entry(id).or_insert(Touched { now: None, changed: false });
        if let Some(old) = &touched.now {
            counters::take_noun(&mut self.statistics, &old.item);
            self.digest.remove(&old.element);
            counters::count_deletion(&mut self.statistics.deleted_nouns, record.is_none());
        }
        if let Some(new) = &record {
            counters::add_noun(&mut self.statistics, &new.item);
            self.digest.insert(&new.element);
        }
        *touched = Touched { now: record, changed: true };
    }

    /// Puts the verb `id` in place of what was there, or takes it out.
    pub(crate) fn set_verb(&mut self, id: VerbId, record: Option<Arc<Record<Verb>>>) {
        let touched = self.verbs.entry(id.clone()).or_insert(Touched { now: None, changed: false });
        if let Some(old) = &touched.now {
            counters::take_verb(&mut self.statistics, &old.item);
            self.digest.remove(&old.element);
            counters::count_deletion(&mut self.statistics.deleted_verbs, record.is_none());
            for end in [&old.item.source, &old.item.target] {
                if let Some(incident) = self.incident.get_mut(end) {
                    incident.remove(&id);
                }
            }
        }
        if let Some(new) = &record {
            counters::add_verb(&mut self.statistics, &new.item);
            self.digest.insert(&new.element);
            // A later transaction of the slot that deletes an end must see this verb.
            for end in [&new.item.source, &new.item.target] {
                if let Some(incident) = self.incident.get_mut(end) {
                    incident.insert(id.clone());
                }
            }
        }
        *touched = Touched { now: record, changed: true };
    }

    /// Deletes every item of the state, fetched or not; how many there were.
    pub(crate) fn clear(&mut self) -> u64 {
        self.cleared = true;
        self.nouns.clear();
        self.verbs.clear();
        self.incident.values_mut().for_each(BTreeSet::clear);
        self.digest = SetHash::EMPTY;
        counters::clear(&mut self.statistics)
    }

    /// Makes the changes those of `contents`, which are as they were when the view was fetched; the vector keys that lost their item.
    pub(crate) fn install(self, contents: &mut Contents) -> DeadKeys {
        let mut dead = DeadKeys::default();
        if self.cleared {
            contents.clear();
        }
        for (id, touched) in self.nouns {
            if touched.changed {
                contents.set_noun(id, touched.now, &mut dead);
            }
        }
        for (id, touched) in self.verbs {
            if touched.changed {
                contents.set_verb(id, touched.now, &mut dead);
            }
        }
        contents.statistics = self.statistics;
        contents.digest = self.digest;
        dead
    }
}

/// Shows how much it holds, not what.
impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("nouns", &self.nouns.len())
            .field("verbs", &self.verbs.len())
            .field("cleared", &self.cleared)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

fn incident_ids(contents: &Contents, noun: &NounId) -> BTreeSet<VerbId> {
    let outgoing = filed_under(&contents.outgoing, noun, None);
    let incoming = filed_under(&contents.incoming, noun, None);
    outgoing.chain(incoming).map(|record| record.item.id.clone()).collect()
}
