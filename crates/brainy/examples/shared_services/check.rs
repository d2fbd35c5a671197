//! Whether everything held: the log and the store against the journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use brainy::{Noun, Operation, Statistics, Verb};

use crate::change::{Mark, tag, verb, version};
use crate::data::Data;
use crate::journal::{Attempt, Journal, Outcome, Task, View};
use crate::replay::{Item, Position, Replay, Standing};

/// One transaction as it lies in the log.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    /// Where.
    pub at: Position,
    /// Its name.
    pub op: String,
    /// Whether it took effect, as the log says.
    pub effective: Option<bool>,
    /// What it asks for; nothing where it is about the log itself.
    pub operations: Vec<Operation>,
}

/// What lies in the store at the end.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// Every item.
    pub nouns: Vec<Noun>,
    /// Every relation.
    pub verbs: Vec<Verb>,
    /// The counts as the store states them.
    pub statistics: Statistics,
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// What.
    pub claim: String,
    /// Where it does not.
    pub faults: Vec<String>,
}

impl Check {
    /// Holds where there are no faults.
    pub(crate) fn new(claim: impl Into<String>, faults: Vec<String>) -> Self {
        Self { claim: claim.into(), faults }
    }

    /// Holds if `holds`, else for this reason it does not.
    pub(crate) fn that(claim: impl Into<String>, holds: bool, fault: impl Into<String>) -> Self {
        Self::new(claim, if holds { Vec::new() } else { vec![fault.into()] })
    }
}

/// Holds the log and what lies in the store against what the services said.
pub(crate) fn history(data: &Data, journal: &Journal, log: &[Logged], contents: &Contents) -> Vec<Check> {
    let Walk { replay, effects, orphans, strangers, twice, differing, verdicts } = walk(data, journal, log);
    let (mut lost, mut misplaced, mut denied, mut undecided) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut acknowledged = 0;
    for (mark, attempt) in &journal.attempts {
        let effects = effects.get(mark).map_or(&[][..], Vec::as_slice);
        match &attempt.outcome {
            Some(Outcome::Committed(at, _)) => {
                acknowledged += 1;
                match effects {
                    [] => lost.push(format!("{mark:?} was acknowledged at {at:?} and has no effect")),
                    effects if !effects.contains(at) => {
                        misplaced.push(format!("{mark:?} was acknowledged at {at:?} and took effect at {effects:?}"))
                    }
                    _ => {}
                }
            }
            Some(outcome @ (Outcome::Conflict(..) | Outcome::Withdrawn(_))) if !effects.is_empty() => {
                denied.push(format!("{mark:?} took effect at {effects:?}, its service was told {outcome:?}"));
            }
            Some(_) => {}
            None if attempt.in_flight() => undecided.push(format!("{mark:?}, {}", attempt.op.as_deref().unwrap_or_default())),
            None => {}
        }
    }
    let raises = |(mark, attempt): (&Mark, &Attempt)| attempt.task == Task::Raise && (attempt.is_committed() || orphans.contains(mark));
    let raised = journal.attempts.iter().filter(|entry| raises(*entry)).count() as u64;
    vec![
        Check::new(format!("each of {acknowledged} acknowledged writes took effect"), lost),
        Check::new("each exactly once", twice),
        Check::new("each at its receipt's position", misplaced),
        Check::new("nothing took effect that a service was told had not", denied),
        Check::new("what was in flight when its process was killed is resolved", undecided),
        Check::new(format!("the log's {} transactions are the journalled attempts and nothing else", log.len()), strangers),
        Check::new("they ask for what was journalled", differing),
        Check::new("plain maps come to the same verdicts", verdicts),
        Check::that(
            format!("the counter stands at {raised}, the sum of its acknowledged raises"),
            replay.counter() == Some(raised),
            format!("it stands at {:?}", replay.counter()),
        ),
        Check::new(format!("plain maps hold the same {} items", replay.nouns()), nouns(data, &replay, &contents.nouns)),
        Check::new(format!("plain maps hold the same {} relations", replay.verbs()), verbs(data, &replay, &contents.verbs)),
        Check::new("plain maps count the same", statistics(data, &replay, &contents.statistics)),
    ]
}

