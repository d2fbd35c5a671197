/// The links of all layers, in both directions.
///
/// A list of links has two parts. The front part are *ties*: on every layer they form one tree over all of the layer's nodes, each
/// held by both of its ends, and pruning never touches them. So every node can be reached from every other one, whatever the
/// vectors are and whatever was deleted. The rest are one-way links, chosen by the neighbour heuristic.
///
/// `incoming` is kept exact, so that a removed node can be taken out of every list that names it.
pub(crate) struct Graph {
    m: usize,
    /// Layer 0: one list of `1 + 2m` words a slot, side by side. A list's first word: length, and ties in the upper half.
    base: Vec<u32>,
    base_incoming: Vec<Vec<u32>>,
    /// The layers above, of each slot, the lowest first.
    upper: Vec<Vec<Upper>>,
    /// Heap bytes of the lists that are not side by side.
    list_bytes: usize,
}

struct Upper {
    list: Box<[u32]>,
    incoming: Vec<u32>,
}

impl Graph {
    pub(crate) fn new(m: usize) -> Self {
        Self { m, base: Vec::new(), base_incoming: Vec::new(), upper: Vec::new(), list_bytes: 0 }
    }

    /// The most links a node may have on this layer.
    pub(crate) fn capacity(&self, layer: usize) -> usize {
        if layer == 0 { 2 * self.m } else { self.m }
    }

    /// The most ties a node may have on this layer: half of its links, but never fewer than a chain needs.
    pub(crate) fn tie_capacity(&self, layer: usize) -> usize {
        (self.capacity(layer) / 2).max(2)
    }

    /// The node's links, ties first.
    #[inline]
    pub(crate) fn links(&self, layer: usize, node: u32) -> &[u32] {
        let list = self.list(layer, node);
        &list[1..1 + length(list)]
    }

    pub(crate) fn ties(&self, layer: usize, node: u32) -> &[u32] {
        let list = self.list(layer, node);
        &list[1..1 + tied(list)]
    }

    /// The links that pruning may take away.
    pub(crate) fn loose(&self, layer: usize, node: u32) -> &[u32] {
        let list = self.list(layer, node);
        &list[1 + tied(list)..1 + length(list)]
    }

    /// The nodes that have a link to this one, in no order.
    pub(crate) fn incoming(&self, layer: usize, node: u32) -> &[u32] {
        if layer == 0 { &self.base_incoming[node as usize] } else { &self.upper[node as usize][layer - 1].incoming }
    }

    pub(crate) fn has_room(&self, layer: usize, node: u32) -> bool {
        self.links(layer, node).len() < self.capacity(layer)
    }

    pub(crate) fn can_tie(&self, layer: usize, node: u32) -> bool {
        self.ties(layer, node).len() < self.tie_capacity(layer)
    }

    pub(crate) fn has_link(&self, layer: usize, from: u32, to: u32) -> bool {
        self.links(layer, from).contains(&to)
    }

    /// On how many layers the node lies.
    pub(crate) fn layers(&self, node: u32) -> usize {
        1 + self.upper[node as usize].len()
    }

    /// Makes place for a node on layers 0 to `level`, without links.
    pub(crate) fn add(&mut self, node: u32, level: usize) {
        let slot = node as usize;
        if slot >= self.upper.len() {
            self.base.resize((slot + 1) * (1 + 2 * self.m), 0);
            self.base_incoming.resize_with(slot + 1, Vec::new);
            self.upper.resize_with(slot + 1, Vec::new);
        }
        let list_words = 1 + self.m;
        self.upper[slot] = (0..level).map(|_| Upper { list: vec![0; list_words].into_boxed_slice(), incoming: Vec::new() }).collect();
        self.list_bytes += self.upper[slot].capacity() * size_of::<Upper>() + level * list_words * size_of::<u32>();
    }

    /// Frees the place of a node that has no links left, in either direction.
    pub(crate) fn remove(&mut self, node: u32) {
        let slot = node as usize;
        for layer in 0..=self.upper[slot].len() {
            debug_assert!(self.links(layer, node).is_empty() && self.incoming(layer, node).is_empty(), "node {node} is unlinked first");
        }
        let layers = std::mem::take(&mut self.upper[slot]);
        let incoming = std::mem::take(&mut self.base_incoming[slot]);
        self.list_bytes -= layers.capacity() * size_of::<Upper>() + incoming.capacity() * size_of::<u32>();
        for layer in layers {
            self.list_bytes -= layer.list.len() * size_of::<u32>() + layer.incoming.capacity() * size_of::<u32>();
        }
    }

