//! The rules of apply once more, written as plainly as they can be, and everything that follows from the items counted from the items.

use std::collections::{BTreeMap, BTreeSet};

use brainy_coordination::{Context, Verdict};
use brainy_core::{
    ContentHash, Incident, Metric, MissingEnds, Noun, NounDraft, NounId, Operation, Precondition, SetHash, Statistics, Vector, Verb,
    VerbDraft, VerbId, Version, codec,
};
use brainy_engine::Reason;

use crate::drive::{DIMENSION, effective, rejected};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) nouns: BTreeMap<NounId, Noun>,
    pub(crate) verbs: BTreeMap<VerbId, Verb>,
    deleted_nouns: u64,
    deleted_verbs: u64,
}

impl Model {
    pub(crate) fn apply(&mut self, context: Context, operations: &[Operation]) -> Verdict {
        let mut after = self.clone();
        if operations == [Operation::Clear] {
            after.nouns.clear();
            after.verbs.clear();
        } else {
            let mut named = (BTreeSet::new(), BTreeSet::new());
            for (at, operation) in operations.iter().enumerate() {
                if let Err(reason) = self.operate(&mut after, &mut named, context, operation) {
                    return rejected(u32::try_from(at).unwrap(), reason);
                }
            }
        }
        let gone_nouns = self.nouns.keys().filter(|id| !after.nouns.contains_key(*id)).count();
        let gone_verbs = self.verbs.keys().filter(|id| !after.verbs.contains_key(*id)).count();
        let put_nouns = after.nouns.values().filter(|noun| noun.version == context.version).count();
        let put_verbs = after.verbs.values().filter(|verb| verb.version == context.version).count();
        after.deleted_nouns += gone_nouns as u64;
        after.deleted_verbs += gone_verbs as u64;
        *self = after;
        effective(u32::try_from(gone_nouns + gone_verbs + put_nouns + put_verbs).unwrap())
    }

    fn operate(
        &self,
        after: &mut Self,
        (nouns, verbs): &mut (BTreeSet<NounId>, BTreeSet<VerbId>),
        context: Context,
        operation: &Operation,
    ) -> Result<(), Reason> {
        let store_noun = |after: &mut Self, draft: &NounDraft| {
            let created = self.nouns.get(&draft.id).map_or(context.at_ms, |old| old.created_ms);
            after.nouns.insert(draft.id.clone(), Noun::from_draft(draft, context.version, created, context.at_ms));
        };
        match operation {
            Operation::PutNoun { noun, precondition } => {
                once(nouns, &noun.id)?;
                hold(*precondition, self.nouns.get(&noun.id).map(|noun| noun.version))?;
                fits(noun.vector.as_ref())?;
                store_noun(after, noun);
            }
            Operation::DeleteNoun { id, incident, precondition } => {
                once(nouns, id)?;
                hold(*precondition, self.nouns.get(id).map(|noun| noun.version))?;
                if after.nouns.contains_key(id) {
                    let touching: Vec<VerbId> =
                        after.verbs.values().filter(|verb| verb.source == *id || verb.target == *id).map(|verb| verb.id.clone()).collect();
                    if *incident == Incident::Restrict && !touching.is_empty() {
                        return Err(Reason::HasVerbs);
                    }
                    for verb in touching {
                        once(verbs, &verb)?;
                        after.verbs.remove(&verb);
                    }
                    after.nouns.remove(id);
                }
            }
            Operation::PutVerb { verb, precondition, missing } => {
                let id = verb.effective_id();
                once(verbs, &id)?;
                let old = self.verbs.get(&id);
                hold(*precondition, old.map(|verb| verb.version))?;
                fits(verb.vector.as_ref())?;
                if verb.id.is_none() && *precondition == Precondition::None && old.is_some_and(|old| equal(old, verb)) {
                    return Ok(());
                }
                for (end, reason) in [(&verb.source, Reason::SourceMissing), (&verb.target, Reason::TargetMissing)] {
                    if after.nouns.contains_key(end) {
                        continue;
                    }
                    let MissingEnds::Create(kind) = missing else { return Err(reason) };
                    once(nouns, end)?;
                    let mut draft = NounDraft::new(end.clone(), kind.clone());
                    draft.service = verb.service.clone();
                    store_noun(after, &draft);
                }
                let created = old.map_or(context.at_ms, |old| old.created_ms);
                after.verbs.insert(id, Verb::from_draft(verb, context.version, created, context.at_ms));
            }
            Operation::DeleteVerb { id, precondition } => {
                once(verbs, id)?;
                hold(*precondition, self.verbs.get(id).map(|verb| verb.version))?;
                after.verbs.remove(id);
            }
            _ => return Err(Reason::ClearNotAlone),
        }
        Ok(())
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let mut counts = Statistics::default();
        counts.deleted_nouns = self.deleted_nouns;
        counts.deleted_verbs = self.deleted_verbs;
        counts.nouns = self.nouns.len() as u64;
        counts.verbs = self.verbs.len() as u64;
        for noun in self.nouns.values() {
            *counts.nouns_by_type.entry(noun.kind.clone()).or_default() += 1;
            if let Some(service) = &noun.service {
                *counts.nouns_by_service.entry(service.clone()).or_default() += 1;
            }
            if let Some(vector) = &noun.vector {
                counts.noun_vectors += 1;
                counts.vector_bytes += vector.to_bytes().len() as u64;
            }
            counts.metadata_bytes += noun.metadata.as_bytes().len() as u64;
        }
        for verb in self.verbs.values() {
            *counts.verbs_by_type.entry(verb.kind.clone()).or_default() += 1;
            if let Some(service) = &verb.service {
                *counts.verbs_by_service.entry(service.clone()).or_default() += 1;
            }
            if let Some(vector) = &verb.vector {
                counts.verb_vectors += 1;
                counts.vector_bytes += vector.to_bytes().len() as u64;
            }
            counts.metadata_bytes += verb.metadata.as_bytes().len() as u64;
        }
        counts
    }

