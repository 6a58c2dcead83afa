//! `init`: a commented jobs.toml.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::cli::failure::Failure;
use crate::cli::{exit, print};
use crate::config::template;

#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Where to write it
    #[arg(default_value = "jobs.toml")]
    file: PathBuf,
}

pub fn execute(args: &InitArgs) -> Result<u8, Failure> {
    let file = &args.file;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::new(exit::FAILED, format!("`{}` exists already and was not changed", file.display()))
                .hint("write to another file: `profound-export init other.toml`")
        }
        _ => Failure::new(exit::FAILED, format!("cannot write `{}`: {error}", file.display())),
    };
    let mut created = OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    // The first line names the schema relative to the repository, which is wrong for this file.
    let text: String =
        template().lines().filter(|line| !line.starts_with("#:schema")).map(|line| format!("{line}\n")).collect();
    created.write_all(text.trim_start().as_bytes()).map_err(failed)?;
    print(&format!(
        "Wrote {}. Next:\n  1. put the API key alone into a file, and set `key_file` under [api] to its path\n  2. set where the Parquet goes: `url` under [destination]\n  3. profound-export check\n  4. profound-export run",
        file.display()
    ))
}
