//! What a service does on its first day.

use brainy::{Brainy, ErrorKind, Freshness, Incident, Metric, NounDraft, NounId, Search, TypeName, Vector, VerbDraft};
use futures_executor::block_on;

fn noun(id: &str, vector: [f32; 3]) -> NounDraft {
    NounDraft::new(NounId::new(id).unwrap(), TypeName::new("thing").unwrap()).with_vector(Vector::new(vector).unwrap())
}

#[test]
fn two_handles_on_one_store_see_each_other() {
    block_on(async {
        let first = Brainy::create("memory://two-handles", 3, Metric::Cosine).await.unwrap();
        let second = Brainy::open("memory://two-handles").await.unwrap();
        let receipt = first.put(noun("a", [1.0, 0.0, 0.0])).await.unwrap();
        first.put(noun("b", [0.0, 1.0, 0.0])).await.unwrap();
        let second = second.with_freshness(Freshness::Latest);
        let found = second.search(&Search::new([1.0, 0.1, 0.0], 1)).await.unwrap();
        assert_eq!(found[0].noun.id.as_str(), "a");
        assert_eq!(found[0].noun.version, receipt.version);
        let conflict = second.put_if_absent(noun("a", [0.0, 0.0, 1.0])).await.unwrap_err();
        assert_eq!(conflict.kind(), ErrorKind::Conflict, "{conflict}");
        second.relate(VerbDraft::new(NounId::new("a").unwrap(), TypeName::new("knows").unwrap(), NounId::new("b").unwrap())).await.unwrap();
        let restricted = first.delete("a", Incident::Restrict).await.unwrap_err();
        assert_eq!(restricted.kind(), ErrorKind::Conflict, "{restricted}");
        first.delete("a", Incident::Detach).await.unwrap();
        let report = second.statistics().await.unwrap();
        assert_eq!((report.statistics.nouns, report.statistics.verbs), (1, 0));
        let first = first.with_freshness(Freshness::Latest);
        assert_eq!(first.digest().await.unwrap(), second.digest().await.unwrap());
    });
}
