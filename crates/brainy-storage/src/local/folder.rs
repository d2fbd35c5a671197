//! The store's operations as calls that block.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use brainy_core::ErrorKind;
use bytes::Bytes;
use rustix::fs::OFlags;

use super::LocalOptions;
use super::failure::{During, Failure, Step, Traps, changed_nothing, kind, opening};
use super::hashes::{Hashes, revision_of};
use super::network::network_file_system;
use super::temporary::{Temporary, sweep};
use super::walk::walk;
use crate::range::cut;
use crate::{Get, GetOptions, Key, Object, Operation, Outcome, Page, Precondition, Prefix, Revision, StoreError};

/// Where files are while they are written. No key can be called so: `+` is in none.
pub(super) const TEMPORARY: &str = "+temporary";
/// The file whose lock every process takes for overwriting and deleting (exclusively) and for listing (shared).
pub(super) const LOCK: &str = "+lock";
/// Most folders remembered as surviving a power cut; beyond that they are forgotten, which costs syncs, not safety.
const MAX_DURABLE: usize = 4_096;
/// Ranged reads of smaller objects read the whole.
const SMALL_BYTES: u64 = 64 << 10;

/// A directory that holds a store.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    read_only: bool,
    /// Folders whose names, up to the root, are known to be synced. Folders are never removed.
    durable: Mutex<HashSet<PathBuf>>,
    hashes: Hashes,
    pub(super) traps: Traps,
}

