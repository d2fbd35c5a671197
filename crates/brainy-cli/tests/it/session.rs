//! What a person does on the first day, in both forms of output.

use serde_json::{Value, json};

use crate::world::{DIMENSION, HOSTILE, NOUNS, SAMPLE, VERBS, World, kind, vector};

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["id"].as_str().expect("the command prints the JSON that is promised")).collect()
}

#[test]
fn a_store_is_made_once_and_tells_what_it_is() {
    let world = World::new();
    let made = &world.json(&["create", "store", "--dimension", "3", "--metric", "inner-product", "--verb-dimension", "2"])[0];
    assert_eq!((&made["dimension"], &made["metric"], &made["verb_dimension"]), (&json!(3), &json!("inner_product"), &json!(2)));
    world.refused(&["create", "store", "--dimension", "3"], "already");
    let stats = &world.json(&["stats", "store"])[0];
    assert_eq!((&stats["store"], &stats["slots"], &stats["position"]), (&made["store"], &json!(0), &Value::Null));
    assert!(world.ok(&["stats", "store"]).contains("dimension       3\n"), "{}", world.ok(&["stats", "store"]));
    assert!(World::new().ok(&["create", "a b/é", "--dimension", "3"]).starts_with("made store "));
}

#[test]
fn an_import_is_told_whole_and_repeating_it_changes_no_relation() {
    let world = World::with_store();
    world.write_sample();
    let told = &world.json(&SAMPLE)[0];
    assert_eq!(told["nouns"], json!({"lines": NOUNS, "changed": NOUNS, "skipped": 0}));
    assert_eq!(told["verbs"], json!({"lines": VERBS, "changed": VERBS, "skipped": 0}));
    assert_eq!(told["commits"], json!(NOUNS.div_ceil(7) + VERBS.div_ceil(7)));
    let stats = &world.json(&["stats", "store"])[0];
    for (count, expected) in [("nouns", NOUNS), ("noun_vectors", NOUNS), ("verbs", VERBS), ("vector_bytes", NOUNS * DIMENSION * 4)] {
        assert_eq!(stats[count], json!(expected), "{count}");
    }
    assert_eq!(stats["nouns_by_type"], json!({"third": 20, "other": 40}));
    assert_eq!((&stats["nouns_by_service"], &stats["verbs_by_type"]), (&json!({"first": NOUNS}), &json!({"next": VERBS})));

    // Relations as before, items in new versions.
    let version = world.json(&["get", "store", "item-20"])[0]["version"].clone();
    let again = &world.json(&SAMPLE)[0];
    assert_eq!((&again["verbs"]["changed"], &again["nouns"]["changed"]), (&json!(0), &json!(NOUNS)));
    let second = world.json(&["get", "store", "item-20"])[0]["version"].clone();
    assert_ne!(second, version);
    // Left alone on demand; what is new comes in.
    world.write("more.jsonl", "{\"id\":\"new\",\"type\":\"t\"}\n{\"id\":\"item-20\",\"type\":\"t\"}\n");
    let told = &world.json(&["import", "store", "--nouns", "more.jsonl", "--if-absent"])[0];
    assert_eq!(told["nouns"], json!({"lines": 2, "changed": 1, "skipped": 1}));
    assert_eq!(world.json(&["get", "store", "item-20"])[0]["version"], second);
    let table = world.ok(&["import", "store", "--nouns", "more.jsonl", "--if-absent"]);
    assert!(table.contains("items          2        0           2\n") && table.contains("0 transactions"), "{table}");
    assert_eq!(world.json(&["stats", "store"])[0]["nouns"], json!(NOUNS + 1));
}

#[test]
fn hostile_ids_come_back_as_they_were_and_are_no_paths() {
    let world = World::with_sample();
    for hostile in HOSTILE {
        let out = world.ok(&["--json", "get", "store", "--", hostile]);
        let item: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(item["id"], json!(hostile));
        let out = world.ok(&["get", "store", "--", hostile]);
        assert!(!out.contains('\u{1b}') && out.lines().count() > 7, "{out}");
    }
    for file in world.files().keys() {
        let name = file.display().to_string();
        assert!(!HOSTILE.iter().filter(|id| id.len() > 1).any(|id| name.contains(id)), "{name}");
    }
}

