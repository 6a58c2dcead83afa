//! The built program, as a person or a service manager meets it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use profound_export::catalog::Catalog;
use profound_export::simulator::{Account, Simulator};

use crate::support::{KEY, account};

const JOB: &str = "[[job]]\nname = \"nightly\"\nstreams = [\"visibility_v2_by_day\", \"answers_v2\"]\n";

#[tokio::test]
async fn wait_for_the_hour_is_said_and_a_signal_ends_it_at_once() {
    let account = Account { requests_per_period: 8, now: None, ..account() };
    let catalog = Arc::new(Catalog::embedded().unwrap());
    for signal in ["INT", "TERM"] {
        let simulator = Simulator::start(Arc::clone(&catalog), account.clone()).await.unwrap();
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_profound-export"))
            .args(["--set", &format!("api.base_url={}", simulator.url()), "--set", "api.reserve_requests=0", "run"])
            .current_dir(place.path())
            .env("PROFOUND_API_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(program.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("waiting for the hour to turn") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it waited");
        }
        let signalled = Instant::now();
        let killed = Command::new("kill").args([format!("-{signal}"), program.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let (mut rest, mut said) = (String::new(), String::new());
        log.read_to_string(&mut rest).unwrap();
        program.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let code = program.wait().unwrap().code();
        let took = signalled.elapsed();
        assert_eq!(code, Some(75), "{rest}{said}");
        assert!(took < Duration::from_secs(1), "{signal}: it took {took:?}");
        assert!(rest.contains("stopping"), "{rest}");
        assert!(said.contains("incomplete"), "{said}");
        assert!(simulator.requests().len() <= 8);
    }
}
