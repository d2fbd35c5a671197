//! Several commands on one store at once.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::follow::Follower;
use crate::world::{Answer, NOUNS, SAMPLE, VERBS, World};

#[test]
fn imports_of_the_same_files_at_once_leave_exact_counts() {
    for if_absent in [false, true] {
        let world = World::with_store();
        world.write_sample();
        let extra: &[&str] = if if_absent { &["--json", "--if-absent"] } else { &["--json"] };
        let args = [&SAMPLE[..], extra].concat();
        let children: Vec<_> =
            (0..3).map(|_| world.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()).collect();
        let mut changed = 0;
        for child in children {
            let answer = Answer::of(&child.wait_with_output().unwrap());
            assert_eq!((answer.code, answer.err.as_str()), (Some(0), ""));
            let told: Value = serde_json::from_str(&answer.out).unwrap();
            assert_eq!((&told["nouns"]["lines"], &told["verbs"]["lines"]), (&json!(NOUNS), &json!(VERBS)));
            let sum = told["nouns"]["changed"].as_u64().unwrap() + told["nouns"]["skipped"].as_u64().unwrap();
            assert_eq!(sum, NOUNS as u64);
            changed += told["nouns"]["changed"].as_u64().unwrap();
        }
        // Each item was made by exactly one of them where that was asked, else written by all.
        assert_eq!(changed, if if_absent { NOUNS as u64 } else { 3 * NOUNS as u64 });
        let mut stats = world.json(&["stats", "store", "--scan"])[0].clone();
        for (count, expected) in [("nouns", NOUNS), ("verbs", VERBS), ("noun_vectors", NOUNS), ("deleted_nouns", 0)] {
            assert_eq!(stats[count].take(), json!(expected), "{count}");
        }
    }
}

#[test]
fn an_import_that_was_killed_is_completed_by_repeating_it() {
    const MANY: usize = 4_000;
    let world = World::with_store();
    let nouns: String = (0..MANY).map(|n| format!("{{\"id\":\"{n}\",\"type\":\"t\",\"v\":[1,{n},0,0]}}\n")).collect();
    let verbs: String = (1..MANY).map(|n| format!("{}\tnext\t{n}\n", n - 1)).collect();
    world.write("nouns.jsonl", nouns);
    world.write("verbs.tsv", verbs);
    let import = [
        "import",
        "store",
        "--nouns",
        "nouns.jsonl",
        "--vector-field",
        "v",
        "--verbs",
        "verbs.tsv",
        "--if-absent",
        "--batch",
        "20",
        "--json",
    ];
    // Killed in the middle of the items, then in the middle of what is left.
    let mut seen = 0;
    for slots in [3, 6] {
        let from = (seen + 1).to_string();
        let follower = Follower::start(&world, &["log", "store", "--follow", "--json", "--from", &from], slots);
        let mut child = world.command(&import).stdout(Stdio::null()).spawn().unwrap();
        for _ in 0..slots {
            let slot: Value = serde_json::from_str(&follower.line()).unwrap();
            seen = slot["seq"].as_u64().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let told: Value = serde_json::from_str(&world.ok(&import)).unwrap();
    let left_alone = told["nouns"]["skipped"].as_u64().unwrap();
    assert!(left_alone > 0, "{told}");
    let stats = &world.json(&["stats", "store", "--scan"])[0];
    for (count, expected) in [("nouns", MANY), ("noun_vectors", MANY), ("verbs", MANY - 1), ("deleted_nouns", 0)] {
        assert_eq!(stats[count], json!(expected), "{count}");
    }
}
