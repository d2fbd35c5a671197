//! What cannot be done is told in one clear line, and leaves the store as it was.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::world::{Answer, NOUNS, SAMPLE, World};

/// Sample files with one thing wrong.
fn damaged(change: impl FnOnce(&World)) -> World {
    let world = World::with_sample();
    change(&world);
    world
}

fn edit(world: &World, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(world.path(name)).expect("the test's folder can be used");
    change(&mut bytes);
    world.write(name, bytes);
}

#[test]
fn a_wrong_line_is_named_and_nothing_at_all_is_written() {
    let append = |line: &'static [u8]| move |world: &World| edit(world, "nouns.jsonl", |bytes| bytes.extend(line));
    let long = [b"{\"id\":\"", &[b'x'; 2_000][..], b"\",\"type\":\"t\"}\n"].concat().leak();
    let place = format!("nouns.jsonl:{}: ", NOUNS + 1);
    for (line, reason) in [
        (&b"{\"id\":\"a\\u0000b\",\"type\":\"t\"}\n"[..], "NUL"),
        (long, "2000 bytes, at most 1024 are allowed"),
        (b"{\"id\":\"a\"}\n", "the type, is missing"),
        (b"{\"id\":\"a\",\"type\":\"t\"\n", "not JSON"),
        (b"{\"id\":\"\xff\",\"type\":\"t\"}\n", "not JSON"),
        (b"\n", "the line is empty"),
    ] {
        let world = damaged(append(line));
        world.refused(&SAMPLE, &place);
        world.refused(&SAMPLE, reason);
    }
    let world = damaged(|world| edit(world, "verbs.tsv", |bytes| bytes.extend(b"a\tb\n")));
    world.refused(&SAMPLE, "the line has 2 fields");
}

#[test]
fn vectors_that_do_not_fit_are_named_and_nothing_at_all_is_written() {
    let nan = damaged(|world| edit(world, "vectors.f32", |bytes| bytes[16 * 41 + 4..16 * 41 + 8].copy_from_slice(&f32::NAN.to_le_bytes())));
    nan.refused(&SAMPLE, "vectors.f32: row 42: component 1 of the vector is NaN");
    let zero = damaged(|world| edit(world, "vectors.f32", |bytes| bytes[16 * 9..16 * 10].fill(0)));
    zero.refused(&SAMPLE, "vectors.f32: row 10: a zero vector has no direction");
    let cut = damaged(|world| edit(world, "vectors.f32", |bytes| bytes.truncate(16 * NOUNS - 3)));
    cut.refused(&SAMPLE, "13 bytes more");
    let few = damaged(|world| edit(world, "vectors.f32", |bytes| bytes.truncate(16 * NOUNS - 16)));
    few.refused(&SAMPLE, "59 rows, but nouns.jsonl has a line 60");
    let many = damaged(|world| edit(world, "vectors.f32", |bytes| bytes.extend([0; 16])));
    many.refused(&SAMPLE, "61 rows, but nouns.jsonl has 60 lines");
    let world = World::with_sample();
    world.write("v.jsonl", "{\"id\":\"a\",\"type\":\"t\",\"v\":[1,2,3]}\n");
    let import = ["import", "store", "--nouns", "v.jsonl", "--vector-field", "v"];
    world.refused(&import, "v.jsonl:1: a vector of 3 components in a store of dimension 4");
    for (vector, reason) in [
        ("[1,2,3]", "dimension 4"),
        ("[1,2,3,1e39]", "component 3 of the vector is inf"),
        ("[1,2,3,NaN]", "not JSON"),
        ("[0,0,0,0]", "no direction"),
        ("[]", "0 components"),
        ("7", "an array of numbers is needed"),
    ] {
        world.refused(&["search", "store", "--vector-json", vector], reason);
    }
    world.refused(&["search", "store", "--vector", "vectors.f32"], "60 rows: choose one by --row");
    world.refused(&["search", "store", "--vector", "vectors.f32", "--row", "61"], "there is no row 61");
}

#[test]
fn files_and_arguments_that_cannot_be_are_named() {
    let world = World::with_sample();
    world.refused(&["import", "store", "--nouns", "nowhere.jsonl"], "nowhere.jsonl: No such file");
    world.refused(&["import", "store", "--nouns", "."], ".: it is read twice");
    world.refused(&["import", "store", "--verbs", "/dev/null"], "/dev/null: it is read twice");
    world.write("empty", "");
    assert!(world.ok(&["import", "store", "--nouns", "empty", "--verbs", "empty"]).contains("0 transactions"));
    world.refused(&["import", "store", "--nouns", "nouns.jsonl", "--vectors", "verbs.tsv"], "verbs.tsv: its name must end in .f16");
    world.refused(&["get", "store", &"x".repeat(2_000)], "2000 bytes");
    world.refused(&["get", "store", ""], "empty");
    world.refused(&["search", "store", "--like", "item-9", "--filter", "{"], "--filter: not JSON");
    world.refused(&["search", "store", "--like", "item-9", "--filter", "{\"a\":{\"$nope\":1}}"], "$nope");
    world.refused(&["resolve", "store", "1.2.3"], "OPID");
    world.refused(&["stats", "memory://"], "a store in memory ends with the process");
    world.refused(&["stats", "gopher://store"], "gopher://store");
    world.refused(&["create", "other", "--dimension", "0"], "");
    world.refused(&["create", "other", "--dimension", "65537"], "");
    world.write("bare.jsonl", "{\"id\":\"bare\",\"type\":\"t\"}\n");
    world.ok(&["import", "store", "--nouns", "bare.jsonl"]);
    world.refused(&["search", "store", "--like", "bare"], "it has no vector");
    let usage = world.run(&["search", "store"]);
    assert_eq!((usage.code, usage.out.as_str()), (Some(2), ""), "{}", usage.err);
}

