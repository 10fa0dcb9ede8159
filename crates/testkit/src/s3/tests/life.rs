use std::net::TcpStream;
use std::thread;

use super::{B, client, get, run};
use crate::s3::{Fault, FaultRule, S3Server};

#[test]
fn a_stopped_server_refuses_and_comes_back_as_it_was() {
    let server = S3Server::start();
    server.put("k", "bytes");
    let client = client(&server);
    let address = server.endpoint().strip_prefix("http://").unwrap().to_owned();
    for _ in 0..3 {
        assert_eq!(run(get(&client, "k")).unwrap(), b"bytes");
        server.stop();
        server.stop(); // stopped already
        let refused = TcpStream::connect(&address).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        run(get(&client, "k")).unwrap_err();
        server.restart();
        server.restart(); // running already
    }
    drop(server);
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn stopping_cuts_answers_that_are_on_their_way() {
    let server = S3Server::start();
    server.put("k", "bytes");
    server.inject(FaultRule::new(Fault::Stall(2)));
    let client = client(&server);
    run(async {
        let got = client.get_object().bucket(B).key("k").send().await.unwrap();
        let mut body = got.body;
        assert_eq!(&body.next().await.unwrap().unwrap()[..], b"by");
        server.stop();
        assert!(body.next().await.unwrap().is_err());
    });
}

#[test]
fn servers_are_many_and_apart() {
    let servers: Vec<_> = (0..8).map(|_| S3Server::start()).collect();
    thread::scope(|scope| {
        for (i, server) in servers.iter().enumerate() {
            scope.spawn(move || {
                let (client, key) = (client(server), format!("k{i}"));
                let put = client.put_object().bucket(B).key(&key).body(vec![7; i].into());
                run(put.send()).unwrap();
                assert_eq!(run(get(&client, &key)).unwrap(), vec![7; i]);
            });
        }
    });
    for (i, server) in servers.iter().enumerate() {
        assert_eq!(server.keys(), [format!("k{i}")]);
    }
}

#[test]
fn a_child_process_finds_the_server_by_its_environment() {
    let server = S3Server::start();
    let environment = server.environment();
    let value = |name: &str| {
        environment.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(value("AWS_ENDPOINT_URL"), Some(server.endpoint().as_str()));
    assert_eq!(value("AWS_ACCESS_KEY_ID"), Some(S3Server::ACCESS_KEY));
    assert_eq!(value("AWS_REGION"), Some("us-east-1"));
    assert_eq!(value("AWS_CONFIG_FILE"), Some("/dev/null"));
}
