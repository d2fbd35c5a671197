//! Several real processes share one store: they import, relate, change and delete the same items at the same time and search meanwhile; one is killed
//! with SIGKILL and started again. At the end everything that they were told is held against the log and against plain maps.
//!
//! ```sh
//! cargo run --release --example shared_services
//! cargo run --release --example shared_services -- --help
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to people")]

mod chance;
mod change;
mod check;
mod data;
mod fleet;
mod journal;
mod options;
mod plan;
mod replay;
mod run;
mod scan;
mod search;
mod service;
mod table;

use std::process::ExitCode;

use data::Data;
use journal::Line;
use options::{HELP, Options};

/// Why something cannot go on, in words.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("shared_services: {error}");
            return ExitCode::from(2);
        }
    };
    match options.role {
        Some(role) => serve(&options, role),
        None => run::run(&options).unwrap_or_else(|error| {
            eprintln!("shared_services: {error}");
            ExitCode::FAILURE
        }),
    }
}

/// The life of a service: what goes wrong is the parent's to know.
fn serve(options: &Options, role: options::Role) -> ExitCode {
    let (Some(store), Some(seed)) = (&options.store, options.seed) else {
        eprintln!("shared_services: a service is started by its parent only");
        return ExitCode::from(2);
    };
    let served = Data::read(&options.data).and_then(|data| service::run(&data, store, options.services, seed, role));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if service::say(&Line::Failed(error.to_string())).is_err() {
                eprintln!("service-{}: {error}", role.service);
            }
            ExitCode::FAILURE
        }
    }
}
