use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::error::Error;
use crate::keys;
use crate::wake::{Bell, WakeSource};

/// File-system events of a directory store: wakes whenever an entry appears in its folder of slots, whichever process made it.
///
/// Events are the operating system's (inotify on Linux): none come from other machines through a network file system, and a folder that was replaced under
/// a running process is no longer watched. Then the log is followed by polling alone.
///
/// Handles of one process on one directory share a watch and a thread, which end with the last of them.
#[derive(Debug)]
pub struct FileWake {
    watch: Arc<Watch>,
    bell: Arc<Bell>,
}

/// One watch of one directory.
struct Watch {
    root: PathBuf,
    bells: Arc<Mutex<Vec<Weak<Bell>>>>,
    state: Mutex<State>,
}

struct State {
    watcher: RecommendedWatcher,
    /// Whether the folder of slots is watched; before there is one, the root is, for its coming.
    on_log: bool,
}

/// Shows where.
impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("root", &self.root).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileWake {
    /// Watches the store in the directory `root`, which must be there. Nothing is changed in it.
    ///
    /// # Errors
    /// [`Error::NoEvents`]: the system gives none (a limit on watches, an unsupported file system). The log can be followed without.
    pub fn watch(root: &Path) -> Result<Self, Error> {
        static WATCHES: LazyLock<Mutex<HashMap<PathBuf, Weak<Watch>>>> = LazyLock::new(Mutex::default);
        let no_events = |error: &dyn std::fmt::Display| Error::NoEvents { place: root.display().to_string(), reason: error.to_string() };
        let root = root.canonicalize().map_err(|error| no_events(&error))?;
        let bell = Arc::new(Bell::new());
        let mut watches = lock(&WATCHES);
        // As many as there are directories with a handle.
        watches.retain(|_, watch| watch.strong_count() > 0);
        let watch = match watches.get(&root).and_then(Weak::upgrade) {
            Some(watch) => watch,
            None => {
                let watch = Arc::new(Watch::start(root.clone()).map_err(|error| no_events(&error))?);
                watches.insert(root, Arc::downgrade(&watch));
                watch
            }
        };
        drop(watches);
        lock(&watch.bells).push(Arc::downgrade(&bell));
        Ok(Self { watch, bell })
    }
}

impl Watch {
    fn start(root: PathBuf) -> Result<Self, notify::Error> {
        let bells: Arc<Mutex<Vec<Weak<Bell>>>> = Arc::default();
        let rung = Arc::clone(&bells);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a slot is an event too: woken by it, readers would wake each other for ever. An error may stand for lost events.
            if event.is_ok_and(|event| !appears(&event)) {
                return;
            }
            let bells: Vec<_> = lock(&rung).iter().filter_map(Weak::upgrade).collect();
            bells.iter().for_each(|bell| bell.ring());
        })?;
        let watch = Self { root, bells, state: Mutex::new(State { watcher, on_log: false }) };
        if !watch.reach_log() {
            lock(&watch.state).watcher.watch(&watch.root, RecursiveMode::NonRecursive)?;
            // It may have come between the two.
            watch.reach_log();
        }
        Ok(watch)
    }

    /// Watches the folder of slots once it is there; whether it does.
    fn reach_log(&self) -> bool {
        let mut state = lock(&self.state);
        if state.on_log {
            return true;
        }
        let log = self.root.join(keys::log().as_str());
        if !log.is_dir() {
            return false;
        }
        state.on_log = state.watcher.watch(&log, RecursiveMode::NonRecursive).is_ok();
        if state.on_log {
            // Nothing else in the root is of interest; where it was never watched there is nothing to end.
            state.watcher.unwatch(&self.root).ok();
        }
        state.on_log
    }
}

/// Whether a name came into being.
fn appears(event: &notify::Event) -> bool {
    event.need_rescan()
        || match event.kind {
            EventKind::Create(_) | EventKind::Any | EventKind::Other => true,
            EventKind::Modify(ModifyKind::Name(mode)) => !matches!(mode, RenameMode::From),
            EventKind::Access(_) | EventKind::Modify(_) | EventKind::Remove(_) => false,
        }
}

impl WakeSource for FileWake {
    fn poll_wake(&self, context: &mut Context<'_>) -> Poll<()> {
        let woken = self.bell.poll_wake(context);
        if woken.is_ready() {
            self.watch.reach_log();
        }
        woken
    }
}

impl Drop for FileWake {
    fn drop(&mut self) {
        let own = Arc::downgrade(&self.bell);
        lock(&self.watch.bells).retain(|bell| bell.strong_count() > 0 && !bell.ptr_eq(&own));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use brainy_core::clock::before;
    use brainy_core::{Clock, OsEntropy, SystemClock};
    use futures_executor::block_on;
    use notify::Event;
    use notify::event::{AccessKind, AccessMode, CreateKind, Flag, MetadataKind, RemoveKind};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("brainy-wake-{}", brainy_core::Nonce::random(&OsEntropy)));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    fn heard(wake: &FileWake) {
        // Longer than an event takes on a busy machine.
        let deadline = SystemClock.now().after(Duration::from_secs(60));
        let woken = block_on(before(&SystemClock, deadline, poll_fn(|context| wake.poll_wake(context))));
        assert!(woken.is_some(), "no event came");
    }

    #[test]
    fn a_new_slot_wakes_all_handles_on_the_directory_whether_or_not_the_folder_of_slots_was_there() {
        let folder = Folder::new();
        let [one, two] = [0, 1].map(|_| FileWake::watch(&folder.0).unwrap());
        assert!(Arc::ptr_eq(&one.watch, &two.watch), "handles on one directory share a watch");
        std::fs::create_dir(folder.0.join("log")).unwrap();
        [&one, &two].into_iter().for_each(heard);
        for name in ["1", "2"] {
            std::fs::write(folder.0.join("other"), "").unwrap();
            std::fs::hard_link(folder.0.join("other"), folder.0.join("log").join(name)).unwrap();
            [&one, &two].into_iter().for_each(heard);
        }
        drop(two);
        assert_eq!(lock(&one.watch.bells).len(), 1, "what is dropped is forgotten");
        // With the folder there from the first.
        drop(one);
        let late = FileWake::watch(&folder.0).unwrap();
        std::fs::write(folder.0.join("log").join("3"), "").unwrap();
        heard(&late);
    }

    #[test]
    fn a_directory_that_is_not_there_gives_no_events_and_says_so() {
        let folder = Folder::new();
        let error = FileWake::watch(&folder.0.join("gone")).map(drop).unwrap_err();
        assert!(error.to_string().contains("gone gives no file-system events"), "{error}");
    }

    #[test]
    fn only_what_comes_into_being_wakes() {
        let access = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let metadata = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        for (kind, expected) in [
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Any, true),
            (renamed(RenameMode::To), true),
            (renamed(RenameMode::Both), true),
            (renamed(RenameMode::From), false),
            (access, false),
            (metadata, false),
            (EventKind::Remove(RemoveKind::File), false),
        ] {
            assert_eq!(appears(&Event::new(kind)), expected, "{kind:?}");
        }
        assert!(appears(&Event::new(access).set_flag(Flag::Rescan)), "events were lost: one of them may have been a slot's");
    }
}
