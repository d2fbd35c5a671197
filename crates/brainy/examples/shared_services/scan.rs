//! What it takes to read everything: what a service without a change log would have to do at each look.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use brainy::storage::{Get, GetOptions, LocalOptions, LocalStore, Metered, Prefix, Store, Usage};
use tokio::runtime::Builder;

use crate::Failure;

/// Objects listed by one request: what S3 gives at most.
const PAGE: NonZeroUsize = NonZeroUsize::new(1_000).expect("it is not zero");

/// Lists every object of the store at `url` and reads it, and says what that took.
pub(crate) fn full_scan(url: &str) -> Result<Usage, Failure> {
    // A handle brings its own runtime; a bare store runs on its caller's.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(scan(Metered::new(open(url)?)))
}

async fn scan(store: Metered) -> Result<Usage, Failure> {
    let mut after = None;
    loop {
        let page = store.list(&Prefix::root(), after.as_ref(), PAGE).await?.value;
        for entry in &page.entries {
            match store.get(&entry.key, GetOptions::whole()).await?.value {
                Get::Found(_) => {}
                other => return Err(format!("{} is listed and cannot be read: {other:?}", entry.key).into()),
            }
        }
        match page.entries.into_iter().last() {
            Some(last) if page.more => after = Some(last.key),
            _ => return Ok(store.snapshot()),
        }
    }
}

fn open(url: &str) -> Result<Arc<dyn Store>, Failure> {
    if let Some(path) = url.strip_prefix("file://") {
        return Ok(Arc::new(LocalStore::open(Path::new(path), LocalOptions::default().with_read_only(true))?));
    }
    #[cfg(feature = "s3")]
    if url.starts_with("s3://") {
        return Ok(Arc::new(brainy_storage_s3::S3Store::open_url(url)?));
    }
    Err(format!("{url}: processes can share a directory (file:///path) or a bucket (s3://bucket/prefix)").into())
}