    /// Adds a loose link; there is room, and no such link yet.
    pub(crate) fn link(&mut self, layer: usize, from: u32, to: u32) {
        debug_assert!(from != to && !self.has_link(layer, from, to), "a link {from} → {to} is new and leads elsewhere");
        let list = self.list_mut(layer, from);
        let at = 1 + length(list);
        list[at] = to;
        list[0] += 1;
        let incoming = self.incoming_mut(layer, to);
        let before = incoming.capacity();
        incoming.push(from);
        let grown = incoming.capacity() - before;
        self.list_bytes += grown * size_of::<u32>();
    }

    /// Takes a link away, tie or not; of a tie the other direction is the caller's to take away as well.
    pub(crate) fn unlink(&mut self, layer: usize, from: u32, to: u32) {
        let list = self.list_mut(layer, from);
        let (length, tied) = (length(list), tied(list));
        let links = &mut list[1..=length];
        let at = links.iter().position(|link| *link == to).expect("only a link that is there is taken away");
        if at < tied {
            // The last tie fills the gap, the last link fills the last tie's place.
            links[at] = links[tied - 1];
            links[tied - 1] = links[length - 1];
            list[0] -= ONE_TIE + 1;
        } else {
            links[at] = links[length - 1];
            list[0] -= 1;
        }
        let incoming = self.incoming_mut(layer, to);
        let at = incoming.iter().position(|other| *other == from).expect("each link is known at its other end");
        incoming.swap_remove(at);
        // A list that was long once does not stay so.
        let before = incoming.capacity();
        if before >= 4 * incoming.len().max(4) {
            incoming.shrink_to(before / 2);
        }
        let freed = before - incoming.capacity();
        self.list_bytes -= freed * size_of::<u32>();
    }

    /// Puts `chosen` in the place of the node's loose links; they fit, and none is a tie.
    pub(crate) fn replace_loose(&mut self, layer: usize, node: u32, chosen: &[u32]) {
        let old = self.loose(layer, node).to_vec();
        for to in old.iter().filter(|to| !chosen.contains(to)) {
            self.unlink(layer, node, *to);
        }
        for to in chosen.iter().filter(|to| !old.contains(to)) {
            self.link(layer, node, *to);
        }
    }

    /// Ties two nodes; each can have one more tie, and has room for the link unless it has it already.
    pub(crate) fn tie(&mut self, layer: usize, a: u32, b: u32) {
        debug_assert!(self.can_tie(layer, a) && self.can_tie(layer, b), "{a} and {b} can take one more tie");
        for (from, to) in [(a, b), (b, a)] {
            if !self.has_link(layer, from, to) {
                self.link(layer, from, to);
            }
            let list = self.list_mut(layer, from);
            let (length, tied) = (length(list), tied(list));
            let links = &mut list[1..=length];
            let at = links.iter().position(|link| *link == to).expect("it was linked above");
            links.swap(at, tied);
            list[0] += ONE_TIE;
        }
    }

    /// The heap bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.base.capacity() * size_of::<u32>()
            + self.base_incoming.capacity() * size_of::<Vec<u32>>()
            + self.upper.capacity() * size_of::<Vec<Upper>>()
            + self.list_bytes
    }

    /// The count of list bytes, made anew.
    pub(crate) fn counted_list_bytes(&self) -> (usize, usize) {
        let mut bytes: usize = self.base_incoming.iter().map(|list| list.capacity() * size_of::<u32>()).sum();
        for layers in &self.upper {
            bytes += layers.capacity() * size_of::<Upper>();
            bytes += layers.iter().map(|layer| (layer.list.len() + layer.incoming.capacity()) * size_of::<u32>()).sum::<usize>();
        }
        (self.list_bytes, bytes)
    }

    fn list(&self, layer: usize, node: u32) -> &[u32] {
        if layer == 0 {
            let stride = 1 + 2 * self.m;
            let at = node as usize * stride;
            &self.base[at..at + stride]
        } else {
            &self.upper[node as usize][layer - 1].list
        }
    }

    fn list_mut(&mut self, layer: usize, node: u32) -> &mut [u32] {
        if layer == 0 {
            let stride = 1 + 2 * self.m;
            let at = node as usize * stride;
            &mut self.base[at..at + stride]
        } else {
            &mut self.upper[node as usize][layer - 1].list
        }
    }

    fn incoming_mut(&mut self, layer: usize, node: u32) -> &mut Vec<u32> {
        if layer == 0 { &mut self.base_incoming[node as usize] } else { &mut self.upper[node as usize][layer - 1].incoming }
    }
}

/// One more tie, in a list's first word.
const ONE_TIE: u32 = 1 << 16;

fn length(list: &[u32]) -> usize {
    (list[0] & (ONE_TIE - 1)) as usize
}

fn tied(list: &[u32]) -> usize {
    (list[0] >> 16) as usize
}
