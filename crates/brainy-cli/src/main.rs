#![doc = include_str!("../README.md")]

mod args;
mod collect;
mod create;
mod delete;
mod describe;
mod failure;
mod get;
mod import;
mod input;
mod log;
mod output;
mod place;
mod resolve;
mod search;
mod stats;
mod table;
mod when;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut output = Output::to_stdout(args.json);
    let result = futures_executor::block_on(run(args.command, &mut output)).and_then(|()| output.flush());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has read enough, as with `| head`.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // What was found before the failure belongs to the answer.
            drop(output);
            // Nobody is left to be told where standard error is gone too.
            drop(writeln!(std::io::stderr(), "{}", failure.report()));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Create(args) => Box::pin(create::run(args, output)).await,
        Command::Import(args) => Box::pin(import::run(args, output)).await,
        Command::Search(args) => Box::pin(search::run(args, output)).await,
        Command::Get(args) => Box::pin(get::run(args, output)).await,
        Command::Stats(args) => Box::pin(stats::run(args, output)).await,
        Command::Log(args) => Box::pin(log::run(args, output)).await,
        Command::Resolve(args) => Box::pin(resolve::run(args, output)).await,
        Command::Delete(args) => Box::pin(delete::run(args, output)).await,
        Command::Collect(args) => Box::pin(collect::run(args, output)).await,
    }
}
