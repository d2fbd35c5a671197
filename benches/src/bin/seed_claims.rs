//! What the design replaces, side by side with what replaces it: reading exact counts, learning what changed, and writes that race.
//!
//! `cargo run --release -p brainy-benches --bin seed-claims -- [--store URL] [--nouns 2500] [--commits 500] [--raises 200]`
//!
//! Counts of requests and bytes do not depend on the machine's load, and every way to an answer is checked against the others. The scanning way reads
//! every object of the store; since brainy's log packs many items into one object, it is also run on the same items laid out
//! one an object, as JSON, which is how systems that scan keep them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to people")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::{Arc, Barrier, OnceLock};
use std::time::Duration;

use brainy::{Brainy, ErrorKind, Freshness, Metric, Mode, Statistics, Usage};
use brainy_benches::{COUNTER, DIMENSION, Vectors, counter, noun, put};
use brainy_coordination::{Environment, find_tail, read_descriptor};
use brainy_core::{NounDraft, SequenceNumber};
use brainy_engine::decode_counters;
use brainy_storage::{Get, GetOptions, InMemoryStore, Key, LocalOptions, LocalStore, Metered, Precondition, Prefix, Store};
use bytes::Bytes;
use serde_json::json;
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "seed-claims [--store URL] [--nouns 2500] [--commits 500] [--raises 200]";
/// Items of one transaction of the import.
const IMPORTED_AT_ONCE: usize = 100;
/// Instances that raise one counter at once.
const RAISERS: usize = 4;
/// Keys of one page of a listing, as S3 has it.
const PAGE: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Plan {
    url: String,
    nouns: usize,
    commits: usize,
    raises: u64,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Plan, Failure> {
    let mut plan = Plan { url: "memory://".into(), nouns: 2_500, commits: 500, raises: 200 };
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        match name.as_str() {
            "--store" => plan.url = value,
            "--nouns" => plan.nouns = value.parse()?,
            "--commits" => plan.commits = value.parse()?,
            "--raises" => plan.raises = value.parse()?,
            _ => return Err(format!("unknown argument {name}\n{USAGE}").into()),
        }
    }
    Ok(plan)
}

fn run() -> Result<(), Failure> {
    let Plan { url, nouns, commits, raises } = parse(std::env::args().skip(1))?;
    let vectors = Vectors::load();
    println!("{vectors}");
    let drafts: Vec<_> = (0..nouns + commits).map(|at| noun(&format!("noun-{at}"), &vectors.base[at % vectors.base.len()])).collect();

    let raw = raw_store(&url)?;
    let handle =
        || Brainy::builder(&*url).store(Arc::clone(&raw)).dimension(DIMENSION).metric(Metric::Cosine).mode(Mode::WriteOnly).follow(false);
    let writer = block_on(handle().create())?;
    println!("\n{nouns} nouns imported {IMPORTED_AT_ONCE} at once, then {commits} commits of one noun, on {}", raw.location());
    let last = block_on(write_all_but_one(&writer, &drafts, nouns))?;
    let follower = block_on(handle().open())?.with_freshness(Freshness::Latest);
    let scans = block_on(async {
        println!("\n## Learning what changed\n");
        learn(&writer, &follower, last).await?;
        let scans = Scans { store: scan(Arc::clone(&raw)).await?, items: scan(item_layout(&drafts).await?).await? };
        scans.print();
        Ok::<_, Failure>(scans)
    })?;
    block_on(async {
        println!("\n## Exact counts\n");
        count(&writer, &follower, &raw, drafts.len()).await?;
        scans.print();
        match scans.items.objects {
            objects if objects == drafts.len() => Ok(()),
            objects => Err(Failure::from(format!("{objects} items scanned, {} written", drafts.len()))),
        }
    })?;
    println!("\n## Writes that race\n");
    races(&handle, &raw, raises)
}

/// Imports the first of `drafts`, `imported` of them, then commits the others one by one, but for the last, which comes back.
async fn write_all_but_one<'a>(writer: &Brainy, drafts: &'a [NounDraft], imported: usize) -> Result<&'a NounDraft, Failure> {
    let (imported, single) = drafts.split_at(imported);
    for chunk in imported.chunks(IMPORTED_AT_ONCE) {
        let filled = chunk.iter().cloned().map(put).fold(writer.transaction(), |transaction, operation| transaction.push(operation));
        filled.commit().await?;
    }
    let (last, others) = single.split_last().ok_or("at least one commit is needed")?;
    for draft in others {
        writer.put(draft.clone()).await?;
    }
    Ok(last)
}

