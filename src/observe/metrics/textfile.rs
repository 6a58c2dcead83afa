//! Metrics as a file that node_exporter's textfile collector reads, for runs that end before Prometheus could scrape them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
#[error("cannot write metrics to `{}`", path.display())]
pub struct TextfileError {
    path: PathBuf,
    source: std::io::Error,
}

/// Replaces the file at `path` atomically. The directory must exist.
///
/// # Errors
/// What the system reports.
pub fn write_textfile(path: &Path, text: &str) -> Result<(), TextfileError> {
    // In the same directory, so that a rename is atomic; the collector ignores the name, which does not end in `.prom`.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let staging = path.with_file_name(name);
    let written = write(&staging, text).and_then(|()| std::fs::rename(&staging, path));
    written.map_err(|source| {
        // A failed removal adds nothing to the first error.
        std::fs::remove_file(&staging).ok();
        TextfileError { path: path.to_owned(), source }
    })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    // A killed process with the same id may have left one.
    std::fs::remove_file(path).ok();
    let mut file = std::fs::File::create_new(path)?;
    #[cfg(unix)]
    {
        // The collector runs as another user, so the umask must not decide.
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_replaced_atomically_and_readable_by_all_users() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("profound_export.prom");
        for text in ["a 1\n", "a 2\n"] {
            write_textfile(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "no staging file is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        }
    }

    #[test]
    fn failed_write_leaves_no_file_and_names_the_path() {
        let place = tempfile::tempdir().unwrap();
        let error = write_textfile(&place.path().join("missing/profound_export.prom"), "a 1\n").unwrap_err();
        assert!(error.to_string().contains("missing/profound_export.prom"), "{error}");
        std::fs::create_dir(place.path().join("taken.prom")).unwrap();
        assert!(write_textfile(&place.path().join("taken.prom"), "a 1\n").is_err());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
