//! `init`: a jobs.toml that works. On a terminal it asks for key, destination and categories, and tries each answer; `--full` writes
//! every setting with its default instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, ErrorKind, IsTerminal, Write as _};
use std::path::{Path, PathBuf, absolute};

use console::Term;
use fs_err::OpenOptions;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::setup::{client, has_no_lake, lake_name};
use crate::cli::{GlobalOptions, OutputFormat, check, exit, logging, print, print_error_line};
use crate::clock::Clock;
use crate::config::{Config, Flag, Location, MASK, Place, Sources, key, load, template, to_toml};
use crate::destination::Destination;
use crate::error_text::escape_controls;
use crate::model::event::EventSink;
use crate::model::scope::Named;
use crate::run::{Discovered, discover};

#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Where to write it
    #[arg(default_value = "jobs.toml")]
    file: PathBuf,
    /// Ask nothing and write every setting, commented out, with its default
    #[arg(long)]
    full: bool,
}

/// The file of the key that is offered.
const KEY_FILE: &str = "profound-api-key";
/// The schedule of the job that is written; the template has the same.
const CRON: &str = "30 6 * * *";

pub async fn execute(options: &GlobalOptions, args: &InitArgs) -> Result<u8, Failure> {
    let file = &args.file;
    // Before the questions.
    creatable(file)?;
    if args.full {
        // The first line names the schema relative to the repository, which is wrong for this file.
        let lines = template().lines().filter(|line| !line.starts_with("#:schema"));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        create(file, text.trim_start())?;
        return print(&format!(
            "Wrote {}. Next:\n  1. put the API key alone into a file, and set `key_file` under [api] to its path\n  2. set where the Parquet goes: `url` under [destination]\n  3. profound-export check\n  4. profound-export run",
            file.display()
        ));
    }
    let (events, _progress) = logging::start(options, "init");
    create(file, &Questions::new(options, events).ask().await?)?;
    let config = if file == Path::new("jobs.toml") { String::new() } else { format!(" --config {}", file.display()) };
    print(&format!(
        "Wrote {}. Next:\n  profound-export{config} plan     what the first run requests, and how long it takes\n  profound-export{config} run      exports; stop it whenever you like\n  profound-export{config} serve    exports every day at 06:30 New York time, with a status page\nEvery other setting: profound-export init --full all-settings.toml",
        file.display()
    ))
}

/// The answers so far, and how to get the others.
struct Questions {
    options: GlobalOptions,
    events: EventSink,
    /// What the environment and `--set` give, and the answers as flags. No file: another configuration here must not count.
    sources: Sources,
    /// Whether someone is there to answer.
    asks: bool,
}

impl Questions {
    fn new(options: &GlobalOptions, events: EventSink) -> Self {
        let process = Sources { file: None, ..Sources::from_process(None) };
        let mut sources = options.set.iter().cloned().fold(process, Sources::with_flag);
        // They name a job of the file that does not exist yet.
        sources.environment.retain(|name, _| !name.starts_with("PROFOUND_EXPORT_JOB__"));
        let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self { options: options.clone(), events, sources, asks: is_terminal && options.output == OutputFormat::Table }
    }

    /// The text of the file.
    async fn ask(mut self) -> Result<String, Failure> {
        let found = self.account().await?;
        self.destination().await?;
        let categories = self.categories(&found)?;
        file_text(&load(&self.sources)?, &categories)
    }

    /// What the key can read. Asks for the file of the key until one works.
    async fn account(&mut self) -> Result<Discovered, Failure> {
        // A variable has precedence over every answer.
        let is_fixed = key::is_in_environment(&self.sources);
        let is_given = is_fixed || load(&self.sources)?.api.key_file.is_some();
        if !is_given && !self.asks {
            let hint = "name the file of the API key with `--set api.key_file=FILE`, or write every setting with `profound-export init --full`";
            return Err(Failure::new(exit::USAGE, "there is no terminal to ask on").hint(hint));
        }
        let mut is_asking = !is_given;
        loop {
            let mut pasted = None;
            if is_asking {
                let path = ask("File of the API key", KEY_FILE)?;
                self.answer("api.key_file", &path);
                if self.is_creatable(&path) {
                    prompt(
                        "There is no such file. Paste the key to write it there (not shown), or press Enter for another file: ",
                    )?;
                    let key = SecretString::from(Term::stderr().read_secure_line()?);
                    if key.expose_secret().trim().is_empty() {
                        continue;
                    }
                    pasted = Some((PathBuf::from(path), key));
                }
            }
            let tried = match &pasted {
                Some((path, key)) => self.try_pasted_key(path, key).await,
                None => self.try_key().await,
            };
            match tried {
                Ok(found) => return Ok(found),
                Err(failure) if is_fixed || !self.asks => return Err(failure),
                Err(failure) => failure.print(self.options.log_format),
            }
            is_asking = true;
        }
    }

