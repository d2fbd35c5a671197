use proptest::prelude::*;

use super::{available, scalar};

/// How far a set's sum may lie from the scalar one, as a share of the sum of the terms' magnitudes. Adding n floats in any order
/// is off by at most about n · 2⁻²⁴ of that sum; with at least eight partial sums n is 1,100 / 8.
const TOLERANCE: f32 = 1.0e-5;

fn rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>, usize)> {
    (0usize..=1100, 0usize..16).prop_flat_map(|(length, offset)| {
        let row = || prop::collection::vec(-1000.0f32..1000.0, length + offset);
        (row(), row(), Just(offset))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_set_agrees_with_the_scalar_one((a, b, offset) in rows()) {
        // Different offsets, so that neither row keeps the allocator's alignment.
        let (a, b) = (&a[offset..], &b[..b.len() - offset]);
        let squared: f32 = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum();
        let magnitude: f32 = a.iter().zip(b).map(|(x, y)| (x * y).abs()).sum();
        for set in available() {
            let l2 = (set.squared_l2)(a, b);
            let dot = (set.dot)(a, b);
            let (scalar_l2, scalar_dot) = ((scalar::KERNELS.squared_l2)(a, b), (scalar::KERNELS.dot)(a, b));
            prop_assert!((l2 - scalar_l2).abs() <= TOLERANCE * squared, "{}: squared_l2 {} for {}", set.name, l2, scalar_l2);
            prop_assert!((dot - scalar_dot).abs() <= TOLERANCE * magnitude, "{}: dot {} for {}", set.name, dot, scalar_dot);
            // The engine compares both ways round and relies on equal values.
            prop_assert_eq!(l2.to_bits(), (set.squared_l2)(b, a).to_bits());
            prop_assert_eq!(dot.to_bits(), (set.dot)(b, a).to_bits());
        }
    }
}

#[test]
fn small_whole_numbers_are_summed_exactly_at_every_length() {
    for length in 0..=1100usize {
        let a: Vec<f32> = (0..length).map(|i| (i % 7) as f32).collect();
        let b: Vec<f32> = (0..length).map(|i| (i % 5) as f32 - 2.0).collect();
        let l2: f32 = a.iter().zip(&b).map(|(x, y)| (x - y) * (x - y)).sum();
        let dot: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
        for set in available() {
            assert_eq!((set.squared_l2)(&a, &b), l2, "{} at length {length}", set.name);
            assert_eq!((set.dot)(&a, &b), dot, "{} at length {length}", set.name);
        }
    }
}

#[test]
fn rows_of_unequal_length_are_never_read_past_their_end() {
    let row = vec![1.0f32; 100];
    for set in available() {
        for (a, b) in [(17, 100), (100, 15), (64, 79), (0, 9), (33, 32)] {
            assert!((set.dot)(&row[..a], &row[..b]) <= a.min(b) as f32, "{} {a} {b}", set.name);
            assert_eq!((set.squared_l2)(&row[..a], &row[..b]), 0.0, "{} {a} {b}", set.name);
        }
    }
}

#[test]
fn the_processors_own_instructions_are_used() {
    let names: Vec<_> = available().iter().map(|set| set.name).collect();
    assert_eq!(names.last(), Some(&"scalar"));
    #[cfg(target_arch = "x86_64")]
    {
        assert_eq!(names.contains(&"avx2"), is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"));
        assert_eq!(names.contains(&"avx512"), is_x86_feature_detected!("avx512f"));
    }
}
