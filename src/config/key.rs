//! The API key: where it comes from, and a type that cannot be printed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};

use super::destination::check_expanded;
use super::problem::Problem;
use super::secret::{self, SecretError, SecretKind};
use super::{ApiConfig, Sources};

/// The variable that holds the key itself.
const VARIABLE: &str = "PROFOUND_API_KEY";
/// The variable that names the file of the key.
const FILE_VARIABLE: &str = "PROFOUND_API_KEY_FILE";

/// The API key. Neither `Debug` nor `Display`, so that nothing prints it by accident.
#[derive(Clone)]
pub struct ApiKey {
    secret: SecretString,
    /// Its file, unless the key came from a variable.
    file: Option<PathBuf>,
    /// When its file was last written.
    changed: Option<Timestamp>,
    warning: Option<Problem>,
}

impl ApiKey {
    fn from_file(path: PathBuf) -> Result<Self, SecretError> {
        let (bytes, metadata) = secret::read_file(SecretKind::ApiKey, &path)?;
        Ok(Self {
            secret: parse(&bytes, &absolute(&path))?,
            changed: metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok()),
            warning: readable_by_all(&path, &metadata),
            file: Some(path),
        })
    }

    /// The key itself, for the header of a request and nothing else.
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// `from /run/x (last changed 2026-05-22)`, the day in UTC, or `from PROFOUND_API_KEY`.
    pub fn origin(&self) -> String {
        let source = self.file.as_deref().map_or_else(|| VARIABLE.to_owned(), absolute);
        match self.changed {
            Some(changed) => format!("from {source} (last changed {})", changed.to_zoned(TimeZone::UTC).date()),
            None => format!("from {source}"),
        }
    }

    /// What is wrong with the permissions of its file.
    pub fn warning(&self) -> Option<&Problem> {
        self.warning.as_ref()
    }

    /// Reads its file once more. `None` when the key is the same, and always when it came from a variable.
    ///
    /// # Errors
    /// As [`read`].
    pub fn reread(&self) -> Result<Option<Self>, SecretError> {
        let current = self.file.clone().map(Self::from_file).transpose()?;
        Ok(current.filter(|current| current.expose() != self.expose()))
    }
}

/// Whether a variable gives the key, which then has precedence over `api.key_file`.
pub fn is_in_environment(sources: &Sources) -> bool {
    [VARIABLE, FILE_VARIABLE].iter().any(|name| sources.environment.contains_key(*name))
}

/// Finds and reads the key: `PROFOUND_API_KEY`, `PROFOUND_API_KEY_FILE` and `api.key_file`, in this order of precedence.
///
/// # Errors
/// [`SecretError`].
pub fn read(sources: &Sources, api: &ApiConfig) -> Result<ApiKey, SecretError> {
    if let Some(key) = sources.environment.get(VARIABLE) {
        let secret = parse(key.as_bytes(), VARIABLE)?;
        return Ok(ApiKey { secret, file: None, changed: None, warning: None });
    }
    let variable = sources.environment.get(FILE_VARIABLE);
    if variable.is_some_and(|path| secret::looks_like_a_secret(path)) {
        return Err(SecretError::NotAPath);
    }
    if let Some(path) = variable {
        check_expanded(path).map_err(SecretError::Path)?;
    }
    let path = variable.map(PathBuf::from).or_else(|| api.key_file.clone());
    ApiKey::from_file(path.ok_or(SecretError::Missing)?)
}

fn parse(bytes: &[u8], from: &str) -> Result<SecretString, SecretError> {
    let malformed = |fault| SecretError::Malformed { kind: SecretKind::ApiKey, from: from.to_owned(), fault };
    let key = secret::one_word(bytes).map_err(malformed)?;
    if secret::is_assignment(key.expose_secret()) {
        return Err(malformed("is an assignment such as `NAME=value`, all of which would be sent"));
    }
    if key.expose_secret().contains("://") {
        return Err(malformed("is a URL"));
    }
    if is_path(key.expose_secret()) {
        return Err(malformed("is the path of a file, which `PROFOUND_API_KEY_FILE` and `key_file` name"));
    }
    Ok(key)
}

/// Whether `text` is certainly a path: a key may begin with a slash, too.
fn is_path(text: &str) -> bool {
    ["~/", "./", "../"].iter().any(|start| text.starts_with(start))
        || (text.starts_with('/') && Path::new(text).try_exists().unwrap_or(false))
}

/// Absolute, because a log outlives the working directory.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).as_deref().unwrap_or(path).display().to_string()
}

