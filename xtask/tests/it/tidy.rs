//! Habits of the house that no lint knows.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::{self, Package};

/// Most lines of a file before its `#[cfg(test)]`; a concept that needs more wants a folder.
const LINES: usize = 600;
/// Most bytes of a file in the repository.
const BYTES: u64 = 2_000_000;
/// The page where each invariant has its number.
const INVARIANTS: &str = "docs/invariants.md";

/// Fails with all of `wrong`, not only the first.
fn none(what: &str, wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

fn manifest(package: &Package) -> (String, String) {
    let path = format!("{}/Cargo.toml", package.folder);
    let text = workspace::read(&path);
    (path, text)
}

#[test]
fn every_crate_is_under_the_lints() {
    let manifests = workspace::packages().iter().map(manifest).collect::<Vec<_>>();
    let bare = manifests.into_iter().filter(|(_, text)| !section(text, "lints").contains(&"workspace = true"));
    none("without `[lints] workspace = true` a crate is not checked at all", bare.map(|(path, _)| path).collect());
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    let mut wrong = Vec::new();
    for (path, text) in workspace::packages().iter().map(manifest) {
        for line in own_versions(&text) {
            wrong.push(format!("{path}: {line}"));
        }
    }
    none("a dependency takes its version from [workspace.dependencies]", wrong);
}

#[test]
fn every_crate_documents_itself_by_its_readme() {
    let mut wrong = Vec::new();
    for package in workspace::packages().iter().filter(|package| package.published) {
        let readme = format!("{}/README.md", package.folder);
        if !workspace::root().join(&readme).is_file() {
            wrong.push(format!("{readme} is missing"));
        }
        let library = format!("{}/src/lib.rs", package.folder);
        if workspace::root().join(&library).is_file()
            && !workspace::read(&library).starts_with("#![doc = include_str!(\"../README.md\")]\n")
        {
            wrong.push(format!("{library} does not begin with its README"));
        }
    }
    none("the README of a crate is its documentation", wrong);
}

#[test]
fn a_lib_file_only_names_what_lies_elsewhere() {
    let mut wrong = Vec::new();
    for (path, text) in workspace::sources().iter().filter(|(path, _)| path.ends_with("/src/lib.rs")) {
        for item in foreign_statements(text) {
            wrong.push(format!("{path}: {item}"));
        }
    }
    none("lib.rs holds `mod`, `use` and words, no items", wrong);
}

#[test]
fn files_stay_readable_in_one_sitting() {
    let mut wrong = Vec::new();
    for (path, text) in workspace::sources() {
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if lines > LINES {
            wrong.push(format!("{path}: {lines} lines before its tests"));
        }
    }
    none("more lines than fit one concept", wrong);
}

#[test]
fn no_check_checks_nothing() {
    let mut wrong = Vec::new();
    for (path, text) in workspace::sources() {
        for line in bare_matches(&text) {
            wrong.push(format!("{path}:{line}"));
        }
    }
    none("a `matches!` whose answer nobody takes (write assert!(matches!(…)))", wrong);
}

#[test]
fn no_test_is_left_out_and_none_passes_by_any_panic() {
    let mut wrong = Vec::new();
    for (path, text) in workspace::sources() {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("#[ignore") || line.starts_with("#[should_panic") {
                wrong.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    none("tests that pass without showing anything", wrong);
}

#[test]
fn every_invariant_is_guarded_by_a_test_and_every_number_exists() {
    let defined = numbers(&workspace::read(INVARIANTS));
    assert!(!defined.is_empty(), "{INVARIANTS} numbers no invariant");
    let (mut cited, mut tested) = (BTreeMap::new(), BTreeSet::new());
    for (path, text) in workspace::sources().iter().filter(|(path, _)| !path.starts_with("xtask/")) {
        for number in numbers(text) {
            cited.entry(number).or_insert_with(|| path.clone());
        }
        tested.extend(numbers(test_part(path, text)));
    }
    let unknown = cited.iter().filter(|(number, _)| !defined.contains(number));
    none("cited, but not in docs/invariants.md", unknown.map(|(number, path)| format!("INV-{number} in {path}")).collect());
    let untested = defined.difference(&tested).map(|number| format!("INV-{number}"));
    none("invariants that no test cites", untested.collect());
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let mut wrong = Vec::new();
    for path in workspace::files() {
        let bytes = std::fs::read(workspace::root().join(&path)).unwrap_or_default();
        let Ok(text) = String::from_utf8(bytes) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(folder) = folders.iter().find(|folder| names_folder(line, folder)) {
                wrong.push(format!("{path}:{}: {folder}", number + 1));
            }
        }
    }
    none("paths that exist on one machine only", wrong);
}

#[test]
fn no_file_is_too_large_to_clone_lightly() {
    let size = |path: &String| std::fs::metadata(workspace::root().join(path)).map_or(0, |data| data.len());
    let large = workspace::files().into_iter().filter(|path| size(path) > BYTES);
    none("files over the limit of bytes", large.collect());
}

#[test]
fn the_readme_gives_the_two_first_commands_and_they_exist() {
    let readme = workspace::read("README.md");
    for command in ["cargo run --release --example shared_services", "cargo xtask test"] {
        assert!(readme.contains(command), "README.md does not say `{command}`");
    }
    assert!(workspace::root().join("crates/brainy/examples/shared_services/main.rs").is_file(), "the example is missing");
    assert!(workspace::read(".cargo/config.toml").contains("xtask = \"run "), "the alias of `cargo xtask` is missing");
}

/// The lines of one `[name]` section of a manifest.
fn section<'a>(manifest: &'a str, name: &str) -> Vec<&'a str> {
    let head = format!("[{name}]");
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != head).skip(1);
    lines.take_while(|line| !line.starts_with('[')).collect()
}

