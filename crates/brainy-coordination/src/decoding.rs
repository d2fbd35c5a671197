//! Reading slots, batches and lists of transactions: functions of the bytes alone.
//!
//! Where many replicas read one log in one thread, as in a bench in virtual time, each object may be read once for all of them.

use brainy_core::codec::CodecError;
use bytes::Bytes;

use crate::apply::{Order, Orders};
use crate::batch::{self, Batch};
use crate::machine::StateMachine;
use crate::slot::{self, Slot};

#[cfg(not(feature = "simulation"))]
macro_rules! shared {
    ($kind:ident, $bytes:expr, $decode:expr) => {
        $decode
    };
}

#[cfg(feature = "simulation")]
macro_rules! shared {
    ($kind:ident, $bytes:expr, $decode:expr) => {
        sharing::SHARED.with_borrow_mut(|shared| match shared {
            Some(shared) => shared.$kind.read($bytes, || $decode),
            None => $decode,
        })
    };
}

/// The slot in `object`.
pub(crate) fn slot(object: &Bytes) -> Result<Slot, CodecError> {
    shared!(slots, object, slot::decode(object))
}

/// A batch as a slot embeds it.
pub(crate) fn batch(bytes: &Bytes) -> Result<Batch, CodecError> {
    shared!(batches, bytes, Batch::decode(bytes))
}

/// The transactions of an encoded list that must hold `count` of them.
pub(crate) fn orders<M: StateMachine>(list: &Bytes, count: u32) -> Orders<M::Command> {
    let transactions = shared!(lists, list, batch::decode_transactions(list, count))?;
    Ok(transactions.into_iter().map(|transaction| transaction.map(Order::read::<M>)).collect())
}

#[cfg(feature = "simulation")]
pub use sharing::SharedDecoding;

#[cfg(feature = "simulation")]
mod sharing {
    use std::cell::RefCell;
    use std::collections::{HashMap, VecDeque};
    use std::marker::PhantomData;

    use brainy_core::codec::CodecError;
    use bytes::Bytes;

    use crate::batch::{Batch, Transaction};
    use crate::slot::Slot;

    /// Objects of each kind that are remembered; one that was read again later than that is decoded again.
    const MOST_REMEMBERED: usize = 4_096;

    thread_local! {
        pub(super) static SHARED: RefCell<Option<Shared>> = const { RefCell::new(None) };
    }

    #[derive(Default)]
    pub(super) struct Shared {
        pub(super) slots: Memory<Slot>,
        pub(super) batches: Memory<Batch>,
        pub(super) lists: Memory<Vec<Result<Transaction, CodecError>>>,
    }

    /// What was decoded, by where the bytes lie: they are held as well, so nothing else can lie there.
    pub(super) struct Memory<T> {
        known: HashMap<(usize, usize), (Bytes, T)>,
        order: VecDeque<(usize, usize)>,
    }

    impl<T> Default for Memory<T> {
        fn default() -> Self {
            Self { known: HashMap::new(), order: VecDeque::new() }
        }
    }

    impl<T: Clone> Memory<T> {
        pub(super) fn read(&mut self, bytes: &Bytes, decode: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
            let place = (bytes.as_ptr().addr(), bytes.len());
            if let Some((_, known)) = self.known.get(&place) {
                return Ok(known.clone());
            }
            let decoded = decode()?;
            if self.order.len() == MOST_REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(place);
            self.known.insert(place, (bytes.clone(), decoded.clone()));
            Ok(decoded)
        }
    }

    /// While it lives, replicas driven by this thread decode bytes that they share once instead of once each.
    #[derive(Debug)]
    #[must_use = "sharing ends when it is dropped"]
    pub struct SharedDecoding {
        /// It is this thread's.
        here: PhantomData<*const ()>,
    }

    impl SharedDecoding {
        /// Begins with nothing known.
        #[expect(clippy::new_without_default, reason = "it is a guard, not a value")]
        pub fn new() -> Self {
            SHARED.set(Some(Shared::default()));
            Self { here: PhantomData }
        }
    }

    impl Drop for SharedDecoding {
        fn drop(&mut self) {
            SHARED.set(None);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn bytes_that_lie_in_one_place_are_decoded_once_and_others_anew() {
            let mut memory = Memory::default();
            let (first, equal) = (Bytes::from(vec![1, 2]), Bytes::from(vec![1, 2]));
            assert_eq!(memory.read(&first, || Ok(1)), Ok(1));
            assert_eq!(memory.read(&first.clone(), || Ok(2)), Ok(1));
            assert_eq!(memory.read(&equal, || Ok(3)), Ok(3));
            assert_eq!(memory.read(&first.slice(..1), || Ok(4)), Ok(4));
            let others: Vec<_> = (0..MOST_REMEMBERED).map(|_| Bytes::from(vec![0])).collect();
            others.iter().for_each(|other| assert_eq!(memory.read(other, || Ok(5)), Ok(5)));
            assert_eq!((memory.read(&first, || Ok(6)), memory.known.len()), (Ok(6), MOST_REMEMBERED));
            let wrong = || Err(CodecError::corrupt("test", "cut"));
            assert!(memory.read(&first.slice(1..), wrong).is_err() && memory.read(&first.slice(1..), || Ok(7)).is_ok());
        }
    }
}
