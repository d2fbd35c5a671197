//! Genuine MinIO: found, or built once from its own module, and never mistaken for another server.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::endpoint::{self, Endpoint, Keys, OWN_KEYS, Programs};
use crate::http::{self, Reply};
use crate::server::{Life, Place, Server};
use crate::summary::Summary;
use crate::{Result, cargo, machine};

/// MinIO ships no programs any more, its documented way is `go install`. This is its last commit.
const MODULE: &str = "github.com/minio/minio";
const VERSION: &str = "v0.0.0-20260212201848-7aac2a2c5b7c";
/// Oldest Go (1.x) that builds [`VERSION`].
const GO_MINOR: u32 = 24;
/// The last image published; after MinIO's fix #21550 (If-Match on an absent key wrote). The suite checks
/// that case, so an image without the fix fails and is not trusted.
const IMAGE: &str = "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z";
const HEALTH: &str = "/minio/health/live";
/// Time between two lines of progress where no terminal can be redrawn.
const PROGRESS: Duration = Duration::from_secs(20);

pub(crate) const NO_WAY: &str = "\
MinIO is not to be had on this machine. Ways, in the order in which they are tried:
  1. BRAINY_TEST_S3_ENDPOINT=http://HOST:PORT with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a running MinIO
  2. BRAINY_MINIO_BIN=/path/to/minio, or `minio` on PATH
  3. Go 1.24 or newer on PATH: MinIO is built once, into target/minio
  4. a Docker engine that answers
The same tests against another server, under its own name: cargo xtask test-s3 --server builtin";

/// How MinIO is had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Running { url: String },
    Binary { path: PathBuf },
    Go,
    Docker,
}

/// The first way that this machine offers.
///
/// # Errors
/// A variable of the user's names something that is not there: that is not passed over.
pub(crate) fn way() -> Result<Option<Way>> {
    if let Ok(url) = std::env::var("BRAINY_TEST_S3_ENDPOINT") {
        return Ok(Some(Way::Running { url }));
    }
    if let Some(path) = std::env::var_os("BRAINY_MINIO_BIN").map(PathBuf::from) {
        if !path.is_file() {
            return Err(format!("BRAINY_MINIO_BIN is {}, which is no file", path.display()).into());
        }
        return Ok(Some(Way::Binary { path }));
    }
    if let Some(path) = machine::on_path("minio") {
        return Ok(Some(Way::Binary { path }));
    }
    if machine::answer("go", &["version"]).as_deref().and_then(go_minor).is_some_and(|minor| minor >= GO_MINOR) {
        return Ok(Some(Way::Go));
    }
    // Docker's command answers 0 without an engine, but names the engine's version only with one.
    let engine = machine::answer("docker", &["info", "--format", "{{.ServerVersion}}"]);
    Ok(engine.filter(|version| !version.trim().is_empty()).map(|_| Way::Docker))
}

/// A MinIO that answers.
#[derive(Debug)]
pub(crate) enum Minio {
    /// The user's, which goes on after us.
    Users {
        url: String,
    },
    Own(Server),
}

/// Starts MinIO in this way, or takes the one that runs, and makes sure that it is MinIO.
pub(crate) fn launch(way: &Way) -> Result<Minio> {
    let mut server = match way {
        Way::Running { url } => {
            prove(&http::get(url, HEALTH)?)?;
            return Ok(Minio::Users { url: url.clone() });
        }
        Way::Binary { path } => start(path)?,
        Way::Go => start(&install()?)?,
        Way::Docker => start_container()?,
    };
    prove(&server.wait_for(HEALTH)?)?;
    Ok(Minio::Own(server))
}

/// Runs the S3 tests against MinIO had in this way.
pub(crate) fn run(way: &Way, programs: &Programs) -> Result<Summary> {
    match launch(way)? {
        Minio::Users { url } => endpoint::check(&Endpoint { label: "minio", url: &url, keys: Keys::Users }, programs),
        Minio::Own(server) => endpoint::check_and_stop("minio", server, programs),
    }
}

/// Refuses whatever is not MinIO by its own word.
fn prove(reply: &Reply) -> Result<()> {
    match reply.header("Server") {
        Some("MinIO") => Ok(()),
        Some(other) => Err(format!("that server says `Server: {other}`, so it is not MinIO: use test-s3").into()),
        None => Err("that server does not say `Server: MinIO`: use test-s3".into()),
    }
}

