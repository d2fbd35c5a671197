//! Commits of one handle: one after the other, and a hundred handed over at once, which share slots. On memory and on a directory. What was acknowledged
//! is counted at the end.
#![expect(clippy::print_stdout, reason = "a bench talks to people")]

use std::time::Duration;

use brainy::{Brainy, Freshness, Mode};
use brainy_benches::small_noun;
use brainy_core::{Clock, SystemClock};
use criterion::{Criterion, Throughput};
use futures_executor::block_on;

const AT_ONCE: u64 = 100;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, "memory", "memory://");
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("append-{}", SystemClock.wall_ms()));
    bench(&mut criterion, "directory", &format!("file://{}", folder.display()));
    std::fs::remove_dir_all(&folder).expect("the bench made it");
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, name: &str, url: &str) {
    let db = block_on(Brainy::builder(url).dimension(1).mode(Mode::WriteOnly).follow(false).create()).expect("a new store");
    let mut written = 0_u64;
    let mut group = criterion.benchmark_group(format!("append/{name}"));
    group.sample_size(20).throughput(Throughput::Elements(1));
    group.bench_function("one after the other", |bencher| {
        bencher.iter(|| {
            written += 1;
            block_on(db.put(small_noun(&format!("noun-{written}")))).expect("nobody else writes")
        });
    });
    group.throughput(Throughput::Elements(AT_ONCE));
    group.bench_function("100 at once", |bencher| {
        bencher.iter(|| {
            let commits: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    written += 1;
                    db.transaction().put(small_noun(&format!("noun-{written}"))).submit().expect("the queue has room")
                })
                .collect();
            for commit in commits {
                block_on(commit.wait()).expect("nobody else writes");
            }
        });
    });
    group.finish();
    let nouns = block_on(db.with_freshness(Freshness::Latest).statistics()).expect("the store is there").statistics.nouns;
    assert_eq!(nouns, written, "everything acknowledged is there, once");
    let puts = db.usage().put.requests();
    println!("append/{name}: {written} commits in {puts} PUT requests");
    assert!(block_on(db.close(Duration::from_secs(5))).is_empty());
}
