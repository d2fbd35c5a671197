//! Searching, while others write and at the end.

use std::collections::BTreeSet;

use brainy::{Brainy, Filter, Freshness, Search, Token, TraverseOptions, TypeName};
use futures_executor::block_on;

use crate::Failure;
use crate::chance::Chance;
use crate::data::Data;
use crate::journal::View;

/// How many nearest are asked for.
const K: usize = 10;
/// Candidates of the searches whose recall is measured.
const EF: usize = 100;
/// Queries of that measurement.
const QUERIES: usize = 200;
/// How far a distance may be from what the vectors say: they are sums of hundreds of products, taken in another order.
const TOLERANCE: f32 = 1e-4;

/// One search among packages like a random one, one with a filter, one walk along relations; whether the answers make sense.
pub(crate) fn look_around(db: &Brainy, data: &Data, chance: &mut Chance) -> Result<(), Failure> {
    let package = chance.of(&data.packages);
    let query = package.vector.as_slice();
    // Others delete meanwhile, but never more than the few packages that everybody changes.
    let before = block_on(db.statistics())?.statistics.noun_vectors as usize;
    let found = block_on(db.search(&Search::new(query, K)))?;
    let enough = before.saturating_sub(crate::plan::CONTESTED).min(K);
    if found.len() < enough || found.len() > K {
        return Err(format!("a search among {before} packages found {}", found.len()).into());
    }
    let distinct: BTreeSet<_> = found.iter().map(|found| &found.noun.id).collect();
    if distinct.len() < found.len() || !found.is_sorted_by_key(|found| found.distance) {
        return Err(format!("a search found the same twice, or farther before nearer: {found:?}").into());
    }
    for found in &found {
        let vector = found.noun.vector.as_ref().ok_or("a search found an item without a vector")?;
        let expected = cosine_distance(query, vector.as_slice());
        if (found.distance - expected).abs() > TOLERANCE {
            return Err(format!("{} is {} away, search says {}", found.noun.id, expected, found.distance).into());
        }
    }
    let Some(section) = package.figures.get("section").and_then(|section| section.as_str()) else { return Ok(()) };
    let filtered = block_on(db.search(&Search::new(query, K).with_filter(Filter::eq("section", section))))?;
    if filtered.iter().any(|found| found.noun.metadata.to_value()["section"] != section) {
        return Err(format!("a search in section {section} left it").into());
    }
    let reached = block_on(db.traverse(std::slice::from_ref(&package.id), &TraverseOptions::default().with_max_depth(2)))?;
    let distinct: BTreeSet<_> = reached.reached.iter().map(|reached| &reached.id).collect();
    if distinct.len() < reached.reached.len() {
        return Err(format!("a walk from {} came to an item twice", package.id).into());
    }
    Ok(())
}

fn cosine_distance(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    (1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()) as f32
}

/// How the store looks at `token`, which everybody else reads it at too.
pub(crate) fn view(db: &Brainy, data: &Data, token: Token, seed: u64) -> Result<View, Failure> {
    let db = db.with_freshness(Freshness::AtLeast(token));
    let mut view = counts(&db)?;
    let mut chance = Chance::new(seed, &[300]);
    let (mut good, mut wanted) = (0, 0);
    for _ in 0..QUERIES {
        let query = chance.of(&data.packages).vector.as_slice();
        let exact = block_on(db.search(&Search::new(query, K).exact()))?;
        let found = block_on(db.search(&Search::new(query, K).with_ef_search(EF)))?;
        let Some(farthest) = exact.last().map(|found| found.distance) else { continue };
        // Whatever is as near as the last of the exact answer is right; what comes twice counts once.
        let near: BTreeSet<_> = found.iter().filter(|found| found.distance <= farthest).map(|found| &found.noun.id).collect();
        good += near.len();
        wanted += exact.len();
    }
    view.queries = QUERIES;
    view.recall = good as f64 / wanted as f64;
    Ok(view)
}

/// The same without recall, for a handle that keeps no index.
pub(crate) fn counts(db: &Brainy) -> Result<View, Failure> {
    let report = block_on(db.statistics())?;
    let (token, digest) = block_on(db.digest())?;
    if report.token != token {
        return Err(format!("the counts are of {}, the digest of {token}", report.token).into());
    }
    let packages = report.statistics.nouns_by_type.get(&TypeName::new("package")?).copied().unwrap_or_default();
    let (nouns, verbs) = (report.statistics.nouns, report.statistics.verbs);
    Ok(View { token: token.to_string(), nouns, packages, verbs, digest, recall: f64::NAN, queries: 0 })
}
