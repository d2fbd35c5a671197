//! `brainy search`.

use std::path::Path;

use brainy::{Brainy, Filter, Match, Mode, Search, Vector};
use serde_json::{Value, json};

use crate::args::SearchArgs;
use crate::failure::Failure;
use crate::get::{existing, item_id};
use crate::input::vectors::{self, VectorRows};
use crate::output::Output;
use crate::table::Table;
use crate::{describe, place};

/// Prints the nearest items.
pub(crate) async fn run(args: SearchArgs, output: &mut Output) -> Result<(), Failure> {
    let url = place::url(&args.store)?;
    let like = args.like.as_deref().map(item_id).transpose()?;
    let filter = args.filter.as_deref().map(filter).transpose()?;
    let db = Brainy::builder(url).mode(Mode::Frozen).open().await?;
    let vector = match (&like, &args.vector, &args.vector_json) {
        (Some(id), _, _) => {
            let noun = existing(&db, id).await?;
            let wrong = || Failure::Argument { what: format!("item {id:?}"), reason: "it has no vector, so nothing is near it".into() };
            noun.vector.ok_or_else(wrong)?
        }
        (None, Some(path), _) => read(path, args.row.map(std::num::NonZeroU64::get), &db)?,
        (None, None, text) => parse("--vector-json", text.as_deref().unwrap_or_default())?,
    };
    // The item itself is among its own neighbours, mostly as the first, and is left out afterwards.
    let k = args.k.get().saturating_add(usize::from(like.is_some()));
    let mut search = Search::new(vector.as_slice(), k);
    if let Some(filter) = filter {
        search = search.with_filter(filter);
    }
    if let Some(kind) = args.kind {
        search = search.with_kind(kind);
    }
    if let Some(service) = args.service {
        search = search.with_service(service);
    }
    if let Some(ef) = args.ef {
        search = search.with_ef_search(ef.get());
    }
    if args.exact {
        search = search.exact();
    }
    let mut matches = db.search(&search).await?;
    matches.retain(|found| Some(&found.noun.id) != like.as_ref());
    matches.truncate(args.k.get());
    print(&matches, output)
}

fn print(matches: &[Match], output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        for (rank, found) in (1..).zip(matches) {
            let mut value = describe::noun(&found.noun);
            if let Value::Object(members) = &mut value {
                members.remove("vector");
                members.insert("rank".into(), json!(rank));
                members.insert("distance".into(), describe::number(found.distance));
            }
            output.value(&value)?;
        }
        return Ok(());
    }
    if matches.is_empty() {
        return output.text("nothing found");
    }
    let mut table = Table::new(&[">#", "id", ">distance", "type", "metadata"]);
    for (rank, Match { noun, distance, .. }) in (1..).zip(matches) {
        let (rank, distance): (u32, _) = (rank, format!("{distance:.4}"));
        table.row([&rank.to_string(), noun.id.as_str(), &distance, noun.kind.as_str(), &describe::fields(&noun.metadata, 72)]);
    }
    output.text(table)
}

/// The query vector in a file.
fn read(path: &Path, row: Option<u64>, db: &Brainy) -> Result<Vector, Failure> {
    let file = path.display().to_string();
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::unreadable(&file, &error))?;
        return parse(&file, &text);
    }
    let mut rows = VectorRows::open(path, db.dimension(), db.metric())?;
    let row = match (row, rows.rows()) {
        (Some(row), _) => row,
        (None, 0 | 1) => 1,
        (None, several) => return Err(Failure::File { file, reason: format!("it has {several} rows: choose one by --row") }),
    };
    rows.seek(row)?;
    rows.next_vector()?.ok_or_else(|| Failure::File { file, reason: "it has no rows".into() })
}

/// The vector in a JSON array of numbers.
fn parse(what: &str, text: &str) -> Result<Vector, Failure> {
    let wrong = |reason: String| Failure::Argument { what: what.to_owned(), reason };
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(format!("not JSON: {error}")))?;
    vectors::from_json(&value).map_err(wrong)
}

fn filter(text: &str) -> Result<Filter, Failure> {
    let wrong = |reason: String| Failure::Argument { what: "--filter".into(), reason };
    let json: Value = serde_json::from_str(text).map_err(|error| wrong(format!("not JSON: {error}")))?;
    Filter::from_json(&json).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_in_json_is_an_array_of_finite_numbers() {
        assert_eq!(parse("v", " [1, -0.5, 1e-3]\n").unwrap().as_slice(), [1.0, -0.5, 0.001]);
        for (text, reason) in [
            ("", "not JSON"),
            ("{}", "a JSON object"),
            ("[]", "0 components"),
            ("[1, null]", "component 1 is a null"),
            ("[1, \"2\"]", "component 1 is a string"),
            ("[1, NaN]", "not JSON"),
            ("[1e39]", "component 0 of the vector is inf"),
        ] {
            let error = parse("v", text).expect_err(text).to_string();
            assert!(error.starts_with("v: ") && error.contains(reason), "{text}: {error}");
        }
        assert!(filter("{\"a\": {\"$nope\": 1}}").unwrap_err().to_string().starts_with("--filter: "));
        assert!(filter("{\"a\": {\"$gt\": 1}}").is_ok());
    }
}