    pub(crate) fn digest(&self) -> SetHash {
        let mut digest = SetHash::EMPTY;
        for noun in self.nouns.values() {
            digest.insert(&element(1, noun.version, noun.created_ms, noun.updated_ms, &noun.content_bytes()));
        }
        for verb in self.verbs.values() {
            digest.insert(&element(2, verb.version, verb.created_ms, verb.updated_ms, &verb.content_bytes()));
        }
        digest
    }
}

/// As `docs/format.md` draws it.
fn element(what: u8, version: Version, created_ms: u64, updated_ms: u64, content: &[u8]) -> ContentHash {
    let mut bytes = vec![what];
    for number in [u64::from(version.epoch.get()), version.seq.get(), version.ordinal.into(), created_ms, updated_ms] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(codec::fingerprint(content).to_le_bytes());
    ContentHash::of(&bytes)
}

fn once<I: Ord + Clone>(named: &mut BTreeSet<I>, id: &I) -> Result<(), Reason> {
    if named.insert(id.clone()) { Ok(()) } else { Err(Reason::WrittenTwice) }
}

fn hold(precondition: Precondition, version: Option<Version>) -> Result<(), Reason> {
    match precondition {
        Precondition::Absent if version.is_some() => Err(Reason::AlreadyExists),
        Precondition::Exists if version.is_none() => Err(Reason::DoesNotExist),
        Precondition::Version(wanted) => match version {
            None => Err(Reason::DoesNotExist),
            Some(version) if version != wanted => Err(Reason::OtherVersion),
            Some(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

fn fits(vector: Option<&Vector>) -> Result<(), Reason> {
    let Some(vector) = vector else { return Ok(()) };
    if vector.dimension() != DIMENSION {
        return Err(Reason::VectorDimension);
    }
    vector.check(DIMENSION, Metric::Cosine).map_err(|_| Reason::VectorZero)
}

fn equal(old: &Verb, new: &VerbDraft) -> bool {
    let same_vector = match (&old.vector, &new.vector) {
        (None, None) => true,
        (Some(a), Some(b)) => a.to_bytes() == b.to_bytes(),
        _ => false,
    };
    same_vector
        && (&old.source, &old.kind, &old.target) == (&new.source, &new.kind, &new.target)
        && old.weight.to_bits() == new.weight.to_bits()
        && old.metadata.as_bytes() == new.metadata.as_bytes()
        && old.service == new.service
}
