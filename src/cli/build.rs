//! What `--version` prints; `-V` prints the number alone.

use std::sync::LazyLock;

/// Set by `deploy/dist/build.sh`. A build script that asks git would run in every build, and a package has no repository.
const COMMIT: Option<&str> = option_env!("PROFOUND_EXPORT_COMMIT");
const PROFILE: Option<&str> = option_env!("PROFOUND_EXPORT_PROFILE");

static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let features =
        [("gcs", cfg!(feature = "gcs")), ("azure", cfg!(feature = "azure")), ("otlp", cfg!(feature = "otlp"))];
    let features: Vec<&str> = features.into_iter().filter(|(_, is_built)| *is_built).map(|(name, _)| name).collect();
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    format!(
        "{}\nfeatures: {}\ncommit: {}\nbuild: {}, {}-{}",
        env!("CARGO_PKG_VERSION"),
        if features.is_empty() { "none".to_owned() } else { features.join(" ") },
        COMMIT.unwrap_or("unknown"),
        PROFILE.unwrap_or(profile),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
});

pub fn long_version() -> &'static str {
    &LONG_VERSION
}
