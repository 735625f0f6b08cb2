//! TLS, a cluster, and Sentinels that make another server the master.

use super::*;
use crate::types::SystemClock;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Reserves, settles and reads everything that a store can.
async fn works(store: &SharedStore) {
    let (call, running) = (booking("alice", 100), booking("alice", 30));
    reserve(store, &call).await.unwrap();
    reserve(store, &running).await.unwrap();
    store.settle(settlement(&call, 70));
    assert_eq!(usd(store, "alice").await, (70, 30));
    assert_eq!(store.bill().await.unwrap().calls(), 1);
    store.0.beat().await.unwrap();
    assert!(matches!(reserve(store, &booking("alice", 901)).await, Err(ReserveError::Exhausted(_))));
    store.settle(released(&running));
    assert_eq!(usd(store, "alice").await, (70, 0));
}

#[tokio::test]
async fn tls_is_spoken_with_a_server_of_the_named_authority_and_with_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (write("tls.crt", own.cert.pem()), write("tls.key", own.signing_key.serialize_pem()));
    let (_server, [port]) = Server::on_ports(|[port]| {
        words(&format!(
            "--tls-port {port} --tls-cert-file {certificate} --tls-key-file {key} --tls-auth-clients no --appendonly yes"
        ))
    });
    let mut trusting = patient(format!("rediss://localhost:{port}"));
    trusting.server.ca_bundle = Some(own.cert.pem().into_bytes());
    let (store, warnings) = SharedStore::open(&trusting, Arc::new(SystemClock)).await.unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    works(&store).await;
    trusting.server.ca_bundle = Some(other.cert.pem().into_bytes());
    let (store, _) = SharedStore::open(&trusting, Arc::new(SystemClock)).await.unwrap();
    assert!(matches!(reserve(&store, &booking("alice", 1)).await, Err(ReserveError::Store(_))));
    trusting.server.ca_bundle = None;
    let (store, _) = SharedStore::open(&trusting, Arc::new(SystemClock)).await.unwrap();
    assert!(matches!(reserve(&store, &booking("alice", 1)).await, Err(ReserveError::Store(_))));
}

#[tokio::test]
async fn a_cluster_keeps_a_store_in_one_slot() {
    let (server, [port, _]) = Server::on_ports(|[port, bus]| {
        words(&format!("--port {port} --cluster-enabled yes --cluster-port {bus} --appendonly yes"))
    });
    let _: String = server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    eventually("the cluster is up", async || server.ask::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        .await;
    let mut options = patient(format!("redis://127.0.0.1:{port}"));
    options.server.topology = Topology::Cluster;
    let (store, _) = SharedStore::open(&options, Arc::new(SystemClock)).await.unwrap();
    works(&store).await;
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert!(keys.len() > 5 && keys.iter().all(|key| key.starts_with("{tollgate:test}:")), "{keys:?}");
}

#[tokio::test]
async fn the_master_that_sentinels_name_is_followed() {
    let tcp = |[port]: [u16; 1]| words(&format!("--port {port} --appendonly yes --repl-diskless-sync-delay 0"));
    let (mut master, [first]) = Server::on_ports(tcp);
    let (replica, [second]) = Server::on_ports(tcp);
    let _: String = replica.ask(&["REPLICAOF", "127.0.0.1", &first.to_string()]);
    eventually("it has caught up", async || {
        replica.ask::<String>(&["INFO", "replication"]).contains("master_link_status:up")
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("sentinel.conf");
    std::fs::write(
        &config,
        format!(
            "sentinel monitor mymaster 127.0.0.1 {first} 1\nsentinel down-after-milliseconds mymaster 300\n\
             sentinel failover-timeout mymaster 2000\n"
        ),
    )
    .unwrap();
    let (sentinel, [port]) = Server::on_ports(|[port]| {
        vec![config.display().to_string(), "--sentinel".to_owned(), "--port".to_owned(), port.to_string()]
    });
    eventually("the Sentinel knows the replica", async || {
        sentinel.ask::<String>(&["INFO", "sentinel"]).contains("slaves=1")
    })
    .await;
    let mut options = patient(format!("redis://127.0.0.1:{port}"));
    options.server.topology = Topology::Sentinel("mymaster".to_owned());
    let (store, _) = SharedStore::open(&options, Arc::new(SystemClock)).await.unwrap();
    works(&store).await;
    let offset = |server: &Server| {
        let told: String = server.ask(&["INFO", "replication"]);
        told.lines().find_map(|line| line.strip_prefix("master_repl_offset:")).map(str::to_owned)
    };
    eventually("the replica has it all", async || offset(&master) == offset(&replica)).await;
    master.kill();
    let again = booking("alice", 200);
    eventually("there is another master", async || reserve(&store, &again).await.is_ok()).await;
    assert_eq!(usd(&store, "alice").await, (70, 200));
    let counters: Vec<String> = replica.ask(&["KEYS", "*:count:*"]);
    assert_eq!((counters.len(), second > 0), (2, true));
}
