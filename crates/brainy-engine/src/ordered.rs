//! An ordered map whose copies share what they have in common.

use std::cmp::Ordering;
use std::sync::Arc;

use brainy_core::{NounId, TypeName, VerbId};

/// Most entries of a node; a changed node is copied whole while a reader still holds the old one, so it is kept small.
const MOST: usize = 32;
/// A node with fewer entries is joined with a neighbour.
const LEAST: usize = MOST / 4;

/// A key with the beginning of it at hand, so that most comparisons need not look where the key lies.
pub(crate) trait Prefixed: Ord {
    /// Ordered as the keys are, as far as it goes: equal ones say nothing.
    type Prefix: Ord + Copy;

    fn prefix(&self) -> Self::Prefix;
}

impl Prefixed for u64 {
    type Prefix = ();

    fn prefix(&self) {}
}

/// Its first 16 bytes as a number. Texts hold no NUL, so that filling up with zeros keeps the order.
fn text_prefix(text: &str) -> u128 {
    let mut first = [0; 16];
    let length = text.len().min(16);
    first[..length].copy_from_slice(&text.as_bytes()[..length]);
    u128::from_be_bytes(first)
}

impl Prefixed for NounId {
    type Prefix = u128;

    fn prefix(&self) -> u128 {
        text_prefix(self.as_str())
    }
}

impl Prefixed for VerbId {
    type Prefix = u128;

    fn prefix(&self) -> u128 {
        text_prefix(self.as_str())
    }
}

impl Prefixed for (NounId, VerbId) {
    type Prefix = u128;

    fn prefix(&self) -> u128 {
        self.0.prefix()
    }
}

/// There are few types: it would tell next to nothing.
impl Prefixed for (TypeName, VerbId) {
    type Prefix = ();

    fn prefix(&self) {}
}

/// A key as a node holds it.
struct Filed<K: Prefixed> {
    prefix: K::Prefix,
    key: K,
}

impl<K: Prefixed + Clone> Clone for Filed<K> {
    fn clone(&self) -> Self {
        Self { prefix: self.prefix, key: self.key.clone() }
    }
}

impl<K: Prefixed> Filed<K> {
    fn new(key: K) -> Self {
        Self { prefix: key.prefix(), key }
    }

    fn compare(&self, prefix: K::Prefix, key: &K) -> Ordering {
        self.prefix.cmp(&prefix).then_with(|| self.key.cmp(key))
    }
}

/// A B+ tree with shared nodes: a copy costs one counter, a change copies only the nodes on its path that somebody else still holds.
///
/// So readers work on a state of their own while commits go on, without a lock and without waiting.
pub(crate) struct OrderedMap<K: Prefixed, V> {
    root: Arc<Node<K, V>>,
}

enum Node<K: Prefixed, V> {
    Leaf(Vec<(Filed<K>, V)>),
    /// Each child behind a key that is at most its least one and above every key of the child before.
    Branch {
        size: usize,
        children: Vec<Child<K, V>>,
    },
}

/// A node behind a key that is at most its least one.
type Child<K, V> = (Filed<K>, Arc<Node<K, V>>);

impl<K: Prefixed + Clone, V: Clone> Clone for Node<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(entries) => Self::Leaf(entries.clone()),
            Self::Branch { size, children } => Self::Branch { size: *size, children: children.clone() },
        }
    }
}

impl<K: Prefixed, V> Clone for OrderedMap<K, V> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root) }
    }
}

impl<K: Prefixed, V> Default for OrderedMap<K, V> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())) }
    }
}

impl<K: Prefixed, V> OrderedMap<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.root.size()
    }

    /// All entries in order, from the first whose key is not `before` the wanted start. `before` holds for a beginning of the keys, and for no later one.
    pub(crate) fn iter_from(&self, before: impl Fn(&K) -> bool) -> Iter<'_, K, V> {
        let mut path = Vec::new();
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    path.push((node, entries.partition_point(|(filed, _)| before(&filed.key))));
                    return Iter { path };
                }
                Node::Branch { children, .. } => {
                    let at = children.partition_point(|(least, _)| before(&least.key)).saturating_sub(1);
                    path.push((node, at + 1));
                    node = &children[at].1;
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        self.iter_from(|_| false)
    }

    /// How many entries [`iter_from`](Self::iter_from) would give.
    pub(crate) fn count_from(&self, before: impl Fn(&K) -> bool) -> usize {
        let mut count = 0;
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => return count + entries.len() - entries.partition_point(|(filed, _)| before(&filed.key)),
                Node::Branch { children, .. } => {
                    let at = children.partition_point(|(least, _)| before(&least.key)).saturating_sub(1);
                    count += children[at + 1..].iter().map(|(_, child)| child.size()).sum::<usize>();
                    node = &children[at].1;
                }
            }
        }
    }
}

