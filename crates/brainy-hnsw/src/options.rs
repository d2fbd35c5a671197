use crate::Error;

/// The most components a vector may have.
pub const MAX_DIMENSION: usize = 65_536;

/// How the graph is built. Search quality at a given cost follows from these; they are fixed when the index is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Links a node asks for when it is inserted; on layer 0 a node may hold twice as many, above it this many.
    /// More: better recall on hard data, `8 × m` to `16 × m` bytes more a vector, slower inserts. Default: [`Self::M`].
    pub m: usize,
    /// How many candidates an insert gathers before it chooses its links; at least `m`.
    /// More: better links, inserts slower in proportion. Default: [`Self::EF_CONSTRUCTION`].
    pub ef_construction: usize,
    /// Decides, together with a vector's key, on which layers the vector lies. Default: [`Self::SEED`].
    pub seed: u64,
}

impl Options {
    /// The default of [`m`](Self::m).
    pub const M: usize = 16;
    /// The default of [`ef_construction`](Self::ef_construction).
    pub const EF_CONSTRUCTION: usize = 200;
    /// The default of [`seed`](Self::seed).
    pub const SEED: u64 = 0x6272_6169_6e79;
    /// The least [`m`](Self::m): with one link a node the layers would be chains of unbounded height.
    pub const MIN_M: usize = 2;
    /// The greatest [`m`](Self::m).
    pub const MAX_M: usize = 512;
    /// The greatest [`ef_construction`](Self::ef_construction).
    pub const MAX_EF_CONSTRUCTION: usize = 65_536;

    /// These options with another [`m`](Self::m).
    #[must_use]
    pub fn with_m(mut self, m: usize) -> Self {
        self.m = m;
        self
    }

    /// These options with another [`ef_construction`](Self::ef_construction).
    #[must_use]
    pub fn with_ef_construction(mut self, ef_construction: usize) -> Self {
        self.ef_construction = ef_construction;
        self
    }

    /// These options with another [`seed`](Self::seed).
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Option`] names the first field outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        within("m", self.m, Self::MIN_M, Self::MAX_M)?;
        within("ef_construction", self.ef_construction, self.m, Self::MAX_EF_CONSTRUCTION)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { m: Self::M, ef_construction: Self::EF_CONSTRUCTION, seed: Self::SEED }
    }
}

pub(crate) fn within(field: &'static str, value: usize, least: usize, most: usize) -> Result<(), Error> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(Error::Option { field, value, least, most }) }
}
