//! The engine as a domain: nouns that many want to make at once, verbs whose ends are deleted under them, and a bank of versioned accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brainy_coordination::Space;
use brainy_core::{
    Incident, Metadata, Metric, MissingEnds, NounDraft, NounId, Operation, Precondition, TypeName, VerbDraft, VerbId, decode_operations,
    encode_operations,
};
use brainy_engine::{Engine, EngineOptions, ItemFilter, VerbQuery};
use serde_json::json;

use crate::domain::{Author, Domain};
use crate::random::Random;

const ACCOUNTS: u64 = 5;
const OPENING: i64 = 100;
const NOUNS: u64 = 7;
const VERBS: u64 = 8;
/// A store of these holds so few items that every one is looked at.
const ALL: usize = 1_000;

/// Nouns, verbs, deletions and a bank over the real engine, without its vector index.
#[derive(Clone, Copy, Debug, Default)]
pub struct Graph;

fn noun_id(name: &str, number: u64) -> NounId {
    NounId::new(format!("{name}-{number}")).expect("a word and a number make an id")
}

fn kind(name: &str) -> TypeName {
    TypeName::new(name).expect("a word is a type")
}

fn balance_of(metadata: &Metadata) -> Option<i64> {
    metadata.to_value().get("balance")?.as_i64()
}

fn put(id: NounId, type_name: &str, value: &serde_json::Value, precondition: Precondition) -> Operation {
    let noun = NounDraft::new(id, kind(type_name)).with_metadata(Metadata::from_value(value).expect("a small object is metadata"));
    Operation::PutNoun { noun, precondition }
}

fn account(number: u64, balance: i64, precondition: Precondition) -> Operation {
    put(noun_id("account", number), "account", &json!({ "balance": balance }), precondition)
}

/// Moves money between two accounts as they are now; opens one that is missing.
fn transfer(random: &mut Random, machine: &Engine) -> Vec<Operation> {
    let from = random.below(ACCOUNTS);
    let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
    let held = [from, to].map(|number| (number, machine.noun(&noun_id("account", number))));
    if let Some((number, _)) = held.iter().find(|(_, noun)| noun.is_none()) {
        return vec![account(*number, OPENING, Precondition::Absent)];
    }
    let [(from, Some(payer)), (to, Some(payee))] = held else { return Vec::new() };
    let (Some(paid), Some(kept)) = (balance_of(&payer.metadata), balance_of(&payee.metadata)) else { return Vec::new() };
    let amount = random.below(40).cast_signed().min(paid);
    vec![
        account(from, paid - amount, Precondition::Version(payer.version)),
        account(to, kept + amount, Precondition::Version(payee.version)),
    ]
}

impl Domain for Graph {
    type Machine = Engine;

    fn spaces(&self) -> Vec<Space> {
        vec![Space::nouns(2, Metric::L2)]
    }

    fn machine(&self) -> Arc<Engine> {
        let space = brainy_engine::Space::new(2, Metric::L2);
        Arc::new(Engine::new(space, EngineOptions::default().with_vector_index(false)).expect("these options are allowed"))
    }

    fn command(&self, random: &mut Random, machine: &Engine, author: Author) -> Vec<u8> {
        // Every transaction tells which it is.
        let marker = put(noun_id("by", u64::from(author.process)), "marker", &json!({ "unique": author.unique }), Precondition::None);
        let mut operations = vec![marker];
        let noun = |random: &mut Random| noun_id("noun", random.below(NOUNS));
        let verb = |random: &mut Random| VerbId::new(format!("verb-{}", random.below(VERBS))).expect("a word and a number make an id");
        match random.below(12) {
            0..4 => operations.extend(transfer(random, machine)),
            4 | 5 => operations.push(put(noun(random), "thing", &json!({}), Precondition::Absent)),
            6 | 7 => {
                let draft = VerbDraft::new(noun(random), kind("touches"), noun(random)).with_id(verb(random));
                operations.push(Operation::PutVerb { verb: draft, precondition: Precondition::None, missing: MissingEnds::Refuse });
            }
            8 => operations.push(Operation::DeleteNoun {
                id: noun(random),
                incident: Incident::Restrict,
                precondition: Precondition::Exists,
            }),
            9 => operations.push(Operation::DeleteNoun { id: noun(random), incident: Incident::Detach, precondition: Precondition::None }),
            10 => operations.push(Operation::DeleteVerb { id: verb(random), precondition: Precondition::Exists }),
            _ => {
                let id = noun(random);
                let precondition = machine.noun(&id).map_or(Precondition::Absent, |noun| Precondition::Version(noun.version));
                operations.push(put(id, "thing", &json!({ "seen": author.unique }), precondition));
            }
        }
        encode_operations(&operations)
    }