/// What an open instance asks to take in one commit, and to learn that nothing changed.
async fn learn(writer: &Brainy, follower: &Brainy, last: &NounDraft) -> Result<(), Failure> {
    let (_, taken) = usage_of(follower, async {
        writer.put(last.clone()).await?;
        follower.refresh().await
    })
    .await?;
    if follower.get(&last.id).await?.is_none() {
        return Err("the follower did not take in the newest noun".into());
    }
    let (_, idle) = usage_of(follower, follower.refresh()).await?;
    heading();
    line("one new commit of one noun, by an instance that is open", &taken);
    line("nothing changed, by an instance that is open", &idle);
    Ok(())
}

/// What the ways to the exact counts ask; all must agree.
async fn count(writer: &Brainy, follower: &Brainy, raw: &Arc<dyn Store>, nouns: usize) -> Result<(), Failure> {
    let expected = writer.with_freshness(Freshness::Latest).statistics().await?.statistics;
    let bounded = follower.with_freshness(Freshness::Bounded(PATIENCE));
    let (young, young_usage) = usage_of(follower, bounded.statistics()).await?;
    let (latest, latest_usage) = usage_of(follower, follower.statistics()).await?;
    let (cold, cold_usage) = peek(raw).await?;
    for (how, found) in [("bounded", &young.statistics), ("latest", &latest.statistics), ("peek", &cold)] {
        if *found != expected || found.nouns != nouns as u64 {
            return Err(format!("{how}: {found:?}, not {expected:?} with {nouns} nouns").into());
        }
    }
    heading();
    line("`statistics()` of an open handle, answer at most 60 s old", &young_usage);
    line("`statistics()` of an open handle, latest", &latest_usage);
    line("what `Brainy::peek` reads, nothing open before", &cold_usage);
    Ok(())
}

/// Drives a future on one runtime: a bucket that is asked without a handle needs one.
fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| RuntimeBuilder::new_multi_thread().enable_all().build().expect("a runtime can be started")).block_on(future)
}

fn raw_store(url: &str) -> Result<Arc<dyn Store>, Failure> {
    if url.starts_with("memory://") {
        return Ok(Arc::new(InMemoryStore::new()));
    }
    if let Some(path) = url.strip_prefix("file://") {
        return Ok(Arc::new(LocalStore::open(path, LocalOptions::default().with_create(true))?));
    }
    Ok(Arc::new(brainy_storage_s3::S3Store::open_url(url)?))
}

/// What `work` returned, and what a handle asked of the store meanwhile.
async fn usage_of<T>(handle: &Brainy, work: impl Future<Output = Result<T, brainy::Error>>) -> Result<(T, Usage), Failure> {
    let before = handle.usage();
    let done = work.await?;
    Ok((done, handle.usage().since(&before)))
}

struct Scan {
    objects: usize,
    usage: Usage,
}

struct Scans {
    store: Scan,
    items: Scan,
}

impl Scans {
    fn print(&self) {
        line("full scan of the same store", &self.store.usage);
        line("full scan of the same items, one JSON object each", &self.items.usage);
    }
}

/// Lists everything and reads it.
async fn scan(store: Arc<dyn Store>) -> Result<Scan, Failure> {
    let store = Metered::<dyn Store>::new(store);
    let (mut after, mut objects) = (None, 0);
    loop {
        let page = store.list(&Prefix::root(), after.as_ref(), PAGE).await?.value;
        for entry in &page.entries {
            let Get::Found(_) = store.get(&entry.key, GetOptions::whole()).await?.value else {
                return Err(format!("{} was listed and is not there", entry.key).into());
            };
            objects += 1;
        }
        after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            return Ok(Scan { objects, usage: store.snapshot() });
        }
    }
}

/// The same items in a store of one JSON object each.
async fn item_layout(drafts: &[NounDraft]) -> Result<Arc<dyn Store>, Failure> {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    for (at, draft) in drafts.iter().enumerate() {
        let vector = draft.vector.as_ref().map(|vector| vector.as_slice().to_vec());
        let body = json!({"id": draft.id.as_str(), "noun": draft.kind.as_str(), "vector": vector, "metadata": draft.metadata.to_value()});
        store.put(&Key::new(format!("nouns/{at}.json"))?, Bytes::from(body.to_string()), Precondition::None).await?;
    }
    Ok(store)
}