impl Folder {
    pub(super) fn open(path: &Path, options: &LocalOptions) -> Result<Self, StoreError> {
        let failed = |error: io::Error| opening(path, kind(&error), error.to_string()).with_source(error);
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(opening(path, ErrorKind::Invalid, "it is a file, not a directory")),
            Err(error) if error.kind() == io::ErrorKind::NotFound && options.create && !options.read_only => {
                make_all(path).map_err(failed)?
            }
            Err(error) => return Err(failed(error)),
        }
        let root = path.canonicalize().map_err(failed)?;
        if !options.allow_network
            && let Some(name) = network_file_system(&root).map_err(failed)?
        {
            let reason = format!("it lies on a network file system ({name}), whose locks and links may not bind other machines");
            return Err(opening(path, ErrorKind::Unsupported, reason));
        }
        if !options.read_only {
            match fs::create_dir(root.join(TEMPORARY)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => {}
            }
            drop(OpenOptions::new().create(true).append(true).open(root.join(LOCK)).map_err(failed)?);
            File::open(&root).and_then(|folder| folder.sync_all()).map_err(failed)?;
            sweep(&root.join(TEMPORARY)).map_err(failed)?;
        }
        Ok(Self { root, read_only: options.read_only, durable: Mutex::default(), hashes: Hashes::default(), traps: Traps::default() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn get(&self, key: &Key, options: &GetOptions) -> Result<Get, StoreError> {
        let path = self.locate(Operation::Get, key.as_str())?;
        let Some(file) = self.open_object(Operation::Get, key, &path)? else { return Ok(Get::Absent) };
        let failed = |error| Failure { step: Step::Read, error }.into_error(Operation::Get, key);
        let metadata = file.metadata().map_err(failed)?;
        let size = metadata.len();
        if options.range.is_some() && size > SMALL_BYTES {
            let revision = self.hashes.revision(&file, &metadata).map_err(failed)?;
            if options.if_changed_from.as_ref() == Some(&revision) {
                return Ok(Get::NotModified);
            }
            let range = cut(key, options.range.clone(), size)?;
            let mut bytes = vec![0; (range.end - range.start) as usize];
            file.read_exact_at(&mut bytes, range.start).map_err(failed)?;
            return Ok(Get::Found(Object { bytes: bytes.into(), revision, size }));
        }
        let bytes = read(file).map_err(failed)?;
        let revision = revision_of(&bytes);
        if options.if_changed_from.as_ref() == Some(&revision) {
            return Ok(Get::NotModified);
        }
        let size = bytes.len() as u64;
        let range = cut(key, options.range.clone(), size)?;
        Ok(Get::Found(Object { bytes: bytes.slice(range.start as usize..range.end as usize), revision, size }))
    }

    pub(super) fn put(&self, key: &Key, body: &[u8], precondition: &Precondition) -> Result<Outcome, StoreError> {
        self.writable(Operation::Put, key)?;
        let path = self.locate(Operation::Put, key.as_str())?;
        // Not needed for safety, which the link and the lock give: it spares the loser the writing of a file.
        let holds = match precondition {
            Precondition::None => true,
            Precondition::IfAbsent => !self.exists(key, &path)?,
            Precondition::IfMatch(expected) => self.is_in(key, &path, expected)?,
        };
        if !holds {
            return Ok(Outcome::Rejected);
        }
        let failed = |failure: Failure| failure.into_error(Operation::Put, key);
        let folder = path.parent().expect("a key's path lies below the root");
        self.ensure_folder(folder).map_err(failed)?;
        let temporary = Temporary::write(&self.root.join(TEMPORARY), body, &self.traps).map_err(failed)?;
        let placed = match precondition {
            Precondition::IfAbsent => self.link(key, &temporary, &path),
            Precondition::None => match self.link(key, &temporary, &path) {
                Ok(Placed::No) => self.overwrite(key, temporary, &path, None),
                placed => placed,
            },
            Precondition::IfMatch(expected) => self.overwrite(key, temporary, &path, Some(expected)),
        }?;
        match placed {
            Placed::No => Ok(Outcome::Rejected),
            Placed::Perhaps(failure) => Ok(Outcome::Unknown(failed(failure))),
            // What is seen by others but not synced is doubt: a power cut may take it back.
            Placed::Yes => match self.sync_folder(folder) {
                Ok(()) => Ok(Outcome::Committed(revision_of(body))),
                Err(failure) => Ok(Outcome::Unknown(failed(failure))),
            },
        }
    }

    pub(super) fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> Result<Page, StoreError> {
        let path = if prefix.as_str().is_empty() { self.root.clone() } else { self.locate(Operation::List, prefix.as_str())? };
        let failed = |failure: Failure| failure.into_error(Operation::List, prefix);
        // A folder that is read while names in it are replaced may show neither the old nor the new.
        let lock = self.lock(false).map_err(failed)?;
        let page = self.traps.pass(Step::Read).and_then(|()| walk(&path, &prefix.start(), after.map(Key::as_str), limit));
        drop(lock);
        page.during(Step::Read).map_err(failed)
    }

    pub(super) fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        let Some(first) = keys.first() else { return Ok(()) };
        self.writable(Operation::Delete, first)?;
        let paths = keys.iter().map(|key| self.locate(Operation::Delete, key.as_str())).collect::<Result<Vec<_>, _>>()?;
        let mut folders = BTreeSet::new();
        let lock = self.lock(true).map_err(|failure| failure.into_error(Operation::Delete, first))?;
        for (key, path) in keys.iter().zip(&paths) {
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => continue,
                _ => {}
            }
            match self.traps.pass(Step::Remove).and_then(|()| fs::remove_file(path)) {
                Ok(()) => {}
                // Somebody else's deletion may not be synced yet, so its folder is synced all the same.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::NotADirectory) => continue,
                Err(error) => return Err(Failure { step: Step::Remove, error }.into_error(Operation::Delete, key)),
            }
            folders.extend(path.parent());
        }
        drop(lock);
        for folder in folders {
            match self.sync_folder(folder) {
                Err(Failure { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(|failure| failure.into_error(Operation::Delete, first))?,
            }
        }
        Ok(())
    }

    /// Syncs the folder `prefix` and every folder above it, up to the root.
    pub(super) fn settle(&self, prefix: &Prefix) -> Result<(), StoreError> {
        let path = if prefix.as_str().is_empty() { self.root.clone() } else { self.locate(Operation::Get, prefix.as_str())? };
        for folder in path.ancestors().take_while(|folder| folder.starts_with(&self.root)) {
            match self.sync_folder(folder) {
                Err(Failure { error, .. }) if error.kind() == io::ErrorKind::NotFound && folder != self.root => {}
                result => result.map_err(|failure| failure.into_error(Operation::Get, prefix))?,
            }
        }
        Ok(())
    }

    fn writable(&self, operation: Operation, key: &Key) -> Result<(), StoreError> {
        if self.read_only {
            return Err(StoreError::new(ErrorKind::Unsupported, operation, key, "the directory was opened for reading only"));
        }
        Ok(())
    }

    /// The path of a key or prefix. No segment of it may be a symbolic link: it could lead out of the root.
    fn locate(&self, operation: Operation, text: &str) -> Result<PathBuf, StoreError> {
        let mut path = self.root.clone();
        let mut there = true;
        for segment in text.split('/') {
            path.push(segment);
            if there {
                match path.symlink_metadata() {
                    Ok(metadata) if metadata.is_symlink() => {
                        let reason = format!("{segment:?} in its path is a symbolic link, which is not followed");
                        return Err(StoreError::new(ErrorKind::Unsupported, operation, text, reason));
                    }
                    Ok(_) => {}
                    Err(_) => there = false,
                }
            }
        }
        Ok(path)
    }

    /// The object's file; none if there is no such object.
    fn open_object(&self, operation: Operation, key: &Key, path: &Path) -> Result<Option<File>, StoreError> {
        // Without O_NONBLOCK, opening a named pipe that somebody left here would wait for ever.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file =
            self.traps.pass(Step::Read).and_then(|()| OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path));
        let file = match file {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(Failure { step: Step::Read, error }.into_error(operation, key)),
        };
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(Some(file)),
            Ok(metadata) if metadata.is_dir() => Ok(None),
            Ok(_) => Err(StoreError::new(ErrorKind::Unsupported, operation, key, "it is neither a file nor a folder")),
            Err(error) => Err(Failure { step: Step::Read, error }.into_error(operation, key)),
        }
    }

