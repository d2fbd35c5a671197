//! ministack, an S3 server by other hands (PyPI, MIT): the independent second opinion.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::endpoint::{self, OWN_KEYS, Programs};
use crate::server::{Place, Server};
use crate::summary::Summary;
use crate::{Result, cargo, machine};

/// The version whose conditional writes were measured to be exact.
const VERSION: &str = "1.5.33";

pub(crate) const NO_PYTHON: &str = "ministack needs python3 with its venv module";

/// A Python that can make virtual environments.
pub(crate) fn python() -> Option<PathBuf> {
    let python = machine::on_path("python3")?;
    machine::answer(&python, &["-c", "import ensurepip, venv"]).map(|_| python)
}

/// Installs ministack once and starts it.
pub(crate) fn launch(python: &Path) -> Result<Server> {
    let mut server = start(&install(python)?)?;
    server.wait_for("/_ministack/health")?;
    Ok(server)
}

/// Runs the S3 tests against ministack.
pub(crate) fn run(python: &Path, programs: &Programs) -> Result<Summary> {
    endpoint::check_and_stop("ministack", launch(python)?, programs)
}

/// The installed program, in a virtual environment of its own that a later run finds again.
fn install(python: &Path) -> Result<PathBuf> {
    let folder = machine::kept("ministack")?.join(VERSION);
    let program = folder.join("bin/ministack");
    if program.is_file() {
        return Ok(program);
    }
    println!("installing ministack {VERSION}, once");
    step(Command::new(python).args(["-m", "venv"]).arg(&folder))?;
    let package = format!("ministack=={VERSION}");
    step(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "--only-binary", ":all:", &package]))?;
    Ok(program)
}

fn start(program: &Path) -> Result<Server> {
    let place = Place::find("ministack")?;
    let mut command = Command::new(program);
    // By itself it would listen on every interface, open ports for other services, and at its start
    // remove containers that it takes for its own.
    command
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", place.port.to_string())
        .env("SERVICES", "s3")
        .env("IOT_MTLS_ENABLED", "0")
        .env("SFTP_ENABLED", "0")
        .env("DOCKER_HOST", "unix:///nonexistent")
        .env("AUTH", "true")
        .env("AWS_ACCESS_KEY_ID", OWN_KEYS.0)
        .env("AWS_SECRET_ACCESS_KEY", OWN_KEYS.1)
        .env("LOG_LEVEL", "WARNING")
        .env("TMPDIR", &place.data)
        .env("STATE_DIR", &place.data)
        .env_remove("S3_PERSIST")
        .env_remove("PERSIST_STATE")
        .env_remove("AWS_SESSION_TOKEN");
    place.start(&mut command)
}

fn step(command: &mut Command) -> Result<()> {
    cargo::echo(command, &[]);
    if command.status()?.success() { Ok(()) } else { Err("that failed".into()) }
}
