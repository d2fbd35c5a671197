//! What services write, in the words of this example. A change says everything that its writer chose, so that a reader of the journal can tell what must
//! be in the store without asking the store.

use brainy::{
    Incident, Metadata, MissingEnds, NounDraft, NounId, Operation, Precondition, ServiceTag, TypeName, VerbDraft, VerbId, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::data::Data;

/// The item that all services raise.
pub(crate) const COUNTER: &str = "counter";

/// Who writes, and which of its attempts it is: part of everything written, so that one service's lost write is not hidden by another's equal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Which service, from 0.
    pub service: usize,
    /// Which of its attempts, from 0, over all its lives.
    pub attempt: u64,
}

impl Mark {
    /// The service's name.
    pub(crate) fn tag(&self) -> ServiceTag {
        tag(self.service)
    }
}

/// The name of a service.
pub(crate) fn tag(service: usize) -> ServiceTag {
    ServiceTag::new(format!("service-{service}")).expect("a short text without NUL")
}

/// What must hold of the written item before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum When {
    /// Nothing.
    Always,
    /// It does not exist.
    Absent,
    /// It is in the version written at this place of the log: slot and ordinal.
    Version(u64, u32),
}

impl When {
    /// It is in this version.
    pub(crate) fn in_version(version: Version) -> Self {
        Self::Version(version.seq.get(), version.ordinal)
    }

    fn precondition(self) -> Precondition {
        match self {
            Self::Always => Precondition::None,
            Self::Absent => Precondition::Absent,
            Self::Version(slot, ordinal) => Precondition::Version(version(slot, ordinal)),
        }
    }
}

/// The version of what was written at this place of the log. A store that nobody forked has one epoch.
pub(crate) fn version(slot: u64, ordinal: u32) -> Version {
    format!("0.{slot}.{ordinal}").parse().expect("slots are numbered from 1")
}

/// One change of one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// Writes a package with its figures.
    Package {
        /// Which.
        row: usize,
        /// The package whose vector it gets.
        vector: usize,
        /// How often it was changed.
        touched: u64,
        /// Under which condition.
        when: When,
    },
    /// Deletes a package.
    Delete {
        /// Which.
        row: usize,
        /// With its relations; else only if it has none.
        detach: bool,
        /// Under which condition.
        when: When,
    },
    /// Writes a relation.
    Relate {
        /// Which.
        relation: usize,
        /// Under which condition.
        when: When,
    },
    /// Deletes a relation.
    Unrelate {
        /// Which.
        relation: usize,
        /// Under which condition.
        when: When,
    },
    /// Writes the counter.
    Counter {
        /// Its new value.
        count: u64,
        /// Under which condition.
        when: When,
    },
    /// Notes in the writer's own item what it deletes: a deletion itself leaves nothing that says whose it was.
    Note {
        /// What is deleted.
        deleted: String,
    },
}

impl Change {
    /// As an operation of the store.
    pub(crate) fn operation(&self, data: &Data, mark: Mark) -> Operation {
        match self {
            Self::Package { when, .. } | Self::Counter { when, .. } => {
                let noun = self.noun(data, mark).expect("it writes an item");
                Operation::PutNoun { noun, precondition: when.precondition() }
            }
            Self::Note { .. } => {
                let noun = self.noun(data, mark).expect("it writes an item");
                Operation::PutNoun { noun, precondition: Precondition::None }
            }
            Self::Delete { row, detach, when } => {
                let incident = if *detach { Incident::Detach } else { Incident::Restrict };
                Operation::DeleteNoun { id: data.packages[*row].id.clone(), incident, precondition: when.precondition() }
            }
            Self::Relate { relation, when } => {
                Operation::PutVerb { verb: verb(data, mark, *relation), precondition: when.precondition(), missing: MissingEnds::Refuse }
            }
            Self::Unrelate { relation, when } => Operation::DeleteVerb { id: verb_id(data, *relation), precondition: when.precondition() },
        }
    }

    /// The item that it writes, if it writes one.
    pub(crate) fn noun(&self, data: &Data, mark: Mark) -> Option<NounDraft> {
        let plain = |id: String, kind: &str, figures| {
            let id = NounId::new(id).expect("a short text without NUL");
            NounDraft::new(id, TypeName::new(kind).expect("a short text without NUL")).with_metadata(metadata(mark, figures))
        };
        let noun = match self {
            Self::Package { row, vector, touched, .. } => {
                let package = &data.packages[*row];
                let mut figures = package.figures.clone();
                figures.insert("touched".into(), json!(touched));
                NounDraft::new(package.id.clone(), package.kind.clone())
                    .with_vector(data.packages[*vector].vector.clone())
                    .with_metadata(metadata(mark, figures))
            }
            Self::Counter { count, .. } => plain(COUNTER.into(), "counter", Map::from_iter([("count".to_owned(), json!(count))])),
            Self::Note { deleted } => {
                plain(format!("note-{}", mark.service), "note", Map::from_iter([("deleted".to_owned(), json!(deleted))]))
            }
            Self::Delete { .. } | Self::Relate { .. } | Self::Unrelate { .. } => return None,
        };
        Some(noun.with_service(mark.tag()))
    }
}

/// A relation as this attempt writes it.
pub(crate) fn verb(data: &Data, mark: Mark, relation: usize) -> VerbDraft {
    let relation = &data.relations[relation];
    let id = |row: usize| data.packages[row].id.clone();
    VerbDraft::new(id(relation.source), relation.kind.clone(), id(relation.target))
        .with_metadata(metadata(mark, Map::new()))
        .with_service(mark.tag())
}

/// The name of a relation in the store.
pub(crate) fn verb_id(data: &Data, relation: usize) -> VerbId {
    let relation = &data.relations[relation];
    VerbId::derived(&data.packages[relation.source].id, &relation.kind, &data.packages[relation.target].id)
}

fn metadata(mark: Mark, mut figures: Map<String, Value>) -> Metadata {
    figures.insert("service".into(), json!(mark.service));
    figures.insert("attempt".into(), json!(mark.attempt));
    Metadata::from_value(&Value::Object(figures)).expect("a few figures are an object of a permitted size")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::small;

    #[test]
    fn everything_written_says_who_wrote_it_in_which_attempt() {
        let data = small(2, &[(0, 1)]);
        let mark = Mark { service: 3, attempt: 9 };
        let writes = [
            Change::Package { row: 0, vector: 1, touched: 2, when: When::Absent },
            Change::Counter { count: 1, when: When::Version(4, 5) },
            Change::Note { deleted: "p1".into() },
            Change::Relate { relation: 0, when: When::Always },
        ];
        for change in writes {
            let (metadata, service) = match change.operation(&data, mark) {
                Operation::PutNoun { noun, .. } => (noun.metadata, noun.service),
                Operation::PutVerb { verb, .. } => (verb.metadata, verb.service),
                other => panic!("{other:?}"),
            };
            let value = metadata.to_value();
            assert_eq!((&value["service"], &value["attempt"]), (&json!(3), &json!(9)), "{change:?}");
            assert_eq!(service, Some(mark.tag()));
        }
    }

    #[test]
    fn conditions_reach_the_operation() {
        let data = small(2, &[(0, 1)]);
        let mark = Mark { service: 0, attempt: 0 };
        let change = Change::Delete { row: 1, detach: false, when: When::in_version(version(7, 2)) };
        let expected = Operation::DeleteNoun {
            id: NounId::new("p1").unwrap(),
            incident: Incident::Restrict,
            precondition: Precondition::Version("0.7.2".parse().unwrap()),
        };
        assert_eq!(change.operation(&data, mark), expected);
    }
}
