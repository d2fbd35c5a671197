use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[track_caller]
fn check_match(filter: Value, metadata: Value, expected: bool) {
    let parsed = Filter::from_json(&filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    assert_eq!(parsed.matches(&metadata), expected, "{filter} on {metadata}");
    assert_eq!(Filter::from_json(&parsed.to_json()).unwrap(), parsed, "{filter} did not survive its own JSON");
}

#[track_caller]
fn check_refused(filter: Value, path: &str) {
    let error = Filter::from_json(&filter).unwrap_err();
    assert_eq!(error.path, path, "{filter}: {error}");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn equality_is_implied_and_members_are_all_wanted() {
    check_match(json!({}), json!({"a": 1}), true);
    check_match(json!({"a": 1}), json!({"a": 1}), true);
    check_match(json!({"a": 1, "b": "x"}), json!({"a": 1, "b": "x"}), true);
    check_match(json!({"a": 1, "b": "x"}), json!({"a": 1, "b": "y"}), false);
    check_match(json!({"a": {"$gt": 1, "$lt": 3}}), json!({"a": 2}), true);
    check_match(json!({"a": {"$gt": 1, "$lt": 3}}), json!({"a": 3}), false);
    check_match(json!({"a": {"x": 1, "y": 2}}), json!({"a": {"y": 2.0, "x": 1}}), true);
    check_match(json!({"a": {"x": 1}}), json!({"a": {"y": 2, "x": 1}}), false);
    check_match(json!({"a": {}}), json!({"a": {}}), true);
    check_match(json!({"a": {"$eq": {"$gt": 1}}}), json!({"a": {"$gt": 1}}), true);
}

#[test]
fn paths_enter_objects_and_arrays_of_objects() {
    check_match(json!({"a.b.c": 1}), json!({"a": {"b": {"c": 1}}}), true);
    check_match(json!({"a.b": 2}), json!({"a": [{"b": 1}, {"b": 2}, 3]}), true);
    check_match(json!({"a.b": 2}), json!({"a": [[{"b": 2}]]}), false);
    check_match(json!({"a.0": 2}), json!({"a": [2]}), false);
    check_match(json!({"a.b": 1}), json!({"a.b": 1}), false);
    check_match(json!({"a..b": 1}), json!({"a": {"": {"b": 1}}}), true);
    check_match(json!({"": 1}), json!({"": 1}), true);
    check_match(json!({"a.b": {"$exists": true}}), json!({"a": "b"}), false);
    check_match(json!({"é": 1}), json!({"e\u{301}": 1}), false);
}

#[test]
fn an_array_matches_by_element_or_as_a_whole() {
    check_match(json!({"a": 2}), json!({"a": [1, 2]}), true);
    check_match(json!({"a": [1, 2]}), json!({"a": [1, 2]}), true);
    check_match(json!({"a": [1, 2]}), json!({"a": [[1, 2], 3]}), true);
    check_match(json!({"a": [2, 1]}), json!({"a": [1, 2]}), false);
    check_match(json!({"a": {"$gt": 5}}), json!({"a": [1, 9]}), true);
    check_match(json!({"a": {"$gt": 5, "$lt": 2}}), json!({"a": [1, 9]}), true);
    check_match(json!({"a": {"$in": [7, 9]}}), json!({"a": [1, 9]}), true);
    check_match(json!({"a": {"$ne": 9}}), json!({"a": [1, 9]}), false);
}

#[test]
fn contains_means_membership_in_arrays_and_parts_of_texts() {
    check_match(json!({"a": {"$contains": "rust"}}), json!({"a": ["go", "rust"]}), true);
    check_match(json!({"a": {"$contains": "rus"}}), json!({"a": ["go", "rust"]}), false);
    check_match(json!({"a": {"$contains": "rus"}}), json!({"a": "trust"}), true);
    check_match(json!({"a": {"$contains": "Rus"}}), json!({"a": "trust"}), false);
    check_match(json!({"a": {"$contains": 1}}), json!({"a": [1.0]}), true);
    check_match(json!({"a": {"$contains": 1}}), json!({"a": 1}), false);
    check_match(json!({"a": {"$contains": "x"}}), json!({"a": {"x": 1}}), false);
}

#[test]
fn a_missing_field_passes_only_negations() {
    for condition in [
        json!({"$eq": null}),
        json!({"$gt": 0}),
        json!({"$lte": 0}),
        json!({"$in": [null, 1]}),
        json!({"$contains": ""}),
        json!({"$exists": true}),
    ] {
        check_match(json!({"a": condition}), json!({}), false);
        check_match(json!({"a": {"$not": condition}}), json!({}), true);
    }
    check_match(json!({"a": {"$ne": 1}}), json!({}), true);
    check_match(json!({"a": {"$nin": [1]}}), json!({}), true);
    check_match(json!({"a": {"$exists": false}}), json!({}), true);
    check_match(json!({"a": {"$exists": true}}), json!({"a": null}), true);
    check_match(json!({"a": null}), json!({"a": null}), true);
}

#[test]
fn numbers_compare_exactly() {
    let big = 9_007_199_254_740_993_u64;
    check_match(json!({"a": big}), json!({"a": 9_007_199_254_740_992.0}), false);
    check_match(json!({"a": {"$lt": big}}), json!({"a": 9_007_199_254_740_992.0}), true);
    check_match(json!({"a": u64::MAX}), json!({"a": u64::MAX}), true);
    check_match(json!({"a": u64::MAX}), json!({"a": u64::MAX - 1}), false);
    check_match(json!({"a": {"$gt": u64::MAX}}), json!({"a": 18_446_744_073_709_551_616.0}), true);
    check_match(json!({"a": {"$gte": i64::MIN}}), json!({"a": -9_223_372_036_854_775_808.0}), true);
    check_match(json!({"a": {"$lt": i64::MIN}}), json!({"a": -1e308}), true);
    check_match(json!({"a": {"$gt": -1}}), json!({"a": -1.5}), false);
    check_match(json!({"a": 0}), json!({"a": -0.0}), true);
    check_match(json!({"a": 1}), json!({"a": 1.0}), true);
    check_match(json!({"a": {"$gt": "a"}}), json!({"a": 5}), false);
    check_match(json!({"a": {"$lt": "a"}}), json!({"a": 5}), false);
    check_match(json!({"a": {"$lt": true}}), json!({"a": false}), true);
    check_match(json!({"a": 1}), json!({"a": true}), false);
}

#[test]
fn what_is_not_a_filter_is_refused_with_its_place() {
    check_refused(json!(3), "the filter");
    check_refused(json!([{"a": 1}]), "the filter");
    check_refused(json!({"$where": "1"}), "$where");
    check_refused(json!({"a": {"$regex": "x"}}), "a.$regex");
    check_refused(json!({"$or": [{"a": 1}, {"b": {"$gt": null}}]}), "$or[1].b.$gt");
    check_refused(json!({"$or": [{"a": 1}, {"b": {"$gte": 1, "x": 2}}]}), "$or[1].b.x");
    check_refused(json!({"$and": {"a": 1}}), "$and");
    check_refused(json!({"a": {"$in": 3}}), "a.$in");
    check_refused(json!({"a": {"$exists": 1}}), "a.$exists");
    check_refused(json!({"a": {"$not": 3}}), "a.$not");
    check_refused(json!({"a": {"$not": {}}}), "a.$not");
    check_refused(json!({"a": {"$lt": [1]}}), "a.$lt");
    check_refused(json!({"x".repeat(MAX_FILTER_PATH_BYTES + 1): 1}), &"x".repeat(64));
    Filter::from_json(&json!({"x".repeat(MAX_FILTER_PATH_BYTES): 1})).unwrap();
}

#[test]
fn depth_and_size_are_bounded() {
    let nest = |levels: usize| (0..levels).fold(json!({"a": 1}), |inner, _| json!({ "$not": inner }));
    Filter::from_json(&nest(MAX_FILTER_DEPTH)).unwrap();
    Filter::from_json(&nest(MAX_FILTER_DEPTH + 1)).unwrap_err();
    Filter::from_json(&nest(500)).unwrap_err();
    let fields = (0..500).fold(json!({"$gt": 1}), |inner, _| json!({ "$not": inner }));
    Filter::from_json(&json!({ "a": fields })).unwrap_err();
    let value = (0..=MAX_METADATA_DEPTH).fold(json!(1), |inner, _| json!([inner]));
    Filter::from_json(&json!({ "a": value })).unwrap_err();

    let exists = |count: usize| (0..count).fold(Filter::Or(vec![]), |filter, _| filter.or(Filter::exists("a")));
    let most = exists(MAX_FILTER_NODES - 1);
    most.check().unwrap();
    assert_eq!(Filter::from_json(&most.to_json()).unwrap(), most);
    exists(MAX_FILTER_NODES).check().unwrap_err();
    Filter::is_in("a", 0..MAX_FILTER_NODES as u64).check().unwrap_err();
    Filter::is_in("a", 0..MAX_FILTER_NODES as u64 - 1).check().unwrap();
}

#[test]
fn the_builder_is_checked_like_json() {
    assert_eq!(Filter::gt("a", f64::NAN).check().unwrap_err().path, "a.$gt");
    Filter::eq("$a", 1).check().unwrap_err();
    Filter::eq("a.$b", 1).check().unwrap();
    assert_eq!(Filter::All.and(Filter::eq("a", 1)), Filter::eq("a", 1));
    let three = Filter::eq("a", 1).and(Filter::eq("b", 1)).and(Filter::eq("c", 1));
    assert!(matches!(&three, Filter::And(filters) if filters.len() == 3), "{three:?}");
}

#[test]
fn operands_do_not_reach_logs() {
    let filter = Filter::eq("token", "s3cr3t").and(Filter::is_in("b", ["s3cr3t"]));
    assert!(!format!("{filter:?}").contains("s3cr3t"));
    let error = Filter::from_json(&json!({"a": {"$gt": ["s3cr3t"]}})).unwrap_err();
    assert!(!error.to_string().contains("s3cr3t"));
}

/// The oracle reads the JSON, not the parsed filter, and compares numbers by their decimal digits.
mod oracle {
    use super::*;

    pub(super) fn matches(filter: &Value, metadata: &Value) -> bool {
        filter.as_object().unwrap().iter().all(|(name, operand)| match name.as_str() {
            "$and" => operand.as_array().unwrap().iter().all(|one| matches(one, metadata)),
            "$or" => operand.as_array().unwrap().iter().any(|one| matches(one, metadata)),
            "$nor" => operand.as_array().unwrap().iter().all(|one| !matches(one, metadata)),
            "$not" => !matches(operand, metadata),
            path => field(operand, &found(path, metadata)),
        })
    }

    fn found(path: &str, metadata: &Value) -> Vec<Value> {
        let mut here = vec![metadata.clone()];
        for (at, name) in path.split('.').enumerate() {
            let mut next = Vec::new();
            for value in here {
                match value {
                    Value::Object(_) => next.extend(value.get(name).cloned()),
                    Value::Array(items) if at > 0 => next.extend(items.iter().filter_map(|item| item.get(name).cloned())),
                    _ => {}
                }
            }
            here = next;
        }
        here
    }

    fn field(operand: &Value, values: &[Value]) -> bool {
        let operators = operand.as_object().filter(|members| members.keys().any(|name| name.starts_with('$')));
        let Some(operators) = operators else {
            return field(&json!({ "$eq": operand }), values);
        };
        let mut spread = values.to_vec();
        spread.extend(values.iter().filter_map(Value::as_array).flatten().cloned());
        let some = |wanted: &[i8], operand: &Value| {
            spread.iter().any(|value| compare(value, operand).is_some_and(|order| wanted.contains(&order)))
        };
        let same = |operand: &Value| spread.iter().any(|value| same_value(value, operand));
        operators.iter().all(|(name, operand)| match name.as_str() {
            "$eq" => same(operand),
            "$ne" => !same(operand),
            "$in" => operand.as_array().unwrap().iter().any(same),
            "$nin" => !operand.as_array().unwrap().iter().any(same),
            "$gt" => some(&[1], operand),
            "$gte" => some(&[0, 1], operand),
            "$lt" => some(&[-1], operand),
            "$lte" => some(&[-1, 0], operand),
            "$exists" => operand.as_bool().unwrap() != values.is_empty(),
            "$contains" => values.iter().any(|value| match value {
                Value::Array(items) => items.iter().any(|item| same_value(item, operand)),
                Value::String(text) => operand.as_str().is_some_and(|part| text.contains(part)),
                _ => false,
            }),
            "$not" => !field(operand, values),
            other => panic!("{other}"),
        })
    }

    fn same_value(a: &Value, b: &Value) -> bool {
        normal(a) == normal(b)
    }

    /// Every number as its decimal digits.
    fn normal(value: &Value) -> Value {
        match value {
            Value::Number(number) => json!(["number", digits(number)]),
            Value::Array(items) => Value::Array(items.iter().map(normal).collect()),
            Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), normal(member))).collect(),
            other => other.clone(),
        }
    }

    fn compare(a: &Value, b: &Value) -> Option<i8> {
        let order = match (a, b) {
            (Value::Number(a), Value::Number(b)) => {
                let ((negative_a, a), (negative_b, b)) = (digits(a), digits(b));
                match (negative_a, negative_b) {
                    (false, false) => a.cmp(&b),
                    (true, true) => b.cmp(&a),
                    (true, false) => std::cmp::Ordering::Less,
                    (false, true) => std::cmp::Ordering::Greater,
                }
            }
            (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Bool(a), Value::Bool(b)) => u8::from(*a).cmp(&u8::from(*b)),
            _ => return None,
        };
        Some(order as i8)
    }

    /// Whether it is below zero, and 400 digits before and 1,100 behind the point: every double and every 64-bit integer in full.
    fn digits(number: &serde_json::Number) -> (bool, String) {
        let text = match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => format!("{value}.0"),
            (_, Some(value)) => format!("{value}.0"),
            _ => format!("{:.1100}", number.as_f64().unwrap()),
        };
        let (negative, text) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        let (whole, fraction) = text.split_once('.').unwrap();
        let digits = format!("{whole:0>400}{fraction:0<1100}");
        (negative && digits.bytes().any(|digit| digit != b'0'), digits)
    }
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            1.5,
            -1.5,
            2.0,
            9_007_199_254_740_992.0,
            18_446_744_073_709_551_616.0,
            1e308,
            -1e308,
            5e-324
        ])
        .prop_map(Value::from),
        prop::sample::select(vec![9_007_199_254_740_991, 9_007_199_254_740_993, u64::MAX, i64::MAX as u64, 1 << 63]).prop_map(Value::from),
        Just(json!(i64::MIN)),
        prop::sample::select(vec!["", "a", "ab", "b", "é", "e\u{301}"]).prop_map(Value::from),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), inner, 0..3)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