/// Dependencies of a manifest that do not take everything from the workspace. The test kit, for tests only,
/// is named by its path: with a version it could not point upwards.
fn own_versions(manifest: &str) -> Vec<&str> {
    let mut wrong = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            if line.contains("dependencies.") {
                wrong.push(line);
            }
        } else if inside && line.contains('=') && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            let by_path = line.contains("path =") && !line.contains("version =") && name.starts_with("brainy");
            if !line.contains("workspace = true") && !by_path {
                wrong.push(line);
            }
        }
    }
    wrong
}

/// Statements of a `lib.rs` that are neither `mod name;` nor `use …;`.
fn foreign_statements(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()).collect::<Vec<_>>().join(" ");
    let statements = without_attributes(&code);
    let statements = statements.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    let allowed = |statement: &str| {
        let bare = statement.strip_prefix("pub(crate) ").or_else(|| statement.strip_prefix("pub ")).unwrap_or(statement);
        bare.starts_with("use ") || (bare.starts_with("mod ") && !bare.contains('{'))
    };
    statements.filter(|statement| !allowed(statement)).map(|statement| statement.chars().take(60).collect()).collect()
}

/// Rust code without `#[…]` and `#![…]`.
fn without_attributes(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(start) = rest.find('#') {
        kept.push_str(&rest[..start]);
        let after = rest[start + 1..].trim_start_matches('!');
        if !after.starts_with('[') {
            kept.push('#');
            rest = after;
            continue;
        }
        let mut depth = 0;
        let end = after.char_indices().find(|(_, letter)| {
            depth += i32::from(*letter == '[') - i32::from(*letter == ']');
            depth == 0
        });
        rest = end.map_or("", |(end, _)| &after[end + 1..]);
    }
    kept + rest
}

