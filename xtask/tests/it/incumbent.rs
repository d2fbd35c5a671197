//! Each interleaving that loses data in the system before this one has a row in `docs/testing.md`, and each row a test.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace;

/// The page with the table.
const PAGE: &str = "docs/testing.md";
/// The heading that it stands under.
const HEADING: &str = "## What the system before this one loses";
/// Families of labels and how many each has.
const FAMILIES: [(&str, usize); 5] = [("S", 12), ("L", 19), ("K", 8), ("C", 10), ("HNSW ", 6)];

/// A row: its label and its test, `crate::modules::name`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    label: String,
    test: String,
}

/// The rows of the table under [`HEADING`]; of each the first cell and the last.
fn rows(page: &str) -> Vec<Row> {
    let section = page.lines().skip_while(|line| *line != HEADING).skip(1).take_while(|line| !line.starts_with("## "));
    let cells = section.filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')).map(|line| line.split('|').map(str::trim).collect());
    let rows = cells.filter(|cells: &Vec<&str>| cells.len() == 4 && cells[0] != "label" && !cells[0].starts_with('-'));
    rows.map(|cells| Row { label: cells[0].to_owned(), test: cells[3].trim_matches('`').to_owned() }).collect()
}

fn labels() -> BTreeSet<String> {
    FAMILIES.iter().flat_map(|(family, count)| (1..=*count).map(move |n| format!("{family}{n}"))).collect()
}

/// The name of each `#[test]` in `text`.
fn tests_in(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        let function = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
        match function {
            Some(rest) if marked => drop(found.insert(rest.split(['(', '<']).next().unwrap_or_default())),
            _ if line == "#[test]" || line.starts_with("#[tokio::test") => {
                marked = true;
                continue;
            }
            // Other attributes and words between the mark and the function.
            _ if line.starts_with("#[") || line.starts_with("//") => continue,
            _ => {}
        }
        marked = false;
    }
    found
}

/// Whether the source at `path` is the module `modules` of the crate: of its library, or of one of its test binaries.
fn is_module(path: &str, package: &str, modules: &[&str]) -> bool {
    let Some(inside) = path.strip_prefix(&format!("crates/{}/", package.replace('_', "-"))) else { return false };
    let module = modules.join("/");
    let of_tests = inside.strip_prefix("tests/").and_then(|inside| inside.split_once('/')).map(|(_, inside)| inside);
    of_tests.or_else(|| inside.strip_prefix("src/")).is_some_and(|inside| inside == format!("{module}.rs"))
}

/// What is wrong with `rows`, where the tests of a module are those that `tests_of` tells.
fn wrong(rows: &[Row], tests_of: impl Fn(&str, &[&str]) -> BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut by_label: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_test: BTreeMap<&str, usize> = BTreeMap::new();
    for Row { label, test } in rows {
        *by_label.entry(label).or_default() += 1;
        *by_test.entry(test).or_default() += 1;
        let parts: Vec<&str> = test.split("::").collect();
        let [package, modules @ .., name] = parts.as_slice() else {
            wrong.push(format!("{label}: {test:?} is no crate::module::name"));
            continue;
        };
        if !name.starts_with(&format!("{}_", label.to_lowercase().replace(' ', ""))) {
            wrong.push(format!("{label}: {name} does not begin with the label"));
        }
        if !tests_of(package, modules).contains(*name) {
            wrong.push(format!("{label}: there is no test {test}"));
        }
    }
    let known = labels();
    let rows_of = |label: &String| by_label.get(label.as_str()).copied().unwrap_or(0);
    wrong.extend(known.iter().filter(|label| rows_of(label) != 1).map(|label| format!("{label}: {} rows", rows_of(label))));
    wrong.extend(by_label.keys().filter(|label| !known.contains(**label)).map(|label| format!("{label}: no such label")));
    wrong.extend(by_test.iter().filter(|(_, rows)| **rows > 1).map(|(test, rows)| format!("{test}: named {rows} times")));
    wrong
}

#[test]
fn every_interleaving_that_lost_data_before_has_a_test_of_its_own() {
    let sources = workspace::sources();
    let tests_of = |package: &str, modules: &[&str]| {
        let of_module = sources.iter().filter(|(path, _)| is_module(path, package, modules));
        of_module.flat_map(|(_, text)| tests_in(text)).map(str::to_owned).collect()
    };
    let wrong = wrong(&rows(&workspace::read(PAGE)), tests_of);
    assert!(wrong.is_empty(), "{PAGE}, {HEADING}:\n{}", wrong.join("\n"));
}

#[test]
fn the_check_sees_what_it_is_there_for() {
    assert_eq!(labels().len(), 55);
    let page = format!(
        "## Other\n| S9 | a | b | `x::y` |\n{HEADING}\n\n| label | a | b | c |\n| --- | --- | --- | --- |\n| S1 | a | b | `c::m::s1_x` |\n## More\n| S2 | a | b | `c` |\n"
    );
    assert_eq!(rows(&page), [Row { label: "S1".into(), test: "c::m::s1_x".into() }]);
    let text = "#[test]\nfn s1_x() {\n    fn inner() {}\n}\n\n#[cfg(unix)]\n#[test]\n// Why.\nfn s2_y() {}\n\n#[tokio::test]\nasync fn s3_z() {}\n\nfn s4_helper() {}\n";
    assert_eq!(tests_in(text), BTreeSet::from(["s1_x", "s2_y", "s3_z"]));
    assert!(is_module("crates/brainy-hnsw/tests/it/a/b.rs", "brainy_hnsw", &["a", "b"]));
    assert!(is_module("crates/brainy/src/a/tests.rs", "brainy", &["a", "tests"]));
    for other in ["crates/brainy-hnsw/tests/it/b.rs", "crates/brainy/tests/it/a/b.rs", "crates/brainy-hnsw/benches/a/b.rs"] {
        assert!(!is_module(other, "brainy_hnsw", &["a", "b"]), "{other}");
    }

    let name = |label: &str| format!("c::m::{}_holds", label.to_lowercase().replace(' ', ""));
    let sound: Vec<Row> = labels().into_iter().map(|label| Row { test: name(&label), label }).collect();
    let tests: BTreeSet<String> = sound.iter().map(|row| row.test.replace("c::m::", "")).collect();
    let wrong = |rows: &[Row]| wrong(rows, |_, _| tests.clone());
    assert_eq!(wrong(&sound), Vec::<String>::new());
    assert_eq!(wrong(&sound[1..]), [format!("{}: 0 rows", sound[0].label)]);
    let twice: Vec<Row> = sound.iter().chain([&sound[3]]).cloned().collect();
    assert_eq!(wrong(&twice).len(), 2);
    for (label, test) in [("S1", "c::m::s1_hold"), ("S1", "s1_holds"), ("S1", "c::m::s2_holds"), ("S13", "c::m::s13_holds")] {
        let mut spoiled = sound.clone();
        let row = spoiled.iter_mut().find(|row| row.label == "S1").unwrap_or_else(|| panic!("there is one"));
        *row = Row { label: label.into(), test: test.into() };
        assert!(!wrong(&spoiled).is_empty(), "{label} {test}");
    }
}
