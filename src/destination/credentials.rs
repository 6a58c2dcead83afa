//! Whether an S3 store has credentials at all. Without any, `object_store` asks the metadata service of EC2 for minutes on a machine
//! that has none.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

/// Of every EC2 instance.
const METADATA_SERVICE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)), 80);
/// On an instance it answers within milliseconds.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// Settings of which each is a source of credentials, or a reason to need none.
const SOURCES: [AmazonS3ConfigKey; 6] = [
    AmazonS3ConfigKey::AccessKeyId,
    AmazonS3ConfigKey::SkipSignature,
    AmazonS3ConfigKey::WebIdentityTokenFile,
    AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    AmazonS3ConfigKey::ContainerCredentialsFullUri,
    AmazonS3ConfigKey::MetadataEndpoint,
];

/// What was looked for, if there are no credentials.
pub fn problem(builder: &AmazonS3Builder) -> Option<&'static str> {
    let is_set = |key: &AmazonS3ConfigKey| builder.get_config_value(key).is_some_and(|value| value != "false");
    if SOURCES.iter().any(is_set) || TcpStream::connect_timeout(&METADATA_SERVICE, METADATA_TIMEOUT).is_ok() {
        return None;
    }
    Some(
        "there are no credentials for the bucket: neither AWS_ACCESS_KEY_ID nor `access_key_id` in `[destination.options]` is set, there \
         is no role of a container or a service account, and the metadata service of EC2 does not answer; AWS_PROFILE and `~/.aws` are not \
         read",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_of_credentials_is_known() {
        let is_set = |key| AmazonS3Builder::new().get_config_value(&key).is_some_and(|value| value != "false");
        assert!(!SOURCES.into_iter().any(is_set), "a default would hide that there are none");
        for key in SOURCES {
            assert_eq!(problem(&AmazonS3Builder::new().with_config(key, "true")), None, "{key:?}");
        }
    }
}
