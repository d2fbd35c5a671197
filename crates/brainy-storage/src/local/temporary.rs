//! Files that are being written.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use brainy_core::{Nonce, OsEntropy};

use super::failure::{During, Failure, Step, Traps};

/// Most names tried for one temporary file: each try fails only if a sweep of another process falls on it.
const TRIES: usize = 16;

/// A file below a name of its own, locked while it lives so that no sweep takes it, removed when dropped.
pub(super) struct Temporary {
    path: PathBuf,
    /// Holds the lock.
    file: File,
    kept: bool,
}

impl Temporary {
    /// A synced file in `folder` that holds `body`.
    pub(super) fn write(folder: &Path, body: &[u8], traps: &Traps) -> Result<Self, Failure> {
        let mut temporary = Self::make(folder, traps)?;
        traps.pass(Step::Write).and_then(|()| temporary.file.write_all(body)).during(Step::Write)?;
        traps.pass(Step::SyncFile).and_then(|()| temporary.file.sync_all()).during(Step::SyncFile)?;
        Ok(temporary)
    }

    fn make(folder: &Path, traps: &Traps) -> Result<Self, Failure> {
        traps.pass(Step::MakeTemporary).during(Step::MakeTemporary)?;
        for _ in 0..TRIES {
            let path = folder.join(Nonce::random(&OsEntropy).to_string());
            let file = OpenOptions::new().write(true).create_new(true).open(&path).during(Step::MakeTemporary)?;
            // A sweep may come between making and locking: then it holds the lock, or has removed the name already.
            match file.try_lock() {
                Ok(()) if path.symlink_metadata().is_ok() => return Ok(Self { path, file, kept: false }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    drop(fs::remove_file(&path));
                    return Err(Failure { step: Step::MakeTemporary, error });
                }
            }
        }
        let error = std::io::Error::new(std::io::ErrorKind::ResourceBusy, "sweeps took every name tried");
        Err(Failure { step: Step::MakeTemporary, error })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name was given away by a rename: there is nothing to remove.
    pub(super) fn renamed(mut self) {
        self.kept = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is swept by the next process that opens the directory.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Removes what makers left in `folder` when they died; files whose makers live are locked and stay. How many were removed.
pub(super) fn sweep(folder: &Path) -> std::io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        if file.try_lock().is_ok() && fs::remove_file(&path).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}
