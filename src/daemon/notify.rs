//! What systemd is told of the daemon (`sd_notify(3)`). Without its socket in the environment nothing is told.

use std::time::Duration;

/// How often something is looked at where no watchdog asks for it more often.
const NO_WATCHDOG: Duration = Duration::MAX;

/// Tells systemd how the daemon is.
#[derive(Debug, Clone, Copy)]
pub struct Notify {
    keep_alive: Duration,
}

#[cfg(unix)]
impl Notify {
    /// As the environment says.
    pub fn from_environment() -> Self {
        // Twice within the time after which systemd takes the daemon for dead, as it asks for.
        let keep_alive = sd_notify::watchdog_enabled().map_or(NO_WATCHDOG, |dead_after| dead_after / 2);
        Self { keep_alive }
    }

    /// Jobs are waited for.
    pub fn ready(&self) {
        tell(&[sd_notify::NotifyState::Ready]);
    }

    /// The configuration is read again; [`Notify::ready`] follows.
    pub fn reloading(&self) {
        let now = sd_notify::NotifyState::monotonic_usec_now();
        tell(&match now {
            Ok(now) => vec![sd_notify::NotifyState::Reloading, now],
            Err(_) => vec![sd_notify::NotifyState::Reloading],
        });
    }

    /// The loop goes round.
    pub fn alive(&self) {
        tell(&[sd_notify::NotifyState::Watchdog]);
    }

    /// What is being done, in words.
    pub fn status(&self, words: &str) {
        tell(&[sd_notify::NotifyState::Status(words)]);
    }

    /// Nothing is begun any more.
    pub fn stopping(&self) {
        tell(&[sd_notify::NotifyState::Stopping]);
    }
}

#[cfg(unix)]
fn tell(states: &[sd_notify::NotifyState<'_>]) {
    // Who cannot be told would not have listened; exports matter more.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

#[cfg(not(unix))]
#[allow(missing_docs, reason = "the same, to nobody")]
impl Notify {
    pub fn from_environment() -> Self {
        Self { keep_alive: NO_WATCHDOG }
    }

    pub fn ready(&self) {}

    pub fn reloading(&self) {}

    pub fn alive(&self) {}

    pub fn status(&self, _: &str) {}

    pub fn stopping(&self) {}
}

impl Notify {
    /// How often [`Notify::alive`] must be told.
    pub(super) fn keep_alive(&self) -> Duration {
        self.keep_alive
    }
}
