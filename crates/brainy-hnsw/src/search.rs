use std::collections::BinaryHeap;
use std::num::NonZeroUsize;

use crate::index::Index;
use crate::near::Near;
use crate::walk::Bounds;
use crate::{Error, Hit, check_vector};

/// How many candidates a search keeps when its caller has no other wish. More: better recall, slower in proportion.
pub const DEFAULT_EF_SEARCH: usize = 100;

/// About how many nodes a walk compares for each candidate it keeps (measured: 14 to 34; more on harder data).
const COMPARED_PER_CANDIDATE: usize = 16;

/// How many nodes are asked to estimate how many a filter allows.
const FILTER_SAMPLE: usize = 256;

/// A filter's answer costs a scan about as much as a fourth of a distance.
const ANSWERS_PER_DISTANCE: usize = 4;

/// Where the answer is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Scan,
    Walk { budget: usize },
}

impl Index {
    /// The `k` nearest vectors, nearest first, equal distances by key; fewer only if the index holds fewer.
    ///
    /// `query`: `dimension` components. `ef_search` candidates are kept on the way, or `k` if that is more: the more, the better the
    /// recall and the slower the search; [`DEFAULT_EF_SEARCH`] is a good start. Where a walk over the graph would compare as
    /// many vectors as there are, all are compared and the answer is exact. Algorithm 5 of Malkov and Yashunin, arXiv:1603.09320.
    ///
    /// # Errors
    /// Those of [`check_vector`]; nothing was searched.
    pub fn search(&self, query: &[f32], k: NonZeroUsize, ef_search: usize) -> Result<Vec<Hit>, Error> {
        let query = self.prepare(query)?;
        let ef = self.candidates(k, ef_search);
        let walked = match self.plan(ef) {
            Plan::Scan => None,
            Plan::Walk { budget } => self.walk_from_entry(&query, ef, |_| true, budget),
        };
        Ok(self.answer(walked, &query, k.get(), &|_| true))
    }

