//! What a transaction does: a pure function of the view, the context and the command, which is a function of the bytes. Rules version [`RULES`].
//!
//! A change to any result here is a new version of the rules, and the old one stays beside it: a log is read for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brainy_coordination::{Context, Rejection, Verdict};
use brainy_core::{
    Incident, MAX_DETACHED_VERBS, MAX_LABELS, MissingEnds, Noun, NounDraft, NounId, Precondition, ServiceTag, TypeName, Verb, VerbDraft,
    VerbId, codec,
};

use crate::Reason;
use crate::command::{Command, Step};
use crate::record::{Item, Record};
use crate::view::View;

/// The newest version of the apply rules this build knows, and the only one so far: a log hands in no transaction under another.
pub const RULES: u32 = 1;

/// What a transaction does to an item it names.
#[derive(Debug)]
enum Change<T> {
    /// Nothing: a deletion of what is absent, a relation that is there already.
    None,
    Gone,
    Put(Arc<Record<T>>),
}

/// A transaction half done: its changes over the view, which stays as it is until all are known to be possible.
#[derive(Debug)]
struct Draft<'v> {
    view: &'v View,
    context: Context,
    /// Every noun named as the object of an operation so far, or made as a missing end.
    nouns: BTreeMap<NounId, Change<Noun>>,
    /// Every verb named as the object of an operation so far, or gone with its noun.
    verbs: BTreeMap<VerbId, Change<Verb>>,
    /// Ends of the verbs put so far.
    ends: BTreeSet<NounId>,
    /// Labels that the state before the transaction does not count.
    new: NewLabels,
}

#[derive(Debug, Default)]
struct NewLabels {
    noun_kinds: BTreeSet<TypeName>,
    noun_services: BTreeSet<ServiceTag>,
    verb_kinds: BTreeSet<TypeName>,
    verb_services: BTreeSet<ServiceTag>,
}

/// Lets a label in that is counted already, or that there is room for. One that goes in the same transaction still takes its room.
fn admit<L: Ord + Clone>(counted: &BTreeMap<L, u64>, new: &mut BTreeSet<L>, label: Option<&L>) -> Result<(), Reason> {
    let Some(label) = label.filter(|label| !counted.contains_key(*label) && !new.contains(*label)) else { return Ok(()) };
    if counted.len() + new.len() >= MAX_LABELS {
        return Err(Reason::TooManyLabels);
    }
    new.insert(label.clone());
    Ok(())
}

/// Applies `command` to `view`: all of it, or nothing where it is rejected.
pub(crate) fn apply(view: &mut View, context: Context, command: &Command) -> Verdict {
    let Some(steps) = &command.steps else {
        return Verdict::Rejected(Rejection { operation: 0, code: Rejection::MALFORMED });
    };
    if let [Step::Clear] = steps.as_slice() {
        return effective(usize::try_from(view.clear()).unwrap_or(usize::MAX));
    }
    let mut draft =
        Draft { view, context, nouns: BTreeMap::new(), verbs: BTreeMap::new(), ends: BTreeSet::new(), new: NewLabels::default() };
    for (at, step) in steps.iter().enumerate() {
        if let Err(reason) = draft.take(step) {
            return Verdict::Rejected(reason.at(at));
        }
    }
    let Draft { nouns, verbs, .. } = draft;
    let mut changed = 0;
    for (id, change) in verbs {
        match change {
            Change::None => continue,
            Change::Gone => view.set_verb(&id, None),
            Change::Put(record) => view.set_verb(&id, Some(record)),
        }
        changed += 1;
    }
    for (id, change) in nouns {
        match change {
            Change::None => continue,
            Change::Gone => view.set_noun(&id, None),
            Change::Put(record) => view.set_noun(&id, Some(record)),
        }
        changed += 1;
    }
    effective(changed)
}

fn effective(changed: usize) -> Verdict {
    Verdict::Effective { changed: u32::try_from(changed).unwrap_or(u32::MAX) }
}

