//! The command line.

use std::path::PathBuf;

use crate::Failure;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Several services share one store: real processes that import, relate, change and delete the same items at the same time,
search while the others write, and lose one of them to SIGKILL on the way. Everything they were told is checked at the end.

Usage: cargo run --release --example shared_services [-- OPTIONS]

  --services N     so many processes, 2 to 32 (default 4)
  --store URL      an empty place for the store: file:///path, a plain path, or s3://bucket/prefix with AWS_* variables
                   (default: a fresh folder for temporary files)
  --data DIR       a folder with nouns.jsonl, vectors.f16 and verbs.tsv (default: the sample of 2,500 packages)
  --seed N         who does what and when the process is killed (default: by chance; it is printed)
  --keep           leave the fresh folder there (it stays after a failure in any case)
  --help           this text

Exit codes: 0 everything held; 1 something did not; 2 the command line is wrong.
";

/// Fewest and most processes.
const SERVICES: std::ops::RangeInclusive<usize> = 2..=32;

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How many processes.
    pub services: usize,
    /// Where the store is; none: a fresh folder.
    pub store: Option<String>,
    /// Where the data are.
    pub data: PathBuf,
    /// The seed; none: by chance.
    pub seed: Option<u64>,
    /// Whether a fresh folder stays.
    pub keep: bool,
    /// A process started by another one of this program, as which service.
    pub role: Option<Role>,
}

/// Which service a process is, in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    /// Which of the services, from 0.
    pub service: usize,
    /// How many attempts its lives before made.
    pub attempts: u64,
}

impl Default for Options {
    fn default() -> Self {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data").into();
        Self { services: 4, store: None, data, seed: None, keep: false, role: None }
    }
}

impl Options {
    /// The options in `arguments`, the program's own name left out; none: help is wanted.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Option<Self>, Failure> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| Failure::from(format!("{name} needs a value")));
            match name.as_str() {
                "--services" => options.services = number(&name, &value()?)?,
                "--store" => options.store = Some(url(&value()?)?),
                "--data" => options.data = value()?.into(),
                "--seed" => options.seed = Some(number(&name, &value()?)?),
                "--keep" => options.keep = true,
                "--as-service" => {
                    let (service, attempts) = (number(&name, &value()?)?, number(&name, &value()?)?);
                    options.role = Some(Role { service, attempts });
                }
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("there is no option {name:?}; see --help").into()),
            }
        }
        if !SERVICES.contains(&options.services) {
            return Err(format!("{} services: {} to {} can be run", options.services, SERVICES.start(), SERVICES.end()).into());
        }
        Ok(Some(options))
    }

    /// The arguments that make a process `role` of the run with this store and seed.
    pub(crate) fn of_service(&self, store: &str, seed: u64, role: Role) -> Vec<String> {
        let of = |name: &str, value: &dyn std::fmt::Display| [name.to_owned(), value.to_string()];
        let mut arguments = vec!["--as-service".to_owned(), role.service.to_string(), role.attempts.to_string()];
        arguments.extend(of("--services", &self.services));
        arguments.extend(of("--store", &store));
        arguments.extend(of("--data", &self.data.display()));
        arguments.extend(of("--seed", &seed));
        arguments
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| format!("{name} needs a whole number, not {text:?}").into())
}

/// A plain path is a folder's.
fn url(place: &str) -> Result<String, Failure> {
    if place.contains("://") {
        return Ok(place.to_owned());
    }
    let path = std::path::absolute(place).map_err(|error| format!("{place:?} is no path: {error}"))?;
    Ok(format!("file://{}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Option<Options>, Failure> {
        Options::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn a_service_reads_what_its_parent_wrote() {
        let options = parse(&["--services", "8", "--data", "/d", "--keep"]).unwrap().unwrap();
        let role = Role { service: 3, attempts: 17 };
        let child = Options::parse(options.of_service("s3://a/b", 5, role)).unwrap().unwrap();
        let expected = Options { store: Some("s3://a/b".into()), seed: Some(5), keep: false, role: Some(role), ..options };
        assert_eq!(child, expected);
    }

    #[test]
    fn wrong_command_lines_are_refused_by_name() {
        assert_eq!(parse(&[]).unwrap(), Some(Options::default()));
        assert_eq!(parse(&["--services", "x", "--help"]).unwrap_err().to_string(), "--services needs a whole number, not \"x\"");
        assert_eq!(parse(&["--help"]).unwrap(), None);
        for (arguments, expected) in
            [(&["--store"][..], "--store"), (&["--nothing"], "--nothing"), (&["--services", "1"], "2 to 32"), (&["--seed", "-1"], "-1")]
        {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_plain_path_is_a_folder() {
        let store = |place: &str| parse(&["--store", place]).unwrap().unwrap().store.unwrap();
        assert_eq!(store("/a/b"), "file:///a/b");
        assert!(store("a").starts_with("file:///") && store("a").ends_with("/a"));
        assert_eq!(store("s3://a/b"), "s3://a/b");
    }
}
