//! Several futures at the same time, each of which runs to completion.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;

/// Runs `futures`, `limit` at the same time, and returns their values in order. After an error no more are started, and
/// those in progress run to completion: a dropped multipart upload would leave its parts in the bucket.
///
/// # Errors
/// The first error, in the order of `futures`.
pub async fn run_to_completion<T, E>(
    futures: impl IntoIterator<Item = impl Future<Output = Result<T, E>>>,
    limit: usize,
) -> Result<Vec<T>, E> {
    let failed = AtomicBool::new(false);
    let results: Vec<Option<Result<T, E>>> = futures::stream::iter(futures)
        .map(async |future| {
            if failed.load(Ordering::Relaxed) {
                return None;
            }
            let result = future.await;
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            Some(result)
        })
        .buffered(limit)
        .collect()
        .await;
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn futures_in_progress_complete_if_one_fails() {
        let (completed, failed) = (Mutex::new(Vec::new()), Notify::new());
        let future = async |number: u32| {
            if number == 1 {
                failed.notify_one();
                return Err(number);
            }
            failed.notified().await;
            completed.lock().push(number);
            Ok(number)
        };
        assert_eq!(run_to_completion((0..9).map(future), 2).await, Err(1));
        assert_eq!(*completed.lock(), [0]);
    }

    #[tokio::test]
    async fn values_keep_their_order() {
        let future = async |number: u32| Ok::<_, ()>(number * 2);
        assert_eq!(run_to_completion((0..5).map(future), 3).await, Ok(vec![0, 2, 4, 6, 8]));
    }
}
