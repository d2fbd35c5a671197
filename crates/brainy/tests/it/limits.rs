//! Bad input: a typed error that names the item, and the store as it was.

use brainy::{
    Brainy, Error, ErrorKind, Filter, Freshness, Incident, ItemFilter, Metadata, Metric, NounId, Operation, Search, TypeName, Vector,
};
use brainy_core::{MAX_METADATA_BYTES, MAX_OPERATIONS};
use futures_executor::block_on;
use serde_json::json;

use crate::support::{at, edge, id, memory, objects, thing};

fn vector(components: &[f32]) -> Vector {
    Vector::new(components.to_vec()).unwrap()
}

/// What a caller may get wrong, what the error must say, and the error.
async fn wrong(db: &Brainy) -> Vec<(&'static str, Error)> {
    let deep = (0..40).fold(Filter::eq("a", 1), |filter, _| filter.negated());
    let many = (0..=MAX_OPERATIONS).fold(db.transaction(), |transaction, n| transaction.delete(id(&n.to_string()), Incident::Detach));
    let large = Metadata::new(&json!({"text": "x".repeat(MAX_METADATA_BYTES - 64)})).unwrap();
    let heavy = (0..17).fold(db.transaction(), |transaction, n| transaction.put(thing(&n.to_string()).with_metadata(large.clone())));
    let local = db.with_freshness(Freshness::Local);
    vec![
        (
            "noun \"a\": a vector of 3 components in a store of dimension 2",
            db.put(thing("a").with_vector(vector(&[1.0, 2.0, 3.0]))).await.unwrap_err(),
        ),
        ("noun \"a\": a zero vector has no direction", db.put(at("a", [0.0, -0.0])).await.unwrap_err()),
        ("this store keeps no vectors of verbs", db.relate(edge("a", "b").with_vector(vector(&[1.0, 0.0]))).await.unwrap_err()),
        ("is NaN, not a finite number", db.relate(edge("a", "b").with_weight(f64::NAN)).await.unwrap_err()),
        ("transaction: it has no operation", db.transaction().commit().await.unwrap_err()),
        ("transaction of 100001 operations", many.commit().await.unwrap_err()),
        ("at most 16777216 are allowed", heavy.commit().await.unwrap_err()),
        ("noun a is written twice", db.transaction().put(thing("a")).delete(id("a"), Incident::Detach).commit().await.unwrap_err()),
        ("clears the store", db.transaction().push(Operation::Clear).push(Operation::Clear).commit().await.unwrap_err()),
        ("noun id has 2000 bytes, at most 1024", local.get("x".repeat(2_000)).await.unwrap_err()),
        ("has a NUL character at byte 1", local.get("a\0b").await.unwrap_err()),
        ("noun id is empty", db.delete("", Incident::Detach).await.unwrap_err()),
        ("verb id has 1025 bytes", db.delete_verb("x".repeat(1_025)).await.unwrap_err()),
        ("k: it must be at least 1", local.search(&Search::new([1.0, 0.0], 0)).await.unwrap_err()),
        ("ef_search: it must be at least 1", local.search(&Search::new([1.0, 0.0], 1).with_ef_search(0)).await.unwrap_err()),
        ("a vector of 1 components in a store of dimension 2", local.search(&Search::new([1.0], 1)).await.unwrap_err()),
        ("component 1 of the vector is NaN", local.search(&Search::new([1.0, f32::NAN], 1)).await.unwrap_err()),
        ("zero vector", local.search(&Search::new([0.0, 0.0], 1)).await.unwrap_err()),
        ("zero vector", local.search(&Search::new([0.0, 0.0], 1).exact()).await.unwrap_err()),
        ("nests deeper than 32", local.search(&Search::new([1.0, 0.0], 1).with_filter(deep.clone())).await.unwrap_err()),
        ("nests deeper than 32", local.scan(None, 1, &ItemFilter::all().with_metadata(deep)).await.unwrap_err()),
    ]
}

