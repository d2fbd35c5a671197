//! Metadata: a JSON object in a canonical encoding of our own; `docs/format.md` draws it.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::ErrorKind;

/// Most bytes the canonical encoding of one item's metadata may have.
pub const MAX_METADATA_BYTES: usize = 1 << 20;
/// How deep arrays and objects may lie in each other.
pub const MAX_METADATA_DEPTH: usize = 64;

/// Why a value cannot be metadata. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Not a JSON object.
    #[error("metadata is a JSON {found}, not an object")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// Over [`MAX_METADATA_BYTES`].
    #[error("metadata of {bytes} bytes: at most {MAX_METADATA_BYTES} are allowed")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
    },
    /// Deeper than [`MAX_METADATA_DEPTH`].
    #[error("metadata nests deeper than {MAX_METADATA_DEPTH} levels")]
    TooDeep,
    /// A number that is neither a 64-bit integer nor a finite double.
    #[error("the number at {path} is neither a 64-bit integer nor a finite double")]
    Number {
        /// Where it is.
        path: String,
    },
    /// The value's own `Serialize` refused.
    #[error("metadata cannot be serialised: {0}")]
    Serialize(String),
    /// Stored bytes that no encoder of ours makes.
    #[error("stored metadata is corrupt: {0}")]
    Corrupt(String),
}

impl MetadataError {
    /// What a caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAnObject { .. } | Self::TooLarge { .. } | Self::TooDeep | Self::Number { .. } | Self::Serialize(_) => {
                ErrorKind::Invalid
            }
            Self::Corrupt(_) => ErrorKind::Corrupt,
        }
    }
}

/// A JSON object in canonical bytes: keys sorted, integers exact, doubles by their bits; equal content has equal bytes on every machine,
/// whatever features of `serde_json` are switched on. Cheap to clone.
///
/// A number is an integer if it is written as one and fits 64 bits, else a double: `1` and `1.0` come back as they were written and have different
/// bytes (filters find them equal), `1e2` and `100.0` are the same double, so are `-0` and `-0.0`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Metadata(Arc<[u8]>);

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const SIGNED: u8 = 3;
const UNSIGNED: u8 = 4;
const DOUBLE: u8 = 5;
const TEXT: u8 = 6;
const ARRAY: u8 = 7;
const OBJECT: u8 = 8;

impl Metadata {
    /// `{}`.
    pub fn empty() -> Self {
        Self::from_value(&Value::Object(Map::new())).expect("an empty object is metadata")
    }

    /// The JSON object `value`.
    ///
    /// # Errors
    /// [`MetadataError`], naming the reason.
    pub fn from_value(value: &Value) -> Result<Self, MetadataError> {
        let Value::Object(_) = value else {
            return Err(MetadataError::NotAnObject { found: kind_name(value) });
        };
        let mut bytes = Vec::new();
        write(value, &mut String::new(), 0, &mut bytes)?;
        if bytes.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge { bytes: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    /// Anything that serialises to a JSON object. A NaN or infinite float becomes `null`, as everywhere in `serde_json`.
    ///
    /// # Errors
    /// [`MetadataError`], naming the reason.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, MetadataError> {
        let value = serde_json::to_value(value).map_err(|error| MetadataError::Serialize(error.to_string()))?;
        Self::from_value(&value)
    }

    /// The JSON object.
    pub fn to_value(&self) -> Value {
        let mut rest: &[u8] = &self.0;
        read(&mut rest, 0).expect("metadata holds only bytes that were checked")
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The metadata stored in `bytes`.
    ///
    /// # Errors
    /// [`MetadataError::Corrupt`]: not canonical bytes of ours; [`MetadataError::NotAnObject`]: they begin as another JSON value; [`MetadataError::TooLarge`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MetadataError> {
        if bytes.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge { bytes: bytes.len() });
        }
        let found = match bytes.first() {
            Some(&NULL) => Some("null"),
            Some(&(FALSE | TRUE)) => Some("boolean"),
            Some(&(SIGNED | UNSIGNED | DOUBLE)) => Some("number"),
            Some(&TEXT) => Some("string"),
            Some(&ARRAY) => Some("array"),
            _ => None,
        };
        if let Some(found) = found {
            return Err(MetadataError::NotAnObject { found });
        }
        let mut rest = bytes;
        check(&mut rest, 0).map_err(MetadataError::Corrupt)?;
        if !rest.is_empty() {
            return Err(MetadataError::Corrupt(format!("{} bytes too many", rest.len())));
        }
        Ok(Self(bytes.into()))
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self::empty()
    }
}

/// Shows the size only: metadata may be private and must not reach logs.
impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Metadata({} bytes)", self.0.len())
    }
}

