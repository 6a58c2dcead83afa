//! State notifications to systemd (`sd_notify(3)`); without its socket in the environment nothing is sent.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub struct SystemdNotifier {
    keep_alive: Option<Duration>,
}

#[cfg(unix)]
impl SystemdNotifier {
    pub fn from_environment() -> Self {
        // systemd recommends to notify at half of the watchdog's timeout.
        Self { keep_alive: sd_notify::watchdog_enabled().map(|timeout| timeout / 2) }
    }

    pub fn ready(&self) {
        send(&[sd_notify::NotifyState::Ready]);
    }

    /// The configuration is reloaded; [`SystemdNotifier::ready`] follows.
    pub fn reloading(&self) {
        let now = sd_notify::NotifyState::monotonic_usec_now();
        send(&match now {
            Ok(now) => vec![sd_notify::NotifyState::Reloading, now],
            Err(_) => vec![sd_notify::NotifyState::Reloading],
        });
    }

    pub fn alive(&self) {
        send(&[sd_notify::NotifyState::Watchdog]);
    }

    /// The text that `systemctl status` shows.
    pub fn status(&self, text: &str) {
        send(&[sd_notify::NotifyState::Status(text)]);
    }

    pub fn stopping(&self) {
        send(&[sd_notify::NotifyState::Stopping]);
    }
}

#[cfg(unix)]
fn send(states: &[sd_notify::NotifyState<'_>]) {
    // An unreachable service manager is no reason to stop exports.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}

#[cfg(not(unix))]
impl SystemdNotifier {
    pub fn from_environment() -> Self {
        Self { keep_alive: None }
    }

    pub fn ready(&self) {}

    pub fn reloading(&self) {}

    pub fn alive(&self) {}

    pub fn status(&self, _: &str) {}

    pub fn stopping(&self) {}
}

impl SystemdNotifier {
    /// How often [`SystemdNotifier::alive`] must be called; none without a watchdog.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive
    }
}