struct Walk<'a> {
    replay: Replay<'a>,
    /// Where attempts took effect, as the log says.
    effects: BTreeMap<Mark, Vec<Position>>,
    /// Attempts whose name was never told, since their process was killed, and that took effect.
    orphans: BTreeSet<Mark>,
    strangers: Vec<String>,
    twice: Vec<String>,
    differing: Vec<String>,
    verdicts: Vec<String>,
}

/// Replays the log's transactions, in their order, as the journalled attempts that they are.
fn walk<'a>(data: &'a Data, journal: &Journal, log: &[Logged]) -> Walk<'a> {
    let mut walk = Walk {
        replay: Replay::new(data),
        effects: BTreeMap::new(),
        orphans: BTreeSet::new(),
        strangers: Vec::new(),
        twice: Vec::new(),
        differing: Vec::new(),
        verdicts: Vec::new(),
    };
    let mut names = HashMap::new();
    for (mark, attempt) in &journal.attempts {
        if let Some(op) = &attempt.op
            && let Some(other) = names.insert(op.as_str(), *mark)
        {
            walk.strangers.push(format!("{other:?} and {mark:?} have the same name {op}"));
        }
    }
    // A process can be killed after its bytes were sent and before it told their name. Their marks say whose they are.
    let asked =
        |mark: Mark, attempt: &Attempt| -> Vec<Operation> { attempt.changes.iter().map(|change| change.operation(data, mark)).collect() };
    let nameless: Vec<(Mark, Vec<Operation>)> = (journal.attempts.iter())
        .filter(|(_, attempt)| attempt.op.is_none() && attempt.outcome.is_none())
        .map(|(mark, attempt)| (*mark, asked(*mark, attempt)))
        .collect();
    let mut decided = BTreeSet::new();
    for logged in log.iter().filter(|logged| !logged.operations.is_empty()) {
        let Logged { at, op, effective, operations } = logged;
        let orphan = || nameless.iter().find(|(_, asked)| asked == operations).map(|(mark, _)| *mark);
        let named = names.get(op.as_str()).copied();
        let Some(mark) = named.or_else(orphan) else {
            walk.strangers.push(format!("{op} at {at:?} was journalled by nobody"));
            continue;
        };
        let attempt = &journal.attempts[&mark];
        if named.is_some() && asked(mark, attempt) != *operations {
            walk.differing.push(format!("{mark:?} at {at:?}"));
        }
        if *effective == Some(true) {
            let effects = walk.effects.entry(mark).or_default();
            effects.push(*at);
            if effects.len() > 1 {
                walk.twice.push(format!("{mark:?} took effect at {effects:?}"));
            }
            if named.is_none() {
                walk.orphans.insert(mark);
            }
        }
        // A later copy of what is decided, or of what was given up, must do nothing; `twice` and `denied` say so where it did.
        if !decided.insert(mark) || matches!(attempt.outcome, Some(Outcome::Withdrawn(_))) {
            continue;
        }
        let verdict = walk.replay.attempt(&attempt.changes, mark, *at);
        if *effective != Some(verdict.is_ok()) {
            walk.verdicts.push(format!("{mark:?} at {at:?}: {verdict:?}, the log says effective: {effective:?}"));
        }
        let told = match (&attempt.outcome, &verdict) {
            (Some(Outcome::Committed(_, changed)), Ok(items)) => changed.is_none_or(|changed| changed == *items),
            (Some(Outcome::Conflict(place, reason)), Err((at, refusal))) => place == at && reason == refusal,
            (None, _) => true,
            _ => false,
        };
        if !told {
            walk.verdicts.push(format!("{mark:?} at {at:?}: {verdict:?}, its service was told {:?}", attempt.outcome));
        }
    }
    walk
}