impl<K: Prefixed + Clone, V: Clone> OrderedMap<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let prefix = key.prefix();
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    return entries.binary_search_by(|(known, _)| known.compare(prefix, key)).ok().map(|at| &entries[at].1);
                }
                Node::Branch { children, .. } => node = &children[child_of(children, prefix, key)].1,
            }
        }
    }

    /// Puts `value` under `key`; what was there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.upsert(key, |_| value)
    }

    /// Puts under `key` what `make` makes of what is there; what was there before.
    pub(crate) fn upsert(&mut self, key: K, make: impl FnOnce(Option<&V>) -> V) -> Option<V> {
        let (before, split) = insert(&mut self.root, Filed::new(key), make);
        if let Some(right) = split {
            let left = Arc::clone(&self.root);
            self.root = Arc::new(Node::branch(vec![(left.first_key(), left), right]));
        }
        before
    }

    /// Takes `key` out; what was there.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        // Looked up first, so that removing what is not there copies nothing.
        self.get(key)?;
        let before = remove(&mut self.root, key.prefix(), key);
        while let Node::Branch { children, .. } = &*self.root
            && let [(_, only)] = children.as_slice()
        {
            self.root = Arc::clone(only);
        }
        before
    }
}

impl<K: Prefixed, V> Node<K, V> {
    fn size(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Branch { size, .. } => *size,
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Branch { children, .. } => children.len(),
        }
    }

    fn branch(children: Vec<(Filed<K>, Arc<Self>)>) -> Self {
        Self::Branch { size: children.iter().map(|(_, child)| child.size()).sum(), children }
    }
}

impl<K: Prefixed + Clone, V: Clone> Node<K, V> {
    fn first_key(&self) -> Filed<K> {
        match self {
            Self::Leaf(entries) => entries[0].0.clone(),
            Self::Branch { children, .. } => children[0].0.clone(),
        }
    }

    /// Halves a node that has grown too wide; the right half and its least key.
    fn split(&mut self) -> Option<(Filed<K>, Arc<Self>)> {
        if self.width() <= MOST {
            return None;
        }
        let right = match self {
            Self::Leaf(entries) => Self::Leaf(entries.split_off(entries.len() / 2)),
            Self::Branch { size, children } => {
                let right = Self::branch(children.split_off(children.len() / 2));
                *size -= right.size();
                right
            }
        };
        Some((right.first_key(), Arc::new(right)))
    }

    /// Takes in the entries of the node to its right, which is of the same height.
    fn join(&mut self, right: Self) {
        match (self, right) {
            (Self::Leaf(entries), Self::Leaf(mut more)) => entries.append(&mut more),
            (Self::Branch { size, children }, Self::Branch { size: added, children: mut more }) => {
                *size += added;
                children.append(&mut more);
            }
            _ => unreachable!("children of one node have one height"),
        }
    }
}

fn child_of<K: Prefixed, V>(children: &[Child<K, V>], prefix: K::Prefix, key: &K) -> usize {
    children.partition_point(|(least, _)| least.compare(prefix, key).is_le()).saturating_sub(1)
}

type Split<K, V> = Option<Child<K, V>>;

fn insert<K: Prefixed + Clone, V: Clone>(
    node: &mut Arc<Node<K, V>>,
    filed: Filed<K>,
    make: impl FnOnce(Option<&V>) -> V,
) -> (Option<V>, Split<K, V>) {
    let node = Arc::make_mut(node);
    let before = match node {
        Node::Leaf(entries) => match entries.binary_search_by(|(known, _)| known.compare(filed.prefix, &filed.key)) {
            Ok(at) => {
                let value = make(Some(&entries[at].1));
                Some(std::mem::replace(&mut entries[at].1, value))
            }
            Err(at) => {
                entries.insert(at, (filed, make(None)));
                None
            }
        },
        Node::Branch { size, children } => {
            let at = child_of(children, filed.prefix, &filed.key);
            let (least, child) = &mut children[at];
            if least.compare(filed.prefix, &filed.key).is_gt() {
                least.clone_from(&filed);
            }
            let (before, split) = insert(child, filed, make);
            *size += usize::from(before.is_none());
            if let Some(right) = split {
                children.insert(at + 1, right);
            }
            before
        }
    };
    (before, node.split())
}

