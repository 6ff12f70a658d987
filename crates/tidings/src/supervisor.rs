//! Tells whoever supervises the program how far it is (sd_notify(3): `Type=notify` in systemd).
//! Knows nothing of what it does. Without a supervisor that wants to know, nothing happens.

use sd_notify::NotifyState;

/// It serves; also after a restart, and after one that was refused.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It restarts in place, and will be ready again.
pub(crate) fn restarting() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "there is no time to tell the supervisor"),
    }
}

/// It ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the supervisor can't be told ($NOTIFY_SOCKET)");
    }
}
