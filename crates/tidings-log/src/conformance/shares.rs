//! That what nodes hold is counted over all of them.
//! Knows nothing of where.

use tidings_core::limits::SHARES_PER_CALL_MAX;

use crate::{Share, Shares};

/// What two nodes of one hub promise each other. They have said nothing so far.
///
/// # Panics
/// At the first promise that is not kept.
pub async fn shares(one: &dyn Shares, other: &dyn Shares) {
    assert!(!live(one, 0).await, "nobody knew it");
    assert!(live(one, 0).await);
    assert!(!live(other, 0).await);

    assert!(hold(one, "a", 2, 1, Some(3)).await);
    assert!(hold(other, "a", 1, 1, Some(3)).await);
    assert!(!hold(other, "a", 2, 2, Some(3)).await, "together they would hold four");
    assert!(!hold(one, "a", 3, 2, Some(3)).await);
    assert!(hold(other, "b", 3, 3, Some(3)).await, "each name has its own count");

    // What is refused changes nothing, and what goes is free at once.
    assert!(hold(one, "a", 1, 3, None).await);
    assert!(hold(other, "a", 2, 4, Some(3)).await);
    assert!(hold(one, "a", 0, 4, None).await);
    assert!(hold(other, "a", 3, 5, Some(3)).await);

    // Said twice, or come too late: the newest counts.
    assert!(hold(one, "c", 1, 6, Some(1)).await);
    assert!(hold(one, "c", 0, 7, None).await);
    assert!(hold(one, "c", 1, 6, Some(1)).await);
    assert!(hold(one, "c", 0, 7, None).await);
    assert!(hold(other, "c", 1, 6, Some(1)).await);

    // What was asked of nobody counts too, beyond what all may hold.
    assert!(hold(one, "d", 9, 8, None).await);
    assert!(!hold(other, "d", 1, 7, Some(3)).await);

    // Begun anew, what was said before counts no more.
    assert!(live(one, 9).await);
    assert!(hold(other, "d", 3, 8, Some(3)).await);
    assert!(!hold(one, "d", 1, 9, Some(3)).await);

    many_at_once(one, other).await;
}

async fn many_at_once(one: &dyn Shares, other: &dyn Shares) {
    let names: Vec<_> = (0..SHARES_PER_CALL_MAX).map(|number| format!("many {number}\n")).collect();
    let all = |from: u64, max| {
        let shares = names.iter().zip(from..);
        shares.map(|(name, order)| Share { name, held: 1, order, max }).collect::<Vec<_>>()
    };
    let counts = one.hold(&all(1_000, Some(1))).await.expect("they are counted");
    assert_eq!(counts, vec![true; names.len()]);
    let odd: Vec<_> = all(2_000, None)
        .into_iter()
        .enumerate()
        .map(|(at, share)| Share { held: at as u64 % 2, ..share })
        .collect();
    one.hold(&odd).await.expect("they are counted");
    let counts = other.hold(&all(1_000, Some(1))).await.expect("they are counted");
    let expected: Vec<_> = (0..names.len()).map(|at| at % 2 == 0).collect();
    assert_eq!(counts, expected, "in the order in which they were asked");
}

async fn hold(node: &dyn Shares, name: &str, held: u64, order: u64, max: Option<u64>) -> bool {
    let counts = node.hold(&[Share { name, held, order, max }]).await.expect("it is counted");
    assert_eq!(counts.len(), 1);
    counts[0]
}

async fn live(node: &dyn Shares, since: u64) -> bool {
    node.live(since).await.expect("it is heard")
}