fn documents() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), values(), 0..4)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn operators() -> impl Strategy<Value = Value> {
    let ordered = scalars().prop_filter("an order", |value| !value.is_null());
    let leaf = prop_oneof![
        (prop::sample::select(vec!["$eq", "$ne", "$contains"]), values()).prop_map(|(name, value)| json!({ name: value })),
        (prop::sample::select(vec!["$gt", "$gte", "$lt", "$lte"]), ordered).prop_map(|(name, value)| json!({ name: value })),
        (prop::sample::select(vec!["$in", "$nin"]), prop::collection::vec(values(), 0..3)).prop_map(|(name, list)| json!({ name: list })),
        any::<bool>().prop_map(|there| json!({ "$exists": there })),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| inner.prop_map(|inner| json!({ "$not": inner })))
}

fn filters() -> impl Strategy<Value = Value> {
    let path = || prop::sample::select(vec!["a", "b", "a.b", "b.a.c", "a.a"]);
    let leaf = prop_oneof![
        (path(), values()).prop_map(|(path, value)| json!({ path: value })),
        (path(), operators()).prop_map(|(path, operators)| json!({ path: operators })),
        Just(json!({})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (prop::sample::select(vec!["$and", "$or", "$nor"]), prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(name, list)| json!({ name: list })),
            inner.clone().prop_map(|inner| json!({ "$not": inner })),
            (inner.clone(), inner).prop_map(|(first, second)| {
                let mut both = first.as_object().unwrap().clone();
                both.extend(second.as_object().unwrap().clone());
                Value::Object(both)
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_filter_is_true_where_the_oracle_says_so(filter in filters(), document in documents()) {
        let parsed = Filter::from_json(&filter).unwrap();
        prop_assert_eq!(parsed.matches(&document), oracle::matches(&filter, &document), "{} on {}", filter, document);
    }

    #[test]
    fn a_filter_survives_its_json(filter in filters()) {
        let parsed = Filter::from_json(&filter).unwrap();
        let again = Filter::from_json(&parsed.to_json()).unwrap();
        prop_assert_eq!(again, parsed, "{}", filter);
    }

    #[test]
    fn de_morgan_holds(a in filters(), b in filters(), document in documents()) {
        let (a, b) = (Filter::from_json(&a).unwrap(), Filter::from_json(&b).unwrap());
        let both = !a.clone().and(b.clone());
        prop_assert_eq!(both.matches(&document), (!a.clone()).or(!b.clone()).matches(&document));
        let either = !a.clone().or(b.clone());
        prop_assert_eq!(either.matches(&document), (!a.clone()).and(!b).matches(&document));
        prop_assert_eq!((!!a.clone()).matches(&document), a.matches(&document));
    }

    #[test]
    fn no_json_makes_a_panic(json in values()) {
        if let Ok(filter) = Filter::from_json(&json) {
            filter.matches(&json);
        }
    }
}
