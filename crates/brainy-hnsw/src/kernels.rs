//! The inner loops over two rows of floats, one set for each kind of processor; chosen once, when a [`crate::Distance`] is made.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

/// One processor's loops. Rows of unequal length are compared up to the shorter one's end; the caller has checked that they are equal.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// What the loops use, for people.
    pub(crate) name: &'static str,
    /// `Σ (aᵢ − bᵢ)²`
    pub(crate) squared_l2: fn(&[f32], &[f32]) -> f32,
    /// `Σ aᵢ·bᵢ`
    pub(crate) dot: fn(&[f32], &[f32]) -> f32,
}

/// The fastest set this processor can run.
pub(crate) fn fastest() -> Kernels {
    *available().first().expect("the scalar set runs everywhere")
}

/// All sets that this processor can run, fastest first; the scalar one is last.
pub(crate) fn available() -> Vec<Kernels> {
    let mut sets = Vec::with_capacity(3);
    #[cfg(target_arch = "x86_64")]
    {
        sets.extend(avx512::kernels());
        sets.extend(avx2::kernels());
    }
    sets.push(scalar::KERNELS);
    sets
}

#[cfg(test)]
mod tests;
