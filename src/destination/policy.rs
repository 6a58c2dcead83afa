//! The least permissions that a destination needs.

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use serde_json::{Value, json};
use url::Url;

use crate::config::{DestinationConfig, Location};
use crate::destination::{DestinationError, OWN_DIRECTORY, location, s3_builder};

/// The least permissions of a destination, in the form of its provider.
#[derive(Debug, Clone, PartialEq)]
pub enum Permissions {
    /// A local directory that must be writable.
    Directory(std::path::PathBuf),
    /// An AWS IAM policy document.
    Policy(Value),
    /// Roles to grant at providers without policy documents.
    Roles(Vec<RoleGrant>),
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RoleGrant {
    pub role: String,
    /// The resource.
    pub on: String,
    /// Restricts the role to the prefix, in the language of the provider.
    pub condition: Option<String>,
}

impl Permissions {
    /// These and those of the `tables`, as one document where both providers have the same form. Directories need no document.
    pub fn with_tables(self, tables: Self) -> Vec<Self> {
        match (self, tables) {
            (Self::Policy(mut policy), Self::Policy(tables)) => {
                let statements = tables["Statement"].as_array().cloned().unwrap_or_default().into_iter();
                let renamed = statements.map(|mut statement| {
                    // Unique within a document.
                    statement["Sid"] = format!("{}Tables", statement["Sid"].as_str().unwrap_or_default()).into();
                    statement
                });
                if let Some(all) = policy["Statement"].as_array_mut() {
                    all.extend(renamed);
                }
                vec![Self::Policy(policy)]
            }
            (Self::Roles(mut grants), Self::Roles(tables)) => {
                grants.extend(tables);
                vec![Self::Roles(grants)]
            }
            (Self::Directory(_), tables @ (Self::Policy(_) | Self::Roles(_))) => vec![tables],
            (lake @ (Self::Policy(_) | Self::Roles(_)), Self::Directory(_)) => vec![lake],
            (lake, tables) => vec![lake, tables],
        }
    }
}

/// The least permissions for runs, `check`, `status` and `verify`; with `forgetting`, also for `forget`.
///
/// # Errors
/// [`DestinationError::Open`] if the address or an option is invalid.
pub fn least_permissions(config: &DestinationConfig, forgetting: bool) -> Result<Permissions, DestinationError> {
    let url = match location(config)? {
        Location::Local(path) => return Ok(Permissions::Directory(path)),
        Location::Store(url) => url,
    };
    let opened = |source| DestinationError::Open { url: url.to_string(), source };
    let prefix = Path::from_url_path(url.path()).map_err(|error| opened(error.into()))?;
    let bucket = url.host_str().unwrap_or_default();
    Ok(match url.scheme() {
        "gs" => Permissions::Roles(gcs_roles(bucket, prefix.as_ref())),
        "az" => Permissions::Roles(azure_roles(bucket, prefix.as_ref())),
        _ => Permissions::Policy(s3_policy(
            &s3_builder(&url, config).map_err(opened)?,
            &url,
            prefix.as_ref(),
            forgetting,
        )),
    })
}

fn s3_policy(builder: &AmazonS3Builder, url: &Url, prefix: &str, forgetting: bool) -> Value {
    let option = |name: &str| name.parse::<AmazonS3ConfigKey>().ok().and_then(|key| builder.get_config_value(&key));
    let region = option("aws_region").unwrap_or_default();
    let partition = match region.as_str() {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let bucket = format!("arn:{partition}:s3:::{}", url.host_str().unwrap_or_default());
    // `$`, `*` and `?` have a meaning in policies, so they are escaped.
    let prefix = prefix.replace('$', "${$}").replace('*', "${*}").replace('?', "${?}");
    let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let mut list = json!({"Sid": "List", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket});
    if !below.is_empty() {
        list["Condition"] = json!({"StringLike": {"s3:prefix": format!("{below}*")}});
    }
    let deleted = if forgetting {
        json!([format!("{bucket}/{below}*")])
    } else {
        // Old checkpoints and the probe are all that a run deletes.
        ["checkpoints", "probe"].map(|own| format!("{bucket}/{below}{OWN_DIRECTORY}/{own}/*")).into()
    };
    let mut statements = vec![
        list,
        json!({
            "Sid": "ReadAndWrite", "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
            "Resource": format!("{bucket}/{below}*"),
        }),
        json!({
            "Sid": if forgetting { "Forget" } else { "RemoveOwnFiles" }, "Effect": "Allow",
            "Action": "s3:DeleteObject", "Resource": deleted,
        }),
    ];
    if let Some(key) = option("aws_sse_kms_key_id") {
        statements.push(kms_statement(&key, partition, &region));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// The permissions on a KMS key: S3 encrypts written parts and decrypts read objects with it. The id of a key lacks the account number,
/// and an alias is not a resource, so both are granted by a condition or a wildcard.
fn kms_statement(key: &str, partition: &str, region: &str) -> Value {
    let mut statement =
        json!({"Sid": "Encrypt", "Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": key});
    let region = if region.is_empty() { "*" } else { region };
    if key.starts_with("alias/") || key.contains(":alias/") {
        let alias = key.rfind("alias/").map_or(key, |begin| &key[begin..]);
        statement["Resource"] = format!("arn:{partition}:kms:{region}:*:key/*").into();
        statement["Condition"] = json!({"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}});
    } else if !key.starts_with("arn:") {
        statement["Resource"] = format!("arn:{partition}:kms:{region}:*:key/{key}").into();
    }
    statement
}

fn gcs_roles(bucket: &str, prefix: &str) -> Vec<RoleGrant> {
    // Listing is a permission on the bucket, so a condition on object names alone would deny it.
    let condition = (!prefix.is_empty()).then(|| {
        format!(
            "resource.type == \"storage.googleapis.com/Bucket\" || resource.name.startsWith(\"projects/_/buckets/{bucket}/objects/{prefix}/\")"
        )
    });
    vec![RoleGrant { role: "roles/storage.objectUser".into(), on: format!("the bucket {bucket}"), condition }]
}

fn azure_roles(container: &str, prefix: &str) -> Vec<RoleGrant> {
    let path = "@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path]";
    let condition = (!prefix.is_empty()).then(|| format!("{path} StringStartsWith '{prefix}/'"));
    let on = format!("the container {container}");
    vec![RoleGrant { role: "Storage Blob Data Contributor".into(), on, condition }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, options: &str) -> DestinationConfig {
        serde_json::from_str(&format!(r#"{{"url": "{url}", "options": {options}}}"#)).unwrap()
    }

    fn policy(url: &str, options: &str, forgetting: bool) -> Value {
        match least_permissions(&config(url, options), forgetting).unwrap() {
            Permissions::Policy(policy) => policy,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn policy_is_restricted_to_the_prefix() {
        let policy = policy("s3://lake/profound/acme", r#"{"region": "eu-central-1"}"#, false);
        insta::assert_snapshot!(serde_json::to_string_pretty(&policy).unwrap());
    }

    #[test]
    fn policy_of_tables_allows_deletion_below_their_prefix_alone() {
        let of = |url: &str, forgetting| least_permissions(&config(url, "{}"), forgetting).unwrap();
        let all = of("s3://lake/profound", false).with_tables(of("s3://lake/tables", true));
        let [Permissions::Policy(policy)] = all.as_slice() else { panic!("{all:?}") };
        let statements = policy["Statement"].as_array().unwrap();
        let names: Vec<_> = statements.iter().map(|statement| statement["Sid"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["List", "ReadAndWrite", "RemoveOwnFiles", "ListTables", "ReadAndWriteTables", "ForgetTables"]
        );
        assert_eq!(statements[5]["Resource"], json!(["arn:aws:s3:::lake/tables/*"]));
        let local = of("/data/lake", false).with_tables(of("s3://lake/tables", true));
        assert!(matches!(local.as_slice(), [Permissions::Policy(_)]), "{local:?}");
    }

    #[test]
    fn listing_has_no_condition_without_a_prefix() {
        let policy = policy("s3://lake", r#"{"region": "eu-central-1"}"#, false);
        assert_eq!(policy["Statement"][0].get("Condition"), None);
        assert_eq!(policy["Statement"][1]["Resource"], "arn:aws:s3:::lake/*");
    }

    #[test]
    fn forget_may_delete_everything_below_the_prefix() {
        let policy = policy("s3://lake/p", r#"{"region": "us-gov-west-1"}"#, true);
        assert_eq!(policy["Statement"][2]["Resource"], json!(["arn:aws-us-gov:s3:::lake/p/*"]));
    }

    #[test]
    fn kms_key_is_granted_by_arn_id_and_alias() {
        let arn = "arn:aws:kms:eu-central-1:123456789012:key/0f1c";
        for (written, resource, alias) in [
            (arn, arn, None),
            ("0f1c", "arn:aws:kms:eu-central-1:*:key/0f1c", None),
            ("alias/lake", "arn:aws:kms:eu-central-1:*:key/*", Some("alias/lake")),
        ] {
            let options = format!(
                r#"{{"region": "eu-central-1", "server_side_encryption": "aws:kms", "sse_kms_key_id": "{written}"}}"#
            );
            let policy = policy("s3://lake/p", &options, false);
            let statement = &policy["Statement"][3];
            assert_eq!(statement["Resource"], resource);
            let aliases = statement.pointer("/Condition/ForAnyValue:StringEquals/kms:ResourceAliases");
            assert_eq!(aliases.and_then(Value::as_str), alias);
        }
    }

    #[test]
    fn wildcards_in_a_prefix_are_escaped() {
        let policy = policy("s3://lake/a*b", r#"{"region": "eu-central-1"}"#, false);
        assert_eq!(policy["Statement"][1]["Resource"], "arn:aws:s3:::lake/a${*}b/*");
    }

    #[test]
    fn roles_are_restricted_to_the_prefix() {
        let (gcs, azure) = (gcs_roles("lake", "p"), azure_roles("lake", "p"));
        assert!(gcs[0].condition.as_ref().unwrap().contains("projects/_/buckets/lake/objects/p/"));
        assert!(azure[0].condition.as_ref().unwrap().ends_with("StringStartsWith 'p/'"));
        assert_eq!(gcs_roles("lake", "")[0].condition, None);
    }
}
