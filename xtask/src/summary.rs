//! What test runs amounted to, read from their output while it passes through.

use std::fmt;

/// Counts of passed and failed, and what could not run here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Lines that begin with [`Summary::NOT_RUN`], each once.
    pub(crate) not_run: Vec<String>,
}

impl Summary {
    /// How a line begins that tells what could not run on this machine, and why.
    pub(crate) const NOT_RUN: &str = "NOT RUN:";

    /// One check that was made, and how it ended.
    pub(crate) fn of_one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed), not_run: Vec::new() }
    }

    /// Nothing was checked, for the reason in `what`.
    pub(crate) fn of_none(what: &str) -> Self {
        Self { not_run: vec![format!("{} {what}", Self::NOT_RUN)], ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        for line in other.not_run {
            self.note(line);
        }
    }

    pub(crate) fn is_green(&self) -> bool {
        self.failed == 0
    }

    fn note(&mut self, line: String) {
        if !self.not_run.contains(&line) {
            self.not_run.push(line);
        }
    }
}

/// The lines that close a command: what was not run, then the counts.
impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.not_run {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Reads what test binaries print when told `--show-output`, line by line.
///
/// That option is needed because the harness swallows what a passing test prints, and a passing test
/// is where `NOT RUN:` lines come from. Output of passing tests is read but not shown.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    summary: Summary,
    place: Place,
}

/// Where in the output of one test binary the reader is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Names, failures and results: shown.
    #[default]
    Open,
    /// After the first `successes:`, what passing tests printed. A child's `test result:` line here is not ours.
    Outputs,
    /// After the second `successes:`, the names of passing tests, which were shown already.
    Names,
}

impl Reader {
    /// Takes the next line; says whether it is worth showing.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if line.trim_start().starts_with(Summary::NOT_RUN) {
            self.summary.note(line.trim().to_owned());
        }
        let result = result_counts(line);
        match self.place {
            Place::Open if line == "successes:" => self.place = Place::Outputs,
            Place::Outputs if line == "successes:" => self.place = Place::Names,
            Place::Names if result.is_some() || line == "failures:" => self.place = Place::Open,
            Place::Open | Place::Outputs | Place::Names => {}
        }
        if self.place == Place::Open
            && let Some((passed, failed)) = result
        {
            self.summary.passed += passed;
            self.summary.failed += failed;
        }
        self.place == Place::Open
    }

    /// The counts of all that was read; `success` is how the program ended that printed it.
    pub(crate) fn finish(mut self, success: bool) -> Summary {
        // A build error or a test binary that died prints no count.
        if !success && self.summary.failed == 0 {
            self.summary.failed = 1;
        }
        self.summary
    }
}

/// The counts in `test result: ok. 5 passed; 0 failed; …`.
fn result_counts(line: &str) -> Option<(u64, u64)> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut counts = counts.split("; ");
    let passed = counts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = counts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some((passed, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `output`; returns what was shown and the counts.
    fn read(output: &str, success: bool) -> (Vec<&str>, Summary) {
        let mut reader = Reader::default();
        let shown = output.lines().filter(|line| reader.line(line)).collect();
        (shown, reader.finish(success))
    }

    const TWO_BINARIES: &str = "
running 2 tests
test a ... ok
test b ... ok

successes:

---- b stdout ----
NOT RUN: kernels (no AVX-512 here)
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s


successes:
    a
    b

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 2 tests
test c ... FAILED
test d ... ok

successes:

successes:
    d

failures:

---- c stdout ----
assertion failed

failures:
    c

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn counts_are_summed_over_binaries_and_a_passing_tests_own_output_is_not_counted() {
        let (shown, summary) = read(TWO_BINARIES, false);
        assert_eq!((summary.passed, summary.failed), (3, 1));
        assert_eq!(summary.not_run, ["NOT RUN: kernels (no AVX-512 here)"]);
        assert!(shown.contains(&"assertion failed"), "{shown:?}");
        assert!(!shown.contains(&"---- b stdout ----"), "{shown:?}");
    }

    #[test]
    fn the_same_reason_is_told_once() {
        let (_, summary) = read("NOT RUN: x\n  NOT RUN: x\nNOT RUN: y\n", true);
        assert_eq!(summary.to_string(), "NOT RUN: x\nNOT RUN: y\n0 passed, 0 failed\n");
    }

    #[test]
    fn a_run_that_died_without_a_count_is_one_failure() {
        let (_, summary) = read("running 1 test\n", false);
        assert_eq!((summary.passed, summary.failed, summary.is_green()), (0, 1, false));
    }

    #[test]
    fn a_line_that_only_looks_like_a_result_counts_nothing() {
        for line in ["test result: ok", "test result: ok. x passed; 0 failed", "test result_counts ... ok", ""] {
            assert_eq!(result_counts(line), None, "{line}");
        }
    }
}