impl Draft<'_> {
    /// Does one operation. Everything it reads of an item no earlier operation has named is as it was before the transaction, so preconditions are
    /// judged against that.
    fn take(&mut self, step: &Step) -> Result<(), Reason> {
        match step {
            Step::PutNoun(noun, fingerprint, precondition) => self.put_noun(noun, *fingerprint, *precondition),
            Step::DeleteNoun(id, incident, precondition) => self.delete_noun(id, *incident, *precondition),
            Step::PutVerb(verb, id, fingerprint, precondition, missing) => self.put_verb(verb, id, *fingerprint, *precondition, missing),
            Step::DeleteVerb(id, precondition) => self.delete_verb(id, *precondition),
            Step::Clear => Err(Reason::ClearNotAlone),
            Step::Unknown => Err(Reason::NotKnown),
        }
    }

    fn put_noun(&mut self, noun: &NounDraft, fingerprint: u128, precondition: Precondition) -> Result<(), Reason> {
        if self.nouns.contains_key(&noun.id) {
            return Err(Reason::WrittenTwice);
        }
        let old = self.view.noun(&noun.id);
        check(precondition, old)?;
        self.view.space.check_noun(noun.vector.as_ref())?;
        let created_ms = old.map(|old| old.item.created_ms);
        self.write_noun(noun, fingerprint, created_ms)
    }

    fn write_noun(&mut self, noun: &NounDraft, fingerprint: u128, created_ms: Option<u64>) -> Result<(), Reason> {
        let counted = self.view.statistics();
        admit(&counted.nouns_by_type, &mut self.new.noun_kinds, Some(&noun.kind))?;
        admit(&counted.nouns_by_service, &mut self.new.noun_services, noun.service.as_ref())?;
        let created_ms = created_ms.unwrap_or(self.context.at_ms);
        let record = Record::noun(Noun::from_draft(noun, self.context.version, created_ms, self.context.at_ms), fingerprint);
        self.nouns.insert(noun.id.clone(), Change::Put(record));
        Ok(())
    }

    fn delete_noun(&mut self, id: &NounId, incident: Incident, precondition: Precondition) -> Result<(), Reason> {
        if self.nouns.contains_key(id) {
            return Err(Reason::WrittenTwice);
        }
        let old = self.view.noun(id);
        check(precondition, old)?;
        if old.is_none() {
            self.nouns.insert(id.clone(), Change::None);
            return Ok(());
        }
        // A verb of before that an operation of this transaction put anew is counted by its new ends only.
        let mut standing = self.view.incident(id).filter(|verb| matches!(self.verbs.get(*verb), None | Some(Change::None)));
        match incident {
            Incident::Restrict => {
                if self.ends.contains(id) || standing.next().is_some() {
                    return Err(Reason::HasVerbs);
                }
            }
            Incident::Detach => {
                let standing: Vec<&VerbId> = standing.take(MAX_DETACHED_VERBS + 1).collect();
                if standing.len() > MAX_DETACHED_VERBS {
                    return Err(Reason::TooManyVerbs);
                }
                if self.ends.contains(id) || standing.iter().any(|verb| self.verbs.contains_key(*verb)) {
                    return Err(Reason::WrittenTwice);
                }
                let gone: Vec<VerbId> = standing.into_iter().cloned().collect();
                self.verbs.extend(gone.into_iter().map(|verb| (verb, Change::Gone)));
            }
            _ => return Err(Reason::NotKnown),
        }
        self.nouns.insert(id.clone(), Change::Gone);
        Ok(())
    }

    fn put_verb(
        &mut self,
        verb: &VerbDraft,
        id: &VerbId,
        fingerprint: u128,
        precondition: Precondition,
        missing: &MissingEnds,
    ) -> Result<(), Reason> {
        if self.verbs.contains_key(id) {
            return Err(Reason::WrittenTwice);
        }
        let old = self.view.verb(id);
        check(precondition, old)?;
        self.view.space.check_verb(verb.vector.as_ref())?;
        // It exists, so its ends do: had this transaction deleted one, the verb would have been named then.
        if precondition == Precondition::None && verb.id.is_none() && old.is_some_and(|old| old.has_content_of(verb)) {
            self.verbs.insert(id.clone(), Change::None);
            return Ok(());
        }
        self.need_end(&verb.source, missing, verb.service.as_ref(), Reason::SourceMissing)?;
        self.need_end(&verb.target, missing, verb.service.as_ref(), Reason::TargetMissing)?;
        let counted = self.view.statistics();
        admit(&counted.verbs_by_type, &mut self.new.verb_kinds, Some(&verb.kind))?;
        admit(&counted.verbs_by_service, &mut self.new.verb_services, verb.service.as_ref())?;
        let created_ms = old.map_or(self.context.at_ms, |old| old.item.created_ms);
        let record = Record::verb(Verb::from_draft(verb, self.context.version, created_ms, self.context.at_ms), fingerprint);
        self.ends.insert(verb.source.clone());
        self.ends.insert(verb.target.clone());
        self.verbs.insert(id.clone(), Change::Put(record));
        Ok(())
    }

    fn need_end(&mut self, id: &NounId, missing: &MissingEnds, service: Option<&ServiceTag>, reason: Reason) -> Result<(), Reason> {
        match self.nouns.get(id) {
            Some(Change::Put(_)) => return Ok(()),
            Some(Change::Gone) => return Err(if *missing == MissingEnds::Refuse { reason } else { Reason::WrittenTwice }),
            Some(Change::None) => {}
            None if self.view.noun(id).is_some() => return Ok(()),
            None => {}
        }
        match missing {
            MissingEnds::Refuse => Err(reason),
            MissingEnds::Create(_) if self.nouns.contains_key(id) => Err(Reason::WrittenTwice),
            MissingEnds::Create(kind) => {
                let noun = bare_noun(id, kind, service);
                let fingerprint = codec::fingerprint(&noun.content_bytes());
                self.write_noun(&noun, fingerprint, None)
            }
            _ => Err(Reason::NotKnown),
        }
    }

    fn delete_verb(&mut self, id: &VerbId, precondition: Precondition) -> Result<(), Reason> {
        if self.verbs.contains_key(id) {
            return Err(Reason::WrittenTwice);
        }
        let old = self.view.verb(id);
        check(precondition, old)?;
        let change = if old.is_some() { Change::Gone } else { Change::None };
        self.verbs.insert(id.clone(), change);
        Ok(())
    }
}

/// A missing end as it is made: written by the service that writes the verb.
fn bare_noun(id: &NounId, kind: &TypeName, service: Option<&ServiceTag>) -> NounDraft {
    let mut noun = NounDraft::new(id.clone(), kind.clone());
    noun.service = service.cloned();
    noun
}

fn check<T: Item>(precondition: Precondition, item: Option<&Arc<Record<T>>>) -> Result<(), Reason> {
    match (precondition, item) {
        (Precondition::None, _) | (Precondition::Absent, None) | (Precondition::Exists, Some(_)) => Ok(()),
        (Precondition::Absent, Some(_)) => Err(Reason::AlreadyExists),
        (Precondition::Exists | Precondition::Version(_), None) => Err(Reason::DoesNotExist),
        (Precondition::Version(version), Some(record)) if record.item.version() == version => Ok(()),
        (Precondition::Version(_), Some(_)) => Err(Reason::OtherVersion),
        _ => Err(Reason::NotKnown),
    }
}
