//! Filters over metadata: a typed builder and the MongoDB-like JSON of the same thing.

mod json;
mod matching;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{ErrorKind, MAX_METADATA_DEPTH};

/// How deep `and`, `or` and `not` may lie in each other.
pub const MAX_FILTER_DEPTH: usize = 32;
/// Most parts of one filter: each condition, each `and`, `or`, `not`, and each JSON value inside an operand counts one.
pub const MAX_FILTER_NODES: usize = 65_536;
/// Longest path to a field, in bytes of UTF-8.
pub const MAX_FILTER_PATH_BYTES: usize = 1_024;

/// Why a filter is not one. Nothing was read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FilterError {
    /// Where in the JSON, such as `$or[1].price.$gt`; `the filter` for the whole.
    pub path: String,
    /// What is wrong. Operands are never repeated here.
    pub reason: String,
}

impl FilterError {
    fn new(path: &str, reason: impl Into<String>) -> Self {
        let path = if path.is_empty() { "the filter" } else { path };
        Self { path: path.to_owned(), reason: reason.into() }
    }

    /// What a caller should do.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// A predicate over an item's metadata.
///
/// **Paths.** `a.b` is the member `b` of the object `a`; where `a` is an array, of each object in it (arrays right inside arrays are not entered,
/// positions are not addressed). A path can lead to several values; a condition holds if it holds for one of them. A member name that holds a dot
/// cannot be reached.
///
/// **Missing fields.** No condition holds for a field that is not there; so [`Filter::ne`] and [`Filter::not_in`], which are the opposite of
/// [`Filter::eq`] and [`Filter::is_in`], do. `null` is a value: it exists and equals `null`; unlike in MongoDB a missing field does not.
///
/// **Numbers** compare by value and exactly, 64-bit integers with doubles too: `1` equals `1.0`, 2⁵³ + 1 does not equal 2⁵³. Values of different kinds
/// are never equal and never in order; texts order by their UTF-8 bytes, `false` before `true`.
///
/// ```
/// use brainy_core::Filter;
/// use serde_json::json;
///
/// let filter = Filter::eq("section", "libs").and(Filter::gte("size.installed", 100));
/// assert!(filter.matches(&json!({"section": "libs", "size": {"installed": 100.5}})));
/// assert!(!filter.matches(&json!({"section": "libs"})));
/// assert_eq!(Filter::from_json(&json!({"section": "libs", "size.installed": {"$gte": 100}})).unwrap(), filter);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Filter {
    /// Always true; `{}`.
    All,
    /// One field passes one condition.
    Field {
        /// Dotted path to the field.
        path: String,
        /// The condition.
        condition: Condition,
    },
    /// Every one is true; true if there is none.
    And(Vec<Filter>),
    /// One is true at least; false if there is none.
    Or(Vec<Filter>),
    /// It is not true.
    Not(Box<Filter>),
}

/// What one field must be. Where the field holds an array, `Eq`, the orders and `In` hold if they hold for an element of it or for the whole.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// Equal to this value. Objects are equal whatever the order of their members.
    Eq(Value),
    /// Greater than this number, text or boolean.
    Gt(Value),
    /// Greater than this number, text or boolean, or equal to it.
    Gte(Value),
    /// Less than this number, text or boolean.
    Lt(Value),
    /// Less than this number, text or boolean, or equal to it.
    Lte(Value),
    /// Equal to one of these values.
    In(Vec<Value>),
    /// The field is there, whatever its value.
    Exists,
    /// An array with an element equal to this value, or a text with this text in it (cases differ). Elements of an array are compared whole.
    Contains(Value),
}

/// Shows operators and kinds: operands may be private and must not reach logs. [`Filter::to_json`] shows all.
impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (operator, operand) = self.operator();
        match (operand, self) {
            (Some(value), _) => write!(f, "{operator}({})", kind_name(value)),
            (None, Self::In(values)) => write!(f, "{operator}({} values)", values.len()),
            (None, _) => f.write_str(operator),
        }
    }
}

impl Condition {
    /// Its name in JSON, and the operand if that is one value.
    fn operator(&self) -> (&'static str, Option<&Value>) {
        match self {
            Self::Eq(value) => ("$eq", Some(value)),
            Self::Gt(value) => ("$gt", Some(value)),
            Self::Gte(value) => ("$gte", Some(value)),
            Self::Lt(value) => ("$lt", Some(value)),
            Self::Lte(value) => ("$lte", Some(value)),
            Self::In(_) => ("$in", None),
            Self::Exists => ("$exists", None),
            Self::Contains(value) => ("$contains", Some(value)),
        }
    }
}

impl Filter {
    /// `path` passes `condition`.
    pub fn field(path: impl Into<String>, condition: Condition) -> Self {
        Self::Field { path: path.into(), condition }
    }

    /// `path` equals `value`, or is an array with such an element.
    pub fn eq(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::field(path, Condition::Eq(value.into()))
    }

    /// The opposite of [`Filter::eq`]; so true for a missing field.
    pub fn ne(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::eq(path, value).negated()
    }

    /// `path` is greater than `value`, a number, text or boolean.
    pub fn gt(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::field(path, Condition::Gt(value.into()))
    }

    /// `path` is greater than `value`, a number, text or boolean, or equal to it.
    pub fn gte(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::field(path, Condition::Gte(value.into()))
    }

    /// `path` is less than `value`, a number, text or boolean.
    pub fn lt(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::field(path, Condition::Lt(value.into()))
    }

    /// `path` is less than `value`, a number, text or boolean, or equal to it.
    pub fn lte(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::field(path, Condition::Lte(value.into()))
    }

