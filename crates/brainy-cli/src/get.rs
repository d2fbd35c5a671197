//! `brainy get`.

use std::collections::BTreeMap;

use brainy::{Brainy, ItemFilter, Mode, Noun, NounId, Vector, Verb, VerbQuery};

use crate::args::GetArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::{Table, safe};
use crate::{describe, place, when};

/// Shows the item.
pub(crate) async fn run(args: GetArgs, output: &mut Output) -> Result<(), Failure> {
    let id = item_id(&args.id)?;
    let db = Brainy::builder(place::url(&args.store)?).mode(Mode::Frozen).open().await?;
    let noun = existing(&db, &id).await?;
    let verbs = if args.verbs { incident(&db, &id).await? } else { Vec::new() };
    if output.is_json() {
        let mut value = describe::noun(&noun);
        if args.verbs {
            value["verbs"] = verbs.iter().map(describe::verb).collect();
        }
        return output.value(&value);
    }
    output.text(noun_table(&noun))?;
    if args.verbs {
        let mut table = Table::new(&["source", "relation", "target", ">weight", "metadata"]);
        for verb in &verbs {
            let weight = verb.weight.to_string();
            table.row([verb.source.as_str(), verb.kind.as_str(), verb.target.as_str(), &weight, &describe::fields(&verb.metadata, 60)]);
        }
        output.text(format_args!("\n{table}"))?;
    }
    Ok(())
}

/// `text` as an item's id.
pub(crate) fn item_id(text: &str) -> Result<NounId, Failure> {
    NounId::new(text).map_err(|error| Failure::Argument { what: "ID".into(), reason: error.to_string() })
}

/// The item `id`.
///
/// # Errors
/// [`Failure::NoItem`], with some ids that begin alike, for who does not know the end of a name.
pub(crate) async fn existing(db: &Brainy, id: &NounId) -> Result<Noun, Failure> {
    const NEAR: usize = 3;
    if let Some(noun) = db.get(id).await? {
        return Ok(noun);
    }
    let next = db.scan(Some(id), NEAR, &ItemFilter::all()).await?;
    let near = next.into_iter().map(|noun| noun.id.to_string()).filter(|other| other.starts_with(id.as_str())).collect();
    Err(Failure::NoItem { id: id.to_string(), near })
}

/// All verbs that touch the item, each once, by id.
async fn incident(db: &Brainy, id: &NounId) -> Result<Vec<Verb>, Failure> {
    let mut verbs = BTreeMap::new();
    for query in [VerbQuery::all().with_source(id.clone()), VerbQuery::all().with_target(id.clone())] {
        let mut query = query;
        loop {
            let page = db.verbs(&query).await?;
            let Some(last) = page.last().filter(|_| page.len() == query.limit).map(|verb| verb.id.clone()) else {
                verbs.extend(page.into_iter().map(|verb| (verb.id.clone(), verb)));
                break;
            };
            verbs.extend(page.into_iter().map(|verb| (verb.id.clone(), verb)));
            query = query.with_after(last);
        }
    }
    Ok(verbs.into_values().collect())
}

fn noun_table(noun: &Noun) -> Table {
    let mut table = Table::new(&["", ""]);
    let metadata = serde_json::to_string_pretty(&noun.metadata.to_value()).unwrap_or_default();
    table.row(["id", noun.id.as_str()]);
    table.row(["type", noun.kind.as_str()]);
    table.row(["service", noun.service.as_ref().map_or("-", |service| service.as_str())]);
    table.row(["version", &noun.version.to_string()]);
    table.row(["created", &when::utc(noun.created_ms)]);
    table.row(["updated", &when::utc(noun.updated_ms)]);
    table.row(["vector", &noun.vector.as_ref().map_or_else(|| "-".to_owned(), components)]);
    for (number, line) in metadata.lines().enumerate() {
        table.row([if number == 0 { "metadata" } else { "" }, line]);
    }
    table
}

/// The first components, and how many there are.
fn components(vector: &Vector) -> String {
    const SHOWN: usize = 4;
    let mut text: Vec<_> = vector.as_slice().iter().take(SHOWN).map(ToString::to_string).collect();
    if vector.dimension() > SHOWN {
        text.push("…".into());
    }
    safe(&format!("[{}] {} components", text.join(", "), vector.dimension()))
}
