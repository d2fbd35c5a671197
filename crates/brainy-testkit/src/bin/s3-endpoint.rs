//! The test kit's S3 endpoint as a program. It runs until its standard input ends, so it ends with whoever started it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to people")]

use std::io::{Read, Write};
use std::process::ExitCode;

use brainy_testkit::s3_endpoint::{Mode, S3Endpoint};

const USAGE: &str = "s3-endpoint [--port PORT] [--mode exact|ignore-conditions|non-atomic] [--bucket NAME]…
an S3 endpoint on 127.0.0.1 with its objects in memory; keys brainytest / brainytest-secret; ends when its standard input ends";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut port, mut mode, mut buckets) = (0, Mode::Exact, Vec::new());
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
        match name.as_str() {
            "--port" => port = value()?.parse().map_err(|_| format!("--port is 0 to 65535\n{USAGE}"))?,
            "--mode" => mode = Mode::from_name(&value()?).ok_or_else(|| format!("no such mode\n{USAGE}"))?,
            "--bucket" => buckets.push(value()?),
            _ => return Err(format!("unknown argument {name}\n{USAGE}")),
        }
    }
    let endpoint = S3Endpoint::start_on(port, mode).map_err(|error| format!("port {port}: {error}"))?;
    for bucket in &buckets {
        endpoint.make_bucket(bucket);
    }
    println!("listening on {}", endpoint.url());
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    let mut rest = [0; 1024];
    let mut input = std::io::stdin().lock();
    while input.read(&mut rest).is_ok_and(|read| read > 0) {}
    Ok(())
}
