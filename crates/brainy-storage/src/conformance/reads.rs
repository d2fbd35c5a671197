//! What reads promise.

use brainy_core::ErrorKind;
use bytes::Bytes;
use futures_util::future::{join, join_all};

use super::{Checked, Ground, Seen, ensure};
use crate::{Get, GetOptions, Precondition};

/// After a write ended, every handle reads it.
///
/// # Errors
/// What was seen instead.
pub async fn a_get_sees_every_write_that_ended(ground: &Ground) -> Checked {
    let key = ground.key("seen/object");
    for _ in 0..ground.options.rounds {
        let body = ground.unique();
        let revision = ground.write(&key, &body).await?;
        ground.expect(&key, &body, &revision).await?;
    }
    Ok(())
}

/// Reading what was never written says so, whatever is asked of it.
///
/// # Errors
/// What was seen instead.
pub async fn an_absent_object_is_absent_and_no_error(ground: &Ground) -> Checked {
    let key = ground.key("never/written");
    ground.expect_absent(&key).await?;
    let ranged = ground.store(0).get(&key, GetOptions::range(3..9)).await?.value;
    ensure(ranged == Get::Absent, || format!("a ranged read found {ranged:?}"))?;
    let body = ground.unique();
    let revision = ground.write(&ground.key("never/another"), &body).await?;
    let changed = ground.store(0).get(&key, GetOptions::if_changed_from(revision)).await?.value;
    ensure(changed == Get::Absent, || format!("a get-if-changed found {changed:?}"))
}

/// An object of no bytes exists.
///
/// # Errors
/// What was seen instead.
pub async fn an_empty_object_is_an_object(ground: &Ground) -> Checked {
    let (key, empty) = (ground.key("empty/object"), Bytes::new());
    let revision = ground.put(0, &key, &empty, Precondition::IfAbsent).await?.ok_or_else(|| Seen("its creation was refused".into()))?;
    ground.expect(&key, &empty, &revision).await?;
    let again = ground.put(0, &key, &ground.unique(), Precondition::IfAbsent).await?;
    ensure(again.is_none(), || "another object was created over it".into())
}

/// An object larger than what clients send in one piece comes back as it was.
///
/// # Errors
/// What was seen instead.
pub async fn a_large_object_comes_back_whole(ground: &Ground) -> Checked {
    let key = ground.key("large/object");
    let body = (0..ground.options.large_bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect::<Bytes>();
    let revision = ground.write(&key, &body).await?;
    ground.expect(&key, &body, &revision).await?;
    let size = body.len() as u64;
    for range in [0..1, size - 1..size, size / 2..size / 2 + 1_000, size - 5..size + 5] {
        let wanted = body.slice(range.start as usize..(range.end.min(size)) as usize);
        match ground.store(0).get(&key, GetOptions::range(range.clone())).await?.value {
            Get::Found(object) if object.bytes == wanted && object.size == size && object.revision == revision => {}
            found => return Err(Seen(format!("bytes {range:?} came back as {found:?}"))),
        }
    }
    Ok(())
}

/// A range is what it says; one that ends beyond the object is cut, one that holds no byte of it is an error of kind `Invalid`.
///
/// # Errors
/// What was seen instead.
pub async fn a_range_is_cut_at_the_end_and_refused_beyond_it(ground: &Ground) -> Checked {
    let key = ground.key("ranged/object");
    let body = Bytes::from_static(b"0123456789");
    let revision = ground.write(&key, &body).await?;
    for (range, wanted) in [(0..10, "0123456789"), (0..1, "0"), (9..10, "9"), (3..7, "3456"), (7..99, "789"), (0..99, "0123456789")] {
        match ground.store(0).get(&key, GetOptions::range(range.clone())).await?.value {
            Get::Found(object) if object.bytes == wanted && object.size == 10 && object.revision == revision => {}
            found => return Err(Seen(format!("bytes {range:?} of ten came back as {found:?}"))),
        }
    }
    for range in [10..11, 11..20, 4..4] {
        match ground.store(0).get(&key, GetOptions::range(range.clone())).await {
            Err(error) if error.kind() == ErrorKind::Invalid => {}
            found => return Err(Seen(format!("bytes {range:?} of ten gave {found:?} and no error of kind Invalid"))),
        }
    }
    Ok(())
}

/// A get-if-changed answers not-modified for the current revision, and with the object for any other.
///
/// # Errors
/// What was seen instead.
pub async fn a_get_of_what_has_not_changed_has_no_body(ground: &Ground) -> Checked {
    let key = ground.key("changed/object");
    let first = ground.write(&key, &ground.unique()).await?;
    let same = ground.store(0).get(&key, GetOptions::if_changed_from(first.clone())).await?.value;
    ensure(same == Get::NotModified, || format!("an unchanged object gave {same:?}"))?;
    let body = ground.unique();
    let second = ground.write(&key, &body).await?;
    match ground.store(0).get(&key, GetOptions::if_changed_from(first)).await?.value {
        Get::Found(object) if object.bytes == body && object.revision == second => Ok(()),
        found => Err(Seen(format!("a changed object gave {found:?}"))),
    }
}

/// While one writer overwrites an object by bodies of differing sizes, every reader sees one of them whole.
///
/// # Errors
/// What was seen instead.
pub async fn a_reader_never_sees_a_torn_object(ground: &Ground) -> Checked {
    let key = ground.key("torn/object");
    let body = |round: usize| Bytes::from(vec![(round % 251) as u8; 1_000 + 997 * (round % 90)]);
    ground.write(&key, &body(0)).await?;
    let rounds = ground.options.rounds * 6;
    let write = async {
        for round in 1..=rounds {
            ground.write(&key, &body(round)).await?;
        }
        Ok::<_, Seen>(())
    };
    let read = |at: usize| {
        let (key, body) = (&key, &body);
        async move {
            for _ in 0..rounds {
                let object = ground.object(at, key).await?;
                let whole = (0..=rounds).any(|round| object.bytes == body(round));
                ensure(whole && object.size == object.bytes.len() as u64, || {
                    format!("{object:?} is none of the bodies that were written")
                })?;
            }
            Ok::<_, Seen>(())
        }
    };
    let (written, seen) = join(write, join_all((0..4).map(read))).await;
    written?;
    seen.into_iter().collect()
}
