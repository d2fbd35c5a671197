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

/// The URL without what may be a secret: a user and password before the host, a query after the path.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let rest = rest.split_once('?').map_or(rest.to_owned(), |(path, _)| format!("{path}?…"));
    let (host, path) = rest.split_once('/').map_or((rest.as_str(), None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').map_or(host.to_owned(), |(_, host)| format!("…@{host}"));
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

impl Location {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |reason: &str| Err(Error::invalid(format!("store URL {:?}", shown(url)), reason));
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

    /// The directory, if it is one.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        match self {
            Self::Directory(path) => Some(path.clone()),
            Self::Memory(_) | Self::S3(_) => None,
        }
    }

    /// The store. `create`: a directory may be made.
    pub(crate) fn open(&self, create: bool, read_only: bool, allow_network: bool) -> Result<Arc<dyn Store>, Error> {
        match self {
            Self::Memory(None) => Ok(Arc::new(InMemoryStore::new())),
            Self::Memory(Some(name)) => Ok(Arc::new(InMemoryStore::named(name))),
            Self::Directory(path) => {
                // Opening for writing makes a lock file: not in a directory that holds no store.
                if !create && !read_only && path.is_dir() && !path.join("brainy.json").exists() {
                    let location = format!("file://{}", path.display());
                    return Err(brainy_coordination::Error::NoStore { location }.into());
                }
                let options = LocalOptions::default().with_create(create).with_read_only(read_only).with_allow_network(allow_network);
                Ok(Arc::new(LocalStore::open(path, options)?))
            }
            #[cfg(feature = "s3")]
            Self::S3(url) => Ok(Arc::new(brainy_storage_s3::S3Store::open_url(url)?)),
            #[cfg(not(feature = "s3"))]
            Self::S3(url) => Err(Error::invalid(format!("store URL {:?}", shown(url)), "this build has no S3: switch the feature `s3` on")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_url_is_shown() {
        for (url, expected) in [
            ("s3://AKIA:sesame@things/a@b", "s3://…@things/a@b"),
            ("s3://things/p?token=sesame", "s3://things/p?…"),
            ("https://me:se@same@host", "https://…@host"),
            ("file:///srv/a@b/c", "file:///srv/a@b/c"),
            ("memory://", "memory://"),
        ] {
            assert_eq!(shown(url), expected);
            let error = Location::parse(&format!("other-{url}")).unwrap_err();
            assert!(!error.to_string().contains("same"), "{error}");
        }
    }

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