#[test]
fn the_neighbours_of_an_item_are_found_without_the_item() {
    let world = World::with_sample();
    let found = world.json(&["search", "store", "--like", "item-30", "-k", "4"]);
    let mut near = ids(&found);
    near.sort_unstable();
    assert_eq!(near, ["item-28", "item-29", "item-31", "item-32"]);
    assert_eq!((&found[0]["rank"], &found[3]["rank"], found[0].get("vector")), (&json!(1), &json!(4), None));
    assert_eq!(ids(&world.json(&["search", "store", "--like", "item-30", "-k", "4", "--exact"])), ids(&found));
    let table = world.ok(&["search", "store", "--like", "item-30", "-k", "4"]);
    assert_eq!(table.lines().count(), 5);
    assert!(table.starts_with("#  id       distance  type   metadata\n1  item-"), "{table}");

    // By a vector in each form, and only what passes.
    let query = serde_json::to_string(&vector(30)).unwrap();
    world.write("query.json", &query);
    let query = ["search", "store", "--vector-json", &query, "-k", "1"];
    assert_eq!(ids(&world.json(&query)), ["item-30"]);
    assert_eq!(ids(&world.json(&["search", "store", "--vector", "query.json", "-k", "1", "--ef", "50"])), ["item-30"]);
    assert_eq!(ids(&world.json(&["search", "store", "--vector", "vectors.f32", "--row", "31", "-k", "1"])), ["item-30"]);
    assert_eq!(ids(&world.json(&[&query[..], &["--filter", "{\"size\": {\"$lt\": 20}}"]].concat())), ["item-19"]);
    assert_eq!(ids(&world.json(&[&query[..], &["--type", "other"]].concat())).len(), 1);
    assert_eq!(kind(30), "third");
    assert_eq!(ids(&world.json(&[&query[..], &["--type", "nobody"]].concat())), Vec::<&str>::new());
    assert_eq!(ids(&world.json(&[&query[..], &["--service", "first"]].concat())), ["item-30"]);
    assert_eq!(world.ok(&[&query[..], &["--service", "second"]].concat()), "nothing found\n");
}

