//! The bytes of a transaction's operations; `docs/format.md` draws them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{MAX_OPERATIONS, MAX_TRANSACTION_BYTES, MissingEnds, Operation};
use crate::codec::{self, CodecError, FieldWriter, Fields};
use crate::item::content::{self, ID, METADATA, SERVICE, SOURCE, TARGET, TYPE, VECTOR, WEIGHT};

const WHAT: &str = "operation";

const KIND: u16 = 1;
const PRECONDITION: u16 = 16;
const INCIDENT: u16 = 17;
const MISSING: u16 = 18;
/// Every field that some kind of operation has.
const KNOWN: [u16; 12] = [KIND, ID, TYPE, VECTOR, METADATA, SERVICE, SOURCE, TARGET, WEIGHT, PRECONDITION, INCIDENT, MISSING];

const PUT_NOUN: u8 = 1;
const DELETE_NOUN: u8 = 2;
const PUT_VERB: u8 = 3;
const DELETE_VERB: u8 = 4;
const CLEAR: u8 = 5;

/// How many variants of `Precondition` and `Incident` this build knows.
const PRECONDITIONS: u8 = 4;
const INCIDENTS: u8 = 2;

/// `operations` as bytes. Equal operations have equal bytes.
///
/// What [`Operation::check_all`] checks, and [`MAX_TRANSACTION_BYTES`], are the caller's to keep: [`decode_operations`] refuses what is beyond a limit.
pub fn encode_operations(operations: &[Operation]) -> Vec<u8> {
    let bodies: Vec<Vec<u8>> = operations.iter().map(encode_operation).collect();
    codec::encode_list(&bodies)
}

/// The operations that [`encode_operations`] made `bytes` of, every value checked again.
///
/// # Errors
/// [`CodecError::Corrupt`]: cut off, over [`MAX_TRANSACTION_BYTES`] or [`MAX_OPERATIONS`], or with a value that its type refuses, which is named;
/// [`CodecError::Unsupported`]: a kind of operation, a required field or a variant this build does not know.
pub fn decode_operations(bytes: &[u8]) -> Result<Vec<Operation>, CodecError> {
    decode_each(bytes, |operation, _, _| operation)
}

/// As [`decode_operations`], each operation with the [fingerprint](codec::fingerprint) of the content bytes of what it puts; 0 where it puts nothing.
///
/// # Errors
/// As [`decode_operations`].
pub fn decode_and_fingerprint(bytes: &[u8]) -> Result<Vec<(Operation, u128)>, CodecError> {
    decode_each(bytes, |operation, fields, body| {
        // The content bytes stand in the operation as they are, but for those of a verb whose id is derived.
        let content = fields.stretch(body, ID, WEIGHT);
        let fingerprint = match &operation {
            Operation::PutNoun { noun, .. } => content.map_or_else(|| codec::fingerprint(&noun.content_bytes()), codec::fingerprint),
            Operation::PutVerb { verb, .. } => {
                content.filter(|_| verb.id.is_some()).map_or_else(|| codec::fingerprint(&verb.content_bytes()), codec::fingerprint)
            }
            Operation::DeleteNoun { .. } | Operation::DeleteVerb { .. } | Operation::Clear => 0,
        };
        (operation, fingerprint)
    })
}

