//! What some transactions touch, and the changes applied to it so far.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use brainy_core::{Incident, Noun, NounId, SetHash, Statistics, Verb, VerbId};

use crate::command::{Command, Step};
use crate::contents::{Contents, DeadKeys, filed_under};
use crate::record::Record;
use crate::touched::{Touched, TouchedItems};
use crate::{Space, counters};

/// The items that the transactions of a slot touch, shared with the state until a transaction changes them, and the counters and digest of the whole state
/// with those changes. Made by [`fetch`](brainy_coordination::StateMachine::fetch) of an [`Engine`](crate::Engine).
pub struct View {
    pub(crate) space: Space,
    /// Everything that is not in the view is gone.
    cleared: bool,
    nouns: TouchedItems<NounId, Noun>,
    verbs: TouchedItems<VerbId, Verb>,
    /// The verbs that touch each noun which some transaction of the slot deletes.
    incident: BTreeMap<NounId, BTreeSet<VerbId>>,
    statistics: Statistics,
    digest: SetHash,
}

impl View {
    /// What `commands` touch of `contents`.
    pub(crate) fn fetch(space: Space, contents: &Contents, commands: &[&Command]) -> Self {
        let mut view = Self {
            space,
            cleared: false,
            nouns: TouchedItems::with_capacity(commands.len()),
            verbs: TouchedItems::default(),
            incident: BTreeMap::new(),
            statistics: contents.statistics.clone(),
            digest: contents.digest,
        };
        let mut detached = HashSet::new();
        for step in commands.iter().filter_map(|command| command.steps.as_ref()).flatten() {
            view.touch(contents, step, &mut detached);
        }
        view
    }

    /// Takes in what an operation names, and for a noun to be deleted the verbs that touch it and may go with it: once for each noun, however often a slot names it.
    fn touch<'c>(&mut self, contents: &Contents, step: &'c Step, detached: &mut HashSet<&'c NounId>) {
        let mut touch_verb = |id: &VerbId| {
            self.verbs.touch(id, || contents.verbs.get(id).map(|held| Arc::clone(&held.record)));
        };
        let mut touch_noun = |id: &NounId| {
            self.nouns.touch(id, || contents.nouns.get(id).map(|held| Arc::clone(&held.record)));
        };
        match step {
            Step::PutNoun(noun, ..) => touch_noun(&noun.id),
            Step::DeleteNoun(id, incident, _) => {
                touch_noun(id);
                let verbs = self.incident.entry(id.clone()).or_insert_with(|| incident_ids(contents, id));
                if *incident == Incident::Detach && detached.insert(id) {
                    verbs.iter().for_each(touch_verb);
                }
            }
            Step::PutVerb(verb, id, ..) => {
                touch_verb(id);
                touch_noun(&verb.source);
                touch_noun(&verb.target);
            }
            Step::DeleteVerb(id, _) => touch_verb(id),
            // A clear touches everything and needs nothing; what this build does not know is refused when it is applied.
            Step::Clear | Step::Unknown => {}
        }
    }

    pub(crate) fn noun(&self, id: &NounId) -> Option<&Arc<Record<Noun>>> {
        let touched = self.nouns.get(id);
        debug_assert!(self.cleared || touched.is_some(), "noun {id} was not fetched");
        touched.and_then(|touched| touched.now.as_ref())
    }

    pub(crate) fn verb(&self, id: &VerbId) -> Option<&Arc<Record<Verb>>> {
        let touched = self.verbs.get(id);
        debug_assert!(self.cleared || touched.is_some(), "verb {id} was not fetched");
        touched.and_then(|touched| touched.now.as_ref())
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
    pub(crate) fn set_noun(&mut self, id: &NounId, record: Option<Arc<Record<Noun>>>) {
        let touched = self.nouns.touch(id, || None);
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
    pub(crate) fn set_verb(&mut self, id: &VerbId, record: Option<Arc<Record<Verb>>>) {
        let touched = self.verbs.touch(id, || None);
        if let Some(old) = &touched.now {
            counters::take_verb(&mut self.statistics, &old.item);
            self.digest.remove(&old.element);
            counters::count_deletion(&mut self.statistics.deleted_verbs, record.is_none());
            for end in [&old.item.source, &old.item.target] {
                if let Some(incident) = self.incident.get_mut(end) {
                    incident.remove(id);
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
        self.nouns.into_changed().for_each(|(id, record)| contents.set_noun(id, record, &mut dead));
        self.verbs.into_changed().for_each(|(id, record)| contents.set_verb(id, record, &mut dead));
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
