//! What single writes and deletions promise.

use bytes::Bytes;

use super::{Checked, Ground, Seen, ensure};
use crate::{Key, MAX_SEGMENT_BYTES, Precondition};

/// Keys of every allowed character, long ones and those that begin or end like special names are objects of their own.
///
/// # Errors
/// What was seen instead.
pub async fn every_allowed_key_names_its_own_object(ground: &Ground) -> Checked {
    let long = "x".repeat(MAX_SEGMENT_BYTES);
    let names = [
        "abcdefghijklmnopqrstuvwxyz",
        "0123456789",
        "...",
        "..a",
        ".hidden",
        "a.",
        "a..b",
        "-",
        "--",
        "_",
        "-rf",
        "a-b",
        "a.b",
        "a_b",
        "ab",
        "a.tmp",
        "a.lock",
        ".tmp",
        ".lock",
        "tmp/x",
        "con/nul",
        "deep/1/2/3/4/5/6/7/8/9",
        "aaa/bbb",
        "aaa-bbb",
        "aaa.bbb",
        "aaa_bbb",
        "aaabbb",
        &long,
    ];
    let keys = names.iter().map(|name| ground.key(format!("named/{name}"))).collect::<Vec<Key>>();
    let mut written = Vec::new();
    for key in &keys {
        let body = ground.unique();
        let revision = ground
            .put(0, key, &body, Precondition::IfAbsent)
            .await?
            .ok_or_else(|| Seen(format!("{} was refused, though nothing has this name", ground.short(key))))?;
        written.push((key, body, revision));
    }
    for (key, body, revision) in &written {
        ground.expect(key, body, revision).await?;
    }
    Ok(())
}

/// Without condition the last write counts.
///
/// # Errors
/// What was seen instead.
pub async fn an_unconditional_put_overwrites(ground: &Ground) -> Checked {
    let key = ground.key("overwritten/object");
    for body in [ground.unique(), Bytes::from(vec![7; 10_000]), Bytes::new(), ground.unique()] {
        let revision = ground.write(&key, &body).await?;
        ground.expect(&key, &body, &revision).await?;
    }
    Ok(())
}

/// Creating what exists is refused, equal bytes or not.
///
/// # Errors
/// What was seen instead.
pub async fn a_create_over_an_object_is_refused_and_changes_nothing(ground: &Ground) -> Checked {
    let (key, body) = (ground.key("created/object"), ground.unique());
    let revision = ground.put(0, &key, &body, Precondition::IfAbsent).await?.ok_or_else(|| Seen("the first create was refused".into()))?;
    for (at, other) in [ground.unique(), body.clone(), Bytes::new()].iter().enumerate() {
        let outcome = ground.put(at, &key, other, Precondition::IfAbsent).await?;
        ensure(outcome.is_none(), || "a second create was accepted".into())?;
        ground.expect(&key, &body, &revision).await?;
    }
    Ok(())
}

/// Compare-and-swap on a revision that is gone, or never was, is refused; on the current one it is accepted.
///
/// # Errors
/// What was seen instead.
pub async fn an_update_of_a_stale_revision_is_refused_and_changes_nothing(ground: &Ground) -> Checked {
    let key = ground.key("stale/object");
    let first = ground.write(&key, &ground.unique()).await?;
    let body = ground.unique();
    let second = ground
        .put(0, &key, &body, Precondition::IfMatch(first.clone()))
        .await?
        .ok_or_else(|| Seen("an update of the current revision was refused".into()))?;
    let elsewhere = ground.write(&ground.key("stale/another"), &ground.unique()).await?;
    for stale in [first, elsewhere] {
        let outcome = ground.put(1, &key, &ground.unique(), Precondition::IfMatch(stale)).await?;
        ensure(outcome.is_none(), || "an update of a stale revision was accepted".into())?;
        ground.expect(&key, &body, &second).await?;
    }
    Ok(())
}

/// Compare-and-swap on what does not exist, or no longer, is refused and makes nothing.
///
/// # Errors
/// What was seen instead.
pub async fn an_update_of_an_absent_object_is_refused_and_makes_nothing(ground: &Ground) -> Checked {
    let (key, never) = (ground.key("matched/deleted"), ground.key("matched/never"));
    let revision = ground.write(&key, &ground.unique()).await?;
    ground.store(0).delete(&key).await?;
    for key in [&key, &never] {
        let outcome = ground.put(0, key, &ground.unique(), Precondition::IfMatch(revision.clone())).await?;
        ensure(outcome.is_none(), || format!("an update of {} was accepted", ground.short(key)))?;
        ground.expect_absent(key).await?;
    }
    Ok(())
}

/// Different bytes have different revisions. Writing A, B, A may give the first revision back, and then a condition on it holds.
///
/// # Errors
/// What was seen instead.
pub async fn states_that_differ_have_different_revisions_and_equal_ones_may_share(ground: &Ground) -> Checked {
    let (key, a, b) = (ground.key("aba/object"), ground.unique(), ground.unique());
    let first = ground.write(&key, &a).await?;
    let second = ground.write(&key, &b).await?;
    ensure(first != second, || "different bytes have one revision".into())?;
    let third = ground.write(&key, &a).await?;
    ensure(third != second, || "different bytes have one revision".into())?;
    ground.expect(&key, &a, &third).await?;
    let outcome = ground.put(0, &key, &b, Precondition::IfMatch(first.clone())).await?;
    ensure(outcome.is_some() == (first == third), || "a condition on a revision did not follow the revision's equality".into())
}

/// A name whose object was deleted is free.
///
/// # Errors
/// What was seen instead.
pub async fn a_deleted_object_can_be_created_again(ground: &Ground) -> Checked {
    let key = ground.key("again/object");
    for at in 0..ground.options.rounds {
        let body = ground.unique();
        let revision =
            ground.put(at, &key, &body, Precondition::IfAbsent).await?.ok_or_else(|| Seen(format!("create number {at} was refused")))?;
        ground.expect(&key, &body, &revision).await?;
        ground.store(at + 1).delete(&key).await?;
        ground.expect_absent(&key).await?;
    }
    Ok(())
}

/// Deleting nothing succeeds, singly and among others.
///
/// # Errors
/// What was seen instead.
pub async fn deleting_what_is_absent_is_no_fault(ground: &Ground) -> Checked {
    let keys = ["unmade/1", "unmade/2", "unmade/deep/3"].map(|name| ground.key(name));
    ground.store(0).delete(&keys[0]).await?;
    ground.store(0).delete_many(&[]).await?;
    let body = ground.unique();
    ground.write(&keys[1], &body).await?;
    ground.store(0).delete_many(&keys).await?;
    for key in &keys {
        ground.expect_absent(key).await?;
    }
    Ok(())
}

/// One request deletes exactly the objects that it names.
///
/// # Errors
/// What was seen instead.
pub async fn many_objects_are_deleted_at_once(ground: &Ground) -> Checked {
    let keys = (0..30).map(|at| ground.key(format!("many/{}/{at}", at % 3))).collect::<Vec<_>>();
    let body = ground.unique();
    let mut revisions = Vec::new();
    for key in &keys {
        revisions.push(ground.write(key, &body).await?);
    }
    let (gone, kept) = keys.split_at(20);
    ground.store(0).delete_many(gone).await?;
    for key in gone {
        ground.expect_absent(key).await?;
    }
    for (key, revision) in kept.iter().zip(&revisions[20..]) {
        ground.expect(key, &body, revision).await?;
    }
    Ok(())
}
