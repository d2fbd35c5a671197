//! Makes the sample in `crates/brainy/examples/data` from the whole set of Debian packages:
//!
//! ```sh
//! cargo run --release -p brainy-testkit --bin sample -- FROM TO [PACKAGES]
//! ```
//!
//! The choice is deterministic: from all packages, the one with the fewest relations to those that remain is left out again and again, of equals the
//! one whose id comes last, until as many remain as are wanted. So what remains is closely related among itself. A few well-known packages always remain.
//! (The greedy rule of Charikar, "Greedy approximation algorithms for finding dense components in a graph", 2000.)
//! Descriptions are left out; a relation stays if both its ends do; order is kept.

#![expect(clippy::print_stderr, reason = "a tool talks to people")]

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// Packages of the sample if the command does not say.
const PACKAGES: usize = 2_500;
/// Packages that are never left out: examples search for them. (The whole set has no `apt`, only what goes with it.)
const KEPT: [&str; 3] = ["apt-file", "dpkg", "git"];
/// Most bytes of one file: the repository takes no larger one.
const MAX_FILE_BYTES: usize = 2_000_000;
/// Bytes of one component of a vector.
const COMPONENT_BYTES: usize = 2;
/// Components of a vector.
const DIMENSION: usize = 384;

/// One package, in the order of its fields in the file. What is not named here is left out: the description.
#[derive(Debug, Deserialize, Serialize)]
struct Package {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    section: String,
    priority: String,
    installed_size_kib: u64,
    essential: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (from, to, packages) = match arguments.as_slice() {
        [from, to] => (from, to, Ok(PACKAGES)),
        [from, to, packages] => (from, to, packages.parse()),
        _ => {
            eprintln!("usage: sample FROM TO [PACKAGES]");
            return ExitCode::from(2);
        }
    };
    let made = packages.map_err(Into::into).and_then(|packages| make(from.as_ref(), to.as_ref(), packages));
    match made {
        Ok(summary) => {
            eprintln!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sample: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the set in `from` and writes its sample into `to`.
fn make(from: &Path, to: &Path, wanted: usize) -> Result<String, Box<dyn Error>> {
    let read = |name: &str| fs::read_to_string(from.join(name)).map_err(|error| format!("{}: {error}", from.join(name).display()));
    let packages: Vec<Package> = read("nouns.jsonl")?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let rows: HashMap<&str, usize> = packages.iter().enumerate().map(|(row, package)| (package.id.as_str(), row)).collect();
    let relations = read("verbs.tsv")?;
    let relations: Vec<(usize, &str, usize)> = relations.lines().map(|line| relation(line, &rows)).collect::<Result<_, _>>()?;
    let vectors = fs::read(from.join("vectors.f16"))?;
    if vectors.len() != packages.len() * DIMENSION * COMPONENT_BYTES {
        return Err(format!("vectors.f16 has {} bytes for {} packages", vectors.len(), packages.len()).into());
    }
    let kept = KEPT.map(|id| rows.get(id).copied().ok_or_else(|| format!("there is no package {id}")));
    let kept: BTreeSet<usize> = kept.into_iter().collect::<Result<_, _>>()?;
    let remaining = peel(&packages, &relations, &kept, wanted);

    fs::create_dir_all(to)?;
    let (mut nouns, mut chosen) = (Vec::new(), Vec::new());
    for &row in &remaining {
        serde_json::to_writer(&mut nouns, &packages[row])?;
        nouns.push(b'\n');
        chosen.extend_from_slice(&vectors[row * DIMENSION * COMPONENT_BYTES..][..DIMENSION * COMPONENT_BYTES]);
    }
    let (mut verbs, mut count) = (Vec::new(), 0);
    for (source, kind, target) in &relations {
        if remaining.contains(source) && remaining.contains(target) {
            writeln!(verbs, "{}\t{kind}\t{}", packages[*source].id, packages[*target].id)?;
            count += 1;
        }
    }
    for (name, bytes) in [("nouns.jsonl", nouns), ("vectors.f16", chosen), ("verbs.tsv", verbs)] {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(format!("{name} would have {} bytes, more than {MAX_FILE_BYTES}", bytes.len()).into());
        }
        fs::write(to.join(name), bytes)?;
    }
    Ok(format!("{} packages, {count} relations", remaining.len()))
}

fn relation<'a>(line: &'a str, rows: &HashMap<&str, usize>) -> Result<(usize, &'a str, usize), String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[source, kind, target] = fields.as_slice() else { return Err(format!("verbs.tsv: {line:?} is not three fields")) };
    let row = |id: &str| rows.get(id).copied().ok_or_else(|| format!("verbs.tsv: {id:?} is no package"));
    Ok((row(source)?, kind, row(target)?))
}

/// The rows that remain, in order.
fn peel(packages: &[Package], relations: &[(usize, &str, usize)], kept: &BTreeSet<usize>, wanted: usize) -> BTreeSet<usize> {
    let mut neighbours = vec![Vec::new(); packages.len()];
    for (source, _, target) in relations {
        neighbours[*source].push(*target);
        neighbours[*target].push(*source);
    }
    let mut degree: Vec<usize> = neighbours.iter().map(Vec::len).collect();
    let place = |row: usize, degree: usize| (degree, Reverse(packages[row].id.as_str()), row);
    let mut queue: BTreeSet<_> = (0..packages.len()).filter(|row| !kept.contains(row)).map(|row| place(row, degree[row])).collect();
    let mut remaining: BTreeSet<usize> = (0..packages.len()).collect();
    while remaining.len() > wanted
        && let Some((_, _, row)) = queue.pop_first()
    {
        remaining.remove(&row);
        for &neighbour in &neighbours[row] {
            // An edge to what is gone already was counted off then.
            if remaining.contains(&neighbour) {
                queue.remove(&place(neighbour, degree[neighbour]));
                degree[neighbour] -= 1;
                if !kept.contains(&neighbour) {
                    queue.insert(place(neighbour, degree[neighbour]));
                }
            }
        }
    }
    remaining
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(id: &str) -> Package {
        Package {
            id: id.into(),
            kind: "package".into(),
            section: "x".into(),
            priority: "optional".into(),
            installed_size_kib: 1,
            essential: false,
        }
    }

    #[test]
    fn what_remains_is_the_closest_and_what_was_to_stay() {
        // A triangle b-c-d, a tail d-e-f, and git without any relation.
        let packages: Vec<Package> = ["git", "b", "c", "d", "e", "f"].into_iter().map(package).collect();
        let relations = [(1, "depends", 2), (2, "depends", 3), (3, "depends", 1), (3, "suggests", 4), (4, "suggests", 5)];
        let kept = BTreeSet::from([0]);
        assert_eq!(peel(&packages, &relations, &kept, 4), BTreeSet::from([0, 1, 2, 3]));
        // Of equals the last id goes first.
        assert_eq!(peel(&packages, &relations, &kept, 3), BTreeSet::from([0, 1, 2]));
        assert_eq!(peel(&packages, &relations, &kept, 9).len(), 6);
    }

    #[test]
    fn a_relation_names_two_packages() {
        let rows = HashMap::from([("a", 0), ("b", 1)]);
        assert_eq!(relation("a\tdepends\tb", &rows), Ok((0, "depends", 1)));
        for wrong in ["", "a\tdepends", "a\tdepends\tc", "a\tdepends\tb\tb"] {
            assert!(relation(wrong, &rows).is_err(), "{wrong}");
        }
    }
}
