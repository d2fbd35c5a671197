//! A server of this run: started on a free loopback port, waited for, ended by its own id.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::http::{self, Reply};
use crate::{Result, clock, machine};

/// Longest time that a server may take until it answers.
const START: Duration = Duration::from_secs(60);
/// Longest time that a server may take to end after it was told to.
const STOP: Duration = Duration::from_secs(10);
/// How many lines of a failed server's log are shown.
const LOG_LINES: usize = 20;

/// A running server. Dropping it ends the server and removes its data; the log stays under `target/`.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    url: String,
    life: Life,
    data: PathBuf,
    log: PathBuf,
}

/// What is ended when the server is.
#[derive(Debug)]
pub(crate) enum Life {
    Process(Child),
    /// The full id of a Docker container.
    Container(String),
}

/// Where a server of ours may keep its things.
#[derive(Debug)]
pub(crate) struct Place {
    name: &'static str,
    pub(crate) port: u16,
    /// An empty folder, removed when the server ends.
    pub(crate) data: PathBuf,
    log: PathBuf,
}

impl Place {
    /// A free port, an empty folder and a log file for the server called `name`.
    pub(crate) fn find(name: &'static str) -> Result<Self> {
        let folder = machine::kept("servers")?;
        let run = machine::fresh_name();
        let data = folder.join(format!("{name}-{run}"));
        std::fs::create_dir_all(&data)?;
        Ok(Self { name, port: machine::free_port()?, data, log: folder.join(format!("{name}.log")) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts `command` with its output in the log.
    pub(crate) fn start(self, command: &mut Command) -> Result<Server> {
        println!("starting {} on {} (log: {})", self.name, self.url(), relative(&self.log));
        let log = File::create(&self.log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", self.name))?;
        Ok(self.own(Life::Process(child)))
    }

    /// Takes charge of what was started elsewhere.
    pub(crate) fn own(self, life: Life) -> Server {
        Server { name: self.name, url: self.url(), life, data: self.data, log: self.log }
    }
}

impl Server {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until `path` is answered with 200, and returns that answer.
    pub(crate) fn wait_for(&mut self, path: &str) -> Result<Reply> {
        let mut last: Result<Reply> = Err("it was not asked yet".into());
        let mut ended = false;
        let well = clock::poll_until(START, || {
            ended = self.life.has_ended();
            last = http::get(&self.url, path);
            ended || matches!(&last, Ok(reply) if reply.status == 200)
        });
        // A stranger may answer on the port of a server that could not take it.
        if well && !ended {
            return last;
        }
        let how = if ended { "ended before it answered".to_owned() } else { format!("was not well in {START:?}: {last:?}") };
        Err(format!("{} {how}\n{}", self.name, self.last_words()).into())
    }

    /// Ends the server and tells whether it is gone.
    pub(crate) fn stop(mut self) -> Result<()> {
        let name = self.name;
        if self.end() {
            println!("{name} has ended");
            return Ok(());
        }
        Err(format!("{name} did not end in {STOP:?}").into())
    }

    /// The end of the log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES);
        lines[from..].join("\n")
    }

    fn end(&mut self) -> bool {
        let ended = self.life.end();
        // Best effort: what stays is under target/, and the next run takes another folder.
        drop(std::fs::remove_dir_all(&self.data));
        ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Life {
    fn has_ended(&mut self) -> bool {
        match self {
            Self::Process(child) => matches!(child.try_wait(), Ok(Some(_)) | Err(_)),
            Self::Container(id) => {
                machine::answer("docker", &["inspect", "--format", "{{.State.Running}}", id]).is_none_or(|text| text.trim() != "true")
            }
        }
    }

    /// Kills and waits: the data is thrown away, so there is nothing to end gently. A second call does nothing.
    fn end(&mut self) -> bool {
        match self {
            Self::Process(child) => {
                // An error says that it had ended already, which the wait below confirms.
                drop(child.kill());
            }
            Self::Container(id) => drop(machine::answer("docker", &["rm", "--force", id])),
        }
        clock::poll_until(STOP, || self.has_ended())
    }
}

/// `path` without the workspace's folder.
fn relative(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(machine::root()).unwrap_or(path).display()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that is on every machine with a Rust toolchain and a shell, and stays.
    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    }

    #[test]
    fn an_ended_server_is_gone_with_its_data() {
        let server = Place::find("sleeper").unwrap().start(&mut sleeper()).unwrap();
        let Life::Process(child) = &server.life else { panic!("it is a process") };
        let (id, data) = (child.id(), server.data.clone());
        assert!(data.is_dir());
        server.stop().unwrap();
        assert!(!data.exists());
        if cfg!(target_os = "linux") {
            assert!(!Path::new(&format!("/proc/{id}")).exists(), "process {id} is still there");
        }
    }

    #[test]
    fn a_server_that_ends_at_once_is_told_with_its_last_words() {
        let mut command = Command::new("cargo");
        command.arg("no-such-command-here");
        let mut server = Place::find("dead").unwrap().start(&mut command).unwrap();
        let error = server.wait_for("/").unwrap_err().to_string();
        assert!(error.starts_with("dead ended before it answered\n"), "{error}");
        assert!(error.contains("no-such-command-here"), "{error}");
    }
}
