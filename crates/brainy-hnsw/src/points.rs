use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::level::mix;

/// Marks a slot whose node was removed.
const DEAD: u8 = u8::MAX;

/// The stored rows and whose they are.
///
/// Equal rows are one node with several keys ("twins"). Texts that are equal have equal vectors, so that stores hold many; as nodes
/// of their own they would link to each other alone and be an island, which no bounded list of links can mend.
pub(crate) struct Points {
    dimension: usize,
    /// One row a slot, side by side.
    rows: Vec<f32>,
    /// The top layer of each slot's node, or [`DEAD`].
    levels: Vec<u8>,
    /// The key of each slot's node; of a node with twins, one of them.
    keys: Vec<u64>,
    /// All keys of the nodes that have more than one.
    twins: HashMap<u32, BTreeSet<u64>>,
    nodes: HashMap<u64, u32>,
    /// A row's hash → its node. Of two unequal rows with one hash the first is here; the other's twins become nodes of their own.
    contents: HashMap<u64, u32>,
    hasher: RandomState,
    /// Slots to use again, the last first.
    free: Vec<u32>,
}

/// What became of a removed key's node.
pub(crate) enum Removed {
    /// Other keys share it.
    KeyOnly,
    /// It was the node's last key.
    Node(u32),
}

impl Points {
    pub(crate) fn new(dimension: usize) -> Self {
        Self {
            dimension,
            rows: Vec::new(),
            levels: Vec::new(),
            keys: Vec::new(),
            twins: HashMap::new(),
            nodes: HashMap::new(),
            contents: HashMap::new(),
            hasher: RandomState::new(),
            free: Vec::new(),
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How many distinct rows there are.
    pub(crate) fn live(&self) -> usize {
        self.levels.len() - self.free.len()
    }

    /// How many slots there are, dead ones included; node numbers lie below.
    pub(crate) fn slots(&self) -> usize {
        self.levels.len()
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    #[inline]
    pub(crate) fn row(&self, node: u32) -> &[f32] {
        let at = node as usize * self.dimension;
        &self.rows[at..at + self.dimension]
    }

    /// The node's top layer; none if the slot is dead or was never used.
    pub(crate) fn level(&self, node: u32) -> Option<usize> {
        self.levels.get(node as usize).filter(|level| **level != DEAD).map(|level| usize::from(*level))
    }

    /// The live nodes in the order of their numbers.
    pub(crate) fn live_nodes(&self) -> impl Iterator<Item = u32> {
        self.levels.iter().zip(0u32..).filter(|(level, _)| **level != DEAD).map(|(_, node)| node)
    }

    /// The live ones of `size` slots drawn with replacement, the same for the same number of slots. Drawn, not evenly spaced: callers'
    /// keys often follow a period.
    pub(crate) fn sample(&self, size: usize) -> impl Iterator<Item = u32> {
        let slots = self.slots() as u64;
        (0..size as u64).filter(move |_| slots > 0).map(move |draw| (mix(draw) % slots) as u32).filter(|node| self.level(*node).is_some())
    }

    pub(crate) fn node_of(&self, key: u64) -> Option<u32> {
        self.nodes.get(&key).copied()
    }

    /// The node that holds exactly these bits.
    pub(crate) fn node_with(&self, row: &[f32]) -> Option<u32> {
        self.contents.get(&self.hash(row)).copied().filter(|node| same_bits(self.row(*node), row))
    }

    /// The node's keys, in order.
    pub(crate) fn keys(&self, node: u32) -> impl Iterator<Item = u64> {
        let twins = self.twins.get(&node);
        let only = twins.is_none().then(|| self.keys[node as usize]);
        twins.into_iter().flatten().copied().chain(only)
    }

    /// Whether a new row would have no number.
    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty() && self.levels.len() >= u32::MAX as usize
    }

    /// A new node with one key. The key is not in use and no node holds these bits; there is room.
    pub(crate) fn add(&mut self, key: u64, row: &[f32], level: usize) -> u32 {
        let level = u8::try_from(level).expect("levels stop at 32");
        let node = match self.free.pop() {
            Some(node) => {
                let at = node as usize * self.dimension;
                self.rows[at..at + self.dimension].copy_from_slice(row);
                self.levels[node as usize] = level;
                self.keys[node as usize] = key;
                node
            }
            None => {
                let node = u32::try_from(self.levels.len()).expect("the caller has seen that there is room");
                self.rows.extend_from_slice(row);
                self.levels.push(level);
                self.keys.push(key);
                node
            }
        };
        self.nodes.insert(key, node);
        let hash = self.hash(row);
        self.contents.entry(hash).or_insert(node);
        node
    }

    /// One more key for a node; the key is not in use.
    pub(crate) fn add_twin(&mut self, node: u32, key: u64) {
        let first = self.keys[node as usize];
        self.twins.entry(node).or_insert_with(|| BTreeSet::from([first])).insert(key);
        self.nodes.insert(key, node);
    }

    /// Takes a key away, and its slot if it was the last one there; none if there is no such key.
    ///
    /// The freed slot's row stays readable until it is used again.
    pub(crate) fn remove(&mut self, key: u64) -> Option<Removed> {
        let node = self.nodes.remove(&key)?;
        if let Some(twins) = self.twins.get_mut(&node) {
            twins.remove(&key);
            let first = *twins.first().expect("a set of twins holds two or more");
            if twins.len() == 1 {
                self.twins.remove(&node);
            }
            self.keys[node as usize] = first;
            return Some(Removed::KeyOnly);
        }
        let hash = self.hash(self.row(node));
        if self.contents.get(&hash) == Some(&node) {
            self.contents.remove(&hash);
        }
        self.levels[node as usize] = DEAD;
        self.free.push(node);
        Some(Removed::Node(node))
    }

    /// An estimate of the heap bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let twins: usize = self.twins.len() * size_of::<BTreeSet<u64>>();
        let keys_of_twins = self.nodes.len() - (self.live() - self.twins.len());
        self.rows.capacity() * size_of::<f32>()
            + self.levels.capacity()
            + self.keys.capacity() * size_of::<u64>()
            + self.free.capacity() * size_of::<u32>()
            + (self.nodes.capacity() + self.contents.capacity()) * TABLE_ENTRY_BYTES
            + self.twins.capacity() * TABLE_ENTRY_BYTES
            + twins
            + keys_of_twins * 2 * size_of::<u64>()
    }

    fn hash(&self, row: &[f32]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for x in row {
            hasher.write_u32(x.to_bits());
        }
        hasher.finish()
    }

    /// What must hold between the tables; an error says what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut keys = 0;
        for node in self.live_nodes() {
            if self.twins.get(&node).is_some_and(|twins| twins.len() < 2) {
                return Err(format!("node {node} has a set of twins with fewer than two keys"));
            }
            for key in self.keys(node) {
                keys += 1;
                if self.node_of(key) != Some(node) {
                    return Err(format!("key {key} of node {node} leads to {:?}", self.node_of(key)));
                }
            }
            if self.node_with(self.row(node)) != Some(node) {
                return Err(format!("the row of node {node} is not found by its content"));
            }
        }
        let free: BTreeSet<u32> = self.free.iter().copied().collect();
        let lengths = [self.levels.len(), self.keys.len(), self.rows.len() / self.dimension];
        let dead = self.levels.iter().filter(|level| **level == DEAD).count();
        if keys != self.nodes.len() || self.contents.len() != self.live() {
            return Err(format!(
                "{keys} keys on {} nodes, but {} and {} in the tables",
                self.live(),
                self.nodes.len(),
                self.contents.len()
            ));
        }
        if free.len() != self.free.len() || free.len() != dead || free.iter().any(|node| self.level(*node).is_some()) {
            return Err(format!("{dead} dead slots, {} in the free list", self.free.len()));
        }
        if lengths.iter().any(|length| *length != self.slots()) || self.twins.keys().any(|node| self.level(*node).is_none()) {
            return Err("the columns differ in length, or a dead slot has twins".to_owned());
        }
        Ok(())
    }
}

/// Bytes of a hash table for each element of its capacity: key and value padded to 16, one control byte, and an eighth left empty.
const TABLE_ENTRY_BYTES: usize = 19;

pub(crate) fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
}
