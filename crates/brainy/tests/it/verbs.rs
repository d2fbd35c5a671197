//! Verbs and walks along them.

use brainy::{Direction, ErrorKind, Metadata, Reason, TraverseOptions, VerbId, VerbQuery};
use futures_executor::block_on;
use serde_json::json;

use crate::support::{edge, id, kind, memory, thing};

#[test]
fn relating_again_changes_nothing() {
    let (_, db) = memory();
    block_on(async {
        db.transaction().put(thing("a")).put(thing("b")).commit().await.unwrap();
        let weighed = || edge("a", "b").with_weight(2.0).with_metadata(Metadata::new(&json!({"since": 1})).unwrap());
        let first = db.relate(weighed()).await.unwrap();
        assert_eq!(first.changed, Some(1));
        let verb = edge("a", "b").effective_id();
        let statistics = db.statistics().await.unwrap().statistics;
        for _ in 0..3 {
            assert_eq!(db.relate(weighed()).await.unwrap().changed, Some(0));
        }
        assert_eq!(db.get_verb(&verb).await.unwrap().unwrap().version, first.version);
        assert_eq!(db.statistics().await.unwrap().statistics, statistics);
        let changed = db.relate(weighed().with_weight(3.0)).await.unwrap();
        assert_eq!(changed.changed, Some(1));
        assert_eq!(db.get_verb(&verb).await.unwrap().unwrap().version, changed.version);
        // A verb with a given id is written anew each time.
        let named = || edge("a", "b").with_id(VerbId::new("named").unwrap());
        let one = db.relate(named()).await.unwrap();
        let two = db.relate(named()).await.unwrap();
        assert_eq!((one.changed, two.changed), (Some(1), Some(1)));
        assert!(db.get_verb("named").await.unwrap().unwrap().version > one.version);
    });
}

#[test]
fn a_verb_needs_both_ends_or_makes_them() {
    let (_, db) = memory();
    block_on(async {
        db.put(thing("a")).await.unwrap();
        for (verb, reason) in [(edge("a", "b"), Reason::TargetMissing), (edge("b", "a"), Reason::SourceMissing)] {
            let error = db.relate(verb).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(matches!(&error, brainy::Error::Conflict { reason: found, .. } if *found == reason), "{error}");
        }
        assert!(db.verbs(&VerbQuery::all()).await.unwrap().is_empty());
        let receipt = db.relate_creating(edge("b", "a"), kind("stub")).await.unwrap();
        assert_eq!(receipt.changed, Some(2));
        assert_eq!(db.get("b").await.unwrap().unwrap().kind, kind("stub"));
        assert_eq!(db.get("a").await.unwrap().unwrap().kind, kind("thing"), "what exists stays as it is");
    });
}

#[test]
fn verbs_are_found_by_source_target_and_type_page_by_page() {
    let (_, db) = memory();
    block_on(async {
        for n in 0..9 {
            db.relate_creating(edge("hub", &n.to_string()), kind("stub")).await.unwrap();
            db.relate_creating(edge(&n.to_string(), "hub"), kind("stub")).await.unwrap();
        }
        let out = VerbQuery::all().with_source(id("hub"));
        let all = db.verbs(&out).await.unwrap();
        assert_eq!(all.len(), 9);
        assert_eq!(db.verbs(&VerbQuery::all().with_target(id("hub"))).await.unwrap().len(), 9);
        assert_eq!(db.verbs(&VerbQuery::all().with_kind(kind("to"))).await.unwrap().len(), 18);
        assert_eq!(db.verbs(&VerbQuery::all().with_kind(kind("from"))).await.unwrap().len(), 0);
        let mut paged = db.verbs(&out.clone().with_limit(4)).await.unwrap();
        while let Some(last) = paged.last().cloned() {
            let page = db.verbs(&out.clone().with_limit(4).with_after(last.id)).await.unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all);
        assert_eq!(db.delete_verb(&all[0].id).await.unwrap().changed, Some(1));
        assert_eq!(db.delete_verb(&all[0].id).await.unwrap().changed, Some(0), "an absent verb is no fault");
        assert_eq!(db.verbs(&out).await.unwrap().len(), 8);
    });
}

#[test]
fn a_walk_reaches_each_noun_once_within_its_depth_direction_and_types() {
    let (_, db) = memory();
    block_on(async {
        // A ring of six, and a shortcut of another type.
        for n in 0..6 {
            db.relate_creating(edge(&n.to_string(), &((n + 1) % 6).to_string()), kind("stub")).await.unwrap();
        }
        let shortcut = brainy::VerbDraft::new(id("0"), kind("jump"), id("3"));
        db.relate(shortcut).await.unwrap();
        let walk = |options: TraverseOptions| {
            let db = db.clone();
            async move {
                let found = db.traverse(&[id("0")], &options).await.unwrap();
                let mut reached: Vec<_> = found.reached.iter().map(|reached| (reached.id.to_string(), reached.depth)).collect();
                reached.sort();
                (reached.iter().map(|(id, depth)| format!("{id}@{depth}")).collect::<Vec<_>>().join(" "), found.complete)
            }
        };
        let options = TraverseOptions::default;
        assert_eq!(walk(options().with_max_depth(2)).await, ("1@1 2@2 3@1 4@2".into(), true));
        assert_eq!(walk(options().with_max_depth(2).with_kind(kind("to"))).await, ("1@1 2@2".into(), true));
        assert_eq!(walk(options().with_direction(Direction::In).with_max_depth(1)).await, ("5@1".into(), true));
        assert_eq!(walk(options().with_direction(Direction::Both).with_max_depth(1)).await, ("1@1 3@1 5@1".into(), true));
        assert_eq!(walk(options().with_max_depth(99).with_kind(kind("to"))).await.0.split(' ').count(), 5, "a ring ends");
        assert!(!walk(options().with_limit(1)).await.1, "cut short, and it says so");
        assert!(db.traverse(&[id("nowhere")], &options()).await.unwrap().reached.is_empty());
    });
}
