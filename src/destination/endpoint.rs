//! Whether the endpoint of an S3 store fits its bucket. `object_store` takes both as they are: an endpoint that contradicts the style of
//! requests makes it write into another bucket, or below a prefix that repeats the bucket.

use url::{Host, Url};

/// Where an endpoint may come from.
const ORIGINS: &str = "the endpoint comes from AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_ENDPOINT or `endpoint` in `[destination.options]`";

/// What is wrong with `endpoint` for requests to `bucket`, and what to write instead.
pub fn problem(endpoint: &str, bucket: &str, is_virtual_hosted: bool) -> Option<String> {
    let Some((url, host)) = address(endpoint) else {
        // object_store panics on an address without a scheme.
        return Some(format!("the endpoint `{endpoint}` must begin with `http://` or `https://`; {ORIGINS}"));
    };
    let bucket = bucket.to_ascii_lowercase();
    let has_bucket_in_host = host == bucket || host.starts_with(&format!("{bucket}."));
    let last = url.path_segments().into_iter().flatten().rfind(|segment| !segment.is_empty());
    let has_bucket_in_path = last.is_some_and(|last| last.eq_ignore_ascii_case(&bucket));
    if is_virtual_hosted && !has_bucket_in_host && !has_bucket_in_path {
        let with_bucket = match url.host() {
            Some(Host::Domain(_)) => format!("write `{bucket}.{host}` in it, or "),
            _ => String::new(),
        };
        return Some(format!(
            "with `virtual_hosted_style_request`, the endpoint `{host}` must contain the bucket: {with_bucket}set \
             `virtual_hosted_style_request = false`; otherwise the first part of the prefix is taken for the bucket; {ORIGINS}"
        ));
    }
    // A host such as `minio.example.com` may begin like its bucket `minio`; those of AWS say which is which.
    let names_bucket_twice = has_bucket_in_path || (has_bucket_in_host && host.ends_with(".amazonaws.com"));
    if !is_virtual_hosted && names_bucket_twice {
        return Some(format!(
            "the endpoint `{host}{path}` contains the bucket, which `destination.url` names: remove `{bucket}` from the endpoint, or \
             set `virtual_hosted_style_request = true`; otherwise every path begins with the bucket; {ORIGINS}",
            path = url.path().trim_end_matches('/'),
        ));
    }
    None
}

/// The parsed address, and its host without capital letters.
fn address(endpoint: &str) -> Option<(Url, String)> {
    let url = Url::parse(endpoint.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let host = url.host_str()?.to_ascii_lowercase();
    Some((url, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_that_leads_to_another_bucket_is_rejected() {
        for (endpoint, is_virtual_hosted, fits) in [
            ("https://s3.eu-central-1.amazonaws.com", false, true),
            ("https://s3.eu-central-1.amazonaws.com", true, false),
            ("https://lake.s3.eu-central-1.amazonaws.com", true, true),
            ("https://LAKE.s3.eu-central-1.amazonaws.com/", true, true),
            ("https://lake.s3.eu-central-1.amazonaws.com", false, false),
            ("https://other.s3.eu-central-1.amazonaws.com", true, false),
            ("https://lakes.example.com", true, false),
            ("http://minio:9000", false, true),
            ("http://minio:9000", true, false),
            ("http://lake.minio:9000", true, true),
            ("http://lake.minio:9000", false, true),
            ("http://127.0.0.1:9000", true, false),
            ("https://account.r2.cloudflarestorage.com/lake", false, false),
            ("https://account.r2.cloudflarestorage.com/lake/", true, true),
            ("https://gateway.example.com/s3", false, true),
            ("minio:9000", false, false),
            ("", false, false),
            ("ftp://minio", false, false),
        ] {
            let problem = problem(endpoint, "lake", is_virtual_hosted);
            assert_eq!(problem.is_none(), fits, "{endpoint}, virtual-hosted: {is_virtual_hosted}: {problem:?}");
        }
    }

    #[test]
    fn credentials_in_an_endpoint_are_not_repeated() {
        let problem = problem("http://user:hidden@minio:9000", "lake", true).unwrap();
        assert!(!problem.contains("hidden"), "{problem}");
    }
}
