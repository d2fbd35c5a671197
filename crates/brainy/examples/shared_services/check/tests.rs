use brainy::{NounDraft, Version};

use super::*;
use crate::change::{Change, When};
use crate::data::small;
use crate::journal::{Line, Stage};

/// A short run of two services in which everything held, to be spoiled.
struct Story {
    data: Data,
    journal: Journal,
    log: Vec<Logged>,
}

impl Story {
    fn new() -> Self {
        let mut story = Self { data: small(3, &[(0, 1), (1, 2)]), journal: Journal::default(), log: Vec::new() };
        let package = |row, when| Change::Package { row, vector: row, touched: 0, when };
        let counter = |count, when| Change::Counter { count, when };
        let committed = |at, changed| Some(Outcome::Committed(at, Some(changed)));
        let conflict = |reason: &str| Some(Outcome::Conflict(0, reason.into()));
        story.attempt(0, 0, Task::Stage, vec![package(0, When::Absent), package(1, When::Absent)], (1, 0), committed((1, 0), 2));
        story.attempt(1, 0, Task::Stage, vec![package(0, When::Absent), package(2, When::Absent)], (2, 0), conflict("AlreadyExists"));
        story.attempt(1, 1, Task::Stage, vec![package(2, When::Absent)], (2, 1), committed((2, 1), 1));
        story.attempt(0, 1, Task::MakeCounter, vec![counter(0, When::Absent)], (3, 0), committed((3, 0), 1));
        story.attempt(1, 2, Task::Raise, vec![counter(1, When::Version(3, 0))], (4, 0), committed((4, 0), 1));
        story.attempt(0, 2, Task::Raise, vec![counter(1, When::Version(3, 0))], (5, 0), conflict("OtherVersion"));
        story.attempt(0, 3, Task::Raise, vec![counter(2, When::Version(4, 0))], (6, 0), committed((6, 0), 1));
        let relate = |relation| Change::Relate { relation, when: When::Absent };
        story.attempt(1, 3, Task::Stage, vec![relate(0), relate(1)], (7, 0), committed((7, 0), 2));
        let delete = Change::Delete { row: 2, detach: true, when: When::Version(2, 1) };
        story.attempt(0, 4, Task::Stage, vec![delete, Change::Note { deleted: "p2".into() }], (8, 0), committed((8, 0), 3));
        story
    }

    fn attempt(&mut self, service: usize, attempt: u64, task: Task, changes: Vec<Change>, at: Position, outcome: Option<Outcome>) {
        let mark = Mark { service, attempt };
        let operations = changes.iter().map(|change| change.operation(&self.data, mark)).collect();
        let op = format!("op-{service}-{attempt}");
        let effective = Some(matches!(outcome, Some(Outcome::Committed(..)) | None));
        self.journal.note(service, 0, &Line::Attempt { attempt, stage: Stage::Import, task, changes }).unwrap();
        self.journal.note(service, 0, &Line::Sent { attempt, op: op.clone() }).unwrap();
        if let Some(outcome) = outcome {
            self.journal.note(service, 0, &Line::Ended { attempt, outcome }).unwrap();
        }
        self.log.push(Logged { at, op, effective, operations });
    }

    /// What a sound store holds after this log.
    fn contents(&self) -> Contents {
        let Walk { replay, .. } = walk(&self.data, &self.journal, &self.log);
        let position = |standing: &Standing| version(standing.at.0, standing.at.1);
        let (mut nouns, mut verbs, mut statistics) = (Vec::new(), Vec::new(), Statistics::default());
        let add = |counts: &mut BTreeMap<_, u64>, name| *counts.entry(name).or_default() += 1;
        for (item, standing) in &replay.items {
            match item {
                Item::Relation(relation) => {
                    let verb = Verb::from_draft(&verb(&self.data, standing.mark, *relation), position(standing), 0, 0);
                    statistics.metadata_bytes += verb.metadata.as_bytes().len() as u64;
                    *statistics.verbs_by_type.entry(verb.kind.clone()).or_default() += 1;
                    *statistics.verbs_by_service.entry(verb.service.clone().unwrap()).or_default() += 1;
                    verbs.push(verb);
                }
                _ => {
                    let draft: NounDraft = standing.change.noun(&self.data, standing.mark).unwrap();
                    let noun = Noun::from_draft(&draft, position(standing), 0, 0);
                    statistics.metadata_bytes += noun.metadata.as_bytes().len() as u64;
                    statistics.noun_vectors += u64::from(noun.vector.is_some());
                    statistics.vector_bytes += noun.vector.as_ref().map_or(0, |vector| 4 * vector.dimension() as u64);
                    add(&mut statistics.nouns_by_type, noun.kind.clone());
                    *statistics.nouns_by_service.entry(noun.service.clone().unwrap()).or_default() += 1;
                    nouns.push(noun);
                }
            }
        }
        (statistics.nouns, statistics.verbs) = (nouns.len() as u64, verbs.len() as u64);
        (statistics.deleted_nouns, statistics.deleted_verbs) = (replay.deleted_nouns, replay.deleted_verbs);
        Contents { nouns, verbs, statistics }
    }

