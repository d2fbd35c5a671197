//! `brainy resolve`.

use std::time::Duration;

use brainy::{Brainy, Mode, OpId, Resolution};
use serde_json::json;

use crate::args::ResolveArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::place;

/// How long the handle is given to finish what it was asked.
const CLOSING: Duration = Duration::from_secs(5);

/// Prints what became of a transaction.
pub(crate) async fn run(args: ResolveArgs, output: &mut Output) -> Result<(), Failure> {
    let op = args.op.parse::<OpId>().map_err(|error| Failure::Argument { what: "OPID".into(), reason: error.to_string() })?;
    let db = Brainy::builder(place::url(&args.store)?).mode(Mode::WriteOnly).open().await?;
    let resolution = db.resolve(op).await?;
    let (outcome, detail, value) = match &resolution {
        Resolution::Committed(receipt) => (
            "committed",
            format!("it took effect as version {}", receipt.version),
            json!({"version": receipt.version.to_string(), "changed": receipt.changed, "token": receipt.token.to_string()}),
        ),
        Resolution::Rejected(error) => {
            ("rejected", format!("it had and will have no effect: {error}"), json!({"reason": error.to_string()}))
        }
        _ => ("undecided", "nobody can tell yet; ask again".to_owned(), json!({})),
    };
    if output.is_json() {
        let mut value = value;
        value["op"] = op.to_string().into();
        value["outcome"] = outcome.into();
        output.value(&value)?;
    } else {
        output.text(format_args!("{outcome}: {}", crate::table::safe(&detail)))?;
    }
    // A cancellation of ours that is still undecided changes nothing about the answer.
    db.close(CLOSING).await;
    Ok(())
}
