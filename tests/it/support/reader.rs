//! A reader that polls a lake while it is written: it lists the files and opens every new one.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bytes::Bytes;
use profound_export::destination::OWN_DIRECTORY;
use profound_export::model::day::Day;
use profound_export::model::window::Window;

use super::Export;
use super::lake::{contents, whole_table_of};

/// Looks at the lake of an [`Export`] as a query engine does: by listing its directories, or the objects of its bucket.
#[derive(Debug, Default)]
pub struct Reader {
    /// The allowed content of each file, by path: the stream, and the rows of each state of the account.
    allowed: BTreeMap<String, (String, BTreeSet<Vec<String>>)>,
    /// The version of each file that was opened last.
    opened: BTreeMap<String, String>,
    /// Files that were opened; a replaced one counts twice.
    pub files: u64,
    /// Files that were no complete Parquet file, were gone when opened, or are unmanaged.
    pub partial: Vec<String>,
    /// Whole files with other rows than the account ever had.
    pub unexpected: Vec<String>,
}

impl Reader {
    /// From now on files may also contain the current rows of the account.
    pub fn allow(&mut self, export: &Export, streams: &[&str]) {
        for name in streams {
            let stream = export.stream(name);
            let days: Vec<Option<Day>> = match export.wanted(stream) {
                Some(window) => window.days().map(Some).collect(),
                None => vec![None],
            };
            for scope in export.simulator.scopes(stream.scope) {
                for day in &days {
                    let rows = export.simulator.rows(stream, &scope, day.map(Window::from_day));
                    let path = export.path_of(name, &scope, *day);
                    let allowed = self.allowed.entry(path).or_insert_with(|| (stream.name.clone(), BTreeSet::new()));
                    allowed.1.insert(contents(stream, &rows));
                }
            }
        }
    }

    /// Lists the lake once, and opens every file that is new or was replaced.
    pub async fn look(&mut self, export: &Export) {
        let listed = match export.lake.directory() {
            Some(root) => files_below(root),
            None => objects(export).await,
        };
        for (path, version) in listed {
            if self.opened.get(&path) == Some(&version) {
                continue;
            }
            self.files += 1;
            match read(export, &path).await {
                Ok(bytes) => self.judge(export, &path, bytes),
                Err(problem) => self.partial.push(format!("{path}: {problem}")),
            }
            self.opened.insert(path, version);
        }
    }

    fn judge(&mut self, export: &Export, path: &str, bytes: Bytes) {
        let Some((stream, allowed)) = self.allowed.get(path) else {
            self.partial.push(format!("{path}: not expected"));
            return;
        };
        match whole_table_of(bytes) {
            Err(problem) => self.partial.push(format!("{path}: {problem}")),
            Ok(table) if allowed.contains(&contents(export.stream(stream), &table.rows)) => {}
            Ok(table) => self.unexpected.push(format!("{path}: {} rows", table.rows.len())),
        }
    }
}

/// The files below a directory by relative path, each with a text that differs between versions. Names that begin with an
/// underscore are left out, as readers of directories do.
fn files_below(root: &Path) -> BTreeMap<String, String> {
    let (mut found, mut directories) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            match entry.metadata() {
                _ if name.starts_with(OWN_DIRECTORY) => {}
                Ok(about) if about.is_dir() => directories.push(path),
                Ok(about) => {
                    let version = format!("{} {} {}", about.ino(), about.mtime_nsec(), about.len());
                    found.insert(name, version);
                }
                Err(problem) => {
                    found.insert(name, problem.to_string());
                }
            }
        }
    }
    found
}

async fn objects(export: &Export) -> BTreeMap<String, String> {
    let files = export.files().await.into_iter();
    files.map(|(path, object)| (path, format!("{:?} {}", object.e_tag, object.last_modified))).collect()
}

async fn read(export: &Export, path: &str) -> Result<Bytes, String> {
    match export.lake.directory() {
        Some(root) => std::fs::read(root.join(path)).map(Bytes::from).map_err(|problem| problem.to_string()),
        None => match export.lake.read(&path.into()).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err("gone".to_owned()),
            Err(problem) => Err(problem.to_string()),
        },
    }
}
