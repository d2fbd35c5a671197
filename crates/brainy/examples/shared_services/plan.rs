//! Who does what: every part of the data is the work of two services, which come to it at about the same time.

use std::ops::Range;

use crate::chance::Chance;
use crate::data::Data;

/// Packages in one transaction.
const PACKAGES: usize = 32;
/// Relations in one transaction.
const RELATIONS: usize = 64;
/// Packages that every service imports first of all, so that all but one find them there.
const COMMON: usize = 16;
/// Packages that all services change and delete in the last part of the work.
pub(crate) const CONTESTED: usize = 24;

/// How often each service raises the counter in each part of the work.
pub(crate) const RAISES: usize = 10;
/// How many changes each service makes in the last part.
pub(crate) const CHANGES: usize = 40;

/// The work of one service.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Packages by transaction, in order.
    pub packages: Vec<Vec<usize>>,
    /// Relations by transaction, in order.
    pub relations: Vec<Vec<usize>>,
    /// Packages that everybody changes.
    pub contested: Vec<usize>,
    /// Transactions of packages that nobody else makes.
    pub own: usize,
}

impl Plan {
    /// The work of `service` among `services`.
    ///
    /// The packages lie in a row cut into as many stretches. A service takes its own stretch and the first half of the next one; every second service goes
    /// backwards, so neighbours meet in the half that they share.
    pub(crate) fn new(data: &Data, services: usize, service: usize, seed: u64) -> Self {
        let count = data.packages.len();
        let stretch = |of: usize| -> Range<usize> { count * of / services..count * (of + 1) / services };
        let (own, next) = (stretch(service), stretch((service + 1) % services));
        let middle = |of: &Range<usize>| of.start + of.len() / 2;
        let (shared, next) = (own.start..middle(&own), next.start..middle(&next));
        let alone = middle(&own)..own.end;
        let mut parts = [shared, alone.clone(), next];
        let backwards = service % 2 == 1;
        let mut packages: Vec<Vec<usize>> = vec![(0..COMMON.min(count)).map(|at| at * count / COMMON.min(count)).collect()];
        let mut relations = Vec::new();
        if backwards {
            parts.reverse();
        }
        for part in parts {
            let mut rows: Vec<usize> = part.collect();
            if backwards {
                rows.reverse();
            }
            packages.extend(rows.chunks(PACKAGES).map(<[usize]>::to_vec));
            let of_row =
                |row: &usize| data.touching[*row].iter().copied().filter(|at| data.relations[*at].source == *row).collect::<Vec<_>>();
            let from: Vec<usize> = rows.iter().flat_map(of_row).collect();
            relations.extend(from.chunks(RELATIONS).map(<[usize]>::to_vec));
        }
        let mut chance = Chance::new(seed, &[u64::MAX]);
        let contested = (0..CONTESTED).map(|_| chance.below(count)).collect();
        Self { packages, relations, contested, own: alone.len() / PACKAGES }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::data::small;

    #[test]
    fn together_the_services_do_everything_and_each_part_of_it_is_contested() {
        let relations: Vec<(usize, usize)> = (0..600).map(|row| (row, (row * 7 + 1) % 601)).collect();
        let data = small(601, &relations);
        for services in [2, 3, 4, 8] {
            let plans: Vec<Plan> = (0..services).map(|service| Plan::new(&data, services, service, 5)).collect();
            let (mut packages, mut related) = (BTreeMap::new(), BTreeMap::new());
            for plan in &plans {
                assert_eq!((&plan.packages[0], &plan.contested), (&plans[0].packages[0], &plans[0].contested));
                assert!(plan.own > 0);
                plan.packages.iter().skip(1).flatten().for_each(|row| *packages.entry(*row).or_insert(0) += 1);
                plan.relations.iter().flatten().for_each(|relation| *related.entry(*relation).or_insert(0) += 1);
            }
            assert_eq!((packages.len(), related.len()), (601, 600));
            let twice = packages.values().filter(|times| **times == 2).count();
            assert!((250..=350).contains(&twice), "{twice} of 601 packages for {services} services");
            assert!(packages.values().all(|times| (1..=2).contains(times)));
        }
    }
}
