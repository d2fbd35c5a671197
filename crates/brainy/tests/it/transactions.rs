//! Transactions: all or nothing, one verdict each, named before they are sent.

use brainy::{Error, ErrorKind, Incident, MissingEnds, Operation, Precondition, Reason, Resolution};
use futures_executor::block_on;

use crate::support::{Act, PATIENCE, Rig, edge, id, kind, memory, thing};

#[test]
fn a_transaction_takes_effect_whole_or_not_at_all_and_names_what_did_not_fit() {
    let (_, db) = memory();
    block_on(async {
        db.put(thing("there")).await.unwrap();
        let before = db.digest().await.unwrap().1;
        let statistics = db.statistics().await.unwrap().statistics;
        let error = db
            .transaction()
            .put(thing("a"))
            .put(thing("b"))
            .relate(edge("a", "b"))
            .delete(id("there"), Incident::Restrict)
            .relate(edge("b", "nowhere"))
            .put(thing("c"))
            .commit()
            .await
            .unwrap_err();
        let Error::Conflict { operation, reason, item, .. } = &error else { panic!("{error}") };
        assert_eq!((*operation, *reason), (4, Reason::TargetMissing));
        assert_eq!(item, "verb \"b\" \"to\" \"nowhere\"");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(db.statistics().await.unwrap().statistics, statistics);
        assert!(db.get("a").await.unwrap().is_none() && db.get("there").await.unwrap().is_some());
        // The log has one slot more, and so the bookkeeping another digest.
        assert_ne!(db.digest().await.unwrap().1, before);

        let transaction = db.transaction().put(thing("a")).put_if_absent(thing("b")).relate(edge("a", "b"));
        let transaction = transaction.push(Operation::PutVerb {
            verb: edge("b", "new"),
            precondition: Precondition::Absent,
            missing: MissingEnds::Create(kind("stub")),
        });
        assert_eq!((transaction.len(), transaction.is_empty()), (4, false));
        let receipt = transaction.commit().await.unwrap();
        assert_eq!(receipt.changed, Some(5));
        for name in ["a", "b", "new"] {
            assert_eq!(db.get(name).await.unwrap().unwrap().version, receipt.version);
        }
        assert_eq!(db.get("new").await.unwrap().unwrap().kind, kind("stub"));
    });
}

#[test]
fn one_callers_conflict_does_not_touch_another_transaction_of_the_same_batch() {
    let rig = Rig::new();
    let (_clock, db) = rig.create();
    block_on(async {
        rig.puts(Act::Hang);
        let mut first = db.transaction().put(thing("a")).submit().unwrap();
        // It is on its way: what comes now waits for the next batch.
        first.op_id().await.unwrap();
        let good = db.transaction().put_if_absent(thing("b")).submit().unwrap();
        let bad = db.transaction().put_if_absent(thing("a")).submit().unwrap();
        let late = db.transaction().put_if_absent(thing("c")).submit().unwrap();
        rig.puts(Act::Pass);
        let (first, good, late) = (first.wait().await.unwrap(), good.wait().await.unwrap(), late.wait().await.unwrap());
        let bad = bad.wait().await.unwrap_err();
        assert_eq!(bad.kind(), ErrorKind::Conflict);
        assert_eq!((first.version.seq.get(), good.version.seq.get(), late.version.seq.get()), (1, 2, 2), "one batch for all that waited");
        assert_eq!((good.version.ordinal, late.version.ordinal), (0, 2), "the refused one has its place too");
        assert_eq!(db.figures().batches, 2);
        assert_eq!(db.statistics().await.unwrap().statistics.nouns, 3);
    });
}

#[test]
fn a_transaction_has_its_name_before_it_is_sent_and_anybody_can_ask_for_it() {
    let (store, db) = memory();
    block_on(async {
        let mut commit = db.transaction().put(thing("a")).submit().unwrap();
        let op = commit.op_id().await.unwrap();
        let receipt = commit.wait().await.unwrap();
        assert_eq!(receipt.op, op);
        let other = crate::support::quiet(&store).open().await.unwrap();
        let Resolution::Committed(resolved) = other.resolve(op.to_string().parse().unwrap()).await.unwrap() else { panic!("{op}") };
        assert_eq!((resolved.op, resolved.version, resolved.token), (op, receipt.version, receipt.token));
    });
}

#[test]
fn a_transaction_dropped_before_it_is_sent_never_is() {
    let rig = Rig::new();
    let db = block_on(rig.builder().create()).unwrap();
    block_on(async {
        rig.puts(Act::Hang);
        let mut first = db.transaction().put(thing("a")).submit().unwrap();
        first.op_id().await.unwrap();
        drop(db.transaction().put(thing("dropped")).submit().unwrap());
        let kept = db.transaction().put(thing("kept")).submit().unwrap();
        // What is sent takes effect though nobody waits for it.
        drop(first);
        rig.puts(Act::Pass);
        kept.wait().await.unwrap();
        let found = db.get_many(&[id("a"), id("dropped"), id("kept")]).await.unwrap();
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
        assert!(db.close(PATIENCE).await.is_empty());
    });
}

#[test]
fn commits_of_many_threads_share_slots_and_each_gets_its_own_answer() {
    let (store, db) = memory();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let db = &db;
            scope.spawn(move || {
                for n in 0..20 {
                    let receipt = block_on(db.put(thing(&format!("{thread} {n}")))).unwrap();
                    assert_eq!(receipt.changed, Some(1));
                }
            });
        }
    });
    let report = block_on(db.statistics()).unwrap();
    assert_eq!(report.statistics.nouns, 160);
    assert!(report.token.seq <= 160);
    assert_eq!(db.figures().batches, report.token.seq);
    let reopened = block_on(crate::support::quiet(&store).open()).unwrap();
    assert_eq!(block_on(reopened.digest()).unwrap(), block_on(db.digest()).unwrap());
}
