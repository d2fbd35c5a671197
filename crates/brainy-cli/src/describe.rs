//! Items and operations as JSON, and as short text.

use brainy::{Metadata, MissingEnds, Noun, Operation, Precondition, Vector, Verb};
use serde_json::{Value, json};

use crate::table::shorten;

/// `number` with the fewest digits that give the same `f32`.
pub(crate) fn number(number: f32) -> Value {
    // The shortest text of an f32, read as a double, is written with the same digits again.
    number.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn vector(vector: Option<&Vector>) -> Value {
    vector.map_or(Value::Null, |vector| vector.as_slice().iter().map(|&value| number(value)).collect())
}

/// A noun, whole.
pub(crate) fn noun(noun: &Noun) -> Value {
    json!({
        "id": noun.id.as_str(),
        "type": noun.kind.as_str(),
        "vector": vector(noun.vector.as_ref()),
        "metadata": noun.metadata.to_value(),
        "service": noun.service.as_ref().map(|service| service.as_str()),
        "version": noun.version.to_string(),
        "created_ms": noun.created_ms,
        "updated_ms": noun.updated_ms,
    })
}

/// A verb, whole.
pub(crate) fn verb(verb: &Verb) -> Value {
    json!({
        "id": verb.id.as_str(),
        "source": verb.source.as_str(),
        "type": verb.kind.as_str(),
        "target": verb.target.as_str(),
        "vector": vector(verb.vector.as_ref()),
        "weight": verb.weight,
        "metadata": verb.metadata.to_value(),
        "service": verb.service.as_ref().map(|service| service.as_str()),
        "version": verb.version.to_string(),
        "created_ms": verb.created_ms,
        "updated_ms": verb.updated_ms,
    })
}

/// The fields of `metadata` as `name=value`, at most `most` characters in all.
pub(crate) fn fields(metadata: &Metadata, most: usize) -> String {
    let Value::Object(members) = metadata.to_value() else { return String::new() };
    let mut text = String::new();
    for (name, value) in members {
        if text.chars().count() > most {
            break;
        }
        let gap = if text.is_empty() { "" } else { " " };
        match value {
            Value::String(value) => text.extend([gap, &name, "=", &value]),
            other => text.extend([gap, &name, "=", &other.to_string()]),
        }
    }
    shorten(&text, most)
}

/// An operation of the log: what it did to which item, without the item's content.
pub(crate) fn operation(operation: &Operation) -> Value {
    let mut value = match operation {
        Operation::PutNoun { noun, .. } => json!({"op": "put", "id": noun.id.as_str(), "type": noun.kind.as_str()}),
        Operation::DeleteNoun { id, incident, .. } => {
            json!({"op": "delete", "id": id.as_str(), "detach": *incident == brainy::Incident::Detach})
        }
        Operation::PutVerb { verb, missing, .. } => {
            let mut value = json!({
                "op": "relate",
                "id": verb.effective_id().as_str(),
                "source": verb.source.as_str(),
                "type": verb.kind.as_str(),
                "target": verb.target.as_str(),
            });
            if let MissingEnds::Create(kind) = missing {
                value["create_missing"] = kind.as_str().into();
            }
            value
        }
        Operation::DeleteVerb { id, .. } => json!({"op": "delete_verb", "id": id.as_str()}),
        Operation::Clear => json!({"op": "clear"}),
        _ => json!({"op": "other"}),
    };
    if let Some(condition) = condition(operation) {
        value["if"] = condition.into();
    }
    value
}

fn condition(operation: &Operation) -> Option<String> {
    let precondition = match operation {
        Operation::PutNoun { precondition, .. }
        | Operation::DeleteNoun { precondition, .. }
        | Operation::PutVerb { precondition, .. }
        | Operation::DeleteVerb { precondition, .. } => precondition,
        _ => return None,
    };
    match precondition {
        Precondition::Absent => Some("absent".to_owned()),
        Precondition::Exists => Some("exists".to_owned()),
        Precondition::Version(version) => Some(format!("version {version}")),
        _ => None,
    }
}

/// What a transaction asked for: its operations by name while they are few, else how many of each kind.
pub(crate) fn operations(operations: &[Operation], protocol: &[String]) -> String {
    const NAMED: usize = 3;
    let named = |operation: &Operation| {
        let text = match operation {
            Operation::PutNoun { noun, .. } => format!("put {}", noun.id),
            Operation::DeleteNoun { id, .. } => format!("delete {id}"),
            Operation::PutVerb { verb, .. } => format!("relate {} {} {}", verb.source, verb.kind, verb.target),
            Operation::DeleteVerb { id, .. } => format!("delete relation {id}"),
            Operation::Clear => "clear".to_owned(),
            _ => "other".to_owned(),
        };
        match condition(operation) {
            Some(condition) => format!("{text} (if {condition})"),
            None => text,
        }
    };
    let mut parts: Vec<String> = if operations.len() <= NAMED {
        operations.iter().map(named).collect()
    } else {
        let kind = |operation: &Operation| match operation {
            Operation::PutNoun { .. } => "put",
            Operation::DeleteNoun { .. } => "delete",
            Operation::PutVerb { .. } => "relate",
            Operation::DeleteVerb { .. } => "delete relation",
            Operation::Clear => "clear",
            _ => "other",
        };
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for kind in operations.iter().map(kind) {
            match counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        counts.into_iter().map(|(kind, count)| format!("{kind} × {count}")).collect()
    };
    parts.extend(protocol.iter().cloned());
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use brainy::{NounDraft, NounId, TypeName};

    use super::*;

    #[test]
    fn a_component_is_printed_with_the_digits_that_give_it_back() {
        for value in [0.1_f32, -0.0, 1.0 / 3.0, f32::MIN_POSITIVE, f32::MAX, 16_777_216.0, 1e-45] {
            let text = number(value).to_string();
            assert_eq!(text.parse::<f32>().unwrap().to_bits(), value.to_bits(), "{text}");
        }
        assert_eq!(number(0.1).to_string(), "0.1");
    }

    #[test]
    fn few_operations_are_named_and_many_are_counted() {
        let put = |id: &str, precondition| Operation::PutNoun {
            noun: NounDraft::new(NounId::new(id).unwrap(), TypeName::new("t").unwrap()),
            precondition,
        };
        let few = [put("a", Precondition::Absent), Operation::Clear];
        assert_eq!(operations(&few, &[]), "put a (if absent), clear");
        assert_eq!(operation(&few[0]), json!({"op": "put", "id": "a", "type": "t", "if": "absent"}));
        let many: Vec<_> = (0..4).map(|n| put(&n.to_string(), Precondition::None)).collect();
        assert_eq!(operations(&many, &["claim".to_owned()]), "put × 4, claim");
        let metadata = Metadata::from_value(&json!({"b": "text", "a": [1, null]})).unwrap();
        assert_eq!(fields(&metadata, 80), "a=[1,null] b=text");
        assert_eq!(fields(&metadata, 12), "a=[1,null] …");
    }
}
