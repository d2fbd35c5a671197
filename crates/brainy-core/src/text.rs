//! Validated text: ids, type names, service tags.

use smol_str::SmolStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ErrorKind;

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
        /// Its first characters.
        text: String,
        /// Where the NUL is, in bytes from 0.
        at: usize,
    },
}

impl TextError {
    /// What a caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty { .. } | Self::TooLong { .. } | Self::Nul { .. } => ErrorKind::Invalid,
        }
    }
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
        pub struct $name(SmolStr);

        impl $name {
            #[doc = concat!("`text` as a ", $what, ": any UTF-8 without NUL, not empty, within [`", stringify!($limit), "`]; bytes are kept as they are.")]
            ///
            /// # Errors
            /// [`TextError`], naming the reason.
            pub fn new(text: impl AsRef<str>) -> Result<Self, TextError> {
                check($what, $limit, text.as_ref())?;
                Ok(Self(SmolStr::new(text.as_ref())))
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

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
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
        Self(SmolStr::from(format!("~{}", hasher.finalize().to_hex())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    proptest! {
        #[test]
        fn any_text_within_the_limits_is_kept_byte_for_byte(text in "\\PC{1,40}") {
            let id = NounId::new(&text).unwrap();
            prop_assert_eq!(id.as_str(), &text);
            prop_assert_eq!(&codec::decode::<NounId>("id", &codec::encode(&id)).unwrap(), &id);
            prop_assert_eq!(&text.parse::<NounId>().unwrap(), &id);
            prop_assert_eq!(&NounId::try_from(id.to_string()).unwrap(), &id);
        }

        #[test]
        fn derived_ids_differ_wherever_the_three_texts_do(a in "[ab]{1,3}", b in "[ab]{1,3}", c in "[ab]{1,3}", d in "[ab]{1,3}", e in "[ab]{1,3}", f in "[ab]{1,3}") {
            let derived = |source: &str, kind: &str, target: &str| {
                VerbId::derived(&NounId::new(source).unwrap(), &TypeName::new(kind).unwrap(), &NounId::new(target).unwrap())
            };
            prop_assert_eq!(derived(&a, &b, &c) == derived(&d, &e, &f), (a, b, c) == (d, e, f));
        }
    }

    #[test]
    fn ids_that_look_like_paths_are_only_ids() {
        for text in ["../../x", "a//b", "/", ".", "C:\\x", "%2e%2e", "a\nb", "\u{202e}x", " "] {
            assert_eq!(NounId::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn both_normal_forms_of_a_letter_are_two_ids() {
        let (composed, decomposed) = (NounId::new("\u{e9}").unwrap(), NounId::new("e\u{301}").unwrap());
        assert_ne!(composed, decomposed);
        assert_ne!(codec::encode(&composed), codec::encode(&decomposed));
    }

    #[test]
    fn hostile_texts_are_refused_by_name() {
        assert_eq!(NounId::new(""), Err(TextError::Empty { what: "noun id" }));
        let error = VerbId::new("a\0b").unwrap_err();
        assert_eq!(error, TextError::Nul { what: "verb id", text: "a\0b".into(), at: 1 });
        assert_eq!(error.kind(), ErrorKind::Invalid);
        NounId::new("é".repeat(MAX_ID_BYTES / 2)).unwrap();
        let error = NounId::new("é".repeat(1_000)).unwrap_err();
        assert!(matches!(error, TextError::TooLong { bytes: 2_000, limit: MAX_ID_BYTES, .. }), "{error}");
        assert!(error.to_string().len() < 200, "{error}");
        assert!(TypeName::new("x".repeat(MAX_LABEL_BYTES + 1)).is_err());
        assert!(ServiceTag::new("x".repeat(MAX_LABEL_BYTES)).is_ok());
    }

    #[test]
    fn stored_texts_are_checked_again() {
        for hostile in [String::new(), "a\0".into(), "x".repeat(MAX_ID_BYTES + 1)] {
            assert!(codec::decode::<NounId>("id", &codec::encode(&hostile)).is_err(), "{hostile:?}");
        }
        assert!(codec::decode::<NounId>("id", &[2, 0xff, 0xfe]).is_err());
    }

    #[test]
    fn a_derived_id_never_changes() {
        let id = VerbId::derived(&NounId::new("apt").unwrap(), &TypeName::new("depends").unwrap(), &NounId::new("libc6").unwrap());
        assert_eq!(id.as_str(), "~f0a37acf2a4a75d8bc2db2e7d8e20eb631c34ce92e5f8383b146edd69b644f33");
    }
}
