//! Reads by id, by order and by edge.

use std::collections::BTreeMap;
use std::sync::Arc;

use brainy_core::{Noun, NounId, ServiceTag, SetHash, Statistics, TypeName, Verb, VerbId, Version};

use crate::ItemFilter;
use crate::contents::{Contents, filed_under};

/// One state of the store, as it stood when the reader was made: what is installed later does not show. Cheap to make and to clone; while it lives it
/// keeps the items that have been replaced since.
#[derive(Clone)]
pub struct Reader {
    pub(crate) contents: Arc<Contents>,
}

/// Which verbs to list, in the order of their ids.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VerbQuery {
    /// Those that start here.
    pub source: Option<NounId>,
    /// Those that end here.
    pub target: Option<NounId>,
    /// Those of this type.
    pub kind: Option<TypeName>,
    /// Those last written by this service.
    pub service: Option<ServiceTag>,
    /// Those with an id above this one: the last of the page before.
    pub after: Option<VerbId>,
    /// At most so many. Default: [`Self::LIMIT`].
    pub limit: usize,
}

impl VerbQuery {
    /// The default of [`limit`](Self::limit).
    pub const LIMIT: usize = 1_000;
}

impl Default for VerbQuery {
    fn default() -> Self {
        Self { source: None, target: None, kind: None, service: None, after: None, limit: Self::LIMIT }
    }
}

impl VerbQuery {
    /// Every verb.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those that start at `source`.
    #[must_use]
    pub fn with_source(mut self, source: NounId) -> Self {
        self.source = Some(source);
        self
    }

    /// Only those that end at `target`.
    #[must_use]
    pub fn with_target(mut self, target: NounId) -> Self {
        self.target = Some(target);
        self
    }

    /// Only those of type `kind`.
    #[must_use]
    pub fn with_kind(mut self, kind: TypeName) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Only those last written by `service`.
    #[must_use]
    pub fn with_service(mut self, service: ServiceTag) -> Self {
        self.service = Some(service);
        self
    }

    /// Only those with an id above `after`.
    #[must_use]
    pub fn with_after(mut self, after: VerbId) -> Self {
        self.after = Some(after);
        self
    }

    /// At most `limit`.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    fn allows(&self, verb: &Verb) -> bool {
        self.source.as_ref().is_none_or(|source| *source == verb.source)
            && self.target.as_ref().is_none_or(|target| *target == verb.target)
            && self.kind.as_ref().is_none_or(|kind| *kind == verb.kind)
            && self.service.as_ref().is_none_or(|service| Some(service) == verb.service.as_ref())
    }
}

impl Reader {
    /// The position up to which the log is in this state; none before the first slot.
    pub fn position(&self) -> Option<Version> {
        self.contents.position
    }

    /// The exact counts.
    pub fn statistics(&self) -> &Statistics {
        &self.contents.statistics
    }

    /// The set hash over every noun and verb.
    pub fn digest(&self) -> SetHash {
        self.contents.digest
    }

    /// The noun called `id`; none if it does not exist.
    pub fn noun(&self, id: &NounId) -> Option<Noun> {
        self.contents.nouns.get(id).map(|held| held.record.item.clone())
    }

    /// The nouns called `ids`, each at its place; none for those that do not exist.
    pub fn nouns(&self, ids: &[NounId]) -> Vec<Option<Noun>> {
        ids.iter().map(|id| self.noun(id)).collect()
    }

    /// At most `limit` nouns that pass `filter`, in the order of their ids, from the first above `after`. Looks at every noun up to the last one given.
    pub fn scan_nouns(&self, after: Option<&NounId>, limit: usize, filter: &ItemFilter) -> Vec<Noun> {
        let nouns = self.contents.nouns.iter_from(|id| after.is_some_and(|after| id <= after));
        nouns.map(|(_, held)| &held.record.item).filter(|noun| filter.allows_noun(noun)).take(limit).cloned().collect()
    }

    /// The verb called `id`; none if it does not exist.
    pub fn verb(&self, id: &VerbId) -> Option<Verb> {
        self.contents.verbs.get(id).map(|held| held.record.item.clone())
    }

    /// At most `limit` verbs that pass `filter`, in the order of their ids, from the first above `after`. Looks at every verb up to the last one given.
    pub fn scan_verbs(&self, after: Option<&VerbId>, limit: usize, filter: &ItemFilter) -> Vec<Verb> {
        let verbs = self.contents.verbs.iter_from(|id| after.is_some_and(|after| id <= after));
        verbs.map(|(_, held)| &held.record.item).filter(|verb| filter.allows_verb(verb)).take(limit).cloned().collect()
    }

    /// The verbs that `query` asks for, in the order of their ids. Looks only at those of the source, else of the target, else of the type; at all of them
    /// only if none is given.
    pub fn verbs(&self, query: &VerbQuery) -> Vec<Verb> {
        let after = query.after.as_ref();
        let contents = &*self.contents;
        let page = |verbs: &mut dyn Iterator<Item = &Verb>| -> Vec<Verb> {
            verbs.filter(|verb| query.allows(verb)).take(query.limit).cloned().collect()
        };
        if let Some(source) = &query.source {
            page(&mut filed_under(&contents.outgoing, source, after).map(|record| &record.item))
        } else if let Some(target) = &query.target {
            page(&mut filed_under(&contents.incoming, target, after).map(|record| &record.item))
        } else if let Some(kind) = &query.kind {
            page(&mut filed_under(&contents.by_type, kind, after).map(|record| &record.item))
        } else {
            let verbs = contents.verbs.iter_from(|id| after.is_some_and(|after| id <= after));
            page(&mut verbs.map(|(_, held)| &held.record.item))
        }
    }

    /// Every verb that starts at `source`, in the order of their ids.
    pub fn verbs_by_source(&self, source: &NounId) -> Vec<Verb> {
        filed_under(&self.contents.outgoing, source, None).map(|record| record.item.clone()).collect()
    }

    /// Every verb that ends at `target`, in the order of their ids.
    pub fn verbs_by_target(&self, target: &NounId) -> Vec<Verb> {
        filed_under(&self.contents.incoming, target, None).map(|record| record.item.clone()).collect()
    }

    /// Every verb of type `kind`, in the order of their ids.
    pub fn verbs_by_type(&self, kind: &TypeName) -> Vec<Verb> {
        filed_under(&self.contents.by_type, kind, None).map(|record| record.item.clone()).collect()
    }

    /// Every verb that starts or ends at `noun`, each once, in the order of their ids.
    pub fn incident(&self, noun: &NounId) -> Vec<Verb> {
        let outgoing = filed_under(&self.contents.outgoing, noun, None);
        let incoming = filed_under(&self.contents.incoming, noun, None);
        let both: BTreeMap<&VerbId, &Verb> = outgoing.chain(incoming).map(|record| (&record.item.id, &record.item)).collect();
        both.into_values().cloned().collect()
    }
}

/// Shows how much it holds, not what.
impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("position", &self.contents.position)
            .field("nouns", &self.contents.statistics.nouns)
            .field("verbs", &self.contents.statistics.verbs)
            .field("digest", &self.contents.digest)
            .finish_non_exhaustive()
    }
}