    fn exists(&self, key: &Key, path: &Path) -> Result<bool, StoreError> {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => Err(is_folder(key)),
            Ok(_) => Ok(true),
            Err(_) => Ok(false),
        }
    }

    fn is_in(&self, key: &Key, path: &Path, expected: &Revision) -> Result<bool, StoreError> {
        let Some(file) = self.open_object(Operation::Put, key, path)? else { return Ok(false) };
        let bytes = read(file).during(Step::Read).map_err(|failure| failure.into_error(Operation::Put, key))?;
        Ok(revision_of(&bytes) == *expected)
    }

    /// Gives the file the object's name, if nothing has it: the system lets exactly one of several succeed.
    fn link(&self, key: &Key, temporary: &Temporary, path: &Path) -> Result<Placed, StoreError> {
        let mut linked = self.traps.pass(Step::Link).and_then(|()| fs::hard_link(temporary.path(), path));
        if linked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            // Somebody removed the folder from outside, so what is remembered of folders is worth nothing.
            self.durable.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let folder = path.parent().expect("a key's path lies below the root");
            self.ensure_folder(folder).map_err(|failure| failure.into_error(Operation::Put, key))?;
            linked = fs::hard_link(temporary.path(), path);
        }
        match linked {
            Ok(()) => Ok(Placed::Yes),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.exists(key, path)?;
                Ok(Placed::No)
            }
            Err(error) => Placed::failed(key, Step::Link, error),
        }
    }

    /// Replaces the object by the file, if it is in the `expected` revision or none is expected.
    fn overwrite(&self, key: &Key, temporary: Temporary, path: &Path, expected: Option<&Revision>) -> Result<Placed, StoreError> {
        let lock = self.lock(true).map_err(|failure| failure.into_error(Operation::Put, key))?;
        if let Some(expected) = expected
            && !self.is_in(key, path, expected)?
        {
            return Ok(Placed::No);
        }
        if path.is_dir() {
            return Err(is_folder(key));
        }
        let renamed = self.traps.pass(Step::Rename).and_then(|()| fs::rename(temporary.path(), path));
        drop(lock);
        match renamed {
            Ok(()) => {
                temporary.renamed();
                Ok(Placed::Yes)
            }
            Err(error) => Placed::failed(key, Step::Rename, error),
        }
    }

    /// Makes the folder and those above it, so that a power cut cannot take them back.
    fn ensure_folder(&self, folder: &Path) -> Result<(), Failure> {
        if folder == self.root || self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(folder) {
            return Ok(());
        }
        let parent = folder.parent().expect("a folder other than the root lies below it");
        self.ensure_folder(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Failure { step: Step::MakeTemporary, error }),
            Err(_) if !folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) => {
                let error = io::Error::new(io::ErrorKind::NotADirectory, "an object has the name of a folder");
                return Err(Failure { step: Step::Link, error });
            }
            _ => {}
        }
        // Also where it was there: another process may have made it a moment ago and not synced it yet.
        self.sync_folder(parent)?;
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() >= MAX_DURABLE {
            durable.clear();
        }
        durable.insert(folder.to_owned());
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), Failure> {
        self.traps.pass(Step::SyncFolder).and_then(|()| File::open(folder)?.sync_all()).during(Step::SyncFolder)
    }

    /// The store's lock, held until the file is dropped. It belongs to this open file, so threads of one process exclude each other too.
    fn lock(&self, exclusive: bool) -> Result<Option<File>, Failure> {
        let opened = self.traps.pass(Step::Lock).and_then(|()| File::open(self.root.join(LOCK)));
        let file = match opened {
            Ok(file) => file,
            // Nobody ever opened this directory for writing, so nothing is replaced or removed in it.
            Err(error) if self.read_only && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure { step: Step::Lock, error }),
        };
        loop {
            match if exclusive { file.lock() } else { file.lock_shared() } {
                Ok(()) => return Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure { step: Step::Lock, error }),
            }
        }
    }
}

/// Whether a file got its object's name.
enum Placed {
    Yes,
    No,
    Perhaps(Failure),
}

impl Placed {
    fn failed(key: &Key, step: Step, error: io::Error) -> Result<Self, StoreError> {
        let sure = changed_nothing(&error);
        let failure = Failure { step, error };
        if sure { Err(failure.into_error(Operation::Put, key)) } else { Ok(Self::Perhaps(failure)) }
    }
}

fn is_folder(key: &Key) -> StoreError {
    StoreError::new(ErrorKind::Invalid, Operation::Put, key, "it is a folder of other objects")
}

fn read(mut file: File) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// Makes the directory and those above it that are missing, each synced into the one above.
fn make_all(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let missing = path.ancestors().take_while(|folder| !folder.exists()).collect::<Vec<_>>();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}
