use std::borrow::Cow;

use brainy_core::Metric;

use crate::Error;
use crate::distance::Distance;
use crate::graph::Graph;
use crate::options::{MAX_DIMENSION, Options, within};
use crate::points::Points;
use crate::scratch::Pool;

/// A set of vectors under keys of the caller's, and the graph that finds the nearest ones.
///
/// The graph is the hierarchical navigable small world of Malkov and Yashunin, arXiv:1603.09320, with real deletion. Searches take
/// `&self` and may run at once from any number of threads. The same calls in the same order give the same graph (on processors
/// with the same instructions).
pub struct Index {
    pub(crate) options: Options,
    pub(crate) distance: Distance,
    pub(crate) points: Points,
    pub(crate) graph: Graph,
    /// A node of the highest layer; none while there are no nodes.
    pub(crate) entry: Option<u32>,
    pub(crate) pool: Pool,
}

impl Index {
    /// An empty index for vectors of `dimension` components.
    ///
    /// # Errors
    /// [`Error::Option`]: `dimension` is 0 or above [`MAX_DIMENSION`], or [`Options::validate`] fails.
    pub fn new(dimension: usize, metric: Metric, options: Options) -> Result<Self, Error> {
        within("dimension", dimension, 1, MAX_DIMENSION)?;
        options.validate()?;
        Ok(Self {
            distance: Distance::new(metric),
            points: Points::new(dimension),
            graph: Graph::new(options.m),
            entry: None,
            pool: Pool::default(),
            options,
        })
    }

    /// How many keys have a vector.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether no key has a vector.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of components of every vector.
    pub fn dimension(&self) -> usize {
        self.points.dimension()
    }

    /// The metric of every distance.
    pub fn metric(&self) -> Metric {
        self.distance.metric()
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The bytes held on the heap, in constant time. The hash tables' part is an estimate from their capacity.
    pub fn memory_bytes(&self) -> usize {
        self.points.memory_bytes() + self.graph.memory_bytes() + self.pool.memory_bytes()
    }

    /// Whether the key has a vector.
    pub fn contains(&self, key: u64) -> bool {
        self.points.node_of(key).is_some()
    }

    /// The key's vector as it is compared: as it was given, but under [`Metric::Cosine`] scaled to unit length.
    pub fn vector(&self, key: u64) -> Option<Cow<'_, [f32]>> {
        self.points.node_of(key).map(|node| Cow::Borrowed(self.points.row(node)))
    }

    /// Removes all vectors and gives their memory back.
    pub fn clear(&mut self) {
        self.points = Points::new(self.dimension());
        self.graph = Graph::new(self.options.m);
        self.entry = None;
        self.pool = Pool::default();
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("len", &self.len())
            .field("dimension", &self.dimension())
            .field("distance", &self.distance)
            .field("options", &self.options)
            .field("memory_bytes", &self.memory_bytes())
            .finish_non_exhaustive()
    }
}