fn readable_by_all(path: &Path, metadata: &std::fs::Metadata) -> Option<Problem> {
    let instead = "let only the user that runs the program read it, as `chmod 600` does; for a Kubernetes secret, `defaultMode: 0400`";
    let problem =
        || Problem::new(path.display().to_string(), "every user of this machine can read the API key", instead);
    secret::is_readable_by_all(metadata).then(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(variables: &[(&str, &str)]) -> Sources {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sources { environment, ..Sources::default() }
    }

    fn from_variable(value: &str) -> Result<ApiKey, SecretError> {
        read(&sources(&[("PROFOUND_API_KEY", value)]), &ApiConfig::default())
    }

    fn of_file(path: &Path) -> Result<ApiKey, SecretError> {
        read(&Sources::default(), &ApiConfig { key_file: Some(path.to_owned()), ..ApiConfig::default() })
    }

    fn from_file(bytes: &[u8]) -> (tempfile::NamedTempFile, Result<ApiKey, SecretError>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let key = of_file(file.path());
        (file, key)
    }

    #[test]
    fn variable_precedes_files_and_variable_file_precedes_setting() {
        let (file, _) = from_file(b"second");
        let api = ApiConfig { key_file: Some("/nowhere".into()), ..ApiConfig::default() };
        let path = file.path().to_str().unwrap();
        let both = sources(&[("PROFOUND_API_KEY", "first"), ("PROFOUND_API_KEY_FILE", path)]);
        assert_eq!(read(&both, &api).ok().unwrap().expose(), "first");
        assert_eq!(read(&sources(&[("PROFOUND_API_KEY_FILE", path)]), &api).ok().unwrap().expose(), "second");
    }

    #[test]
    fn whitespace_around_the_key_is_not_part_of_it() {
        for text in ["abc", "abc\n", "abc\r\n", "abc \t\r\n\r\n", "\n abc\n\n", "\u{feff}abc\n"] {
            assert_eq!(from_variable(text).ok().unwrap().expose(), "abc");
            assert_eq!(from_file(text.as_bytes()).1.ok().unwrap().expose(), "abc");
        }
    }

    #[test]
    fn unusable_key_is_rejected_and_never_repeated() {
        let cases: [(&[u8], &str); 25] = [
            (b"${s3cr3t}", "placeholder"),
            (b"$s3cr3t", "placeholder"),
            (b"$(cat s3cr3t)", "placeholder"),
            (b"{{s3cr3t}}", "placeholder"),
            (b"<!DOCTYPE html>\n<html>s3cr3t</html>\n", "HTML"),
            (b"<s3cr3t>", "placeholder"),
            (b"https://s3cr3t", "a URL"),
            (b"vault://s3cr3t", "a URL"),
            (b"~/s3cr3t", "the path of a file"),
            (b"/dev/null", "the path of a file"),
            (b"", "is empty"),
            (b" \n\n", "is empty"),
            (b"s3cr3t s3cr3t", "blanks or line breaks"),
            (b"s3cr3t\nOTHER=1", "blanks or line breaks"),
            (b"PROFOUND_API_KEY=s3cr3t", "an assignment"),
            (b"api_key=s3cr3t==\n", "an assignment"),
            (b"{\"key\":\"s3cr3t\"}", "is JSON"),
            (b"'s3cr3t'", "quotes"),
            (b"`s3cr3t`", "quotes"),
            (b"[s3cr3t]", "is JSON"),
            ("s3cr3té".as_bytes(), "plain ASCII"),
            (&[0xff, 0xfe], "plain ASCII"),
            (b"\"s3cr3t\"", "quotes"),
            (b"s3cr3t\x07", "control characters"),
            (&[b'a'; 100_000], "too long"),
        ];
        for (bytes, fault) in cases {
            let of_variable = std::str::from_utf8(bytes).map(from_variable);
            for key in of_variable.into_iter().chain([from_file(bytes).1]) {
                let message = key.err().unwrap().to_string();
                assert!(message.contains(fault) && !message.contains("s3cr3t"), "{bytes:?}: {message}");
            }
        }
        for path in ["~/key", "$HOME/key", "${RUN}/key"] {
            let error = read(&sources(&[("PROFOUND_API_KEY_FILE", path)]), &ApiConfig::default()).err().unwrap();
            assert!(crate::error_text::error_chain(&error).contains("not expanded"), "{path}: {error}");
        }
        let error = read(&sources(&[("PROFOUND_API_KEY_FILE", "s3cr3t-0123456789abcdef0123")]), &ApiConfig::default());
        let error = error.err().unwrap();
        assert!(!format!("{error} {error:?} {}", error.hint()).contains("s3cr3t"), "{error}");
    }

    #[test]
    fn missing_key_names_the_places_and_unreadable_file_its_path() {
        let error = read(&Sources::default(), &ApiConfig::default()).err().unwrap();
        for place in ["PROFOUND_API_KEY`", "PROFOUND_API_KEY_FILE", "key_file"] {
            assert!(error.hint().contains(place), "{place}");
        }
        assert!(of_file(Path::new("/nowhere/key")).err().unwrap().to_string().contains("/nowhere/key"));
    }

    #[test]
    fn origin_names_the_file_and_the_day_it_changed() {
        assert_eq!(from_variable("abc").ok().unwrap().origin(), "from PROFOUND_API_KEY");
        let (file, _) = from_file(b"abc");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_779_408_000);
        file.as_file().set_modified(time).unwrap();
        let origin = of_file(file.path()).ok().unwrap().origin();
        assert_eq!(origin, format!("from {} (last changed 2026-05-22)", file.path().display()));
    }

    #[test]
    fn reread_returns_a_key_only_when_it_changed() {
        let (file, key) = from_file(b"abc\n");
        let key = key.ok().unwrap();
        for (text, changed) in [("abc\n", None), ("abc", None), ("def", Some("def"))] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(key.reread().ok().unwrap().as_ref().map(ApiKey::expose), changed);
        }
        assert!(from_variable("abc").ok().unwrap().reread().ok().unwrap().is_none());
    }

    #[test]
    fn base64_padding_is_part_of_a_key() {
        assert_eq!(from_variable("czNjcjN0==").ok().unwrap().expose(), "czNjcjN0==");
    }

    #[cfg(unix)]
    #[test]
    fn pipe_in_place_of_the_key_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("key");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = of_file(&pipe).err().unwrap();
        assert!(format!("{error:?}").contains("this is not a regular file"), "{error:?}");
    }

    #[cfg(unix)]
    #[test]
    fn file_that_every_user_can_read_is_a_warning() {
        use std::os::unix::fs::PermissionsExt;
        let (file, key) = from_file(b"abc");
        assert!(key.ok().unwrap().warning().is_none());
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(of_file(file.path()).ok().unwrap().warning().unwrap().instead.contains("chmod 600"));
    }
}
