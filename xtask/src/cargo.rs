//! Cargo, echoed: each line printed before it runs, so that a person can repeat it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::summary::{Reader, Summary};
use crate::{Result, machine};

/// Environment variables for one call; an empty value takes a variable of the user's away.
pub(crate) type Env<'a> = [(&'a str, &'a str)];

/// Runs `cargo ARGS` with its output passed through; says whether it ended well.
pub(crate) fn run(args: &[&str], env: &Env<'_>) -> Result<bool> {
    Ok(cargo(args, env).status().map_err(cannot_start)?.success())
}

/// Runs `cargo ARGS` and returns what it printed to standard error, whatever it came to.
pub(crate) fn errors_of(args: &[&str]) -> Result<(bool, String)> {
    let output = cargo(args, &[]).stdout(Stdio::inherit()).stderr(Stdio::piped()).output().map_err(cannot_start)?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Runs `cargo test ARGS`, to the end even if a test fails, and counts.
pub(crate) fn test(args: &[&str]) -> Result<Summary> {
    let line = [&["test", "--no-fail-fast"], args, &["--", "--show-output"]].concat();
    counted(cargo(&line, &[]))
}

/// Runs a test binary made by [`executables`] in its package's folder, and counts.
pub(crate) fn run_tests(binary: &Executable, env: &Env<'_>) -> Result<Summary> {
    let mut command = Command::new(&binary.path);
    command.arg("--show-output").current_dir(&binary.package).env("CARGO_MANIFEST_DIR", &binary.package);
    with_env(&mut command, env);
    echo(&command, env);
    counted(command)
}

/// A program that cargo built, and the folder of its package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Executable {
    /// Name of the target, as in `--bin NAME`, `--test NAME`, `--example NAME`.
    pub(crate) name: String,
    pub(crate) package: PathBuf,
    pub(crate) path: PathBuf,
}

/// Runs `cargo build ARGS` and returns the programs it made.
pub(crate) fn executables(args: &[&str]) -> Result<Vec<Executable>> {
    let line = [&["build", "--message-format=json-render-diagnostics"], args].concat();
    let output = cargo(&line, &[]).stderr(Stdio::inherit()).output().map_err(cannot_start)?;
    if !output.status.success() {
        return Err("the build failed".into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(executable).collect())
}

/// Gives `command` its environment.
pub(crate) fn with_env(command: &mut Command, env: &Env<'_>) {
    for (name, value) in env {
        if value.is_empty() {
            command.env_remove(name);
        } else {
            command.env(name, value);
        }
    }
}

/// Prints a command as a person would type it. `env` is told by name only: values may be secrets.
pub(crate) fn echo(command: &Command, env: &Env<'_>) {
    let given = env.iter().filter(|(_, value)| !value.is_empty());
    let names: String = given.map(|(name, _)| format!("{name}=… ")).collect();
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(|word| short(&word.to_string_lossy())).collect();
    println!("+ {names}{}", words.join(" "));
}

fn cargo(args: &[&str], env: &Env<'_>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut shown = Command::new("cargo");
    shown.args(args);
    echo(&shown, env);
    let mut command = Command::new(program);
    with_env(&mut command, env);
    command.args(args).current_dir(machine::root()).stdin(Stdio::null());
    command
}

fn cannot_start(error: std::io::Error) -> String {
    format!("cargo cannot be started: {error}")
}

/// Passes the output of a test run through, less what passing tests printed, and counts.
fn counted(mut command: Command) -> Result<Summary> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = BufReader::new(child.stdout.take().expect("it was piped just now"));
    let mut reader = Reader::default();
    for line in output.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if reader.line(&line) {
            println!("{line}");
        }
    }
    Ok(reader.finish(child.wait()?.success()))
}

/// A word of a command line, with the workspace's folder left out.
fn short(word: &str) -> String {
    let root = format!("{}/", machine::root().display());
    let word = word.replace(&root, "");
    if word.contains(' ') { format!("'{word}'") } else { word }
}

/// Reads one of cargo's messages: those about a finished program name it under `executable`.
fn executable(message: &str) -> Option<Executable> {
    let path = text_after(message, "\"executable\":")?;
    let manifest = text_after(message, "\"manifest_path\":")?;
    let target = message.split_once("\"target\":")?.1;
    let name = text_after(target, "\"name\":")?;
    Some(Executable { name, package: Path::new(&manifest).parent()?.to_path_buf(), path: PathBuf::from(path) })
}

/// The JSON string that follows `key`, if a string follows. Cargo escapes only `\` and `"` in paths.
fn text_after(message: &str, key: &str) -> Option<String> {
    let rest = message.split_once(key)?.1.strip_prefix('"')?;
    let mut text = String::new();
    let mut letters = rest.chars();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => text.push(letters.next()?),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_program_is_read_from_cargos_message() {
        let message = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/crates/b#0.1.0","manifest_path":"/w/crates/b/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"endpoint","src_path":"/w/crates/b/tests/endpoint.rs"},"profile":{"test":true},"features":[],"filenames":["/w/t/endpoint-1"],"executable":"/w/t/a \"b\"\\endpoint-1","fresh":true}"#;
        let expected = Executable {
            name: "endpoint".to_owned(),
            package: PathBuf::from("/w/crates/b"),
            path: PathBuf::from(r#"/w/t/a "b"\endpoint-1"#),
        };
        assert_eq!(executable(message), Some(expected));
    }

    #[test]
    fn a_library_is_no_program() {
        let message =
            r#"{"reason":"compiler-artifact","manifest_path":"/w/Cargo.toml","target":{"name":"b"},"executable":null,"fresh":true}"#;
        assert_eq!(executable(message), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn an_echoed_line_is_short_and_keeps_values_of_variables_to_itself() {
        let file = machine::root().join("target/x");
        assert_eq!(short(&file.display().to_string()), "target/x");
        assert_eq!(short("two words"), "'two words'");
    }
}
