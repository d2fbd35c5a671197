//! An ordered map whose copies share what they have in common.

use std::sync::Arc;

/// Most entries of a node; a changed node is copied whole while a reader still holds the old one, so it is kept small.
const MOST: usize = 32;
/// A node with fewer entries is joined with a neighbour.
const LEAST: usize = MOST / 4;

/// A B+ tree with shared nodes: a copy costs one counter, a change copies only the nodes on its path that somebody else still holds.
///
/// So readers work on a state of their own while commits go on, without a lock and without waiting.
pub(crate) struct OrderedMap<K, V> {
    root: Arc<Node<K, V>>,
}

#[derive(Clone)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    /// Each child behind a key that is at most its least one and above every key of the child before.
    Branch {
        size: usize,
        children: Vec<(K, Arc<Node<K, V>>)>,
    },
}

impl<K, V> Clone for OrderedMap<K, V> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root) }
    }
}

impl<K, V> Default for OrderedMap<K, V> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())) }
    }
}

impl<K, V> OrderedMap<K, V> {
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
                    path.push((node, entries.partition_point(|(key, _)| before(key))));
                    return Iter { path };
                }
                Node::Branch { children, .. } => {
                    let at = children.partition_point(|(least, _)| before(least)).saturating_sub(1);
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
                Node::Leaf(entries) => return count + entries.len() - entries.partition_point(|(key, _)| before(key)),
                Node::Branch { children, .. } => {
                    let at = children.partition_point(|(least, _)| before(least)).saturating_sub(1);
                    count += children[at + 1..].iter().map(|(_, child)| child.size()).sum::<usize>();
                    node = &children[at].1;
                }
            }
        }
    }
}

impl<K: Ord + Clone, V: Clone> OrderedMap<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    return entries.binary_search_by(|(known, _)| known.cmp(key)).ok().map(|at| &entries[at].1);
                }
                Node::Branch { children, .. } => node = &children[child_of(children, key)].1,
            }
        }
    }

    /// Puts `value` under `key`; what was there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (before, split) = insert(&mut self.root, key, value);
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
        let before = remove(&mut self.root, key);
        while let Node::Branch { children, .. } = &*self.root
            && let [(_, only)] = children.as_slice()
        {
            self.root = Arc::clone(only);
        }
        before
    }
}

impl<K, V> Node<K, V> {
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

    fn branch(children: Vec<(K, Arc<Self>)>) -> Self {
        Self::Branch { size: children.iter().map(|(_, child)| child.size()).sum(), children }
    }
}

impl<K: Ord + Clone, V: Clone> Node<K, V> {
    fn first_key(&self) -> K {
        match self {
            Self::Leaf(entries) => entries[0].0.clone(),
            Self::Branch { children, .. } => children[0].0.clone(),
        }
    }

    /// Halves a node that has grown too wide; the right half and its least key.
    fn split(&mut self) -> Option<(K, Arc<Self>)> {
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

fn child_of<K: Ord, V>(children: &[(K, Arc<Node<K, V>>)], key: &K) -> usize {
    children.partition_point(|(least, _)| least <= key).saturating_sub(1)
}

type Split<K, V> = Option<(K, Arc<Node<K, V>>)>;

fn insert<K: Ord + Clone, V: Clone>(node: &mut Arc<Node<K, V>>, key: K, value: V) -> (Option<V>, Split<K, V>) {
    let node = Arc::make_mut(node);
    let before = match node {
        Node::Leaf(entries) => match entries.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(at) => Some(std::mem::replace(&mut entries[at].1, value)),
            Err(at) => {
                entries.insert(at, (key, value));
                None
            }
        },
        Node::Branch { size, children } => {
            let at = child_of(children, &key);
            let (least, child) = &mut children[at];
            if key < *least {
                least.clone_from(&key);
            }
            let (before, split) = insert(child, key, value);
            *size += usize::from(before.is_none());
            if let Some(right) = split {
                children.insert(at + 1, right);
            }
            before
        }
    };
    (before, node.split())
}

fn remove<K: Ord + Clone, V: Clone>(node: &mut Arc<Node<K, V>>, key: &K) -> Option<V> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let at = entries.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
            Some(entries.remove(at).1)
        }
        Node::Branch { size, children } => {
            let at = child_of(children, key);
            let before = remove(&mut children[at].1, key);
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
pub(crate) struct Iter<'a, K, V> {
    /// From the root to a leaf: each node and which of its entries comes next.
    path: Vec<(&'a Node<K, V>, usize)>,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (node, at) = self.path.last_mut()?;
            match node {
                Node::Leaf(entries) => {
                    if let Some((key, value)) = entries.get(*at) {
                        *at += 1;
                        return Some((key, value));
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
