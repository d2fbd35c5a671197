//! Names of objects.

use std::sync::Arc;

/// Longest key, in bytes: what S3 allows less room for a prefix.
pub const MAX_KEY_BYTES: usize = 512;

/// Longest segment of a key, in bytes: what file systems allow a name, less some room for marks.
pub const MAX_SEGMENT_BYTES: usize = 240;

/// Name of one object below a store's root: segments of `a–z 0–9 . _ -` joined by `/`, none of them empty, `.` or `..`.
/// Users' ids never become part of one. A key should not be the [`Prefix`] of another: a directory cannot hold both, and refuses the second.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// A text that is not a [`Key`] or a [`Prefix`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an object key: {reason}")]
pub struct KeyError {
    text: String,
    reason: &'static str,
}

fn check(text: &str) -> Result<(), KeyError> {
    let wrong = |reason| Err(KeyError { text: text.chars().take(80).collect(), reason });
    if text.len() > MAX_KEY_BYTES {
        return wrong("it is too long");
    }
    for segment in text.split('/') {
        if segment.is_empty() || segment == "." || segment == ".." {
            return wrong("a segment is empty, `.` or `..`");
        }
        if segment.len() > MAX_SEGMENT_BYTES {
            return wrong("a segment is too long");
        }
        if !segment.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')) {
            return wrong("only a–z, 0–9, `.`, `_` and `-` are allowed in a segment");
        }
    }
    Ok(())
}

impl Key {
    /// `text` as a key.
    ///
    /// # Errors
    /// [`KeyError`], naming the reason.
    pub fn new(text: impl AsRef<str>) -> Result<Self, KeyError> {
        check(text.as_ref())?;
        Ok(Self(Arc::from(text.as_ref())))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A folder of keys, by its path without a slash at the end; the empty one holds all keys. `log` is a prefix of `log/1`, not of `logs/1`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// All keys.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// The keys below `text`.
    ///
    /// # Errors
    /// [`KeyError`], naming the reason.
    pub fn new(text: impl AsRef<str>) -> Result<Self, KeyError> {
        check(text.as_ref())?;
        Ok(Self(Arc::from(text.as_ref())))
    }

    /// The text, without a slash at the end; empty for all keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the keys below begin with: the text and a slash; empty for all keys.
    pub fn start(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!("{}/", self.0) }
    }

    /// Whether `key` lies below.
    pub fn contains(&self, key: &Key) -> bool {
        self.0.is_empty() || key.0.strip_prefix(&*self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/", self.0)
    }
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_names_are_keys() {
        for text in ["a", "log/00000000000000000001", "a/b/c", "...", ".a", "a.", "-", "brainy.json", &"x".repeat(MAX_SEGMENT_BYTES)] {
            assert_eq!(Key::new(text).unwrap().as_str(), text);
            assert_eq!(Prefix::new(text).unwrap().as_str(), text);
        }
        let (long, deep) = ("x".repeat(MAX_SEGMENT_BYTES + 1), "x/".repeat(MAX_KEY_BYTES / 2) + "x");
        for text in
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "A", "é", "a b", "a\0", "a\\b", "+lock", "a%2f", "~", &long, &deep]
        {
            assert!(Key::new(text).is_err(), "{text:?}");
            assert!(Prefix::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_is_a_folder_and_not_a_beginning() {
        let log = Prefix::new("log").unwrap();
        assert!(log.contains(&Key::new("log/1").unwrap()));
        assert!(!log.contains(&Key::new("logs/1").unwrap()));
        assert!(!log.contains(&Key::new("log").unwrap()));
        assert!(Prefix::root().contains(&Key::new("log").unwrap()));
        assert_eq!((log.start().as_str(), Prefix::root().start().as_str()), ("log/", ""));
    }
}
