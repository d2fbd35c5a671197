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