/// Numbers of the lines where a `matches!(…)` is a statement of its own.
fn bare_matches(text: &str) -> Vec<usize> {
    let code: String = text.lines().map(|line| format!("{}\n", line.split("//").next().unwrap_or_default())).collect();
    let mut found = Vec::new();
    for (start, word) in code.match_indices(concat!("mat", "ches!(")) {
        let statement = code[..start].trim_end().chars().next_back().is_none_or(|before| ";{}".contains(before));
        let mut depth = 0;
        let end = code[start + word.len() - 1..].char_indices().find(|(_, letter)| {
            depth += i32::from(*letter == '(') - i32::from(*letter == ')');
            depth == 0
        });
        let after = end.map_or("", |(end, _)| code[start + word.len() + end..].trim_start());
        if statement && after.starts_with(';') {
            found.push(code[..start].matches('\n').count() + 1);
        }
    }
    found
}

/// The part of a source that is tests: all of a test file, else what follows `#[cfg(test)]`.
fn test_part<'a>(path: &str, text: &'a str) -> &'a str {
    if path.contains("/tests/") || path.ends_with("/tests.rs") {
        return text;
    }
    text.find("#[cfg(test)]").map_or("", |start| &text[start..])
}

/// Every n of `INV-n`.
fn numbers(text: &str) -> BTreeSet<u32> {
    let digits = text.split("INV-").skip(1).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse()
    });
    digits.filter_map(Result::ok).collect()
}

/// `line` has a path that begins with `folder`, rather than one that has it in its middle.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && !".-_}>*~".contains(letter))
    })
}

#[test]
fn each_check_sees_what_it_is_there_for() {
    assert_eq!(section("[lints]\nworkspace = true\n[x]\na = 1", "lints"), ["workspace = true"]);
    assert!(section("[lints.rust]\nworkspace = true", "lints").is_empty());

    let fine = "[dependencies]\na.workspace = true\nb = { workspace = true, optional = true }\n\
                [dev-dependencies]\nbrainy-testkit = { path = \"../brainy-testkit\" }\n[features]\nc = []\n";
    assert!(own_versions(fine).is_empty(), "{:?}", own_versions(fine));
    for wrong in ["[dependencies]\na = \"1\"", "[dependencies.a]\nversion = \"1\"", "[dev-dependencies]\na = { path = \"../a\" }"] {
        assert_eq!(own_versions(wrong).len(), 1, "{wrong}");
    }

    let fine = "#![doc = include_str!(\"../README.md\")]\n// words\nmod a;\n#[cfg(test)]\nmod b;\npub use a::{C, D};\n";
    assert!(foreign_statements(fine).is_empty(), "{:?}", foreign_statements(fine));
    for wrong in ["fn f() {}", "pub const A: u8 = 1;", "mod a { use b; }", "macro_rules! a { () => {} }"] {
        assert!(!foreign_statements(wrong).is_empty(), "{wrong}");
    }

    let word = concat!("mat", "ches!");
    assert_eq!(bare_matches(&format!("fn f() {{\n    {word}(a, Some(_));\n}}\n")), [2]);
    assert_eq!(bare_matches(&format!("a();\n{word}(\n    a,\n    B,\n);\n")), [2]);
    for fine in ["assert!(W(a, B));", "let x = W(a, B);", "fn f() -> bool {\n    W(a, B)\n}", "// W(a, B);"] {
        let fine = fine.replace('W', word);
        assert!(bare_matches(&fine).is_empty(), "{fine}");
    }

    let source = "// INV-3\n#[cfg(test)]\nmod tests { /* INV-12, INV-x */ }";
    assert_eq!(numbers(source), BTreeSet::from([3, 12]));
    assert_eq!(numbers(test_part("crates/a/src/a.rs", source)), BTreeSet::from([12]));
    assert_eq!(numbers(test_part("crates/a/tests/it/a.rs", source)), BTreeSet::from([3, 12]));

    assert!(names_folder("see /x/y", "/x/") && names_folder("\"/x/", "/x/"));
    assert!(!names_folder("docs.rs/x/y", "/x/") && !names_folder("{root}/x/y", "/x/"));
}
