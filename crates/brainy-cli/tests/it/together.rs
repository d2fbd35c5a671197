//! Several commands on one store at once.

use std::process::Stdio;

use serde_json::{Value, json};

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
