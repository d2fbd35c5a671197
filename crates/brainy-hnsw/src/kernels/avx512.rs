#![expect(unsafe_code, reason = "processor instructions: loads take a pointer, and a call must have seen the processor's features")]

use std::arch::x86_64::{
    __m512, __mmask16, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_loadu_ps, _mm512_reduce_add_ps, _mm512_setzero_ps,
    _mm512_sub_ps,
};

use super::Kernels;

/// The set, if this processor (and its operating system) has AVX-512 F.
pub(super) fn kernels() -> Option<Kernels> {
    is_x86_feature_detected!("avx512f").then_some(Kernels { name: "avx512", squared_l2, dot })
}

fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this function is reached through `kernels` alone, which has seen AVX-512 F.
    unsafe { squared_l2_avx512(a, b) }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this function is reached through `kernels` alone, which has seen AVX-512 F.
    unsafe { dot_avx512(a, b) }
}

#[target_feature(enable = "avx512f")]
fn squared_l2_avx512(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_tail) = a.as_chunks::<16>();
    let (b_lanes, b_tail) = b.as_chunks::<16>();
    let (a_blocks, a_rest) = a_lanes.as_chunks::<4>();
    let (b_blocks, b_rest) = b_lanes.as_chunks::<4>();
    let mut sums = [_mm512_setzero_ps(); 4];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..4 {
            let difference = _mm512_sub_ps(load(&x[lane]), load(&y[lane]));
            sums[lane] = _mm512_fmadd_ps(difference, difference, sums[lane]);
        }
    }
    for (x, y) in a_rest.iter().zip(b_rest) {
        let difference = _mm512_sub_ps(load(x), load(y));
        sums[0] = _mm512_fmadd_ps(difference, difference, sums[0]);
    }
    let (x, y) = load_tails(a_tail, b_tail);
    let difference = _mm512_sub_ps(x, y);
    sums[1] = _mm512_fmadd_ps(difference, difference, sums[1]);
    reduce(sums)
}

#[target_feature(enable = "avx512f")]
fn dot_avx512(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_tail) = a.as_chunks::<16>();
    let (b_lanes, b_tail) = b.as_chunks::<16>();
    let (a_blocks, a_rest) = a_lanes.as_chunks::<4>();
    let (b_blocks, b_rest) = b_lanes.as_chunks::<4>();
    let mut sums = [_mm512_setzero_ps(); 4];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..4 {
            sums[lane] = _mm512_fmadd_ps(load(&x[lane]), load(&y[lane]), sums[lane]);
        }
    }
    for (x, y) in a_rest.iter().zip(b_rest) {
        sums[0] = _mm512_fmadd_ps(load(x), load(y), sums[0]);
    }
    let (x, y) = load_tails(a_tail, b_tail);
    sums[1] = _mm512_fmadd_ps(x, y, sums[1]);
    reduce(sums)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &[f32; 16]) -> __m512 {
    // SAFETY: the reference vouches for sixteen readable floats; this load asks for no alignment.
    unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
}

/// Both tails, up to the end of the shorter one, the lanes beyond it zero.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_tails(a: &[f32], b: &[f32]) -> (__m512, __m512) {
    let filled = a.len().min(b.len());
    assert!(filled < 16, "a tail is shorter than a register");
    let mask: __mmask16 = (1 << filled) - 1;
    // SAFETY: the mask lets the load touch the first `filled` floats alone, and `a` has as many.
    let x = unsafe { _mm512_maskz_loadu_ps(mask, a.as_ptr()) };
    // SAFETY: the mask lets the load touch the first `filled` floats alone, and `b` has as many.
    let y = unsafe { _mm512_maskz_loadu_ps(mask, b.as_ptr()) };
    (x, y)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn reduce(sums: [__m512; 4]) -> f32 {
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])))
}
