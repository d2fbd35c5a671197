//! When a filter is true.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Condition, Filter};

pub(super) fn matches(filter: &Filter, metadata: &Value) -> bool {
    match filter {
        Filter::All => true,
        Filter::Field { path, condition } => any_at(metadata, path, &|value| holds(condition, value)),
        Filter::And(filters) => filters.iter().all(|filter| matches(filter, metadata)),
        Filter::Or(filters) => filters.iter().any(|filter| matches(filter, metadata)),
        Filter::Not(filter) => !matches(filter, metadata),
    }
}

/// Whether `test` holds for a value that `path` leads to, from the object `value`.
fn any_at(value: &Value, path: &str, test: &dyn Fn(&Value) -> bool) -> bool {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let Some(member) = value.as_object().and_then(|members| members.get(name)) else {
        return false;
    };
    match (rest, member) {
        (None, _) => test(member),
        (Some(rest), Value::Array(items)) => items.iter().any(|item| any_at(item, rest, test)),
        (Some(rest), _) => any_at(member, rest, test),
    }
}

fn holds(condition: &Condition, value: &Value) -> bool {
    let any = |test: &dyn Fn(&Value) -> bool| test(value) || value.as_array().is_some_and(|items| items.iter().any(test));
    let ordered = |operand: &Value, wanted: fn(Ordering) -> bool| any(&|value| order(value, operand).is_some_and(wanted));
    match condition {
        Condition::Eq(operand) => any(&|value| equal(value, operand)),
        Condition::Gt(operand) => ordered(operand, Ordering::is_gt),
        Condition::Gte(operand) => ordered(operand, Ordering::is_ge),
        Condition::Lt(operand) => ordered(operand, Ordering::is_lt),
        Condition::Lte(operand) => ordered(operand, Ordering::is_le),
        Condition::In(operands) => any(&|value| operands.iter().any(|operand| equal(value, operand))),
        Condition::Exists => true,
        Condition::Contains(operand) => match (value, operand) {
            (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
            (Value::Array(items), _) => items.iter().any(|item| equal(item, operand)),
            _ => false,
        },
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b))),
        _ => order(a, b).is_some_and(Ordering::is_eq),
    }
}

/// None for values of different kinds, and of kinds that have no order.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => order_numbers(a, b),
        _ => None,
    }
}

enum Exact {
    Integer(i128),
    Double(f64),
}

fn exact(number: &Number) -> Option<Exact> {
    if let Some(value) = number.as_i64() {
        return Some(Exact::Integer(value.into()));
    }
    if let Some(value) = number.as_u64() {
        return Some(Exact::Integer(value.into()));
    }
    number.as_f64().filter(|value| value.is_finite()).map(Exact::Double)
}

fn order_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    match (exact(a)?, exact(b)?) {
        (Exact::Integer(a), Exact::Integer(b)) => Some(a.cmp(&b)),
        (Exact::Double(a), Exact::Double(b)) => a.partial_cmp(&b),
        (Exact::Integer(a), Exact::Double(b)) => Some(order_mixed(a, b)),
        (Exact::Double(a), Exact::Integer(b)) => Some(order_mixed(b, a).reverse()),
    }
}

/// `integer` has at most 64 bits and a sign. The whole part of a finite double fits `i128` or the cast saturates far beyond `integer`, so nothing is rounded.
fn order_mixed(integer: i128, double: f64) -> Ordering {
    let whole = double.trunc();
    // The integer lies left of the double where the whole parts are equal and a positive fraction is left.
    integer.cmp(&(whole as i128)).then_with(|| 0.0_f64.partial_cmp(&(double - whole)).unwrap_or(Ordering::Equal))
}