pub(crate) fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn write(value: &Value, path: &mut String, depth: usize, bytes: &mut Vec<u8>) -> Result<(), MetadataError> {
    if depth > MAX_METADATA_DEPTH {
        return Err(MetadataError::TooDeep);
    }
    match value {
        Value::Null => bytes.push(NULL),
        Value::Bool(false) => bytes.push(FALSE),
        Value::Bool(true) => bytes.push(TRUE),
        Value::Number(number) => write_number(number, path, bytes)?,
        Value::String(text) => {
            bytes.push(TEXT);
            write_sized(text.as_bytes(), bytes);
        }
        Value::Array(items) => {
            bytes.push(ARRAY);
            write_count(items.len(), bytes);
            for (at, item) in items.iter().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{at}]"));
                write(item, path, depth + 1, bytes)?;
                path.truncate(length);
            }
        }
        Value::Object(members) => {
            bytes.push(OBJECT);
            write_count(members.len(), bytes);
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
            for (name, member) in sorted {
                write_sized(name.as_bytes(), bytes);
                let length = path.len();
                path.push('.');
                path.push_str(name);
                write(member, path, depth + 1, bytes)?;
                path.truncate(length);
            }
        }
    }
    Ok(())
}

fn write_number(number: &Number, path: &str, bytes: &mut Vec<u8>) -> Result<(), MetadataError> {
    // `serde_json` reads -0 as the double, but as the integer 0 where its feature `arbitrary_precision` is on.
    let negative_zero = number.as_i64() == Some(0) && number.to_string().starts_with('-');
    if negative_zero {
        bytes.push(DOUBLE);
        bytes.extend_from_slice(&(-0.0_f64).to_bits().to_le_bytes());
    } else if let Some(value) = number.as_i64() {
        bytes.push(SIGNED);
        bytes.extend_from_slice(&value.to_le_bytes());
    } else if let Some(value) = number.as_u64() {
        bytes.push(UNSIGNED);
        bytes.extend_from_slice(&value.to_le_bytes());
    } else {
        let value = number.as_f64().filter(|value| value.is_finite());
        let value = value.ok_or_else(|| MetadataError::Number { path: path.to_owned() })?;
        bytes.push(DOUBLE);
        bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    Ok(())
}

fn write_count(count: usize, bytes: &mut Vec<u8>) {
    // Longer than any limit: the caller measures the whole afterwards.
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&count.to_le_bytes());
}

fn write_sized(value: &[u8], bytes: &mut Vec<u8>) {
    write_count(value.len(), bytes);
    bytes.extend_from_slice(value);
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], String> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or("it is cut off")?;
    *bytes = rest;
    Ok(*head)
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, String> {
    let length = u32::from_le_bytes(take(bytes)?) as usize;
    let (text, rest) = bytes.split_at_checked(length).ok_or("a text is cut off")?;
    *bytes = rest;
    std::str::from_utf8(text).map_err(|error| error.to_string())
}

/// Takes one value off `bytes`, if [`write`] could have made it: without building it, since every item that is read passes here.
fn check(bytes: &mut &[u8], depth: usize) -> Result<(), String> {
    if depth > MAX_METADATA_DEPTH {
        return Err(format!("it nests deeper than {MAX_METADATA_DEPTH} levels"));
    }
    let [kind] = take(bytes)?;
    match kind {
        NULL | FALSE | TRUE => {}
        SIGNED => drop(take::<8>(bytes)?),
        UNSIGNED => {
            if i64::try_from(u64::from_le_bytes(take(bytes)?)).is_ok() {
                return Err("a number that is not in canonical form".into());
            }
        }
        DOUBLE => {
            if !f64::from_bits(u64::from_le_bytes(take(bytes)?)).is_finite() {
                return Err("a number is not finite".into());
            }
        }
        TEXT => drop(take_text(bytes)?),
        ARRAY => {
            for _ in 0..u32::from_le_bytes(take(bytes)?) {
                check(bytes, depth + 1)?;
            }
        }
        OBJECT => {
            let mut last = None;
            for _ in 0..u32::from_le_bytes(take(bytes)?) {
                let name = take_text(bytes)?;
                if last.is_some_and(|last: &str| last.as_bytes() >= name.as_bytes()) {
                    return Err("names that are not in canonical order".into());
                }
                last = Some(name);
                check(bytes, depth + 1)?;
            }
        }
        other => return Err(format!("a value of kind {other}")),
    }
    Ok(())
}

fn read(bytes: &mut &[u8], depth: usize) -> Result<Value, String> {
    if depth > MAX_METADATA_DEPTH {
        return Err(format!("it nests deeper than {MAX_METADATA_DEPTH} levels"));
    }
    let [kind] = take(bytes)?;
    Ok(match kind {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        SIGNED => Value::Number(i64::from_le_bytes(take(bytes)?).into()),
        UNSIGNED => Value::Number(u64::from_le_bytes(take(bytes)?).into()),
        DOUBLE => {
            let value = f64::from_bits(u64::from_le_bytes(take(bytes)?));
            Value::Number(Number::from_f64(value).ok_or("a number is not finite")?)
        }
        TEXT => Value::String(take_text(bytes)?.to_owned()),
        ARRAY => {
            let count = u32::from_le_bytes(take(bytes)?);
            let mut items = Vec::new();
            for _ in 0..count {
                items.push(read(bytes, depth + 1)?);
            }
            Value::Array(items)
        }
        OBJECT => {
            let count = u32::from_le_bytes(take(bytes)?);
            let mut members = Map::new();
            for _ in 0..count {
                let name = take_text(bytes)?.to_owned();
                members.insert(name, read(bytes, depth + 1)?);
            }
            Value::Object(members)
        }
        other => return Err(format!("a value of kind {other}")),
    })
}
