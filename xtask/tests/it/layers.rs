//! The arrows between the crates: a closed list. A new one is a decision, made here and in docs/architecture.md.

use std::fmt::Write as _;

use crate::workspace::{self, Dependency, Kind, Package};

/// Each crate of ours and the crates of ours that it may use, directly.
const ARROWS: &[(&str, &[&str])] = &[
    ("brainy-core", &[]),
    ("brainy-hnsw", &["brainy-core"]),
    ("brainy-storage", &["brainy-core"]),
    ("brainy-storage-s3", &["brainy-core", "brainy-storage"]),
    ("brainy-coordination", &["brainy-core", "brainy-storage"]),
    ("brainy-engine", &["brainy-coordination", "brainy-core", "brainy-hnsw"]),
    ("brainy", &["brainy-coordination", "brainy-core", "brainy-engine", "brainy-storage", "brainy-storage-s3"]),
    ("brainy-cli", &["brainy"]),
    (TESTKIT, &["brainy-core", "brainy-storage"]),
];
const TESTKIT: &str = "brainy-testkit";
/// May use any crate of ours: nothing but the benches uses it.
const SIM: &str = "brainy-sim";
/// May use any crate of ours: nothing uses it.
const BENCHES: &str = "brainy-benches";
/// Uses none of ours, and no other crate either: it must be ready seconds after a fresh clone.
const XTASK: &str = "xtask";

#[test]
fn no_crate_uses_a_crate_that_the_picture_does_not_allow() {
    let packages = workspace::packages();
    let wrong: Vec<_> = packages.iter().flat_map(|package| wrong_arrows(package, &packages)).collect();
    assert!(wrong.is_empty(), "arrows that are not in the picture (docs/architecture.md):\n{}", wrong.join("\n"));
}

#[test]
fn the_picture_names_the_crates_of_the_workspace_and_no_others() {
    let mut drawn: Vec<_> = ARROWS.iter().map(|(name, _)| *name).chain([SIM, BENCHES, XTASK]).collect();
    drawn.sort_unstable();
    let packages = workspace::packages();
    let real: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(drawn, real);
}

#[test]
fn the_picture_has_no_cycle() {
    // Each crate is drawn after those it uses, so an arrow points backwards in the list.
    for (place, (name, uses)) in ARROWS.iter().enumerate() {
        for used in *uses {
            let before = ARROWS[..place].iter().any(|(earlier, _)| earlier == used);
            assert!(before, "{name} -> {used}, but {used} is not drawn before {name}");
        }
    }
}

#[test]
fn the_architecture_page_prints_the_same_arrows() {
    let page = workspace::read("docs/architecture.md");
    let (_, rest) = page.split_once("<!-- arrows -->").expect("docs/architecture.md has a line <!-- arrows -->");
    let (printed, _) = rest.split_once("<!-- /arrows -->").expect("docs/architecture.md has a line <!-- /arrows -->");
    let printed: Vec<_> = printed.lines().map(str::trim).filter(|line| line.contains(" -> ")).collect();
    let table = table();
    let drawn: Vec<_> = table.lines().collect();
    assert_eq!(printed, drawn, "docs/architecture.md must print:\n{table}");
}

#[test]
fn the_s3_store_is_there_only_for_who_wants_it() {
    let packages = workspace::packages();
    let facade = packages.iter().find(|package| package.name == "brainy").expect("brainy is a crate of ours");
    let store = facade.dependencies.iter().find(|used| used.name == "brainy-storage-s3" && used.kind == Kind::Normal);
    let store = store.expect("brainy can be built with S3");
    assert!(store.optional, "brainy-storage-s3 must be behind the feature s3: {store:?}");
}

#[test]
fn what_is_not_for_others_is_not_published() {
    for package in workspace::packages() {
        let ours_alone = [TESTKIT, SIM, BENCHES, XTASK].contains(&package.name.as_str());
        assert_eq!(package.published, !ours_alone, "`publish` in {}/Cargo.toml", package.folder);
    }
}

#[test]
fn the_check_sees_each_kind_of_wrong_arrow() {
    let used = |name: &str, kind, versioned| Dependency { name: name.to_owned(), kind, optional: false, versioned };
    let package =
        |name: &str, uses: Dependency| Package { name: name.to_owned(), folder: String::new(), published: true, dependencies: vec![uses] };
    let all = workspace::packages();
    for (name, uses, allowed) in [
        ("brainy-storage-s3", used("brainy-coordination", Kind::Normal, true), false),
        ("brainy-storage-s3", used("brainy-storage", Kind::Normal, true), true),
        ("brainy-core", used("brainy", Kind::Build, true), false),
        ("brainy-core", used("serde", Kind::Normal, true), true),
        ("brainy-core", used(TESTKIT, Kind::Development, false), true),
        ("brainy-core", used(TESTKIT, Kind::Development, true), false),
        ("brainy-core", used(TESTKIT, Kind::Normal, true), false),
        ("brainy-core", used("brainy-core", Kind::Development, false), true),
        (TESTKIT, used("brainy-coordination", Kind::Development, false), false),
        ("brainy-cli", used("brainy-engine", Kind::Normal, true), false),
        (BENCHES, used("brainy-engine", Kind::Normal, true), true),
        (SIM, used("brainy-engine", Kind::Normal, true), true),
        (SIM, used(BENCHES, Kind::Normal, true), false),
        ("brainy-engine", used(SIM, Kind::Normal, true), false),
        (XTASK, used("brainy-core", Kind::Normal, true), false),
        (XTASK, used("serde", Kind::Normal, true), false),
        (XTASK, used("serde_json", Kind::Development, true), true),
    ] {
        let wrong = wrong_arrows(&package(name, uses.clone()), &all);
        assert_eq!(wrong.is_empty(), allowed, "{name} -> {uses:?}: {wrong:?}");
    }
}

/// The arrows of `package` that must not be, each as a sentence.
fn wrong_arrows(package: &Package, all: &[Package]) -> Vec<String> {
    let ours = |name: &str| all.iter().any(|other| other.name == name);
    let name = package.name.as_str();
    let allowed = ARROWS.iter().find(|(drawn, _)| *drawn == name).map_or(&[][..], |(_, uses)| uses);
    let wrong = |used: &&Dependency| {
        let test_only = used.kind == Kind::Development;
        match used.name.as_str() {
            other if !ours(other) => name == XTASK && !test_only,
            _ if name == BENCHES => false,
            // The test kit too: the simulator is itself a test.
            other if name == SIM => other == BENCHES || other == SIM,
            // Without a version it is stripped when the crate is packaged, so it may point anywhere.
            TESTKIT => !test_only || used.versioned,
            // A crate may switch on its own features for its own tests.
            other if test_only && other == name => used.versioned,
            other => !allowed.contains(&other),
        }
    };
    let wrong = package.dependencies.iter().filter(wrong);
    wrong.map(|used| format!("{name} -> {} ({:?}, versioned: {})", used.name, used.kind, used.versioned)).collect()
}

/// The picture as docs/architecture.md prints it.
fn table() -> String {
    let mut table = String::new();
    for (name, uses) in ARROWS {
        let uses = if uses.is_empty() { "none of ours".to_owned() } else { uses.join(", ") };
        writeln!(table, "{name} -> {uses}").expect("writing to a String cannot fail");
    }
    table + &format!("{SIM} -> any of ours\n{BENCHES} -> any of ours\n{XTASK} -> none of ours\n")
}
