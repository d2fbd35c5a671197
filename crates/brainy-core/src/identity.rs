//! Random identities, and where chance comes from.

use serde::{Deserialize, Serialize};

/// Writes `bytes` in lower-case hexadecimal.
fn hex(bytes: &[u8], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

/// Reads exactly `N` bytes of hexadecimal, either case; none for anything else.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    // `from_str_radix` takes a sign; a pair such as "+f" is not hexadecimal.
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(bytes)
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// These bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The value written as hexadecimal by `Display`; none for any other text.
            pub fn from_hex(text: &str) -> Option<Self> {
                unhex(text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                hex(&self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                hex(&self.0[..4.min(self.0.len())], f)?;
                f.write_str("…")
            }
        }
    };
}

identity!(
    /// Identity of one store, drawn when it is made; every object in it carries it.
    StoreId, 16
);
identity!(
    /// Identity of one writer: one instance handle, for a bounded stretch of the log.
    WriterId, 16
);
identity!(
    /// Identity of whoever takes leases: one handle on a lock.
    HolderId, 16
);
identity!(
    /// A fresh random mark in the body of an object that changes by compare-and-swap, so that equal bodies never have equal bytes.
    Nonce, 16
);
identity!(
    /// BLAKE3 of some bytes.
    ContentHash, 32
);

impl ContentHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The hash of several byte strings, each preceded by its length, so that no two lists share one.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

impl StoreId {
    /// A fresh identity.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(draw(entropy))
    }
}

/// Bytes of its store's identity that a writer's begins with.
const STORE_BYTES: usize = 4;

impl WriterId {
    /// A fresh one for a writer of `store`: it begins with the first four bytes of the store's, so that an operation that is named by it is not taken for another store's.
    pub fn of(store: StoreId, entropy: &dyn Entropy) -> Self {
        let mut id = Self::random(entropy);
        id.0[..STORE_BYTES].copy_from_slice(&store.as_bytes()[..STORE_BYTES]);
        id
    }

    /// Whether it can be a writer of `store`.
    pub fn is_of(self, store: StoreId) -> bool {
        self.0[..STORE_BYTES] == store.as_bytes()[..STORE_BYTES]
    }
}

impl WriterId {
    /// A fresh identity.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(draw(entropy))
    }
}

impl HolderId {
    /// A fresh identity.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(draw(entropy))
    }
}

impl Nonce {
    /// A fresh mark.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(draw(entropy))
    }
}

fn draw(entropy: &dyn Entropy) -> [u8; 16] {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes
}

/// Where chance comes from. Identities and nonces are drawn from it at each use, never from a generator that a process copy would share.
pub trait Entropy: std::fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// A fraction in `[0, 1)`, for jitter.
    fn fraction(&self) -> f64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// # Panics
    /// The operating system has no generator: nothing random can be had, so nothing may be written.
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system's random generator answers");
    }
}

/// A repeatable sequence for tests and simulations (SplitMix64; Steele, Lea and Flood, 2014). Never for a real store.
#[derive(Debug)]
pub struct SeededEntropy(std::sync::atomic::AtomicU64);

impl SeededEntropy {
    /// The sequence that belongs to `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(std::sync::atomic::AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        for chunk in bytes.chunks_mut(8) {
            let before = self.0.fetch_add(GAMMA, std::sync::atomic::Ordering::Relaxed);
            let mut z = before.wrapping_add(GAMMA);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_identity_survives_its_text(bytes in any::<[u8; 16]>()) {
            let id = StoreId::from_bytes(bytes);
            prop_assert_eq!(StoreId::from_hex(&id.to_string()), Some(id));
            prop_assert_eq!(StoreId::from_hex(&id.to_string().to_uppercase()), Some(id));
            prop_assert_eq!(crate::codec::decode::<StoreId>("id", &crate::codec::encode(&id)).unwrap(), id);
        }

        #[test]
        fn no_other_text_is_an_identity(text in "\\PC{0,40}") {
            if let Some(id) = StoreId::from_hex(&text) {
                prop_assert_eq!(id.to_string(), text.to_lowercase());
            }
        }

        #[test]
        fn a_seed_always_gives_the_same_sequence(seed in any::<u64>(), lengths in prop::collection::vec(0_usize..40, 0..8)) {
            let draw = || {
                let entropy = SeededEntropy::new(seed);
                lengths.iter().map(|length| { let mut bytes = vec![0; *length]; entropy.fill(&mut bytes); bytes }).collect::<Vec<_>>()
            };
            prop_assert_eq!(draw(), draw());
            let fraction = SeededEntropy::new(seed).fraction();
            prop_assert!((0.0..1.0).contains(&fraction));
        }
    }

    #[test]
    fn what_only_looks_like_hexadecimal_is_refused() {
        for text in ["", "+f", "-1", "0x", "0", "zz", "é"] {
            assert_eq!(unhex::<1>(text), None, "{text:?}");
        }
        assert_eq!(unhex::<1>("aF"), Some([0xaf]));
        assert_eq!(StoreId::from_hex(&"é".repeat(16)), None);
    }

    #[test]
    fn the_seeded_sequence_is_the_published_one() {
        // First outputs of SplitMix64 from seed 0.
        let mut bytes = [0; 16];
        SeededEntropy::new(0).fill(&mut bytes);
        assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()), 0xe220_a839_7b1d_cdaf);
        assert_eq!(u64::from_le_bytes(bytes[8..].try_into().unwrap()), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn fresh_identities_differ() {
        assert_ne!(WriterId::random(&OsEntropy), WriterId::random(&OsEntropy));
        let seeded = SeededEntropy::new(7);
        assert_ne!(Nonce::random(&seeded), Nonce::random(&seeded));
    }

    #[test]
    fn lists_of_parts_that_join_alike_hash_apart() {
        assert_ne!(ContentHash::of_parts(&[b"ab", b"c"]), ContentHash::of_parts(&[b"a", b"bc"]));
        assert_ne!(ContentHash::of_parts(&[b""]), ContentHash::of_parts(&[]));
        assert_eq!(ContentHash::of(b"").to_string(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    }
}
