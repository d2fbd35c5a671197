//! `brainy create`.

use std::time::Duration;

use brainy::Brainy;
use serde_json::json;

use crate::args::CreateArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::place;

/// Makes the store.
pub(crate) async fn run(args: CreateArgs, output: &mut Output) -> Result<(), Failure> {
    let url = place::url(&args.store)?;
    let mut builder = Brainy::builder(&url).dimension(args.dimension).metric(args.metric).follow(false);
    if let Some(dimension) = args.verb_dimension {
        builder = builder.verb_dimension(dimension);
    }
    let db = builder.create().await?;
    if output.is_json() {
        output.value(&json!({
            "store": db.store_id().to_string(),
            "url": url,
            "dimension": args.dimension,
            "metric": args.metric.name(),
            "verb_dimension": args.verb_dimension,
        }))?;
    } else {
        output.text(format_args!("made store {} at {url}: {} components, {} distance", db.store_id(), args.dimension, args.metric))?;
    }
    // Nothing was submitted, so nothing can be undecided.
    db.close(Duration::ZERO).await;
    Ok(())
}
