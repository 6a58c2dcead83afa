//! The initial inputs: real responses, records and settings, and every input that once found a bug.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files kept for `target`, in the order of their names.
pub fn kept(target: &str) -> Vec<Vec<u8>> {
    files(&root().join("xtask/corpus").join(target)).iter().map(|path| read(path)).collect()
}

/// Keywords of the format of `target`, which mutations insert.
pub fn words(target: &str) -> Vec<String> {
    let mut words: BTreeMap<String, Vec<String>> =
        serde_json::from_str(include_str!("../../words.json")).expect("xtask/words.json is valid");
    words.remove(target).expect("every target has words")
}

/// The published examples whose file names end with `ending`: the name without its endings, and the body.
pub fn examples(ending: &str) -> Vec<(String, Vec<u8>)> {
    let of_kind = files(&root().join("tests/golden")).into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        let is_whole = name.ends_with(".sse") || !name.contains(".stream.");
        let stem = name.split('.').next()?.to_owned();
        (is_whole && name.ends_with(ending)).then(|| (stem, body(read(&path))))
    });
    // Longer bodies slow every target down and find no further outcomes.
    of_kind.filter(|(_, body)| body.len() < 16 * 1024).collect()
}

/// The content of a file of the repository.
pub fn file(path: &str) -> Vec<u8> {
    read(&root().join(path))
}

/// The directory of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The response body of an example with a request; the bytes of any other file.
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