    /// `path` equals one of `values`, or is an array with such an element; false if there are none.
    pub fn is_in<V: Into<Value>>(path: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::field(path, Condition::In(values.into_iter().map(Into::into).collect()))
    }

    /// The opposite of [`Filter::is_in`]; so true for a missing field.
    pub fn not_in<V: Into<Value>>(path: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::is_in(path, values).negated()
    }

    /// `path` is there, `null` included.
    pub fn exists(path: impl Into<String>) -> Self {
        Self::field(path, Condition::Exists)
    }

    /// `path` is an array with an element equal to `value`, or a text with the text `value` in it.
    pub fn contains(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::field(path, Condition::Contains(value.into()))
    }

    /// This and `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, other) => other,
            (first, Self::All) => first,
            (Self::And(mut filters), other) => {
                filters.push(other);
                Self::And(filters)
            }
            (first, other) => Self::And(vec![first, other]),
        }
    }

    /// This or `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Or(mut filters), other) => {
                filters.push(other);
                Self::Or(filters)
            }
            (first, other) => Self::Or(vec![first, other]),
        }
    }

    /// True where this is false.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// The filter written as MongoDB-like JSON: members are paths, each with a value (equality) or an object of operators, or `$and`, `$or`, `$nor`
    /// (arrays of filters) or `$not` (a filter); several members must all be true.
    ///
    /// Operators: `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin`, `$exists`, `$contains`, and `$not` over an object of operators. An object
    /// without any operator is a value.
    ///
    /// # Errors
    /// [`FilterError`], naming the place: another operator, an operand of the wrong kind, or a limit as in [`Filter::check`].
    pub fn from_json(json: &Value) -> Result<Self, FilterError> {
        let filter = json::parse(json)?;
        filter.check()?;
        Ok(filter)
    }

    /// The JSON from which [`Filter::from_json`] makes an equal filter, if this one passes [`Filter::check`].
    pub fn to_json(&self) -> Value {
        json::write(self)
    }

    /// Whether `metadata` (a JSON object) passes.
    ///
    /// Takes time in proportion to the filter's parts and the values its paths lead to.
    pub fn matches(&self, metadata: &Value) -> bool {
        matching::matches(self, metadata)
    }

    /// Whether the filter keeps the limits [`MAX_FILTER_DEPTH`], [`MAX_FILTER_NODES`], [`MAX_FILTER_PATH_BYTES`], and [`MAX_METADATA_DEPTH`] for operands,
    /// orders only by numbers, texts and booleans (a NaN becomes `null` in the builder), and has no path that begins with `$`, which JSON could not tell
    /// from an operator. [`Filter::from_json`] has checked it.
    ///
    /// # Errors
    /// [`FilterError`], naming the place.
    pub fn check(&self) -> Result<(), FilterError> {
        check(self, 0, &mut 0)
    }
}

impl std::ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        self.negated()
    }
}

fn check(filter: &Filter, depth: usize, nodes: &mut usize) -> Result<(), FilterError> {
    check_depth("", depth)?;
    count("", nodes)?;
    match filter {
        Filter::All => Ok(()),
        Filter::Field { path, condition } => check_field(path, condition, nodes),
        Filter::And(filters) | Filter::Or(filters) => filters.iter().try_for_each(|filter| check(filter, depth + 1, nodes)),
        Filter::Not(filter) => check(filter, depth + 1, nodes),
    }
}

fn check_field(path: &str, condition: &Condition, nodes: &mut usize) -> Result<(), FilterError> {
    if path.len() > MAX_FILTER_PATH_BYTES {
        let start: String = path.chars().take(32).collect();
        return Err(FilterError::new(&start, format!("a path of {} bytes, at most {MAX_FILTER_PATH_BYTES} are allowed", path.len())));
    }
    if path.starts_with('$') {
        return Err(FilterError::new(path, "a path cannot begin with $"));
    }
    let (operator, _) = condition.operator();
    match condition {
        Condition::Gt(value) | Condition::Gte(value) | Condition::Lt(value) | Condition::Lte(value) => {
            if !matches!(value, Value::Number(_) | Value::String(_) | Value::Bool(_)) {
                let reason = format!("a number, a text or a boolean is wanted, not a JSON {}", kind_name(value));
                return Err(FilterError::new(&format!("{path}.{operator}"), reason));
            }
            count(path, nodes)
        }
        Condition::Eq(value) | Condition::Contains(value) => check_operand(path, value, 0, nodes),
        Condition::In(values) => values.iter().try_for_each(|value| check_operand(path, value, 0, nodes)),
        Condition::Exists => Ok(()),
    }
}

fn check_operand(path: &str, value: &Value, depth: usize, nodes: &mut usize) -> Result<(), FilterError> {
    if depth > MAX_METADATA_DEPTH {
        return Err(FilterError::new(path, format!("a value nests deeper than {MAX_METADATA_DEPTH} levels")));
    }
    count(path, nodes)?;
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_operand(path, item, depth + 1, nodes)),
        Value::Object(members) => members.values().try_for_each(|member| check_operand(path, member, depth + 1, nodes)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn check_depth(place: &str, depth: usize) -> Result<(), FilterError> {
    if depth > MAX_FILTER_DEPTH {
        return Err(FilterError::new(place, format!("it nests deeper than {MAX_FILTER_DEPTH} levels")));
    }
    Ok(())
}

fn count(place: &str, nodes: &mut usize) -> Result<(), FilterError> {
    *nodes += 1;
    if *nodes > MAX_FILTER_NODES {
        return Err(FilterError::new(place, format!("more than {MAX_FILTER_NODES} parts")));
    }
    Ok(())
}

fn kind_name(value: &Value) -> &'static str {
    crate::metadata::kind_name(value)
}
