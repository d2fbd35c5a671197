//! The parent: makes the store, runs the services, and checks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use brainy::{Brainy, Clock as _, Entropy as _, Freshness, ItemFilter, Metric, Mode, Noun, SequenceNumber, Verb, VerbQuery};
use brainy_core::{Moment, OsEntropy, SystemClock};
use futures_executor::block_on;

use crate::Failure;
use crate::check::{self, Check, Contents, Logged};
use crate::data::Data;
use crate::fleet::{Fleet, Sentence};
use crate::journal::{Journal, Stage, View};
use crate::options::Options;
use crate::plan::Plan;
use crate::scan::full_scan;
use crate::search::counts;
use crate::table::{Table, bytes, count};

/// How long a call of the parent may take: its first read is of everything.
const DEADLINE: Duration = Duration::from_secs(300);
/// Items read at once.
const PAGE: usize = 1_000;
/// Faults shown of each check.
const SHOWN: usize = 5;

/// Runs everything. The code says whether it held.
pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let begun = SystemClock.now();
    let seed = options.seed.unwrap_or_else(random);
    let data = Data::read(&options.data)?;
    let fresh = if options.store.is_none() { Some(Fresh::new()?) } else { None };
    let url = options.store.clone().or_else(|| fresh.as_ref().map(Fresh::url)).expect("one of both is there");
    let held = share(options, &data, &url, seed, begun);
    match fresh {
        Some(fresh) if !options.keep && matches!(held, Ok(true)) => fresh.remove()?,
        Some(fresh) => println!("The store stays in {}", fresh.0.display()),
        None => {}
    }
    let held = held?;
    let verdict = if held { "Everything held." } else { "Something did not hold." };
    println!("{verdict} {:.1} s, seed {seed}", seconds(begun));
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Has the services share the store at `url`, shows what came of it, and says whether everything held.
fn share(options: &Options, data: &Data, url: &str, seed: u64, begun: Moment) -> Result<bool, Failure> {
    println!("{} services share {url}", options.services);
    println!("{} packages, {} relations; seed {seed}\n", count(data.packages.len() as u64), count(data.relations.len() as u64));
    let builder = Brainy::builder(url).dimension(data.dimension).metric(Metric::Cosine).mode(Mode::WriteOnly);
    let db = block_on(builder.follow(false).deadline(DEADLINE).create())?;

    let plans: Vec<Plan> = (0..options.services).map(|service| Plan::new(data, options.services, service, seed)).collect();
    let mut fleet = Fleet::start(options, url, seed, Sentence::new(&plans, seed), |text| println!("  {text}"))?;
    for (stage, what) in [
        (Stage::Import, "All import packages; each package is the work of two of them …"),
        (Stage::Relate, "All relate packages …"),
        (Stage::Change, "All change and delete the same few packages …"),
    ] {
        println!("{:>7.1} s  {what}", seconds(begun));
        fleet.work(stage)?;
    }
    // Nobody writes any more: this is the end of the log.
    let token = block_on(db.refresh())?;
    let unchanged = {
        let before = db.usage();
        block_on(db.refresh())?;
        db.usage().since(&before)
    };
    println!("{:>7.1} s  All look at slot {} and search, by the index and exactly …", seconds(begun), token.seq);
    let views = fleet.views(&token.to_string())?;
    fleet.close()?;

    println!("{:>7.1} s  The parent reads the log and replays it with plain maps …\n", seconds(begun));
    let own = counts(&db)?;
    let log = read_log(&db, token.seq)?;
    let contents = read_contents(&db)?;
    let scan = full_scan(url)?;

    print!("{}", services_table(&fleet, options.services));
    println!();
    print!("{}", views_table(&own, &views));
    println!();
    let spent = fleet.spent();
    let mut table = Table::new(&["to stay in step", "requests", "bytes down"]);
    for (service, spent) in spent.iter().enumerate() {
        table.row(vec![format!("service-{service}, the whole run"), count(spent.reads), bytes(spent.down)]);
    }
    table.row(vec!["one look when nothing changed".into(), count(unchanged.requests()), bytes(unchanged.get.bytes_down)]);
    let (requests, down) = (scan.requests(), scan.get.bytes_down + scan.list.bytes_down);
    table.row(vec!["one full scan (list, get all)".into(), count(requests), bytes(down)]);
    let looks = spent.iter().map(|spent| spent.looks).max().unwrap_or_default();
    table.row(vec![format!("{} looks by full scans instead", count(looks)), count(requests * looks), bytes(down * looks)]);
    println!("{table}");

    let mut checks = check::history(data, &fleet.journal, &log, &contents);
    checks.extend(check::views(&own, &views));
    checks.extend(check::proof(&fleet.journal, &log, options.services, fleet.in_flight.len()));
    Ok(report(&checks))
}