fn decode_each<T>(bytes: &[u8], take: impl Fn(Operation, &Fields<'_>, &[u8]) -> T) -> Result<Vec<T>, CodecError> {
    const WHOLE: &str = "transaction";
    if bytes.len() > MAX_TRANSACTION_BYTES {
        return Err(CodecError::corrupt(WHOLE, format!("{} bytes, at most {MAX_TRANSACTION_BYTES} are allowed", bytes.len())));
    }
    let bodies = codec::decode_list(WHOLE, bytes)?;
    if bodies.len() > MAX_OPERATIONS {
        return Err(CodecError::corrupt(WHOLE, format!("{} operations, at most {MAX_OPERATIONS} are allowed", bodies.len())));
    }
    let read = |body| {
        let fields = Fields::parse(WHAT, &KNOWN, body)?;
        Ok(take(decode_operation(&fields)?, &fields, body))
    };
    bodies.into_iter().enumerate().map(|(at, body)| read(body).map_err(|error| numbered(at, error))).collect()
}

/// `error`, with the number of its operation, from 0.
fn numbered(at: usize, error: CodecError) -> CodecError {
    match error {
        CodecError::Corrupt { what, reason } => CodecError::Corrupt { what, reason: format!("number {at}: {reason}") },
        CodecError::Unsupported { what, reason } => CodecError::Unsupported { what, reason: format!("number {at}: {reason}") },
    }
}

fn encode_operation(operation: &Operation) -> Vec<u8> {
    let mut body = FieldWriter::new();
    match operation {
        Operation::PutNoun { noun, precondition } => {
            body.required(KIND, &[PUT_NOUN]);
            content::write_noun(&mut body, noun);
            write_unless_default(&mut body, PRECONDITION, precondition);
        }
        Operation::DeleteNoun { id, incident, precondition } => {
            body.required(KIND, &[DELETE_NOUN]).required(ID, id.as_str().as_bytes());
            write_unless_default(&mut body, PRECONDITION, precondition);
            write_unless_default(&mut body, INCIDENT, incident);
        }
        Operation::PutVerb { verb, precondition, missing } => {
            body.required(KIND, &[PUT_VERB]);
            content::write_verb(&mut body, verb, verb.id.as_ref());
            write_unless_default(&mut body, PRECONDITION, precondition);
            if let MissingEnds::Create(kind) = missing {
                body.required(MISSING, kind.as_str().as_bytes());
            }
        }
        Operation::DeleteVerb { id, precondition } => {
            body.required(KIND, &[DELETE_VERB]).required(ID, id.as_str().as_bytes());
            write_unless_default(&mut body, PRECONDITION, precondition);
        }
        Operation::Clear => {
            body.required(KIND, &[CLEAR]);
        }
    }
    body.finish()
}

fn write_unless_default<T: Serialize + Default + PartialEq>(body: &mut FieldWriter, tag: u16, value: &T) {
    if *value != T::default() {
        body.required(tag, &codec::encode(value));
    }
}

fn decode_operation(fields: &Fields<'_>) -> Result<Operation, CodecError> {
    let &[kind] = fields.need(KIND)? else {
        return Err(CodecError::corrupt(WHAT, "its kind is not one byte"));
    };
    let of_kind: &[u16] = match kind {
        PUT_NOUN => &[KIND, ID, TYPE, VECTOR, METADATA, SERVICE, PRECONDITION],
        DELETE_NOUN => &[KIND, ID, PRECONDITION, INCIDENT],
        PUT_VERB => &[KIND, ID, TYPE, VECTOR, METADATA, SERVICE, SOURCE, TARGET, WEIGHT, PRECONDITION, MISSING],
        DELETE_VERB => &[KIND, ID, PRECONDITION],
        CLEAR => &[KIND],
        other => return Err(CodecError::unsupported(WHAT, format!("kind {other} is not known"))),
    };
    if let Some(stray) = KNOWN.iter().find(|tag| !of_kind.contains(tag) && fields.get(**tag).is_some()) {
        return Err(CodecError::corrupt(WHAT, format!("field {stray} does not belong to kind {kind}")));
    }
    let precondition = read_or_default(fields, PRECONDITION, PRECONDITIONS)?;
    Ok(match kind {
        PUT_NOUN => Operation::PutNoun { noun: content::read_noun(WHAT, fields)?, precondition },
        DELETE_NOUN => Operation::DeleteNoun {
            id: content::read_text(WHAT, fields, ID)?,
            incident: read_or_default(fields, INCIDENT, INCIDENTS)?,
            precondition,
        },
        PUT_VERB => Operation::PutVerb {
            verb: content::read_verb(WHAT, fields)?,
            precondition,
            missing: content::read_optional_text(WHAT, fields, MISSING)?.map_or(MissingEnds::Refuse, MissingEnds::Create),
        },
        DELETE_VERB => Operation::DeleteVerb { id: content::read_text(WHAT, fields, ID)?, precondition },
        _ => Operation::Clear,
    })
}

/// The value of field `tag`, an enum of which this build knows `variants`; its default if the field is not there.
fn read_or_default<T: DeserializeOwned + Default>(fields: &Fields<'_>, tag: u16, variants: u8) -> Result<T, CodecError> {
    match fields.get(tag) {
        // bincode writes the number of a variant first, in one byte while it is small.
        Some(&[variant, ..]) if variant >= variants => {
            Err(CodecError::unsupported(WHAT, format!("variant {variant} of field {tag} is not known")))
        }
        Some(bytes) => codec::decode(WHAT, bytes),
        None => Ok(T::default()),
    }
}