#[test]
fn an_item_is_shown_whole_with_its_relations() {
    let world = World::with_sample();
    let item = &world.json(&["get", "store", "item-20", "--verbs"])[0];
    assert_eq!((&item["id"], &item["type"], &item["service"]), (&json!("item-20"), &json!(kind(20)), &json!("first")));
    assert_eq!(item["metadata"], json!({"size": 20, "section": "s"}));
    let components: Vec<f32> = item["vector"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
    assert_eq!(components, vector(20));
    let verbs: Vec<_> = item["verbs"].as_array().unwrap().iter().map(|verb| (verb["source"].as_str(), verb["target"].as_str())).collect();
    assert_eq!(verbs.len(), 2);
    assert!(verbs.contains(&(Some("item-19"), Some("item-20"))) && verbs.contains(&(Some("item-20"), Some("item-21"))));
    let table = world.ok(&["get", "store", "item-20", "--verbs"]);
    assert!(table.contains("id        item-20\n") && table.contains("item-20  next      item-21"), "{table}");
    world.refused(&["get", "store", "item-2"], "there is no item \"item-2\" in this store");
    assert!(world.run(&["search", "store", "--like", "item-2"]).err.ends_with("hint: there are \"item-20\", \"item-21\", \"item-22\"\n"));
    let answer = world.run(&["get", "store", "nobody"]);
    assert_eq!((answer.code, answer.err.as_str()), (Some(1), "error: there is no item \"nobody\" in this store\n"));
}

#[test]
fn statistics_agree_with_a_scan_and_need_no_load() {
    let world = World::with_sample();
    world.ok(&["delete", "store", "item-40", "--detach"]);
    let stated = &world.json(&["stats", "store"])[0];
    let mut scanned = world.json(&["stats", "store", "--scan"])[0].clone();
    let cost = scanned.as_object_mut().unwrap().remove("scanned").unwrap();
    assert!(cost["requests"].as_u64().unwrap() > 0, "{cost}");
    assert_eq!(&scanned, stated);
    assert_eq!((&stated["nouns"], &stated["verbs"]), (&json!(NOUNS - 1), &json!(VERBS - 2)));
    assert_eq!((&stated["deleted_nouns"], &stated["deleted_verbs"]), (&json!(1), &json!(2)));
    assert!(world.ok(&["stats", "store", "--scan"]).contains("the scan found the same counts"));
    let table = world.ok(&["stats", "store"]);
    assert!(table.contains("nouns           59\n") && table.contains("\nnouns by type\nother          39\n"), "{table}");
}

#[test]
fn the_log_shows_every_transaction_and_each_can_be_resolved() {
    let world = World::with_sample();
    world.ok(&["delete", "store", "item-50", "--detach"]);
    let slots = world.json(&["log", "store", "--from", "1"]);
    let numbers: Vec<_> = slots.iter().map(|slot| slot["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let transactions: Vec<_> = slots.iter().flat_map(|slot| slot["transactions"].as_array().unwrap()).collect();
    assert_eq!(transactions.len(), NOUNS.div_ceil(7) + VERBS.div_ceil(7) + 1);
    let operations: Vec<_> = transactions.iter().flat_map(|transaction| transaction["operations"].as_array().unwrap()).collect();
    assert_eq!(operations.len(), NOUNS + VERBS + 1);
    assert_eq!(operations[0], &json!({"op": "put", "id": HOSTILE[0], "type": "third"}));
    assert_eq!(operations[NOUNS + VERBS], &json!({"op": "delete", "id": "item-50", "detach": true}));

    // The newest ones unless told otherwise.
    assert_eq!(world.json(&["log", "store", "--limit", "1"]), slots[slots.len() - 1..]);
    assert_eq!(world.json(&["log", "store", "--from", "1", "--limit", "1"]), slots[..1]);
    let table = world.ok(&["log", "store"]);
    assert!(table.lines().last().unwrap().ends_with("  yes     delete item-50"), "{table}");
    assert!(!table.contains('\u{1b}'), "an id steers the terminal");
    assert_eq!(world.ok(&["log", "store", "--from", "9999"]), format!("no slots: the log ends at {}\n", slots.len()));

    let op = transactions[0]["op"].as_str().unwrap();
    let resolved = &world.json(&["resolve", "store", op])[0];
    assert_eq!((&resolved["outcome"], &resolved["version"]), (&json!("committed"), &transactions[0]["version"]));
    assert!(world.ok(&["resolve", "store", op]).starts_with("committed: it took effect as version 0.1.0"));
}

#[test]
fn a_deletion_spares_what_has_relations_unless_told() {
    let world = World::with_sample();
    let answer = world.run(&["delete", "store", "item-30"]);
    assert_eq!((answer.code, answer.out.as_str()), (Some(1), ""), "{}", answer.err);
    assert!(answer.err.contains("item-30"), "{}", answer.err);
    assert_eq!(world.ok(&["delete", "store", "item-30", "--detach"]), "deleted item-30 and 2 relations\n");
    assert_eq!(world.ok(&["delete", "store", "item-30"]), "item-30 was not there; nothing changed\n");
    assert_eq!(world.json(&["delete", "store", "item-30"])[0]["changed"], json!(0));
}

#[test]
fn missing_ends_are_made_only_on_demand() {
    let world = World::with_store();
    world.write("verbs.tsv", "a\tt\tb\na\tt\tc\na\tt\tb\nb\tt\tc\n");
    let import = ["import", "store", "--verbs", "verbs.tsv"];
    let answer = world.run(&import);
    assert_eq!(answer.code, Some(1));
    assert!(answer.err.starts_with("error: verbs.tsv:1: ") && answer.err.contains("\nhint: nothing was written;"), "{}", answer.err);
    assert_eq!(world.json(&["stats", "store"])[0]["verbs"], json!(0));
    let told = &world.json(&[&import[..], &["--create-missing", "made"]].concat())[0];
    assert_eq!(told["verbs"], json!({"lines": 4, "changed": 6, "skipped": 0}));
    let stats = &world.json(&["stats", "store"])[0];
    assert_eq!((&stats["verbs"], &stats["nouns_by_type"]), (&json!(3), &json!({"made": 3})));
}

#[test]
fn every_form_of_vectors_can_be_imported_and_fields_can_have_other_names() {
    let world = World::with_store();
    world.write("n.jsonl", "{\"name\":\"a\",\"kind\":\"t\",\"v\":[1,0,0,0]}\n{\"name\":\"b\",\"kind\":\"t\",\"v\":[0,1,0.5,0]}\n");
    let rows = [[1.0_f32, 0.0, 0.0, 0.0], [0.0, 1.0, 0.5, 0.0]];
    let halves: [u8; 16] = [0, 0x3c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3c, 0, 0x38, 0, 0];
    world.write("v.f16", halves);
    world.write("v.f32", rows.concat().iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
    let fvecs = rows.iter().flat_map(|row| 4_i32.to_le_bytes().into_iter().chain(row.iter().flat_map(|value| value.to_le_bytes())));
    world.write("v.fvecs", fvecs.collect::<Vec<_>>());
    let import = ["import", "store", "--nouns", "n.jsonl", "--id-field", "name", "--type-field", "kind"];
    for vectors in [["--vectors", "v.f16"], ["--vectors", "v.f32"], ["--vectors", "v.fvecs"], ["--vector-field", "v"]] {
        world.ok(&[&import[..], &vectors].concat());
        let item = &world.json(&["get", "store", "b"])[0];
        assert_eq!(item["vector"], json!([0.0, 1.0, 0.5, 0.0]), "{vectors:?}");
        assert_eq!(item["metadata"].get("v").is_some(), vectors[0] == "--vectors", "{vectors:?}");
    }
}

#[test]
fn a_line_that_repeats_an_id_wins_over_the_earlier_one() {
    let world = World::with_store();
    let lines: String = (0..40)
        .map(|n| format!("{{\"id\":\"{}\",\"type\":\"t\",\"n\":{n}}}\n", if n % 2 == 0 { "same".into() } else { n.to_string() }))
        .collect();
    world.write("n.jsonl", lines);
    assert_eq!(world.json(&["import", "store", "--nouns", "n.jsonl"])[0]["nouns"]["lines"], json!(40));
    assert_eq!(world.json(&["get", "store", "same"])[0]["metadata"]["n"], json!(38));
}

#[test]
fn a_collection_shortens_the_log_and_loses_nothing() {
    let world = World::with_sample();
    let shown = |world: &World| (world.json(&["stats", "store"]), world.json(&["get", "store", "item-20"]));
    let (before, files) = (shown(&world), world.files());
    let slots = before.0[0]["slots"].as_u64().unwrap();
    let dry = &world.json(&["collect", "store", "--truncate", "--dry-run"])[0];
    assert_eq!((&dry["dry_run"], &world.files()), (&json!(true), &files), "looking changes nothing");
    assert!(world.run(&["collect", "store", "--retain", "2"]).err.contains("--truncate"), "there is nothing to retain");

    let told = &world.json(&["collect", "store", "--truncate", "--retain", "2"])[0];
    let collected = told["collected"].as_u64().unwrap();
    // The snapshot is made by two more slots, and those are the ones that stay.
    assert_eq!(collected, slots, "{told}");
    assert_eq!(told["removed"]["slots"]["objects"], json!(collected), "{told}");
    let there =
        |world: &World, folder: &str| world.files().keys().filter(|path| path.starts_with(world.path(&format!("store/{folder}")))).count();
    assert_eq!((there(&world, "manifest"), there(&world, "segment")), (1, 1));
    let after = shown(&world);
    assert_eq!(after.1, before.1);
    for count in ["nouns", "verbs", "nouns_by_type", "vector_bytes"] {
        assert_eq!(after.0[0][count], before.0[0][count], "{count}");
    }
    assert_eq!(world.json(&["search", "store", "--like", "item-20", "-k", "3"]).len(), 3);

    // Whoever writes on finds the state, and the next look finds nothing but what has come since.
    world.write("more.jsonl", "{\"id\":\"new\",\"type\":\"t\"}\n");
    world.ok(&["import", "store", "--nouns", "more.jsonl"]);
    let again = &world.json(&["collect", "store"])[0];
    assert_eq!((&again["removed"]["slots"]["objects"], &again["removed"]["segments"]["objects"]), (&json!(0), &json!(0)), "{again}");
    let table = world.ok(&["collect", "store"]);
    assert!(table.contains("slots") && table.contains("are removed"), "{table}");
    assert_eq!(world.json(&["stats", "store"])[0]["nouns"], json!(NOUNS + 1));
}
