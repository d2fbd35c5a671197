use brainy_core::Metric;
use brainy_hnsw::Distance;

use crate::data::{gaussian, index, k};

/// The engine scans vectors that are not in an index yet and merges both answers.
#[test]
fn a_search_reports_the_very_value_that_distance_gives() {
    let rows = gaussian(1, 2_500, 33);
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let index = index(metric, &rows);
        let distance = Distance::new(metric);
        for query in gaussian(2, 20, 33) {
            let prepared = distance.prepare(&query);
            for hit in index.search(&query, k(10), 60).unwrap() {
                let row = distance.prepare(&rows[hit.key as usize]);
                assert_eq!(hit.distance.to_bits(), distance.between(&prepared, &row).to_bits());
                assert_eq!(hit.distance.to_bits(), distance.between(&row, &prepared).to_bits());
                assert_eq!(index.vector(hit.key).unwrap(), row);
            }
        }
    }
}

#[test]
fn each_metric_ranks_by_its_own_formula() {
    let rows = gaussian(3, 300, 7);
    let query = &gaussian(4, 1, 7)[0];
    let sum = |terms: &mut dyn Iterator<Item = f64>| terms.sum::<f64>();
    let dot = |a: &[f32], b: &[f32]| sum(&mut a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)));
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let formula = |row: &[f32]| match metric {
            Metric::L2 => sum(&mut row.iter().zip(query).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2))),
            Metric::Cosine => 1.0 - dot(row, query) / (dot(row, row) * dot(query, query)).sqrt(),
            _ => -dot(row, query),
        };
        for hit in index(metric, &rows).search(query, k(300), 1).unwrap() {
            let expected = formula(&rows[hit.key as usize]);
            assert!(
                (f64::from(hit.distance) - expected).abs() <= 1e-5 * expected.abs().max(1.0),
                "{metric}: {hit:?}, by formula {expected}"
            );
        }
    }
}
