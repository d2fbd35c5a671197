//! What the operating system's refusals mean to a caller.

use std::io;
use std::path::Path;

use brainy_core::ErrorKind;

use crate::{Operation, StoreError};

/// The step of an operation that may fail; tests make each one fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    MakeTemporary,
    Write,
    SyncFile,
    Lock,
    Link,
    Rename,
    Remove,
    SyncFolder,
    Read,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::MakeTemporary => "making a temporary file",
            Self::Write => "writing",
            Self::SyncFile => "syncing the file",
            Self::Lock => "locking the directory",
            Self::Link => "linking",
            Self::Rename => "renaming",
            Self::Remove => "removing",
            Self::SyncFolder => "syncing the folder",
            Self::Read => "reading",
        }
    }
}

/// An operating system's error and the step it came from.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) error: io::Error,
}

impl Failure {
    /// As a store's error about `subject`.
    pub(super) fn into_error(self, operation: Operation, subject: impl std::fmt::Display) -> StoreError {
        let Self { step, error } = self;
        StoreError::new(kind(&error), operation, subject, format!("{}: {error}", step.name())).with_source(error)
    }
}

/// Names the step of an error.
pub(super) trait During<T> {
    fn during(self, step: Step) -> Result<T, Failure>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, error })
    }
}

/// What a caller should do. Full disks and exhausted tables pass; permissions and read-only disks do not pass by waiting.
pub(super) fn kind(error: &io::Error) -> ErrorKind {
    use io::ErrorKind as E;
    match error.kind() {
        E::PermissionDenied | E::ReadOnlyFilesystem | E::Unsupported | E::CrossesDevices => ErrorKind::Unsupported,
        E::NotADirectory | E::IsADirectory | E::InvalidFilename | E::InvalidInput => ErrorKind::Invalid,
        E::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Unavailable,
    }
}

/// Whether a failed link or rename surely changed nothing; after an I/O error it may have.
pub(super) fn changed_nothing(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(
        error.kind(),
        E::PermissionDenied
            | E::ReadOnlyFilesystem
            | E::Unsupported
            | E::CrossesDevices
            | E::NotADirectory
            | E::IsADirectory
            | E::InvalidFilename
            | E::InvalidInput
            | E::NotFound
            | E::StorageFull
            | E::QuotaExceeded
            | E::TooManyLinks
            | E::AlreadyExists
            | E::DirectoryNotEmpty
    )
}

/// The error of opening or making the store at `path`.
pub(super) fn opening(path: &Path, kind: ErrorKind, reason: impl Into<String>) -> StoreError {
    StoreError::new(kind, Operation::Open, format!("file://{}", path.display()), reason)
}

/// Where tests make a step fail. It does nothing in a built library.
#[derive(Debug, Default)]
pub(super) struct Traps {
    #[cfg(test)]
    armed: std::sync::Mutex<Vec<(Step, i32)>>,
}

impl Traps {
    /// Passes, unless a test wants this step to fail.
    #[cfg_attr(not(test), expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the traps exist in tests only"))]
    pub(super) fn pass(&self, step: Step) -> io::Result<()> {
        #[cfg(test)]
        {
            let mut armed = self.armed.lock().unwrap();
            if let Some(at) = armed.iter().position(|(trapped, _)| *trapped == step) {
                return Err(io::Error::from_raw_os_error(armed.remove(at).1));
            }
        }
        #[cfg(not(test))]
        let _ = step;
        Ok(())
    }

    /// Makes the next passage of `step` fail with this error number.
    #[cfg(test)]
    pub(super) fn arm(&self, step: Step, errno: i32) {
        self.armed.lock().unwrap().push((step, errno));
    }
}
