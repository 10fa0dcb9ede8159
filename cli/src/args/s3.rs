//! How to talk to S3.

use std::str::FromStr;

use clap::Args;
use shardpack_store::S3Encryption;

use crate::size::ByteSize;

/// How to talk to S3. Credentials, profile, region and endpoint come from the standard AWS
/// configuration: environment, files, web identity, container, instance.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "S3 (s3://bucket/prefix in place of a path)")]
pub(crate) struct S3Args {
    /// Profile of the AWS configuration [default: AWS_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Region of the bucket [default: AWS_REGION, the profile's, or looked up]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Another server than Amazon's [default: AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// The bucket is part of the path, not of the host's name [default: with an endpoint]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) path_style: Option<bool>,
    /// Send no credentials: public buckets
    #[arg(long)]
    pub(crate) no_sign_request: bool,
    /// Pay for what a requester-pays bucket sends
    #[arg(long)]
    pub(crate) request_payer: bool,
    /// Storage class of new objects: STANDARD_IA, INTELLIGENT_TIERING, ...
    #[arg(long, value_name = "CLASS")]
    pub(crate) storage_class: Option<String>,
    /// Encryption of new objects: s3, kms or kms:KEY [default: the bucket's]
    #[arg(long, value_name = "HOW", value_parser = encryption)]
    pub(crate) sse: Option<S3Encryption>,
    /// Canned ACL of new objects: bucket-owner-full-control, ...
    #[arg(long, value_name = "ACL")]
    pub(crate) acl: Option<String>,
    /// Tags of new objects: team=vision&keep=yes
    #[arg(long, value_name = "TAGS")]
    pub(crate) tags: Option<String>,
    /// Tries of one request, with growing waits between them
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_attempts: u32,
    /// Failed requests in the whole run before it is given up [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) max_errors: Option<u64>,
    /// Seconds without a byte after which a request is sent again
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) stall_timeout: u64,
    /// Most requests a second [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) max_requests: Option<Rate>,
    /// Most bytes a second in each direction: 50MB [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_bandwidth: Option<ByteSize>,
}

/// A number of requests a second, more than none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate(pub(crate) f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Self(rate)),
            _ => Err("write a number above 0: 100, or 0.5 for one every two seconds".into()),
        }
    }
}

fn encryption(text: &str) -> Result<S3Encryption, String> {
    match text.split_once(':') {
        None if text.eq_ignore_ascii_case("s3") || text.eq_ignore_ascii_case("aes256") => {
            Ok(S3Encryption::S3)
        }
        None if text.eq_ignore_ascii_case("kms") => Ok(S3Encryption::Kms(None)),
        Some((kms, key)) if kms.eq_ignore_ascii_case("kms") && !key.is_empty() => {
            Ok(S3Encryption::Kms(Some(key.into())))
        }
        _ => Err("write s3, kms or kms:KEY".into()),
    }
}
