//! Connections: format_count, timed, and joined to the one future that serves them.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

/// Connections at the same time; further ones wait to be accepted.
const CONNECTIONS: usize = 96;
/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest head of a request.
const HEAD_BYTES: usize = 16 * 1024;
/// How long a connection lasts. A page that is told of changes connects anew by itself.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long the answer that is under way then may take.
const LAST_ANSWER: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the system refused to.
const PAUSE: Duration = Duration::from_millis(200);

/// Accepts and answers for as long as it is polled.
pub(super) async fn serve(listener: &TcpListener, router: Router) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => connections.push(answer(stream, router.clone())),
                // Too many open files, or a connection that was gone at once: neither ends the server.
                Err(error) => {
                    tracing::debug!("a connection to the status page was not accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(()) = connections.next(), if !connections.is_empty() => {}
        }
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = tokio::time::sleep(LIFETIME) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // Whoever asked went away, or sent no HTTP: nobody must act.
        tracing::debug!("a connection to the status page ended: {error}");
    }
}
