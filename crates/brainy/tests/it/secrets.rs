//! Nothing private in `Debug`, errors or the trace.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brainy::{Brainy, Filter, Freshness, Metadata, Search, Vector};
use futures_executor::block_on;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata as TraceMetadata, Subscriber};

use crate::support::{Act, PATIENCE, Rig, edge, kind, thing};

/// A word, a number and a component that nothing but an item holds.
const WORD: &str = "sesame-4711";
const NUMBER: u64 = 8_315_427_719;
const COMPONENT: f32 = 0.731_593;

/// Keeps the text of every span and event of this process.
#[derive(Clone, Default)]
struct Collector {
    text: Arc<Mutex<String>>,
    next: Arc<AtomicU64>,
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Collector {
    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, what: &TraceMetadata<'_>, fields: impl FnOnce(&mut Fields<'_>)) {
        let mut line = format!("{} {} {}", what.level(), what.target(), what.name());
        fields(&mut Fields(&mut line));
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&line);
        text.push('\n');
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &TraceMetadata<'_>) -> bool {
        *metadata.level() <= Level::TRACE
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.note(span.metadata(), |fields| span.record(fields));
        Id::from_u64(self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = "record".to_owned();
        values.record(&mut Fields(&mut line));
        self.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&format!("{line}\n"));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.note(event.metadata(), |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn assert_no_secret(what: &str, text: &str) {
    // As it is, and as the bytes of a list.
    let bytes = WORD.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    let component = COMPONENT.to_le_bytes().map(|byte| byte.to_string()).join(", ");
    for secret in [WORD, &NUMBER.to_string(), "0.7315", &bytes, &component] {
        assert!(!text.contains(secret), "{what} shows {secret}: {text}");
    }
}

#[test]
fn no_metadata_vector_or_filter_value_reaches_debug_errors_or_the_trace() {
    let collector = Collector::default();
    // The one test of this binary that sets it; other tests' lines do no harm.
    tracing::subscriber::set_global_default(collector.clone()).unwrap();
    let rig = Rig::new();
    let private = || {
        let metadata = Metadata::new(&json!({"word": WORD, "number": NUMBER})).unwrap();
        thing("item").with_metadata(metadata).with_vector(Vector::new([COMPONENT, 1.0]).unwrap())
    };
    let search = Search::new([COMPONENT, 1.0], 3).with_filter(Filter::eq("word", WORD).and(Filter::gt("number", NUMBER - 1)));
    block_on(async {
        let db = rig.builder().verb_dimension(2).create().await.unwrap();
        db.put(private()).await.unwrap();
        assert_eq!(db.search(&search).await.unwrap().len(), 1);
        let mut shown = Vec::new();
        for error in [
            db.put_if_absent(private()).await.unwrap_err(),
            db.put(private().with_vector(Vector::new([COMPONENT]).unwrap())).await.unwrap_err(),
            db.search(&Search::new([COMPONENT], 1)).await.unwrap_err(),
            db.relate_creating(edge("item", "b").with_metadata(private().metadata).with_weight(f64::NAN), kind("stub")).await.unwrap_err(),
        ] {
            shown.push(format!("{error} {error:?}"));
        }
        // Requests that fail, hang and pass their deadline leave traces too.
        rig.puts(Act::Hang);
        let short = db.with_deadline(Duration::from_millis(20));
        let mut commit = short.transaction().put(private()).submit().unwrap();
        commit.op_id().await.unwrap();
        let queued = short.transaction().put(private());
        shown.push(format!("{queued:?}"));
        let queued = queued.submit().unwrap();
        shown.push(format!("{db:?} {commit:?} {queued:?} {search:?} {:?}", db.usage()));
        shown.push(format!("{:?}", commit.wait().await.unwrap_err()));
        shown.push(format!("{:?}", queued.wait().await.unwrap_err()));
        rig.puts(Act::NoSpace);
        short.put(private()).await.unwrap_err();
        rig.puts(Act::Pass);
        let db = db.with_deadline(PATIENCE);
        db.put(private()).await.unwrap();
        shown.push(format!("{:?}", db.with_freshness(Freshness::Latest).get("item").await.unwrap()));
        shown.push(format!("{:?}", db.search(&search).await.unwrap()));
        shown.push(format!("{:?}", db.log_slot(brainy::SequenceNumber::FIRST).await.unwrap()));
        db.close(PATIENCE).await;
        for text in &shown {
            assert_no_secret("debug or an error", text);
        }
    });
    let trace = collector.text();
    assert_no_secret("the trace", &trace);
    for expected in [
        "INFO brainy::opening brainy.open",
        "DEBUG brainy::transaction brainy.commit",
        "DEBUG brainy::search brainy.search",
        "DEBUG brainy::handle brainy.refresh",
        "committed",
        "closed",
        "the outcome of a transaction is not known",
    ] {
        assert!(trace.contains(expected), "the trace lacks {expected}:\n{trace}");
    }
}

#[test]
fn a_secret_in_a_url_is_not_repeated() {
    for url in ["s3://AKIA:sesame-4711@bucket/p", "https://me:sesame-4711@host/p", "s4://bucket/p?token=sesame-4711"] {
        let error = block_on(Brainy::open(url)).unwrap_err();
        assert_no_secret("an error", &format!("{error} {error:?}"));
        assert_no_secret("the builder", &format!("{:?}", Brainy::builder(url)));
    }
}
