//! The key that requests are sent with, which may change while the program runs.

use parking_lot::Mutex;

use crate::api::key_leak::KeyForms;
use crate::config::ApiKey;

/// The key, and how often another took its place.
pub(super) struct ClientKey(Mutex<Versioned>);

struct Versioned {
    key: ApiKey,
    version: u64,
    /// Of this key and of those before it.
    forms: KeyForms,
}

impl ClientKey {
    pub(super) fn new(key: ApiKey) -> Self {
        let forms = KeyForms::default().with_key(key.expose());
        Self(Mutex::new(Versioned { key, version: 0, forms }))
    }

    /// What `action` makes of the key, and the version of the key.
    pub(super) fn with_current<T>(&self, action: impl FnOnce(&str) -> T) -> (T, u64) {
        let held = self.0.lock();
        (action(held.key.expose()), held.version)
    }

    pub(super) fn version(&self) -> u64 {
        self.0.lock().version
    }

    /// Where the key came from, for messages.
    pub(super) fn origin(&self) -> String {
        self.0.lock().key.origin()
    }

    pub(super) fn forms(&self) -> KeyForms {
        self.0.lock().forms.clone()
    }

    /// Whether there is a newer key than `version`, which is read from where the key came from. Of several requests that were
    /// rejected together, the first one reads the file, and the others find its key here.
    pub(super) fn reload(&self, version: u64) -> bool {
        let mut held = self.0.lock();
        if held.version != version {
            return true;
        }
        match held.key.reread() {
            Ok(Some(key)) => {
                let forms = held.forms.with_key(key.expose());
                *held = Versioned { key, version: version + 1, forms };
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "cannot reload the API key, keeping the current one");
                false
            }
        }
    }
}