/// The reads of [`Brainy::peek`], on a counted store.
async fn peek(raw: &Arc<dyn Store>) -> Result<(Statistics, Usage), Failure> {
    let metered = Arc::new(Metered::<dyn Store>::new(Arc::clone(raw)));
    let counted: Arc<dyn Store> = Arc::<Metered>::clone(&metered);
    let environment = Environment::new(counted);
    let deadline = environment.clock.now().after(PATIENCE);
    let descriptor = read_descriptor(&environment, deadline).await?;
    let first = SequenceNumber::new(descriptor.first_seq).ok_or("the store has no first slot")?;
    let tail = find_tail(&environment, first, deadline).await?.ok_or("the log is empty")?;
    let summary = tail.header.summary.ok_or("the newest slot states no counts")?;
    Ok((decode_counters(&summary.counters)?, metered.snapshot()))
}

fn heading() {
    println!("| | requests | PUT | GET | LIST | bytes received |");
    println!("| --- | --- | --- | --- | --- | --- |");
}

fn line(what: &str, usage: &Usage) {
    let received = usage.get.bytes_down + usage.list.bytes_down;
    let (puts, gets, lists) = (usage.put.requests(), usage.get.requests(), usage.list.requests());
    println!("| {what} | {} | {puts} | {gets} | {lists} | {received} |", usage.requests());
}

/// Several instances raise one counter at once: by compare-and-swap on its version, and by reading and overwriting an object.
fn races(handle: &(impl Fn() -> brainy::Builder + Sync), raw: &Arc<dyn Store>, raises: u64) -> Result<(), Failure> {
    let expected = RAISERS as u64 * raises;
    let first = block_on(handle().open())?;
    block_on(first.put(counter(0)))?;
    let conflicts: u64 = together(|start| {
        let opened = block_on(handle().open());
        start.wait();
        let db = opened?.with_freshness(Freshness::Latest).with_deadline(PATIENCE);
        let mut conflicts = 0;
        for _ in 0..raises {
            while !raise(&db)? {
                conflicts += 1;
            }
        }
        Ok(conflicts)
    })?;
    let swapped = read_counter(&first.with_freshness(Freshness::Latest))?.1;

    let key = Key::new("overwritten-counter")?;
    block_on(raw.put(&key, Bytes::from_static(b"0"), Precondition::None))?;
    together(|start| {
        start.wait();
        for _ in 0..raises {
            let value = read_object(raw, &key)? + 1;
            block_on(raw.put(&key, Bytes::from(value.to_string()), Precondition::None))?;
        }
        Ok(0)
    })?;
    let overwritten = read_object(raw, &key)?;
    println!("| {RAISERS} instances, {raises} raises each | counter at the end | lost | told to try again |");
    println!("| --- | --- | --- | --- |");
    println!("| brainy, `update_if_version` | {swapped} | {} | {conflicts} |", expected.abs_diff(swapped));
    println!("| read, then overwrite the object | {overwritten} | {} | 0 |", expected - overwritten);
    if swapped == expected { Ok(()) } else { Err(format!("the counter is {swapped}, not {expected}: updates were lost or doubled").into()) }
}

/// The sum of what all raisers return, each on a thread of its own. Each waits at the barrier once, whatever became of it before.
fn together(one: impl Fn(&Barrier) -> Result<u64, Failure> + Sync) -> Result<u64, Failure> {
    let start = Barrier::new(RAISERS);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..RAISERS).map(|_| scope.spawn(|| one(&start))).collect();
        running.into_iter().map(|thread| thread.join().map_err(|_| Failure::from("a raiser panicked"))?).sum()
    })
}

fn read_counter(db: &Brainy) -> Result<(brainy::Version, u64), Failure> {
    let now = block_on(db.get(COUNTER))?.ok_or("the counter is gone")?;
    Ok((now.version, now.metadata.to_value()["value"].as_u64().ok_or("the counter is no number")?))
}

fn raise(db: &Brainy) -> Result<bool, Failure> {
    let (version, value) = read_counter(db)?;
    match block_on(db.update_if_version(counter(value + 1), version)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read_object(store: &Arc<dyn Store>, key: &Key) -> Result<u64, Failure> {
    let Get::Found(object) = block_on(store.get(key, GetOptions::whole()))?.value else { return Err(format!("{key} is gone").into()) };
    Ok(std::str::from_utf8(&object.bytes)?.parse()?)
}
