//! The program over TLS, as on AWS.

use shardpack_testkit::s3::{S3Config, S3Server};

use super::{Cloud, same, tree};
use crate::program::Home;

/// Both ways to an object, the SDK's and the short one, trust what the system trusts and nothing
/// else.
#[test]
fn tls_is_trusted_as_the_system_says() {
    let server = S3Server::start_with(S3Config { tls: true, ..S3Config::default() });
    let cloud = Cloud { home: Home::new(), server };
    tree(&cloud.home, 20);
    cloud.home.line("pack src local --s3-prefix s3://bucket/dst/").done();
    cloud.upload("src", "src/");
    cloud.line("pack s3://bucket/src/ s3://bucket/dst/").done();
    same(&cloud.objects("dst/shards/"), &cloud.home.files("local/shards"));
    cloud.line("verify s3://bucket/dst --against s3://bucket/src/").done();
    let short = |call: &&shardpack_testkit::s3::Call| {
        let agent = call.header("user-agent").unwrap_or_default();
        agent.starts_with("shardpack/") && call.status == Some(200)
    };
    assert!(cloud.server.calls().iter().filter(short).count() >= 40, "objects go the short way");

    let mut stranger = cloud.command(&["ls", "s3://bucket/dst", "--max-attempts", "1"]);
    stranger.env("SSL_CERT_FILE", "/dev/null");
    let refused = crate::program::Running::from(stranger.spawn().expect("it runs")).end();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}
