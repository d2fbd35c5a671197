//! The session in the README, as it stands there.

use std::process::Command;

use crate::world::World;

#[test]
fn the_session_in_the_readme_can_be_pasted() {
    let readme = include_str!("../../README.md");
    let sessions: Vec<_> = readme.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!sessions.is_empty(), "the README shows a session");
    let world = World::new();
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_brainy")).parent().unwrap();
    let path =
        std::env::join_paths(std::iter::once(folder.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap()))).unwrap();
    for step in sessions.iter().flat_map(|session| session.split("$ ").skip(1)) {
        let (command, expected) = split(step);
        let output = Command::new("sh").args(["-c", &command]).env("PATH", &path).current_dir(world.path("")).output().unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let (found, expected): (Vec<_>, Vec<_>) = (printed.lines().map(str::trim_end).collect(), expected.lines().collect());
        let same = found.len() == expected.len() && found.iter().zip(&expected).all(|(found, expected)| fits(found, expected));
        assert!(same, "$ {command}\nprints\n{}\ninstead of\n{}", found.join("\n"), expected.join("\n"));
    }
}

/// The command, with lines that end in a backslash joined by the shell, and what it prints.
fn split(step: &str) -> (String, String) {
    let mut lines = step.lines();
    let mut command = String::new();
    for line in lines.by_ref() {
        command.push_str(line);
        command.push('\n');
        if !line.ends_with('\\') {
            break;
        }
    }
    (command, lines.collect::<Vec<_>>().join("\n"))
}

/// Whether `found` is `expected`, where each `…` in it stands for any text.
fn fits(found: &str, expected: &str) -> bool {
    let parts: Vec<_> = expected.split('…').collect();
    let [first, middle @ .., last] = &parts[..] else { return found == expected };
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}
