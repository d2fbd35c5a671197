use crate::index::Index;
use crate::points::Removed;

impl Index {
    /// Removes the key; false if it has no vector.
    ///
    /// The node is taken out of every list that names it, each such neighbour chooses new links among the removed
    /// node's, and the slot is used again by a later insert. When the last key goes, all memory is given back.
    pub fn remove(&mut self, key: u64) -> bool {
        let node = match self.points.remove(key) {
            None => return false,
            Some(Removed::KeyOnly) => return true,
            Some(Removed::Node(node)) => node,
        };
        if self.points.live() == 0 {
            self.clear();
            return true;
        }
        if self.entry == Some(node) {
            self.entry = Some(self.entry_after(node));
        }
        for layer in (0..self.graph.layers(node)).rev() {
            self.detach(layer, node);
        }
        self.graph.remove(node);
        true
    }

    /// The entry point when `node` leaves: ties join all nodes of a layer, so on the highest layer that has another node, `node` is
    /// tied to one.
    fn entry_after(&self, node: u32) -> u32 {
        let heirs = (0..self.graph.layers(node)).rev().filter_map(|layer| self.graph.ties(layer, node).first().copied());
        heirs.into_iter().next().expect("another node is alive, and layer 0 ties all")
    }

    /// Takes the node out of a layer and mends what it held together.
    fn detach(&mut self, layer: usize, node: u32) {
        let parts = self.graph.ties(layer, node).to_vec();
        let links = self.graph.links(layer, node).to_vec();
        let bereft = self.graph.incoming(layer, node).to_vec();
        for to in &links {
            self.graph.unlink(layer, node, *to);
        }
        for from in &bereft {
            self.graph.unlink(layer, *from, node);
        }
        self.rejoin(layer, &parts);
        for from in bereft {
            self.choose_more(layer, from, &links);
        }
    }

    /// Ties the parts, into which the tree fell when the node that all of them were tied to was taken out, together again, by
    /// the shortest ties first (Prim's algorithm, as far as the bound on ties allows).
    fn rejoin(&mut self, layer: usize, parts: &[u32]) {
        let Some((first, rest)) = parts.split_first() else { return };
        let mut joined = vec![*first];
        let mut apart = rest.to_vec();
        while !apart.is_empty() {
            let near = |(at, part): (usize, &u32)| {
                let row = self.points.row(*part);
                let open = joined.iter().filter(|node| self.graph.can_tie(layer, **node));
                open.map(|node| self.near(row, *node)).min().map(|near| (near, at))
            };
            // Each part has just lost a tie, so it can take one; of those joined all may be full, but not the whole of their tree.
            let (at, to) = match apart.iter().enumerate().filter_map(near).min() {
                Some((near, at)) => (at, near.node()),
                None => (0, self.nearest_that_can_tie(layer, *first)),
            };
            let part = apart.swap_remove(at);
            self.tie(layer, part, to);
            joined.push(part);
        }
    }
}
