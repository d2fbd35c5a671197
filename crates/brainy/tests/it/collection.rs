//! Snapshots and collection as a service uses them.

use brainy::{Brainy, CollectOptions, ErrorKind, Metric};
use futures_executor::block_on;

use crate::support::{Directory, PATIENCE, at};

#[test]
fn a_store_that_was_cut_short_opens_from_its_snapshot_and_loses_nothing() {
    let folder = Directory::new();
    let url = folder.url();
    block_on(async {
        let db = Brainy::create(&url, 2, Metric::L2).await.unwrap();
        let refused = db.tag("empty", "").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
        for number in 0..20_u8 {
            db.put(at(&format!("noun {number}"), [f32::from(number), 1.0])).await.unwrap();
        }
        let published = db.publish_snapshot().await.unwrap();
        let tag = db.tag("nightly", "before the import").await.unwrap();
        assert_eq!(tag.manifest, published.manifest);
        let options = CollectOptions::default().with_truncate(true).with_retain_slots(0);
        let dry = db.collector(options.clone().with_dry_run(true)).unwrap().round().await.unwrap();
        assert_eq!((dry.slots.objects, dry.boundary), (published.manifest.seq, 0), "{dry:?}");
        let report = db.collector(options).unwrap().round().await.unwrap();
        assert_eq!((report.slots.objects, report.collected), (published.manifest.seq, published.manifest.seq), "{report:?}");
        let digest = db.digest().await.unwrap();
        let again = Brainy::open(&url).await.unwrap();
        assert_eq!(again.digest().await.unwrap(), digest);
        assert_eq!(again.statistics().await.unwrap(), db.statistics().await.unwrap());
        assert_eq!(Brainy::peek(&url).await.unwrap().statistics.nouns, 20);
        assert_eq!(again.tags().await.unwrap(), [tag]);
        again.untag("nightly").await.unwrap();
        assert_eq!(db.tags().await.unwrap(), []);
        for handle in [db, again] {
            assert!(handle.close(PATIENCE).await.is_empty());
        }
    });
}