fn nouns(data: &Data, replay: &Replay<'_>, nouns: &[Noun]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found: HashMap<&str, &Noun> = HashMap::new();
    for noun in nouns {
        if found.insert(noun.id.as_ref(), noun).is_some() {
            faults.push(format!("{} is there twice", noun.id));
        }
    }
    for (item, standing) in &replay.items {
        let Some(id) = replay.noun_id(item) else { continue };
        let expected = standing.change.noun(data, standing.mark).expect("what stands in an item writes one");
        match found.remove(id.as_str()) {
            None => faults.push(format!("{id} is missing")),
            Some(noun) => {
                let same = noun.kind == expected.kind
                    && noun.vector == expected.vector
                    && noun.metadata == expected.metadata
                    && noun.service == expected.service
                    && noun.version == version(standing.at.0, standing.at.1);
                if !same {
                    faults.push(format!("{id} is {noun:?}, not {expected:?} of {:?}", standing.at));
                }
            }
        }
    }
    faults.extend(found.keys().map(|id| format!("{id} should not exist")));
    faults
}

fn verbs(data: &Data, replay: &Replay<'_>, verbs: &[Verb]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found: HashMap<&str, &Verb> = HashMap::new();
    for verb in verbs {
        if found.insert(verb.id.as_ref(), verb).is_some() {
            faults.push(format!("{} is there twice", verb.id));
        }
    }
    for (item, standing) in replay.items.range(Item::Relation(0)..) {
        let Item::Relation(relation) = item else { continue };
        let expected = verb(data, standing.mark, *relation);
        let id = expected.effective_id();
        match found.remove(id.as_ref()) {
            None => faults.push(format!("{} {} {} is missing", expected.source, expected.kind, expected.target)),
            Some(verb) => {
                let same = (&verb.source, &verb.kind, &verb.target) == (&expected.source, &expected.kind, &expected.target)
                    && (&verb.vector, verb.weight.to_bits()) == (&expected.vector, expected.weight.to_bits())
                    && (&verb.metadata, &verb.service) == (&expected.metadata, &expected.service)
                    && verb.version == version(standing.at.0, standing.at.1);
                if !same {
                    faults.push(format!("{verb:?} is not {expected:?} of {:?}", standing.at));
                }
            }
        }
    }
    faults.extend(found.values().map(|verb| format!("{} {} {} should not exist", verb.source, verb.kind, verb.target)));
    faults
}

fn statistics(data: &Data, replay: &Replay<'_>, stated: &Statistics) -> Vec<String> {
    let is_verb = |item: &Item| matches!(item, Item::Relation(_));
    let noun = |standing: &Standing| standing.change.noun(data, standing.mark);
    let service = |standing: &Standing| Some(tag(standing.mark.service).to_string());
    let (mut vectors, mut vector_bytes, mut metadata_bytes) = (0, 0, 0);
    for (item, standing) in &replay.items {
        metadata_bytes += match item {
            Item::Relation(relation) => verb(data, standing.mark, *relation).metadata.as_bytes().len() as u64,
            _ => noun(standing).map_or(0, |noun| noun.metadata.as_bytes().len() as u64),
        };
        if let Some(vector) = noun(standing).and_then(|noun| noun.vector) {
            vectors += 1;
            vector_bytes += vector.to_bytes().len() as u64;
        }
    }
    let numbers = [
        ("items", replay.nouns() as u64, stated.nouns),
        ("relations", replay.verbs() as u64, stated.verbs),
        ("vectors", vectors, stated.noun_vectors),
        ("vectors of relations", 0, stated.verb_vectors),
        ("deleted items", replay.deleted_nouns, stated.deleted_nouns),
        ("deleted relations", replay.deleted_verbs, stated.deleted_verbs),
        ("bytes of vectors", vector_bytes, stated.vector_bytes),
        ("bytes of metadata", metadata_bytes, stated.metadata_bytes),
    ];
    let kind = |item: &Item, standing: &Standing| match item {
        Item::Relation(relation) => Some(data.relations[*relation].kind.to_string()),
        _ => noun(standing).map(|noun| noun.kind.to_string()),
    };
    let maps = [
        ("items by type", replay.count_by(|item, standing| kind(item, standing).filter(|_| !is_verb(item))), texts(&stated.nouns_by_type)),
        (
            "relations by type",
            replay.count_by(|item, standing| kind(item, standing).filter(|_| is_verb(item))),
            texts(&stated.verbs_by_type),
        ),
        (
            "items by service",
            replay.count_by(|item, standing| service(standing).filter(|_| !is_verb(item))),
            texts(&stated.nouns_by_service),
        ),
        (
            "relations by service",
            replay.count_by(|item, standing| service(standing).filter(|_| is_verb(item))),
            texts(&stated.verbs_by_service),
        ),
    ];
    let numbers = numbers.into_iter().filter(|(_, counted, stated)| counted != stated);
    let maps = maps.into_iter().filter(|(_, counted, stated)| counted != stated);
    let numbers = numbers.map(|(name, counted, stated)| format!("{name}: {counted} counted, {stated} stated"));
    numbers.chain(maps.map(|(name, counted, stated)| format!("{name}: {counted:?} counted, {stated:?} stated"))).collect()
}

