//! What only this module can make happen: failures of single steps, and files that should not be there.

use std::fs::{self, File};
use std::path::PathBuf;

use brainy_core::{Nonce, OsEntropy};
use futures_executor::block_on;

use super::failure::Step;
use super::folder::{LOCK, TEMPORARY};
use super::*;
use crate::Revision;

const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EACCES: i32 = 13;
const EMFILE: i32 = 24;
const EIO: i32 = 5;

/// A directory that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("brainy-storage-{}", Nonce::random(&OsEntropy)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> LocalStore {
        LocalStore::open(&self.0, LocalOptions::default()).unwrap()
    }

    fn temporary_files(&self) -> usize {
        fs::read_dir(self.0.join(TEMPORARY)).unwrap().count()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn found(store: &LocalStore, name: &str) -> Option<(Bytes, Revision)> {
    match block_on(store.get(&key(name), GetOptions::whole())).unwrap().value {
        Get::Found(object) => Some((object.bytes, object.revision)),
        _ => None,
    }
}

fn put(store: &LocalStore, name: &str, body: &'static str, precondition: Precondition) -> Result<Outcome, StoreError> {
    block_on(store.put(&key(name), Bytes::from(body), precondition)).map(|answer| answer.value)
}

#[test]
fn a_write_that_fails_leaves_the_old_object_and_nothing_else() {
    let scratch = Scratch::new();
    let store = scratch.open();
    put(&store, "ctl/head", "old", Precondition::None).unwrap();
    let (_, old) = found(&store, "ctl/head").unwrap();
    let cases = [
        (Step::MakeTemporary, EMFILE, ErrorKind::Unavailable),
        (Step::MakeTemporary, EACCES, ErrorKind::Unsupported),
        (Step::MakeTemporary, EROFS, ErrorKind::Unsupported),
        (Step::Write, ENOSPC, ErrorKind::Unavailable),
        (Step::SyncFile, EIO, ErrorKind::Unavailable),
        (Step::Rename, ENOSPC, ErrorKind::Unavailable),
        (Step::Lock, EMFILE, ErrorKind::Unavailable),
    ];
    for (step, errno, kind) in cases {
        for precondition in [Precondition::None, Precondition::IfMatch(old.clone())] {
            store.inner.folder.traps.arm(step, errno);
            let error = put(&store, "ctl/head", "new", precondition).unwrap_err();
            assert_eq!(error.kind(), kind, "{step:?} {error}");
            assert!(error.to_string().contains("ctl/head"), "{error}");
            assert_eq!(found(&store, "ctl/head").unwrap().0, "old", "{step:?}");
            assert_eq!(scratch.temporary_files(), 0, "{step:?}");
        }
    }
    let steps = [(Step::Write, ENOSPC), (Step::SyncFile, EIO), (Step::Link, ENOSPC), (Step::Link, EROFS), (Step::SyncFolder, EMFILE)];
    for (at, (step, errno)) in steps.into_iter().enumerate() {
        // The first folder to be synced is the one above the new folder, before anything has the object's name.
        let name = format!("new{at}/object");
        store.inner.folder.traps.arm(step, errno);
        put(&store, &name, "new", Precondition::IfAbsent).unwrap_err();
        assert_eq!(found(&store, &name), None, "{step:?}");
        assert_eq!(scratch.temporary_files(), 0, "{step:?}");
    }
}

#[test]
fn a_write_that_is_seen_but_not_synced_is_unknown() {
    let scratch = Scratch::new();
    let store = scratch.open();
    put(&store, "log/1", "first", Precondition::IfAbsent).unwrap();
    for (name, body, precondition) in
        [("log/2", "second", Precondition::IfAbsent), ("log/1", "changed", Precondition::IfMatch(found(&store, "log/1").unwrap().1))]
    {
        store.inner.folder.traps.arm(Step::SyncFolder, EIO);
        let outcome = put(&store, name, body, precondition).unwrap();
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        assert_eq!(found(&store, name).unwrap().0, body);
    }
    // An I/O error of the naming itself: it may have come through.
    for (step, precondition) in
        [(Step::Link, Precondition::IfAbsent), (Step::Rename, Precondition::IfMatch(found(&store, "log/1").unwrap().1))]
    {
        store.inner.folder.traps.arm(step, EIO);
        let name = if step == Step::Link { "log/3" } else { "log/1" };
        let outcome = put(&store, name, "third", precondition).unwrap();
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    }
}

#[test]
fn a_failed_read_list_delete_or_settle_is_an_error_and_not_an_empty_answer() {
    let scratch = Scratch::new();
    let store = scratch.open();
    put(&store, "log/1", "first", Precondition::IfAbsent).unwrap();
    let traps = &store.inner.folder.traps;
    traps.arm(Step::Read, EMFILE);
    assert_eq!(block_on(store.get(&key("log/1"), GetOptions::whole())).unwrap_err().kind(), ErrorKind::Unavailable);
    traps.arm(Step::Read, EACCES);
    assert_eq!(block_on(store.list(&Prefix::root(), None, NonZeroUsize::MIN)).unwrap_err().kind(), ErrorKind::Unsupported);
    traps.arm(Step::Remove, EROFS);
    assert_eq!(block_on(store.delete(&key("log/1"))).unwrap_err().kind(), ErrorKind::Unsupported);
    traps.arm(Step::SyncFolder, EIO);
    assert_eq!(block_on(store.settle(&Prefix::new("log").unwrap())).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(found(&store, "log/1").unwrap().0, "first");
    block_on(store.settle(&Prefix::new("log").unwrap())).unwrap();
    block_on(store.settle(&Prefix::new("never/made").unwrap())).unwrap();
}

#[test]
fn opening_sweeps_what_the_dead_left_and_spares_what_the_living_write() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let temporary = scratch.0.join(TEMPORARY);
    fs::write(temporary.join("left"), "half of someth").unwrap();
    let living = File::create(temporary.join("living")).unwrap();
    living.lock().unwrap();
    drop(scratch.open());
    assert!(!temporary.join("left").exists());
    assert!(temporary.join("living").exists());
}

#[test]
fn a_sweep_at_any_moment_takes_no_write() {
    let scratch = Scratch::new();
    let store = scratch.open();
    std::thread::scope(|scope| {
        let write = |writer: u8| {
            let store = &store;
            move || {
                for at in 0..60 {
                    let outcome = put(store, &format!("w{writer}/{at}"), "body", Precondition::IfAbsent).unwrap();
                    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
                }
            }
        };
        let writers = [scope.spawn(write(0)), scope.spawn(write(1))];
        while !writers.iter().all(|writer| writer.is_finished()) {
            temporary::sweep(&scratch.0.join(TEMPORARY)).unwrap();
        }
    });
    assert_eq!(scratch.temporary_files(), 0);
}

#[test]
fn an_object_where_a_folder_should_be_is_a_typed_error_and_stays() {
    let scratch = Scratch::new();
    let store = scratch.open();
    put(&store, "a", "object", Precondition::IfAbsent).unwrap();
    for precondition in [Precondition::None, Precondition::IfAbsent] {
        assert_eq!(put(&store, "a/b", "below", precondition).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(found(&store, "a/b"), None);
    put(&store, "c/d", "below", Precondition::IfAbsent).unwrap();
    for precondition in [Precondition::None, Precondition::IfAbsent] {
        assert_eq!(put(&store, "c", "object", precondition).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(found(&store, "c"), None);
    block_on(store.delete_many(&[key("c"), key("a/b")])).unwrap();
    assert_eq!(found(&store, "a").unwrap().0, "object");
    assert_eq!(found(&store, "c/d").unwrap().0, "below");
    assert_eq!(scratch.temporary_files(), 0);
}

#[test]
fn a_symbolic_link_inside_leads_nowhere() {
    let (scratch, outside) = (Scratch::new(), Scratch::new());
    let store = scratch.open();
    fs::write(outside.0.join("secret"), "outside").unwrap();
    std::os::unix::fs::symlink(&outside.0, scratch.0.join("out")).unwrap();
    std::os::unix::fs::symlink(outside.0.join("secret"), scratch.0.join("file")).unwrap();
    for name in ["out/secret", "file"] {
        let read = block_on(store.get(&key(name), GetOptions::whole())).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::Unsupported, "{read}");
        for precondition in [Precondition::None, Precondition::IfAbsent] {
            assert_eq!(put(&store, name, "inside", precondition).unwrap_err().kind(), ErrorKind::Unsupported);
        }
        assert_eq!(block_on(store.delete(&key(name))).unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert_eq!(put(&store, "out/new", "inside", Precondition::IfAbsent).unwrap_err().kind(), ErrorKind::Unsupported);
    let page = block_on(store.list(&Prefix::root(), None, NonZeroUsize::new(9).unwrap())).unwrap().value;
    assert_eq!(page.entries, []);
    assert_eq!(fs::read_to_string(outside.0.join("secret")).unwrap(), "outside");
    assert_eq!(fs::read_dir(&outside.0).unwrap().count(), 1);
}

#[test]
fn a_ranged_read_of_a_large_object_tells_the_revision_of_what_it_read() {
    let scratch = Scratch::new();
    let store = scratch.open();
    // Replaced again and again, so that the file system hands the numbers of removed files out anew.
    for round in 0..40_u8 {
        let body = Bytes::from(vec![round; 100_000 + usize::from(round % 2)]);
        block_on(store.put(&key("segment"), body.clone(), Precondition::None)).unwrap();
        for _ in 0..2 {
            let Get::Found(part) = block_on(store.get(&key("segment"), GetOptions::range(99_000..99_010))).unwrap().value else { panic!() };
            assert_eq!(part.bytes, body.slice(99_000..99_010));
            assert_eq!(part.revision, found(&store, "segment").unwrap().1, "round {round}");
            let same = GetOptions { range: Some(0..5), if_changed_from: Some(part.revision) };
            assert_eq!(block_on(store.get(&key("segment"), same)).unwrap().value, Get::NotModified);
        }
    }
}

#[test]
fn opening_what_is_no_directory_fails_by_kind_and_makes_nothing() {
    let scratch = Scratch::new();
    let missing = scratch.0.join("missing");
    let error = LocalStore::open(&missing, LocalOptions::default().with_create(false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = LocalStore::open(&missing, LocalOptions::default().with_read_only(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(!missing.exists());
    fs::write(scratch.0.join("file"), "").unwrap();
    assert_eq!(LocalStore::open(scratch.0.join("file"), LocalOptions::default()).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(LocalStore::open(scratch.0.join("file/below"), LocalOptions::default()).unwrap_err().kind(), ErrorKind::Invalid);
    LocalStore::open(scratch.0.join("made/with/parents"), LocalOptions::default()).unwrap();
}

#[test]
fn a_handle_for_reading_changes_nothing_in_the_directory() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.0.join("log")).unwrap();
    fs::write(scratch.0.join("log/1"), "body").unwrap();
    let store = LocalStore::open(&scratch.0, LocalOptions::default().with_read_only(true)).unwrap();
    assert_eq!(found(&store, "log/1").unwrap().0, "body");
    assert_eq!(block_on(store.list(&Prefix::root(), None, NonZeroUsize::MIN)).unwrap().value.entries.len(), 1);
    block_on(store.settle(&Prefix::new("log").unwrap())).unwrap();
    assert_eq!(put(&store, "log/2", "body", Precondition::None).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(block_on(store.delete(&key("log/1"))).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    assert!(!scratch.0.join(LOCK).exists());
}

#[test]
fn a_folder_removed_from_outside_is_made_again() {
    let scratch = Scratch::new();
    let store = scratch.open();
    put(&store, "a/b/1", "body", Precondition::IfAbsent).unwrap();
    fs::remove_dir_all(scratch.0.join("a")).unwrap();
    assert!(matches!(put(&store, "a/b/2", "body", Precondition::IfAbsent).unwrap(), Outcome::Committed(_)));
    assert_eq!(found(&store, "a/b/2").unwrap().0, "body");
}

#[test]
fn a_named_pipe_in_the_directory_does_not_stop_a_reader() {
    let scratch = Scratch::new();
    let store = scratch.open();
    rustix::fs::mknodat(rustix::fs::CWD, scratch.0.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(block_on(store.get(&key("pipe"), GetOptions::whole())).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn without_its_lock_file_nothing_is_replaced_or_removed() {
    let scratch = Scratch::new();
    let store = scratch.open();
    put(&store, "ctl/head", "old", Precondition::IfAbsent).unwrap();
    let (_, old) = found(&store, "ctl/head").unwrap();
    fs::remove_file(scratch.0.join(LOCK)).unwrap();
    put(&store, "ctl/head", "new", Precondition::IfMatch(old)).unwrap_err();
    put(&store, "ctl/head", "new", Precondition::None).unwrap_err();
    block_on(store.delete(&key("ctl/head"))).unwrap_err();
    block_on(store.list(&Prefix::root(), None, NonZeroUsize::MIN)).unwrap_err();
    assert_eq!(found(&store, "ctl/head").unwrap().0, "old");
    assert_eq!(scratch.temporary_files(), 0);
}

#[test]
fn a_dropped_request_is_finished_and_its_thread_serves_the_next() {
    use futures_util::FutureExt;
    let scratch = Scratch::new();
    let store = LocalStore::open(&scratch.0, LocalOptions::default().with_threads(NonZeroUsize::MIN)).unwrap();
    let name = key("log/1");
    drop(store.put(&name, Bytes::from("dropped"), Precondition::IfAbsent).now_or_never());
    // The only thread takes requests in order, so the dropped one is done before this one.
    assert_eq!(found(&store, "log/1").unwrap().0, "dropped");
}
