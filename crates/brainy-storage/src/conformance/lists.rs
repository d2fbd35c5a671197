//! What listings promise.

use std::num::NonZeroUsize;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Checked, Ground, Seen, ensure};
use crate::{Key, Prefix};

/// Most writes under way at once while a long listing is prepared.
const AT_ONCE: usize = 32;

/// The keys below `prefix` and their sizes, page by page.
async fn all(ground: &Ground, prefix: &Prefix, mut after: Option<Key>, limit: usize) -> Result<Vec<(Key, u64)>, Seen> {
    let limit = NonZeroUsize::new(limit).expect("the checks ask for at least one");
    let mut entries: Vec<(Key, u64)> = Vec::new();
    for at in 0.. {
        let page = ground.store(at).list(prefix, after.as_ref(), limit).await?.value;
        ensure(page.entries.len() <= limit.get(), || format!("{} entries were listed where {limit} were asked for", page.entries.len()))?;
        ensure(!page.more || !page.entries.is_empty(), || "a listing of nothing said that there may be more".into())?;
        entries.extend(page.entries.into_iter().map(|entry| (entry.key, entry.size)));
        if !page.more {
            break;
        }
        after = entries.last().map(|(key, _)| key.clone());
        ensure(entries.len() <= ground.options.many + 1_000, || "a listing does not end".into())?;
    }
    Ok(entries)
}

fn same(ground: &Ground, listed: Vec<(Key, u64)>, wanted: &[Key]) -> Checked {
    let listed = listed.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    ensure(listed == wanted, || {
        let names = |keys: &[Key]| keys.iter().take(40).map(|key| ground.short(key).to_owned()).collect::<Vec<_>>().join(" ");
        format!("listed were {} keys ({}), in place of {} ({})", listed.len(), names(&listed), wanted.len(), names(wanted))
    })
}

/// What was written before a listing began is in it, with its size.
///
/// # Errors
/// What was seen instead.
pub async fn a_listing_shows_every_write_that_ended(ground: &Ground) -> Checked {
    let prefix = ground.prefix("listed");
    let mut wanted = Vec::new();
    for at in 0..ground.options.rounds {
        let key = ground.key(format!("listed/{at:04}"));
        ground.write(&key, &Bytes::from(vec![1; at])).await?;
        wanted.push((key, at as u64));
        let listed = all(ground, &prefix, None, 1_000).await?;
        ensure(listed == wanted, || format!("after {} writes {} objects were listed, or with other sizes", wanted.len(), listed.len()))?;
    }
    Ok(())
}

/// What was deleted before a listing began is not in it.
///
/// # Errors
/// What was seen instead.
pub async fn a_listing_shows_no_deletion_that_ended(ground: &Ground) -> Checked {
    let prefix = ground.prefix("unlisted");
    let keys = (0..ground.options.rounds).map(|at| ground.key(format!("unlisted/{at:04}"))).collect::<Vec<_>>();
    for key in &keys {
        ground.write(key, &ground.unique()).await?;
    }
    for (at, key) in keys.iter().enumerate() {
        ground.store(at).delete(key).await?;
        same(ground, all(ground, &prefix, None, 1_000).await?, &keys[at + 1..])?;
    }
    Ok(())
}

/// Keys come in the order of their bytes, folders or not: `-` and `.` before `/` before the digits.
///
/// # Errors
/// What was seen instead.
pub async fn a_listing_is_in_the_order_of_bytes(ground: &Ground) -> Checked {
    let names = [
        "b", "a/b", "a/b0", "a-b", "a.b", "a0", "a_", "aa", "a/c/d", "a/c-d", "a/c.d", "a/c0", "10", "9", "09", "_", "z/-", "z/.a", "z/0",
        "-", ".a",
    ];
    let mut wanted = names.iter().map(|name| ground.key(format!("ordered/{name}"))).collect::<Vec<_>>();
    for key in &wanted {
        ground.write(key, &ground.unique()).await?;
    }
    wanted.sort();
    for limit in [1, 2, 3, 1_000] {
        same(ground, all(ground, &ground.prefix("ordered"), None, limit).await?, &wanted)?;
    }
    // After each key come those after it, whether the key is there or not.
    for (at, key) in wanted.iter().enumerate() {
        same(ground, all(ground, &ground.prefix("ordered"), Some(key.clone()), 4).await?, &wanted[at + 1..])?;
    }
    Ok(())
}

/// A listing begins after the key it is given, there or not, and holds no more than its limit.
///
/// # Errors
/// What was seen instead.
pub async fn a_listing_starts_after_and_stops_at_its_limit(ground: &Ground) -> Checked {
    let keys = (0..10).map(|at| ground.key(format!("paged/{at:020}"))).collect::<Vec<_>>();
    for key in &keys {
        ground.write(key, &ground.unique()).await?;
    }
    let prefix = ground.prefix("paged");
    let limit = |limit| NonZeroUsize::new(limit).expect("not zero");
    for (after, count, wanted, more) in [
        (None, 3, 0..3, true),
        (Some(keys[2].clone()), 3, 3..6, true),
        (Some(keys[5].clone()), 100, 6..10, false),
        (Some(ground.key(format!("paged/{:020}.5", 4))), 2, 5..7, true),
        (Some(ground.key("paged/zzz")), 5, 10..10, false),
        (Some(ground.key("aaaa")), 1, 0..1, true),
        (Some(ground.key("zzzz")), 5, 10..10, false),
    ] {
        let page = ground.store(0).list(&prefix, after.as_ref(), limit(count)).await?.value;
        let listed = page.entries.into_iter().map(|entry| (entry.key, entry.size)).collect();
        same(ground, listed, &keys[wanted])?;
        // A store may say that there may be more when it does not know; not the reverse.
        ensure(page.more || !more, || "a cut listing said that it was complete".into())?;
    }
    Ok(())
}

/// A folder holds what lies below it, and not what merely begins alike.
///
/// # Errors
/// What was seen instead.
pub async fn a_listing_keeps_to_its_folder(ground: &Ground) -> Checked {
    let keys = ["folder/a", "folder/b/c", "folder-/a", "folder.a", "folder0/a", "folde/r"].map(|name| ground.key(format!("kept/{name}")));
    for key in &keys {
        ground.write(key, &ground.unique()).await?;
    }
    same(ground, all(ground, &ground.prefix("kept/folder"), None, 1_000).await?, &keys[..2])?;
    same(ground, all(ground, &ground.prefix("kept/folder/b"), None, 1_000).await?, &keys[1..2])?;
    same(ground, all(ground, &ground.prefix("kept/nothing"), None, 1_000).await?, &[])?;
    same(ground, all(ground, &ground.prefix("kept/folder/a"), None, 1_000).await?, &[])
}

/// More objects than a bucket lists at once are all listed, once, in order.
///
/// # Errors
/// What was seen instead.
pub async fn a_long_listing_is_complete_page_by_page(ground: &Ground) -> Checked {
    let keys = (0..ground.options.many).map(|at| ground.key(format!("long/{at:020}"))).collect::<Vec<_>>();
    for (at, some) in keys.chunks(AT_ONCE).enumerate() {
        let body = Bytes::from(at.to_string());
        let body = &body;
        join_all(some.iter().map(|key| ground.write(key, body))).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    }
    let prefix = ground.prefix("long");
    for limit in [10_000, 1_000, 333] {
        same(ground, all(ground, &prefix, None, limit).await?, &keys)?;
    }
    same(ground, all(ground, &prefix, keys.get(ground.options.many / 2).cloned(), 400).await?, &keys[ground.options.many / 2 + 1..])
}
