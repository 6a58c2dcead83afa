//! No secret is in any output or file of the built program, whatever the command and whatever fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use profound_export::catalog::Catalog;
use profound_export::simulator::{Account, Fault, FaultKind, KeyLocation, Simulator};

use crate::support::account;
use crate::support::lake::whole_table_of;

/// With characters that are escaped in an address or in JSON.
const KEY: &str = "prf+THIS/is=the%KEY&of?the#account";
const SALT: &str = "THIS-is-the-salt-of-the-lake-0123456789";
const STORE_SECRET: &str = "THIS-is-the-secret-of-the-bucket";

/// The key as it is, in an address and in Base64, and a large part of it.
const OF_THE_KEY: [&str; 5] = [
    KEY,
    "prf%2BTHIS%2Fis%3Dthe%25KEY%26of%3Fthe%23account",
    "prf%2bTHIS%2fis%3dthe%25KEY%26of%3fthe%23account",
    "cHJmK1RISVMvaXM9dGhlJUtFWSZvZj90aGUjYWNjb3VudA",
    "is=the%KEY&of",
];

/// Every command that reads or writes and ends by itself.
const VERBS: [&[&str]; 14] = [
    &["check", "--sample"],
    &["plan"],
    &["plan", "--output", "json"],
    &["run", "--log", "trace"],
    &["run", "--log", "debug", "--log-format", "json", "--output", "json"],
    &["backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-02", "--log", "trace"],
    &["status"],
    &["status", "--output", "json"],
    &["verify", "--log", "trace"],
    &["verify", "--output", "json"],
    &["forget", "visibility_v1", "--yes"],
    &["config"],
    &["config", "--output", "json"],
    &["streams", "visibility_v1"],
];

/// A directory with the configuration of a job, and the secrets in another.
struct Workplace {
    searched: tempfile::TempDir,
    hidden: tempfile::TempDir,
}

impl Workplace {
    fn new(settings: &str) -> Self {
        let (searched, hidden) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(hidden.path().join("key"), format!("{KEY}\n")).unwrap();
        std::fs::write(hidden.path().join("salt"), SALT).unwrap();
        let salt = hidden.path().join("salt");
        let settings = format!(
            "{settings}\n[spool]\ndir = \"spool\"\n[privacy]\nsalt_file = {salt:?}\n[[job]]\nname = \"nightly\"\n\
             streams = [\"visibility_v1\", \"answers_v2\", \"category_tags\", \"models\", \"bots_v2\"]\n\
             hash = [\"category_tags.name\"]\n"
        );
        std::fs::write(searched.path().join("jobs.toml"), settings).unwrap();
        Self { searched, hidden }
    }

    /// The output of a command.
    fn output_of(&self, verb: &[&str]) -> String {
        let ended = Command::new(env!("CARGO_BIN_EXE_profound-export"))
            .args(verb)
            .current_dir(self.searched.path())
            .env_clear()
            .env("PROFOUND_API_KEY_FILE", self.hidden.path().join("key"))
            .env("RUST_BACKTRACE", "full")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_ne!(ended.status.code(), Some(2), "{verb:?} is no verb: {}", String::from_utf8_lossy(&ended.stderr));
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr))
    }

    /// Every file below the directory with its text, that of compressed columns included.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let (mut found, mut directories) = (Vec::new(), vec![self.searched.path().to_owned()]);
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap().flatten() {
                let path = entry.path();
                match path.is_dir() {
                    true => directories.push(path),
                    false if path.ends_with("jobs.toml") => {}
                    false => found.push((path.clone(), text_of(&path))),
                }
            }
        }
        found
    }
}

fn text_of(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let raw = String::from_utf8_lossy(&bytes).into_owned();
    // Checkpoints contain the same text as the records.
    if path.extension().is_some_and(|ending| ending == "parquet") && !path.display().to_string().contains("checkpoints")
    {
        format!("{raw}{:?}", whole_table_of(bytes.into()).unwrap())
    } else {
        raw
    }
}

fn assert_without(secrets: &[&str], place: &str, text: &str) {
    for secret in secrets {
        if let Some(at) = text.find(secret) {
            let from = text.floor_char_boundary(at.saturating_sub(100));
            panic!("{place} contains a secret: …{}", &text[from..at + secret.len()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_output_or_file() {
    let secrets = [&OF_THE_KEY[..], &[SALT]].concat();
    for auth in ["header", "query"] {
        let account = Account { now: None, key: KEY.into(), categories: 1, domains: 1, ..account() };
        let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
        let place = Workplace::new(&format!("[api]\nauth = \"{auth}\"\nbase_url = \"{}\"", simulator.url()));
        for at in
            [KeyLocation::Headers, KeyLocation::Rows, KeyLocation::Page, KeyLocation::Error, KeyLocation::Redirect]
        {
            simulator.clear_faults();
            simulator.inject(Fault::from(FaultKind::RepeatKey { at }).of_stream("answers"));
            simulator.inject(Fault::from(FaultKind::RepeatKey { at }).of_stream("bots"));
            let output = place.output_of(&["run", "--log", "trace"]);
            assert!(output.contains("visibility_v1"), "{output}");
            assert_without(&secrets, &format!("{auth} {at:?}"), &output);
        }
        simulator.inject(Fault::from(FaultKind::RevokeKey).of_stream("models").after(3));
        for verb in VERBS {
            assert_without(&secrets, &format!("{auth} {verb:?}"), &place.output_of(verb));
        }
        let files = place.files();
        assert!(files.iter().any(|(path, _)| path.ends_with("000000001.json")), "{files:?}");
        assert!(files.iter().any(|(path, _)| path.ends_with("coverage.parquet")), "{files:?}");
        for (path, text) in files {
            assert_without(&secrets, &path.display().to_string(), &text);
        }
        assert!(simulator.requests().iter().any(|request| request.status == 200));
    }
}

#[test]
fn secret_of_the_store_is_in_no_output() {
    // No server listens there, and no command waits long for one.
    let options = format!(
        "{{ aws_access_key_id = \"AKIA\", aws_secret_access_key = \"{STORE_SECRET}\", aws_session_token = \"{STORE_SECRET}\", \
         endpoint = \"http://127.0.0.1:1\", region = \"eu-central-1\" }}"
    );
    let place = Workplace::new(&format!(
        "[api]\nbase_url = \"http://127.0.0.1:1\"\n[destination]\nurl = \"s3://bucket/lake\"\noptions = {options}"
    ));
    for verb in [&["config"][..], &["config", "--output", "json"], &["streams", "--log", "trace"]] {
        let output = place.output_of(verb);
        assert!(!output.is_empty());
        assert_without(&[STORE_SECRET, SALT, KEY], &format!("{verb:?}"), &output);
    }
    // A wrong setting is reported without its value.
    let output =
        place.output_of(&["config", "--set", &format!("destination.options.aws_secret_acces_key={STORE_SECRET}")]);
    assert_without(&[STORE_SECRET], "a mistyped option", &output);
}
