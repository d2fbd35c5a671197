//! Items: one JSON object a line.

use std::io::BufRead;

use brainy::{Metadata, NounDraft, NounId, TypeName};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::input::lines::Lines;
use crate::input::vectors;

/// Which fields of an object are not metadata.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    /// The one that holds the id.
    pub(crate) id: String,
    /// The one that holds the type.
    pub(crate) kind: String,
    /// The one that holds the vector; none if no field does.
    pub(crate) vector: Option<String>,
}

/// The items of a file, in its order.
#[derive(Debug)]
pub(crate) struct JsonLines<R> {
    lines: Lines<R>,
    fields: Fields,
}

impl<R: BufRead> JsonLines<R> {
    /// The items of these lines.
    pub(crate) fn new(lines: Lines<R>, fields: Fields) -> Self {
        Self { lines, fields }
    }

    /// The lines.
    pub(crate) fn lines(&self) -> &Lines<R> {
        &self.lines
    }

    /// The next item, with a vector only if a field holds one; none at the end.
    pub(crate) fn next_noun(&mut self) -> Result<Option<NounDraft>, Failure> {
        let Some(line) = self.lines.next_line()? else { return Ok(None) };
        noun(&line, &self.fields).map(Some).map_err(|reason| self.lines.wrong(reason))
    }
}

fn noun(line: &[u8], fields: &Fields) -> Result<NounDraft, String> {
    if line.trim_ascii().is_empty() {
        return Err("the line is empty, a JSON object is needed".into());
    }
    let value: Value = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
    let Value::Object(mut members) = value else {
        return Err(format!("the line is a JSON {}, an object is needed", kind_name(&value)));
    };
    let id = take_text(&mut members, &fields.id, "id")?;
    let kind = take_text(&mut members, &fields.kind, "type")?;
    let vector = fields.vector.as_ref().and_then(|field| members.remove(field)).filter(|value| !value.is_null());
    let vector = vector.map(|value| vectors::from_json(&value)).transpose()?;
    let metadata = Metadata::from_value(&Value::Object(members)).map_err(|error| error.to_string())?;
    let id = NounId::new(id).map_err(|error| error.to_string())?;
    let kind = TypeName::new(kind).map_err(|error| error.to_string())?;
    let noun = NounDraft::new(id, kind).with_metadata(metadata);
    Ok(match vector {
        Some(vector) => noun.with_vector(vector),
        None => noun,
    })
}

fn take_text(members: &mut Map<String, Value>, field: &str, what: &str) -> Result<String, String> {
    match members.remove(field) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("the {what} in field {field:?} is a {}, a string is needed", kind_name(&other))),
        None => Err(format!("field {field:?}, the {what}, is missing")),
    }
}

/// What `error` says, with the place within the line only: the line's number is known better here.
fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => format!("not JSON at column {}: {reason}", error.column()),
        None => format!("not JSON: {text}"),
    }
}

/// What JSON calls it.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &[u8]) -> Result<Vec<NounDraft>, Failure> {
        let fields = Fields { id: "id".into(), kind: "type".into(), vector: Some("v".into()) };
        let mut lines = JsonLines::new(Lines::new(text, "nouns.jsonl".into()), fields);
        let mut nouns = Vec::new();
        while let Some(noun) = lines.next_noun()? {
            nouns.push(noun);
        }
        Ok(nouns)
    }

    #[test]
    fn an_object_is_an_item_and_the_rest_of_it_metadata() {
        let nouns = read("{\"id\":\"a//b\",\"type\":\"t\",\"size\":3,\"tags\":[\"é\"]}\r\n{\"type\":\"u\",\"id\":\"e\u{301}\"}".as_bytes())
            .unwrap();
        assert_eq!(nouns.len(), 2);
        assert_eq!((nouns[0].id.as_str(), nouns[0].kind.as_str()), ("a//b", "t"));
        assert_eq!(nouns[0].metadata.to_value(), json!({"size": 3, "tags": ["é"]}));
        assert_eq!(nouns[1].vector, None);
        let nouns = read(b"{\"id\":\"a\",\"type\":\"t\",\"v\":[0.5,-1]}\n{\"id\":\"a\",\"type\":\"t\",\"v\":null}").unwrap();
        assert_eq!(nouns[0].vector.as_ref().unwrap().as_slice(), [0.5, -1.0]);
        assert_eq!((&nouns[1].vector, nouns[0].metadata.to_value()), (&None, json!({})));
    }

    #[test]
    fn both_normal_forms_of_a_letter_are_different_ids() {
        let nouns = read("{\"id\":\"é\",\"type\":\"t\"}\n{\"type\":\"u\",\"id\":\"e\u{301}\"}".as_bytes()).unwrap();
        assert_ne!(nouns[0].id, nouns[1].id);
        assert_eq!((nouns[1].id.as_str(), nouns[1].metadata.to_value()), ("e\u{301}", json!({})));
    }

    #[test]
    fn a_line_that_is_no_item_is_named_with_its_reason() {
        let long = format!("{{\"id\":\"{}\",\"type\":\"t\"}}", "x".repeat(2_000));
        for (line, reason) in [
            ("", "the line is empty"),
            ("{\"id\":\"a\"", "not JSON at column 9: EOF"),
            ("{} {}", "not JSON at column 4: trailing"),
            ("[1]", "is a JSON array"),
            ("{\"type\":\"t\"}", "field \"id\", the id, is missing"),
            ("{\"id\":\"a\"}", "field \"type\", the type, is missing"),
            ("{\"id\":7,\"type\":\"t\"}", "the id in field \"id\" is a number"),
            ("{\"id\":\"\",\"type\":\"t\"}", "noun id is empty"),
            ("{\"id\":\"a\\u0000b\",\"type\":\"t\"}", "NUL character at byte 1"),
            (&long, "2000 bytes, at most 1024"),
            ("{\"id\":\"a\",\"type\":\"t\",\"n\":1e999}", "not JSON"),
            ("{\"id\":\"a\",\"type\":\"t\",\"v\":[1,\"2\"]}", "component 1 is a string"),
            ("{\"id\":\"a\",\"type\":\"t\",\"v\":[1e39]}", "component 0 of the vector is inf"),
        ] {
            let error = read(format!("{{\"id\":\"ok\",\"type\":\"t\"}}\n{line}\n").as_bytes()).expect_err(line).to_string();
            assert!(error.starts_with("nouns.jsonl:2: ") && error.contains(reason), "{line}: {error}");
            assert!(!error.contains("at line"), "{error}");
        }
        let error = read(b"{\"id\":\"\xff\",\"type\":\"t\"}").unwrap_err().to_string();
        assert!(error.starts_with("nouns.jsonl:1: not JSON"), "{error}");
    }
}