    /// Whether a key could be written to `path`. A path that no configuration may have is reported when it is tried.
    fn is_creatable(&self, path: &str) -> bool {
        let path = Path::new(path);
        let is_in_directory = absolute(path).ok().and_then(|path| path.parent().map(Path::is_dir)).unwrap_or_default();
        load(&self.sources).is_ok() && path.symlink_metadata().is_err() && is_in_directory
    }

    /// Writes the key to its file, which stays only if the key works: the next answer may be another key.
    async fn try_pasted_key(&self, path: &Path, key: &SecretString) -> Result<Discovered, Failure> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let tried = match writeln!(file, "{}", key.expose_secret().trim()) {
            Ok(()) => self.try_key().await,
            Err(error) => Err(error.into()),
        };
        if tried.is_err() {
            fs_err::remove_file(path)?;
        }
        tried
    }

    async fn try_key(&self) -> Result<Discovered, Failure> {
        let config = load(&self.sources)?;
        let client = client(&self.sources, &config, &Clock::system(), self.events.clone())?;
        print_error_line(format!("  trying the key at {}", config.api.base_url));
        let found = client.report_waits(discover(config.catalog(), &client)).await?;
        print_error_line(format!("  the key works: {}", check::holdings(&found)));
        for (object, problem) in &found.incomplete {
            print_error_line(format!("  warning: the list of {}: {problem}", object.plural()));
        }
        Ok(found)
    }

    /// Asks for a destination until one works.
    async fn destination(&mut self) -> Result<(), Failure> {
        let default = load(&self.sources)?.destination.url;
        let mut is_asking = self.asks && !self.is_set("destination.url")?;
        loop {
            if is_asking {
                let url = ask("Where to write the Parquet: a directory, or s3://bucket/prefix", &default)?;
                self.answer("destination.url", &url);
            }
            match self.try_destination().await {
                Ok(()) => return Ok(()),
                Err(failure) if self.asks => failure.print(self.options.log_format),
                Err(failure) => return Err(failure),
            }
            is_asking = true;
        }
    }

    async fn try_destination(&self) -> Result<(), Failure> {
        let config = load(&self.sources)?;
        // Before the probe, which makes the directory of a lake.
        has_no_lake(&config)?;
        let lake = Destination::open(&config.destination)?;
        print_error_line(format!("  trying to write to {}", lake_name(&config)));
        if !config.destination.single_writer {
            lake.probe().await?;
        }
        print_error_line(format!("  {} is writable", lake_name(&config)));
        Ok(())
    }

    /// The categories to export; none for all.
    fn categories<'a>(&self, found: &'a Discovered) -> Result<Vec<&'a Named>, Failure> {
        let all: Vec<&Named> = found.categories.iter().map(|(category, _)| category).collect();
        if !self.asks || all.len() < 2 {
            return Ok(Vec::new());
        }
        for (number, category) in (1..).zip(&all) {
            let is_shared = all.iter().filter(|other| other.name == category.name).count() > 1;
            let id = if is_shared { format!("  ({})", category.id) } else { String::new() };
            print_error_line(format!("  {number:>3}  {}{id}", one_line(&category.name)));
        }
        loop {
            let answer = ask("Categories: `all`, also those created later, or numbers such as `1, 3`", "all")?;
            if answer == "all" {
                return Ok(Vec::new());
            }
            let numbers = answer.split([',', ' ']).filter(|number| !number.is_empty());
            let index = |number: &str| number.parse().ok().filter(|number| (1..=all.len()).contains(number));
            match numbers.map(index).collect::<Option<BTreeSet<usize>>>() {
                Some(chosen) if !chosen.is_empty() => {
                    return Ok(chosen.into_iter().map(|number| all[number - 1]).collect());
                }
                _ => print_error_line(format!("`{answer}` is not `all`, and not numbers from 1 to {}", all.len())),
            }
        }
    }

    fn answer(&mut self, key: &str, value: &str) {
        self.sources.flags.retain(|flag| flag.key != key);
        // In quotes: an answer such as `true` is text.
        self.sources.flags.push(Flag::new("your answer", key, to_toml(&json!(value))));
    }

    /// Whether the environment or `--set` sets `key`.
    fn is_set(&self, key: &str) -> Result<bool, Failure> {
        let settings = load(&self.sources)?.effective();
        Ok(settings.iter().any(|setting| setting.key == key && setting.from != Place::Default))
    }
}

