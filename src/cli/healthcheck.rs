//! `healthcheck`: whether a running `serve` is alive, for containers without curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cli::failure::Failure;
use crate::cli::setup::configuration;
use crate::cli::{GlobalOptions, exit, print};

/// Enough for a status line.
const MAX_BYTES: u64 = 1024;

#[derive(Debug, clap::Args)]
pub struct HealthcheckArgs {
    /// Address of `serve` [default: from the configuration]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// `/livez` (is it alive) or `/readyz` (is it ready)
    #[arg(long, value_name = "PATH", default_value = "/livez", value_parser = path)]
    path: String,
    /// Timeout in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
}

pub async fn execute(options: &GlobalOptions, args: HealthcheckArgs) -> Result<u8, Failure> {
    let listens = match args.listen {
        Some(listens) => listens,
        None => configuration(options)?.1.server.of_serve().ok_or_else(|| {
            Failure::new(exit::CONFIGURATION, "`server.listen` is `off`, so `serve` has no health endpoint")
                .hint("set an address of this machine, or remove the health check")
        })?,
    };
    check(listens, &args.path, Duration::from_secs(args.timeout)).await
}

/// Requests `path` from the server at `listens`, and waits for the response for at most `timeout`.
async fn check(listens: SocketAddr, path: &str, timeout: Duration) -> Result<u8, Failure> {
    let at = reachable(listens);
    let failed = |problem: String| {
        Failure::new(exit::FAILED, format!("`{path}` of `serve` at {at} is not healthy: {problem}")).hint(
            "look at the log of `serve`; `--listen`, or `server.listen` of the configuration, says where it listens",
        )
    };
    let response = tokio::time::timeout(timeout, get(at, path))
        .await
        .map_err(|_| failed(format!("no response within {} s", timeout.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    let status = response.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => print("fine"),
        _ => Err(failed(format!("`{status}`"))),
    }
}

/// The beginning of the response to one GET.
async fn get(at: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut response = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut response).await?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// Where what listens on all addresses is reached from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Rejects line breaks, which could add request headers.
fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.chars().all(|sign| sign.is_ascii_graphic());
    if is_path { Ok(text.to_owned()) } else { Err(format!("`{text}` is not a path such as `/livez`")) }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    /// The result of a check of a server that sends `response`, and the request that it received.
    async fn checked(response: &'static str) -> (Result<u8, Failure>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listens = listener.local_addr().unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(response.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        };
        tokio::join!(check(listens, "/readyz", TIMEOUT), serving)
    }

    #[tokio::test]
    async fn server_that_responds_with_200_is_healthy() {
        let (result, request) = checked("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(result.unwrap(), exit::COMPLETE);
        assert!(request.starts_with("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
    }

    #[tokio::test]
    async fn any_other_response_is_unhealthy() {
        for response in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "SSH-2.0-OpenSSH\r\n", ""] {
            let (result, _) = checked(response).await;
            let failure = result.unwrap_err();
            assert_eq!(failure.code, exit::FAILED);
            assert!(failure.message.contains(response.trim()), "{failure}");
        }
    }

    #[tokio::test]
    async fn unreachable_server_is_unhealthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        drop(listener);
        let failure = check(listen, "/livez", TIMEOUT).await.unwrap_err();
        assert!(failure.message.contains("refused"), "{failure}");
    }

    #[test]
    fn server_on_all_addresses_is_reached_on_this_machine() {
        for (listens, reached) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "[::1]:9464"), ("127.0.0.1:1", "127.0.0.1:1")]
        {
            assert_eq!(reachable(listens.parse().unwrap()), reached.parse().unwrap());
        }
    }

    #[test]
    fn path_with_a_line_break_is_rejected() {
        assert!(path("/livez").is_ok() && path("livez").is_err() && path("/livez\r\nX: y").is_err());
    }
}