fn texts<T: std::fmt::Display>(counts: &BTreeMap<T, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| (name.to_string(), *count)).collect()
}

/// Lowest recall@10 that is good enough.
pub(crate) const MIN_RECALL: f64 = 0.95;

/// Whether the store looks the same to all services, and as it should; the first view is the parent's own, without a recall.
pub(crate) fn views(own: &View, views: &[View]) -> Vec<Check> {
    let differ = |look: fn(&View) -> (u64, u64, u64)| {
        let faults = views.iter().enumerate().filter(|(_, view)| look(view) != look(own));
        faults.map(|(service, view)| format!("service {service}: {:?}, not {:?}", look(view), look(own))).collect()
    };
    let of = |look: fn(&View) -> &str| {
        let faults = views.iter().enumerate().filter(|(_, view)| look(view) != look(own));
        faults.map(|(service, view)| format!("service {service}: {}, not {}", look(view), look(own))).collect()
    };
    let poor = views.iter().enumerate().filter(|(_, view)| view.recall.is_nan() || view.recall < MIN_RECALL);
    let poor = poor.map(|(service, view)| format!("service {service}: {:.4}", view.recall)).collect();
    vec![
        Check::new("all services read at the same position", of(|view| &view.token)),
        Check::new("they count the same", differ(|view| (view.nouns, view.packages, view.verbs))),
        Check::new("they have the same digest of everything", of(|view| &view.digest)),
        Check::new(format!("search finds at least {MIN_RECALL} of the true nearest"), poor),
    ]
}

/// Whether the run was one that could have failed: without conflict, turn and loss it would prove nothing.
pub(crate) fn proof(journal: &Journal, log: &[Logged], services: usize, in_flight_at_kill: usize) -> Vec<Check> {
    let names: HashMap<&str, usize> =
        journal.attempts.iter().filter_map(|(mark, attempt)| Some((attempt.op.as_deref()?, mark.service))).collect();
    let writers: Vec<usize> = log.iter().filter_map(|logged| names.get(logged.op.as_str()).copied()).collect();
    let turns = writers.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let conflicts = journal.attempts.values().filter(|attempt| attempt.is_conflict()).count();
    vec![
        Check::that(format!("services were in each other's way: {conflicts} conflicts"), conflicts > 0, "there was no conflict"),
        // One after the other, n services take n − 1 turns.
        Check::that(
            format!("services wrote by turns: {turns} changes of hand in the log"),
            turns >= services,
            "each service wrote when the others did not",
        ),
        Check::that(
            format!("a process was killed with {in_flight_at_kill} writes in flight"),
            in_flight_at_kill > 0,
            "nothing was in flight",
        ),
    ]
}

#[cfg(test)]
mod tests;
