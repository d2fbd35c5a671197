//! The two ways through a layer, and the choice of neighbours: Malkov and Yashunin, arXiv:1603.09320.

use std::cmp::Reverse;

use crate::index::Index;
use crate::near::Near;
use crate::scratch::Scratch;

/// How far a walk may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The layer it stays on.
    pub(crate) layer: usize,
    /// How many nodes it keeps.
    pub(crate) ef: usize,
    /// How many nodes it may compare.
    pub(crate) budget: usize,
}

impl Index {
    #[inline]
    pub(crate) fn near(&self, query: &[f32], node: u32) -> Near {
        Near::new(self.distance.between(query, self.points.row(node)), node)
    }

    /// The nearest node that steps from `start` reach on the layers `from` down to `to`, each step to a nearer neighbour.
    /// `to` must not be 0: there [`Self::walk`] is meant.
    pub(crate) fn descend(&self, query: &[f32], start: Near, from: usize, to: usize) -> Near {
        let mut nearest = start;
        for layer in (to..=from).rev() {
            loop {
                let links = self.graph.links(layer, nearest.node());
                let best = links.iter().map(|node| self.near(query, *node)).min();
                match best {
                    Some(best) if best.rank() < nearest.rank() => nearest = best,
                    _ => break,
                }
            }
        }
        nearest
    }

    /// Algorithm 2: the `bounds.ef` nearest admitted nodes that a walk over one layer from `start` finds, in `scratch.found`.
    ///
    /// Nodes that are not admitted are walked through all the same. False if the walk gave up after comparing more than its
    /// budget; then `found` is what it had.
    pub(crate) fn walk(&self, query: &[f32], start: Near, bounds: Bounds, scratch: &mut Scratch, admit: impl Fn(u32) -> bool) -> bool {
        let Bounds { layer, ef, budget } = bounds;
        scratch.begin(self.points.slots());
        scratch.see(start.node());
        scratch.candidates.push(Reverse(start));
        if admit(start.node()) {
            scratch.found.push(start);
        }
        let mut compared = 1;
        // The rank that a node must be under to be of use; everything is until `ef` are found.
        let mut limit = if scratch.found.len() == ef { scratch.found.peek().map(|far| far.rank()) } else { None };
        while let Some(Reverse(next)) = scratch.candidates.pop() {
            if limit.is_some_and(|limit| next.rank() > limit) {
                break;
            }
            let mut fresh = std::mem::take(&mut scratch.fresh);
            fresh.clear();
            fresh.extend(self.graph.links(layer, next.node()).iter().filter(|node| scratch.see(**node)));
            compared += fresh.len();
            for &node in &fresh {
                let near = self.near(query, node);
                if limit.is_some_and(|limit| near.rank() >= limit) {
                    continue;
                }
                scratch.candidates.push(Reverse(near));
                if admit(node) {
                    scratch.found.push(near);
                    if scratch.found.len() > ef {
                        scratch.found.pop();
                    }
                    if scratch.found.len() == ef {
                        limit = scratch.found.peek().map(|far| far.rank());
                    }
                }
            }
            scratch.fresh = fresh;
            if compared > budget {
                return false;
            }
        }
        true
    }

    /// Algorithm 4, without its optional parts: of `candidates`, nearest first, those that lie nearer to the node than to any
    /// chosen before, until `chosen` has `limit`. What `chosen` holds at the start counts as chosen before.
    pub(crate) fn choose(&self, candidates: &[Near], limit: usize, chosen: &mut Vec<u32>) {
        for candidate in candidates {
            if chosen.len() >= limit {
                break;
            }
            let row = self.points.row(candidate.node());
            if chosen.iter().all(|other| self.distance.between(row, self.points.row(*other)) >= candidate.distance()) {
                chosen.push(candidate.node());
            }
        }
    }
}
