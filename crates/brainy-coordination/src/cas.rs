//! The marks in the body of an object that changes by compare-and-swap: what tells a writer whose reply was lost whether it took effect.

use brainy_core::codec::{self, CodecError, FieldWriter, Fields};
use brainy_core::{Entropy, Nonce};
use brainy_storage::Standing;

use crate::mutants::broken;
use crate::protocol;

/// How many earlier nonces a body names, so that a writer who was overwritten still finds that it took effect.
pub(crate) const NONCES: usize = 8;

/// A fresh nonce in every body that is ever sent, and the nonces of the bodies it follows.
///
/// Without it equal bodies would have equal ETags, and a condition on one would hold for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// This body's own.
    pub nonce: Nonce,
    /// Those of the bodies before, newest first; at most `NONCES`.
    pub before: Vec<Nonce>,
}

impl Marks {
    /// Marks of a body that follows none.
    pub fn first(entropy: &dyn Entropy) -> Self {
        Self { nonce: Nonce::random(entropy), before: Vec::new() }
    }

    /// Marks of a body that overwrites the one with these. Every body has its own, one that is only tried again after a fresh read too.
    pub fn next(&self, entropy: &dyn Entropy) -> Self {
        if broken!(DropNonce) {
            return self.clone();
        }
        let before = [self.nonce].into_iter().chain(self.before.iter().copied()).take(NONCES).collect();
        Self { nonce: Nonce::random(entropy), before }
    }

    /// What a body with these marks, found in place of the one marked `mine`, says about that one.
    pub fn standing(&self, mine: Nonce) -> Standing {
        if self.nonce == mine {
            Standing::Ours
        } else if self.before.contains(&mine) {
            Standing::Superseded
        } else {
            Standing::Foreign
        }
    }

    /// Writes them as two fields.
    pub(crate) fn write(&self, fields: &mut FieldWriter, nonce: u16, before: u16) {
        fields.required(nonce, self.nonce.as_bytes()).required(before, &codec::encode(&self.before));
    }

    /// Reads them from the two fields of a body called `what`.
    pub(crate) fn read(what: &'static str, fields: &Fields<'_>, nonce: u16, before: u16) -> Result<Self, CodecError> {
        let before: Vec<Nonce> = fields.value(before)?;
        if before.len() > NONCES {
            return Err(CodecError::corrupt(what, format!("{} nonces, at most {NONCES} are kept", before.len())));
        }
        Ok(Self { nonce: Nonce::from_bytes(protocol::identity(fields, nonce)?), before })
    }
}

/// For [`swap`](brainy_storage::conditional::swap): what the bytes that are there say about the body marked `mine`. `marks` reads the marks of a body;
/// none for bytes that are no such body, which say nothing.
pub(crate) fn standing(marks: impl Fn(&[u8]) -> Option<Marks> + Send + Sync, mine: Nonce) -> impl Fn(&[u8]) -> Standing + Send + Sync {
    move |bytes| marks(bytes).map_or(Standing::Foreign, |marks| marks.standing(mine))
}

#[cfg(test)]
mod tests {
    use brainy_core::SeededEntropy;

    use super::*;

    #[test]
    fn a_body_is_recognized_until_eight_others_followed_it() {
        let entropy = SeededEntropy::new(1);
        let mine = Marks::first(&entropy);
        assert_eq!(mine.standing(mine.nonce), Standing::Ours);
        let mut later = mine.clone();
        for _ in 0..NONCES {
            later = later.next(&entropy);
            assert_eq!(later.standing(mine.nonce), Standing::Superseded);
        }
        assert_eq!(later.before.len(), NONCES);
        assert_eq!(later.next(&entropy).standing(mine.nonce), Standing::Foreign, "what is forgotten says nothing");
    }

    #[test]
    fn two_bodies_that_follow_one_body_have_marks_of_their_own() {
        let entropy = SeededEntropy::new(2);
        let first = Marks::first(&entropy);
        let (one, other) = (first.next(&entropy), first.next(&entropy));
        assert_eq!(one.standing(other.nonce), Standing::Foreign);
    }

    #[test]
    fn marks_survive_their_bytes_and_too_many_are_refused() {
        let entropy = SeededEntropy::new(3);
        let marks = Marks::first(&entropy).next(&entropy);
        let write = |marks: &Marks| {
            let mut fields = FieldWriter::new();
            marks.write(&mut fields, 1, 2);
            fields.finish()
        };
        let read = |bytes: &[u8]| Marks::read("test", &Fields::parse("test", &[1, 2], bytes).unwrap(), 1, 2);
        assert_eq!(read(&write(&marks)).unwrap(), marks);
        let many = Marks { nonce: marks.nonce, before: vec![marks.nonce; NONCES + 1] };
        assert!(read(&write(&many)).is_err());
    }

    #[test]
    fn bytes_that_are_no_body_say_nothing_about_ours() {
        let mine = Marks::first(&SeededEntropy::new(4));
        let answer = standing(|bytes| (bytes == b"mine").then(|| mine.clone()), mine.nonce);
        assert_eq!((answer(b"mine"), answer(b"cut off")), (Standing::Ours, Standing::Foreign));
    }
}
