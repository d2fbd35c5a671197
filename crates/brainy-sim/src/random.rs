//! Where a seed's choices come from.

use std::time::Duration;

/// Distance in standard deviations from the median to the 99th percentile of a normal distribution.
const P99: f64 = 2.326_347_874;

/// A repeatable sequence of choices (SplitMix64; Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence that belongs to `seed` and `stream`: one seed has many independent ones.
    pub const fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(mix(seed ^ mix(stream)));
        random.bits();
        random
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.bits() as u128 * bound as u128) >> 64) as u64
    }

    /// A fraction in `[0, 1)`.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something happens that happens in `per_million` of a million cases.
    pub const fn happens(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < per_million as u64
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// There is none.
    pub fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[usize::try_from(self.below(choices.len() as u64)).expect("an index into a slice")]
    }

    /// A time between `from` and `to`.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let span = u64::try_from(to.saturating_sub(from).as_nanos()).unwrap_or(u64::MAX);
        from + Duration::from_nanos(self.below(span.max(1)))
    }

    /// A time from the log-normal distribution with this median and 99th percentile, in whole microseconds.
    pub fn log_normal(&mut self, median: Duration, p99: Duration) -> Duration {
        if median.is_zero() {
            return median;
        }
        let sigma = (p99.as_secs_f64() / median.as_secs_f64()).ln() / P99;
        // Box and Muller, 1958.
        let (a, b) = (self.fraction().max(f64::MIN_POSITIVE), self.fraction());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        Duration::from_micros((median.as_secs_f64() * (sigma * normal).exp() * 1e6) as u64)
    }
}

const fn mix(bits: u64) -> u64 {
    let z = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_many_streams_and_each_is_repeatable() {
        let draw = |seed, stream| {
            let mut random = Random::new(seed, stream);
            [(); 4].map(|()| random.bits())
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert!(draw(1, 2) != draw(1, 3) && draw(1, 2) != draw(2, 2) && draw(0, 0)[0] != 0);
    }

    #[test]
    fn latencies_have_the_median_and_the_p99_that_were_asked_for() {
        let mut random = Random::new(3, 0);
        let (median, p99) = (Duration::from_millis(60), Duration::from_millis(200));
        let mut drawn: Vec<_> = (0..20_000).map(|_| random.log_normal(median, p99).as_secs_f64() * 1e3).collect();
        drawn.sort_by(f64::total_cmp);
        assert!((58.0..62.0).contains(&drawn[10_000]), "median {}", drawn[10_000]);
        assert!((185.0..215.0).contains(&drawn[19_800]), "p99 {}", drawn[19_800]);
    }
}
