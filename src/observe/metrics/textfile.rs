//! Metrics as a file that node_exporter's textfile collector reads, for runs that end before anybody could ask.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Why the file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be written to `{}`", path.display())]
pub struct TextfileError {
    path: PathBuf,
    source: std::io::Error,
}

/// Writes `text` to `path`: readers, which may be any user, see the old file or the new one. The directory must be there.
///
/// # Errors
/// What the system says.
pub fn write_textfile(path: &Path, text: &str) -> Result<(), TextfileError> {
    // Beside it, so that a rename suffices; the name does not end as those that the collector reads.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written = write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|source| {
        // Nothing to do about what cannot be removed either: it is told why it could not be written.
        std::fs::remove_file(&beside).ok();
        TextfileError { path: path.to_owned(), source }
    })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    // One that a killed process with the same id left.
    std::fs::remove_file(path).ok();
    let mut file = std::fs::File::create_new(path)?;
    #[cfg(unix)]
    {
        // The collector is another user, whatever the umask of this process is.
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_replaced_as_a_whole_and_can_be_read_by_everybody() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("profound_export.prom");
        for text in ["a 1\n", "a 2\n"] {
            write_textfile(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        }
    }

    #[test]
    fn file_that_cannot_be_written_leaves_nothing_and_says_where() {
        let place = tempfile::tempdir().unwrap();
        let error = write_textfile(&place.path().join("missing/profound_export.prom"), "a 1\n").unwrap_err();
        assert!(error.to_string().contains("missing/profound_export.prom"), "{error}");
        std::fs::create_dir(place.path().join("taken.prom")).unwrap();
        assert!(write_textfile(&place.path().join("taken.prom"), "a 1\n").is_err());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
