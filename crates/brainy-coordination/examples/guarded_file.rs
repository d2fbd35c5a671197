//! Guards a file outside of the store by a fencing token: processes that may stall at any moment take turns, and the file refuses whoever is of the past.
//!
//! ```text
//! cargo run --example guarded_file            # a store in memory
//! cargo run --example guarded_file -- DIR     # a store in this directory, which must not exist yet
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to people")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{ChangeLog, Environment, Error, Lock, LockOptions, LogOptions, NewStore, NullMachine, Spawn, Task, create_store};
use brainy_core::ErrorKind;
use brainy_storage::{InMemoryStore, LocalOptions, LocalStore, Store};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each task on a thread of its own.
#[derive(Debug)]
struct Threads;

impl Spawn for Threads {
    fn spawn(&self, task: Task) {
        std::thread::spawn(move || futures_executor::block_on(task));
    }
}

/// A file of our own: each line is written under a token, and the file takes none below the highest that it has seen. That check and the write must be one step of the
/// resource itself: here the file has one owner, whom all writers ask; a database would compare in the statement that writes.
struct Report {
    path: PathBuf,
    highest: u64,
}

impl Report {
    fn append(&mut self, token: u64, line: &str) -> std::result::Result<(), String> {
        if token < self.highest {
            return Err(format!("token {token} is of the past, {} has written", self.highest));
        }
        self.highest = token;
        let mut text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.push_str(&format!("{token} {line}\n"));
        std::fs::write(&self.path, text).map_err(|error| error.to_string())
    }
}

/// One process's way to the lock: a log of its own, driven on a thread.
async fn process(store: &Arc<dyn Store>, name: &str) -> Result<(Lock<NullMachine>, ChangeLog<NullMachine>)> {
    let environment = Environment::new(Arc::clone(store));
    let deadline = environment.clock.now().after(PATIENCE);
    match create_store(&environment, &NewStore::new(vec![]), deadline).await {
        Ok(_) | Err(Error::Exists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let log = ChangeLog::open(environment, Arc::new(NullMachine), LogOptions::default(), deadline).await?;
    let driven = log.clone();
    Threads.spawn(Box::pin(async move { drop(driven.run().await) }));
    let options = LockOptions::default().with_ttl(Duration::from_secs(2)).with_poll(Duration::from_millis(20)).with_note(name);
    Ok((Lock::open(&log, Arc::new(Threads), "report", options)?, log))
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).filter(|_| !cfg!(test)).map(PathBuf::from);
    let store: Arc<dyn Store> = match &folder {
        Some(folder) => Arc::new(LocalStore::open(folder, LocalOptions::default().with_create(true))?),
        None => Arc::new(InMemoryStore::new()),
    };
    let path = std::env::temp_dir().join(format!("brainy-report-{}.txt", std::process::id()));
    let mut report = Report { path: path.clone(), highest: 0 };
    futures_executor::block_on(async {
        let (lock_a, log_a) = process(&store, "process a").await?;
        let (lock_b, log_b) = process(&store, "process b").await?;
        let deadline = || log_a.environment().clock.now().after(PATIENCE);

        let first = lock_a.acquire(deadline()).await?;
        report.append(first.token(), "written by a")?;
        let refused = lock_b.try_acquire(deadline()).await.expect_err("a has it");
        println!("b: {refused}");
        assert_eq!(refused.kind(), ErrorKind::Conflict);

        // It releases, and some part of it goes on with the token that it had: a stalled thread, a request on its way.
        let stale = first.token();
        first.release(deadline()).await?;
        let second = lock_b.acquire(deadline()).await?;
        assert!(second.token() > stale);
        report.append(second.token(), "written by b")?;
        let refused = report.append(stale, "written by a, too late").expect_err("it is of the past");
        println!("the report: {refused}");

        // Who keeps the resource may also ask the log which holders are of the past.
        log_a.refresh(deadline()).await?;
        assert_eq!(log_a.highest_claim("report", deadline()).await?, second.token());
        second.release(deadline()).await?;
        for log in [log_a, log_b] {
            assert!(log.close(log.environment().clock.now().after(PATIENCE)).await.is_empty());
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let text = std::fs::read_to_string(&path)?;
    std::fs::remove_file(&path)?;
    print!("{text}");
    assert_eq!(text, "1 written by a\n2 written by b\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_present_holder_writes() {
        super::main().unwrap();
    }
}
