//! `ci`: each check to its end even if one before it failed, then one table.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::endpoint::{self, Choice, Programs};
use crate::summary::Summary;
use crate::{Result, cargo, machine, minio, ministack};

/// So many seeds fill each reachable cell of the fault matrix a thousand times.
const SIMULATED_SEEDS: &str = "10000";

/// So many seeds over the real S3 client take less than a minute.
const SEEDS_OVER_HTTP: &str = "1000";
/// So many seeds of the long sweep make …
const LONG_SWEEP_SEEDS: &str = "40000";
/// … at least so many requests.
const LONG_SWEEP_REQUESTS: &str = "50000000";

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Usual,
    /// The long run on the whole data set and the long sweep of the simulator too.
    Full,
}

/// Steps that share a budget of time on a cold machine with two cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Lints,
    Build,
    Simulation,
    Minio,
    Servers,
    Long,
}

impl Group {
    const ALL: [Self; 6] = [Self::Lints, Self::Build, Self::Simulation, Self::Minio, Self::Servers, Self::Long];

    fn name(self) -> &'static str {
        match self {
            Self::Lints => "lints and documentation",
            Self::Build => "build and example",
            Self::Simulation => "simulation",
            Self::Minio => "MinIO",
            Self::Servers => "other servers",
            Self::Long => "long run",
        }
    }

    fn budget(self) -> Option<Duration> {
        let minutes = match self {
            Self::Lints => 6,
            Self::Build | Self::Simulation => 12,
            Self::Minio => 8,
            Self::Servers => 3,
            Self::Long => return None,
        };
        Some(Duration::from_secs(minutes * 60))
    }
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    group: Group,
    name: String,
    result: String,
    took: Duration,
}

/// What was run so far.
#[derive(Debug, Default)]
struct Report {
    rows: Vec<Row>,
    summary: Summary,
}

/// Runs all checks; the table is printed, the counts are returned: tests where a step has tests, else the step.
pub(crate) fn run(extent: Extent) -> Summary {
    let mut report = Report::default();
    report.lints();
    report.features();
    report.licences();
    let mut programs = None;
    report.step(Group::Build, "build of tests, example and endpoint", || {
        programs = Some(endpoint::build()?);
        Ok(Summary::of_one(true))
    });
    let programs = programs.ok_or("the build failed");
    let with = |run: &dyn Fn(&Programs) -> Result<Summary>| match &programs {
        Ok(programs) => run(programs),
        Err(why) => Err((*why).into()),
    };
    report.step(Group::Build, "example", || with(&|programs| endpoint::run_example(&programs.example, &[], &[])));
    let sim = ["run", "--profile", "test", "--package", "brainy-sim", "--bin", "sim", "--"];
    let slice = [&sim[..], &["--seeds", SIMULATED_SEEDS, "--least", "1000"]].concat();
    report.cargo(Group::Simulation, "simulator, every fault on every kind of key it can reach", &slice, &[]);
    let http = [&sim[..], &["--store", "http", "--seeds", SEEDS_OVER_HTTP]].concat();
    report.cargo(Group::Simulation, "simulator, under the real S3 client", &http, &[]);
    report.cargo(Group::Simulation, "simulator, a crash at every request", &[&sim[..], &["--crashes"]].concat(), &[]);
    report.cargo(Group::Simulation, "simulator, broken rules", &[&sim[..], &["--mutants"]].concat(), &[]);
    let model = ["run", "--profile", "test", "--package", "brainy-sim", "--bin", "model", "--", "--slice"];
    report.cargo(Group::Simulation, "model, its slice", &model, &[]);
    report.step(Group::Minio, "test-minio", || match minio::way()? {
        Some(way) => with(&|programs| minio::run(&way, programs)),
        None => Ok(Summary::of_none("MinIO (no running one, no binary, no Go 1.24, no Docker engine)")),
    });
    report.step(Group::Servers, "test-s3 builtin", || with(&|programs| Choice::Builtin.run(programs)));
    report.step(Group::Servers, "test-s3 ministack", || match ministack::python() {
        Some(python) => with(&|programs| ministack::run(&python, programs)),
        None => Ok(Summary::of_none(&format!("ministack ({})", ministack::NO_PYTHON))),
    });
    if extent == Extent::Full {
        report.step(Group::Long, "example, 8 services, whole data set, release", long_run);
        let sweep = [
            "run",
            "--release",
            "--package",
            "brainy-sim",
            "--bin",
            "sim",
            "--",
            "--seeds",
            LONG_SWEEP_SEEDS,
            "--requests",
            LONG_SWEEP_REQUESTS,
        ];
        report.cargo(Group::Long, "simulator, 50 million requests, release", &sweep, &[]);
    }
    print!("\n{}", report.table());
    report.summary
}