    fn attempt_of(&mut self, service: usize, attempt: u64) -> &mut Attempt {
        self.journal.attempts.get_mut(&Mark { service, attempt }).unwrap()
    }
}

/// The claims that do not hold, after `spoil` had its way with the story and with what the store of the unspoilt one holds.
fn broken(spoil: impl FnOnce(&mut Story, &mut Contents)) -> Vec<String> {
    let mut story = Story::new();
    let mut contents = story.contents();
    spoil(&mut story, &mut contents);
    let checks = history(&story.data, &story.journal, &story.log, &contents);
    checks.into_iter().filter(|check| !check.faults.is_empty()).map(|check| check.claim).collect()
}

#[track_caller]
fn check(spoil: impl FnOnce(&mut Story, &mut Contents), claims: &[&str]) {
    let broken = broken(spoil);
    assert!(!broken.is_empty(), "nobody noticed");
    for claim in claims {
        assert!(broken.iter().any(|found| found.contains(claim)), "{claim:?} is not among {broken:?}");
    }
}

#[test]
fn a_run_in_which_everything_held_passes() {
    assert_eq!(broken(|_, _| {}), [""; 0]);
}

#[test]
fn a_lost_write_is_noticed_even_if_another_service_wrote_the_same() {
    check(|story, _| drop(story.log.remove(2)), &["acknowledged writes took effect", "items"]);
    // The log has it, the store does not.
    check(|_, contents| drop(contents.nouns.remove(0)), &["items"]);
    check(|_, contents| drop(contents.verbs.remove(0)), &["relations"]);
    // The store has another attempt's equal write.
    let rewrite = |_: &mut Story, contents: &mut Contents| {
        let equal = Change::Package { row: 0, vector: 0, touched: 0, when: When::Absent };
        let mark = Mark { service: 1, attempt: 0 };
        let data = small(3, &[]);
        let noun = contents.nouns.iter_mut().find(|noun| noun.id.as_str() == "p0").unwrap();
        *noun = Noun::from_draft(&equal.noun(&data, mark).unwrap(), noun.version, 0, 0);
    };
    check(rewrite, &["items"]);
}

#[test]
fn a_doubled_write_is_noticed() {
    let double = |story: &mut Story, _: &mut Contents| {
        let mut copy = story.log[4].clone();
        copy.at = (9, 0);
        story.log.push(copy);
    };
    check(double, &["exactly once"]);
    // A copy that did nothing is no fault.
    let harmless = |story: &mut Story, contents: &mut Contents| {
        double(story, contents);
        story.log.last_mut().unwrap().effective = Some(false);
    };
    assert_eq!(broken(harmless), [""; 0]);
}

#[test]
fn a_wrong_receipt_is_noticed() {
    let elsewhere = |outcome: Outcome| move |story: &mut Story, _: &mut Contents| story.attempt_of(1, 1).outcome = Some(outcome);
    check(elsewhere(Outcome::Committed((2, 0), Some(1))), &["its receipt's position"]);
    check(elsewhere(Outcome::Committed((2, 1), Some(2))), &["same verdicts"]);
    check(elsewhere(Outcome::Conflict(0, "AlreadyExists".into())), &["was told had not"]);
    check(elsewhere(Outcome::Withdrawn("late".into())), &["was told had not"]);
    let other_reason =
        |story: &mut Story, _: &mut Contents| story.attempt_of(1, 0).outcome = Some(Outcome::Conflict(1, "AlreadyExists".into()));
    check(other_reason, &["same verdicts"]);
}

