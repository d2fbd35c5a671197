//! `lease/{name}`: who does some work, until when, and under which fencing token. It changes by compare-and-swap and is never deleted.

pub mod decide;

use std::time::Duration;

use brainy_core::codec::{self, CodecError, FieldWriter, Fields, ObjectKind};
use brainy_core::{Entropy, HolderId, StoreId};
use bytes::Bytes;

use crate::cas::Marks;
use crate::protocol::{self, MAX_REASON_BYTES};

const WHAT: &str = "lease";
const STORE: u16 = 1;
const HOLDER: u16 = 2;
const TOKEN: u16 = 3;
const HELD: u16 = 4;
const TTL_MS: u16 = 5;
const NOTE: u16 = 6;
const SINCE_MS: u16 = 7;
const NONCE: u16 = 8;
const BEFORE: u16 = 9;
const KNOWN: [u16; 9] = [STORE, HOLDER, TOKEN, HELD, TTL_MS, NOTE, SINCE_MS, NONCE, BEFORE];

/// Shortest time to live of a lease: below, no renewal would come in time.
pub const SHORTEST_TTL: Duration = Duration::from_millis(100);
/// Longest: a dead holder's work stands still for so long.
pub const LONGEST_TTL: Duration = Duration::from_secs(24 * 3_600);

/// The body of a lease. It holds no moment that anybody compares: a wall clock is there for people only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub store: StoreId,
    /// Who has it, or had it last.
    pub holder: HolderId,
    /// The holder's fencing token: larger than every earlier holder's.
    pub token: u64,
    /// Whether it is held; else it was released.
    pub held: bool,
    /// How long it lives unrenewed, as its holder understands it.
    pub ttl: Duration,
    /// The holder's words for people.
    pub note: String,
    /// The holder's wall clock when it took the lease; for people.
    pub since_ms: u64,
    pub marks: Marks,
    unknown: Vec<(u16, Vec<u8>)>,
}

/// Whose turn on a lease.
#[derive(Clone, Debug)]
pub struct Term {
    pub store: StoreId,
    pub holder: HolderId,
    pub token: u64,
    pub ttl: Duration,
    pub note: String,
    pub since_ms: u64,
}

impl Lease {
    /// The first body of a lease that nobody ever held.
    pub fn first(term: Term, entropy: &dyn Entropy) -> Self {
        Self::of(term, true, Marks::first(entropy), Vec::new())
    }

    /// This lease taken, in place of the body that is there.
    pub fn taken(&self, term: Term, entropy: &dyn Entropy) -> Self {
        Self::of(term, true, self.marks.next(entropy), self.unknown.clone())
    }

    /// The same, renewed.
    pub fn renewed(&self, entropy: &dyn Entropy) -> Self {
        Self { marks: self.marks.next(entropy), ..self.clone() }
    }

    /// The same, released: the token stays.
    pub fn released(&self, entropy: &dyn Entropy) -> Self {
        Self { held: false, marks: self.marks.next(entropy), ..self.clone() }
    }

    /// A free lease in place of one that is gone: what an operator makes, and nobody else. `term` is nobody's.
    pub fn remade(term: Term, entropy: &dyn Entropy) -> Self {
        Self::of(term, false, Marks::first(entropy), Vec::new())
    }

    fn of(term: Term, held: bool, marks: Marks, unknown: Vec<(u16, Vec<u8>)>) -> Self {
        let Term { store, holder, token, ttl, note, since_ms } = term;
        Self { store, holder, token, held, ttl, note, since_ms, marks, unknown }
    }

    /// Whether this is `holder`'s turn under `token`.
    pub fn is_term_of(&self, holder: HolderId, token: u64) -> bool {
        self.held && self.holder == holder && self.token == token
    }

    pub fn encode(&self) -> Bytes {
        let ttl_ms = u64::try_from(self.ttl.as_millis()).expect("options and decoding bound it");
        let mut fields = FieldWriter::new();
        fields
            .required(STORE, self.store.as_bytes())
            .required(HOLDER, self.holder.as_bytes())
            .required(TOKEN, &codec::encode(&self.token))
            .required(HELD, &codec::encode(&self.held))
            .required(TTL_MS, &codec::encode(&ttl_ms))
            .optional(NOTE, &codec::encode(&self.note))
            .optional(SINCE_MS, &codec::encode(&self.since_ms));
        self.marks.write(&mut fields, NONCE, BEFORE);
        fields.kept(&self.unknown);
        codec::seal(ObjectKind::Lease, &fields.finish()).into()
    }

    /// # Errors
    /// [`CodecError`]: no lease, or one of a newer build.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let fields = Fields::parse(WHAT, &KNOWN, codec::open(ObjectKind::Lease, WHAT, bytes)?)?;
        let ttl = Duration::from_millis(fields.value(TTL_MS)?);
        if !(SHORTEST_TTL..=LONGEST_TTL).contains(&ttl) {
            return Err(CodecError::corrupt(WHAT, format!("a time to live of {ttl:?}")));
        }
        let note: String = fields.optional_value(NOTE)?.unwrap_or_default();
        if note.len() > MAX_REASON_BYTES {
            return Err(CodecError::corrupt(WHAT, format!("a note of {} bytes", note.len())));
        }
        Ok(Self {
            store: StoreId::from_bytes(protocol::identity(&fields, STORE)?),
            holder: HolderId::from_bytes(protocol::identity(&fields, HOLDER)?),
            token: fields.value(TOKEN)?,
            held: fields.value(HELD)?,
            ttl,
            note,
            since_ms: fields.optional_value(SINCE_MS)?.unwrap_or(0),
            marks: Marks::read(WHAT, &fields, NONCE, BEFORE)?,
            unknown: fields.unknown(&KNOWN),
        })
    }
}
