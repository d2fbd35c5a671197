/// The highest level a node can get; `m = 2` over 2³² nodes expects 32.
pub(crate) const MAX_LEVEL: usize = 32;

/// The top layer of the node with this key: at least `l` with probability `m^-l`, as in Malkov and Yashunin, arXiv:1603.09320, §4.1.
///
/// It depends on nothing but its arguments, and on no floating point, so that one order of inserts gives one graph everywhere.
pub(crate) fn level(seed: u64, key: u64, m: usize) -> usize {
    let mut fraction = mix(mix(seed).wrapping_add(key));
    let mut level = 0;
    // The number's leading digits in base `m`: each is zero with probability 1/m.
    while level < MAX_LEVEL {
        let product = u128::from(fraction) * m as u128;
        if product >> 64 != 0 {
            break;
        }
        fraction = product as u64;
        level += 1;
    }
    level
}

/// The step of splitmix64 (Steele, Lea and Flood, 2014).
pub(crate) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_holds_about_one_mth_of_the_one_below() {
        for m in [2usize, 16, 512] {
            let mut at_least = [0u32; 3];
            for key in 0..200_000 {
                let level = level(9, key, m);
                for (l, count) in at_least.iter_mut().enumerate() {
                    *count += u32::from(level >= l);
                }
            }
            for (l, count) in at_least.into_iter().enumerate() {
                let expected = 200_000.0 / (m as f64).powi(l as i32);
                let slack = 5.0 * expected.sqrt() + 1.0;
                assert!((f64::from(count) - expected).abs() < slack, "m {m}, layer {l}: {count} for {expected}");
            }
        }
    }

    #[test]
    fn the_seed_changes_the_layers() {
        let of = |seed| (0..1000).map(|key| level(seed, key, 4)).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
