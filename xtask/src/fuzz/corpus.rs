//! What mutations begin with: real answers, records and settings, and every input that once found something.

use std::path::{Path, PathBuf};

/// The files kept for `target`, in the order of their names.
pub fn kept(target: &str) -> Vec<Vec<u8>> {
    files(&root().join("xtask/corpus").join(target)).iter().map(|path| read(path)).collect()
}

/// The published examples of answers whose names end so: the name without its endings, and the body.
pub fn examples(ending: &str) -> Vec<(String, Vec<u8>)> {
    let of_kind = files(&root().join("tests/golden")).into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        let is_whole = name.ends_with(".sse") || !name.contains(".stream.");
        let stem = name.split('.').next()?.to_owned();
        (is_whole && name.ends_with(ending)).then(|| (stem, body(read(&path))))
    });
    // What is longer slows everything down and says nothing new.
    of_kind.filter(|(_, body)| body.len() < 16 * 1024).collect()
}

/// A file that is read as it is.
pub fn file(path: &str) -> Vec<u8> {
    read(&root().join(path))
}

/// The directory of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Of an example with its request, what the server answered; anything else as it is.
fn body(bytes: Vec<u8>) -> Vec<u8> {
    let whole = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
    let answered = whole.and_then(|whole| whole.get("response")?.get("body").map(serde_json::Value::to_string));
    answered.map_or(bytes, String::into_bytes)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a directory").path()).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
