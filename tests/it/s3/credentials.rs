//! Where keys come from on AWS, and that they run out in the middle of a run.

use std::time::Duration;

use shardpack_testkit::s3::Lender;

use super::{Cloud, same, tree};
use crate::program::{Home, Running};

/// Of each key. The run takes several such lives.
const LIFETIME: Duration = Duration::from_secs(1);

fn text(home: &Home, name: &str) -> String {
    home.path(name).display().to_string()
}

/// What a program finds in its environment, and in its home.
fn surroundings(cloud: &Cloud, lender: &Lender, kind: &str) -> Vec<(&'static str, String)> {
    let endpoint = lender.endpoint();
    let role = "arn:aws:iam::123456789012:role/training".to_owned();
    match kind {
        "a container" => vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{endpoint}/container")),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", Lender::AUTHORIZATION.into()),
        ],
        "an instance" => vec![
            ("AWS_EC2_METADATA_DISABLED", "false".into()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint),
        ],
        "a web identity" => {
            cloud.home.write("identity", Lender::IDENTITY);
            vec![
                ("AWS_ENDPOINT_URL_STS", endpoint),
                ("AWS_ROLE_ARN", role),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", text(&cloud.home, "identity")),
            ]
        }
        "single sign-on" => {
            let profile = "[profile me]\nsso_start_url = https://example.awsapps.com/start\n\
                 sso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = training\n";
            cloud.home.write("config", profile);
            let signed_in = format!(
                r#"{{"accessToken": "{}", "expiresAt": "2099-01-01T00:00:00Z"}}"#,
                Lender::SIGNED_IN
            );
            // Named by the SHA-1 of the start URL, as the AWS CLI does when somebody signs in.
            let name = "e8be5486177c5b5392bd9aa76563515b29358e6e";
            cloud.home.write(&format!(".aws/sso/cache/{name}.json"), signed_in);
            vec![
                ("HOME", text(&cloud.home, "")),
                ("AWS_CONFIG_FILE", text(&cloud.home, "config")),
                ("AWS_PROFILE", "me".into()),
                ("AWS_ENDPOINT_URL_SSO", endpoint),
            ]
        }
        other => panic!("{other}"),
    }
}

#[test]
fn keys_of_every_service_are_renewed_in_the_middle_of_a_run() {
    std::thread::scope(|scope| {
        for kind in ["a container", "an instance", "a web identity", "single sign-on"] {
            scope.spawn(move || renewed(kind));
        }
    });
}

fn renewed(kind: &str) {
    let cloud = Cloud::new();
    let lender = cloud.server.lender(LIFETIME);
    tree(&cloud.home, 40);
    cloud.home.line("pack src local --s3-prefix s3://bucket/dst/").done();
    cloud.upload("src", "src/");
    cloud.server.latency(Duration::from_millis(75));
    let mut command =
        cloud.command(&["pack", "s3://bucket/src/", "s3://bucket/dst/", "--io-depth", "2"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.envs(surroundings(&cloud, &lender, kind));
    let ran = Running::from(command.spawn().expect("the program runs")).end();
    assert_eq!(ran.code, Some(0), "{kind}: {}", ran.stderr);
    same(&cloud.objects("dst/shards/"), &cloud.home.files("local/shards"));
    assert!(lender.lent() > 2, "{kind}: {} keys", lender.lent());
    assert!(cloud.server.calls().iter().all(|call| call.status != Some(403)), "{kind}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains("session of") && !said.contains("ASIA"), "{kind}: {said}");
}
