//! How good an approximate answer is.

use std::collections::HashSet;

use brainy_hnsw::Hit;

/// A distance that is larger than the exact last one by this share counts as a tie: rounding differs between the ways to compute it.
pub const DISTINCT_TOLERANCE: f32 = 1e-5;

/// The share of `wanted` results that are as near as the exact answer's last: ties count, a key that comes twice counts once.
///
/// `answers`: pairs of an approximate and the exact answer, both nearest first.
pub fn recall<'a>(answers: impl IntoIterator<Item = (&'a [Hit], &'a [Hit])>) -> f64 {
    let (mut good, mut wanted) = (0, 0);
    for (found, exact) in answers {
        wanted += exact.len();
        let Some(last) = exact.last() else { continue };
        let limit = last.distance + last.distance.abs() * DISTINCT_TOLERANCE;
        let near: HashSet<u64> = found.iter().take(exact.len()).filter(|hit| hit.distance <= limit).map(|hit| hit.key).collect();
        good += near.len();
    }
    if wanted == 0 { 1.0 } else { f64::from(u32::try_from(good).expect("few")) / wanted as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(pairs: &[(u64, f32)]) -> Vec<Hit> {
        pairs.iter().map(|&(key, distance)| Hit { key, distance }).collect()
    }

    #[test]
    fn ties_count_and_doubles_count_once() {
        let exact = hits(&[(1, 0.1), (2, 0.2), (3, 0.3)]);
        for (found, expected) in [
            (hits(&[(1, 0.1), (2, 0.2), (3, 0.3)]), 1.0),
            (hits(&[(1, 0.1), (2, 0.2), (9, 0.3)]), 1.0),
            (hits(&[(1, 0.1), (1, 0.1), (2, 0.2)]), 2.0 / 3.0),
            (hits(&[(1, 0.1), (2, 0.2), (4, 0.4)]), 2.0 / 3.0),
            (hits(&[]), 0.0),
        ] {
            let got = recall([(found.as_slice(), exact.as_slice())]);
            assert!((got - expected).abs() < 1e-9, "{found:?}: {got}, not {expected}");
        }
    }
}
