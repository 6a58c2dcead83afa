//! The files of a local lake, listed by walking its directories.
//!
//! `LocalFileSystem` lists, too. But it hides files that it has not completed, and one name that is not UTF-8, or one link that leads
//! back, ends its listing with an error.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::time::SystemTime;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use tokio::task::spawn_blocking;
use walkdir::WalkDir;

/// Files that are found before the walk yields.
const CHUNK: usize = 1024;

/// A file below the root.
#[derive(Debug, Clone)]
pub struct LocalFile {
    /// From the root. Bytes that an object's path cannot hold are escaped as `%FF`, so such a file is like no data file.
    pub path: Path,
    pub location: PathBuf,
    pub bytes: u64,
    pub modified_at: SystemTime,
}

/// Walks the files below `prefix` for which `is_wanted`.
pub fn files(
    root: &FilePath,
    prefix: &Path,
    is_wanted: impl Fn(&Path) -> bool + Send + 'static,
) -> impl Iterator<Item = io::Result<LocalFile>> + Send + 'static {
    let root = root.to_owned();
    let walk = WalkDir::new(root.join(prefix.as_ref())).min_depth(1).follow_links(true);
    let lake = root.clone();
    let walk = walk.into_iter().filter_entry(move |entry| !leads_back(&lake, entry));
    walk.filter_map(move |entry| local_file(&root, entry, &is_wanted).transpose())
}

/// [`files`] as a stream, whose steps run on a thread of their own.
pub fn stream_files(
    root: &FilePath,
    prefix: &Path,
    is_wanted: impl Fn(&Path) -> bool + Send + 'static,
) -> BoxStream<'static, io::Result<LocalFile>> {
    let chunks = stream::try_unfold(files(root, prefix, is_wanted), |mut files| async move {
        let next = move || (files.by_ref().take(CHUNK).collect::<Vec<_>>(), files);
        let (chunk, files) = spawn_blocking(next).await.map_err(io::Error::other)?;
        Ok::<_, io::Error>((!chunk.is_empty()).then_some((stream::iter(chunk), files)))
    });
    chunks.try_flatten().boxed()
}

/// Whether `entry` is a link to a directory of the lake, or to one above it: its files would be listed twice.
fn leads_back(root: &FilePath, entry: &walkdir::DirEntry) -> bool {
    let is_link = entry.path_is_symlink() && entry.file_type().is_dir();
    let target = if is_link { entry.path().canonicalize().ok() } else { None };
    let leads_back = target.is_some_and(|target| target.starts_with(root) || root.starts_with(&target));
    if leads_back {
        tracing::warn!(path = %escaped(root, entry.path()), "link in the lake leads nowhere or back, ignoring it");
    }
    leads_back
}

fn local_file(
    root: &FilePath,
    entry: Result<walkdir::DirEntry, walkdir::Error>,
    is_wanted: impl Fn(&Path) -> bool,
) -> io::Result<Option<LocalFile>> {
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) if error.path().is_some_and(FilePath::is_symlink) => {
            let path = error.path().map(|path| escaped(root, path)).unwrap_or_default();
            tracing::warn!(%path, "link in the lake leads nowhere or back, ignoring it");
            return Ok(None);
        }
        // Deleted meanwhile.
        Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let path = escaped(root, entry.path());
    if !entry.file_type().is_file() || !is_wanted(&path) {
        return Ok(None);
    }
    match entry.metadata().map_err(io::Error::from) {
        Ok(metadata) => {
            let (bytes, modified_at) = (metadata.len(), metadata.modified()?);
            Ok(Some(LocalFile { path, location: entry.into_path(), bytes, modified_at }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The directories below `prefix`, and itself, that contain no file, innermost first.
pub fn empty_directories(root: &FilePath, prefix: &Path) -> Vec<PathBuf> {
    let mut empty: Vec<PathBuf> = Vec::new();
    // A link may lead to the same directory twice, and what it leads to is not ours to remove.
    let walk = WalkDir::new(root.join(prefix.as_ref())).contents_first(true);
    for directory in walk.into_iter().flatten().filter(|entry| entry.file_type().is_dir()) {
        let mut entries = std::fs::read_dir(directory.path()).into_iter().flatten().flatten();
        if entries.all(|entry| empty.contains(&entry.path())) {
            empty.push(directory.into_path());
        }
    }
    empty
}

/// The path of `location` below `root`.
pub fn escaped(root: &FilePath, location: &FilePath) -> Path {
    let names = location.strip_prefix(root).unwrap_or(location).iter().map(escaped_name);
    // No name has a control character or is a dot any more.
    Path::parse(names.collect::<Vec<_>>().join("/")).unwrap_or_default()
}

/// A name with `%FF` in place of every byte that no path of an object can hold.
pub fn escaped_name(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            let pushed =
                if letter.is_control() { write!(text, "%{:02X}", u32::from(letter)) } else { text.write_char(letter) };
            debug_assert!(pushed.is_ok());
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Whether `LocalFileSystem`, of this version or an older one, has left the file incomplete.
pub fn is_incomplete(path: &Path) -> bool {
    let digits = path.filename().and_then(|name| name.rsplit_once('#')).map(|(_, digits)| digits);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn listed(root: &FilePath, prefix: &str) -> Vec<String> {
        let mut paths: Vec<String> =
            files(root, &Path::from(prefix), |_| true).map(|file| file.unwrap().path.to_string()).collect();
        paths.sort();
        paths
    }

    #[cfg(unix)]
    #[test]
    fn unusual_names_and_looping_links_are_listed_escaped_or_passed_over() {
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        let table = root.path().join("prompts");
        fs::create_dir(&table).unwrap();
        for name in
            [&b"data.parquet"[..], b"Icon\r", b"\xff\xfe.parquet", b"\x1b[31mred", b"data.parquet#1", b"a b~%41"]
        {
            fs::write(table.join(OsStr::from_bytes(name)), "x").unwrap();
        }
        fs::create_dir(table.join(OsStr::from_bytes(b"category=\xe9"))).unwrap();
        fs::write(table.join(OsStr::from_bytes(b"category=\xe9/data.parquet")), "x").unwrap();
        std::os::unix::fs::symlink(&table, table.join("back")).unwrap();
        std::os::unix::fs::symlink("itself", table.join("itself")).unwrap();
        std::os::unix::fs::symlink("nowhere", table.join("broken")).unwrap();
        let expected = [
            "prompts/%1B[31mred",
            "prompts/%FF%FE.parquet",
            "prompts/Icon%0D",
            "prompts/a b~%41",
            "prompts/category=%E9/data.parquet",
            "prompts/data.parquet",
            "prompts/data.parquet#1",
        ];
        assert_eq!(listed(root.path(), "prompts"), expected);
        assert_eq!(listed(root.path(), "prompts/missing"), [""; 0]);
    }

    #[test]
    fn only_directories_without_any_file_are_empty() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["t/a/b", "t/a/c", "t/d/e", "u"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::write(root.path().join("t/d/file"), "").unwrap();
        let empty = empty_directories(root.path(), &Path::from("t"));
        let names: Vec<String> = empty.iter().map(|path| escaped(root.path(), path).to_string()).collect();
        let position = |name: &str| names.iter().position(|known| known == name).unwrap();
        assert!(position("t/a/b") < position("t/a") && position("t/a/c") < position("t/a"), "{names:?}");
        assert!(names.len() == 4 && names.contains(&"t/d/e".to_owned()), "{names:?}");
    }
}
