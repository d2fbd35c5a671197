//! Validated text: ids, type names, service tags.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest noun or verb id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 1_024;
/// Longest type name or service tag, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 256;

/// Why a text cannot be an id, a type name or a service tag. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The text has no byte.
    #[error("{what} is empty")]
    Empty {
        /// What the text was meant to be.
        what: &'static str,
    },
    /// The text is too long.
    #[error("{what} has {bytes} bytes, at most {limit} are allowed (it begins {start:?})")]
    TooLong {
        /// What the text was meant to be.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
        /// Its first characters.
        start: String,
    },
    /// The text holds a NUL character.
    #[error("{what} {text:?} has a NUL character at byte {at}")]
    Nul {
        /// What the text was meant to be.
        what: &'static str,
        /// The text.
        text: String,
        /// Where the NUL is, in bytes from 0.
        at: usize,
    },
}

fn check(what: &'static str, limit: usize, text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty { what });
    }
    if text.len() > limit {
        return Err(TextError::TooLong { what, bytes: text.len(), limit, start: text.chars().take(32).collect() });
    }
    match text.bytes().position(|byte| byte == 0) {
        Some(at) => Err(TextError::Nul { what, text: text.chars().take(64).collect(), at }),
        None => Ok(()),
    }
}

macro_rules! bounded_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("`text` as a ", $what, ": any UTF-8 without NUL, not empty, within [`", stringify!($limit), "`]; bytes are kept as they are.")]
            ///
            /// # Errors
            /// [`TextError`], naming the reason.
            pub fn new(text: impl AsRef<str>) -> Result<Self, TextError> {
                check($what, $limit, text.as_ref())?;
                Ok(Self(Arc::from(text.as_ref())))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = TextError;
            fn try_from(text: &str) -> Result<Self, TextError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

bounded_text!(
    /// Name of one noun in its store. Never part of an object key.
    NounId, "noun id", MAX_ID_BYTES
);
bounded_text!(
    /// Name of one verb in its store. Never part of an object key.
    VerbId, "verb id", MAX_ID_BYTES
);
bounded_text!(
    /// Type of a noun or a verb: an open vocabulary.
    TypeName, "type", MAX_LABEL_BYTES
);
bounded_text!(
    /// The service that wrote an item, for statistics and filters.
    ServiceTag, "service", MAX_LABEL_BYTES
);

impl VerbId {
    /// The id of the verb `source —kind→ target` when none is given: a hash of the three, so that a repeated import changes nothing.
    ///
    /// `~` and 64 hexadecimal digits of BLAKE3 over the three texts, each preceded by its length as a 32-bit little-endian number.
    pub fn derived(source: &NounId, kind: &TypeName, target: &NounId) -> Self {
        let mut hasher = blake3::Hasher::new();
        for text in [source.as_str(), kind.as_str(), target.as_str()] {
            let length = u32::try_from(text.len()).expect("ids and types are at most 1,024 bytes");
            hasher.update(&length.to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self(Arc::from(format!("~{}", hasher.finalize().to_hex())))
    }
}
