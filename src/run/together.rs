//! Several things at once, none of which is left in the middle.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;

/// What all of `doing` come to, in their order, `most` at once. After an error no more are begun, and those under way come
/// to their end: an upload that is dropped in the middle leaves its parts in the bucket.
///
/// # Errors
/// The first error in their order.
pub async fn together<T, E>(
    doing: impl IntoIterator<Item = impl Future<Output = Result<T, E>>>,
    most: usize,
) -> Result<Vec<T>, E> {
    let failed = AtomicBool::new(false);
    let done: Vec<Option<Result<T, E>>> = futures::stream::iter(doing)
        .map(async |one| {
            if failed.load(Ordering::Relaxed) {
                return None;
            }
            let done = one.await;
            failed.fetch_or(done.is_err(), Ordering::Relaxed);
            Some(done)
        })
        .buffered(most)
        .collect()
        .await;
    done.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_is_under_way_comes_to_its_end_when_another_fails_and_nothing_more_begins() {
        let (ended, failed) = (Mutex::new(Vec::new()), Notify::new());
        let one = async |number: u32| {
            match number {
                1 => {
                    failed.notify_one();
                    return Err(number);
                }
                _ => failed.notified().await,
            }
            ended.lock().unwrap().push(number);
            Ok(number)
        };
        assert_eq!(together((0..9).map(one), 2).await, Err(1));
        assert_eq!(*ended.lock().unwrap(), [0]);
    }

    #[tokio::test]
    async fn results_come_in_their_order() {
        let one = async |number: u32| Ok::<_, ()>(number * 2);
        assert_eq!(together((0..5).map(one), 3).await, Ok(vec![0, 2, 4, 6, 8]));
    }
}
