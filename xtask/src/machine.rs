//! What this machine has: the workspace's folder, programs on PATH, a free port.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies one folder below the root")
}

/// The folder `name` under `target/`, where this tool keeps what it builds or installs; made if absent.
pub(crate) fn kept(name: &str) -> Result<PathBuf> {
    let folder = root().join("target").join(name);
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}

/// The path of `program` on PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// What `program` prints, if it can be started and ends well.
pub(crate) fn answer(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A loopback port that nobody listened on a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Sixteen hexadecimal digits that no run before had.
pub(crate) fn fresh_name() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_folder_of_the_lock_file() {
        assert!(root().join("Cargo.lock").is_file(), "{}", root().display());
    }

    #[test]
    fn a_program_that_is_absent_is_not_found_and_answers_nothing() {
        assert_eq!(on_path("no-such-program-here"), None);
        assert_eq!(answer("no-such-program-here", &[]), None);
        assert!(on_path("cargo").is_some());
    }

    #[test]
    fn fresh_names_differ() {
        assert_ne!(fresh_name(), fresh_name());
    }
}
