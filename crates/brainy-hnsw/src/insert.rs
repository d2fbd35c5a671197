use std::collections::VecDeque;

use crate::index::Index;
use crate::level::level;
use crate::near::Near;
use crate::points::same_bits;
use crate::walk::Bounds;
use crate::{Error, check_vector};

impl Index {
    /// Gives the key this vector; true if it had one before, of which nothing stays.
    ///
    /// # Errors
    /// Those of [`check_vector`], and [`Error::Full`]; the index is unchanged.
    pub fn insert(&mut self, key: u64, vector: &[f32]) -> Result<bool, Error> {
        check_vector(vector, self.dimension(), self.metric())?;
        let row = self.distance.prepare(vector);
        let before = self.points.node_of(key);
        if before.is_some_and(|node| same_bits(self.points.row(node), &row)) {
            return Ok(true);
        }
        let twin = self.points.node_with(&row);
        // Asked before the old vector goes, though its slot might do: a refused call changes nothing.
        if twin.is_none() && self.points.is_full() {
            return Err(Error::Full { vectors: self.points.live() });
        }
        if before.is_some() {
            self.remove(key);
        }
        match twin {
            Some(node) => self.points.add_twin(node, key),
            None => self.add_node(key, &row),
        }
        Ok(before.is_some())
    }

    /// Algorithm 1.
    fn add_node(&mut self, key: u64, row: &[f32]) {
        let level = level(self.options.seed, key, self.options.m);
        let node = self.points.add(key, row, level);
        self.graph.add(node, level);
        let Some(entry) = self.entry else {
            self.entry = Some(node);
            return;
        };
        let top = self.level(entry);
        let mut nearest = self.descend(row, self.near(row, entry), top, level + 1);
        for layer in (0..=level.min(top)).rev() {
            let found = self.pool.with(|scratch| {
                self.walk(row, nearest, Bounds { layer, ef: self.options.ef_construction, budget: usize::MAX }, scratch, |_| true);
                scratch.take_found()
            });
            nearest = found[0];
            self.attach(layer, node, &found);
        }
        if level > top {
            self.entry = Some(node);
        }
    }

    pub(crate) fn level(&self, node: u32) -> usize {
        self.points.level(node).expect("links and the entry point name live nodes")
    }

    /// Links a new node of a layer with the nodes `found` near it, nearest first, and those with it.
    fn attach(&mut self, layer: usize, node: u32, found: &[Near]) {
        let mut chosen = Vec::with_capacity(self.options.m);
        self.choose(found, self.options.m, &mut chosen);
        let tied = match found.iter().find(|near| self.graph.can_tie(layer, near.node())) {
            Some(near) => near.node(),
            None => self.nearest_that_can_tie(layer, found[0].node()),
        };
        self.tie(layer, node, tied);
        for other in chosen.into_iter().filter(|other| *other != tied) {
            if self.graph.has_room(layer, node) {
                self.graph.link(layer, node, other);
            }
            if self.graph.has_room(layer, other) {
                self.graph.link(layer, other, node);
            } else {
                self.choose_anew(layer, other, node);
            }
        }
    }

    /// Chooses the loose links of a node whose list is full again, from those and `other`; its ties stay, and count as chosen.
    fn choose_anew(&mut self, layer: usize, node: u32, other: u32) {
        let mut chosen = self.graph.ties(layer, node).to_vec();
        let tied = chosen.len();
        let loose = self.graph.loose(layer, node).iter().copied();
        let candidates = self.sorted(node, loose.chain([other]));
        self.choose(&candidates, self.graph.capacity(layer), &mut chosen);
        self.graph.replace_loose(layer, node, &chosen[tied..]);
    }

    /// Chooses more links for a node from `others`, as far as there is room; those it has stay, and count as chosen.
    pub(crate) fn choose_more(&mut self, layer: usize, node: u32, others: &[u32]) {
        let mut chosen = self.graph.links(layer, node).to_vec();
        let had = chosen.len();
        let others = others.iter().copied().filter(|other| *other != node && !chosen.contains(other));
        let candidates = self.sorted(node, others);
        self.choose(&candidates, self.graph.capacity(layer), &mut chosen);
        for to in &chosen[had..] {
            self.graph.link(layer, node, *to);
        }
    }

    /// The others, nearest to the node first.
    fn sorted(&self, node: u32, others: impl Iterator<Item = u32>) -> Vec<Near> {
        let row = self.points.row(node);
        let mut sorted: Vec<Near> = others.map(|other| self.near(row, other)).collect();
        sorted.sort_unstable();
        sorted
    }

    /// Ties two nodes, each of which can take one more tie; a full list gives up its farthest loose link.
    pub(crate) fn tie(&mut self, layer: usize, a: u32, b: u32) {
        for (from, to) in [(a, b), (b, a)] {
            if !self.graph.has_room(layer, from) && !self.graph.has_link(layer, from, to) {
                let row = self.points.row(from);
                let farthest = self.graph.loose(layer, from).iter().map(|other| self.near(row, *other)).max();
                let farthest = farthest.expect("ties may fill half of a list, or all of two places, and one is free").node();
                self.graph.unlink(layer, from, farthest);
            }
        }
        self.graph.tie(layer, a, b);
    }

    /// A node that can take one more tie, the fewest ties away from `from`. There always is one: the tree has leaves, and a leaf's
    /// one tie is fewer than a node may have.
    pub(crate) fn nearest_that_can_tie(&self, layer: usize, from: u32) -> u32 {
        let mut waiting = VecDeque::from([(from, from)]);
        while let Some((node, before)) = waiting.pop_front() {
            if self.graph.can_tie(layer, node) {
                return node;
            }
            waiting.extend(self.graph.ties(layer, node).iter().filter(|next| **next != before).map(|next| (*next, node)));
        }
        unreachable!("a finite tree has leaves")
    }
}
