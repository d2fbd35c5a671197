//! The same over S3.

use brainy_testkit::s3_endpoint::{ACCESS_KEY, Mode, S3Endpoint, SECRET_KEY};
use serde_json::json;

use crate::follow::Follower;
use crate::world::{HOSTILE, NOUNS, SAMPLE, VERBS, World};

fn world(endpoint: &S3Endpoint) -> World {
    World::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .variable("AWS_REGION", "us-east-1")
        .variable("AWS_ENDPOINT_URL", &endpoint.url())
        .variable("AWS_ALLOW_HTTP", "true")
}

fn on_s3<'a>(args: &[&'a str], store: &'a str) -> Vec<&'a str> {
    args.iter().map(|arg| if *arg == "store" { store } else { *arg }).collect()
}

#[test]
fn every_command_works_on_a_bucket() {
    let endpoint = S3Endpoint::start(Mode::default());
    endpoint.make_bucket("bucket");
    let (world, store) = (world(&endpoint), "s3://bucket/a/b");
    world.write_sample();
    world.ok(&["create", store, "--dimension", "4"]);
    world.ok(&on_s3(&SAMPLE, store));
    let stats = &world.json(&["stats", store])[0];
    assert_eq!((&stats["nouns"], &stats["verbs"]), (&json!(NOUNS), &json!(VERBS)));
    assert_eq!(world.json(&["search", store, "--like", "item-30", "-k", "5"]).len(), 5);
    assert_eq!(world.json(&["get", store, HOSTILE[0]])[0]["id"], json!(HOSTILE[0]));
    world.ok(&["delete", store, "item-30", "--detach"]);
    assert!(world.ok(&["log", store]).trim_end().ends_with("delete item-30"));
    for key in endpoint.keys("bucket") {
        assert!(key.starts_with("a/b/") && !HOSTILE.iter().filter(|id| id.len() > 1).any(|id| key.contains(id)), "{key}");
    }
}

#[test]
fn the_log_of_a_bucket_can_be_followed() {
    let endpoint = S3Endpoint::start(Mode::default());
    endpoint.make_bucket("bucket");
    let (world, store) = (world(&endpoint), "s3://bucket/a");
    world.ok(&["create", store, "--dimension", "4"]);
    let follower = Follower::start(&world, &["log", store, "--follow"], 3);
    assert!(follower.line().contains("operations"));
    for id in ["first", "second"] {
        world.ok(&["delete", store, id]);
        assert!(follower.line().ends_with(&format!("  delete {id}\n")));
    }
    let (status, text) = follower.leave();
    assert_eq!((status.code(), text.as_str()), (Some(0), ""));
}

#[test]
fn a_missing_bucket_is_named_and_none_is_made() {
    let endpoint = S3Endpoint::start(Mode::default());
    let world = world(&endpoint);
    for args in [&["create", "s3://nowhere/a", "--dimension", "4"][..], &["stats", "s3://nowhere/a"], &["get", "s3://nowhere/a", "x"]] {
        world.refused(args, "nowhere");
    }
    assert!(endpoint.requests().iter().all(|request| request.status.is_none_or(|status| status >= 400)), "{:?}", endpoint.requests());
}

#[test]
fn a_secret_is_in_no_error() {
    let endpoint = S3Endpoint::start(Mode::default());
    endpoint.make_bucket("bucket");
    let world = world(&endpoint).variable("AWS_SECRET_ACCESS_KEY", "not-the-secret-but-secret");
    let answer = world.run(&["stats", "s3://bucket/a"]);
    assert_eq!(answer.code, Some(1));
    assert!(!answer.err.contains("not-the-secret") && !answer.err.contains("Signature="), "{}", answer.err);
}
