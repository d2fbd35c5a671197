//! Nouns and verbs as callers see them.

pub(crate) mod content;

use crate::{Metadata, NounId, ServiceTag, TypeName, Vector, VerbId, Version};

/// An item as a caller writes it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NounDraft {
    /// Its name.
    pub id: NounId,
    /// Its type.
    pub kind: TypeName,
    /// Its vector, of the store's dimension; an item without one is found by id, filter and graph, not by similarity.
    pub vector: Option<Vector>,
    /// Its metadata.
    pub metadata: Metadata,
    /// The service that writes it.
    pub service: Option<ServiceTag>,
}

impl NounDraft {
    /// An item without vector, metadata or service.
    pub fn new(id: NounId, kind: TypeName) -> Self {
        Self { id, kind, vector: None, metadata: Metadata::empty(), service: None }
    }

    /// With this vector.
    #[must_use]
    pub fn with_vector(mut self, vector: Vector) -> Self {
        self.vector = Some(vector);
        self
    }

    /// With this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Written by this service.
    #[must_use]
    pub fn with_service(mut self, service: ServiceTag) -> Self {
        self.service = Some(service);
        self
    }
}

/// A typed, directed edge as a caller writes it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VerbDraft {
    /// Its name; none derives it from source, type and target ([`VerbId::derived`]).
    pub id: Option<VerbId>,
    /// Where it starts.
    pub source: NounId,
    /// Its type.
    pub kind: TypeName,
    /// Where it ends.
    pub target: NounId,
    /// Its vector.
    pub vector: Option<Vector>,
    /// Its weight: any finite number.
    pub weight: f64,
    /// Its metadata.
    pub metadata: Metadata,
    /// The service that writes it.
    pub service: Option<ServiceTag>,
}

impl VerbDraft {
    /// Weight of a verb that was given none.
    pub const WEIGHT: f64 = 1.0;

    /// An edge of weight [`Self::WEIGHT`] with a derived id.
    pub fn new(source: NounId, kind: TypeName, target: NounId) -> Self {
        Self { id: None, source, kind, target, vector: None, weight: Self::WEIGHT, metadata: Metadata::empty(), service: None }
    }

    /// With this id instead of the derived one.
    #[must_use]
    pub fn with_id(mut self, id: VerbId) -> Self {
        self.id = Some(id);
        self
    }

    /// With this vector.
    #[must_use]
    pub fn with_vector(mut self, vector: Vector) -> Self {
        self.vector = Some(vector);
        self
    }

    /// With this weight.
    #[must_use]
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// With this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Written by this service.
    #[must_use]
    pub fn with_service(mut self, service: ServiceTag) -> Self {
        self.service = Some(service);
        self
    }

    /// The id it has or will get.
    pub fn effective_id(&self) -> VerbId {
        self.id.clone().unwrap_or_else(|| VerbId::derived(&self.source, &self.kind, &self.target))
    }
}

/// An item as it stands in the store.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Noun {
    /// Its name.
    pub id: NounId,
    /// Its type.
    pub kind: TypeName,
    /// Its vector, as it was written.
    pub vector: Option<Vector>,
    /// Its metadata.
    pub metadata: Metadata,
    /// The service that last wrote it.
    pub service: Option<ServiceTag>,
    /// The position of the transaction that last wrote it.
    pub version: Version,
    /// Wall-clock milliseconds since 1970 of its first write, as the writer's clock had it; for people.
    pub created_ms: u64,
    /// The same of its last write.
    pub updated_ms: u64,
}

/// An edge as it stands in the store.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Verb {
    /// Its name.
    pub id: VerbId,
    /// Where it starts.
    pub source: NounId,
    /// Its type.
    pub kind: TypeName,
    /// Where it ends.
    pub target: NounId,
    /// Its vector, as it was written.
    pub vector: Option<Vector>,
    /// Its weight.
    pub weight: f64,
    /// Its metadata.
    pub metadata: Metadata,
    /// The service that last wrote it.
    pub service: Option<ServiceTag>,
    /// The position of the transaction that last wrote it.
    pub version: Version,
    /// Wall-clock milliseconds since 1970 of its first write, as the writer's clock had it; for people.
    pub created_ms: u64,
    /// The same of its last write.
    pub updated_ms: u64,
}

impl Noun {
    /// The stored form of `draft`.
    pub fn from_draft(draft: &NounDraft, version: Version, created_ms: u64, updated_ms: u64) -> Self {
        Self {
            id: draft.id.clone(),
            kind: draft.kind.clone(),
            vector: draft.vector.clone(),
            metadata: draft.metadata.clone(),
            service: draft.service.clone(),
            version,
            created_ms,
            updated_ms,
        }
    }
}

impl Verb {
    /// The stored form of `draft`.
    pub fn from_draft(draft: &VerbDraft, version: Version, created_ms: u64, updated_ms: u64) -> Self {
        Self {
            id: draft.effective_id(),
            source: draft.source.clone(),
            kind: draft.kind.clone(),
            target: draft.target.clone(),
            vector: draft.vector.clone(),
            weight: draft.weight,
            metadata: draft.metadata.clone(),
            service: draft.service.clone(),
            version,
            created_ms,
            updated_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, SequenceNumber};

    #[test]
    fn a_stored_item_holds_the_draft_whole() {
        let version = Version { epoch: Epoch::FIRST, seq: SequenceNumber::FIRST, ordinal: 3 };
        let (id, kind, service) = (NounId::new("a").unwrap(), TypeName::new("t").unwrap(), ServiceTag::new("s").unwrap());
        let vector = Vector::new([1.0]).unwrap();
        let metadata = Metadata::from_value(&serde_json::json!({"x": 1})).unwrap();
        let draft = NounDraft::new(id.clone(), kind.clone())
            .with_vector(vector.clone())
            .with_metadata(metadata.clone())
            .with_service(service.clone());
        let noun = Noun::from_draft(&draft, version, 5, 6);
        assert_eq!((&noun.id, &noun.kind, noun.vector.as_ref()), (&id, &kind, Some(&vector)));
        assert_eq!((&noun.metadata, noun.service.as_ref()), (&metadata, Some(&service)));
        assert_eq!((noun.version, noun.created_ms, noun.updated_ms), (version, 5, 6));

        let draft = VerbDraft::new(id.clone(), kind.clone(), NounId::new("b").unwrap());
        assert_eq!(draft.weight, VerbDraft::WEIGHT);
        let derived = draft.effective_id();
        let draft = draft.with_vector(vector).with_weight(-2.0).with_metadata(metadata).with_service(service);
        let verb = Verb::from_draft(&draft, version, 5, 6);
        assert_eq!((&verb.id, &verb.source, &verb.kind, verb.target.as_str()), (&derived, &id, &kind, "b"));
        assert_eq!((verb.weight, verb.version, verb.created_ms, verb.updated_ms), (-2.0, version, 5, 6));
        let given = draft.with_id(VerbId::new("given").unwrap());
        assert_eq!(Verb::from_draft(&given, version, 5, 6).id.as_str(), "given");
        assert_ne!(given.content_bytes(), verb.content_bytes());
    }
}