fn remove<K: Prefixed + Clone, V: Clone>(node: &mut Arc<Node<K, V>>, prefix: K::Prefix, key: &K) -> Option<V> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let at = entries.binary_search_by(|(known, _)| known.compare(prefix, key)).ok()?;
            Some(entries.remove(at).1)
        }
        Node::Branch { size, children } => {
            let at = child_of(children, prefix, key);
            let before = remove(&mut children[at].1, prefix, key);
            *size -= usize::from(before.is_some());
            if children[at].1.width() < LEAST && children.len() > 1 {
                let left = at.min(children.len() - 2);
                let (_, right) = children.remove(left + 1);
                let joined = Arc::make_mut(&mut children[left].1);
                joined.join(Arc::unwrap_or_clone(right));
                if let Some(half) = joined.split() {
                    children.insert(left + 1, half);
                }
            }
            before
        }
    }
}

/// Entries of an [`OrderedMap`] in order.
pub(crate) struct Iter<'a, K: Prefixed, V> {
    /// From the root to a leaf: each node and which of its entries comes next.
    path: Vec<(&'a Node<K, V>, usize)>,
}

impl<'a, K: Prefixed, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (node, at) = self.path.last_mut()?;
            match node {
                Node::Leaf(entries) => {
                    if let Some((filed, value)) = entries.get(*at) {
                        *at += 1;
                        return Some((&filed.key, value));
                    }
                    self.path.pop();
                }
                Node::Branch { children, .. } => match children.get(*at) {
                    Some((_, child)) => {
                        *at += 1;
                        self.path.push((child, 0));
                    }
                    None => {
                        self.path.pop();
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Ten keys each share a prefix.
    impl Prefixed for u16 {
        type Prefix = u16;

        fn prefix(&self) -> u16 {
            self / 10
        }
    }

    #[test]
    fn prefixes_of_texts_are_ordered_as_the_texts() {
        let texts = ["a", "a\u{1}", "ab", "abcdefghijklmnop", "abcdefghijklmnopa", "abcdefghijklmnoq", "b", "é", "\u{10ffff}"];
        for (a, b) in texts.iter().flat_map(|a| texts.iter().map(move |b| (a, b))) {
            let by_prefix = text_prefix(a).cmp(&text_prefix(b));
            assert!(by_prefix == a.cmp(b) || by_prefix.is_eq() && a.len().min(b.len()) >= 16, "{a} {b}");
        }
    }

    fn same(map: &OrderedMap<u16, u32>, plain: &BTreeMap<u16, u32>) {
        assert!(map.iter().map(|(k, v)| (*k, *v)).eq(plain.iter().map(|(k, v)| (*k, *v))));
        assert_eq!(map.len(), plain.len());
        for start in [0, 1, 77, 500, 999, 2_000] {
            assert!(map.iter_from(|key| *key < start).map(|(k, _)| *k).eq(plain.range(start..).map(|(k, _)| *k)));
            assert_eq!(map.count_from(|key| *key < start), plain.range(start..).count());
        }
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_map_holds_and_copies_stay_as_they_were(
            steps in proptest::collection::vec((0_u8..3, 0_u16..1_000, any::<u32>()), 0..3_000),
            copy_at in 0_usize..3_000,
        ) {
            let (mut map, mut plain) = (OrderedMap::default(), BTreeMap::new());
            let mut copy = None;
            for (at, (what, key, value)) in steps.into_iter().enumerate() {
                if at == copy_at {
                    copy = Some((map.clone(), plain.clone()));
                }
                if what < 2 {
                    prop_assert_eq!(map.insert(key, value), plain.insert(key, value));
                } else {
                    prop_assert_eq!(map.remove(&key), plain.remove(&key));
                }
                prop_assert_eq!(map.get(&key), plain.get(&key));
            }
            same(&map, &plain);
            if let Some((map, plain)) = copy {
                same(&map, &plain);
            }
            // Down to nothing again, from both ends.
            let keys: Vec<u16> = plain.keys().copied().collect();
            for key in keys.iter().step_by(2).chain(keys.iter().skip(1).step_by(2).rev()) {
                prop_assert_eq!(map.remove(key), plain.remove(key));
            }
            same(&map, &plain);
        }
    }
}
