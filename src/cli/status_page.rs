//! The status page of a process that runs jobs.

use std::net::SocketAddr;

use crate::cli::process_monitor::ProcessMonitor;
use crate::clock::Clock;
use crate::server::StatusServer;

/// Serves the page until dropped, if an address is configured. A page that cannot be served is a warning: exports continue.
pub async fn show(monitor: &ProcessMonitor, clock: &Clock, address: Option<SocketAddr>) {
    if let Some(address) = address {
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
    std::future::pending().await
}