impl Report {
    fn lints(&mut self) {
        self.cargo(Group::Lints, "formatting", &["fmt", "--all", "--check"], &[]);
        let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--keep-going", "--", "-D", "warnings"];
        self.cargo(Group::Lints, "clippy", &clippy, &[]);
        let doc = ["doc", "--workspace", "--no-deps", "--all-features"];
        self.cargo(Group::Lints, "documentation", &doc, &[("RUSTDOCFLAGS", "-D warnings")]);
    }

    /// Each feature of the facade alone, and none.
    fn features(&mut self) {
        let none = ["check", "--package", "brainy", "--no-default-features"];
        self.cargo(Group::Lints, "brainy without features", &none, &[]);
        let manifest = std::fs::read_to_string(machine::root().join("crates/brainy/Cargo.toml")).unwrap_or_default();
        for feature in features(&manifest) {
            let line = [&none[..], &["--features", feature]].concat();
            self.cargo(Group::Lints, &format!("brainy with {feature} alone"), &line, &[]);
        }
    }

    fn licences(&mut self) {
        self.step(Group::Lints, "licences and sources", || {
            if machine::on_path("cargo-deny").is_none() {
                return Ok(Summary::of_none("cargo deny (not installed: cargo install cargo-deny)"));
            }
            Ok(Summary::of_one(cargo::run(&["deny", "check", "bans", "licenses", "sources"], &[])?))
        });
        self.step(Group::Lints, "advisories", || {
            if machine::on_path("cargo-deny").is_none() {
                return Ok(Summary::of_none("cargo deny check advisories (not installed: cargo install cargo-deny)"));
            }
            let (good, errors) = cargo::errors_of(&["deny", "check", "advisories"])?;
            if !good && errors.contains("failed to fetch advisory database") {
                return Ok(Summary::of_none("cargo deny check advisories (the advisory database cannot be reached)"));
            }
            print!("{errors}");
            Ok(Summary::of_one(good))
        });
    }

    fn cargo(&mut self, group: Group, name: &str, line: &[&str], env: &cargo::Env<'_>) {
        self.step(group, name, || Ok(Summary::of_one(cargo::run(line, env)?)));
    }

    /// Runs one step, times it and notes its result; an error of it is a failure, and the next step runs.
    fn step(&mut self, group: Group, name: &str, run: impl FnOnce() -> Result<Summary>) {
        println!("\n== {name}");
        let watch = Stopwatch::start();
        let summary = run().unwrap_or_else(|error| {
            println!("{error}");
            Summary::of_one(false)
        });
        let took = watch.elapsed();
        let result = match (summary.passed, summary.failed) {
            (0, 0) if !summary.not_run.is_empty() => "not run".to_owned(),
            // A step that was to check something and checked nothing has not passed.
            (0, 0) => "FAILED: no test was run".to_owned(),
            (1, 0) => "passed".to_owned(),
            (0, 1) => "FAILED".to_owned(),
            (passed, 0) => format!("{passed} passed"),
            (passed, failed) => format!("{passed} passed, {failed} FAILED"),
        };
        println!("== {name}: {result}, {:.1} s", took.as_secs_f64());
        let nothing = (summary.passed, summary.failed) == (0, 0) && summary.not_run.is_empty();
        self.summary.add(if nothing { Summary::of_one(false) } else { summary });
        self.rows.push(Row { group, name: name.to_owned(), result, took });
    }