fn seconds(begun: Moment) -> f64 {
    SystemClock.now().since(begun).as_secs_f64()
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    OsEntropy.fill(&mut bytes);
    // Short enough to be typed again.
    u64::from_le_bytes(bytes) % 1_000_000
}

/// A folder made for this run.
struct Fresh(PathBuf);

impl Fresh {
    fn new() -> Result<Self, Failure> {
        let name = format!("brainy-shared-services-{}-{}", std::process::id(), random());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    fn url(&self) -> String {
        format!("file://{}", Path::display(&self.0))
    }

    fn remove(self) -> Result<(), Failure> {
        std::fs::remove_dir_all(&self.0).map_err(|error| format!("{}: {error}", self.0.display()).into())
    }
}

fn read_log(db: &Brainy, last: u64) -> Result<Vec<Logged>, Failure> {
    let mut log = Vec::new();
    for number in 1..=last {
        let seq = SequenceNumber::new(number).ok_or("slots are numbered from 1")?;
        let slot = block_on(db.log_slot(seq))?.ok_or_else(|| format!("the log has a gap at slot {number}"))?;
        log.extend(slot.transactions.into_iter().map(|transaction| Logged {
            at: (transaction.version.seq.get(), transaction.version.ordinal),
            op: transaction.op.to_string(),
            effective: transaction.effective,
            operations: transaction.operations,
        }));
    }
    Ok(log)
}

fn read_contents(db: &Brainy) -> Result<Contents, Failure> {
    let db = db.with_freshness(Freshness::Local);
    let (mut nouns, mut verbs): (Vec<Noun>, Vec<Verb>) = (Vec::new(), Vec::new());
    loop {
        let page = block_on(db.scan(nouns.last().map(|noun| &noun.id), PAGE, &ItemFilter::all()))?;
        if page.is_empty() {
            break;
        }
        nouns.extend(page);
    }
    loop {
        let query = VerbQuery::all().with_limit(PAGE);
        let page = block_on(db.verbs(&match verbs.last() {
            Some(verb) => query.with_after(verb.id.clone()),
            None => query,
        }))?;
        if page.is_empty() {
            break;
        }
        verbs.extend(page);
    }
    Ok(Contents { nouns, verbs, statistics: block_on(db.statistics())?.statistics })
}

fn services_table(fleet: &Fleet<'_>, services: usize) -> Table {
    let heading = ["", "acknowledged", "conflicts", "unknown, resolved", "lost races", "searches", "requests", "bytes up", "bytes down"];
    let mut table = Table::new(&heading);
    let numbers = |journal: &Journal, service: usize| {
        let of = |wanted: fn(&crate::journal::Attempt) -> bool| journal.of(service).filter(|(_, attempt)| wanted(attempt)).count() as u64;
        [of(|attempt| attempt.is_committed()), of(|attempt| attempt.is_conflict()), of(|attempt| attempt.resolved)]
    };
    for (service, spent) in fleet.spent().iter().take(services).enumerate() {
        let killed = if fleet.was_killed(service) { " (killed, and back)" } else { "" };
        let mut cells = vec![format!("service-{service}{killed}")];
        cells.extend(numbers(&fleet.journal, service).map(count));
        cells.extend([spent.lost_races, spent.searches, spent.requests].map(count));
        cells.extend([spent.up, spent.down].map(bytes));
        table.row(cells);
    }
    table
}

fn views_table(own: &View, views: &[View]) -> Table {
    let mut table = Table::new(&["as seen by", "packages", "other items", "relations", "digest", "recall@10"]);
    let mut row = |name: String, view: &View| {
        let recall = if view.queries > 0 { format!("{:.4}", view.recall) } else { "–".into() };
        let digest = view.digest.chars().take(16).collect();
        table.row(vec![name, count(view.packages), count(view.nouns - view.packages), count(view.verbs), digest, recall]);
    };
    for (service, view) in views.iter().enumerate() {
        row(format!("service-{service}"), view);
    }
    row("the parent".into(), own);
    table
}

/// Prints what held and what did not; whether all did.
fn report(checks: &[Check]) -> bool {
    for Check { claim, faults } in checks {
        println!("{} {claim}", if faults.is_empty() { "✓" } else { "✗" });
        for fault in faults.iter().take(SHOWN) {
            println!("    {fault}");
        }
        if faults.len() > SHOWN {
            println!("    and {} more", faults.len() - SHOWN);
        }
    }
    println!();
    checks.iter().all(|check| check.faults.is_empty())
}
