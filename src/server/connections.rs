//! Connections, limited in number and time, all polled by one future.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use futures::future::{AbortHandle, FutureExt as _, abortable};
use futures::stream::{FuturesUnordered, StreamExt as _};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

/// A further connection replaces the oldest: health is answered however many others are open. An open page reconnects by itself.
const MAX_CONNECTIONS: usize = 96;
/// Limit for receiving a request head, and for an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Lifetime of a connection.
const LIFETIME: Duration = Duration::from_secs(600);
/// Time for the response in progress when the lifetime ends.
const LAST_RESPONSE: Duration = Duration::from_secs(10);
/// Pause after the operating system failed to accept, such as with too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts and answers until dropped.
pub(super) async fn serve(listener: &TcpListener, router: Router) {
    let mut connections = FuturesUnordered::new();
    let (mut open, mut last) = (BTreeMap::<u64, AbortHandle>::new(), 0);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if open.len() >= MAX_CONNECTIONS && let Some((_, oldest)) = open.pop_first() {
                        oldest.abort();
                    }
                    last += 1;
                    let (number, (connection, handle)) = (last, abortable(answer(stream, router.clone())));
                    open.insert(number, handle);
                    connections.push(connection.map(move |_| number));
                }
                // Too many open files, or a client that already disconnected: the server continues.
                Err(error) => {
                    tracing::debug!(%error, "status page connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(number) = connections.next(), if !connections.is_empty() => {
                open.remove(&number);
            }
        }
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = tokio::time::sleep(LIFETIME) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_RESPONSE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // The client disconnected or did not send HTTP; no one needs to act.
        tracing::debug!(%error, "status page connection failed");
    }
}