    /// As [`search`](Self::search), among the vectors whose key `allow` accepts: always `min(k, number of allowed keys)` hits.
    ///
    /// The filter works inside the walk, which passes through vectors that are not allowed and collects those that are. Where few
    /// are allowed, or the walk turns out to be longer than a scan, all allowed vectors are compared and the answer is exact.
    /// `allow` may be asked about a key more than once and must answer the same each time.
    ///
    /// # Errors
    /// Those of [`check_vector`]; nothing was searched.
    pub fn search_filtered(
        &self,
        query: &[f32],
        k: NonZeroUsize,
        ef_search: usize,
        allow: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<Hit>, Error> {
        let query = self.prepare(query)?;
        let ef = self.candidates(k, ef_search);
        let walked = match self.plan_filtered(ef, allow) {
            Plan::Scan => None,
            Plan::Walk { budget } => self.walk_from_entry(&query, ef, |node| self.points.keys(node).any(allow), budget),
        };
        Ok(self.answer(walked, &query, k.get(), allow))
    }

    /// The `k` nearest vectors whose key `allow` accepts, by comparing all of them: what searches are measured against.
    ///
    /// # Errors
    /// Those of [`check_vector`]; nothing was searched.
    pub fn exact(&self, query: &[f32], k: NonZeroUsize, allow: &dyn Fn(u64) -> bool) -> Result<Vec<Hit>, Error> {
        Ok(self.scan(&self.prepare(query)?, k.get(), allow))
    }

    fn prepare(&self, query: &[f32]) -> Result<Vec<f32>, Error> {
        check_vector(query, self.dimension(), self.metric())?;
        Ok(self.distance.prepare(query))
    }

    /// Candidates to keep: never fewer than hits asked for, never more than there are nodes.
    fn candidates(&self, k: NonZeroUsize, ef_search: usize) -> usize {
        ef_search.max(k.get()).min(self.points.live())
    }

    fn plan(&self, ef: usize) -> Plan {
        if self.points.live() <= ef.saturating_mul(COMPARED_PER_CANDIDATE) { Plan::Scan } else { Plan::Walk { budget: usize::MAX } }
    }

    /// Compares the cost of a walk, which must pass `1 / share` nodes for each allowed one, with that of a scan, which asks the
    /// filter about every key and compares the allowed ones; `share` is estimated from a sample.
    fn plan_filtered(&self, ef: usize, allow: &dyn Fn(u64) -> bool) -> Plan {
        let live = self.points.live();
        if self.plan(ef) == Plan::Scan {
            return Plan::Scan;
        }
        let (mut asked, mut allowed) = (0usize, 0usize);
        for node in self.points.sample(FILTER_SAMPLE) {
            asked += 1;
            allowed += usize::from(self.points.keys(node).any(allow));
        }
        let Some(passed_per_allowed) = asked.checked_div(allowed) else { return Plan::Scan };
        let scan = live / ANSWERS_PER_DISTANCE + live / asked * allowed;
        let walk = ef.saturating_mul(COMPARED_PER_CANDIDATE).saturating_mul(passed_per_allowed.max(1));
        if scan <= walk { Plan::Scan } else { Plan::Walk { budget: scan } }
    }

    /// Where a walk on layer 0 starts: what the layers above lead to.
    pub(crate) fn start(&self, query: &[f32]) -> Option<Near> {
        let entry = self.entry?;
        Some(self.descend(query, self.near(query, entry), self.level(entry), 1))
    }

    /// The nearest admitted nodes, nearest first; none if the budget ran out.
    pub(crate) fn walk_from_entry(&self, query: &[f32], ef: usize, admit: impl Fn(u32) -> bool, budget: usize) -> Option<Vec<Near>> {
        let start = self.start(query)?;
        let bounds = Bounds { layer: 0, ef, budget };
        self.pool.with(|scratch| self.walk(query, start, bounds, scratch, admit).then(|| scratch.take_found()))
    }

    /// The hits of a walk, or of a scan if there was none or it gave up.
    ///
    /// A walk that ended has no fewer than `k` if so many are allowed: until it has `ef` nodes it goes on to every node that links
    /// lead to, and ties lead to all of them.
    fn answer(&self, walked: Option<Vec<Near>>, query: &[f32], k: usize, allow: &dyn Fn(u64) -> bool) -> Vec<Hit> {
        match walked {
            Some(found) => self.hits(&found, k, allow),
            None => self.scan(query, k, allow),
        }
    }

    /// The first `k` allowed keys of nodes that come nearest first.
    fn hits(&self, found: &[Near], k: usize, allow: impl Fn(u64) -> bool) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::with_capacity(k.min(found.len()));
        for near in found {
            let distance = near.distance();
            // Once there are enough, only equal distances may still bring a lesser key.
            if hits.len() >= k && hits.last().is_some_and(|last| last.distance.total_cmp(&distance).is_lt()) {
                break;
            }
            hits.extend(self.points.keys(near.node()).filter(|key| allow(*key)).take(k).map(|key| Hit { key, distance }));
        }
        hits.sort_unstable_by(Hit::by_rank);
        hits.truncate(k);
        hits
    }

    fn scan(&self, query: &[f32], k: usize, allow: &dyn Fn(u64) -> bool) -> Vec<Hit> {
        // The best nodes so far, farthest on top. Each has an allowed key, so `k` of them are enough; those at the distance of the
        // `k`-th are all kept, since which of them count is decided by their keys.
        let mut best: BinaryHeap<Near> = BinaryHeap::new();
        let mut at_limit: Vec<Near> = Vec::new();
        for node in self.points.live_nodes().filter(|node| self.points.keys(*node).any(allow)) {
            let near = self.near(query, node);
            if best.len() < k {
                best.push(near);
                continue;
            }
            let farthest = best.peek().expect("k is not zero").rank();
            if near.rank() == farthest {
                at_limit.push(near);
            } else if near.rank() < farthest {
                let out = best.pop().expect("k is not zero");
                best.push(near);
                if best.peek().is_some_and(|far| far.rank() == out.rank()) {
                    at_limit.push(out);
                } else {
                    at_limit.clear();
                }
            }
        }
        let mut found = best.into_vec();
        found.append(&mut at_limit);
        found.sort_unstable();
        self.hits(&found, k, allow)
    }
}

#[cfg(test)]
mod tests;