#[test]
fn where_there_is_no_store_none_is_made() {
    let world = World::new();
    for args in [
        &["stats", "store"][..],
        &["get", "store", "a"],
        &["log", "store"],
        &["search", "store", "--like", "a"],
        &["delete", "store", "a"],
        &["import", "store", "--verbs", "verbs.tsv"],
    ] {
        world.refused(args, "store");
        assert!(!world.path("store").exists(), "{args:?}");
    }
    fs::create_dir(world.path("store")).unwrap();
    world.refused(&["stats", "store"], "no brainy store");
}

#[test]
fn a_truncated_slot_is_named_by_every_command_and_stays_as_it_is() {
    let reading =
        [&["get", "store", "item-20"][..], &["search", "store", "--like", "item-20"], &["log", "store"], &["stats", "store", "--scan"]];
    let writing = [&["delete", "store", "item-20"][..], &SAMPLE];
    for newest in [false, true] {
        for keep in [0, 10, 100] {
            let world = World::with_sample();
            let mut slots: Vec<_> = world.files().into_keys().filter(|path| path.parent().unwrap().ends_with("log")).collect();
            slots.sort();
            let slot = if newest { slots.pop().unwrap() } else { slots.remove(1) };
            fs::set_permissions(&slot, fs::Permissions::from_mode(0o644)).unwrap();
            let bytes = fs::read(&slot).unwrap();
            fs::write(&slot, &bytes[..keep]).unwrap();
            let name = format!("log/{}", slot.file_name().unwrap().to_str().unwrap());
            for args in reading.iter().chain(&writing) {
                world.refused(args, &name);
            }
            if newest {
                world.refused(&["stats", "store"], &name);
                world.refused(&["stats", "store"], "corrupt");
            }
        }
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_told_and_can_still_be_read() {
    // Root may write everywhere, so then the command runs as nobody, from where nobody may read.
    let folder = std::env::temp_dir().join(format!("brainy-cli-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let binary = folder.join("brainy");
    fs::copy(env!("CARGO_BIN_EXE_brainy"), &binary).unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(&binary, 0o755);
    let root = fs::metadata(&binary).unwrap().uid() == 0;
    let run = |args: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(args).current_dir(&folder);
        if root {
            command.uid(65_534).gid(65_534);
        }
        Answer::of(&command.output().unwrap())
    };
    let world = World::with_sample();
    copy(&world.path("store"), &folder.join("store"));
    fs::copy(world.path("nouns.jsonl"), folder.join("nouns.jsonl")).unwrap();
    let locked = folder.join("locked");
    fs::create_dir(&locked).unwrap();
    let before = listing(&folder.join("store"));
    each(&folder, &|path| open(path, if path.is_dir() || path == binary { 0o555 } else { 0o444 }));

    let mut answers = Vec::new();
    for args in [
        &["create", "locked/store", "--dimension", "3"][..],
        &["create", "locked", "--dimension", "3"],
        &["import", "store", "--nouns", "nouns.jsonl"],
        &["delete", "store", "item-20", "--detach"],
    ] {
        answers.push((args, run(args)));
    }
    let read = run(&["stats", "store"]);
    let found = run(&["get", "store", "item-20"]);
    let after = listing(&folder.join("store"));
    each(&folder, &|path| open(path, 0o755));
    fs::remove_dir_all(&folder).unwrap();

    for (args, answer) in answers {
        assert_eq!((answer.code, answer.out.as_str()), (Some(1), ""), "{args:?}: {}", answer.err);
        assert!(answer.err.contains("ermission denied") && answer.err.lines().count() == 2, "{args:?}: {}", answer.err);
    }
    assert_eq!(after, before);
    assert_eq!((read.code, read.err.as_str()), (Some(0), ""));
    assert_eq!((found.code, found.err.as_str()), (Some(0), ""));
}

/// Calls `f` for everything under `folder`, itself last.
fn each(folder: &Path, f: &dyn Fn(&Path)) {
    for entry in fs::read_dir(folder).expect("the test's folder can be used") {
        let path = entry.expect("the test's folder can be used").path();
        if path.is_dir() { each(&path, f) } else { f(&path) }
    }
    f(folder);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("the test's folder can be used");
    for entry in fs::read_dir(from).expect("the test's folder can be used") {
        let path = entry.expect("the test's folder can be used").path();
        let to = to.join(path.file_name().expect("the test's folder can be used"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("the test's folder can be used");
        }
    }
}

fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::cell::RefCell::new(Vec::new());
    each(folder, &|path| {
        if path.is_file() {
            files.borrow_mut().push((path.display().to_string(), fs::read(path).expect("the test's folder can be used")));
        }
    });
    let mut files = files.into_inner();
    files.sort();
    files
}
