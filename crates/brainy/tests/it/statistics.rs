//! Counts are exact, the same everywhere, and never counted anew.

use std::collections::BTreeMap;

use brainy::{Freshness, Incident, Metadata, NounDraft, ServiceTag, TypeName, Vector};
use brainy_core::{Entropy, SeededEntropy};
use futures_executor::block_on;
use serde_json::json;

use crate::support::{edge, id, kind, memory, quiet};

/// Type, service, whether it has a vector, bytes of its metadata.
type Expected = (TypeName, Option<ServiceTag>, bool, usize);

#[test]
fn counts_equal_those_of_a_plain_model_on_every_handle_and_after_opening_anew() {
    let (store, db) = memory();
    let entropy = SeededEntropy::new(3);
    let pick = |n: usize| (entropy.fraction() * n as f64) as usize;
    let mut nouns: BTreeMap<String, Expected> = BTreeMap::new();
    let mut verbs: BTreeMap<(String, String), ()> = BTreeMap::new();
    let (mut deleted_nouns, mut deleted_verbs) = (0, 0);
    block_on(async {
        let other = quiet(&store).freshness(Freshness::Latest).open().await.unwrap();
        for step in 0..200 {
            let (name, second) = (pick(12).to_string(), pick(12).to_string());
            let writer = if step % 2 == 0 { &db } else { &other };
            match pick(4) {
                0 | 1 => {
                    let (of, service) = (kind(["x", "y"][pick(2)]), [None, Some(ServiceTag::new("s").unwrap())][pick(2)].clone());
                    let metadata = Metadata::new(&json!({"step": "z".repeat(pick(9))})).unwrap();
                    let vector = pick(2) == 0;
                    let mut draft = NounDraft::new(id(&name), of.clone()).with_metadata(metadata.clone());
                    draft.service = service.clone();
                    draft.vector = vector.then(|| Vector::new([1.0, 2.0]).unwrap());
                    writer.put(draft).await.unwrap();
                    nouns.insert(name, (of, service, vector, metadata.as_bytes().len()));
                }
                2 => {
                    let before = verbs.len();
                    writer.delete(&name, Incident::Detach).await.unwrap();
                    deleted_nouns += u64::from(nouns.remove(&name).is_some());
                    verbs.retain(|(source, target), ()| *source != name && *target != name);
                    deleted_verbs += (before - verbs.len()) as u64;
                }
                _ => {
                    let related = writer.relate(edge(&name, &second)).await;
                    assert_eq!(related.is_ok(), nouns.contains_key(&name) && nouns.contains_key(&second));
                    if related.is_ok() {
                        verbs.insert((name, second), ());
                    }
                }
            }
        }
        let reports = [
            db.with_freshness(Freshness::Latest).statistics().await.unwrap(),
            other.statistics().await.unwrap(),
            quiet(&store).open().await.unwrap().statistics().await.unwrap(),
        ];
        for report in &reports {
            assert_eq!(report, &reports[0]);
        }
        assert_eq!(quiet(&store).peek().await.unwrap().statistics, reports[0].statistics);
        let found = &reports[0].statistics;
        assert_eq!((found.nouns, found.verbs), (nouns.len() as u64, verbs.len() as u64));
        assert_eq!((found.deleted_nouns, found.deleted_verbs), (deleted_nouns, deleted_verbs));
        let count = |test: &dyn Fn(&Expected) -> bool| nouns.values().filter(|noun| test(noun)).count() as u64;
        for of in ["x", "y"] {
            assert_eq!(found.nouns_by_type.get(&kind(of)).copied().unwrap_or(0), count(&|noun| noun.0 == kind(of)));
        }
        assert_eq!(found.nouns_by_service.values().sum::<u64>(), count(&|noun| noun.1.is_some()));
        assert_eq!((found.noun_vectors, found.vector_bytes), (count(&|noun| noun.2), 8 * count(&|noun| noun.2)));
        let of_verbs = verbs.len() * Metadata::empty().as_bytes().len();
        let bytes = nouns.values().map(|noun| noun.3).sum::<usize>() + of_verbs;
        assert_eq!(found.metadata_bytes, bytes as u64);
        let digests = [db.digest().await.unwrap(), other.digest().await.unwrap()];
        assert_eq!(digests[0], digests[1]);
    });
}
