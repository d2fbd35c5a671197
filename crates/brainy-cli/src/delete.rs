//! `brainy delete`.

use std::time::Duration;

use brainy::{Brainy, Incident, Mode};
use serde_json::json;

use crate::args::DeleteArgs;
use crate::failure::Failure;
use crate::get::item_id;
use crate::output::Output;
use crate::place;

/// Deletes the item.
pub(crate) async fn run(args: DeleteArgs, output: &mut Output) -> Result<(), Failure> {
    let id = item_id(&args.id)?;
    let db = Brainy::builder(place::url(&args.store)?).mode(Mode::WriteOnly).open().await?;
    let incident = if args.detach { Incident::Detach } else { Incident::Restrict };
    let receipt = db.delete(&id, incident).await?;
    if output.is_json() {
        output.value(&json!({
            "id": id.as_str(),
            "changed": receipt.changed,
            "version": receipt.version.to_string(),
            "token": receipt.token.to_string(),
        }))?;
    } else {
        let id = crate::table::safe(id.as_str());
        match receipt.changed {
            Some(0) => output.text(format_args!("{id} was not there; nothing changed"))?,
            Some(1) | None => output.text(format_args!("deleted {id}"))?,
            Some(changed) => output.text(format_args!("deleted {id} and {} relations", changed - 1))?,
        }
    }
    // The only transaction has its outcome.
    db.close(Duration::ZERO).await;
    Ok(())
}
