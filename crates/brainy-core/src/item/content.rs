//! The content of nouns and verbs as tagged fields: in operations, and hashed for digests. `docs/format.md` draws them.

use std::fmt::Display;
use std::str::FromStr;

use crate::codec::{CodecError, FieldWriter, Fields};
use crate::{Metadata, Noun, NounDraft, NounId, ServiceTag, TypeName, Vector, Verb, VerbDraft, VerbId};

pub(crate) const ID: u16 = 2;
pub(crate) const TYPE: u16 = 3;
pub(crate) const VECTOR: u16 = 4;
pub(crate) const METADATA: u16 = 5;
pub(crate) const SERVICE: u16 = 6;
pub(crate) const SOURCE: u16 = 7;
pub(crate) const TARGET: u16 = 8;
pub(crate) const WEIGHT: u16 = 9;

/// What nouns and verbs have alike.
struct Common<'a> {
    id: Option<&'a str>,
    kind: &'a TypeName,
    vector: Option<&'a Vector>,
    metadata: &'a Metadata,
    service: Option<&'a ServiceTag>,
}

/// Bytes of everything but vector and metadata, as a rule.
const USUAL_BYTES: usize = 256;

fn write_common(body: &mut FieldWriter, common: &Common<'_>) {
    body.reserve(USUAL_BYTES + 4 * common.vector.map_or(0, Vector::dimension) + common.metadata.as_bytes().len());
    if let Some(id) = common.id {
        body.required(ID, id.as_bytes());
    }
    body.required(TYPE, common.kind.as_str().as_bytes());
    if let Some(vector) = common.vector {
        body.required_with(VECTOR, 4 * vector.dimension(), |bytes| vector.write_to(bytes));
    }
    body.required(METADATA, common.metadata.as_bytes());
    if let Some(service) = common.service {
        body.required(SERVICE, service.as_str().as_bytes());
    }
}

fn write_edge(body: &mut FieldWriter, source: &NounId, target: &NounId, weight: f64) {
    body.required(SOURCE, source.as_str().as_bytes());
    body.required(TARGET, target.as_str().as_bytes());
    body.required(WEIGHT, &weight.to_bits().to_le_bytes());
}

pub(crate) fn write_noun(body: &mut FieldWriter, noun: &NounDraft) {
    let NounDraft { id, kind, vector, metadata, service } = noun;
    write_common(body, &Common { id: Some(id.as_str()), kind, vector: vector.as_ref(), metadata, service: service.as_ref() });
}

/// `id`: the given one, or in digests the effective one; none where it is derived when read.
pub(crate) fn write_verb(body: &mut FieldWriter, verb: &VerbDraft, id: Option<&VerbId>) {
    let VerbDraft { id: _, source, kind, target, vector, weight, metadata, service } = verb;
    let id = id.map(VerbId::as_str);
    write_common(body, &Common { id, kind, vector: vector.as_ref(), metadata, service: service.as_ref() });
    write_edge(body, source, target, *weight);
}

impl NounDraft {
    /// The content as bytes that are equal exactly if every field's stored form is: the fields of an operation that puts it, without kind and
    /// precondition. Hashed for digests and compared instead of contents; numbers compare by their bits, so `-0.0` differs from `0.0`.
    pub fn content_bytes(&self) -> Vec<u8> {
        let mut body = FieldWriter::new();
        write_noun(&mut body, self);
        body.finish()
    }
}

impl VerbDraft {
    /// As [`NounDraft::content_bytes`], under the [effective id](Self::effective_id): a derived id and the same one given make equal bytes.
    pub fn content_bytes(&self) -> Vec<u8> {
        let mut body = FieldWriter::new();
        write_verb(&mut body, self, Some(&self.effective_id()));
        body.finish()
    }
}

impl Noun {
    /// The [content bytes](NounDraft::content_bytes) of the draft it was stored from: everything but version and times.
    pub fn content_bytes(&self) -> Vec<u8> {
        let Self { id, kind, vector, metadata, service, version: _, created_ms: _, updated_ms: _ } = self;
        let mut body = FieldWriter::new();
        write_common(&mut body, &Common { id: Some(id.as_str()), kind, vector: vector.as_ref(), metadata, service: service.as_ref() });
        body.finish()
    }
}

impl Verb {
    /// The [content bytes](VerbDraft::content_bytes) of the draft it was stored from: everything but version and times.
    pub fn content_bytes(&self) -> Vec<u8> {
        let Self { id, source, kind, target, vector, weight, metadata, service, version: _, created_ms: _, updated_ms: _ } = self;
        let mut body = FieldWriter::new();
        write_common(&mut body, &Common { id: Some(id.as_str()), kind, vector: vector.as_ref(), metadata, service: service.as_ref() });
        write_edge(&mut body, source, target, *weight);
        body.finish()
    }
}

pub(crate) fn read_noun(what: &'static str, fields: &Fields<'_>) -> Result<NounDraft, CodecError> {
    Ok(NounDraft {
        id: read_text(what, fields, ID)?,
        kind: read_text(what, fields, TYPE)?,
        vector: read_vector(what, fields)?,
        metadata: read_metadata(what, fields)?,
        service: read_optional_text(what, fields, SERVICE)?,
    })
}

pub(crate) fn read_verb(what: &'static str, fields: &Fields<'_>) -> Result<VerbDraft, CodecError> {
    Ok(VerbDraft {
        id: read_optional_text(what, fields, ID)?,
        source: read_text(what, fields, SOURCE)?,
        kind: read_text(what, fields, TYPE)?,
        target: read_text(what, fields, TARGET)?,
        vector: read_vector(what, fields)?,
        weight: read_weight(what, fields)?,
        metadata: read_metadata(what, fields)?,
        service: read_optional_text(what, fields, SERVICE)?,
    })
}

pub(crate) fn read_text<T: FromStr<Err: Display>>(what: &'static str, fields: &Fields<'_>, tag: u16) -> Result<T, CodecError> {
    let bytes = fields.need(tag)?;
    let text = std::str::from_utf8(bytes).map_err(|error| CodecError::corrupt(what, format!("field {tag}: {error}")))?;
    text.parse().map_err(|error| CodecError::corrupt(what, format!("field {tag}: {error}")))
}

pub(crate) fn read_optional_text<T: FromStr<Err: Display>>(
    what: &'static str,
    fields: &Fields<'_>,
    tag: u16,
) -> Result<Option<T>, CodecError> {
    fields.get(tag).map(|_| read_text(what, fields, tag)).transpose()
}

fn read_vector(what: &'static str, fields: &Fields<'_>) -> Result<Option<Vector>, CodecError> {
    let vector = fields.get(VECTOR).map(Vector::from_bytes).transpose();
    vector.map_err(|error| CodecError::corrupt(what, format!("field {VECTOR}: {error}")))
}

fn read_metadata(what: &'static str, fields: &Fields<'_>) -> Result<Metadata, CodecError> {
    Metadata::from_bytes(fields.need(METADATA)?).map_err(|error| CodecError::corrupt(what, format!("field {METADATA}: {error}")))
}

fn read_weight(what: &'static str, fields: &Fields<'_>) -> Result<f64, CodecError> {
    let bits = fields.need(WEIGHT)?;
    let bits =
        bits.try_into().map_err(|_| CodecError::corrupt(what, format!("field {WEIGHT}: a weight of {} bytes, not 8", bits.len())))?;
    let weight = f64::from_bits(u64::from_le_bytes(bits));
    if weight.is_finite() {
        Ok(weight)
    } else {
        Err(CodecError::corrupt(what, format!("field {WEIGHT}: the weight {weight} is not finite")))
    }
}
