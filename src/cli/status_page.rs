//! The status page of a process that runs jobs.

use std::net::SocketAddr;

use crate::cli::process_monitor::ProcessMonitor;
use crate::clock::Clock;
use crate::server::StatusServer;

/// Refreshes the status and serves the page until dropped.
pub async fn look_and_show(monitor: &ProcessMonitor, clock: &Clock, address: Option<SocketAddr>) {
    tokio::join!(monitor.refresh_periodically(), show(monitor, clock, address));
}

/// Serves the page until dropped, if an address is configured. A page that cannot be served is a warning: exports continue.
pub async fn show(monitor: &ProcessMonitor, clock: &Clock, address: Option<SocketAddr>) {
    if let Some(address) = address {
        serve(monitor, clock, address).await;
    }
    std::future::pending().await
}

async fn serve(monitor: &ProcessMonitor, clock: &Clock, address: SocketAddr) {
    let metrics = monitor.metrics.clone();
    let server = StatusServer::new(monitor.cache.clone(), monitor.live.clone(), clock.clone())
        .with_metrics(move || metrics.openmetrics());
    match server.bind(address).await {
        Ok(listening) => {
            tracing::info!("status page is at http://{}/", listening.address());
            listening.serve().await;
        }
        Err(error) => tracing::warn!(%address, %error, "status page is off, jobs run without it"),
    }
}