#[test]
fn bad_input_is_refused_by_name_and_leaves_the_store_as_it_was() {
    block_on(async {
        let store: std::sync::Arc<dyn brainy::storage::Store> = std::sync::Arc::new(brainy::storage::InMemoryStore::new());
        let db = crate::support::quiet(&store).metric(Metric::Cosine).create().await.unwrap();
        db.put(at("there", [1.0, 0.0])).await.unwrap();
        let (objects_before, usage, position) = (objects(&*store), db.usage(), db.position());
        for (text, error) in wrong(&db).await {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains(text), "{error:?} should say {text:?}: {error}");
            assert_eq!(error.op_id(), None, "nothing was sent");
        }
        assert_eq!(db.position(), position);
        assert_eq!(db.usage(), usage, "nothing was asked of the store");
        assert_eq!(objects(&*store), objects_before);
        // The handle is none the worse.
        assert!(db.put(at("a", [0.0, 1.0])).await.is_ok());
    });
}

#[test]
fn what_cannot_be_said_is_refused_where_it_is_said() {
    assert!(NounId::new("a\0").unwrap_err().to_string().contains("NUL"));
    assert!(NounId::new("x".repeat(2_000)).unwrap_err().to_string().contains("2000 bytes"));
    assert!(TypeName::new("x".repeat(257)).unwrap_err().to_string().contains("257 bytes"));
    assert!(Vector::new([1.0, f32::NAN]).unwrap_err().to_string().contains("component 1 of the vector is NaN"));
    let large = Metadata::new(&json!({"text": "x".repeat(MAX_METADATA_BYTES)})).unwrap_err();
    assert!(large.to_string().contains("at most 1048576"), "{large}");
    assert!(Metadata::new(&[1, 2]).unwrap_err().to_string().contains("not an object"));
}

#[test]
fn the_largest_of_everything_is_taken() {
    let (store, db) = memory();
    block_on(async {
        let large = Metadata::new(&json!({"text": "x".repeat(MAX_METADATA_BYTES - 64)})).unwrap();
        let longest = "é".repeat(512);
        let transaction =
            (0..15).fold(db.transaction(), |transaction, n| transaction.put(thing(&n.to_string()).with_metadata(large.clone())));
        transaction.put(thing(&longest)).commit().await.unwrap();
        let many = (0..MAX_OPERATIONS).fold(db.transaction(), |transaction, n| transaction.put(thing(&format!("n{n}"))));
        assert_eq!(many.commit().await.unwrap().changed, Some(u32::try_from(MAX_OPERATIONS).unwrap()));
        let again = crate::support::quiet(&store).open().await.unwrap();
        assert_eq!(again.get("14").await.unwrap().unwrap().metadata, large);
        assert!(again.get(&longest).await.unwrap().is_some());
        assert_eq!(again.digest().await.unwrap(), db.digest().await.unwrap());
    });
}

#[test]
fn asking_for_far_too_much_gives_what_there_is() {
    let (_, db) = memory();
    block_on(async {
        db.put(at("a", [1.0, 0.0])).await.unwrap();
        for k in [1_000_000, usize::MAX] {
            assert_eq!(db.search(&Search::new([1.0, 0.0], k)).await.unwrap().len(), 1);
            assert_eq!(db.search(&Search::new([1.0, 0.0], k).exact()).await.unwrap().len(), 1);
            assert_eq!(db.search(&Search::new([1.0, 0.0], 1).with_ef_search(k)).await.unwrap().len(), 1);
            assert_eq!(db.scan(None, k, &ItemFilter::all()).await.unwrap().len(), 1);
        }
    });
}

#[test]
fn options_that_cannot_be_are_refused_before_anything_is_made() {
    let directory = crate::support::Directory::new();
    let builder = || Brainy::builder(directory.url()).dimension(2);
    for (builder, named) in [
        (builder().m(0), "m"),
        (builder().ef_search(0), "ef_search"),
        (builder().queue(0, 1), "queue"),
        (builder().poll(std::time::Duration::from_secs(2), std::time::Duration::from_secs(1)), "poll"),
    ] {
        let error = block_on(builder.create()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    assert_eq!(crate::support::tree(directory.path()).len(), 1, "nothing was made");
    for url in ["", "nonsense", "http://host/x", "file://relative", "s4://b"] {
        let error = block_on(Brainy::open(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(url), "{error}");
    }
}
