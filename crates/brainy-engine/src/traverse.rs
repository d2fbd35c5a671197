//! Walks along verbs.

use std::collections::{HashSet, VecDeque};

use brainy_core::{NounId, TypeName, VerbId};

use crate::Reader;
use crate::contents::filed_under;

/// Most nouns that one traversal gives.
pub const MAX_REACHED: usize = 100_000;
/// Most verbs that one traversal looks at.
pub const MAX_FOLLOWED: usize = 1_000_000;

/// Which way verbs are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// From source to target.
    #[default]
    Out,
    /// From target to source.
    In,
    /// Either way.
    Both,
}

/// How far a traversal goes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TraverseOptions {
    /// Which way verbs are followed. Default: [`Direction::Out`].
    pub direction: Direction,
    /// Only verbs of these types; all if empty.
    pub kinds: Vec<TypeName>,
    /// How many verbs may lie between a start and what it reaches. Default: [`Self::MAX_DEPTH`].
    pub max_depth: u32,
    /// At most so many nouns, and never more than [`MAX_REACHED`]. Default: [`Self::LIMIT`].
    pub limit: usize,
}

impl TraverseOptions {
    /// The default of [`max_depth`](Self::max_depth).
    pub const MAX_DEPTH: u32 = 3;
    /// The default of [`limit`](Self::limit).
    pub const LIMIT: usize = 1_000;

    /// These options with another direction.
    #[must_use]
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// These options with one more type of verbs to follow; the first one excludes all others.
    #[must_use]
    pub fn with_kind(mut self, kind: TypeName) -> Self {
        self.kinds.push(kind);
        self
    }

    /// These options with another depth.
    #[must_use]
    pub fn with_max_depth(mut self, max_depth: u32) -> Self {
        self.max_depth = max_depth;
        self
    }

    /// These options with another limit.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

impl Default for TraverseOptions {
    fn default() -> Self {
        Self { direction: Direction::Out, kinds: Vec::new(), max_depth: Self::MAX_DEPTH, limit: Self::LIMIT }
    }
}

/// One noun that a traversal came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reached {
    /// The noun.
    pub id: NounId,
    /// How many verbs away from the nearest start, from 1.
    pub depth: u32,
    /// The verb it was first reached by.
    pub via: VerbId,
}

/// What a traversal came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traversal {
    /// Each noun once, the nearest first; starts are not among them.
    pub reached: Vec<Reached>,
    /// Whether this is all within the depth asked for; false if [`TraverseOptions::limit`], [`MAX_REACHED`] or [`MAX_FOLLOWED`] ended the walk.
    pub complete: bool,
}

impl Reader {
    /// The nouns that can be reached from `starts` along verbs, breadth first; cycles do no harm, starts that do not exist reach nothing.
    ///
    /// The order is a function of the state: starts as given, the verbs of a noun by their ids, those that leave it before those that lead to it.
    pub fn traverse(&self, starts: &[NounId], options: &TraverseOptions) -> Traversal {
        let limit = options.limit.min(MAX_REACHED);
        let mut seen: HashSet<NounId> = starts.iter().cloned().collect();
        let mut queue: VecDeque<(NounId, u32)> = VecDeque::new();
        let mut first = HashSet::new();
        queue.extend(starts.iter().filter(|start| first.insert(*start)).map(|start| (start.clone(), 0)));
        let mut reached = Vec::new();
        let mut followed = 0;
        while let Some((noun, depth)) = queue.pop_front() {
            if depth == options.max_depth {
                continue;
            }
            let outgoing = (options.direction != Direction::In).then(|| filed_under(&self.contents.outgoing, &noun, None));
            let incoming = (options.direction != Direction::Out).then(|| filed_under(&self.contents.incoming, &noun, None));
            let outgoing = outgoing.into_iter().flatten().map(|record| (&record.item, &record.item.target));
            let incoming = incoming.into_iter().flatten().map(|record| (&record.item, &record.item.source));
            for (verb, end) in outgoing.chain(incoming) {
                followed += 1;
                if followed > MAX_FOLLOWED {
                    return Traversal { reached, complete: false };
                }
                if (!options.kinds.is_empty() && !options.kinds.contains(&verb.kind)) || seen.contains(end) {
                    continue;
                }
                if reached.len() == limit {
                    return Traversal { reached, complete: false };
                }
                seen.insert(end.clone());
                reached.push(Reached { id: end.clone(), depth: depth + 1, via: verb.id.clone() });
                queue.push_back((end.clone(), depth + 1));
            }
        }
        Traversal { reached, complete: true }
    }
}
