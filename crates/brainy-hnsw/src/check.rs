use std::collections::{HashMap, HashSet};

use crate::index::Index;

impl Index {
    /// What must hold after every call: each list within its bound and without doubles, links only to live nodes of the layer, both
    /// directions of the links the same, the ties of each layer one tree, every node reached from the entry point. Costs a
    /// walk over the whole index; meant for tests.
    ///
    /// # Errors
    /// The first thing that does not hold.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        self.points.check()?;
        let (counted, actual) = self.graph.counted_list_bytes();
        if counted != actual {
            return Err(format!("{counted} bytes of lists on the books, {actual} in fact"));
        }
        let Some(entry) = self.entry else {
            return if self.is_empty() { Ok(()) } else { Err("no entry point".to_owned()) };
        };
        let top = self.points.live_nodes().map(|node| self.level(node)).max();
        if self.points.level(entry) != top {
            return Err(format!("the entry point {entry} is on level {:?}, the top is {top:?}", self.points.level(entry)));
        }
        for layer in 0..=top.unwrap_or(0) {
            self.check_layer(layer, entry).map_err(|error| format!("layer {layer}: {error}"))?;
        }
        Ok(())
    }

    fn check_layer(&self, layer: usize, entry: u32) -> Result<(), String> {
        let nodes: Vec<u32> = self.points.live_nodes().filter(|node| self.level(*node) >= layer).collect();
        let mut incoming: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut ties = 0;
        for &node in &nodes {
            let (links, tied) = (self.graph.links(layer, node), self.graph.ties(layer, node));
            if links.len() > self.graph.capacity(layer) || tied.len() > self.graph.tie_capacity(layer) {
                return Err(format!("node {node} has {} links, {} of them ties", links.len(), tied.len()));
            }
            if links.iter().collect::<HashSet<_>>().len() != links.len() || links.contains(&node) {
                return Err(format!("node {node} is linked twice to one node, or to itself: {links:?}"));
            }
            if let Some(dead) = links.iter().find(|to| self.points.level(**to).is_none_or(|level| level < layer)) {
                return Err(format!("node {node} is linked to {dead}, which is not there"));
            }
            if let Some(one_way) = tied.iter().find(|to| !self.graph.ties(layer, **to).contains(&node)) {
                return Err(format!("node {node} is tied to {one_way}, which is not tied to it"));
            }
            ties += tied.len();
            for to in links {
                incoming.entry(*to).or_default().push(node);
            }
        }
        for &node in &nodes {
            let mut known = self.graph.incoming(layer, node).to_vec();
            let mut actual = incoming.remove(&node).unwrap_or_default();
            known.sort_unstable();
            actual.sort_unstable();
            if known != actual {
                return Err(format!("node {node} knows links from {known:?}, they come from {actual:?}"));
            }
        }
        let by_ties = reached(entry, |node| self.graph.ties(layer, node));
        let by_links = reached(entry, |node| self.graph.links(layer, node));
        if by_ties != nodes.len() || ties != 2 * (nodes.len() - 1) {
            return Err(format!("{} ties reach {by_ties} of {} nodes", ties / 2, nodes.len()));
        }
        if by_links != nodes.len() {
            return Err(format!("links reach {by_links} of {} nodes", nodes.len()));
        }
        Ok(())
    }
}

fn reached<'a>(entry: u32, next: impl Fn(u32) -> &'a [u32]) -> usize {
    let mut seen = HashSet::from([entry]);
    let mut waiting = vec![entry];
    while let Some(node) = waiting.pop() {
        waiting.extend(next(node).iter().filter(|to| seen.insert(**to)));
    }
    seen.len()
}
