//! Asking a node by gRPC; by the built program, `roadstead_tests::asked` does.

use roadstead_proto::rpc::admin::administration_client::AdministrationClient;
use roadstead_tests::Registry;
use tonic::transport::{Channel, Endpoint};

/// Waits for what is asked by gRPC.
pub(super) fn wait<T>(asking: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(asking)
}

/// A connection to the administration of a node.
pub(super) async fn channel(registry: &Registry) -> Channel {
    let uri = format!("http://{}", registry.administration());
    let endpoint = Endpoint::from_shared(uri).expect("an address");
    endpoint.connect().await.expect("it answers")
}

/// A client of the administration of a node.
pub(super) async fn client(registry: &Registry) -> AdministrationClient<Channel> {
    AdministrationClient::new(channel(registry).await)
}
