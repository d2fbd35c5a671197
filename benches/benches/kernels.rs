//! One distance between two rows in cache, by metric and length, compared with plain arithmetic in double precision.
#![expect(clippy::print_stdout, reason = "a bench talks to people")]

use std::hint::black_box;

use brainy_benches::Random;
use brainy_core::Metric;
use brainy_hnsw::Distance;
use criterion::{BenchmarkId, Criterion, Throughput};

const LENGTHS: [usize; 3] = [128, 384, 784];
/// The kernels add in another order than the plain loop, in single precision: relative to the sum of the absolute terms.
const TOLERANCE: f64 = 1e-5;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut random = Random::new(1);
    println!("instructions: {}", Distance::new(Metric::L2).instructions());
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let mut group = criterion.benchmark_group(format!("distance/{metric}"));
        for length in LENGTHS {
            let distance = Distance::new(metric);
            let (a, b) = (distance.prepare(&random.row(length)), distance.prepare(&random.row(length)));
            let (plain, scale) = plain(metric, &a, &b);
            let off = (f64::from(distance.between(&a, &b)) - plain).abs();
            assert!(off <= TOLERANCE * scale, "{metric}, {length} components: {} is not {plain}", distance.between(&a, &b));
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
                bencher.iter(|| distance.between(black_box(&a), black_box(&b)));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

/// The distance, and the sum of its terms' absolute values.
fn plain(metric: Metric, a: &[f32], b: &[f32]) -> (f64, f64) {
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let squared: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
    match metric {
        Metric::L2 => (squared, squared),
        Metric::Cosine => (squared / 2.0, squared / 2.0),
        _ => (-pairs().map(|(a, b)| a * b).sum::<f64>(), pairs().map(|(a, b)| (a * b).abs()).sum()),
    }
}
