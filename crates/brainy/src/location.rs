//! From a URL to a store.

use std::path::PathBuf;
use std::sync::Arc;

use brainy_storage::{InMemoryStore, LocalOptions, LocalStore, Store};

use crate::error::Error;

/// Where a store is, as its URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// `memory://` (private to the handle) or `memory://name` (one of each name in this process).
    Memory(Option<String>),
    /// `file:///path`.
    Directory(PathBuf),
    /// `s3://bucket/prefix`.
    S3(String),
}

impl Location {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |reason: &str| Err(Error::invalid(format!("store URL {url:?}"), reason));
        if let Some(name) = url.strip_prefix("memory://") {
            return Ok(Self::Memory((!name.is_empty()).then(|| name.to_owned())));
        }
        if let Some(path) = url.strip_prefix("file://") {
            if !path.starts_with('/') {
                return wrong("a directory's URL has three slashes and an absolute path: file:///path");
            }
            return Ok(Self::Directory(path.into()));
        }
        if url.starts_with("s3://") {
            return Ok(Self::S3(url.to_owned()));
        }
        wrong("memory://name, file:///path or s3://bucket/prefix is needed")
    }

    /// The store. `create`: a directory may be made.
    pub(crate) fn open(&self, create: bool, read_only: bool, allow_network: bool) -> Result<Arc<dyn Store>, Error> {
        match self {
            Self::Memory(None) => Ok(Arc::new(InMemoryStore::new())),
            Self::Memory(Some(name)) => Ok(Arc::new(InMemoryStore::named(name))),
            Self::Directory(path) => {
                let options = LocalOptions::default().with_create(create).with_read_only(read_only).with_allow_network(allow_network);
                Ok(Arc::new(LocalStore::open(path, options)?))
            }
            #[cfg(feature = "s3")]
            Self::S3(url) => Ok(Arc::new(brainy_storage_s3::S3Store::open_url(url)?)),
            #[cfg(not(feature = "s3"))]
            Self::S3(url) => Err(Error::invalid(format!("store URL {url:?}"), "this build has no S3: switch the feature `s3` on")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_anything_else_is_refused_by_name() {
        assert_eq!(Location::parse("memory://").unwrap(), Location::Memory(None));
        assert_eq!(Location::parse("memory://a").unwrap(), Location::Memory(Some("a".into())));
        assert_eq!(Location::parse("file:///a b/é").unwrap(), Location::Directory("/a b/é".into()));
        for wrong in ["", "a/b", "/a/b", "file://a/b", "http://a", "gs://a"] {
            let error = Location::parse(wrong).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
