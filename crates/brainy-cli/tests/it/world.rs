//! A folder of its own for each test, the command, and a small data set.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// Components of the sample's vectors.
pub(crate) const DIMENSION: usize = 4;
/// Ids that are hard on paths, terminals and arguments; both normal forms of é among them.
pub(crate) const HOSTILE: [&str; 9] = ["../../x", "a//b", "é", "e\u{301}", " ", "line\nbreak", "\u{1b}[2J", "漢字", "--json"];
/// Items of the sample.
pub(crate) const NOUNS: usize = 60;

/// A folder that goes with the value.
pub(crate) struct World {
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

/// What a command answered.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    /// An empty one.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("cli-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).expect("the test's folder can be used");
        Self { folder, environment: Vec::new() }
    }

    /// One with an empty store `store` of [`DIMENSION`] and cosine distance.
    pub(crate) fn with_store() -> Self {
        let world = Self::new();
        world.ok(&["create", "store", "--dimension", &DIMENSION.to_string()]);
        world
    }

    /// One with the sample's files and a store that holds them.
    pub(crate) fn with_sample() -> Self {
        let world = Self::with_store();
        world.write_sample();
        world.ok(&SAMPLE);
        world
    }

    /// With this variable in the command's environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("the test's folder can be used");
    }

    /// The command, in the folder, without anything of the caller's environment that steers S3.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brainy"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().cloned());
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Answer {
        Answer::of(&self.command(args).output().expect("the command can be run"))
    }

    /// What the command prints; it must end well and say nothing on standard error.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""), "brainy {args:?}: {}", answer.out);
        answer.out
    }

    /// The JSON lines that the command prints.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        let out = self.ok(&[args, &["--json"]].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{args:?}: {error}: {line}"))).collect()
    }

    /// The command must fail with one clear line that holds `reason`, a hint, nothing else, and leave every file under `store` as it was.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str], reason: &str) {
        let before = self.files();
        let answer = self.run(args);
        assert_eq!((answer.code, answer.out.as_str()), (Some(1), ""), "brainy {args:?}: {}", answer.err);
        let lines: Vec<_> = answer.err.lines().collect();
        assert!(matches!(lines[..], [error, hint] if error.starts_with("error: ") && hint.starts_with("hint: ")), "{}", answer.err);
        assert!(lines[0].contains(reason), "brainy {args:?}: {reason:?} is not in {}", answer.err);
        assert_eq!(self.files(), before, "brainy {args:?} changed the store");
    }

    /// Every file under `store` with its bytes.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.path("store")];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry.expect("the test's folder can be used").path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    drop(files.insert(path.clone(), fs::read(&path).expect("the test's folder can be used")))
                }
            }
        }
        files
    }

    /// Writes `nouns.jsonl`, `vectors.f32` and `verbs.tsv`.
    pub(crate) fn write_sample(&self) {
        let (mut nouns, mut vectors, mut verbs) = (String::new(), Vec::new(), String::new());
        for number in 0..NOUNS {
            let noun = serde_json::json!({"id": id(number), "type": kind(number), "size": number, "section": "s"});
            writeln!(nouns, "{noun}").expect("a string takes any text");
            vectors.extend(vector(number).iter().flat_map(|value| value.to_le_bytes()));
            if !id(number).contains('\n') && !id(number + 1).contains('\n') && number + 1 < NOUNS {
                writeln!(verbs, "{}\tnext\t{}", id(number), id(number + 1)).expect("a string takes any text");
            }
        }
        self.write("nouns.jsonl", nouns);
        self.write("vectors.f32", vectors);
        self.write("verbs.tsv", verbs);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Answer {
    /// The answer in `output`.
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout.clone()).expect("the command prints UTF-8"),
            err: String::from_utf8(output.stderr.clone()).expect("the command prints UTF-8"),
        }
    }
}

/// Imports the sample in small transactions.
pub(crate) const SAMPLE: [&str; 12] =
    ["import", "store", "--nouns", "nouns.jsonl", "--vectors", "vectors.f32", "--verbs", "verbs.tsv", "--service", "first", "--batch", "7"];
/// Relations of the sample: a chain without the two that touch the id with a line's break.
pub(crate) const VERBS: usize = NOUNS - 1 - 2;

/// Id of item `number`.
pub(crate) fn id(number: usize) -> String {
    HOSTILE.get(number).map_or_else(|| format!("item-{number}"), ToString::to_string)
}

/// Type of item `number`.
pub(crate) fn kind(number: usize) -> &'static str {
    if number.is_multiple_of(3) { "third" } else { "other" }
}

/// Vector of item `number`: on a quarter of a circle, so that neighbours by number are neighbours by angle.
pub(crate) fn vector(number: usize) -> [f32; DIMENSION] {
    let angle = number as f32 * 0.025;
    [angle.cos(), angle.sin(), 0.0, 0.0]
}
