use brainy_core::{ErrorKind, Metric};
use brainy_hnsw::{Error, Index, MAX_DIMENSION, Options, check_vector};

use crate::data::{assert_ranked, k};

#[test]
fn a_bad_vector_is_refused_by_name_and_changes_nothing() {
    let mut index = Index::new(3, Metric::Cosine, Options::default()).unwrap();
    index.insert(1, &[1.0, 2.0, 3.0]).unwrap();
    let table: [(&[f32], &str); 8] = [
        (&[], "the vector has 0 components, the index holds vectors of 3"),
        (&[1.0, 2.0], "the vector has 2 components, the index holds vectors of 3"),
        (&[1.0, 2.0, 3.0, 4.0], "the vector has 4 components, the index holds vectors of 3"),
        (&[1.0, f32::NAN, 3.0], "component 1 of the vector is NaN, not a finite number"),
        (&[1.0, 2.0, f32::INFINITY], "component 2 of the vector is inf, not a finite number"),
        (&[f32::NEG_INFINITY, f32::NAN, 0.0], "component 0 of the vector is -inf, not a finite number"),
        (&[0.0, 0.0, 0.0], "all 3 components of the vector are zero: it has no direction, so no cosine distance"),
        (&[0.0, -0.0, 0.0], "all 3 components of the vector are zero: it has no direction, so no cosine distance"),
    ];
    for (vector, message) in table {
        let errors = [
            check_vector(vector, 3, Metric::Cosine).unwrap_err(),
            index.insert(1, vector).unwrap_err(),
            index.insert(2, vector).unwrap_err(),
            index.search(vector, k(1), 10).unwrap_err(),
            index.search_filtered(vector, k(1), 10, &|_| true).unwrap_err(),
            index.exact(vector, k(1), &|_| true).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.to_string(), message);
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
        assert_eq!((index.len(), index.contains(1), index.contains(2)), (1, true, false));
        assert_eq!(index.search(&[1.0, 2.0, 3.0], k(1), 10).unwrap()[0].distance, 0.0);
    }
    index.check().unwrap();
}

#[test]
fn zero_vectors_are_vectors_under_the_other_metrics() {
    for metric in [Metric::L2, Metric::InnerProduct] {
        let mut index = Index::new(2, metric, Options::default()).unwrap();
        index.insert(1, &[0.0, 0.0]).unwrap();
        index.insert(2, &[-0.0, 0.0]).unwrap();
        assert_eq!(index.search(&[0.0, 0.0], k(5), 10).unwrap().len(), 2);
        index.check().unwrap();
    }
}

#[test]
fn an_option_outside_its_range_is_refused_by_name() {
    let table = [
        (0, Options::default(), "option `dimension` is 0, it must lie in 1..=65536"),
        (MAX_DIMENSION + 1, Options::default(), "option `dimension` is 65537, it must lie in 1..=65536"),
        (4, Options::default().with_m(1), "option `m` is 1, it must lie in 2..=512"),
        (4, Options::default().with_m(513), "option `m` is 513, it must lie in 2..=512"),
        (4, Options::default().with_ef_construction(15), "option `ef_construction` is 15, it must lie in 16..=65536"),
    ];
    for (dimension, options, message) in table {
        let error = Index::new(dimension, Metric::L2, options).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(matches!(error, Error::Option { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(
        Options::default(),
        Options::default().with_m(Options::M).with_ef_construction(Options::EF_CONSTRUCTION).with_seed(Options::SEED)
    );
}

#[test]
fn distances_that_overflow_neither_panic_nor_break_the_order() {
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let mut index = Index::new(4, metric, Options::default().with_m(4).with_ef_construction(8)).unwrap();
        for key in 0..400u64 {
            let sign = |bit: u64| if key >> bit & 1 == 0 { 1.0f32 } else { -1.0 };
            let size = if key % 3 == 0 { 1.0 } else { 3.0e38 - key as f32 * 1e35 };
            index.insert(key, &[sign(0) * size, sign(1) * size, sign(2) * size, sign(3) * size / (1.0 + key as f32)]).unwrap();
        }
        index.check().unwrap();
        for query in [[3e38; 4], [1e-40, 0.0, 1.0, -1.0], [3e38, -3e38, 3e38, -3e38], [1e-45; 4]] {
            for (count, ef_search) in [(1, 1), (10, 12), (400, 10)] {
                let hits = index.search(&query, k(count), ef_search).unwrap();
                assert_eq!(hits.len(), count);
                assert_ranked(&hits);
                assert!(hits.iter().all(|hit| !hit.distance.is_nan()), "{metric}: {hits:?}");
                assert_eq!(index.search_filtered(&query, k(3), 3, &|key| key % 5 == 0).unwrap().len(), 3);
            }
        }
        for key in 0..400 {
            assert!(index.remove(key));
        }
    }
}

#[test]
fn printing_an_index_shows_no_vector() {
    let mut index = Index::new(2, Metric::L2, Options::default()).unwrap();
    index.insert(1, &[123_456.0, 654_321.0]).unwrap();
    let shown = format!("{index:?}");
    assert!(shown.contains("len: 1") && shown.contains("dimension: 2"), "{shown}");
    assert!(!shown.contains("123456") && !shown.contains("654321"), "{shown}");
}
