//! Listing a directory in the order of keys.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;

use crate::{Entry, Key, Page};

/// Up to `limit` objects below the folder `path`, whose keys begin with `start` and come after `after`.
///
/// Each folder is read whole and sorted. A folder `a` sorts as `a/`, which is where its keys stand among `a-b`, `a.b` and `a0`.
pub(super) fn walk(path: &Path, start: &str, after: Option<&str>, limit: NonZeroUsize) -> io::Result<Page> {
    let mut page = Page::default();
    descend(path, start, after, limit, &mut page)?;
    Ok(page)
}

/// Whether the walk goes on.
fn descend(path: &Path, start: &str, after: Option<&str>, limit: NonZeroUsize, page: &mut Page) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(true),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Names that are no segment of a key are not ours: temporary files, the lock, what people left here.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if Key::new(&name).is_err() {
            continue;
        }
        // Links are not followed: they are neither files nor folders here.
        let kind = entry.file_type()?;
        if kind.is_file() {
            names.push(format!("{start}{name}"));
        } else if kind.is_dir() {
            names.push(format!("{start}{name}/"));
        }
    }
    names.sort_unstable();
    for name in names {
        let segment = &name[start.len()..];
        if segment.ends_with('/') {
            // Keys in a folder before `after` all come before it, unless `after` lies inside.
            let passed = after.is_some_and(|after| after > name.as_str() && !after.starts_with(&name));
            if !passed && !descend(&path.join(segment), &name, after, limit, page)? {
                return Ok(false);
            }
            continue;
        }
        if after.is_some_and(|after| name.as_str() <= after) {
            continue;
        }
        if page.entries.len() == limit.get() {
            page.more = true;
            return Ok(false);
        }
        // Too deep for a key: not ours.
        let Ok(key) = Key::new(&name) else { continue };
        match path.join(segment).symlink_metadata() {
            Ok(metadata) => page.entries.push(Entry { key, size: metadata.len() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
