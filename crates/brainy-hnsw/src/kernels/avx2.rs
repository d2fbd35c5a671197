#![expect(unsafe_code, reason = "processor instructions: loads take a pointer, and a call must have seen the processor's features")]

use std::arch::x86_64::{
    __m256, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps, _mm256_add_ps, _mm256_castps256_ps128,
    _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_sub_ps,
};

use super::Kernels;

/// The set, if this processor has AVX2 and FMA.
pub(super) fn kernels() -> Option<Kernels> {
    let runs = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    runs.then_some(Kernels { name: "avx2", squared_l2, dot })
}

fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this function is reached through `kernels` alone, which has seen AVX2 and FMA.
    unsafe { squared_l2_avx2(a, b) }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this function is reached through `kernels` alone, which has seen AVX2 and FMA.
    unsafe { dot_avx2(a, b) }
}

#[target_feature(enable = "avx2,fma")]
fn squared_l2_avx2(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_tail) = a.as_chunks::<8>();
    let (b_lanes, b_tail) = b.as_chunks::<8>();
    let (a_blocks, a_rest) = a_lanes.as_chunks::<4>();
    let (b_blocks, b_rest) = b_lanes.as_chunks::<4>();
    let mut sums = [_mm256_setzero_ps(); 4];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..4 {
            let difference = _mm256_sub_ps(load(&x[lane]), load(&y[lane]));
            sums[lane] = _mm256_fmadd_ps(difference, difference, sums[lane]);
        }
    }
    for (x, y) in a_rest.iter().zip(b_rest) {
        let difference = _mm256_sub_ps(load(x), load(y));
        sums[0] = _mm256_fmadd_ps(difference, difference, sums[0]);
    }
    let mut total = reduce(sums);
    for (x, y) in a_tail.iter().zip(b_tail) {
        total = (x - y).mul_add(x - y, total);
    }
    total
}

#[target_feature(enable = "avx2,fma")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_tail) = a.as_chunks::<8>();
    let (b_lanes, b_tail) = b.as_chunks::<8>();
    let (a_blocks, a_rest) = a_lanes.as_chunks::<4>();
    let (b_blocks, b_rest) = b_lanes.as_chunks::<4>();
    let mut sums = [_mm256_setzero_ps(); 4];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..4 {
            sums[lane] = _mm256_fmadd_ps(load(&x[lane]), load(&y[lane]), sums[lane]);
        }
    }
    for (x, y) in a_rest.iter().zip(b_rest) {
        sums[0] = _mm256_fmadd_ps(load(x), load(y), sums[0]);
    }
    let mut total = reduce(sums);
    for (x, y) in a_tail.iter().zip(b_tail) {
        total = x.mul_add(*y, total);
    }
    total
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(lanes: &[f32; 8]) -> __m256 {
    // SAFETY: the reference vouches for eight readable floats; this load asks for no alignment.
    unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn reduce(sums: [__m256; 4]) -> f32 {
    let eight = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}
