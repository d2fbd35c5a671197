//! What must be in the store, worked out with plain maps from what the services said they wrote. None of the engine's code is used here: only if both
//! agree is the engine believed.

use std::collections::BTreeMap;

use crate::change::{COUNTER, Change, Mark, When};
use crate::data::Data;

/// Where something was written: slot and ordinal.
pub(crate) type Position = (u64, u32);

/// What stands in an item: the change that wrote it, by whom and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    /// The change.
    pub change: Change,
    /// By whom.
    pub mark: Mark,
    /// Where.
    pub at: Position,
}

/// Why an attempt must have no effect: its first change that does not fit, and the name of the reason.
pub(crate) type Refusal = (usize, &'static str);

/// The name of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    /// A package.
    Package(usize),
    /// The counter.
    Counter,
    /// A service's note of what it deleted.
    Note(usize),
    /// A relation.
    Relation(usize),
}

/// The store as it must be.
#[derive(Clone, Debug)]
pub(crate) struct Replay<'a> {
    data: &'a Data,
    /// What exists.
    pub items: BTreeMap<Item, Standing>,
    /// How many items other than relations were deleted.
    pub deleted_nouns: u64,
    /// How many relations were.
    pub deleted_verbs: u64,
}

impl<'a> Replay<'a> {
    /// The empty store.
    pub(crate) fn new(data: &'a Data) -> Self {
        Self { data, items: BTreeMap::new(), deleted_nouns: 0, deleted_verbs: 0 }
    }

    /// Does an attempt whole, or nothing of it. Returns how many items it changed.
    pub(crate) fn attempt(&mut self, changes: &[Change], mark: Mark, at: Position) -> Result<u32, Refusal> {
        // Conditions are judged against what was before; the places of relations against what the attempt itself did so far.
        let mut after = BTreeMap::new();
        for (place, change) in changes.iter().enumerate() {
            self.change(change, mark, at, &mut after).map_err(|reason| (place, reason))?;
        }
        let mut changed = 0;
        for (item, standing) in after {
            let relation = matches!(item, Item::Relation(_));
            match standing {
                Some(standing) => drop(self.items.insert(item, standing)),
                None if self.items.remove(&item).is_none() => continue,
                None if relation => self.deleted_verbs += 1,
                None => self.deleted_nouns += 1,
            }
            changed += 1;
        }
        Ok(changed)
    }

