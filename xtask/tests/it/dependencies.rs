//! How many crates of others come with each crate of ours: budgets, so that a tree grows by decision only.

use std::collections::BTreeSet;

use crate::workspace;

/// Other people's crates in the normal dependency tree, each name and version once.
fn third_party(args: &[&str]) -> BTreeSet<String> {
    let line = [&["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"], args].concat();
    let ours: Vec<_> = workspace::packages().into_iter().map(|package| package.name).collect();
    let tree = workspace::cargo(&line);
    let lines = tree.lines().filter(|line| !line.is_empty());
    // A line is `name vVERSION`, with a path, `(proc-macro)` or `(*)` after it.
    lines
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .filter(|package| !ours.iter().any(|name| package.starts_with(&format!("{name} "))))
        .collect()
}

fn check(what: &str, args: &[&str], budget: usize) {
    let found = third_party(args);
    println!("{what}: {} crates of others, budget {budget}", found.len());
    assert!(found.len() <= budget, "{what}: {} crates, budget {budget}:\n{found:#?}", found.len());
}

#[test]
fn the_local_build_stays_within_its_budget() {
    check("brainy without features", &["--package", "brainy", "--no-default-features"], 100);
}

#[test]
fn the_build_with_s3_stays_within_its_budget() {
    let args = ["--package", "brainy", "--no-default-features", "--features", "s3"];
    check("brainy with s3", &args, 175);
}

#[test]
fn the_vector_index_alone_stays_within_its_budget() {
    check("brainy-hnsw", &["--package", "brainy-hnsw"], 45);
}

#[test]
fn the_layers_that_promise_no_runtime_have_none() {
    const RUNTIMES: [&str; 4] = ["tokio", "async-std", "smol", "futures-executor"];
    for package in ["brainy-core", "brainy-hnsw", "brainy-storage", "brainy-coordination"] {
        let mut found = third_party(&["--package", package]);
        // tokio's locks alone are no runtime (decision 0032).
        let tree = workspace::cargo(&["tree", "--edges", "normal", "--prefix", "none", "--format", "{p} {f}", "--package", package]);
        let locks = tree.lines().find(|line| line.starts_with("tokio v")).filter(|line| line.trim_end_matches(" (*)").ends_with(" sync"));
        found.retain(|found| locks.is_none_or(|line| line.split(' ').count() != 3 || !line.starts_with(found.as_str())));
        let runtime = found.iter().find(|found| RUNTIMES.iter().any(|name| found.starts_with(&format!("{name} "))));
        assert_eq!(runtime, None, "{package} must not bring a runtime");
    }
}

#[test]
fn the_index_and_the_words_bring_nothing_asynchronous() {
    for package in ["brainy-core", "brainy-hnsw"] {
        let found = third_party(&["--package", package]);
        let asynchronous = found.iter().find(|name| name.starts_with("futures") || name.starts_with("async-"));
        assert_eq!(asynchronous, None, "{package} is synchronous");
    }
}

#[test]
fn counting_sees_the_crates_of_others_and_not_ours() {
    let found = third_party(&["--package", "brainy-hnsw"]);
    assert!(found.iter().any(|package| package.starts_with("thiserror v")), "{found:?}");
    assert!(!found.iter().any(|package| package.starts_with("brainy")), "{found:?}");
}

#[test]
fn what_users_build_has_no_switch_that_breaks_a_rule() {
    // No default feature of what they depend on switches them on.
    for package in ["brainy", "brainy-cli", "brainy-coordination", "brainy-engine", "brainy-storage-s3"] {
        let tree = workspace::cargo(&["tree", "--edges", "normal,features", "--prefix", "none", "--package", package]);
        let switched: Vec<_> = tree.lines().filter(|line| line.contains("\"simulation\"")).collect();
        assert_eq!(switched, Vec::<&str>::new(), "{package}");
        assert!(tree.contains("feature \""), "the tree shows features: {tree}");
    }
    // Without it, no name of theirs is compiled: each stands in the module that the feature guards, or in a macro that drops it.
    let sources = workspace::sources();
    let (_, mutants) =
        sources.iter().find(|(path, _)| path.ends_with("brainy-coordination/src/mutants.rs")).expect("the switches lie there");
    let (before, switches) = mutants.split_once("#[cfg(feature = \"simulation\")]\nmod switches {").expect("the feature guards them");
    let names: BTreeSet<&str> = switches
        .lines()
        .filter_map(|line| line.strip_prefix("        ")?.strip_suffix(','))
        .filter(|name| name.chars().next().is_some_and(char::is_uppercase) && name.chars().all(char::is_alphanumeric))
        .collect();
    assert!(names.len() >= 40, "{names:?}");
    assert!(
        before.contains("#[cfg(not(feature = \"simulation\"))]\nmacro_rules! broken {\n    ($name:ident) => {\n        false\n    };\n}")
    );
    let mut wrong = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| path.contains("brainy-coordination/src/") && !path.ends_with("/mutants.rs")) {
        for line in text.lines().map(|line| line.split("//").next().unwrap_or_default()) {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            for name in words.filter(|word| names.contains(word)).filter(|name| !line.contains(&format!("broken!({name})"))) {
                wrong.push(format!("{path}: {name}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "names of switches outside of the macro");
}
