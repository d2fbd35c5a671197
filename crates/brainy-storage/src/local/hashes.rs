//! Content hashes of large files, so that a ranged read need not read the whole file each time.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Mutex, PoisonError};

use brainy_core::ContentHash;

use crate::Revision;

/// Most files whose hash is kept; each holds one file descriptor.
const MAX_KEPT: usize = 16;
/// How much is read at once for hashing.
const CHUNK_BYTES: usize = 1 << 20;

/// Hashes by file, not by name. A file's content never changes once it has a name, and the open descriptor keeps its number from being given
/// to another file, so a kept hash cannot be wrong.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    number: (u64, u64),
    file: File,
    revision: Revision,
}

/// What an object with this content is called.
pub(super) fn revision_of(body: &[u8]) -> Revision {
    Revision::new(ContentHash::of(body).to_string())
}

impl Hashes {
    /// The revision of the content of `file`, read if it is not known.
    pub(super) fn revision(&self, file: &File, metadata: &Metadata) -> io::Result<Revision> {
        let number = (metadata.dev(), metadata.ino());
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|kept| kept.number == number) {
            return Ok(kept.revision.clone());
        }
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut offset = 0;
        loop {
            match file.read_at(&mut chunk, offset) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&chunk[..read]);
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let revision = Revision::new(ContentHash::from_bytes(*hasher.finalize().as_bytes()).to_string());
        let file = file.try_clone()?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // A file without a name any more would only hold its disk space.
        kept.retain(|kept| kept.number != number && kept.file.metadata().is_ok_and(|metadata| metadata.nlink() > 0));
        if kept.len() == MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept { number, file, revision: revision.clone() });
        Ok(revision)
    }
}
