//! The JSON of a filter, both ways.

use serde_json::{Map, Value, json};

use super::{Condition, Filter, FilterError, check_depth, check_field, count, kind_name};

pub(super) fn parse(json: &Value) -> Result<Filter, FilterError> {
    filter("", json, 0, &mut 0)
}

/// The filter `json`, found at `place`. Depth and number are checked on the way down, so that no input makes more work than the limits; never more
/// parts are counted than [`Filter::check`] counts in the result, so the JSON of a filter that passed it is accepted.
fn filter(place: &str, json: &Value, depth: usize, nodes: &mut usize) -> Result<Filter, FilterError> {
    check_depth(place, depth)?;
    let members = object(place, json)?;
    let mut parts = Vec::new();
    for (name, value) in members {
        let place = join(place, name);
        if name.starts_with('$') {
            count(&place, nodes)?;
        }
        parts.push(match name.as_str() {
            "$and" => Filter::And(filters(&place, value, depth, nodes)?),
            "$or" => Filter::Or(filters(&place, value, depth, nodes)?),
            "$nor" => Filter::Or(filters(&place, value, depth, nodes)?).negated(),
            "$not" => filter(&place, value, depth + 1, nodes)?.negated(),
            other if other.starts_with('$') => {
                return Err(FilterError::new(&place, "not an operator here: $and, $or, $nor, $not or a path is wanted"));
            }
            path => field(&place, path, value, depth, nodes)?,
        });
    }
    Ok(all_of(parts))
}

fn filters(place: &str, json: &Value, depth: usize, nodes: &mut usize) -> Result<Vec<Filter>, FilterError> {
    let items = array(place, json)?;
    items.iter().enumerate().map(|(at, item)| filter(&format!("{place}[{at}]"), item, depth + 1, nodes)).collect()
}

/// What `json`, found at `place`, asks of the field at `path`.
fn field(place: &str, path: &str, json: &Value, depth: usize, nodes: &mut usize) -> Result<Filter, FilterError> {
    match json {
        Value::Object(members) if members.keys().any(|name| name.starts_with('$')) => conditions(place, path, members, depth, nodes),
        value => leaf(place, path, Condition::Eq(value.clone()), nodes),
    }
}

fn conditions(place: &str, path: &str, members: &Map<String, Value>, depth: usize, nodes: &mut usize) -> Result<Filter, FilterError> {
    check_depth(place, depth)?;
    if members.is_empty() {
        return Err(FilterError::new(place, "an operator is wanted"));
    }
    let mut parts = Vec::new();
    for (operator, operand) in members {
        let place = join(place, operator);
        let mut leaf = |condition| leaf(&place, path, condition, nodes);
        let values = || array(&place, operand).cloned();
        parts.push(match operator.as_str() {
            "$eq" => leaf(Condition::Eq(operand.clone()))?,
            "$ne" => leaf(Condition::Eq(operand.clone()))?.negated(),
            "$gt" => leaf(Condition::Gt(operand.clone()))?,
            "$gte" => leaf(Condition::Gte(operand.clone()))?,
            "$lt" => leaf(Condition::Lt(operand.clone()))?,
            "$lte" => leaf(Condition::Lte(operand.clone()))?,
            "$in" => leaf(Condition::In(values()?))?,
            "$nin" => leaf(Condition::In(values()?))?.negated(),
            "$contains" => leaf(Condition::Contains(operand.clone()))?,
            "$exists" => match operand {
                Value::Bool(true) => leaf(Condition::Exists)?,
                Value::Bool(false) => leaf(Condition::Exists)?.negated(),
                other => return Err(FilterError::new(&place, format!("true or false is wanted, not a JSON {}", kind_name(other)))),
            },
            "$not" => {
                count(&place, nodes)?;
                conditions(&place, path, object(&place, operand)?, depth + 1, nodes)?.negated()
            }
            other if other.starts_with('$') => return Err(FilterError::new(&place, "no such operator")),
            _ => return Err(FilterError::new(&place, "a member beside operators: all of them begin with $, or none")),
        });
    }
    Ok(all_of(parts))
}

fn leaf(place: &str, path: &str, condition: Condition, nodes: &mut usize) -> Result<Filter, FilterError> {
    count(place, nodes)?;
    check_field(path, &condition, nodes).map_err(|error| FilterError::new(place, error.reason))?;
    Ok(Filter::field(path, condition))
}

fn all_of(mut parts: Vec<Filter>) -> Filter {
    match parts.len() {
        0 => Filter::All,
        1 => parts.remove(0),
        _ => Filter::And(parts),
    }
}

fn object<'a>(place: &str, json: &'a Value) -> Result<&'a Map<String, Value>, FilterError> {
    json.as_object().ok_or_else(|| FilterError::new(place, format!("an object is wanted, not a JSON {}", kind_name(json))))
}

fn array<'a>(place: &str, json: &'a Value) -> Result<&'a Vec<Value>, FilterError> {
    json.as_array().ok_or_else(|| FilterError::new(place, format!("an array is wanted, not a JSON {}", kind_name(json))))
}

fn join(place: &str, name: &str) -> String {
    let name: String = name.chars().take(64).collect();
    if place.is_empty() { name } else { format!("{place}.{name}") }
}

pub(super) fn write(filter: &Filter) -> Value {
    let list = |filters: &[Filter]| Value::Array(filters.iter().map(write).collect());
    match filter {
        Filter::All => json!({}),
        Filter::And(filters) => json!({ "$and": list(filters) }),
        Filter::Or(filters) => json!({ "$or": list(filters) }),
        Filter::Not(filter) => json!({ "$not": write(filter) }),
        Filter::Field { path, condition } => {
            let (operator, operand) = condition.operator();
            let operand = match (operand, condition) {
                (Some(value), _) => value.clone(),
                (None, Condition::In(values)) => Value::Array(values.clone()),
                (None, _) => Value::Bool(true),
            };
            json!({ path.as_str(): { operator: operand } })
        }
    }
}
