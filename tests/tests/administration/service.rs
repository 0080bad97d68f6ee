//! What any client of gRPC can ask: health, reflection, errors; and that the service ends in time.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use roadstead_proto::rpc::admin::{
    CancelUploadRequest, DeleteRepositoryRequest, ExplainDigestRequest, ListRepositoriesRequest,
};
use roadstead_tests::{Registry, Setup};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::asked::{channel, client, wait};
use roadstead_tests::asked::ask;

const SERVICE: &str = "roadstead.admin.v1.Administration";

#[test]
fn health_of_the_service_can_be_asked() {
    let registry = Registry::start(Setup::default());
    wait(async {
        let mut health = HealthClient::new(channel(&registry).await);
        for service in ["", SERVICE] {
            let service = service.to_owned();
            let answer = health.check(HealthCheckRequest { service }).await;
            let status = answer.expect("an answer").into_inner().status();
            assert_eq!(status, ServingStatus::Serving);
        }
        let service = "nothing".to_owned();
        let answer = health.check(HealthCheckRequest { service }).await;
        assert_eq!(answer.expect_err("unknown").code(), Code::NotFound);
    });
}

/// As many as the service takes at once.
const CONNECTIONS: usize = 64;

#[test]
fn silent_connections_take_no_more_than_their_places() {
    let registry = Registry::start(Setup::default());
    let address = registry.administration();
    let connect = || TcpStream::connect(&address).expect("a connection");
    let silent: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect()).collect();
    // Those beyond are closed at once, and cost the registry nothing.
    for _ in 0..200 {
        let mut beyond = connect();
        let deadline = Duration::from_secs(20);
        beyond.set_read_timeout(Some(deadline)).expect("a timeout");
        let read = beyond.read(&mut [0]);
        assert!(matches!(read, Ok(0)) || read.is_err_and(|error| is_closed(&error)));
    }
    let repository = registry.client().repository("served/meanwhile");
    repository.push_image("v1", 7);
    drop(silent);
    // Their places are free again.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let status = ask(&registry, &["gc", "status"]);
        if status.code == Some(0) {
            break;
        }
        assert!(Instant::now() < deadline, "{status:?}");
    }
}

fn is_closed(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionReset
}

#[test]
fn the_service_describes_itself() {
    let registry = Registry::start(Setup::default());
    wait(async {
        let mut reflection = ServerReflectionClient::new(channel(&registry).await);
        let questions = [
            MessageRequest::ListServices(String::new()),
            MessageRequest::FileContainingSymbol(SERVICE.to_owned()),
        ];
        let requests = questions.map(|question| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        });
        let asked = reflection.server_reflection_info(futures::stream::iter(requests));
        let mut answers = asked.await.expect("an answer").into_inner();
        let mut found = Vec::new();
        while let Some(answer) = answers.message().await.expect("an answer") {
            match answer.message_response {
                Some(MessageResponse::ListServicesResponse(list)) => {
                    let names = list.service.into_iter().map(|service| service.name);
                    found.extend(names);
                }
                Some(MessageResponse::FileDescriptorResponse(files)) => {
                    assert!(!files.file_descriptor_proto.is_empty());
                    found.push("described".to_owned());
                }
                other => panic!("{other:?}"),
            }
        }
        for name in [SERVICE, "grpc.health.v1.Health", "described"] {
            assert!(found.iter().any(|it| it == name), "{name}: {found:?}");
        }
    });
}

#[test]
fn errors_have_codes_and_say_what_to_do() {
    let registry = Registry::start(Setup::default());
    wait(async {
        let mut client = client(&registry).await;
        let digest = |digest: &str| ExplainDigestRequest {
            digest: digest.to_owned(),
        };
        let error = client.explain_digest(digest("sha256:x")).await;
        assert_eq!(error.expect_err("no digest").code(), Code::InvalidArgument);
        let unknown = roadstead_tests::fixture::unknown(1);
        let error = client.explain_digest(digest(unknown.as_str())).await;
        assert_eq!(error.expect_err("unknown").code(), Code::NotFound);
        for (name, code) in [("UPPER", Code::InvalidArgument), ("none", Code::NotFound)] {
            let repository = name.to_owned();
            let request = DeleteRepositoryRequest { repository };
            let error = client.delete_repository(request).await;
            assert_eq!(error.expect_err("refused").code(), code, "{name}");
        }
        let id = "nonsense".to_owned();
        let error = client.cancel_upload(CancelUploadRequest { id }).await;
        let error = error.expect_err("unknown");
        assert_eq!(error.code(), Code::NotFound);
        assert!(error.message().contains("upload list"), "{error:?}");
        let (last, limit) = (String::new(), u32::MAX);
        let request = ListRepositoriesRequest { last, limit };
        let page = client.list_repositories(request).await;
        assert!(!page.expect("a page").into_inner().has_more);
    });
}

#[test]
fn a_client_that_listens_for_ever_does_not_keep_a_node_from_stopping() {
    let mut registry = Registry::start(Setup::default());
    wait(async {
        let mut health = HealthClient::new(channel(&registry).await);
        let service = SERVICE.to_owned();
        let watched = health.watch(HealthCheckRequest { service }).await;
        let mut watched = watched.expect("a stream").into_inner();
        watched.message().await.expect("a status").expect("one");
        let mut reflection = ServerReflectionClient::new(channel(&registry).await);
        let silent = futures::stream::pending::<ServerReflectionRequest>();
        let held = reflection.server_reflection_info(silent).await;
        let begun = Instant::now();
        assert!(registry.stop().success());
        let taken = begun.elapsed();
        assert!(taken < Duration::from_secs(15), "{taken:?}");
        drop(held);
    });
}