    fn unique_of(&self, payload: &[u8]) -> Option<u64> {
        match decode_operations(payload).ok()?.first()? {
            Operation::PutNoun { noun, .. } => noun.metadata.to_value().get("unique")?.as_u64(),
            _ => None,
        }
    }

    fn audit(&self, machine: &Engine) -> Option<String> {
        let nouns = machine.scan_nouns(None, ALL, &ItemFilter::default());
        let verbs = machine.verbs(&VerbQuery::all().with_limit(ALL));
        let accounts = nouns.iter().filter(|noun| noun.kind.as_str() == "account").map(|noun| balance_of(&noun.metadata).unwrap_or(-1));
        let (count, sum) = accounts.fold((0, 0), |(count, sum), balance| (count + 1, sum + balance));
        if sum != OPENING * count {
            return Some(format!("{count} accounts hold {sum} instead of {}", OPENING * count));
        }
        let loose = verbs.iter().find(|verb| machine.noun(&verb.source).is_none() || machine.noun(&verb.target).is_none());
        if let Some(loose) = loose {
            return Some(format!("{} has an end that does not exist", loose.id));
        }
        let statistics = machine.statistics();
        let counted = (nouns.len() as u64, verbs.len() as u64);
        (counted != (statistics.nouns, statistics.verbs))
            .then(|| format!("the counters say {} nouns and {} verbs, there are {counted:?}", statistics.nouns, statistics.verbs))
    }

    /// An id is made by one who wants it absent; a verb is there only with both its ends, and goes with them or keeps them, as its deletion says.
    fn recount(&self, effective: &[&[u8]], machine: &Engine) -> Option<String> {
        let (mut nouns, mut verbs) = (BTreeSet::new(), BTreeMap::new());
        for operation in effective.iter().filter_map(|payload| decode_operations(payload).ok()).flatten() {
            let touched = |verbs: &BTreeMap<VerbId, (NounId, NounId)>, id: &NounId| {
                verbs.iter().find(|(_, (source, target))| source == id || target == id).map(|(verb, _)| verb.clone())
            };
            match operation {
                Operation::PutNoun { noun, precondition } => {
                    let fresh = nouns.insert(noun.id.clone());
                    if !fresh && precondition == Precondition::Absent {
                        return Some(format!("{} was made a second time by somebody who wanted it absent", noun.id));
                    }
                }
                Operation::PutVerb { verb, .. } => {
                    if let Some(end) = [&verb.source, &verb.target].into_iter().find(|end| !nouns.contains(*end)) {
                        return Some(format!("a verb was made though {end} was not there"));
                    }
                    if let Some(id) = verb.id.clone() {
                        verbs.insert(id, (verb.source.clone(), verb.target.clone()));
                    }
                }
                Operation::DeleteNoun { id, incident: Incident::Restrict, .. } => {
                    if let Some(verb) = touched(&verbs, &id) {
                        return Some(format!("{id} was deleted though {verb} touches it"));
                    }
                    nouns.remove(&id);
                }
                Operation::DeleteNoun { id, .. } => {
                    verbs.retain(|_, (source, target)| *source != id && *target != id);
                    nouns.remove(&id);
                }
                Operation::DeleteVerb { id, .. } => drop(verbs.remove(&id)),
                _ => {}
            }
        }
        let there: BTreeSet<_> = machine.scan_nouns(None, ALL, &ItemFilter::default()).into_iter().map(|noun| noun.id.clone()).collect();
        if there != nouns {
            return Some(format!("the nouns {there:?} are there, and {nouns:?} should be"));
        }
        let there: BTreeSet<_> = machine.verbs(&VerbQuery::all().with_limit(ALL)).into_iter().map(|verb| verb.id.clone()).collect();
        let wanted: BTreeSet<_> = verbs.into_keys().collect();
        (there != wanted).then(|| format!("the verbs {there:?} are there, and {wanted:?} should be"))
    }
}
