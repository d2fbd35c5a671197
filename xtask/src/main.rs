//! `cargo xtask COMMAND`: the tests, servers and checks of the workspace, with every cargo line echoed.
//!
//! It depends on no crate, so that it is ready seconds after a fresh clone, and it does nothing that
//! its printed lines would not do when typed by hand.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to people")]

mod builtin;
mod cargo;
mod ci;
mod clock;
mod endpoint;
mod http;
mod machine;
mod minio;
mod ministack;
mod serve;
mod server;
mod summary;
mod tests_command;

use std::process::ExitCode;

use summary::Summary;

/// What a command of ours comes to: the sentence of an error is for people, no code looks inside.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const HELP: &str = "\
cargo xtask COMMAND

  test                  everything that needs no server: unit, integration, process and doc tests
  test-minio            the S3 tests against genuine MinIO, found in this order:
                          1. BRAINY_TEST_S3_ENDPOINT, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
                          2. BRAINY_MINIO_BIN, else `minio` on PATH
                          3. Go 1.24 or newer: builds the pinned version once, into target/minio (about 4 minutes)
                          4. a Docker engine
  test-s3 --server S    the same tests elsewhere; S is one of
                          builtin     the test kit's own S3 endpoint
                          ministack   from PyPI, in a virtual environment under target/ministack
                          URL         any endpoint, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
  serve S               starts a server (minio, ministack) with its keys shown, until you press Enter
  ci [--full]           what must be green to merge: formatting, lints, documentation, licences, features,
                        the example, test-minio, test-s3; --full adds the long run on the whole data set
                        (BRAINY_DATA, or ../shared/data/debian-packages)
  sim [ARGS]            the simulator, in release; ARGS are
                          --seeds N|A..B, --store fast|http, --least N, --requests N, --trace, --json: runs seeds
                          --crashes: a crash and a restart at every request of fixed runs
                          --mutants, --only NAME: breaks each rule and shows which promise notices
  model [ARGS]          the model, every state at small bounds, in release; ARGS are
                          --slice, --group G, --only TEXT, --threads N, --trace, --json
  bench [ARGS]          the benchmarks; ARGS go to criterion
  data FROM TO          makes the sample in the repository (TO) from the whole data set (FROM)
  help                  this text

A part that cannot run on this machine is never skipped in silence: it prints `NOT RUN: what (why)`.
The last line of test, test-minio, test-s3 and ci is `N passed, N failed`.
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    match words {
        ["test"] => Ok(closed_by(tests_command::run())),
        ["test-minio"] => Ok(closed_by(test_minio())),
        ["test-s3", "--server", server] => Ok(closed_by(test_s3(server))),
        ["serve", server] => serve::run(server).map(|()| ExitCode::SUCCESS),
        ["ci"] => Ok(closed_by(Ok(ci::run(ci::Extent::Usual)))),
        ["ci", "--full"] => Ok(closed_by(Ok(ci::run(ci::Extent::Full)))),
        ["sim", rest @ ..] => {
            let line = [&["run", "--release", "--package", "brainy-sim", "--bin", "sim", "--"], rest].concat();
            Ok(code(cargo::run(&line, &[])?))
        }
        ["model", rest @ ..] => {
            let line = [&["run", "--release", "--package", "brainy-sim", "--bin", "model", "--"], rest].concat();
            Ok(code(cargo::run(&line, &[])?))
        }
        ["bench", rest @ ..] => {
            let line = [&["bench", "--package", "brainy-benches", "--"], rest].concat();
            Ok(code(cargo::run(&line, &[])?))
        }
        ["data", from, to] => {
            let line = ["run", "--release", "--package", "brainy-testkit", "--bin", "sample", "--", from, to];
            Ok(code(cargo::run(&line, &[])?))
        }
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        [] => Err(format!("which command?\n\n{HELP}").into()),
        other => Err(format!("`{}` is not a command of ours\n\n{HELP}", other.join(" ")).into()),
    }
}

fn test_minio() -> Result<Summary> {
    let way = minio::way()?.ok_or(minio::NO_WAY)?;
    minio::run(&way, &endpoint::build()?)
}

fn test_s3(server: &str) -> Result<Summary> {
    let server = endpoint::Choice::parse(server)?;
    server.run(&endpoint::build()?)
}

/// Closes a command by its counts; what kept it from counting is one failure.
fn closed_by(counted: Result<Summary>) -> ExitCode {
    let summary = counted.unwrap_or_else(|error| {
        println!("xtask: {error}");
        Summary::of_one(false)
    });
    print!("\n{summary}");
    code(summary.is_green())
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
