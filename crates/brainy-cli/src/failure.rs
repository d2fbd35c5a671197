//! Why a command did not do what it was asked, in a person's words.

use std::io;

use brainy::ErrorKind;

use crate::table::{grouped, safe};

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The library refused or failed.
    #[error(transparent)]
    Store(#[from] brainy::Error),
    /// A line of an input file is wrong, or the store refused what it asks for.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        kind: ErrorKind,
    },
    /// An input file is wrong as a whole.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// An argument is wrong in a way that only the store or its own text shows.
    #[error("{what}: {reason}")]
    Argument {
        /// Which argument.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such item.
    #[error("there is no item {id:?} in this store")]
    NoItem {
        /// Its id.
        id: String,
        /// Ids that begin with it.
        near: Vec<String>,
    },
    /// A scan found other counts than the log states.
    #[error("the statistics of the log and of a full scan differ: {differences}")]
    Counts {
        /// Which, and how.
        differences: String,
    },
    /// An import ended early.
    #[error("{source}")]
    Import {
        /// Why.
        source: Box<Failure>,
        /// Transactions that were committed before.
        commits: u64,
        /// Lines in them.
        lines: u64,
    },
    /// Nothing can be printed.
    #[error("standard output: {0}")]
    Output(#[source] io::Error),
}

impl Failure {
    /// An input file that cannot be read.
    pub(crate) fn unreadable(file: &str, error: &io::Error) -> Self {
        Self::File { file: file.to_owned(), reason: error.to_string() }
    }

    /// What to do about it.
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Line { kind, .. } => *kind,
            Self::File { .. } | Self::Argument { .. } => ErrorKind::Invalid,
            Self::NoItem { .. } => ErrorKind::NotFound,
            Self::Counts { .. } => ErrorKind::Corrupt,
            Self::Import { source, .. } => source.kind(),
            Self::Output(_) => ErrorKind::Unavailable,
        }
    }

    /// Whether the reader of standard output has gone, which is no fault.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// One line that says what went wrong and, where there is one, a second that says what to do; without a line's end.
    pub(crate) fn report(&self) -> String {
        let line = format!("error: {}", safe(&self.to_string()));
        match self.hint() {
            Some(hint) => format!("{line}\nhint: {hint}"),
            None => line,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoItem { near, .. } if near.is_empty() => return None,
            Self::NoItem { near, .. } => {
                let near: Vec<_> = near.iter().map(|id| format!("{id:?}")).collect();
                return Some(format!("there are {}", safe(&near.join(", "))));
            }
            Self::Import { source, commits, lines } => {
                let before = match commits {
                    0 => "nothing was written".to_owned(),
                    _ => format!("{} lines in {} transactions before it are written", grouped(*lines), grouped(*commits)),
                };
                return Some(match source.kind() {
                    ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict => {
                        format!("{before}; correct this and import the same files again, what is there stays")
                    }
                    _ => format!("{before}; import the same files again to go on, what is there stays"),
                });
            }
            Self::Store(brainy::Error::OutcomeUnknown { op }) => {
                return Some(format!("it may have taken effect; find out with: brainy resolve STORE {op}"));
            }
            Self::Store(_) | Self::Line { .. } | Self::File { .. } | Self::Argument { .. } | Self::Counts { .. } | Self::Output(_) => {}
        }
        let hint = match self.kind() {
            ErrorKind::Invalid => "nothing was changed; correct this and try again",
            ErrorKind::Conflict => "nothing was written; look at what is there now, then decide again",
            ErrorKind::OutcomeUnknown => "it may have taken effect; look before you try again",
            ErrorKind::Withdrawn => "nothing was written; try again",
            ErrorKind::Fenced => "nothing was written; another process has taken over this work",
            ErrorKind::NotFound => "check the place; `brainy create` makes a store, in a bucket that exists",
            ErrorKind::Unavailable => "nothing more was written; check the place, the permissions and the network, then try again",
            ErrorKind::Overloaded => "nothing was written; too much is asked at once, try again later",
            ErrorKind::Corrupt => "nothing was changed; restore the object that is named from a copy",
            ErrorKind::RolledBack => "the store went back in time; nothing was changed, look at the bucket before you go on",
            ErrorKind::Unsupported => "nothing was changed; a newer brainy or another kind of storage is needed",
            ErrorKind::Closed => "the command broke off; what it had acknowledged is written",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_and_a_hint_whatever_a_file_holds() {
        let line = Failure::Line { file: "a\nb".into(), line: 7, reason: "\u{1b}[2J".into(), kind: ErrorKind::Invalid };
        let report = line.report();
        assert_eq!(report.lines().count(), 2, "{report}");
        assert!(report.starts_with("error: a\\nb:7: \\u{1b}[2J\nhint: "), "{report}");
        let import = Failure::Import { source: Box::new(line), commits: 3, lines: 1_500 };
        assert!(import.report().ends_with(
            "hint: 1,500 lines in 3 transactions before it are written; correct this and import the same files again, what is there stays"
        ));
    }

    #[test]
    fn only_a_reader_that_left_is_no_fault() {
        assert!(Failure::Output(io::ErrorKind::BrokenPipe.into()).is_broken_pipe());
        assert!(!Failure::Output(io::ErrorKind::StorageFull.into()).is_broken_pipe());
        assert!(!Failure::unreadable("a", &io::ErrorKind::BrokenPipe.into()).is_broken_pipe());
    }
}
