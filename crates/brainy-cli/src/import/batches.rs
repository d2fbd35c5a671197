//! From lines to transactions.

use std::collections::HashSet;

use brainy::{NounDraft, VerbDraft};

use crate::failure::Failure;

/// Bytes after which a transaction is closed, though it may hold more items: well under what a transaction may have, so that one more item always fits.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes that an item has at least: names of fields, preconditions, lengths.
const ITEM_BYTES: usize = 64;

/// What an input file holds.
pub(crate) trait Draft {
    /// What happens to an item that stands in its batch already: a transaction writes nothing twice.
    const REPEATED: Repeated;
    /// What makes two items the same.
    fn key(&self) -> String;
    /// Its size in a transaction, about.
    fn bytes(&self) -> usize;
}

/// See [`Draft::REPEATED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// It begins the next batch: the later line wins, as it would one by one.
    Close,
    /// It is left out: it says nothing new.
    Skip,
}

impl Draft for NounDraft {
    const REPEATED: Repeated = Repeated::Close;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn bytes(&self) -> usize {
        let vector = self.vector.as_ref().map_or(0, |vector| 4 * vector.dimension());
        ITEM_BYTES + self.id.as_str().len() + self.kind.as_str().len() + self.metadata.as_bytes().len() + vector
    }
}

impl Draft for VerbDraft {
    const REPEATED: Repeated = Repeated::Skip;

    fn key(&self) -> String {
        self.effective_id().to_string()
    }

    fn bytes(&self) -> usize {
        ITEM_BYTES + self.source.as_str().len() + self.kind.as_str().len() + self.target.as_str().len()
    }
}

/// Items of one transaction with their lines.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    /// The file they come from.
    pub(crate) file: String,
    /// Line, from 1, and item.
    pub(crate) items: Vec<(u64, T)>,
    /// How many lines, those left out included.
    pub(crate) lines: u64,
}

/// The batches of one file.
#[derive(Debug)]
pub(crate) struct Batches<T, F> {
    file: String,
    next: F,
    most: usize,
    carried: Option<(u64, T)>,
}

impl<T: Draft, F: FnMut() -> Result<Option<(u64, T)>, Failure>> Batches<T, F> {
    /// What `next` gives, at most `most` items at a time.
    pub(crate) fn new(file: String, most: usize, next: F) -> Self {
        Self { file, next, most, carried: None }
    }

    /// The next batch; none at the end. After a failure the items read before it are gone: nothing of their batch is written.
    pub(crate) fn next_batch(&mut self) -> Result<Option<Batch<T>>, Failure> {
        let mut batch = Batch { file: self.file.clone(), items: Vec::new(), lines: 0 };
        let (mut keys, mut bytes) = (HashSet::new(), 0);
        while batch.items.len() < self.most && bytes < BATCH_BYTES {
            let item = match self.carried.take() {
                Some(item) => Some(item),
                None => (self.next)()?,
            };
            let Some((line, item)) = item else { break };
            if !keys.insert(item.key()) {
                match T::REPEATED {
                    Repeated::Close => {
                        self.carried = Some((line, item));
                        break;
                    }
                    Repeated::Skip => {
                        batch.lines += 1;
                        continue;
                    }
                }
            }
            bytes += item.bytes();
            batch.lines += 1;
            batch.items.push((line, item));
        }
        Ok((!batch.items.is_empty()).then_some(batch))
    }
}

#[cfg(test)]
mod tests {
    use brainy::{Metadata, NounId, TypeName, Vector};

    use super::*;

    fn noun(id: &str) -> NounDraft {
        NounDraft::new(NounId::new(id).unwrap(), TypeName::new("t").unwrap())
    }

    fn batches<T: Draft + Clone>(items: &[T], most: usize) -> Vec<(Vec<u64>, u64)> {
        let mut lines = (1..).zip(items.iter().cloned());
        let mut batches = Batches::new("f".into(), most, || Ok(lines.next()));
        let mut found = Vec::new();
        while let Some(batch) = batches.next_batch().unwrap() {
            found.push((batch.items.iter().map(|(line, _)| *line).collect(), batch.lines));
        }
        found
    }

    #[test]
    fn no_transaction_writes_an_item_twice_and_no_line_is_lost() {
        let nouns = ["a", "b", "a", "c", "d", "e"].map(noun);
        assert_eq!(batches(&nouns, 3), [(vec![1, 2], 2), (vec![3, 4, 5], 3), (vec![6], 1)]);
        let verb = |target: &str| VerbDraft::new(noun("a").id, noun("a").kind, noun(target).id);
        assert_eq!(batches(&["b", "b", "c", "b"].map(verb), 2), [(vec![1, 3], 3), (vec![4], 1)]);
        assert_eq!(batches::<NounDraft>(&[], 3), []);
    }

    #[test]
    fn large_items_make_small_batches() {
        let wide = |id: usize| noun(&id.to_string()).with_vector(Vector::new(vec![1.0; 65_536]).unwrap());
        let wide: Vec<_> = (0..40).map(wide).collect();
        let sizes: Vec<_> = batches(&wide, 500).into_iter().map(|(lines, _)| lines.len()).collect();
        assert_eq!(sizes, [16, 16, 8]);
        let text = "x".repeat(1_000_000);
        let heavy = noun("a").with_metadata(Metadata::from_value(&serde_json::json!({ "text": text })).unwrap());
        assert!(heavy.bytes() > 1_000_000);
    }

    #[test]
    fn a_bad_line_takes_its_batch_with_it() {
        let mut lines = 0;
        let mut batches = Batches::new("f".into(), 2, || {
            lines += 1;
            if lines == 4 {
                Err(Failure::File { file: "f".into(), reason: "bad".into() })
            } else {
                Ok(Some((lines, noun(&lines.to_string()))))
            }
        });
        assert!(batches.next_batch().unwrap().is_some());
        assert!(batches.next_batch().is_err());
    }
}
