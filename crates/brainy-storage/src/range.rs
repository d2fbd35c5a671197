//! What a ranged read and a listing mean, the same for every store of this crate.

use std::num::NonZeroUsize;
use std::ops::Range;

use brainy_core::ErrorKind;

use crate::{Entry, Key, Operation, Page, StoreError};

/// The part of an object of `size` bytes that `range` asks for; all of it without one.
///
/// # Errors
/// Kind `Invalid`: `range` is empty or begins at the object's end or beyond.
pub(crate) fn cut(key: &Key, range: Option<Range<u64>>, size: u64) -> Result<Range<u64>, StoreError> {
    match range {
        None => Ok(0..size),
        Some(range) if range.start < range.end && range.start < size => Ok(range.start..range.end.min(size)),
        Some(range) => {
            let reason = format!("bytes {}..{} of an object of {size} bytes are none", range.start, range.end);
            Err(StoreError::new(ErrorKind::Invalid, Operation::Get, key, reason))
        }
    }
}

/// The first `limit` of `entries`, which come in the order of a listing.
pub(crate) fn listed(entries: impl Iterator<Item = (Key, u64)>, limit: NonZeroUsize) -> Page {
    let mut page = Page::default();
    for (key, size) in entries {
        if page.entries.len() == limit.get() {
            page.more = true;
            break;
        }
        page.entries.push(Entry { key, size });
    }
    page
}