    fn table(&self) -> String {
        let widest = |text: fn(&Row) -> &str| self.rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
        let (names, results) = (widest(|row| &row.name), widest(|row| &row.result));
        let mut table = format!("{:names$}  {:results$}  seconds\n", "step", "result");
        for Row { name, result, took, .. } in &self.rows {
            let line = writeln!(table, "{name:names$}  {result:results$}  {:7.1}", took.as_secs_f64());
            line.expect("writing to a String cannot fail");
        }
        for group in Group::ALL {
            let took: Duration = self.rows.iter().filter(|row| row.group == group).map(|row| row.took).sum();
            let Some(budget) = group.budget() else { continue };
            let over = if took > budget { ", over it" } else { "" };
            let name = group.name();
            let line = writeln!(table, "{name}: {:.0} s of a budget of {} s{over}", took.as_secs_f64(), budget.as_secs());
            line.expect("writing to a String cannot fail");
        }
        table
    }
}

/// The names in a manifest's `[features]`, without `default`, which is what people get anyway.
fn features(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[features]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim())
        .filter(|name| !name.starts_with('#') && *name != "default")
        .collect()
}

/// The example at the size of the whole data set, as a person would run it.
fn long_run() -> Result<Summary> {
    let data = std::env::var_os("BRAINY_DATA").map_or_else(|| machine::root().join("../shared/data/debian-packages"), PathBuf::from);
    if !data.is_dir() {
        return Ok(Summary::of_none("the long run (no data set: set BRAINY_DATA)"));
    }
    let data = data.to_string_lossy();
    let line = ["run", "--release", "--package", "brainy", "--example", "shared_services", "--", "--services", "8", "--data", &data];
    Ok(Summary::of_one(cargo::run(&line, &[])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: Vec<Result<Summary>>) -> Report {
        let mut report = Report::default();
        for step in steps {
            report.step(Group::Lints, "a step", || step);
        }
        report
    }

    #[test]
    fn every_step_is_run_and_a_failed_one_is_counted() {
        let report = after(vec![
            Err("no".into()),
            Ok(Summary { passed: 5, failed: 2, not_run: Vec::new() }),
            Ok(Summary::of_none("x (y)")),
            Ok(Summary::of_one(true)),
        ]);
        assert_eq!(report.summary.to_string(), "NOT RUN: x (y)\n6 passed, 3 failed\n");
        let results: Vec<_> = report.rows.iter().map(|row| row.result.as_str()).collect();
        assert_eq!(results, ["FAILED", "5 passed, 2 FAILED", "not run", "passed"]);
    }

    #[test]
    fn a_step_that_ran_no_test_has_failed() {
        let report = after(vec![Ok(Summary::default())]);
        assert_eq!((report.summary.passed, report.summary.failed), (0, 1));
    }

    #[test]
    fn the_table_has_a_row_a_step_and_a_line_a_budget() {
        let table = after(vec![Ok(Summary::of_one(true))]).table();
        assert!(table.starts_with("step    result  seconds\na step  passed  "), "{table}");
        assert!(table.contains("\nMinIO: 0 s of a budget of 480 s\n"), "{table}");
    }

    #[test]
    fn the_features_of_a_manifest_are_those_of_its_section() {
        let manifest = "[package]\nname = \"x\"\n\n[features]\n# words\ndefault = [\"s3\"]\ns3 = [\n\"dep:y\" ]\nmetrics = []\n\n[lints]\nworkspace = true\n";
        assert_eq!(features(manifest), ["s3", "metrics"]);
        assert!(features("[package]\n").is_empty());
    }
}