#[test]
fn a_dropped_acknowledgement_is_noticed() {
    check(|story, _| story.attempt_of(0, 3).outcome = None, &["is resolved", "the counter"]);
}

#[test]
fn a_wrong_verdict_is_noticed() {
    check(|story, _| story.log[1].effective = Some(true), &["same verdicts", "was told had not"]);
    check(|story, _| story.log[0].effective = None, &["same verdicts"]);
}

#[test]
fn what_nobody_journalled_is_noticed() {
    check(|story, _| drop(story.journal.attempts.remove(&Mark { service: 1, attempt: 3 })), &["nothing else"]);
    let altered = |story: &mut Story, _: &mut Contents| story.log[4].operations = story.log[5].operations.clone();
    check(altered, &["what was journalled"]);
}

#[test]
fn a_write_killed_before_its_name_was_told_is_found_by_its_mark() {
    let nameless = |story: &mut Story, _: &mut Contents| {
        let attempt = story.attempt_of(0, 3);
        (attempt.op, attempt.outcome) = (None, None);
    };
    assert_eq!(broken(nameless), [""; 0]);
    check(
        |story, contents| {
            nameless(story, contents);
            let mut copy = story.log[6].clone();
            (copy.at, copy.op) = ((9, 0), "op-again".into());
            story.log.push(copy);
        },
        &["exactly once"],
    );
}

#[test]
fn wrong_counts_are_noticed() {
    let spoils: [fn(&mut Statistics); 6] = [
        |statistics| statistics.nouns += 1,
        |statistics| statistics.deleted_verbs -= 1,
        |statistics| statistics.vector_bytes += 4,
        |statistics| statistics.metadata_bytes -= 1,
        |statistics| statistics.nouns_by_type.clear(),
        |statistics| drop(statistics.verbs_by_service.pop_first()),
    ];
    for spoil in spoils {
        check(|_, contents| spoil(&mut contents.statistics), &["count the same"]);
    }
    let older: Version = "0.1.1".parse().unwrap();
    check(|_, contents| contents.verbs[0].version = older, &["relations"]);
}

#[test]
fn services_that_see_different_stores_are_noticed() {
    let own = View { token: "t".into(), nouns: 4, packages: 3, verbs: 2, digest: "d".into(), recall: f64::NAN, queries: 0 };
    let good = View { recall: 0.95, queries: 200, ..own.clone() };
    let faults = |view: View| -> usize {
        let checks = views(&own, &[good.clone(), view]);
        checks.iter().map(|check| check.faults.len()).sum()
    };
    assert_eq!(faults(good.clone()), 0);
    assert_eq!(faults(View { recall: 0.949, ..good.clone() }), 1);
    assert_eq!(faults(View { recall: f64::NAN, ..good.clone() }), 1);
    assert_eq!(faults(View { digest: "e".into(), ..good.clone() }), 1);
    assert_eq!(faults(View { verbs: 3, ..good.clone() }), 1);
    assert_eq!(faults(View { token: "u".into(), ..good.clone() }), 1);
}

#[test]
fn a_run_that_proves_nothing_is_noticed() {
    let story = Story::new();
    let faults = |journal: &Journal, log: &[Logged], in_flight| -> usize {
        proof(journal, log, 2, in_flight).iter().map(|check| check.faults.len()).sum()
    };
    assert_eq!(faults(&story.journal, &story.log, 1), 0);
    assert_eq!(faults(&story.journal, &story.log, 0), 1);
    let mut peaceful = story.journal.clone();
    peaceful.attempts.retain(|_, attempt| !attempt.is_conflict());
    assert_eq!(faults(&peaceful, &story.log, 1), 1);
    let mut one_by_one = story.log.clone();
    one_by_one.sort_by(|a, b| a.op.cmp(&b.op));
    assert_eq!(faults(&story.journal, &one_by_one, 1), 1);
}
