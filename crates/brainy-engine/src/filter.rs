use brainy_core::{Filter, Metadata, Noun, ServiceTag, TypeName, Verb};

/// Which items an answer may hold. Empty lists and no filter let everything pass.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ItemFilter {
    /// One of these types.
    pub kinds: Vec<TypeName>,
    /// Last written by one of these services.
    pub services: Vec<ServiceTag>,
    /// Metadata that passes.
    pub metadata: Option<Filter>,
}

impl ItemFilter {
    /// Lets everything pass.
    pub fn all() -> Self {
        Self::default()
    }

    /// With one more type allowed; the first one excludes all others.
    #[must_use]
    pub fn with_kind(mut self, kind: TypeName) -> Self {
        self.kinds.push(kind);
        self
    }

    /// With one more service allowed; the first one excludes all others.
    #[must_use]
    pub fn with_service(mut self, service: ServiceTag) -> Self {
        self.services.push(service);
        self
    }

    /// With this filter over the metadata, in place of an earlier one.
    #[must_use]
    pub fn with_metadata(mut self, filter: Filter) -> Self {
        self.metadata = Some(filter);
        self
    }

    /// Whether everything passes.
    pub fn is_all(&self) -> bool {
        self.kinds.is_empty() && self.services.is_empty() && self.metadata.is_none()
    }

    /// Whether `noun` passes.
    pub fn allows_noun(&self, noun: &Noun) -> bool {
        self.allows(&noun.kind, noun.service.as_ref(), &noun.metadata)
    }

    /// Whether `verb` passes.
    pub fn allows_verb(&self, verb: &Verb) -> bool {
        self.allows(&verb.kind, verb.service.as_ref(), &verb.metadata)
    }

    fn allows(&self, kind: &TypeName, service: Option<&ServiceTag>, metadata: &Metadata) -> bool {
        // The metadata last: it has to be decoded.
        (self.kinds.is_empty() || self.kinds.contains(kind))
            && (self.services.is_empty() || service.is_some_and(|service| self.services.contains(service)))
            && self.metadata.as_ref().is_none_or(|filter| *filter == Filter::All || filter.matches(&metadata.to_value()))
    }
}
