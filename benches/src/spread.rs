//! Several rounds of one measurement.

use std::fmt;

/// The median of several rounds, and their least and greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the middle two.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Spread {
    /// Of these rounds.
    ///
    /// # Panics
    /// There is none.
    pub fn of(rounds: &[f64]) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Self { median, least: sorted[0], most: sorted[sorted.len() - 1] }
    }
}

/// `median (least–most)`, or the median alone where the three look equal, with as many decimals as the format asks for, else three significant digits or whole numbers.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(match self.most.abs() {
            most if most >= 100.0 => 0,
            most if most >= 10.0 => 1,
            _ => 2,
        });
        let [median, least, most] = [self.median, self.least, self.most].map(|value| format!("{value:.decimals$}"));
        if least == most { f.write_str(&median) } else { write!(f, "{median} ({least}–{most})") }
    }
}

/// The value below which `share` of the sorted `values` lie; 0 if there are none.
pub fn percentile(sorted: &[u64], share: f64) -> u64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends_are_told() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]).median, 2.5);
        assert_eq!(Spread::of(&[10.0, 12.0, 11.0]).to_string(), "11.0 (10.0–12.0)");
        assert_eq!(Spread::of(&[1.0, 1.001]).to_string(), "1.00");
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.99), percentile(&values, 1.0)), (51, 100, 100));
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