fn start(program: &Path) -> Result<Server> {
    let place = Place::find("minio")?;
    let console = machine::free_port()?;
    let mut command = Command::new(program);
    command
        .args(["server", "--quiet", "--address"])
        .arg(format!("127.0.0.1:{}", place.port))
        .arg("--console-address")
        .arg(format!("127.0.0.1:{console}"))
        .arg(&place.data)
        .env("MINIO_ROOT_USER", OWN_KEYS.0)
        .env("MINIO_ROOT_PASSWORD", OWN_KEYS.1);
    cargo::echo(&command, &[]);
    place.start(&mut command)
}

fn start_container() -> Result<Server> {
    let place = Place::find("minio")?;
    let mut command = Command::new("docker");
    command
        .args(["run", "--detach", "--rm", "--publish"])
        .arg(format!("127.0.0.1:{}:9000", place.port))
        .args(["--env", "MINIO_ROOT_USER", "--env", "MINIO_ROOT_PASSWORD", IMAGE, "server", "/data"])
        .env("MINIO_ROOT_USER", OWN_KEYS.0)
        .env("MINIO_ROOT_PASSWORD", OWN_KEYS.1);
    cargo::echo(&command, &[]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || id.is_empty() {
        return Err(format!("docker did not start {IMAGE}").into());
    }
    Ok(place.own(Life::Container(id)))
}

/// MinIO built from its module, in a folder named by its version so that a later run finds it again.
fn install() -> Result<PathBuf> {
    let folder = machine::kept("minio")?.join(VERSION);
    let program = folder.join("minio");
    if program.is_file() {
        return Ok(program);
    }
    println!("building MinIO {VERSION}, once (about 4 minutes on two cores)");
    let mut command = Command::new("go");
    command.args(["install", "-v"]).arg(format!("{MODULE}@{VERSION}")).env("GOBIN", &folder);
    cargo::echo(&command, &[("GOBIN", "target/minio")]);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stderr.take().expect("it was piped just now")).lines();
    let last = follow_build(lines.map_while(std::result::Result::ok));
    if !child.wait()?.success() {
        return Err(format!("`go install` failed; its last lines:\n{}", last.join("\n")).into());
    }
    if !program.is_file() {
        return Err(format!("`go install` ended well but made no {}", program.display()).into());
    }
    Ok(program)
}

/// Shows how far a build is, from the names of packages that `go install -v` prints; returns its last lines.
fn follow_build(lines: impl Iterator<Item = String>) -> Vec<String> {
    const KEPT: usize = 10;
    let watch = Stopwatch::start();
    let redraw = std::io::stdout().is_terminal();
    let (mut compiled, mut shown) = (0_u32, Duration::ZERO);
    let mut last = Vec::new();
    for line in lines {
        let downloading = line.starts_with("go: ");
        compiled += u32::from(!downloading);
        let told = format!("  {:>3} s, {compiled} packages compiled", watch.elapsed().as_secs());
        if redraw {
            print!("\r{told}");
            // A progress line that cannot be shown is no reason to stop.
            drop(std::io::stdout().flush());
        } else if watch.elapsed() >= shown + PROGRESS {
            shown = watch.elapsed();
            println!("{told}");
        }
        if last.len() == KEPT {
            last.remove(0);
        }
        last.push(line);
    }
    println!("{}  {:>3} s, {compiled} packages compiled, done", if redraw { "\r" } else { "" }, watch.elapsed().as_secs());
    last
}

/// The minor version in `go version go1.26.8 linux/amd64`.
fn go_minor(version: &str) -> Option<u32> {
    let digits = version.split(" go1.").nth(1)?;
    digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn the_version_of_go_is_read() {
        for (text, minor) in [
            ("go version go1.26.8 linux/amd64", Some(26)),
            ("go version go1.24 darwin/arm64", Some(24)),
            ("go version go1.25rc1 linux/amd64", Some(25)),
            ("go version devel", None),
            ("", None),
        ] {
            assert_eq!(go_minor(text), minor, "{text}");
        }
    }

    #[test]
    fn only_a_server_that_says_so_is_minio() {
        for (header, genuine) in [("Server: MinIO\r\n", true), ("Server: MinIO-alike\r\n", false), ("", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let asked = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{header}\r\n").as_bytes()).unwrap();
                asked
            });
            let reply = http::get(&url, HEALTH).unwrap();
            assert_eq!(prove(&reply).is_ok(), genuine, "{header}");
            assert!(server.join().unwrap() > 0);
        }
    }

    #[test]
    fn the_last_lines_of_a_build_are_kept_for_its_error() {
        let lines = (1..=12).map(|number| format!("line {number}"));
        let last = follow_build(lines);
        assert_eq!((last.len(), last[0].as_str(), last[9].as_str()), (10, "line 3", "line 12"));
    }
}
