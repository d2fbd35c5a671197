/// A node and its distance from whatever is being compared, ordered by distance, then by node number.
///
/// Both lie in one word, so that the heaps compare integers: the upper half is the distance's bits, mapped so that their order
/// is that of [`f32::total_cmp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Near(u64);

const SIGN: u32 = 1 << 31;

impl Near {
    pub(crate) fn new(distance: f32, node: u32) -> Self {
        let bits = distance.to_bits();
        let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
        Self(u64::from(ordered) << 32 | u64::from(node))
    }

    pub(crate) fn node(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn distance(self) -> f32 {
        let ordered = self.rank();
        f32::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN })
    }

    /// The distance alone, as an integer of the same order.
    pub(crate) fn rank(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packed_order_is_that_of_distance_then_node() {
        let distances = [f32::NEG_INFINITY, -3e38, -1.0, -1e-40, -0.0, 0.0, 1e-40, 0.5, 1.0, 3e38, f32::INFINITY];
        for (i, a) in distances.iter().enumerate() {
            assert_eq!(Near::new(*a, 7).distance().to_bits(), a.to_bits());
            assert_eq!(Near::new(*a, u32::MAX).node(), u32::MAX);
            for (j, b) in distances.iter().enumerate() {
                assert_eq!(Near::new(*a, 1).cmp(&Near::new(*b, 1)), i.cmp(&j), "{a} and {b}");
            }
        }
        assert!(Near::new(1.0, 2) < Near::new(1.0, 3));
    }
}