/// The smallest file that works: what was answered or given by `--set`, and one job.
fn file_text(config: &Config, categories: &[&Named]) -> Result<String, Failure> {
    let mut sections: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for setting in config.effective().into_iter().filter(|setting| matches!(setting.from, Place::Flag(_))) {
        if setting.value == json!(MASK) {
            let problem = format!("`{}` is a secret, which `init` does not write to a file", setting.key);
            return Err(Failure::new(exit::USAGE, problem).hint("give it in the environment, as runs will need it too"));
        }
        if let Some((section, name)) = setting.key.split_once('.') {
            sections.entry(section.to_owned()).or_default().insert(name.to_owned(), setting.value);
        }
    }
    // Absolute: systemd and cron start elsewhere.
    if let Some(path) = &config.api.key_file {
        let path = absolute(path)?.display().to_string();
        sections.entry("api".into()).or_default().entry("key_file".into()).and_modify(|file| *file = json!(path));
    }
    if !config.effective().iter().any(|set| set.key == "destination.url" && matches!(set.from, Place::Variable(_))) {
        let url = match config.destination.location() {
            Ok(Location::Local(_)) => lake_name(config),
            _ => config.destination.url.clone(),
        };
        sections.entry("destination".into()).or_default().insert("url".into(), json!(url));
    }
    let mut text =
        String::from("# Every other setting with its default: profound-export init --full all-settings.toml\n");
    for (section, settings) in sections {
        let lines: String = settings.iter().map(|(name, value)| format!("{name} = {}\n", to_toml(value))).collect();
        write!(text, "\n[{section}]\n{lines}").ok();
    }
    write!(
        text,
        "\n[[job]]\nname = \"nightly\"\ncron = \"{CRON}\"    # minute, hour, day, month, weekday in New York\n"
    )
    .ok();
    if !categories.is_empty() {
        // IDs: names change.
        let lines = categories.iter().map(|one| format!("  {},  # {}\n", to_toml(&json!(one.id)), one_line(&one.name)));
        write!(text, "categories = [\n{}]\n", lines.collect::<String>()).ok();
    }
    Ok(text)
}

/// A name that fits into a line of a comment or a list.
fn one_line(name: &str) -> String {
    name.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Whether the file can be created, so that no answer is given for nothing.
fn creatable(file: &Path) -> Result<(), Failure> {
    if file.symlink_metadata().is_ok() {
        return Err(exists_already(file));
    }
    create(file, "")?;
    std::fs::remove_file(file).map_err(|error| cannot_write(file, &error))
}

/// Creates the file, never over another.
fn create(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => exists_already(file),
        _ => cannot_write(file, &error),
    };
    let mut created = std::fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    created.write_all(text.as_bytes()).map_err(|error| {
        // A full disk: what is there is no configuration.
        std::fs::remove_file(file).ok();
        failed(error)
    })
}

fn cannot_write(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(exit::FAILED, format!("cannot write `{}`: {error}", file.display()))
        .hint("name a file in a directory that exists and that you may write to: `profound-export init other.toml`")
}

fn exists_already(file: &Path) -> Failure {
    Failure::new(exit::FAILED, format!("`{}` exists already and was not changed", file.display()))
        .hint("write to another file: `profound-export init other.toml`")
}

/// Asks on the terminal; Enter alone gives `default`.
fn ask(question: &str, default: &str) -> Result<String, Failure> {
    prompt(&format!("{question} [{default}]: "))?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        print_error_line("");
        return Err(Failure::new(
            exit::USAGE,
            "the questions ended without an answer, and no configuration is written",
        ));
    }
    let answer = line.trim();
    Ok(if answer.is_empty() { default } else { answer }.to_owned())
}

/// Writes to the terminal without ending the line.
fn prompt(text: &str) -> Result<(), Failure> {
    let mut terminal = std::io::stderr();
    write!(terminal, "{}", escape_controls(text)).and_then(|()| terminal.flush()).map_err(Failure::from)
}