    fn change(&self, change: &Change, mark: Mark, at: Position, after: &mut BTreeMap<Item, Option<Standing>>) -> Result<(), &'static str> {
        let exists = |after: &BTreeMap<Item, Option<Standing>>, item: &Item| match after.get(item) {
            Some(standing) => standing.is_some(),
            None => self.items.contains_key(item),
        };
        let (item, when) = match change {
            Change::Package { row, when, .. } | Change::Delete { row, when, .. } => (Item::Package(*row), *when),
            Change::Relate { relation, when } | Change::Unrelate { relation, when } => (Item::Relation(*relation), *when),
            Change::Counter { when, .. } => (Item::Counter, *when),
            Change::Note { .. } => (Item::Note(mark.service), When::Always),
        };
        match (when, self.items.get(&item)) {
            (When::Always, _) | (When::Absent, None) => {}
            (When::Absent, Some(_)) => return Err("AlreadyExists"),
            (When::Version(..), None) => return Err("DoesNotExist"),
            (When::Version(slot, ordinal), Some(standing)) if standing.at == (slot, ordinal) => {}
            (When::Version(..), Some(_)) => return Err("OtherVersion"),
        }
        let standing = match change {
            Change::Delete { row, detach, .. } => {
                let touching = self.data.touching[*row].iter().map(|relation| Item::Relation(*relation));
                let touching: Vec<Item> = touching.filter(|relation| exists(after, relation)).collect();
                if !touching.is_empty() && !detach {
                    return Err("HasVerbs");
                }
                after.extend(touching.into_iter().map(|relation| (relation, None)));
                None
            }
            Change::Unrelate { .. } => None,
            Change::Relate { relation, .. } => {
                let ends = &self.data.relations[*relation];
                if !exists(after, &Item::Package(ends.source)) {
                    return Err("SourceMissing");
                }
                if !exists(after, &Item::Package(ends.target)) {
                    return Err("TargetMissing");
                }
                Some(Standing { change: change.clone(), mark, at })
            }
            Change::Package { .. } | Change::Counter { .. } | Change::Note { .. } => Some(Standing { change: change.clone(), mark, at }),
        };
        after.insert(item, standing);
        Ok(())
    }

    /// Items other than relations.
    pub(crate) fn nouns(&self) -> usize {
        self.items.len() - self.verbs()
    }

    /// Relations.
    pub(crate) fn verbs(&self) -> usize {
        self.items.range(Item::Relation(0)..).count()
    }

    /// Where the counter stands; none if nobody made it.
    pub(crate) fn counter(&self) -> Option<u64> {
        match self.items.get(&Item::Counter)?.change {
            Change::Counter { count, .. } => Some(count),
            _ => None,
        }
    }

    /// The name in the store of an item that is no relation.
    pub(crate) fn noun_id(&self, item: &Item) -> Option<String> {
        match item {
            Item::Package(row) => Some(self.data.packages[*row].id.to_string()),
            Item::Counter => Some(COUNTER.into()),
            Item::Note(service) => Some(format!("note-{service}")),
            Item::Relation(_) => None,
        }
    }

    /// How many items, by a name that they have in common.
    pub(crate) fn count_by(&self, name: impl Fn(&Item, &Standing) -> Option<String>) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (item, standing) in &self.items {
            if let Some(name) = name(item, standing) {
                *counts.entry(name).or_default() += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::small;

    const MARK: Mark = Mark { service: 1, attempt: 4 };

    fn package(row: usize, when: When) -> Change {
        Change::Package { row, vector: row, touched: 0, when }
    }

    fn relate(relation: usize) -> Change {
        Change::Relate { relation, when: When::Absent }
    }

    #[test]
    fn an_attempt_that_does_not_fit_changes_nothing() {
        let data = small(3, &[(0, 1), (1, 2)]);
        let mut replay = Replay::new(&data);
        assert_eq!(replay.attempt(&[package(0, When::Absent), package(1, When::Absent)], MARK, (1, 0)), Ok(2));
        let before = replay.items.clone();
        for (changes, refusal) in [
            (vec![package(2, When::Always), package(0, When::Absent)], (1, "AlreadyExists")),
            (vec![package(2, When::Version(1, 0))], (0, "DoesNotExist")),
            (vec![package(0, When::Version(1, 1))], (0, "OtherVersion")),
            (vec![relate(0), relate(1)], (1, "TargetMissing")),
            (vec![Change::Delete { row: 0, detach: true, when: When::Always }, relate(0)], (1, "SourceMissing")),
        ] {
            assert_eq!(replay.attempt(&changes, MARK, (2, 0)), Err(refusal));
            assert_eq!(replay.items, before);
        }
        assert_eq!((replay.deleted_nouns, replay.deleted_verbs), (0, 0));
    }

    #[test]
    fn a_deletion_takes_the_relations_with_it_or_is_refused() {
        let data = small(3, &[(0, 1), (1, 2), (2, 0)]);
        let mut replay = Replay::new(&data);
        replay.attempt(&[0, 1, 2].map(|row| package(row, When::Absent)), MARK, (1, 0)).unwrap();
        assert_eq!(replay.attempt(&[relate(0), relate(1), relate(2)], MARK, (2, 0)), Ok(3));
        let delete = |detach| [Change::Delete { row: 1, detach, when: When::Version(1, 0) }, Change::Note { deleted: "p1".into() }];
        assert_eq!(replay.attempt(&delete(false), MARK, (3, 0)), Err((0, "HasVerbs")));
        assert_eq!(replay.attempt(&delete(true), MARK, (3, 1)), Ok(4));
        assert_eq!(replay.items.keys().filter(|item| **item >= Item::Relation(0)).collect::<Vec<_>>(), [&Item::Relation(2)]);
        assert_eq!((replay.nouns(), replay.verbs(), replay.deleted_nouns, replay.deleted_verbs), (3, 1, 1, 2));
        assert_eq!(replay.attempt(&[Change::Unrelate { relation: 0, when: When::Always }], MARK, (4, 0)), Ok(0));
        assert_eq!(replay.attempt(&[Change::Unrelate { relation: 2, when: When::Version(2, 0) }], MARK, (5, 0)), Ok(1));
        assert_eq!(replay.verbs(), 0);
    }

    #[test]
    fn the_counter_stands_where_it_was_last_written() {
        let data = small(1, &[]);
        let mut replay = Replay::new(&data);
        assert_eq!(replay.counter(), None);
        replay.attempt(&[Change::Counter { count: 0, when: When::Absent }], MARK, (1, 0)).unwrap();
        replay.attempt(&[Change::Counter { count: 1, when: When::Version(1, 0) }], MARK, (2, 3)).unwrap();
        assert_eq!(replay.attempt(&[Change::Counter { count: 1, when: When::Version(1, 0) }], MARK, (3, 0)), Err((0, "OtherVersion")));
        assert_eq!(replay.counter(), Some(1));
        assert_eq!(replay.items[&Item::Counter].at, (2, 3));
    }
}
